"""executemany: as Arrow or row by row, the table is the same; all rows or none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from thanosql_dbapi.bulk import execute_many
from thanosql_dbapi.engine import Engine

U = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


@pytest.fixture
def db() -> Iterator[Connection]:
    with thanosql_dbapi.connect() as opened:
        yield opened


@pytest.fixture
def arrow_inserts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that went the Arrow way."""
    taken: list[str] = []
    insert_rows = Engine.insert_rows

    def note(self: Engine, sql: str, rows: Any) -> int:
        taken.append(sql)
        return insert_rows(self, sql, rows)

    monkeypatch.setattr(Engine, "insert_rows", note)
    return taken


def table_after(table: str, sql: str, rows: Sequence[Any], *, each: bool) -> list[str]:
    """Return what `t` holds after an executemany, or after one execute a row."""
    with thanosql_dbapi.connect() as db:
        db.execute(table)
        if each:
            for row in rows:
                db.execute(sql, row)
        else:
            db.cursor().executemany(sql, rows)
        # Texts: NaN is NaN, and a float shows all its digits. ON CONFLICT has an order of its own.
        found = map(repr, db.execute("SELECT *, typeof(COLUMNS(*)) FROM t").fetchall())
        return sorted(found) if "ON CONFLICT" in sql else list(found)


# --- the same table either way --------------------------------------------------------------

