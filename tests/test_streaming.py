"""First rows early: a PREDICT at the top of a statement runs over small batches."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from pathlib import Path

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, MediaError, QueryInterrupted
from thanosql_dbapi import streaming as module
from thanosql_dbapi.engine import SOURCE_VIEW, sources

TEN_THOUSAND = "PREDICT USING m AS SELECT * FROM t LIMIT 10000"


def rows(connection: Connection, sql: str, parameters: object = None) -> list[tuple]:
    return connection.execute(sql, parameters).fetchall()


def leftovers(connection: Connection) -> tuple[object, ...]:
    """Return what a statement in small batches changes while its rows are read."""
    raw = connection._engine.connection
    settings = ("streaming_buffer_size", "arrow_lossless_conversion")
    return (
        raw.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall(),
        *(raw.execute(f"SELECT current_setting('{name}')").fetchall() for name in settings),
    )


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch):
    """Run what is inside by DuckDB's vectors alone."""

    @contextlib.contextmanager
    def off():
        with monkeypatch.context() as patched:
            patched.setattr(module, "streamable", lambda query, scope: None)
            yield

    return off


# --- how early ------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_first_row_comes_after_two_small_batches(
    echo: Echo, connection: Connection, threads: int
) -> None:
    connection.execute(f"SET threads = {threads}")
    cursor = connection.execute(TEN_THOUSAND)
    assert cursor.fetchone() == (0, "p0", 0, "P0", "P0")
    # Three have 64 rows, and a fourth may have begun.
    assert len(echo.asked) <= 128
    assert [row[0] for row in cursor] == list(range(1, 10_000))
    assert len(echo.asked) == 10_000


def test_the_first_row_waits_for_64_rows_of_a_slow_model(
    echo: Echo, connection: Connection
) -> None:
    sizes: list[int] = []

    def slowly(names: list[str]) -> None:
        sizes.append(len(names))
        time.sleep(0.05)

    echo.on_predict = slowly
    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    # The last of them has only begun.
    assert sum(sizes[:-1]) <= 64
    cursor.close()


def test_the_first_row_of_a_plain_select_is_early_too(echo: Echo, connection: Connection) -> None:
    cursor = connection.execute(f"SELECT id, predicted AS said FROM ({TEN_THOUSAND}) AS p")
    assert cursor.fetchone() == (0, "P0")
    assert len(echo.asked) <= 128


def test_a_filter_under_a_limit_stops_soon(echo: Echo, connection: Connection) -> None:
    found = rows(
        connection,
        f"SELECT id FROM ({TEN_THOUSAND}) WHERE predicted LIKE '%9' LIMIT 5",
    )
    assert found == [(9,), (19,), (29,), (39,), (49,)]
    assert len(echo.asked) <= 128


def test_a_filter_on_the_prediction_costs_one_evaluation_a_row(
    echo: Echo, connection: Connection
) -> None:
    found = rows(connection, "SELECT * FROM (PREDICT USING m AS FROM t) WHERE predicted = 'P77'")
    assert [row[0] for row in found] == [77]
    assert len(echo.asked) == 20_000


@pytest.mark.parametrize("threads", [1, 8])
def test_a_condition_on_another_column_spares_the_model_its_rows(
    echo: Echo, connection: Connection, threads: int
) -> None:
    connection.execute(f"SET threads = {threads}")
    sql = "SELECT id FROM (PREDICT USING m AS FROM t) WHERE predicted LIKE '%3' AND region = 3"
    assert rows(connection, sql) == [(number,) for number in range(3, 20_000, 10)]
    assert len(echo.asked) == 2_000
    echo.asked.clear()
    assert rows(connection, f"{sql} LIMIT 5") == [(3,), (13,), (23,), (33,), (43,)]
    assert len(echo.asked) <= 205  # what a vector of 2,048 rows would have cost


