"""pandas, polars and others on a driver connection: the ADBC door, and Arrow's own protocol.

The oracles are DuckDB's `.df()` for what a frame holds, and DuckDB's ADBC driver for its calls.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import unittest.mock
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_duckdb.dbapi
import adbc_driver_manager.dbapi
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, DataError, InterfaceError, ProgrammingError

PREDICT = "PREDICT USING m AS SELECT id, audio_path FROM t WHERE id < 3"


@pytest.fixture
def db() -> Iterator[Connection]:
    with thanosql_dbapi.connect() as opened:
        yield opened


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


# --- whom pandas takes for an ADBC connection -----------------------------------------------


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_adbc_is_not_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys, thanosql_dbapi; c = thanosql_dbapi.connect(); c.execute('SELECT 1');"
        " isinstance(c, int); print('adbc_driver_manager' in sys.modules);"
        " from adbc_driver_manager.dbapi import Connection; print(isinstance(c, Connection));"
        " c.close()"
    )
    assert fresh(code) == "False\nTrue\n"


def test_only_connections_are_adbc_connections(db: Connection) -> None:
    class Other(Connection):
        pass

    adbc = adbc_driver_manager.dbapi.Connection
    assert isinstance(db, adbc)
    assert isinstance(db, adbc)
    assert issubclass(Connection, adbc)
    assert isinstance(Other(db._engine, db._session), adbc)
    assert isinstance(db, Connection)
    assert not isinstance(db, (adbc_driver_manager.dbapi.Cursor, str))
    assert not any(isinstance(other, adbc) for other in (db.cursor(), object(), duckdb.connect()))


def test_the_class_is_otherwise_as_ever(db: Connection) -> None:
    assert type(db) is db.__class__ is Connection
    assert Connection.__class__ is type
    assert copy.copy(db).__class__ is Connection
    assert repr(db).startswith("<thanosql_dbapi.connection.Connection object")
    stand_in = unittest.mock.create_autospec(db, instance=True)
    assert isinstance(stand_in, Connection)
    with pytest.raises(AttributeError):
        stand_in.no_such_name  # noqa: B018 - to read it is the test


def test_without_adbc_pandas_reads_rows(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_manager", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_manager.dbapi", None)
    with pytest.warns(UserWarning, match="only supports SQLAlchemy"):
        frame = pd.read_sql("SELECT ? + i AS v FROM range(3) r(i)", db, params=[1])
    assert frame["v"].tolist() == [1, 2, 3]


# --- pandas reads ---------------------------------------------------------------------------

TEXT_AND_TIME = (
    "SELECT i, i / 2 AS f, 'x' || i AS s, TIMESTAMP '2024-01-01' + INTERVAL (i) SECOND AS at"
    " FROM range(3000) r(i)"
)


def test_read_sql_gives_duckdbs_own_frame(db: Connection) -> None:
    expected = db.execute(TEXT_AND_TIME).fetch_df()
    found = pd.read_sql(TEXT_AND_TIME, db)
    pd.testing.assert_frame_equal(found, expected)
    assert [str(t) for t in found.dtypes] == ["int64", "float64", "str", "datetime64[us]"]


@pytest.mark.parametrize(
    ("expression", "numpy", "pyarrow", "nullable"),
    [
        ("i % 2 = 0", "bool", "bool[pyarrow]", "boolean"),
        ("i::TINYINT", "int8", "int8[pyarrow]", "Int8"),
        ("i", "int64", "int64[pyarrow]", "Int64"),
        ("nullif(i, 0)", "float64", "int64[pyarrow]", "Int64"),
        ("i::UBIGINT", "uint64", "uint64[pyarrow]", "UInt64"),
        ("i::FLOAT", "float32", "float[pyarrow]", "Float32"),
        ("i / 3", "float64", "double[pyarrow]", "Float64"),
        ("i * 0.5", "double[pyarrow]", "decimal128(21, 1)[pyarrow]", "double[pyarrow]"),
        ("i::HUGEINT", "double[pyarrow]", "decimal128(38, 0)[pyarrow]", "double[pyarrow]"),
        ("sum(i) OVER ()", "double[pyarrow]", "decimal128(38, 0)[pyarrow]", "double[pyarrow]"),
        ("'x' || i", "str", "string[pyarrow]", "string"),
        ("uuid()", "str", "string[pyarrow]", "string"),
        ("'{}'::JSON", "str", "string[pyarrow]", "string"),
        ("'a'::ENUM ('a')", "category", None, "category"),
        ("'2020-01-01'::TIMESTAMP_NS", "datetime64[ns]", "timestamp[ns][pyarrow]", None),
        ("'2020-01-01 00:00+00'::TIMESTAMPTZ", "datetime64[us, UTC]", None, None),  # by pandas
        ("DATE '2020-01-01'", "object", "date32[day][pyarrow]", "object"),
        ("TIME '01:02:03'", "object", "time64[us][pyarrow]", "object"),
        ("[i, NULL]", "object", "list<l: int64>[pyarrow]", "object"),
        ("{'a': i}", "object", "struct<a: int64>[pyarrow]", "object"),
        ("INTERVAL '1 day'", "object", "month_day_nano_interval[pyarrow]", "object"),
        ("'b'::BLOB", "object", "binary[pyarrow]", "object"),
    ],
)
def test_types_arrive_as_pandas_has_them(
    db: Connection, expression: str, numpy: str, pyarrow: str | None, nullable: str | None
) -> None:
    db.execute("SET TimeZone = 'Asia/Seoul'")
    sql = f"SELECT {expression} AS v FROM range(3) r(i)"
    assert str(pd.read_sql(sql, db)["v"].dtype) == numpy
    if pyarrow:
        assert str(pd.read_sql(sql, db, dtype_backend="pyarrow")["v"].dtype) == pyarrow
    if nullable:
        assert str(pd.read_sql(sql, db, dtype_backend="numpy_nullable")["v"].dtype) == nullable


def test_decimals_stay_exact_in_arrow_and_are_numbers_in_pandas(db: Connection) -> None:
    sql = "SELECT 1.10::DECIMAL(5, 2) AS d, 2::HUGEINT AS h, 'x' AS s UNION ALL SELECT NULL, 3, ''"
    table = db.execute(sql).fetch_arrow_table()
    assert table["d"].to_pylist() == [Decimal("1.10"), None]
    frame = table.to_pandas()
    assert frame["d"].sum() == pytest.approx(1.1)
    assert frame["h"].tolist() == [2, 3]
    assert frame["d"].isna().tolist() == [False, True]
    assert table.to_pandas(ignore_metadata=True)["d"].tolist() == [Decimal("1.10"), None]
    assert table.rename_columns(["a", "b", "c"]).to_pandas()["a"][0] == Decimal("1.10")
    batches = db.execute("SELECT 1.10 AS d FROM range(10)").fetch_record_batch(5)
    assert [str(batch.to_pandas()["d"].dtype) for batch in batches] == ["double[pyarrow]"] * 2


def test_columns_of_one_name_are_left_to_pandas(db: Connection) -> None:
    assert db.execute("SELECT 1.5 AS a, 'x' AS a").fetch_arrow_table().schema.metadata is None
    frame = db.execute("SELECT 1.5 AS a, true AS a").fetch_arrow_table().to_pandas()
    assert frame.to_numpy().tolist() == [[Decimal("1.5"), True]]


@pytest.mark.parametrize("value", [2**127, 2**128 - 1])
def test_a_uhugeint_that_arrow_would_turn_negative_is_refused(db: Connection, value: int) -> None:
    sql = f"SELECT 1::UHUGEINT AS small, '{value}'::UHUGEINT AS big"
    with pytest.raises(DataError, match="column 'big'"):
        db.execute(sql).fetch_arrow_table()
    with pytest.raises(DataError, match="column 'big'"):
        db.execute(sql).fetch_record_batch()
    assert rows(db, sql) == [(1, value)]


def test_read_sql_knows_indexes_dates_and_tables(db: Connection) -> None:
    db.execute("""CREATE TABLE "odd ""name" AS SELECT 1 AS a, '2020-01-02' AS d""")
    frame = pd.read_sql('odd "name', db, index_col="a", parse_dates=["d"])
    assert (frame.index.name, str(frame["d"].dtype)) == ("a", "datetime64[us]")
    assert pd.read_sql_table('odd "name', db, columns=["d"]).to_numpy().tolist() == [["2020-01-02"]]
    assert pd.read_sql("SELECT 1 AS a", db, dtype={"a": "float32"})["a"].dtype == "float32"
    with pytest.raises(ProgrammingError):
        pd.read_sql("SELECT * FROM nowhere", db)


def test_read_sql_runs_model_statements(connection: Connection, echo: Echo) -> None:
    expected = pd.DataFrame({"id": [0, 1, 2], "predicted": ["P0", "P1", "P2"]})
    frame = pd.read_sql(PREDICT, connection)
    pd.testing.assert_frame_equal(frame[["id", "predicted"]], expected)
    assert str(frame["predicted"].dtype) == "str"
    echo.asked.clear()
    frame = pd.read_sql(f"SELECT id, predicted FROM ({PREDICT}) LIMIT 2", connection)
    pd.testing.assert_frame_equal(frame, expected.head(2))
    assert sorted(echo.asked) == ["p0", "p1"]
    assert pd.read_sql("LIST MODEL", connection)["name"].tolist() == ["m"]


def test_pandas_takes_neither_parameters_nor_chunks_here(db: Connection) -> None:
    for refused in ({"params": [1]}, {"chunksize": 2}):
        with pytest.raises(NotImplementedError, match="ADBC"):
            pd.read_sql("SELECT 1", db, **refused)  # type: ignore[call-overload]
    frame = db.execute("SELECT ? AS a", [1]).fetch_df()
    assert frame["a"].tolist() == [1]
    chunks = db.execute("SELECT * FROM range(5)").fetch_record_batch(2)
    assert [len(batch.to_pandas()) for batch in chunks] == [2, 2, 1]


def test_read_sql_loses_no_rows_of_other_cursors(db: Connection) -> None:
    cursor = db.execute("SELECT i FROM range(20000) r(i)")
    assert cursor.fetchone() == (0,)
    assert len(pd.read_sql("SELECT * FROM range(7)", db)) == 7
    assert len(cursor.fetchall()) == 19_999


# --- pandas writes --------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {"n": [1, 2], "s": ["a", None], "at": pd.to_datetime(["2020-01-01", None]), "f": [0.5, 1.5]}
)
WRITTEN = [(1, "a", pd.Timestamp("2020-01-01"), 0.5), (2, None, None, 1.5)]


def test_to_sql_and_back(db: Connection) -> None:
    assert FRAME.to_sql("t", db, index=False) == 2
    assert rows(db, "SELECT * FROM t ORDER BY n") == WRITTEN
    pd.testing.assert_frame_equal(pd.read_sql_table("t", db), FRAME)
    with pytest.raises(ValueError, match="already exists"):
        FRAME.to_sql("t", db, index=False)
    assert FRAME.iloc[::-1, ::-1].to_sql("t", db, index=False, if_exists="append") == 2
    assert rows(db, "SELECT n, s FROM t") == [(1, "a"), (2, None), (2, None), (1, "a")]
    FRAME.head(1).to_sql("t", db, index=False, if_exists="delete_rows")
    assert rows(db, "SELECT n FROM t") == [(1,)]
    FRAME[["s"]].to_sql("t", db, index=False, if_exists="replace")
    assert rows(db, "FROM t") == [("a",), (None,)]


def test_to_sql_writes_to_schemas_and_odd_names(db: Connection) -> None:
    db.execute('CREATE SCHEMA "a.b"')
    for mode in ("fail", "append", "replace"):
        FRAME.to_sql('x"y', db, schema="a.b", index=False, if_exists=mode)  # type: ignore[arg-type]
    assert rows(db, 'SELECT n FROM "a.b"."x""y"') == [(1,), (2,)]


def test_a_replacement_that_fails_is_rolled_back_with_the_transaction(db: Connection) -> None:
    FRAME.to_sql("t", db, index=False)
    db.autocommit = False
    with pytest.raises(pa.ArrowTypeError):  # after pandas has dropped the table
        pd.DataFrame({"a": [b"x", 1]}).to_sql("t", db, index=False, if_exists="replace")
    with pytest.raises(ProgrammingError):
        db.execute("FROM t")
    db.rollback()
    assert rows(db, "SELECT count(*) FROM t") == [(2,)]
    FRAME.head(1).to_sql("t", db, index=False, if_exists="replace")
    db.rollback()  # pandas has committed
    assert rows(db, "SELECT count(*) FROM t") == [(1,)]


# --- ingestion ------------------------------------------------------------------------------

TABLE = pa.table({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        TABLE.to_pandas(),
        pl.DataFrame(TABLE),
        TABLE.to_struct_array().combine_chunks(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_ingestion_takes_all_kinds_of_arrow_data(db: Connection, data: object) -> None:
    cursor = db.cursor()
    assert cursor.adbc_ingest("t", data) == 2
    assert (cursor.rowcount, cursor.description) == (2, None)
    assert rows(db, "FROM t") == [(1, "x"), (2, None)]


def test_ingestion_has_four_modes(db: Connection) -> None:
    cursor = db.cursor()
    with pytest.raises(ProgrammingError, match="does not exist"):
        cursor.adbc_ingest("t", TABLE, "append")
    assert cursor.adbc_ingest("t", TABLE, "create_append") == 2
    assert cursor.adbc_ingest("T", TABLE.select(["b"]), "create_append") == 2
    assert cursor.adbc_ingest("t", TABLE.select(["b", "a"]), mode="append") == 2
    assert rows(db, "SELECT a FROM t") == [(1,), (2,), (None,), (None,), (1,), (2,)]
    with pytest.raises(ProgrammingError, match="already exists"):
        cursor.adbc_ingest("t", TABLE, "create")
    assert cursor.adbc_ingest("t", TABLE.slice(1), "replace") == 1
    assert rows(db, "FROM t") == [(2, None)]
    assert cursor.adbc_ingest("none", TABLE.slice(2)) == 0
    assert rows(db, "DESCRIBE none")[1][:2] == ("b", "VARCHAR")


@pytest.mark.parametrize("mode", ["create", "append", "replace", "create_append"])
@pytest.mark.parametrize("place", ["temporary", "schema", "catalog", "both"])
def test_ingestion_finds_its_place(db: Connection, place: str, mode: Any) -> None:
    db.execute("ATTACH ':memory:' AS other; CREATE SCHEMA other.s; CREATE SCHEMA s")
    where, name = {
        "temporary": ({"temporary": True}, "temp.t"),
        "schema": ({"db_schema_name": "s"}, "memory.s.t"),
        "catalog": ({"catalog_name": "other"}, "other.main.t"),
        "both": ({"catalog_name": "other", "db_schema_name": "s"}, "other.s.t"),
    }[place]
    if mode != "create":
        db.execute(f"CREATE {'TEMP ' * (place == 'temporary')}TABLE {name} (a BIGINT, b VARCHAR)")
    assert db.cursor().adbc_ingest("t", TABLE, mode, **where) == 2  # type: ignore[arg-type]
    assert rows(db, f"SELECT count(*) FROM {name}") == [(2,)]
    assert rows(db, "SELECT count(*) FROM duckdb_tables()") == [(1,)]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ([1, 2], {}),
        ("text", {}),
        (TABLE, {"mode": "upsert"}),
        (TABLE, {"temporary": True, "db_schema_name": "s"}),
        (TABLE, {"db_schema_name": "nowhere"}),
        (TABLE.rename_columns(["a", "c"]), {"mode": "append"}),
    ],
)
def test_what_cannot_be_ingested_is_an_error(
    db: Connection, data: object, options: dict[str, Any]
) -> None:
    db.execute("CREATE TABLE t (a INT, b TEXT)")
    with pytest.raises(ProgrammingError):
        db.cursor().adbc_ingest("t", data, **options)
    assert rows(db, "SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize("mode", ["create", "append", "replace", "create_append"])
@pytest.mark.parametrize("begun", [False, True], ids=["by itself", "in a transaction"])
def test_a_failed_ingestion_leaves_nothing_behind(db: Connection, mode: Any, begun: bool) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": list(range(200_000))})
        raise OSError("the disk is gone")

    if mode != "create":
        db.execute("CREATE TABLE t AS SELECT 7::BIGINT AS a")
    if begun:
        db.begin()
    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), failing())
    with pytest.raises(thanosql_dbapi.Error, match="the disk is gone"):
        db.cursor().adbc_ingest("t", reader, mode)
    db.rollback()
    left = rows(db, "SELECT table_name FROM duckdb_tables()")
    assert left == ([] if mode == "create" else [("t",)])
    if left:
        assert rows(db, "FROM t") == [(7,)]
    assert db.cursor().adbc_ingest("t", pa.table({"a": [1]}), "create_append") == 1


def test_an_ingestion_breaks_constraints_whole(db: Connection) -> None:
    db.execute("CREATE TABLE t (a BIGINT PRIMARY KEY, b VARCHAR)")
    with pytest.raises(thanosql_dbapi.IntegrityError):
        db.cursor().adbc_ingest("t", pa.concat_tables([TABLE, TABLE]), "append")
    assert rows(db, "SELECT count(*) FROM t") == [(0,)]


def test_a_result_of_the_same_connection_can_be_ingested(connection: Connection) -> None:
    sql = "PREDICT USING m AS SELECT id, audio_path FROM t WHERE id < 5000"
    reader = connection.execute(sql).fetch_record_batch(1000)
    assert connection.cursor().adbc_ingest("copied", reader) == 5000
    assert rows(connection, "SELECT max(predicted) FROM copied") == [("P999",)]
    assert connection.cursor().adbc_ingest("again", connection.execute("FROM copied")) == 5000


def test_ingestion_loses_no_rows_of_other_cursors(db: Connection) -> None:
    cursor = db.execute("SELECT i FROM range(20000) r(i)")
    cursor.fetchone()
    db.cursor().adbc_ingest("t", TABLE)
    assert len(cursor.fetchall()) == 19_999


# --- the catalogue --------------------------------------------------------------------------

DDL = (
    "CREATE SCHEMA s; CREATE TABLE s.p (a INT PRIMARY KEY, b INT, UNIQUE (a, b), CHECK (b > 0));"
    "CREATE TABLE s.c (x INT REFERENCES s.p (a), y TEXT DEFAULT 'z' NOT NULL, d DECIMAL(9, 2));"
    "CREATE VIEW v AS SELECT 1 AS q; CREATE TABLE t_1 (a INT); COMMENT ON COLUMN s.c.y IS 'why'"
)
FILTERS: list[dict[str, Any]] = [
    {},
    {"depth": "catalogs"},
    {"depth": "db_schemas"},
    {"depth": "tables"},
    {"depth": "columns"},
    {"depth": "tables", "db_schema_filter": "s", "table_name_filter": "c"},
    {"depth": "tables", "table_name_filter": "%"},
    {"depth": "tables", "table_name_filter": "t__"},
    {"depth": "tables", "table_types_filter": ["VIEW"]},
    {"db_schema_filter": "m%"},
    {"db_schema_filter": "nothing"},
    {"table_name_filter": "p", "column_name_filter": "b"},
]


TOLD_BY_ONE = ("xdbc_sql_data_type", "xdbc_is_generatedcolumn")
LISTS = ("catalog_db_schemas", "db_schema_tables", "table_columns", "table_constraints")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue") / "x.db"
    with thanosql_dbapi.connect(path) as db:
        db.execute(DDL)
    return path


def of_x(objects: Any) -> Any:
    """The objects of catalogue `x`, less what only one of the two drivers says.

    Below the depth that was asked for, DuckDB's driver has empty lists, where ADBC wants NULL.
    """
    if isinstance(objects, pa.Table):
        objects = [row for row in objects.to_pylist() if row["catalog_name"] == "x"]
    if isinstance(objects, list):
        return sorted((of_x(each) for each in objects), key=str)
    if isinstance(objects, dict):
        told = {k: v for k, v in objects.items() if k not in TOLD_BY_ONE}
        return {k: of_x([] if k in LISTS and v is None else v) for k, v in told.items()}
    return objects


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_get_objects_says_what_duckdbs_adbc_driver_says(
    catalogue: Path, filters: dict[str, Any]
) -> None:
    with adbc_driver_duckdb.dbapi.connect(str(catalogue)) as theirs:
        expected = theirs.adbc_get_objects(**filters).read_all()
    with thanosql_dbapi.connect(catalogue) as ours:
        found = ours.adbc_get_objects(**filters).read_all()
        assert found.schema.names == expected.schema.names
        assert of_x(found) == of_x(expected)


def test_the_catalogue_speaks_adbcs_schema(db: Connection) -> None:
    schema = db.adbc_get_objects().schema
    tables = schema.field("catalog_db_schemas").type.value_type.field("db_schema_tables").type
    assert not tables.value_type.field("table_type").nullable
    assert tables.value_type.field("table_columns").type.value_type.num_fields == 19
    (catalog, _) = db.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
    assert catalog["catalog_db_schemas"][0] == {"db_schema_name": "main", "db_schema_tables": None}
    with pytest.raises(ProgrammingError, match="depth"):
        db.adbc_get_objects(depth="everything")  # type: ignore[arg-type]


def test_generated_columns_and_temporary_tables_are_told(db: Connection) -> None:
    db.execute("CREATE TEMP TABLE n (a INT, b INT AS (a + 1))")
    (catalog,) = db.adbc_get_objects(catalog_filter="temp").read_all().to_pylist()
    (table,) = catalog["catalog_db_schemas"][0]["db_schema_tables"]
    assert table["table_type"] == "LOCAL TEMPORARY"
    assert table["table_type"] in db.adbc_get_table_types()
    assert [c["xdbc_is_generatedcolumn"] for c in table["table_columns"]] == [False, True]


def test_schemas_and_facts(db: Connection) -> None:
    db.execute(DDL)
    assert db.adbc_get_table_schema("v") == pa.schema([("q", pa.int32())])
    schema = db.adbc_get_table_schema("c", catalog_filter="memory", db_schema_filter="s")
    assert schema.names == ["x", "y", "d"]
    with pytest.raises(ProgrammingError):
        db.adbc_get_table_schema("c")
    info = db.adbc_get_info()
    assert info["vendor_name"] == "DuckDB"
    assert info["driver_version"] == thanosql_dbapi.__version__
    assert (db.adbc_current_catalog, db.adbc_current_db_schema) == ("memory", "main")
    db.execute("USE s")
    assert db.adbc_current_db_schema == "s"


def test_to_look_at_a_view_runs_no_model(connection: Connection, echo: Echo) -> None:
    connection.execute(f"CREATE VIEW told AS {PREDICT}")
    objects = connection.adbc_get_objects(table_name_filter="told").read_all().to_pylist()
    assert "predicted" in str(objects)
    assert connection.adbc_get_table_schema("told").names == ["id", "audio_path", "predicted"]
    assert echo.asked == []
    assert pd.read_sql("told", connection)["predicted"].tolist() == ["P0", "P1", "P2"]


def test_a_closed_connection_has_no_catalogue(db: Connection) -> None:
    db.close()
    for use in (
        db.adbc_get_objects,
        db.adbc_get_info,
        db.adbc_get_table_types,
        lambda: db.adbc_get_table_schema("t"),
        lambda: db.adbc_current_catalog,
        lambda: db.register("t", TABLE),
        lambda: db.sql("SELECT 1"),
    ):
        with pytest.raises(InterfaceError):
            use()


# --- polars, and Arrow's protocol -----------------------------------------------------------


def test_whatever_takes_arrow_data_takes_a_cursor(connection: Connection) -> None:
    expected = connection.execute(PREDICT).fetch_arrow_table()
    assert pa.table(connection.execute(PREDICT)).equals(expected)
    assert pl.DataFrame(connection.execute(PREDICT)).to_arrow().num_rows == 3
    assert pd.DataFrame.from_arrow(connection.execute(PREDICT)).shape == (3, 3)
    assert connection.execute(PREDICT).fetch_arrow().equals(expected)
    assert connection.execute(PREDICT).fetchallarrow().equals(expected)


def test_fetch_polars_keeps_types_exact(db: Connection) -> None:
    frame = db.execute("SELECT 1.5::DECIMAL(4, 1) AS d, {'a': [1]} AS s, 'x' AS t").fetch_polars()
    assert frame.schema == {
        "d": pl.Decimal(4, 1),
        "s": pl.Struct({"a": pl.List(pl.Int32)}),
        "t": pl.String,
    }
    assert frame.rows() == [(Decimal("1.5"), {"a": [1]}, "x")]


def test_fetch_polars_names_the_package_that_is_missing(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(thanosql_dbapi.MissingExtra, match="pip install polars"):
        db.execute("SELECT 1").fetch_polars()


def test_polars_reads_a_database(connection: Connection) -> None:
    assert pl.read_database(PREDICT, connection)["predicted"].to_list() == ["P0", "P1", "P2"]
    frame = pl.read_database(f"SELECT max(predicted) AS m FROM ({PREDICT})", connection)
    assert frame.rows() == [("P2",)]
    sql, options = "SELECT id FROM t WHERE id < $n", {"parameters": {"n": 5}}
    found = pl.read_database(sql, connection, execute_options=options)
    assert found["id"].to_list() == [0, 1, 2, 3, 4]
    batches = pl.read_database(
        sql, connection, execute_options=options, iter_batches=True, batch_size=2
    )
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_polars_writes_a_database(db: Connection) -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert frame.write_database("t", db, engine="adbc") == 2
    assert frame.write_database("main.t", db, engine="adbc", if_table_exists="append") == 2
    assert rows(db, "SELECT count(*) FROM t") == [(4,)]
    assert frame.write_database("t", db, engine="adbc", if_table_exists="replace") == 2
    assert rows(db, "FROM t") == [(1, "x"), (2, None)]


# --- frames as relations, and DuckDB's names ------------------------------------------------


@pytest.mark.parametrize("make", [pa.Table.to_pandas, pl.DataFrame, lambda table: table])
def test_a_registered_frame_is_a_relation(connection: Connection, make: Any) -> None:
    unread = connection.execute("SELECT i FROM range(20000) r(i)")
    unread.fetchone()
    connection.register("frame", make(pa.table({"audio_path": ["p7", "p8"]})))
    sql = "PREDICT USING m AS SELECT * FROM frame"
    assert rows(connection, sql) == [("p7", "P7"), ("p8", "P8")]
    assert len(unread.fetchall()) == 19_999
    connection.unregister("frame")
    connection.unregister("frame")
    with pytest.raises(ProgrammingError):
        rows(connection, "FROM frame")


def test_what_duckdb_cannot_read_is_not_registered(db: Connection) -> None:
    with pytest.raises(ProgrammingError):
        db.register("x", object())


def test_sql_is_execute(db: Connection) -> None:
    assert db.sql("SELECT ? AS a", params=[1]).to_arrow_table().to_pydict() == {"a": [1]}