T = dt.datetime(2020, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001
KST = dt.timezone(dt.timedelta(hours=9))
COLUMNS: dict[str, tuple[str, list[Any]]] = {
    "bool": ("BOOLEAN", [True, False, None]),
    "int": ("INTEGER", [1, -(2**31), 2**31 - 1, None]),
    "bigint": ("BIGINT", [1, 2**62, -(2**63)]),
    "ubigint": ("UBIGINT", [1, 2**64 - 1]),
    "hugeint": ("HUGEINT", [1, 2**100, -(2**126), None]),
    "uhugeint": ("UHUGEINT", [2**127, 1]),
    "float": ("DOUBLE", [1.5, float("inf"), -0.0, None]),
    "int into double": ("DOUBLE", [1, 2]),
    "mixed numbers": ("DOUBLE", [1, 2.5]),
    "mixed numbers into text": ("VARCHAR", [1, 2.5, "x", True, None]),
    "int into text": ("VARCHAR", [1, 2**40]),
    "bool and int into text": ("VARCHAR", [True, 1]),
    "huge into text": ("VARCHAR", [1, 2**100]),
    "float into text": ("VARCHAR", [1.0, 1e20, 0.1]),
    "text": ("VARCHAR", ["", "a", "한글 \x00", None]),
    "text into int": ("INTEGER", ["1", "2"]),
    "text into date": ("DATE", ["2020-01-02", None]),
    "text into json": ("JSON", ['{"a": 1}']),
    "text into enum": ("ENUM ('a', 'b')", ["a", "b"]),
    "blob": ("BLOB", [b"", b"\x00\xff", None]),
    "bytearray": ("BLOB", [bytearray(b"x")]),
    "none only": ("INTEGER", [None, None]),
    "date": ("DATE", [dt.date(2020, 2, 29), None]),
    "date and datetime": ("TIMESTAMP", [dt.date(2020, 2, 29), T]),
    "timestamp": ("TIMESTAMP", [T, None]),
    "timestamp into text": ("VARCHAR", [T, T.replace(microsecond=0)]),
    "timestamptz": ("TIMESTAMPTZ", [T.replace(tzinfo=dt.UTC), T.replace(tzinfo=KST)]),
    "timestamptz into text": ("VARCHAR", [T.replace(tzinfo=KST)]),
    "naive and aware": ("TIMESTAMPTZ", [T, T.replace(tzinfo=KST)]),
    "time": ("TIME", [dt.time(1, 2, 3, 456), None]),
    "timetz": ("TIMETZ", [dt.time(1, 2, tzinfo=KST)]),
    "timetz into text": ("VARCHAR", [dt.time(1, 2, tzinfo=KST), dt.time(1, 2)]),
    "interval": ("INTERVAL", [dt.timedelta(days=3, hours=30), -dt.timedelta(microseconds=1), None]),
    "interval into text": ("VARCHAR", [dt.timedelta(days=3, hours=30), dt.timedelta(hours=-1)]),
    "decimal": ("DECIMAL(10, 2)", [Decimal("1.25"), Decimal("2.5"), None]),
    "decimal into text": ("VARCHAR", [Decimal("1.25"), Decimal("2.5"), Decimal(10)]),
    "decimal of one scale into text": ("VARCHAR", [Decimal("1.25"), Decimal("-22.50")]),
    "decimal nan": ("DOUBLE", [Decimal("NaN"), Decimal("1.5")]),
    "decimal exponent": ("VARCHAR", [Decimal("1E+3")]),
    "uuid": ("UUID", [U, None]),
    "uuid into text": ("VARCHAR", [U]),
    "uuid and text": ("UUID", [U, str(U)]),
    "list": ("INTEGER[]", [[1, 2], [], [None], None]),
    "floats": ("FLOAT[3]", [[1.0, 2.0, 3.0]]),
    "list into text": ("VARCHAR", [[1], [1.5], ["x"]]),
    "mixed list into text": ("VARCHAR", [[1, 1.5]]),
    "empty lists": ("INTEGER[]", [[], []]),
    "tuple": ("INTEGER[]", [(1, 2)]),
    "nested list": ("INTEGER[][]", [[[1], []]]),
    "struct": ("STRUCT(a INT, b INT)", [{"a": 1, "b": 2}, {"a": 3, "b": None}]),
    "structs into text": ("VARCHAR", [{"a": 1}, {"b": 2}]),
    "map": ("MAP(VARCHAR, INT)", [{"key": ["a"], "value": [1]}]),
    "maps": (
        "MAP(VARCHAR, INT)",
        [{"key": ["a", "b"], "value": [1, None]}, None, {"key": [], "value": []}],
    ),
    "maps in another order": ("MAP(INT, VARCHAR)", [{"value": [1], "key": ["a"]}]),
    "maps of lists": ("MAP(VARCHAR, INT[])", [{"key": ["a"], "value": [[1, 2]]}]),
    "maps by lists": ("MAP(INT[], INT)", [{"key": [[1]], "value": [2]}]),
    "no maps but structs": ('STRUCT("key" INT, "value" INT)', [{"key": 1, "value": 2}]),
    "uneven structs": ('STRUCT("key" INT[], "value" INT[])', [{"key": [1], "value": [2, 3]}]),
    "empty dicts": ("MAP(VARCHAR, INT)", [{}, {}]),
    "structs of structs": (
        "STRUCT(a STRUCT(b INT[], c VARCHAR), d DOUBLE)",
        [{"a": {"b": [1, None], "c": "x"}, "d": 1.5}, {"a": None, "d": None}, None],
    ),
    "structs in a list": ("STRUCT(a INT)[]", [[{"a": 1}, None], [], None, [{"a": 2}]]),
    "structs of mixed numbers": ("STRUCT(a DOUBLE)", [{"a": 1}, {"a": 2.5}]),
    "structs of other orders": ("STRUCT(a INT, b INT)", [{"a": 1, "b": 2}, {"b": 3, "a": 4}]),
    "structs of other names": ("STRUCT(a INT, b INT)", [{"a": 1}, {"a": 2, "b": 3}]),
    "structs of uuids": ("STRUCT(a UUID)", [{"a": U}]),
    "structs into json": ("JSON", [{"a": [{"b": "x"}]}, {"a": [{"b": None}]}]),
    "uuids in a list": ("UUID[]", [[U, None], None, [U]]),
    "huge integers in a list": ("HUGEINT[]", [[1, 2**100], []]),
    "dates in lists of lists": ("DATE[][]", [[[dt.date(2020, 2, 29)], None], []]),
    "lists of numbers and lists": ("VARCHAR", [[1], [[1]]]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_each_type_gives_the_same_table(column: str) -> None:
    kind, values = COLUMNS[column]
    table, sql = f"CREATE TABLE t (v {kind})", "INSERT INTO t VALUES (?)"
    rows = [(value,) for value in values]
    expected = table_after(table, sql, rows, each=True)
    assert table_after(table, sql, rows, each=False) == expected
    assert len(expected) == len(values)


ROWS = [(i, f"w{i}") for i in range(5)]
NAMED = [{"id": i, "word": f"w{i}"} for i in range(5)]
KEYED = "CREATE TABLE t (id INT PRIMARY KEY, word TEXT DEFAULT 'none', n INT DEFAULT 7)"
HELD = f"{KEYED}; INSERT INTO t VALUES (3, 'old', 0)"

BY_ARROW: list[tuple[str, str, Sequence[Any]]] = [
    (KEYED, "INSERT INTO t (id, word) VALUES (?, ?)", ROWS),
    (KEYED, "insert into t(word, id) values ($2, $1)", ROWS),
    (KEYED, "INSERT INTO t (id, word, n) VALUES ($1, $2, $1)", ROWS),
    (KEYED, "INSERT INTO t (id, word) VALUES ($id, $word)", NAMED),
    (KEYED, "INSERT INTO t (id, word) VALUES ($id, $word || $word)",
     [{"word": "b", "id": 1}, {"id": 2, "word": "a"}]),
    (KEYED, "INSERT INTO t VALUES (? + 1, upper(?) || '?', 5)", ROWS),
    (KEYED, "INSERT INTO t VALUES (?::INT * 2, concat(?, ' -- ', 'VALUES (?)'), NULL)", ROWS),
    (KEYED, "INSERT INTO t (id, word) VALUES (?, CASE WHEN ? = 'w1' THEN 'one' ELSE 'many' END)",
     ROWS),
    (KEYED, "INSERT INTO t (id, word) VALUES (/* first ? */ ?, -- second )\n ? -- end\n)", ROWS),
    (KEYED, "-- VALUES (?)\nINSERT /* ? */ INTO t (id, word) VALUES (?, ?) -- ?", ROWS),
    (KEYED, " INSERT INTO t (id, word) VALUES (?, ?) ; ", ROWS),
    (KEYED, 'INSERT INTO "memory"."main".T ("id", "word") VALUES (?, ?)', ROWS),
    (KEYED, "INSERT INTO main.t AS x (id, word) VALUES (?, ?)", ROWS),
    (HELD, "INSERT INTO t (id, word) VALUES (?, ?) ON CONFLICT DO NOTHING", ROWS),
    (HELD, "INSERT INTO t (id, word) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
     [*ROWS, *ROWS]),
    ("CREATE SEQUENCE s; CREATE TABLE t (n INT DEFAULT nextval('s'), id INT)",
     "INSERT INTO t (id) VALUES (?)", [(i,) for i in range(5000)]),
    ("CREATE SEQUENCE s; CREATE TABLE t (n INT, id INT)",
     "INSERT INTO t VALUES (nextval('s'), ?)", [(i,) for i in range(3000)]),
]  # fmt: skip

ROW_BY_ROW: list[tuple[str, str, Sequence[Any]]] = [
    (HELD, "INSERT INTO t (id, word) VALUES (?, ?) ON CONFLICT DO UPDATE SET word = excluded.word",
     [*ROWS, (2, "again")]),
    (HELD, "INSERT INTO t (id, word) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = $1", ROWS),
    (HELD, "INSERT OR REPLACE INTO t (id, word) VALUES (?, ?)", [*ROWS, (2, "again")]),
    (HELD, "INSERT OR IGNORE INTO t (id, word) VALUES (?, ?)", [*ROWS, (2, "again")]),
    (KEYED, "INSERT INTO t VALUES (?, DEFAULT, DEFAULT)", [(1,), (2,)]),
    (KEYED, "INSERT INTO t (id, word) SELECT ?, ?", ROWS),
    (KEYED, "INSERT INTO t (id, word) VALUES (?, ?), (100 + $1, 'x')", ROWS),
    (KEYED, "INSERT INTO t (id, word) VALUES ((SELECT count(*) FROM t WHERE id > $1 - 9), $2)",
     ROWS),
    (KEYED, "WITH a AS (SELECT 1) INSERT INTO t (id, word) VALUES (?, ?)", ROWS),
    (HELD, "UPDATE t SET word = $2 WHERE id = $1", ROWS),
    (HELD, "DELETE FROM t WHERE id = ? OR word = ?", ROWS),
]  # fmt: skip


@pytest.mark.parametrize(("table", "sql", "rows"), BY_ARROW)
def test_inserts_by_arrow_give_the_same_table(
    arrow_inserts: list[str], table: str, sql: str, rows: Sequence[Any]
) -> None:
    found = table_after(table, sql, rows, each=False)
    assert found == table_after(table, sql, rows, each=True)
    assert len(arrow_inserts) == 1


@pytest.mark.parametrize(("table", "sql", "rows"), ROW_BY_ROW)
def test_other_statements_run_row_by_row(
    arrow_inserts: list[str], table: str, sql: str, rows: Sequence[Any]
) -> None:
    if "VALUES (?, ?), (100 + $1" in sql:
        sql = sql.replace("(?, ?)", "($1, $2)")
    found = table_after(table, sql, rows, each=False)
    assert found == table_after(table, sql, rows, each=True)
    assert arrow_inserts == []


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(1 - 2**127, 2**127 - 1), st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5),
    st.binary(max_size=5), st.dates(), st.timedeltas(dt.timedelta(-99), dt.timedelta(99)),
    st.datetimes(dt.datetime(1900, 1, 1)), st.times(), st.uuids(),  # noqa: DTZ001
    # From 1 on: DuckDB 2.0 writes 0.25 as .25 and 0.05 as 0.05 where each comes alone.
    st.decimals(1, 1000, places=2), st.lists(st.integers(0, 9), max_size=3),
    st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.none() | st.text("xy", max_size=2)}),
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_values_become_the_same_texts(values: list[Any]) -> None:
    table, sql = "CREATE TABLE t (v VARCHAR)", "INSERT INTO t VALUES (?)"
    rows = [(value,) for value in values]
    assert table_after(table, sql, rows, each=False) == table_after(table, sql, rows, each=True)


