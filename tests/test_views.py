"""Models as views: what lists, describes and reads them, and how many rows the model sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, ModelNotFound, ProgrammingError

COLUMNS = ["id", "audio_path", "region", "text", "predicted"]


def rows(connection: Connection, sql: str, parameters=None) -> list[tuple]:
    return connection.execute(sql, parameters).fetchall()


@pytest.fixture
def viewed(connection: Connection) -> Connection:
    """The 20,000 rows of `t`, and a view of them that predicts."""
    connection.execute("CREATE VIEW calls_text AS PREDICT USING m AS SELECT * FROM t")
    return connection


# --- the forms ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS PREDICT USING m AS SELECT * FROM t",
        "CREATE OR REPLACE VIEW v AS PREDICT USING m AS SELECT * FROM t",
        "CREATE VIEW IF NOT EXISTS v AS PREDICT USING m AS SELECT * FROM t",
        "CREATE TEMP VIEW v AS (PREDICT USING m AS SELECT * FROM t)",
        'CREATE VIEW v AS PREDICT USING "m@1" OPTIONS (batch_size=4) AS SELECT * FROM t',
        "CREATE VIEW v (id, audio_path, region, text, predicted) AS PREDICT USING m AS FROM t",
        "CREATE VIEW v AS WITH few AS (FROM t) PREDICT USING m AS SELECT * FROM few",
        "CREATE VIEW v AS SELECT * FROM (PREDICT USING m AS SELECT * FROM t)",
        "-- what was said\n/* in */ CREATE VIEW v AS -- now\nPREDICT USING m AS FROM t; -- all\n",
    ],
)
def test_a_view_of_a_prediction_can_be_written_as_any_view(
    connection: Connection, echo: Echo, sql: str
) -> None:
    connection.execute(sql)
    assert echo.asked == []
    assert [row[0] for row in rows(connection, "DESCRIBE v")] == COLUMNS
    assert rows(connection, "SELECT predicted FROM v WHERE id = 7") == [("P7",)]
    assert echo.asked == ["p7"]


def test_a_view_in_a_schema_keeps_its_options(connection: Connection, echo: Echo) -> None:
    connection.execute("CREATE SCHEMA s")
    connection.execute(
        "CREATE OR REPLACE VIEW s.v AS PREDICT USING m"
        " OPTIONS (audio_col='text', result_col='Heard it', batch_size=4) AS SELECT text FROM t"
    )
    assert rows(connection, 'SELECT "Heard it" FROM s.v LIMIT 1') == [("P0",)]
    assert echo.options_seen == [{"batch_size": 4}]


def test_views_are_built_on_views(viewed: Connection, echo: Echo) -> None:
    viewed.execute("CREATE VIEW north AS SELECT * FROM calls_text WHERE region = 2")
    viewed.execute("CREATE VIEW again AS PREDICT USING m OPTIONS (result_col='b') AS FROM north")
    assert rows(viewed, "SELECT id, predicted, b FROM again LIMIT 1") == [(2, "P2", "P2")]
    assert set(echo.asked) == {"p2"}


def test_evaluate_and_list_are_views_too(viewed: Connection, echo: Echo) -> None:
    viewed.execute("CREATE VIEW scores AS EVALUATE USING m AS SELECT * FROM t")
    viewed.execute("CREATE VIEW models AS LIST MODEL")
    assert [row[0] for row in rows(viewed, "DESCRIBE scores")] == ["metric", "score"]
    assert rows(viewed, "SELECT name FROM models") == [("m",)]
    publish_echo(viewed, "another")
    assert len(rows(viewed, "FROM models")) == 2
    assert echo.asked == []


def test_a_view_that_cannot_be_is_refused_when_it_is_made(viewed: Connection) -> None:
    for sql, error in {
        "CREATE VIEW x AS PREDICT USING nobody AS FROM t": ModelNotFound,
        "CREATE VIEW x AS PREDICT USING m AS SELECT id FROM t": ProgrammingError,
        "CREATE VIEW x AS PREDICT USING m AS FROM calls_text": ProgrammingError,
        "CREATE VIEW calls_text AS PREDICT USING m AS FROM t": ProgrammingError,
    }.items():
        with pytest.raises(error):
            viewed.execute(sql)
    assert rows(viewed, "SELECT view_name FROM duckdb_views() WHERE NOT internal") == [
        ("calls_text",)
    ]


# --- listing and reflection: no row ---------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT view_name FROM duckdb_views() WHERE NOT internal", ["calls_text"]),
        ("SELECT table_name FROM information_schema.tables", ["t", "calls_text"]),
        ("SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW'",
         ["calls_text"]),
        ("SHOW TABLES", ["t", "calls_text"]),
        ("LIST TABLE", ["t", "calls_text"]),
        ("PRAGMA show_tables", ["t", "calls_text"]),
        ("SELECT name FROM (SHOW ALL TABLES)", ["t", "calls_text"]),
        ("SELECT column_name FROM duckdb_columns() WHERE table_name = 'calls_text'", COLUMNS),
        ("SELECT column_name FROM information_schema.columns WHERE table_name = 'calls_text'",
         COLUMNS),
        ("DESCRIBE calls_text", COLUMNS),
        ("SHOW calls_text", COLUMNS),
        ("DESCRIBE SELECT * FROM calls_text", COLUMNS),
        ("SELECT name FROM pragma_table_info('calls_text')", COLUMNS),
    ],
)  # fmt: skip
def test_listing_and_reflection_run_the_model_on_no_row(
    viewed: Connection, echo: Echo, sql: str, found: list[str]
) -> None:
    assert sorted(row[0] for row in rows(viewed, sql)) == sorted(found)
    assert echo.asked == []


def test_the_prediction_is_reflected_with_its_type(viewed: Connection) -> None:
    kinds = rows(
        viewed,
        "SELECT data_type FROM duckdb_columns() WHERE table_name = 'calls_text' ORDER BY"
        " column_index",
    )
    assert [kind for (kind,) in kinds] == ["BIGINT", "VARCHAR", "BIGINT", "VARCHAR", "VARCHAR"]


# --- what BI tools ask ----------------------------------------------------------------------

VIRTUAL = "(SELECT id, region, predicted FROM calls_text) AS virtual_table"


@pytest.mark.parametrize(
    ("sql", "returned", "seen"),
    [
        ("SELECT * FROM calls_text LIMIT 0", 0, 0),
        ("SELECT * FROM calls_text WHERE 1 = 0", 0, 0),
        ("SELECT * FROM calls_text WHERE 1 = 0 LIMIT 1000", 0, 0),
        ("EXPLAIN SELECT * FROM calls_text", 1, 0),
        ("SELECT count(*) FROM calls_text", 1, 0),
        ("SELECT min(id), max(region) FROM calls_text", 1, 0),
        ("SELECT DISTINCT region FROM calls_text", 10, 0),
        ("SUMMARIZE SELECT id FROM calls_text", 1, 0),
        ("SELECT * FROM calls_text LIMIT 5", 5, 5),
        ("SELECT * FROM calls_text LIMIT 5 OFFSET 100", 5, 5),
        ("SELECT * FROM calls_text ORDER BY id DESC LIMIT 5", 5, 5),
        ("-- from a tool\n/* really */ SELECT * FROM calls_text LIMIT 5;\n-- end\n", 5, 5),
        ("SELECT * FROM calls_text WHERE region = 3", 2000, 2000),
        (f"SELECT * FROM {VIRTUAL} WHERE region = 3 LIMIT 1000", 1000, 1000),
        (f"SELECT region, count(*) AS c FROM {VIRTUAL} GROUP BY region ORDER BY c LIMIT 1000",
         10, 0),
        (f"SELECT region, count(DISTINCT predicted) FROM {VIRTUAL} WHERE region IN (1, 2)"
         " GROUP BY region LIMIT 1000", 2, 4000),
        ("SELECT * FROM calls_text USING SAMPLE 10 ROWS", 10, 10),
        ("SELECT * FROM calls_text TABLESAMPLE reservoir(10 ROWS)", 10, 10),
        ("SELECT c.predicted FROM calls_text c JOIN (VALUES (3), (4)) k(id) USING (id)", 2, 2),
        ("SELECT * FROM calls_text WHERE predicted = 'P7'", 1, 20000),
    ],
)  # fmt: skip
def test_a_tool_s_query_runs_the_model_on_the_rows_it_keeps(
    viewed: Connection, echo: Echo, sql: str, returned: int, seen: int
) -> None:
    assert len(rows(viewed, sql)) == returned
    assert len(echo.asked) == seen


def test_a_sample_in_percent_is_drawn_within_the_view(connection: Connection, echo: Echo) -> None:
    connection.execute(
        "CREATE VIEW sampled AS PREDICT USING m AS SELECT * FROM t USING SAMPLE 1% (bernoulli)"
    )
    kept = len(rows(connection, "FROM sampled"))
    assert 0 < kept < 1000
    assert len(echo.asked) == kept


def test_parameters_bind_where_a_view_is_read(viewed: Connection, echo: Echo) -> None:
    assert rows(viewed, "SELECT predicted FROM calls_text WHERE id = ?", [7]) == [("P7",)]
    assert echo.asked == ["p7"]


def test_a_result_is_kept_as_a_table(viewed: Connection, echo: Echo) -> None:
    viewed.execute("CREATE TABLE kept AS SELECT * FROM calls_text WHERE region = 3")
    assert len(echo.asked) == 2000
    assert [row[0] for row in rows(viewed, "DESCRIBE kept")] == COLUMNS
    assert rows(viewed, "SELECT count(*) FROM kept WHERE predicted = upper(audio_path)") == [
        (2000,)
    ]
    assert len(echo.asked) == 2000


def test_a_view_is_renamed_commented_and_dropped(viewed: Connection, echo: Echo) -> None:
    viewed.execute("COMMENT ON VIEW calls_text IS 'what was said'")
    viewed.execute("ALTER VIEW calls_text RENAME TO said")
    assert rows(viewed, "SELECT comment FROM duckdb_views() WHERE view_name = 'said'") == [
        ("what was said",)
    ]
    assert rows(viewed, "SELECT predicted FROM said LIMIT 1") == [("P0",)]
    viewed.execute("DROP VIEW said")
    assert rows(viewed, "LIST TABLE") == [("t",)]


# --- views outlive the connection -----------------------------------------------------------


@pytest.fixture
def file(echo: Echo, tmp_path: Path) -> Path:
    """A closed database file with a table, two views and their model."""
    path = tmp_path / "calls.db"
    with thanosql_dbapi.connect(path, root=tmp_path) as connection:
        publish_echo(connection, "m")
        connection.execute("CREATE TABLE t AS SELECT 'p' || i AS audio_path FROM range(100) r(i)")
        connection.execute(
            "CREATE VIEW calls_text AS PREDICT USING m OPTIONS (batch_size=4) AS SELECT * FROM t"
        )
        connection.execute("CREATE SCHEMA s")
        connection.execute('CREATE VIEW s.pinned AS PREDICT USING "m@1" AS SELECT * FROM t')
    return path


IN_A_NEW_PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import echo, thanosql_dbapi
from thanosql_dbapi.models import families
sys.modules["echo_family"] = type(sys)("echo_family")
family = sys.modules["echo_family"].ECHO = echo.Echo()
families.BUILT_IN = {**families.BUILT_IN, "Echo": "echo_family:ECHO"}
found = []
with thanosql_dbapi.connect(sys.argv[2], read_only=sys.argv[3] == "True") as connection:
    for sql in sys.argv[4:]:
        listed = [list(row) for row in connection.execute(sql).fetchall()]
        found.append([listed, len(family.asked)])
print(json.dumps(found))
"""


