"""Cursors: descriptions, rows in DuckDB's own types, and cursors side by side."""

from __future__ import annotations

import datetime as dt
import gc
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import psutil
import pyarrow as pa
import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

import thanosql_dbapi
from thanosql_dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    STRING,
    Connection,
    Cursor,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    QueryInterrupted,
)

MANY = 20_000


@pytest.fixture
def db() -> Iterator[Connection]:
    with thanosql_dbapi.connect() as opened:
        yield opened


def names(cursor: Cursor) -> list[str]:
    return [column.name for column in cursor.description or ()]


def codes(cursor: Cursor) -> list[str]:
    return [column.type_code for column in cursor.description or ()]


# --- description and rowcount ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "described", "rowcount"),
    [
        ("SELECT 1 AS a, 'x' AS b", ["a", "b"], -1),
        ("FROM kept", ["id", "word"], -1),
        ("VALUES (1), (2)", ["col0"], -1),
        ("WITH q AS (SELECT 1 AS z) FROM q", ["z"], -1),
        ("SELECT 5 AS Count", ["Count"], -1),
        ("SELECT true AS Success", ["Success"], -1),
        ("INSERT INTO kept VALUES (3, 'c') RETURNING word", ["word"], -1),
        ("UPDATE kept SET word = 'z' RETURNING id", ["id"], -1),
        ("DELETE FROM kept RETURNING *", ["id", "word"], -1),
        ("INSERT INTO kept VALUES (3, 'c'), (4, 'd')", None, 2),
        ("UPDATE kept SET word = 'z'", None, 2),
        ("DELETE FROM kept WHERE id = 1", None, 1),
        ("DELETE FROM kept WHERE id = 99", None, 0),
        ("CREATE TABLE other (a INT)", None, -1),
        ("CREATE TABLE other AS FROM kept", None, 2),
        ("CREATE VIEW v AS SELECT 1", None, -1),
        ("DROP TABLE kept", None, -1),
        ("ALTER TABLE kept ADD COLUMN x INT", None, -1),
        ("BEGIN", None, -1),
        ("SET threads = 2", None, -1),
        ("PRAGMA threads = 2", None, -1),
        ("CHECKPOINT", None, -1),
        ("PREPARE p AS SELECT 1", None, -1),
        ("EXPLAIN SELECT 1", ["explain_key", "explain_value"], -1),
        ("PRAGMA table_info('kept')", ["cid", "name", "type", "notnull", "dflt_value", "pk"], -1),
        ("SHOW TABLES", ["name"], -1),
        ("CALL pragma_version()", ["library_version", "source_id", "codename"], -1),
        ("PIVOT kept ON id USING count(*)", ["word", "1", "2"], -1),
        ("", None, -1),
        ("-- nothing here", None, -1),
    ],
)
def test_description_and_rowcount(
    db: Connection, sql: str, described: list[str] | None, rowcount: int
) -> None:
    db.execute("CREATE TABLE kept (id INT, word TEXT); INSERT INTO kept VALUES (1, 'a'), (2, 'b')")
    cursor = db.execute(sql)
    assert cursor.rowcount == rowcount
    assert (None if cursor.description is None else names(cursor)) == described
    if described is None:
        for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.fetch_df):
            with pytest.raises(ProgrammingError, match="no rows"):
                fetch()


def test_a_column_is_described_in_pep_249s_order(db: Connection) -> None:
    (column,) = db.execute("SELECT 1.25::DECIMAL(10, 2) AS price").description or ()
    assert tuple(column) == ("price", "DECIMAL(10,2)", None, None, 10, 2, None)
    assert column.type_code == NUMBER


def test_type_objects_equal_the_codes_of_their_kind(db: Connection) -> None:
    cursor = db.execute(
        "SELECT 1::HUGEINT, 1.5::DECIMAL(3, 1), 'x', 'a'::ENUM ('a'), uuid(), 'b'::BLOB,"
        " now(), current_date, INTERVAL 1 DAY, [1], {'a': 1}"
    )
    kinds = [NUMBER, NUMBER, STRING, STRING, STRING, BINARY, DATETIME, DATETIME, DATETIME]
    found = codes(cursor)
    assert all(code == kind for code, kind in zip(found, kinds, strict=False))
    assert all(code not in (NUMBER, STRING, BINARY, DATETIME) for code in found[9:])