# --- forms of input, and the count ----------------------------------------------------------


def test_rows_are_counted(db: Connection) -> None:
    db.execute(KEYED)
    cursor = db.cursor().executemany("INSERT INTO t (id, word) VALUES (?, ?)", ROWS)
    assert (cursor.rowcount, cursor.description) == (5, None)
    with pytest.raises(ProgrammingError):
        cursor.fetchall()
    sql = "INSERT INTO t (id, word) VALUES (?, ?) ON CONFLICT DO NOTHING"
    assert db.cursor().executemany(sql, [*ROWS, (9, "nine")]).rowcount == 1
    assert db.cursor().executemany("DELETE FROM t WHERE id = ?", [(0,), (1,), (77,)]).rowcount == 2
    assert db.cursor().executemany("UPDATE t SET n = ?", [(0,), (1,)]).rowcount == 8


@pytest.mark.parametrize("rows", [[], (), iter(())])
def test_no_rows_change_nothing(db: Connection, rows: Any) -> None:
    db.execute(KEYED)
    assert db.cursor().executemany("INSERT INTO t VALUES (?, ?, ?)", rows).rowcount == 0
    assert db.execute("FROM t").fetchall() == []


def test_rows_come_from_generators_lists_and_mappings(db: Connection) -> None:
    db.execute(KEYED)
    sql = "INSERT INTO t (id, word) VALUES (?, ?)"
    cursor = db.cursor()
    cursor.executemany(sql, ((i, "g") for i in range(3)))
    cursor.executemany(sql, [[3, "l"], (4, "l")])
    cursor.executemany("INSERT INTO t (id, word) VALUES ($id, $word)", ({"id": 5, "word": "m"},))
    assert db.execute("SELECT id FROM t ORDER BY id").fetchall() == [(i,) for i in range(6)]