def test_a_statement_that_changes_rows_runs_once(connection: Connection) -> None:
    connection.execute("CREATE TABLE kept (audio_path VARCHAR)")
    connection.execute("CREATE SEQUENCE counted")
    sql = "WITH x AS (INSERT INTO kept VALUES ('a') RETURNING *) PREDICT USING m AS FROM x"
    assert rows(connection, sql) == [("a", "A")]
    assert rows(connection, f"EXPLAIN {sql}")
    assert rows(connection, "SELECT count(*) FROM kept") == [(1,)]
    sql = "WITH x AS (SELECT nextval('counted') AS n, 'a' AS audio_path) PREDICT USING m AS FROM x"
    assert rows(connection, sql) == [(1, "a", "A")]
    assert rows(connection, f"EXPLAIN {sql}")
    assert rows(connection, sql) == [(2, "a", "A")]


def test_batches_grow_so_that_later_work_is_packed_well(echo: Echo, connection: Connection) -> None:
    sizes: list[int] = []
    echo.on_predict = lambda names: sizes.append(len(names))
    assert len(rows(connection, TEN_THOUSAND)) == 10_000
    first = list(sources.FIRST_BATCHES)
    assert sizes == [*first, 2048, 2048, 2048, 10_000 - sum(first) - 3 * 2048]


# --- which statements -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "small"),
    [
        ("PREDICT USING m AS SELECT * FROM t", True),
        ("WITH x AS (SELECT * FROM t) PREDICT USING m AS SELECT * FROM x", True),
        ("WITH x AS (FROM t), y AS (FROM x) SELECT * FROM (PREDICT USING m AS FROM y)", True),
        ("SELECT predicted FROM (PREDICT USING m AS FROM t)", True),
        ("SELECT upper(predicted) FROM (PREDICT USING m AS FROM t) p WHERE p.predicted > ''", True),
        ('SELECT * FROM (PREDICT USING m OPTIONS (result_col=\'R\') AS FROM t) WHERE "r" > \'\'',
         True),
        ("FROM (PREDICT USING m AS FROM t) LIMIT 100", True),
        ("PREDICT USING m AS SELECT *, id AS ID FROM t", True),
        # All rows are needed, or DuckDB reads less by itself.
        ("SELECT * FROM (PREDICT USING m AS FROM t) LIMIT 5", False),
        ("SELECT * FROM (PREDICT USING m AS FROM t) WHERE region = 3", False),
        ("SELECT id FROM (PREDICT USING m AS FROM t)", False),
        ("SELECT count(*) FROM (PREDICT USING m AS FROM t) GROUP BY predicted", False),
        ("SELECT * FROM (PREDICT USING m AS FROM t) ORDER BY predicted", False),
        ("SELECT DISTINCT predicted FROM (PREDICT USING m AS FROM t)", False),
        # It stands beside something, or within something.
        ("SELECT * FROM (PREDICT USING m AS FROM t), (SELECT 1)", False),
        ("SELECT * FROM (PREDICT USING m AS FROM t) p, (SELECT 1) q WHERE predicted > ''", False),
        ("SELECT * FROM (PREDICT USING m AS FROM t) p JOIN t USING (id)", False),
        ("SELECT * FROM (PREDICT USING m AS FROM t) UNION ALL FROM (PREDICT USING m AS FROM t)",
         False),
        ("WITH p AS (PREDICT USING m AS FROM t) SELECT predicted FROM p", False),
        ("SELECT * FROM (SELECT * FROM (PREDICT USING m AS FROM t))", False),
        ("SELECT * FROM (WITH x AS (FROM t) PREDICT USING m AS FROM x)", False),
        ("CREATE TABLE made AS PREDICT USING m AS FROM t", False),
        ("CREATE TABLE made AS WITH x AS (FROM t) PREDICT USING m AS FROM x", False),
        ("WITH a AS (SELECT 1) INSERT INTO kept WITH x AS (FROM t) PREDICT USING m AS FROM x",
         False),
        ("INSERT INTO kept PREDICT USING m AS FROM t", False),
        ("EXPLAIN PREDICT USING m AS FROM t", False),
        ("EXPLAIN ANALYZE PREDICT USING m AS FROM t", False),
        ("SUMMARIZE PREDICT USING m AS FROM t", False),
        # Its query runs a model, or must not run twice, or has what Arrow does not give back.
        ("PREDICT USING m OPTIONS (result_col='b') AS PREDICT USING m AS FROM t", False),
        ("PREDICT USING m OPTIONS (result_col='b') AS SELECT * FROM said", False),
        ("PREDICT USING m AS SELECT *, nextval('counted') AS n FROM t", False),
        ("PREDICT USING m AS SELECT *, INTERVAL 1 DAY AS i FROM t", False),
        ("PREDICT USING m AS SELECT *, [{'a': 'x'::BLOB}] AS b FROM t", False),
    ],
)  # fmt: skip
def test_which_statements_run_over_small_batches(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, sql: str, small: bool
) -> None:
    connection.execute("DELETE FROM t WHERE id >= 200")
    connection.execute("CREATE TABLE kept AS PREDICT USING m AS SELECT * FROM t LIMIT 0")
    connection.execute("CREATE VIEW said AS PREDICT USING m AS SELECT * FROM t")
    connection.execute("CREATE SEQUENCE counted")
    engine = connection._engine
    given: list[object] = []
    stream = engine.stream

    def noting(sql, parameters, run, source=None):
        given.append(source)
        return stream(sql, parameters, run, source)

    monkeypatch.setattr(engine, "stream", noting)
    rows_or_none = connection.execute(sql)
    if rows_or_none.description:
        rows_or_none.fetchall()
    assert any(source is not None for source in given) == small