@pytest.mark.parametrize("read_only", [False, True])
def test_a_view_is_read_in_a_new_process(file: Path, read_only: bool) -> None:
    asked = [
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'calls_text'",
        "SELECT column_name FROM (DESCRIBE s.pinned)",
        "SELECT * FROM calls_text LIMIT 0",
        "SELECT count(*) FROM s.pinned",
        "SELECT * FROM calls_text LIMIT 2",
        "SELECT predicted FROM s.pinned WHERE audio_path = 'p7'",
    ]
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, str(Path(__file__).parent), str(file)]
    done = subprocess.run(
        [*command, str(read_only), *asked], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    columns = [["audio_path"], ["predicted"]]
    assert json.loads(done.stdout) == [
        [columns, 0],
        [columns, 0],
        [[], 0],
        [[[100]], 0],
        [[["p0", "P0"], ["p1", "P1"]], 2],
        [[["P7"]], 3],
    ]


def test_a_view_is_read_in_an_attached_database(file: Path, echo: Echo) -> None:
    with thanosql_dbapi.connect() as connection:
        publish_echo(connection, "m")
        connection.execute(f"ATTACH '{file}' AS other (READ_ONLY)")
        assert rows(connection, "SELECT * FROM other.calls_text LIMIT 0") == []
        assert rows(connection, "FROM other.calls_text LIMIT 1") == [("p0", "P0")]


def test_a_view_lists_and_describes_when_its_model_is_gone(file: Path, echo: Echo) -> None:
    with thanosql_dbapi.connect(file, root=file.parent) as connection:
        connection.execute("DELETE MODEL m")
        assert rows(connection, "LIST TABLE") == [("calls_text",), ("t",)]
        assert [row[0] for row in rows(connection, "DESCRIBE calls_text")] == [
            "audio_path",
            "predicted",
        ]
        assert rows(connection, "SELECT * FROM calls_text LIMIT 0") == []
        assert rows(connection, "SELECT count(*) FROM calls_text") == [(100,)]
        assert rows(connection, "SELECT audio_path FROM calls_text LIMIT 1") == [("p0",)]
        with pytest.raises(ModelNotFound, match="'m'"):
            rows(connection, "SELECT * FROM calls_text LIMIT 1")
        publish_echo(connection, "m", "new:")
        assert rows(connection, "FROM calls_text LIMIT 1") == [("p0", "new:P0")]
    assert echo.asked == ["p0"]


def test_duckdb_alone_lists_a_view_and_says_which_function_it_lacks(file: Path) -> None:
    with duckdb.connect(file) as alone:

        def found(sql: str) -> list[tuple]:
            return alone.execute(sql).fetchall()

        assert found("SHOW TABLES") == [("calls_text",), ("t",)]
        assert found(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = 'calls_text'"
        ) == [("audio_path",), ("predicted",)]
        for sql in ("DESCRIBE calls_text", "SELECT audio_path FROM calls_text LIMIT 0"):
            with pytest.raises(duckdb.CatalogException, match="thanosql_predict does not exist"):
                found(sql)
        assert found("SELECT count(*) FROM t") == [(100,)]