def test_model_statements_describe_typed_columns(connection: Connection) -> None:
    cursor = connection.execute("PREDICT USING m AS SELECT id, audio_path FROM t LIMIT 1")
    assert names(cursor) == ["id", "audio_path", "predicted"]
    assert codes(cursor) == ["BIGINT", "VARCHAR", "VARCHAR"]
    cursor = connection.execute("LIST MODEL")
    assert codes(cursor) == ["VARCHAR", "VARCHAR", "TIMESTAMP", "BOOLEAN"]
    cursor = connection.execute("BUILD MODEL b USING Echo AS SELECT * FROM t LIMIT 2")
    described = dict(zip(names(cursor), codes(cursor), strict=True))
    assert described["version"] == "INTEGER"
    assert described["audio_seconds"] == "DOUBLE"
    cursor = connection.execute("CREATE TABLE k AS PREDICT USING m AS SELECT * FROM t LIMIT 7")
    assert (cursor.description, cursor.rowcount) == (None, 7)
    assert connection.execute("DELETE MODEL b").rowcount == -1


def test_before_any_statement_there_is_nothing(db: Connection) -> None:
    cursor = db.cursor()
    assert (cursor.description, cursor.rowcount, cursor.arraysize) == (None, -1, 1)
    with pytest.raises(ProgrammingError):
        cursor.fetchone()


def test_a_failing_statement_leaves_no_old_rows(db: Connection) -> None:
    cursor = db.execute("SELECT 1")
    with pytest.raises(ProgrammingError):
        cursor.execute("SELECT * FROM nowhere")
    assert cursor.description is None
    with pytest.raises(ProgrammingError):
        cursor.fetchone()


# --- rows -----------------------------------------------------------------------------------


def test_fetches_mix(db: Connection) -> None:
    cursor = db.execute("SELECT i FROM range(10) r(i)")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany() == [(1,)]
    assert cursor.fetchmany(0) == []
    cursor.arraysize = 3
    assert cursor.fetchmany() == [(2,), (3,), (4,)]
    assert next(iter(cursor)) == (5,)
    assert cursor.fetch_arrow_table().to_pydict() == {"i": [6, 7, 8, 9]}
    assert (cursor.fetchone(), cursor.fetchmany(5), cursor.fetchall()) == (None, [], [])
    assert list(cursor) == []
    assert cursor.fetch_arrow_table().num_rows == 0


def test_iteration_reads_across_vectors(db: Connection) -> None:
    cursor = db.execute(f"SELECT i FROM range({MANY}) r(i)")
    assert [i for (i,) in cursor] == list(range(MANY))


@given(sizes=st.lists(st.integers(0, 3000), max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_mix_of_sizes_gives_each_row_once(sizes: list[int]) -> None:
    with thanosql_dbapi.connect() as db:
        cursor, other = db.execute("SELECT i FROM range(7000) r(i)"), db.cursor()
        seen = []
        for index, size in enumerate(sizes):
            seen += cursor.fetchmany(size) if size else filter(None, [cursor.fetchone()])
            if index == 3:
                other.execute("SELECT 1")
        seen += cursor.fetchall()
        assert [i for (i,) in seen] == list(range(7000))


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT ?, ?", [1, "x"]),
        ("SELECT ?, ?", (1, "x")),
        ("SELECT $1, $2", [1, "x"]),
        ("SELECT $2::INT, $1", ["x", 1]),
        ("SELECT $a, $b", {"a": 1, "b": "x"}),
        ("SET threads = 2; SELECT ?, ?", [1, "x"]),
    ],
)
def test_parameters(db: Connection, sql: str, parameters: Any) -> None:
    assert db.execute(sql, parameters).fetchall() == [(1, "x")]


@pytest.mark.parametrize("parameters", [None, [], [1, 2], {"a": 1}, 5, [object()]])
def test_parameters_that_do_not_fit_are_errors_of_ours(db: Connection, parameters: Any) -> None:
    with pytest.raises(thanosql_dbapi.Error):
        db.execute("SELECT ?", parameters)
    assert db.execute("SELECT 1").fetchall() == [(1,)]