def test_a_large_query_goes_by_vectors(
    echo: Echo, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, value in (("SOURCE_ROWS", 9_999), ("SOURCE_BYTES", 100_000)):
        echo.asked.clear()
        with monkeypatch.context() as patched:
            patched.setattr(sources, limit, value)
            cursor = connection.execute(TEN_THOUSAND)
            assert cursor.fetchone() == (0, "p0", 0, "P0", "P0")
            # By vectors, and still not all of them.
            assert 2048 <= len(echo.asked) <= 3 * 2048
            assert len(cursor.fetchall()) == 9_999


# --- the same rows --------------------------------------------------------------------------

_ALL_TYPES = "(SELECT * EXCLUDE (tuple) FROM test_all_types())"


def test_every_type_comes_out_as_by_vectors(connection: Connection, plainly) -> None:
    names = [row[0] for row in rows(connection, f"DESCRIBE SELECT * FROM {_ALL_TYPES}")]
    streamed = []
    for name in names:
        sql = f"PREDICT USING m AS SELECT 'p' AS audio_path, \"{name}\" AS x FROM {_ALL_TYPES}"
        cursor = connection.execute(sql)
        streamed.append((repr(cursor.description), repr(cursor.fetchall())))
    with plainly():
        for name, found in zip(names, streamed, strict=True):
            sql = f"PREDICT USING m AS SELECT 'p' AS audio_path, \"{name}\" AS x FROM {_ALL_TYPES}"
            cursor = connection.execute(sql)
            assert (repr(cursor.description), repr(cursor.fetchall())) == found, name


_VALUES = [
    "uuid_of::UUID", "[uuid_of::UUID, NULL]", "id::HUGEINT << 100", "{'a': id::HUGEINT, 'b': [id]}",
    "TIMESTAMP_NS '2020-01-02 03:04:05.123456789'", "TIMESTAMPTZ '2020-01-02 03:04:05+05'",
    "TIME_NS '01:02:03.123456789'", "TIMETZ '01:02:03+04'", "'101'::BIT", "MAP {id: [id]}",
    "union_value(n := id)", "'{\"a\": 1}'::JSON", "1.5::DECIMAL(38, 3)", "DATE 'infinity'",
    "'nan'::FLOAT", "'a'::mood", "['a'::mood]", "INTERVAL '5000 years 3 hours'",
    "INTERVAL 1 HOUR * 9999999", "row(id, 'x')", "[1, id]::HUGEINT[2]", "NULL", "''",
    "'é' || chr(128512)", "CASE id % 2 WHEN 0 THEN id END", "'x'::BLOB", "12::UHUGEINT",
    "1.25::money", "{'a': {'b': MAP {'k': TIMESTAMPTZ '2020-01-02 03:04:05+05'}}}",
    "'-infinity'::TIMESTAMPTZ", "42::VARIANT", "id AS ID, 1",
]  # fmt: skip


#: Those that Arrow does not give back as they were: they come by vectors in any case.
_UNFIT = {"'a'::mood", "['a'::mood]", "row(id, 'x')", "'x'::BLOB", "42::VARIANT"} | {
    value for value in _VALUES if "INTERVAL" in value
}


def test_values_of_every_kind_come_out_as_by_vectors(
    connection: Connection, plainly, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connection._engine
    read, sources_read = engine.read_source, []
    monkeypatch.setattr(
        engine, "read_source", lambda *given: sources_read.append(read(*given)) or sources_read[-1]
    )
    connection.execute("CREATE TYPE mood AS ENUM ('a', 'b')")
    connection.execute("CREATE TYPE money AS DECIMAL(10, 2)")
    source = "(SELECT *, '00000000-0000-0000-0000-00000000000' || id % 9 AS uuid_of FROM t)"
    for value in _VALUES:
        sql = (
            f"PREDICT USING m AS SELECT id, audio_path, {value} AS x, x::VARCHAR AS y"
            f" FROM {source} WHERE id < 700 ORDER BY id DESC"
        )
        cursor = connection.execute(sql)
        streamed = (cursor.description, repr(cursor.fetchall()))
        assert (sources_read[-1] is None) == (value in _UNFIT), value
        arrow = connection.execute(sql).fetch_arrow_table()
        with plainly():
            cursor = connection.execute(sql)
            assert (cursor.description, repr(cursor.fetchall())) == streamed, value
            plain = connection.execute(sql).fetch_arrow_table()
            # NaN is not equal to itself.
            assert plain.equals(arrow) or "nan" in value, value


@pytest.mark.parametrize(
    "defined",
    [
        "CREATE TABLE c (audio_path VARCHAR, name VARCHAR COLLATE NOCASE)",
        "CREATE VIEW c AS SELECT audio_path, text COLLATE NOCASE AS name FROM t WHERE id < 3",
    ],
)
def test_a_collation_still_decides(connection: Connection, defined: str) -> None:
    connection.execute(defined)
    if "TABLE" in defined:
        connection.execute("INSERT INTO c SELECT audio_path, text FROM t WHERE id < 3")
    sql = "SELECT audio_path FROM (PREDICT USING m AS FROM c) WHERE predicted <> '' AND name = 'p1'"
    assert rows(connection, sql) == [("p1",)]
    assert "by vectors" in rows(connection, f"EXPLAIN {sql}")[-1][1]


@pytest.mark.parametrize("inserted", [0, 1, 15, 16, 17, 64, 2048, 2049, 5000])
def test_any_number_of_rows_in_their_order(connection: Connection, inserted: int) -> None:
    sql = f"PREDICT USING m AS SELECT id, audio_path FROM t WHERE id < {inserted} ORDER BY id DESC"
    assert rows(connection, sql) == [(i, f"p{i}", f"P{i}") for i in reversed(range(inserted))]


# --- transactions, parameters, common tables ------------------------------------------------


def test_rows_of_the_own_transaction_are_seen_and_it_goes_on(connection: Connection) -> None:
    connection.execute("CREATE TABLE calls (audio_path VARCHAR)")
    connection.begin()
    connection.execute("INSERT INTO calls VALUES ('a'), ('b')")
    connection.execute("CREATE TEMP TABLE mine AS FROM calls")
    cursor = connection.execute("PREDICT USING m AS FROM mine")
    assert cursor.fetchone() == ("a", "A")
    connection.execute("INSERT INTO calls VALUES ('c')")
    assert cursor.fetchall() == [("b", "B")]
    assert rows(connection, "PREDICT USING m AS FROM calls") == [(x, x.upper()) for x in "abc"]
    connection.rollback()
    assert rows(connection, "PREDICT USING m AS FROM calls") == []
    assert leftovers(connection) == ([], [("10.0 MiB",)], [(False,)])


def test_pep_249s_transaction_begins_with_it(connection: Connection) -> None:
    connection.autocommit = False
    cursor = connection.execute("PREDICT USING m AS FROM t")
    assert connection._engine.in_transaction
    cursor.fetchone()
    connection.rollback()
    assert len(cursor.fetchall()) == 19_999
    connection.commit()


def test_parameters_within_and_around(connection: Connection) -> None:
    sql = (
        "WITH x AS (SELECT * FROM t WHERE id < ?) SELECT id + ? AS n, r FROM"
        " (PREDICT USING m OPTIONS (result_col=?) AS SELECT * FROM x WHERE id >= ?) AS p"
        " WHERE r LIKE ? LIMIT ?"
    )
    assert rows(connection, sql, [9, 100, "r", 5, "P%", 3]) == [
        (105, "P5"),
        (106, "P6"),
        (107, "P7"),
    ]
    named = (
        "SELECT id FROM (PREDICT USING m AS FROM t WHERE id < $n) WHERE predicted <> $p AND id < $n"
    )
    assert rows(connection, named, {"n": 3, "p": "P1"}) == [(0,), (2,)]


def test_two_cursors_take_turns(connection: Connection) -> None:
    one, other = connection.cursor(), connection.cursor()
    one.execute("PREDICT USING m AS FROM t WHERE id < 500")
    found = [one.fetchone()[0]]
    other.execute("PREDICT USING m AS FROM t WHERE id >= 500 AND id < 1000")
    beside = [other.fetchone()[0]]
    found += [row[0] for row in one.fetchmany(100)]
    assert rows(connection, "SELECT 1") == [(1,)]
    beside += [row[0] for row in other]
    found += [row[0] for row in one]
    assert found == list(range(500))
    assert beside == list(range(500, 1000))


def test_a_script_and_a_read_only_database(echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(tmp_path / "calls.db") as opened:
        publish_echo(opened, "m")
        opened.execute("CREATE TABLE t AS SELECT 'p' || i AS audio_path FROM range(200) r(i)")
    with thanosql_dbapi.connect(tmp_path / "calls.db", read_only=True) as opened:
        cursor = opened.execute("SELECT 1; PREDICT USING m AS FROM t")
        assert cursor.fetchone() == ("p0", "P0")
        assert len(echo.asked) <= 128
        assert len(cursor.fetchall()) == 199
    locked = {"lock_configuration": True}
    with thanosql_dbapi.connect(tmp_path / "calls.db", config=locked) as opened:
        assert len(rows(opened, "PREDICT USING m AS SELECT *, uuid() FROM t")) == 200


# --- the end, whichever it is ---------------------------------------------------------------


def test_a_cursor_that_is_closed_early_leaves_nothing(echo: Echo, connection: Connection) -> None:
    before = leftovers(connection)
    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    cursor.close()
    assert leftovers(connection) == before
    assert not connection._engine._to_undo
    seen = len(echo.asked)
    assert rows(connection, "SELECT 1") == [(1,)]
    assert len(echo.asked) == seen <= 256


def test_a_cursor_closed_early_within_a_transaction_does_not_end_it(
    echo: Echo, connection: Connection
) -> None:
    # The second batch is in work when the cursor is closed.
    echo.on_predict = lambda names: time.sleep(0.05)
    connection.begin()
    connection.execute("CREATE TABLE kept AS SELECT 5 AS x")
    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    cursor.close()
    assert rows(connection, "FROM kept") == [(5,)]
    connection.commit()
    assert rows(connection, "FROM kept") == [(5,)]


def test_the_rows_are_freed_with_the_result(connection: Connection) -> None:
    def held() -> int:
        gc.collect()
        return sum(type(found) is sources.SmallBatches for found in gc.get_objects())

    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    assert held() == 1
    cursor.fetchall()
    assert held() == 0


def test_a_file_that_fails_in_the_middle_ends_it_and_leaves_nothing(connection: Connection) -> None:
    before = leftovers(connection)
    sql = (
        "PREDICT USING m AS SELECT CASE id WHEN 700 THEN 'bad' ELSE audio_path END AS audio_path"
        " FROM t"
    )
    cursor = connection.execute(sql)
    assert cursor.fetchone() == ("p0", "P0")
    with pytest.raises(MediaError, match="^row 701: 'bad'"):
        cursor.fetchall()
    assert leftovers(connection) == before


def test_an_error_of_the_query_is_duckdbs(connection: Connection, plainly) -> None:
    sql = "PREDICT USING m AS SELECT *, CAST(id || 'x' AS INTEGER) AS n FROM t"
    with pytest.raises(thanosql_dbapi.Error) as streamed:
        rows(connection, sql)
    with plainly(), pytest.raises(thanosql_dbapi.Error) as plain:
        rows(connection, sql)
    assert type(streamed.value) is type(plain.value)
    assert str(streamed.value).splitlines()[0] == str(plain.value).splitlines()[0]
    connection.begin()
    with pytest.raises(thanosql_dbapi.Error):
        rows(connection, sql)
    connection.rollback()
    assert leftovers(connection) == ([], [("10.0 MiB",)], [(False,)])


def test_an_interrupt_stops_it_between_batches(echo: Echo, connection: Connection) -> None:
    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    echo.on_predict = lambda names: connection.interrupt()
    with pytest.raises(QueryInterrupted):
        cursor.fetchall()
    echo.on_predict = lambda names: None
    assert len(echo.asked) <= 512
    assert len(rows(connection, TEN_THOUSAND)) == 10_000


def test_an_interrupt_stops_the_reading_of_the_query(connection: Connection) -> None:
    before = leftovers(connection)
    endless = (
        "SELECT 'p' || i AS audio_path FROM range(100000000000) r(i) WHERE i % 10000000000 = 7"
    )
    timer = threading.Timer(0.3, connection.interrupt)
    timer.start()
    began = time.monotonic()
    with pytest.raises(QueryInterrupted):
        rows(connection, f"PREDICT USING m AS {endless}")
    assert time.monotonic() - began < 20
    timer.join()
    assert rows(connection, "SELECT 1") == [(1,)]
    assert leftovers(connection) == before


def test_a_function_in_the_query_does_not_number_the_rows(
    connection: Connection, tmp_path: Path
) -> None:
    (tmp_path / "p1").write_bytes(b"no audio")
    sql = (
        "PREDICT USING m AS SELECT CASE id WHEN 1 THEN 'bad' ELSE audio_path END AS audio_path"
        " FROM t WHERE id < 3 AND thanosql_audio_facts(NULL) IS NULL"
    )
    with pytest.raises(MediaError, match="^row 2: 'bad'"):
        rows(connection, sql)


def test_what_the_user_set_stays(connection: Connection) -> None:
    connection.execute("SET streaming_buffer_size = '2MiB'")
    connection.execute("SET arrow_lossless_conversion = true")
    before = leftovers(connection)
    assert len(rows(connection, "PREDICT USING m AS SELECT *, uuid() AS u FROM t LIMIT 9")) == 9
    assert leftovers(connection) == before


def test_no_view_of_ours_is_seen(connection: Connection) -> None:
    cursor = connection.execute(TEN_THOUSAND)
    cursor.fetchone()
    names = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    assert (SOURCE_VIEW,) not in rows(connection, names)
    assert len(cursor.fetchall()) == 9_999
