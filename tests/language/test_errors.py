"""What does not fit the grammar says what, where, and what was probably meant."""

from __future__ import annotations

import pytest

from thanosql_dbapi.exceptions import ThanoSQLSyntaxError
from thanosql_dbapi.language import parse


def message(sql: str) -> str:
    with pytest.raises(ThanoSQLSyntaxError) as caught:
        parse(sql)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sql", "at", "says"),
    [
        (
            "PREDICT USNG m AS FROM t",
            "USNG",
            "USING expected after PREDICT, found 'USNG'. Did",
        ),
        ("PREDICT USINGG m AS FROM t", "USINGG", "Did you mean 'USING'?"),
        ("BUILD MODLE m USING b AS FROM t", "MODLE", "Did you mean 'MODEL'?"),
        ("BUILD MODEL m USIN b AS FROM t", "USIN", "Did you mean 'USING'?"),
        ("DELETE MODLE m", "MODLE", "Did you mean 'MODEL'?"),
        ("LIST MODLE", "MODLE", "Did you mean 'MODEL'?"),
        ("LIST THANOSQL MODLE", "MODLE", "Did you mean 'MODEL'?"),
        ("GET THANOS MODEL x", "THANOS", "Did you mean 'THANOSQL'?"),
        ("GET THANOSQL MODLE x", "MODLE", "Did you mean 'MODEL'?"),
        ("PRINT AUDIOS AS FROM t", "AUDIOS", "Did you mean 'AUDIO'?"),
        ("SEARCH IMAGES USING m AS FROM t", "IMAGES", "Did you mean 'IMAGE'?"),
        ("PREDICT USING m OPTION (a=1) AS FROM t", "OPTION", "Did you mean 'OPTIONS'?"),
        ("COPY t OPTION (a=1) FROM 'x'", "OPTION", "Did you mean 'OPTIONS'?"),
        ("PREDICT USING m AS SELCT 1", "SELCT", "Did you mean 'SELECT'?"),
        ("PREDCT USING m AS FROM t", "PREDCT", "Did you mean 'PREDICT'?"),
        ("BUIDL MODEL m USING b AS FROM t", "BUIDL", "Did you mean 'BUILD'?"),
        ("SELECT 1;\n-- c\nBUIDL MODEL m", "BUIDL", "Did you mean 'BUILD'?"),
        ("LITS MODEL", "LITS", "Did you mean 'LIST'?"),
        ("EVALUTE USING m AS FROM t", "EVALUTE", "Did you mean 'EVALUATE'?"),
    ],
)
def test_near_miss_names_the_nearest_word(sql: str, at: str, says: str) -> None:
    found = message(sql)
    assert says in found
    shown, caret = found.splitlines()[1:]
    assert shown[len(caret) - 1 :].startswith(at)