def test_a_script_runs_all_and_keeps_the_last_result(db: Connection) -> None:
    cursor = db.execute("CREATE TABLE s (a INT); INSERT INTO s VALUES (1); SELECT a FROM s")
    assert cursor.fetchall() == [(1,)]
    assert db.execute("SELECT 1; INSERT INTO s VALUES (2)").rowcount == 1
    with pytest.raises(ProgrammingError):
        db.execute("INSERT INTO s VALUES (3); SELEC 1")
    with pytest.raises(ProgrammingError):
        db.execute("INSERT INTO s VALUES (4); FROM nowhere; INSERT INTO s VALUES (5)")
    assert db.execute("SELECT list(a) FROM s").fetchall() == [([1, 2, 4],)]


U = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
SEOUL = pytz.timezone("Asia/Seoul")


@pytest.mark.parametrize(
    "value",
    [
        True, 1, -(2**31), 2**62, 2**100, 1.5, float("inf"), "", "한글 \x00 🙂", b"\x00\xff", None,
        U, Decimal("1.25"), Decimal("-12345678901234567890.123"), dt.date(2020, 2, 29),
        dt.time(1, 2, 3, 456), dt.datetime(2020, 1, 2, 3, 4, 5, 678),  # noqa: DTZ001
        dt.timedelta(days=3, hours=5),
        dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(hours=9))),
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC), [1, 2, None], ["a", None], {"a": 1, "b": [U]},
        [[1], [], [2, 3]],
    ],
    ids=repr,
)  # fmt: skip
def test_values_round_trip(db: Connection, value: Any) -> None:
    ((found,),) = db.execute("SELECT ?", [value]).fetchall()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
        (f"'{U}'::UUID", U),
        ("MAP {'a': 1, 'b': 2}", {"a": 1, "b": 2}),
        ("'b'::ENUM ('a', 'b')", "b"),
        ("[1, 2]::INTEGER[2]", (1, 2)),
        ("union_value(num := 2)", 2),
        ("'101'::BIT", "101"),
        ('\'{"a": 1}\'::JSON', '{"a": 1}'),
        ("INTERVAL '2 months 1 day'", dt.timedelta(days=61)),
        ("{'when': DATE '2020-01-01', 'who': [{'id': 1}]}",
         {"when": dt.date(2020, 1, 1), "who": [{"id": 1}]}),
    ],
)  # fmt: skip
def test_duckdbs_types_come_as_its_own_python_types(db: Connection, sql: str, value: Any) -> None:
    ((found,),) = db.execute(f"SELECT {sql}").fetchall()
    assert found == value
    assert type(found) is type(value)


# --- Arrow and pandas -----------------------------------------------------------------------

EXPRESSIONS = [
    "i % 2 = 0", "i::TINYINT", "i::SMALLINT", "i::INTEGER", "i", "i::HUGEINT", "i::UTINYINT",
    "i::USMALLINT", "i::UINTEGER", "i::UBIGINT", "i::UHUGEINT", "i::FLOAT", "i / 3",
    "i::DECIMAL(10, 2)", "i::DECIMAL(38, 5)", "'x' || i", "('x' || i)::BLOB", "'101'::BIT",
    f"'{U}'::UUID", "DATE '2020-01-02' + i::INT", "TIME '01:02:03.456'", "'01:02:03+01'::TIMETZ",
    "TIMESTAMP '2020-01-01 01:02:03.123456'", "'2020-01-01'::TIMESTAMP_S",
    "'2020-01-01'::TIMESTAMP_MS", "'2020-01-01 00:00:00.123456'::TIMESTAMP_NS",
    "'2020-01-01 00:00:00+00'::TIMESTAMPTZ", "INTERVAL '1 day 2 hours'", "[i, NULL]", "[]",
    "[[i], NULL]", "[1, 2]::INTEGER[2]", "{'a': i, 'b c': 'x'}", "MAP {'a': i}",
    f"MAP {{i: '{U}'::UUID}}", "CASE i WHEN 1 THEN 'a' ELSE 'b' END::ENUM ('a', 'b')",
    "'{\"a\":1}'::JSON", "union_value(num := i)", "123456789012345678901234567890::BIGNUM",
    f"{{'u': '{U}'::UUID, 'l': [{{'d': 1.5::DECIMAL(4, 1)}}]}}", "NULL", "1::VARIANT",
]  # fmt: skip