def test_many_rows_keep_their_order(db: Connection) -> None:
    db.execute("CREATE SEQUENCE s; CREATE TABLE t (id BIGINT DEFAULT nextval('s'), v BIGINT)")
    rows = [(i,) for i in range(300_000)]
    assert db.cursor().executemany("INSERT INTO t (v) VALUES (?)", rows).rowcount == 300_000
    assert db.execute("SELECT count(*) FROM t WHERE id <> v + 1").fetchall() == [(0,)]


def test_unread_rows_of_another_cursor_stay(db: Connection) -> None:
    db.execute(KEYED)
    other = db.execute("FROM range(10000)")
    other.fetchone()
    db.cursor().executemany("INSERT INTO t (id, word) VALUES (?, ?)", ROWS)
    assert len(other.fetchall()) == 9999


def test_the_relation_of_rows_goes_with_the_statement(db: Connection) -> None:
    db.execute(KEYED)
    db.cursor().executemany("INSERT INTO t (id, word) VALUES (?, ?)", ROWS)
    with pytest.raises(ProgrammingError):
        db.execute("FROM __thanosql_rows")
    assert db.execute("LIST TABLE").fetchall() == [("t",)]


# --- errors ---------------------------------------------------------------------------------

FAILING = [
    ("INSERT INTO t (id, word) VALUES (?, ?)", [(1, "a"), (2, "b"), (1, "c")], IntegrityError),
    ("INSERT INTO t (id, word) VALUES (?, ?)", [("1", "a"), ("x", "b")], DataError),
    ("INSERT INTO t (id, word) VALUES (?, ?)", [(1, "a"), ("x", "b")], DataError),
    ("INSERT OR IGNORE INTO t (id, word) VALUES (?, ?)", [(1, "a"), ("x", "b")], DataError),
    ("INSERT INTO t (id, word) VALUES (?, ?)", [(1, "a"), (object(), "b")], NotSupportedError),
    ("INSERT INTO t (id, word) VALUES (?, ?)", [(1, "a"), (2, "\ud800")], ProgrammingError),
    ("INSERT INTO t (id, word) VALUES (?, ?)", [(1, "a"), (2**100, "b")], DataError),
    ("UPDATE t SET n = $1::INT WHERE id = 50 OR word = $2", [("1", "a"), ("x", "b")], DataError),
]


