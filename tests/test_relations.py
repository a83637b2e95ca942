"""Model statements as relations: where they may stand, and how many rows the model sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import (
    ColumnNotFound,
    Connection,
    MediaError,
    ModelNotFound,
    NotSupportedError,
    OptionError,
    ProgrammingError,
    ThanoSQLSyntaxError,
)

PREDICT = "(PREDICT USING m AS SELECT * FROM t)"


def rows(connection: Connection, sql: str, parameters=None) -> list[tuple]:
    return connection.execute(sql, parameters).fetchall()


# --- rows that the model sees ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "returned", "seen"),
    [
        ("PREDICT USING m AS SELECT * FROM t LIMIT 5", 5, 5),
        (f"SELECT * FROM {PREDICT} LIMIT 5", 5, 5),
        (f"SELECT * FROM {PREDICT} WHERE region = 3", 2000, 2000),
        (f"SELECT p.* FROM {PREDICT} p JOIN (VALUES (5), (9)) k(id) USING (id)", 2, 2),
        (f"SELECT * FROM {PREDICT} ORDER BY id LIMIT 5", 5, 5),
        (f"SELECT count(*) FROM {PREDICT}", 1, 0),
        (f"SELECT id FROM {PREDICT}", 20000, 0),
        (f"DESCRIBE SELECT * FROM {PREDICT}", 5, 0),
        ("EXPLAIN PREDICT USING m AS SELECT * FROM t", 2, 0),
        ("EXPLAIN PREDICT USING m AS SELECT 'a.wav' AS audio_path", 2, 0),
        ("EXPLAIN SELECT thanosql_predict('m', 'a.wav')", 1, 0),
        ("SELECT count(*) FROM (PREDICT USING m AS SELECT 'a.wav' AS audio_path)", 1, 0),
        ("SELECT thanosql_predict('m', 'a.wav') LIMIT 0", 0, 0),
        (f"SELECT * FROM {PREDICT} WHERE predicted LIKE '%99'", 200, 20000),
        (
            f"SELECT region, count(*) FROM {PREDICT} WHERE predicted LIKE '%9' GROUP BY ALL",
            1,
            20000,
        ),
        (f"WITH c AS {PREDICT} SELECT 1 FROM c a JOIN c b USING (predicted)", 20000, 20000),
        (
            f"WITH c AS {PREDICT} SELECT max(predicted) FROM c UNION SELECT min(predicted) FROM c",
            2,
            20000,
        ),
        ("SELECT thanosql_predict('m', audio_path) FROM t LIMIT 3", 3, 3),
        ("SELECT thanosql_predict('m', 'a.wav')", 1, 1),
        ("VALUES (thanosql_predict('m', 'a.wav'))", 1, 1),
    ],
)
def test_the_model_sees_only_rows_that_matter(
    connection: Connection, echo: Echo, sql: str, returned: int, seen: int
) -> None:
    assert len(rows(connection, sql)) == returned
    assert len(echo.asked) == seen


def test_a_filter_on_the_prediction_under_a_limit_stops_within_two_vectors(
    connection: Connection, echo: Echo
) -> None:
    found = rows(connection, f"SELECT * FROM {PREDICT} WHERE predicted LIKE '%99' LIMIT 5")
    assert len(found) == 5
    assert len(echo.asked) <= 2 * 2048


def test_a_column_not_selected_costs_nothing_through_a_view(
    connection: Connection, echo: Echo
) -> None:
    connection.execute("CREATE VIEW v AS PREDICT USING m AS SELECT * FROM t")
    assert rows(connection, "SELECT count(*), max(id) FROM v") == [(20000, 19999)]
    assert rows(connection, "DESCRIBE v")[-1][0] == "predicted"
    assert echo.asked == []


# --- where a relation may stand -------------------------------------------------------------


def test_columns_then_the_prediction_in_the_order_of_the_rows(connection: Connection) -> None:
    cursor = connection.execute("PREDICT USING m AS SELECT id, audio_path FROM t LIMIT 3")
    assert [column.name for column in cursor.description] == ["id", "audio_path", "predicted"]
    assert [column.type_code for column in cursor.description] == ["BIGINT", "VARCHAR", "VARCHAR"]
    assert cursor.fetchall() == [(i, f"p{i}", f"P{i}") for i in range(3)]


SMALL = "PREDICT USING m AS SELECT id, audio_path FROM t WHERE id < 3"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT predicted FROM ({SMALL})",
        f"SELECT predicted FROM ({SMALL}) AS p",
        f"SELECT p.predicted FROM t JOIN ({SMALL}) p USING (id)",
        f"WITH p AS ({SMALL}) SELECT predicted FROM p",
        "WITH few AS (SELECT * FROM t WHERE id < 3), p AS (PREDICT USING m AS FROM few)"
        " SELECT predicted FROM p",
        "SELECT predicted FROM (WITH few AS (SELECT * FROM t WHERE id < 3)"
        " SELECT * FROM (PREDICT USING m AS SELECT * FROM few))",
        f"SELECT predicted FROM (SELECT id, predicted FROM ({SMALL})) WHERE id >= 0",
        f"SELECT 'P' || id FROM t WHERE EXISTS ({SMALL}) AND id < 3",
        f"SELECT predicted FROM ({SMALL}) UNION SELECT predicted FROM ({SMALL})",
        f"SELECT unnest(['P0', 'P1']) UNION SELECT predicted FROM ({SMALL} -- the rest\n)",
        "SELECT predicted FROM (PREDICT USING m AS (SELECT * FROM t WHERE id < 3))",
        "SELECT other FROM (PREDICT USING m OPTIONS (result_col='other', batch_size=2) AS"
        f" {SMALL})",
        "predict\nusing /* a comment */ m as -- one more\n from (select * from t limit 3) select"
        " audio_path",
    ],
)
def test_a_relation_stands_wherever_a_subquery_stands(connection: Connection, sql: str) -> None:
    assert sorted(row[-1] for row in rows(connection, sql)) == ["P0", "P1", "P2"]


def test_statements_that_keep_the_rows_of_a_relation(
    connection: Connection, tmp_path: Path
) -> None:
    connection.execute(f"CREATE TABLE kept AS {SMALL}")
    connection.execute(f"INSERT INTO kept {SMALL}")
    connection.execute(f"INSERT INTO kept (id, predicted) SELECT id, predicted FROM ({SMALL})")
    assert rows(connection, "SELECT count(predicted) FROM kept") == [(9,)]
    connection.execute(f"COPY ({SMALL}) TO '{tmp_path / 'out.csv'}'")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "0,p0,P0"


def test_table_name_stores_the_result(connection: Connection) -> None:
    sql = "PREDICT USING m OPTIONS (table_name='kept') AS SELECT * FROM t WHERE id < 2"
    assert len(rows(connection, sql)) == 2
    assert rows(connection, "SELECT predicted FROM kept") == [("P0",), ("P1",)]
    with pytest.raises(OptionError, match="top level"):
        rows(connection, f"SELECT * FROM ({sql})")


def test_table_name_stores_the_result_twice_in_the_table_that_is_read(
    connection: Connection,
) -> None:
    connection.execute("CREATE TABLE kept AS SELECT id, audio_path FROM t WHERE id < 2")
    sql = "PREDICT USING m OPTIONS (table_name='kept', result_col='Heard') AS SELECT * FROM kept"
    first = connection.execute(sql).fetchall()
    assert connection.execute(sql.replace("Heard", "heard")).fetchall() == first
    columns = [row[0] for row in connection.execute("DESCRIBE kept").fetchall()]
    assert columns == ["id", "audio_path", "heard"]
    with pytest.raises(ProgrammingError, match="has a column 'audio_path' already"):
        connection.execute(sql.replace("Heard", "audio_path"))
    assert connection.execute("FROM kept").fetchall() == first


def test_two_models_are_compared_by_nesting(connection: Connection) -> None:
    publish_echo(connection, "other", prefix="x")
    found = rows(
        connection,
        "PREDICT USING other OPTIONS (result_col='b') AS"
        " PREDICT USING m OPTIONS (column_name='a') AS SELECT * FROM t LIMIT 1",
    )
    assert found == [(0, "p0", 0, "P0", "P0", "xP0")]


def test_a_relation_within_others_is_lowered_once(connection: Connection) -> None:
    nested = "SELECT audio_path FROM t LIMIT 1"
    for depth in range(4):
        nested = f"PREDICT USING m OPTIONS (result_col='r{depth}', text_col='x') AS {nested}"
    with pytest.warns(UserWarning, match="ignores") as warned:
        assert len(rows(connection, nested)) == 1
    assert len(warned) == 4


def test_lists_are_relations(connection: Connection) -> None:
    assert rows(connection, "SELECT name, class_name FROM (LIST MODEL)") == [("m", "Echo")]
    assert ("t",) in rows(connection, "LIST TABLE")
    names = [name for (name,) in rows(connection, "SELECT name FROM (LIST THANOSQL MODEL)")]
    assert "voice_tiny" in names
    assert names == sorted(names)
    assert rows(connection, "LIST THANOSQL DATASET")[-1] == ("librispeech_data", "audio")


def test_empty_lists_are_empty() -> None:
    with thanosql_dbapi.connect() as empty:
        assert rows(empty, "LIST MODEL") == []
        assert rows(empty, "SELECT * FROM (LIST TABLE)") == []


def test_the_function_needs_no_grammar(connection: Connection) -> None:
    sql = (
        "SELECT thanosql_predict('m', audio_path, options := '{\"batch_size\": 3}') FROM t LIMIT 1"
    )
    assert rows(connection, sql) == [("P0",)]
    nulls = "SELECT thanosql_predict('m', NULL), thanosql_predict(NULL, 'a')"
    assert rows(connection, nulls) == [(None, None)]
    with pytest.raises(OptionError, match="Did you mean 'batch_size'"):
        rows(connection, "SELECT thanosql_predict('m', 'a', options := '{\"batchsize\": 3}')")


# --- views ----------------------------------------------------------------------------------


def test_a_view_outlives_the_connection_and_follows_its_model(echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(tmp_path / "calls.db") as first:
        publish_echo(first, "m", "one:")
        first.execute("CREATE TABLE t AS SELECT 'a' AS audio_path")
        first.execute("CREATE VIEW latest AS PREDICT USING m AS SELECT * FROM t")
        first.execute('CREATE VIEW pinned AS PREDICT USING "m@1" AS SELECT * FROM t')
    with thanosql_dbapi.connect(tmp_path / "calls.db") as second:
        publish_echo(second, "m", "two:")
        assert rows(second, "FROM latest") == [("a", "two:A")]
        assert rows(second, "FROM pinned") == [("a", "one:A")]
        second.execute("DELETE MODEL m")
        assert [row[0] for row in rows(second, "DESCRIBE latest")] == ["audio_path", "predicted"]
        assert rows(second, "SELECT audio_path FROM latest") == [("a",)]
        with pytest.raises(ModelNotFound, match="'m'"):
            rows(second, "FROM latest")


def test_a_view_cannot_hold_a_parameter(connection: Connection) -> None:
    sql = "CREATE VIEW v AS PREDICT USING m AS SELECT * FROM t WHERE id < ?"
    with pytest.raises(ProgrammingError, match="a view is stored"):
        connection.execute(sql, [3])
    option = "CREATE VIEW v AS PREDICT USING m OPTIONS (result_col=?) AS SELECT * FROM t"
    connection.execute(option, ["heard"])
    assert rows(connection, "DESCRIBE v")[-1][0] == "heard"


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("PREDICT USING m OPTIONS (result_col=?) AS SELECT id FROM t WHERE id = ?", ["r", 7]),
        ("PREDICT USING m OPTIONS (result_col=$2) AS SELECT * FROM t WHERE id = $1", [7, "r"]),
        ("PREDICT USING m OPTIONS (result_col=$c) AS FROM t WHERE id = $i", {"i": 7, "c": "r"}),
        ("PREDICT USING m OPTIONS (result_col=$c) AS FROM t WHERE id = $i AND id + 0 = $i",
         {"i": 7, "c": "r"}),
    ],
)  # fmt: skip
def test_parameters_stand_in_options_and_in_queries(
    connection: Connection, sql: str, parameters: object
) -> None:
    sql = sql.replace("SELECT id FROM t", "SELECT id, audio_path FROM t")
    cursor = connection.execute(sql, parameters)
    assert cursor.description[-1].name == "r"
    assert [row[-1] for row in cursor] == ["P7"]


def test_parameters_count_across_a_script(connection: Connection) -> None:
    script = (
        "CREATE TABLE few AS SELECT * FROM t WHERE id < ?;"
        "PREDICT USING m OPTIONS (batch_size=?) AS SELECT * FROM few WHERE id >= ?"
    )
    assert len(rows(connection, script, [5, 2, 3])) == 2


def test_too_few_and_too_many_parameters(connection: Connection) -> None:
    sql = "PREDICT USING m AS SELECT * FROM t WHERE id = ?"
    with pytest.raises(ProgrammingError, match="at least 1 parameters, 0 were given"):
        rows(connection, sql, [])
    with pytest.raises(ProgrammingError, match="has 1 parameters, 2 were given"):
        rows(connection, sql, [1, 2])
    with pytest.raises(ProgrammingError, match=r"no parameter \$y"):
        rows(connection, sql.replace("?", "$x"), {"x": 1, "y": 2})


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("PREDICT USING mm AS SELECT * FROM t", ModelNotFound, "Did you mean 'm'"),
        ('PREDICT USING "m@7" AS SELECT * FROM t', ModelNotFound, "no version 7; it has 1"),
        ("PREDICT USING m AS SELECT id, audio_path AS audiopath FROM t", ColumnNotFound,
         "Did you mean 'audiopath'"),
        ("PREDICT USING m OPTIONS (audio_col='audiopath') AS SELECT * FROM t", ColumnNotFound,
         "'audiopath' \\(audio_col\\). Did you mean 'audio_path'"),
        ("PREDICT USING m OPTIONS (batchsize=3) AS SELECT * FROM t", OptionError,
         "Did you mean 'batch_size'"),
        ("PREDICT USING m OPTIONS (batch_size='x') AS SELECT * FROM t", OptionError,
         "batch_size='x': the option takes a whole number of at least 1"),
        ("PREDICT USING m OPTIONS (batch_size=0) AS SELECT * FROM t", OptionError, "at least 1"),
        ("PREDICT USING m OPTIONS (result_col='a', column_name='b') AS FROM t", OptionError,
         "are one option"),
        ("PREDICT USING m AS SELECT *, 1 AS Predicted FROM t", ProgrammingError, "result_col"),
        ("EVALUATE USING m OPTIONS (text_col='words') AS FROM t", ColumnNotFound, "'words'"),
        ("CONVERT USING m AS SELECT * FROM t", NotSupportedError, "Echo has no CONVERT"),
        ("SEARCH AUDIO USING m AS SELECT * FROM t", NotSupportedError, "Echo has no SEARCH"),
        ("PREDICT USING m AS SELECT 'bad.wav' AS audio_path", MediaError, "row 1: 'bad.wav'"),
        ("SELECT * FROM (BUILD MODEL x USING Echo AS SELECT * FROM t)", ThanoSQLSyntaxError,
         "top level"),
        ("CREATE TABLE x AS BUILD MODEL y USING Echo AS SELECT 1", ThanoSQLSyntaxError,
         "top level"),
        ("PREDICT USNG m AS SELECT 1", ThanoSQLSyntaxError, "USING"),
        ("PREDICT USING m AS SELECT * FROM nowhere", ProgrammingError, "nowhere"),
    ],
)  # fmt: skip
def test_bad_input_is_said_clearly_and_changes_nothing(
    connection: Connection, sql: str, error: type[Exception], message: str
) -> None:
    tables, models = rows(connection, "LIST TABLE"), rows(connection, "LIST MODEL")
    with pytest.raises(error, match=message):
        rows(connection, sql)
    assert (rows(connection, "LIST TABLE"), rows(connection, "LIST MODEL")) == (tables, models)


def test_a_broken_file_names_its_row(connection: Connection) -> None:
    sql = (
        "PREDICT USING m AS SELECT CASE id WHEN 7000 THEN 'bad' ELSE audio_path END AS audio_path"
        " FROM t"
    )
    with pytest.raises(MediaError, match="^row 7001: 'bad': bad on purpose\n"):
        rows(connection, sql)
    assert rows(connection, "SELECT 1") == [(1,)]


def test_training_options_pass_through_predict_with_a_warning(
    connection: Connection, echo: Echo
) -> None:
    sql = (
        "PREDICT USING m OPTIONS (audio_col='audio_path', text_col='text', epochs=1,"
        " batch_size=8) AS SELECT * FROM t LIMIT 1"
    )
    with pytest.warns(UserWarning, match="PREDICT ignores .*: text_col, epochs"):
        assert len(rows(connection, sql)) == 1
    assert echo.options_seen == [{"batch_size": 8}]


def test_audio_is_the_older_name_of_audio_path(connection: Connection) -> None:
    assert rows(connection, "PREDICT USING m AS SELECT 'a' AS audio") == [("a", "A")]


def test_names_of_models_fold_case(connection: Connection) -> None:
    assert rows(connection, "PREDICT USING M AS SELECT 'a' AS audio_path") == [("a", "A")]
    assert rows(connection, "PREDICT USING \"m@1\" AS SELECT 'a' AS audio_path") == [("a", "A")]


def test_a_lateral_relation_sees_the_row_beside_it(connection: Connection) -> None:
    sql = (
        "SELECT p.predicted FROM (VALUES ('a'), ('b')) v(x),"
        " LATERAL (PREDICT USING m AS SELECT v.x AS audio_path) p ORDER BY ALL"
    )
    assert rows(connection, sql) == [("A",), ("B",)]


def test_several_threads_of_duckdb_predict_each_row_once(
    connection: Connection, echo: Echo
) -> None:
    # More than one row group, so that more than one of DuckDB's threads has rows.
    connection.execute("CREATE TABLE big AS SELECT 'p' || i AS audio_path FROM range(130000) r(i)")
    sql = "SELECT count(*) FROM (PREDICT USING m AS FROM big) WHERE predicted = upper(audio_path)"
    assert rows(connection, sql) == [(130000,)]
    assert len(echo.asked) == 130000
    assert len(rows(connection, "PREDICT USING m AS FROM big")) == 130000