DISTURBANCES: dict[str, Callable[[Cursor, Connection], object]] = {
    "another cursor": lambda cursor, db: db.execute("SELECT 1").fetchall(),
    "a commit": lambda cursor, db: db.commit(),
}


@pytest.mark.parametrize("with_null", [False, True], ids=["values", "with a NULL"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_disturbed_cursor_gives_the_same_arrow(
    db: Connection, expression: str, with_null: bool
) -> None:
    sql = f"SELECT {expression} AS v FROM range(3) r(i)" + " UNION ALL SELECT NULL" * with_null
    expected = db.execute(sql).fetch_arrow_table()
    rows = db.execute(sql).fetchall()
    for disturb in (*DISTURBANCES.values(), lambda cursor, db: None):
        cursor = db.execute(sql)
        disturb(cursor, db)
        assert cursor.fetch_arrow_table().equals(expected)
        cursor = db.execute(sql)
        disturb(cursor, db)
        assert cursor.fetchall() == rows
        cursor = db.execute(sql)
        disturb(cursor, db)
        reader = cursor.fetch_record_batch(2)
        disturb(cursor, db)
        assert reader.schema.equals(expected.schema)
        assert reader.read_all().combine_chunks().equals(expected.combine_chunks())
    cursor = db.execute(sql)
    assert cursor.fetchone() == rows[0]
    assert cursor.fetch_arrow_table().combine_chunks().equals(expected.slice(1).combine_chunks())


#: What DuckDB does not turn into pandas.
NOT_IN_PANDAS = ("TIMETZ", "BIGNUM", "UHUGEINT")


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # DuckDB 2.0 under pandas 3.1
@pytest.mark.parametrize("expression", [e for e in EXPRESSIONS if not e.endswith(NOT_IN_PANDAS)])
def test_a_disturbed_cursor_gives_the_same_data_frame(db: Connection, expression: str) -> None:
    import pandas as pd

    sql = f"SELECT {expression} AS v FROM range(3) r(i)"
    expected = db.execute(sql).fetch_df()
    cursor = db.execute(sql)
    db.execute("SELECT 1")
    pd.testing.assert_frame_equal(cursor.fetch_df(), expected)


@pytest.mark.parametrize("sql", ["SELECT 1 AS a, uuid() AS b LIMIT 0", "SELECT [1] AS a LIMIT 0"])
def test_no_rows_still_have_types(db: Connection, sql: str) -> None:
    schema = db.execute(sql).fetch_arrow_table().schema
    cursor = db.execute(sql)
    db.execute("SELECT 1")
    assert cursor.fetch_arrow_table().schema == schema
    assert db.execute(sql).fetch_record_batch().read_all().schema == schema


def test_the_session_time_zone_reaches_arrow(db: Connection) -> None:
    db.execute("SET TimeZone = 'Asia/Seoul'")
    sql = "SELECT '2020-01-01 00:00:00+00'::TIMESTAMPTZ AS at, 1 AS one"
    expected = db.execute(sql).fetch_arrow_table()
    assert expected.schema.field("at").type == pa.timestamp("us", "Asia/Seoul")
    cursor = db.execute(sql)
    db.execute("SELECT 1")
    assert cursor.fetch_arrow_table().equals(expected)
    nine = SEOUL.localize(dt.datetime(2020, 1, 1, 9))  # noqa: DTZ001
    assert db.execute(sql).fetchone() == (nine, 1)


def test_dates_beyond_pythons_come_through_a_reader(db: Connection) -> None:
    sql = "SELECT DATE '2020-01-01' AS d UNION ALL SELECT DATE '20000-01-01'"
    expected = db.execute(sql).fetch_arrow_table()
    assert db.execute(sql).fetch_record_batch().read_all().equals(expected)


def test_duplicate_and_odd_names_stay(db: Connection) -> None:
    cursor = db.execute("""SELECT 1 AS a, 2 AS a, 3 AS "x ""y" """)
    db.execute("SELECT 1")
    assert cursor.fetch_arrow_table().column_names == ["a", "a", 'x "y']


def test_a_reader_loses_nothing_to_another_statement(db: Connection) -> None:
    cursor = db.execute(f"SELECT i, 'x' || i AS s FROM range({MANY}) r(i)")
    reader = cursor.to_arrow_reader(1000)
    first = reader.read_next_batch()
    assert first.num_rows == 1000
    db.execute("CREATE TABLE z (a INT)")
    cursor.execute("SELECT 5")
    rest = reader.read_all()
    assert rest.column("i").to_pylist() == list(range(1000, MANY))
    assert cursor.fetchall() == [(5,)]


def test_a_reader_outlives_its_cursor_and_not_its_connection(db: Connection) -> None:
    with db.cursor() as cursor:
        reader = cursor.execute(f"FROM range({MANY})").fetch_record_batch(1000)
    assert reader.read_all().num_rows == MANY
    reader = db.execute(f"FROM range({MANY})").fetch_record_batch(1000)
    reader.read_next_batch()
    db.close()
    with pytest.raises(InterfaceError, match="closed"):
        reader.read_all()


def test_a_readers_error_is_ours(db: Connection) -> None:
    sql = f"SELECT CASE i WHEN {MANY - 1} THEN error('boom') ELSE i END FROM range({MANY}) r(i)"
    reader = db.execute(sql).fetch_record_batch(1000)
    with pytest.raises(ProgrammingError, match="boom"):
        reader.read_all()
    assert db.execute("SELECT 1").fetchall() == [(1,)]


def test_the_names_of_adbc_and_of_duckdb_are_one(db: Connection) -> None:
    assert db.execute("SELECT 1 AS a").df().to_dict("list") == {"a": [1]}
    assert db.execute("SELECT 1 AS a").fetch_df().to_dict("list") == {"a": [1]}
    assert db.execute("SELECT 1 AS a").to_arrow_table().to_pydict() == {"a": [1]}
    assert db.execute("SELECT 1 AS a").to_arrow_reader(5).read_all().to_pydict() == {"a": [1]}


# --- memory ---------------------------------------------------------------------------------

ROWS = 5_000_000
#: As Python tuples the rows take 1,000 MB, as Arrow 130 MB.
BOUND = 100_000_000


def growth(read: Callable[[Cursor], Iterator[int]], wanted: int) -> tuple[int, int]:
    with thanosql_dbapi.connect(config={"threads": 2}) as db:
        db.execute("SELECT i, 'x' || i AS s FROM range(200000) r(i)").fetchall()
        gc.collect()
        process = psutil.Process()
        before = highest = process.memory_info().rss
        cursor = db.execute(f"SELECT i, 'row ' || i AS s FROM range({wanted}) r(i)")
        count = 0
        for rows in read(cursor):
            count += rows
            highest = max(highest, process.memory_info().rss)
        return count, highest - before


def test_five_million_rows_by_fetchmany_in_flat_memory() -> None:
    def read(cursor: Cursor) -> Iterator[int]:
        while rows := cursor.fetchmany(20_000):
            yield len(rows)

    rows, grown = growth(read, ROWS)
    assert rows == ROWS
    assert grown < BOUND


def test_rows_by_record_batches_in_flat_memory() -> None:
    # As Arrow these would take 110 MB.
    read = 3_000_000
    rows, grown = growth(lambda c: (len(b) for b in c.fetch_record_batch(20_000)), read)
    assert rows == read
    assert grown < BOUND / 2


def test_an_endless_result_gives_its_first_rows(db: Connection) -> None:
    cursor = db.execute("SELECT sqrt(i) FROM range(1000000000000) r(i)")
    assert cursor.fetchmany(2) == [(0.0,), (1.0,)]
    cursor.close()
    assert db.execute("SELECT 1").fetchall() == [(1,)]
    db.execute("SELECT sqrt(i) FROM range(1000000000000) r(i)").fetchone()
    # Nobody can read those rows any more, so nobody waits for them.
    assert db.execute("SELECT 2").fetchall() == [(2,)]
    db.execute("CREATE TABLE z (a INT)")
    db.execute("SELECT sqrt(i) FROM range(1000000000000) r(i)").fetchone()
    db.cursor().executemany("INSERT INTO z VALUES (?)", [(1,), (2,)])
    reader = db.execute("SELECT i FROM range(1000000000000) r(i)").fetch_record_batch(10)
    assert reader.read_next_batch().num_rows == 10
    del reader
    assert db.execute("SELECT count(*) FROM z").fetchall() == [(2,)]


# --- cursors side by side -------------------------------------------------------------------

FETCHES: dict[str, Callable[[Cursor], list[int]]] = {
    "fetchall": lambda cursor: [i for (i,) in cursor.fetchall()],
    "fetchone": lambda cursor: [i for (i,) in cursor],
    "fetchmany": lambda cursor: [i for (i,) in cursor.fetchmany(MANY * 2)],
    "arrow": lambda cursor: cursor.fetch_arrow_table().column(0).to_pylist(),
    "reader": lambda cursor: cursor.fetch_record_batch(999).read_all().column(0).to_pylist(),
    "pandas": lambda cursor: cursor.df()["i"].tolist(),
}


def fail(db: Connection) -> None:
    with pytest.raises(ProgrammingError):
        db.execute("FROM nowhere")


BETWEEN: dict[str, Callable[[Connection], object]] = {
    "select": lambda db: db.execute("SELECT 1").fetchall(),
    "unread select": lambda db: db.execute("FROM range(100)"),
    "dml": lambda db: db.execute("INSERT INTO t VALUES (-1)"),
    "drop": lambda db: db.execute("DROP TABLE t"),
    "failure": fail,
    "executemany": lambda db: db.cursor().executemany("INSERT INTO t VALUES (?)", [(1,)]),
    "begin": lambda db: db.begin(),
    "commit": lambda db: (db.begin(), db.commit()),
    "rollback": lambda db: (db.begin(), db.execute("DELETE FROM t"), db.rollback()),
}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("fetch", FETCHES)
def test_unread_rows_survive_what_other_cursors_do(
    db: Connection, fetch: str, between: str
) -> None:
    db.execute(f"CREATE TABLE t AS SELECT i FROM range({MANY}) r(i)")
    cursor = db.execute("SELECT i FROM t ORDER BY i")
    begun = [cursor.fetchone(), *cursor.fetchmany(3)]
    BETWEEN[between](db)
    assert [i for (i,) in begun] + FETCHES[fetch](cursor) == list(range(MANY))


def test_cursors_of_one_connection_share_its_transaction(db: Connection) -> None:
    db.execute("CREATE TABLE t (a INT)")
    db.begin()
    db.cursor().execute("INSERT INTO t VALUES (1)")
    assert db.cursor().execute("SELECT count(*) FROM t").fetchall() == [(1,)]
    db.rollback()
    assert db.cursor().execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_rows_read_in_a_transaction_outlive_its_rollback(db: Connection) -> None:
    db.begin()
    db.execute(f"CREATE TABLE t AS SELECT i FROM range({MANY}) r(i)")
    cursor = db.execute("SELECT i FROM t")
    cursor.fetchone()
    db.rollback()
    assert len(cursor.fetchall()) == MANY - 1


def test_three_cursors_interleave(db: Connection) -> None:
    cursors = [db.execute(f"SELECT i + {k} FROM range({MANY}) r(i)") for k in range(3)]
    seen: list[list[int]] = [[], [], []]
    for step in range(40):
        for k, cursor in enumerate(cursors):
            rows = [cursor.fetchone()] if step % 2 else cursor.fetchmany(7)
            seen[k] += [i for (i,) in filter(None, rows)]
    for k, cursor in enumerate(cursors):
        seen[k] += [i for (i,) in cursor]
        assert seen[k] == [i + k for i in range(MANY)]


LATE_ERROR = "SELECT CASE i WHEN 999999 THEN error('boom') ELSE i END AS i FROM range(1000000) r(i)"


@pytest.mark.parametrize("fetch", FETCHES)
def test_an_error_while_buffering_belongs_to_the_earlier_cursor(db: Connection, fetch: str) -> None:
    db.execute("SET threads = 1")  # another thread would meet the error at once
    earlier = db.execute(LATE_ERROR)
    assert earlier.fetchone() is not None
    assert db.execute("SELECT 1").fetchall() == [(1,)]
    with pytest.raises(ProgrammingError, match="boom"):
        FETCHES[fetch](earlier)
    assert db.execute("SELECT 2").fetchall() == [(2,)]


def test_an_interrupt_while_buffering_stops_the_later_statement_too(db: Connection) -> None:
    earlier = db.execute("SELECT i FROM range(1000000000000) r(i)")
    earlier.fetchone()
    timer = threading.Timer(0.3, db.interrupt)
    timer.start()
    with pytest.raises(QueryInterrupted):
        db.execute("SELECT 1")
    timer.join()
    with pytest.raises(QueryInterrupted):
        earlier.fetchall()
    assert db.execute("SELECT 2").fetchall() == [(2,)]


def test_closing_drops_unread_rows_and_refuses_more(db: Connection) -> None:
    cursor = db.execute("FROM range(10000)")
    cursor.fetchone()
    cursor.close()
    cursor.close()
    for use in (
        cursor.fetchone,
        cursor.fetchall,
        cursor.fetch_df,
        lambda: cursor.execute("SELECT 1"),
        lambda: cursor.executemany("SELECT ?", [(1,)]),
        lambda: next(iter(cursor)),
    ):
        with pytest.raises(InterfaceError, match="cursor is closed"):
            use()
    assert db.execute("SELECT 1").fetchall() == [(1,)]


def test_a_closed_connection_closes_its_cursors(db: Connection) -> None:
    cursor = db.execute("FROM range(10000)")
    db.close()
    for use in (cursor.fetchone, lambda: cursor.execute("SELECT 1"), db.cursor, db.commit):
        with pytest.raises(InterfaceError, match="connection is closed"):
            use()
    cursor.close()


# --- transactions ---------------------------------------------------------------------------


def count(db: Connection) -> int:
    ((rows,),) = db.execute("SELECT count(*) FROM t").fetchall()
    return int(rows)


@pytest.fixture
def table(db: Connection) -> Connection:
    db.execute("CREATE TABLE t (a INT PRIMARY KEY)")
    return db


def test_commit_and_rollback_without_a_transaction_do_nothing(table: Connection) -> None:
    table.rollback()
    table.execute("INSERT INTO t VALUES (1)")
    table.rollback()
    table.commit()
    assert count(table) == 1


@pytest.mark.parametrize(
    "begin", ["BEGIN", " begin transaction", "--\nSTART TRANSACTION", "/**/BEGIN"]
)
@pytest.mark.parametrize("end", ["ROLLBACK", "abort", "-- c\n rollback"])
def test_transactions_by_statement_and_by_method_are_one(
    table: Connection, begin: str, end: str
) -> None:
    table.execute(begin)
    table.execute("INSERT INTO t VALUES (1)")
    table.rollback()
    assert count(table) == 0
    table.begin()
    table.execute("INSERT INTO t VALUES (1)")
    table.execute(end)
    assert count(table) == 0
    table.rollback()
    table.begin()
    with pytest.raises(OperationalError):
        table.begin()
    table.rollback()


def test_without_autocommit_a_transaction_opens_by_itself(table: Connection) -> None:
    table.autocommit = False
    table.execute("INSERT INTO t VALUES (1)")
    table.rollback()
    assert count(table) == 0
    table.rollback()
    table.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    table.rollback()
    assert count(table) == 0
    table.rollback()
    table.cursor().executemany("INSERT OR IGNORE INTO t VALUES (?)", [(1,), (2,)])
    table.rollback()
    assert count(table) == 0
    table.rollback()
    table.execute("INSERT INTO t VALUES (1)")
    table.commit()
    table.rollback()
    table.execute("INSERT INTO t VALUES (2)")
    table.autocommit = True
    table.rollback()
    assert count(table) == 2


def test_a_failed_transaction_waits_for_its_rollback(table: Connection) -> None:
    table.begin()
    table.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(IntegrityError):
        table.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(OperationalError, match="aborted"):
        table.execute("SELECT 1")
    table.rollback()
    assert count(table) == 0


def test_a_wrong_name_does_not_cost_the_transaction(table: Connection) -> None:
    table.begin()
    table.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(ProgrammingError):
        table.execute("FROM nowhere")
    table.commit()
    assert count(table) == 1


def test_a_conversion_error_is_a_data_error(db: Connection) -> None:
    with pytest.raises(DataError):
        db.execute("SELECT 'x'::INT").fetchall()


def test_a_cursor_of_the_connection_can_be_registered(db: Connection) -> None:
    db.register("v", db.execute("SELECT 7 AS a"))
    assert db.execute("SELECT a FROM v").fetchall() == [(7,)]


def test_a_statement_that_utf8_cannot_hold_is_named(db: Connection) -> None:
    with pytest.raises(ProgrammingError, match="text that UTF-8 can hold"):
        db.execute("SELECT '\ud800'")