@pytest.mark.parametrize(("sql", "rows", "error"), FAILING)
@pytest.mark.parametrize("mode", ["autocommit", "transaction", "implicit"])
def test_a_failing_row_takes_the_whole_batch_along(
    db: Connection, sql: str, rows: Sequence[Any], error: type[Exception], mode: str
) -> None:
    db.execute(f"{KEYED}; INSERT INTO t VALUES (50, 'kept', 0)")
    if mode == "transaction":
        db.begin()
        db.execute("INSERT INTO t (id) VALUES (51)")
    elif mode == "implicit":
        db.autocommit = False
    with pytest.raises(error):
        db.cursor().executemany(sql, rows)
    if mode != "autocommit":
        with pytest.raises(thanosql_dbapi.OperationalError, match="aborted"):
            db.execute("SELECT 1")
        db.rollback()
    assert db.execute("FROM t").fetchall() == [(50, "kept", 0)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (?, ?, 1); INSERT INTO t VALUES (?, ?, 1)",
        "INSERT INTO t VALUES (?, ?, 1); DROP TABLE t",
        "",
        "-- nothing",
    ],
)
@pytest.mark.parametrize("rows", [ROWS, []])
def test_one_statement_is_wanted(db: Connection, sql: str, rows: Sequence[Any]) -> None:
    db.execute(KEYED)
    with pytest.raises(ProgrammingError, match="one statement"):
        db.cursor().executemany(sql, rows)
    assert db.execute("FROM t").fetchall() == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "a"), (2,)], "row 2"),
        ([(1, "a"), (2, "b"), (3, "c", 4)], "row 3"),
        ([(1, "a"), {"id": 1, "word": "x"}], "row 2"),
        ([{"id": 1, "word": "x"}, {"id": 1, "wort": "x"}], "row 2.*wort"),
        ([(1, "a"), 5], "row 2"),
        ([(1, "a"), "ab"], "row 2"),
    ],
)
def test_a_row_of_another_shape_is_named(db: Connection, rows: Sequence[Any], message: str) -> None:
    db.execute(KEYED)
    sql = "INSERT INTO t (id, word) VALUES (?, ?)"
    if isinstance(rows[0], Mapping):
        sql = "INSERT INTO t (id, word) VALUES ($id, $word)"
    with pytest.raises(ProgrammingError, match=message):
        db.cursor().executemany(sql, rows)
    assert db.execute("FROM t").fetchall() == []