@pytest.mark.parametrize(
    ("sql", "at", "says"),
    [
        (
            "PREDICT USING m OPTIONS (a=1,) AS FROM t",
            ") AS",
            "name of an option expected",
        ),
        ("PREDICT USING m OPTIONS (a=1 b=2) AS FROM t", "b=2", "',' or ')' expected"),
        ("PREDICT USING m OPTIONS (a=[1 2]) AS FROM t", "2]", "',' or ']' expected"),
        ("PREDICT USING m OPTIONS (a=[1,]) AS FROM t", "])", "A value expected"),
        ("PREDICT USING m OPTIONS (a 1) AS FROM t", "1)", "'=' expected"),
        ("PREDICT USING m OPTIONS (a=) AS FROM t", ") AS", "A value expected"),
        ("PREDICT USING m OPTIONS (a=1x) AS FROM t", "1x", "A number expected"),
        ("PREDICT USING m OPTIONS (a=1, A=2) AS FROM t", "A=2", "a is given twice"),
        ("PREDICT USING m OPTIONS (a=1 AS FROM t", "AS FROM", "',' or ')' expected"),
        ("PREDICT USING m OPTIONS (a='x) AS FROM t", "'x)", "not closed"),
        ("PREDICT USING m OPTIONS (a=1)", "", "AS expected, found the end"),
        ("PREDICT USING m", "", "OPTIONS or AS expected, found the end"),
        ("PREDICT USING", "", "name of a model expected"),
        ("PREDICT", "", "USING expected"),
        ("PREDICT USING AS FROM t", "AS", "name of a model expected"),
        ("PREDICT USING '' AS FROM t", "''", "is empty"),
        ("PREDICT USING m AS", "", "A query expected"),
        ("PREDICT USING m AS t", "t", "A query expected"),
        ("PREDICT USING m AS FROM (SELECT 1", "(SELECT", "This ( is not closed"),
        ("FROM (PREDICT USING m AS FROM t", "(PREDICT", "This ( is not closed"),
        ("PREDICT USING m AS FROM t)", ")", "No ( opens this"),
        ("PREDICT USING m@3 AS FROM t", "m@3", 'needs quotes: "m@3"'),
        (
            "BUILD MODEL my-model USING b AS FROM t",
            "my-model",
            'needs quotes: "my-model"',
        ),
        ("BUILD MODEL m USING a/b AS FROM t", "a/b", 'needs quotes: "a/b"'),
        ("DELETE MODEL m n", "n", "The end of the statement expected"),
        ("DELETE MODEL", "", "name of a model expected"),
        ("LIST MODEL x", "x", "The end of LIST expected"),
        ("UPLOAD MODEL m FROM folder", "folder", "A path in quotes expected"),
        ("COPY t OPTIONS (a=1) FROM folder", "folder", "A path in quotes expected"),
        ("COPY t OPTIONS (a=1) 'x'", "'x'", "FROM expected"),
        ("COPY t FROM 'x' OPTIONS (a=1)", "OPTIONS", "OPTIONS stands before FROM"),
        ("GET THANOSQL MODEL m x", "x", "OPTIONS or AS expected"),
        ("SEARCH IMAGE | AUDIO", "| AUDIO", "name of an option expected"),
        ("FROM (PREDICT USING m FROM t)", "FROM t", "OPTIONS or AS expected"),
    ],
)
def test_syntax_error_points_at_its_place(sql: str, at: str, says: str) -> None:
    found = message(sql)
    assert says in found
    shown, caret = found.splitlines()[1:]
    assert shown[len(caret) - 1 :].startswith(at)
    assert at or len(caret) - 1 == len(sql)


@pytest.mark.parametrize(
    "command",
    [
        "BUILD MODEL m USING b AS FROM t",
        "FIT MODEL m USING n AS FROM t",
        "UPLOAD MODEL m FROM 'x'",
        "DELETE MODEL m",
        "GET THANOSQL MODEL m",
        "PRINT AUDIO AS FROM t",
    ],
)
@pytest.mark.parametrize(
    "around",
    ["({})", "FROM ({})", "CREATE TABLE x AS {}", "EXPLAIN {}", "INSERT INTO x {}",
     "WITH a AS (FROM t) {}", "WITH a AS ({}) FROM a", "COPY ({}) TO 'x'", "SELECT 1 UNION {}",
     "PREDICT USING m AS {}", "PRINT AUDIO AS ({})", "DESCRIBE {}"],
)  # fmt: skip
def test_command_stands_at_top_level_only(command: str, around: str) -> None:
    found = message(around.format(command))
    assert "may only stand at top level" in found
    assert found.startswith(" ".join(command.split()[:2]))


def test_error_shows_line_column_and_caret() -> None:
    with pytest.raises(ThanoSQLSyntaxError) as caught:
        parse("SELECT 1;\n\tPREDICT USING 모델\n\tOPTIONS (a=,)\nAS FROM t")
    assert (caught.value.line, caught.value.column) == (3, 13)
    assert str(caught.value).splitlines()[1:] == ["\tOPTIONS (a=,)", "\t           ^"]


def test_relations_nested_beyond_reason_are_an_error_of_ours() -> None:
    assert "too deeply" in message("PREDICT USING m AS (" * 1000 + "FROM t" + ")" * 1000)


@pytest.mark.parametrize(
    "sql",
    ["SELCT 1", "SELECT 'x", "foo", "list(1)", "predict.a", "PREDICT (1)", "TRANSFORM USING m",
     "DELETE t", "COPY t OPTIONAL", "FROM (PREDCT USING m AS FROM t)", "'BUILD MODEL", ")", "("],
)  # fmt: skip
def test_what_is_not_ours_is_left_to_duckdb_for_its_own_error(sql: str) -> None:
    assert parse(sql) is None