@pytest.mark.parametrize("rows", [[(1,)], [(1, 2, 3)], [{"id": 1}], [()]])
def test_a_number_of_parameters_that_the_statement_has_not(
    db: Connection, rows: Sequence[Any]
) -> None:
    db.execute(KEYED)
    with pytest.raises(ProgrammingError):
        db.cursor().executemany("INSERT INTO t (id, word) VALUES (?, ?)", rows)
    assert db.execute("FROM t").fetchall() == []


@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT ? AS audio_path",
        "BUILD MODEL x USING Echo AS SELECT ? AS audio_path",
        "INSERT INTO t PREDICT USING m AS SELECT ? AS audio_path",
        "DELETE MODEL m; DELETE MODEL m",
    ],
)
def test_model_statements_are_not_run_many_times(connection: Connection, sql: str) -> None:
    with pytest.raises(NotSupportedError, match="executemany takes plain SQL"):
        connection.cursor().executemany(sql, [("a",)])
    assert connection.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("m",)]


def test_a_syntax_error_is_found_without_rows(db: Connection) -> None:
    with pytest.raises(ProgrammingError, match="syntax"):
        db.cursor().executemany("INSRT INTO t VALUES (?)", [])
    assert execute_many("CREATE TABLE t (a INT)", [], db._engine) is None


def test_rows_may_refer_to_rows_before_them(db: Connection, arrow_inserts: list[str]) -> None:
    db.execute("CREATE TABLE Tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree (id))")
    rows = [(1, None), (2, 1), (3, 2)]
    db.cursor().executemany("INSERT INTO main.tree VALUES (?, ?)", rows)
    assert db.execute("FROM tree").fetchall() == rows
    assert arrow_inserts == []
    db.execute("CREATE TABLE t (a INTEGER)")
    db.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    assert len(arrow_inserts) == 1


@pytest.mark.parametrize("keeps_order", [True, False])
def test_what_returning_returns_is_in_the_order_of_the_parameters(
    db: Connection, arrow_inserts: list[str], keeps_order: bool
) -> None:
    db.execute("CREATE SEQUENCE s; CREATE TABLE t (id INT DEFAULT nextval('s'), word TEXT)")
    db.execute(f"SET preserve_insertion_order = {keeps_order}")
    words = [(f"w{i * 7919 % 3000}",) for i in range(300)]
    cursor = db.cursor().executemany("INSERT INTO t (word) VALUES (?) RETURNING id, word", words)
    assert [column.name for column in cursor.description or ()] == ["id", "word"]
    assert cursor.fetchmany(1) == [(1, "w0")]
    assert cursor.fetchall() == [(i, word) for i, (word,) in enumerate(words, 1)][1:]
    assert len(arrow_inserts) == keeps_order


CONFLICT = "ON CONFLICT (id) DO UPDATE SET word = excluded.word, n = t.n + 1"
UPSERTS = [
    ("INT", [(1, "a"), (3, "b"), (9, "c")], True),
    ("INT", [(1, "a"), (3, "b"), (1, "c")], False),
    ("DATE", [("2020-01-01", "a"), ("2020-01-02", "b")], True),
    ("DATE", [("2020-01-01", "a"), ("2020-01-01 ", "b")], False),
    ("INT", [(1.2, "a"), (1.4, "b")], False),
    ("INT", [(1, "a")] * 3, False),
]


@pytest.mark.parametrize(("kind", "rows", "at_once"), UPSERTS)
@pytest.mark.parametrize("returning", ["", " RETURNING id, word"])
def test_upserts_go_at_once_where_each_key_is_there_once(
    arrow_inserts: list[str], kind: str, rows: Sequence[Any], at_once: bool, returning: str
) -> None:
    table = f"CREATE TABLE t (id {kind} PRIMARY KEY, word TEXT, n INT DEFAULT 0)"
    if kind == "INT":
        table += "; INSERT INTO t VALUES (1, 'old', 5)"
    sql = f"INSERT INTO main.t (id, word) VALUES (?, ?) {CONFLICT}{returning}"
    found = table_after(table, sql, rows, each=False)
    assert found == table_after(table, sql, rows, each=True)
    # What an upsert returns has an order of DuckDB's own.
    assert len(arrow_inserts) == (at_once and not returning)


def test_keys_of_two_columns_are_compared_as_pairs(
    db: Connection, arrow_inserts: list[str]
) -> None:
    db.execute('CREATE TABLE t ("a b" INT, b TEXT, n INT, PRIMARY KEY ("a b", b))')
    sql = (
        'INSERT INTO t ("a b", b, n) VALUES ($1, $2, $3)'
        ' ON CONFLICT ("a b", b) DO UPDATE SET n = excluded.n'
    )
    db.cursor().executemany(sql.replace("$1, $2, $3", "?, ?, ?"), [(1, "x", 1), (1, "y", 2)])
    assert len(arrow_inserts) == 1
    db.cursor().executemany(sql, [(1, "x", 3), (1, "x", 4)])
    assert len(arrow_inserts) == 1
    assert sorted(db.execute("FROM t").fetchall()) == [(1, "x", 4), (1, "y", 2)]


@pytest.mark.parametrize(
    "column", ["struct", "maps", "structs of structs", "structs in a list", "uuids in a list"]
)
def test_nested_values_go_at_once(db: Connection, arrow_inserts: list[str], column: str) -> None:
    kind, values = COLUMNS[column]
    db.execute(f"CREATE TABLE t (v {kind})")
    db.cursor().executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    assert len(arrow_inserts) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [(3, "h"), (1, "a"), (2, "h")],
        [(1, "a"), (3, "a"), (3, "c")],
    ],
)
@pytest.mark.parametrize("key", ["v TEXT UNIQUE)", "v TEXT); CREATE UNIQUE INDEX i ON t (v)"])
def test_of_rows_that_conflict_by_several_keys_the_first_stays(
    rows: Sequence[Any], key: str
) -> None:
    table = f"CREATE TABLE t (id INT PRIMARY KEY, {key}"
    sql = "INSERT INTO t VALUES (?, ?) ON CONFLICT DO NOTHING"
    assert table_after(table, sql, rows, each=False) == table_after(table, sql, rows, each=True)


def test_conflicts_return_in_the_order_of_the_parameters(db: Connection) -> None:
    db.execute("CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t VALUES (5, 'old')")
    for action in ("DO NOTHING", "DO UPDATE SET v = excluded.v"):
        rows = [(i, action) for i in (9, 7, 8)]
        sql = f"INSERT INTO t VALUES (?, ?) ON CONFLICT (id) {action} RETURNING id"
        found = db.cursor().executemany(sql, rows).fetchall()
        assert found == [(9,), (7,), (8,)]
        db.execute("DELETE FROM t WHERE id > 5")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (v) VALUES (?) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
        "-- SELECT rows\nINSERT INTO t (v) VALUES (?) ON CONFLICT (v) DO UPDATE SET v = excluded.v",
        'INSERT INTO "SELECT x" (v) VALUES (?) ON CONFLICT (v) DO UPDATE SET v = excluded.v',
    ],
)
def test_an_upsert_is_checked_for_what_it_says(db: Connection, sql: str) -> None:
    name = '"SELECT x"' if "SELECT x" in sql else "t"
    db.execute(
        f"CREATE SEQUENCE s; CREATE TABLE {name}"
        " (id INT DEFAULT nextval('s') PRIMARY KEY, v TEXT UNIQUE)"
    )
    db.cursor().executemany(sql, [("a",), ("b",)])
    assert db.execute(f"SELECT v FROM {name} ORDER BY id").fetchall() == [("a",), ("b",)]


def test_decimals_too_long_for_arrow_go_one_by_one() -> None:
    rows = [(Decimal("1" * 39 + ".5"),), (Decimal("1.5"),)]
    table, sql = "CREATE TABLE t (v DOUBLE)", "INSERT INTO t VALUES (?)"
    assert table_after(table, sql, rows, each=False) == table_after(table, sql, rows, each=True)


NUMBERS = {
    "scales": [Decimal("1.25"), Decimal("2.5"), None, Decimal(10), Decimal("-0.125")],
    "integers and floats": [1, 2.5, None, -3, 1e15],
    "integers and decimals": [1, Decimal("2.5"), Decimal("0.005"), 2**31],
    "long decimals": [Decimal("12345678901234567.1"), Decimal("0.12345")],
    "integers too long for a float": [2**53 + 1, 0.5],
    "floats and decimals": [0.5, Decimal("0.25")],
    "no numbers": [Decimal("1.5"), Decimal("NaN")],
    "exponents": [Decimal("1E+3"), Decimal("1.5")],
}


@pytest.mark.parametrize(
    "kind", ["DECIMAL(18,4)", "DECIMAL(9,1)", "DOUBLE", "FLOAT", "BIGINT", "VARCHAR"]
)
@pytest.mark.parametrize("values", NUMBERS)
def test_numbers_of_several_kinds_become_what_each_becomes_alone(kind: str, values: str) -> None:
    def outcome(*, each: bool) -> object:
        try:
            sql = "INSERT INTO t (v, k) VALUES (?, ?)"
            table = f"CREATE TABLE t (k INT, v {kind})"
            return table_after(table, sql, [(v, 1) for v in NUMBERS[values]], each=each)
        except thanosql_dbapi.Error as error:
            return type(error)

    assert outcome(each=False) == outcome(each=True)


@pytest.mark.parametrize(
    ("sql", "kind", "values", "at_once"),
    [
        ("INSERT INTO t VALUES (?)", "DECIMAL(18,4)", "scales", True),
        ("INSERT INTO main.t (v) VALUES ($v)", "DOUBLE", "integers and floats", True),
        ("INSERT INTO t VALUES (?)", "DOUBLE", "scales", True),
        ("INSERT INTO t VALUES (?)", "VARCHAR", "scales", False),
        ("INSERT INTO t VALUES (? + 0)", "DOUBLE", "scales", False),
        ("INSERT INTO t VALUES (?)", "DOUBLE", "long decimals", False),
    ],
)
def test_numbers_of_several_kinds_go_at_once_into_numbers(
    db: Connection, arrow_inserts: list[str], sql: str, kind: str, values: str, at_once: bool
) -> None:
    db.execute(f"CREATE TABLE t (v {kind})")
    named = "$v" in sql
    rows: list[Any] = [{"v": v} if named else (v,) for v in NUMBERS[values]]
    db.cursor().executemany(sql, rows)
    assert len(arrow_inserts) == at_once
