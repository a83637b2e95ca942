"""`$name` and `{name}` in SQL: what becomes a parameter, a name or a text, and what stays."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thanosql_dbapi
from thanosql_dbapi import Connection, ProgrammingError
from thanosql_dbapi.notebook.literals import literal, plain
from thanosql_dbapi.notebook.variables import Bound, bind, frames, put_texts

NAMES: dict[str, Any] = {
    "x": 5,
    "text": "it's",
    "model": "m@3",
    "table": "main.calls",
    "odd": 'a"b c',
    "path": "data/calls.csv",
    "words": ["a", "b"],
    "row": {"a": [1, {"b": 2}]},
    "day": dt.date(2026, 1, 2),
    "query": "SELECT 1; SELECT 2",
    "frame": pd.DataFrame({"a": [1]}),
}


NAMES["_"] = NAMES["In"] = "IPython's"


def filled(sql: str) -> Bound:
    return bind(put_texts(sql, NAMES), NAMES)


# --- what stays -----------------------------------------------------------------------------

UNTOUCHED = [
    "SELECT {'a': 1, b: 2}, {'x': {'y': 1}}",
    "SELECT '$5', '$1', 'US$', '$', '{}', '{\"a\": 1}', 10 % 3, '100%s'",
    "SELECT $1, ?, $2",
    "SELECT regexp_replace('a', '^(a)$', '$1')",
    "SELECT $$ $x {x} $$, $t$ $x $t$",
    "SELECT 1 -- $x {x}\n/* $x {x} */ + 1",
    "SELECT j->>'$.x', '$nowhere', '{nowhere}', \"$nowhere\"",
    "SELECT a LIKE '$_%' OR a = '{In}'",
    "PREPARE q AS SELECT $x",
    "SELECT 'not closed $x",
]


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_what_is_duckdbs_own_stays(sql: str) -> None:
    assert filled(sql) == Bound(sql, {})


@given(st.text(alphabet="abx$'\"{}; \n-", max_size=40))
def test_a_text_without_variables_stays_or_is_refused(sql: str) -> None:
    try:
        filled_in = bind(put_texts(sql, {}), {})
    except ProgrammingError as error:
        assert str(error).startswith("there is no variable")  # noqa: PT017 - or it stays
    else:
        assert filled_in == Bound(sql, {})


# --- what is filled in ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "text", "parameters"),
    [
        ("SELECT $x + $x", "SELECT $x + $x", {"x": 5}),
        ("WHERE a = $text", "WHERE a = $text", {"text": "it's"}),
        ("OPTIONS (audio_col=$text)", "OPTIONS (audio_col=$text)", {"text": "it's"}),
        ("LIMIT $x", "LIMIT $x", {"x": 5}),
        ("a IN $words", "a IN $words", {"words": ["a", "b"]}),
        ("a IN ($words)", "a IN (SELECT unnest($words))", {"words": ["a", "b"]}),
        ("a IN ($x)", "a IN ($x)", {"x": 5}),
        ("a IN ($day)", "a IN ($day)", {"day": NAMES["day"]}),
        ("SELECT DATE $text", "SELECT DATE 'it''s'", {}),
        ("ALTER TABLE t ADD c INT DEFAULT $x", "ALTER TABLE t ADD c INT DEFAULT 5", {}),
        ("a IS DISTINCT FROM $x", "a IS DISTINCT FROM $x", {"x": 5}),
        ("SELECT extract(year FROM $day)", "SELECT extract(year FROM $day)", {"day": NAMES["day"]}),
        ("PREDICT USING $model AS", 'PREDICT USING "m@3" AS', {}),
        ("BUILD MODEL $model USING", 'BUILD MODEL "m@3" USING', {}),
        ("SELECT * FROM $table", 'SELECT * FROM "main"."calls"', {}),
        ("INSERT INTO $odd", 'INSERT INTO "a""b c"', {}),
        ("ORDER BY $text", 'ORDER BY "it\'s"', {}),
        ("SELECT t.$text", 'SELECT t."it\'s"', {}),
        ("SELECT * FROM $path", "SELECT * FROM 'data/calls.csv'", {}),
        ("COPY t FROM $text", "COPY t FROM 'it''s'", {}),
        ("SELECT * FROM $frame", "SELECT * FROM frame", {}),
        ("SELECT 'so $text', \"$odd\"", "SELECT 'so it''s', \"a\"\"b c\"", {}),
        ("SELECT '{text}/{words[0]}'", "SELECT 'it''s/a'", {}),
        ("SELECT '$$x {{x}} $$nowhere'", "SELECT '$x {x} $$nowhere'", {}),
        ("SELECT {x} + 1", "SELECT 5 + 1", {}),
        ('SELECT {row["a"][1]["b"]}, {words[-1]}', "SELECT 2, b", {}),
        ("{query}", "SELECT 1; SELECT 2", {}),
        ("  $query ", "SELECT 1; SELECT 2", {}),
        ("CREATE VIEW v AS SELECT $text", "CREATE VIEW v AS SELECT 'it''s'", {}),
        ("CREATE OR REPLACE MACRO f(a) AS a + $x", "CREATE OR REPLACE MACRO f(a) AS a + 5", {}),
        ("CREATE TABLE t AS SELECT view, $x", "CREATE TABLE t AS SELECT view, $x", {"x": 5}),
        ("create temp view v as select $x", "create temp view v as select 5", {}),
        ("PRINT AUDIO AS SELECT $text", "PRINT AUDIO AS SELECT 'it''s'", {}),
        ("SELECT INTERVAL $x DAY", "SELECT INTERVAL 5 DAY", {}),
    ],
)
def test_a_name_becomes_what_may_stand_there(
    sql: str, text: str, parameters: dict[str, Any]
) -> None:
    assert filled(sql) == Bound(text, parameters)


@given(st.text(max_size=20))
def test_a_value_between_quotes_stays_between_them(value: str) -> None:
    if "\0" in value or not value.isprintable():
        return
    names = {"v": value}
    with thanosql_dbapi.connect() as connection:
        sql = bind(put_texts("SELECT '<$v>', '<{v}>', $v", names), names)
        row = connection.execute(sql.text, sql.parameters).fetchone()
    assert row == (f"<{value}>", f"<{value}>", value)


@pytest.mark.parametrize("sql", ["SELECT $nowhere", "SELECT {nowhere}", "SELECT * FROM $tabel"])
def test_an_unknown_name_is_told(sql: str) -> None:
    with pytest.raises(ProgrammingError, match="there is no variable '(nowhere|tabel)'"):
        filled(sql)


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(ProgrammingError, match="Did you mean 'table'"):
        filled("SELECT $tabel")


def test_nothing_is_called() -> None:
    class Trap:
        def __call__(self) -> None:
            raise AssertionError

    assert put_texts("SELECT {trap()}", {"trap": Trap()}) == "SELECT {trap()}"
    with pytest.raises(ProgrammingError, match="a name, attributes and indices"):
        put_texts("SELECT {words[exit()]}", NAMES)


def test_a_frame_is_no_text_and_no_value() -> None:
    with pytest.raises(ProgrammingError, match="SELECT \\* FROM frame"):
        filled("SELECT '{frame}'")
    with pytest.raises(ProgrammingError, match="a DataFrame, and no value"):
        filled("SELECT $frame")


# --- values ---------------------------------------------------------------------------------

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001 - SQL's TIMESTAMP has no zone
VALUES = [
    None,
    True,
    -3,
    2.5,
    Decimal("1.50"),
    "it's\n\"",
    b"\x00'\xff",
    dt.date(2026, 1, 2),
    MOMENT,
    dt.time(3, 4, 5),
    dt.timedelta(days=1, microseconds=5),
    uuid.UUID(int=5),
    [1, 2],
    ["a'b"],
    {"a": 1, "b": "c"},
]


class Choice(enum.Enum):
    FIRST = "first"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_literal_is_the_value_that_a_parameter_is(value: Any) -> None:
    with thanosql_dbapi.connect() as connection:
        bound = connection.execute("SELECT $v", {"v": plain("v", value)}).fetchone()
        written = connection.execute(f"SELECT {literal('v', value)}").fetchone()
    assert bound == written == (value,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.datetime64("2026-01-02T03:04:05.000678", "ns"), MOMENT),
        (np.array([1, 2]), [1, 2]),
        (pd.Timestamp(MOMENT), MOMENT),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series(["a", None]), ["a", None]),
        (np.array([MOMENT, None], "datetime64[ns]"), [MOMENT, None]),
        (np.array(["2026-01-02"], "datetime64[D]"), [dt.date(2026, 1, 2)]),
        (np.timedelta64(5000, "ns"), dt.timedelta(microseconds=5)),
        (pd.DatetimeIndex([MOMENT]), [MOMENT]),
        (pd.array([pd.Timestamp(MOMENT)]), [MOMENT]),
        (pd.Categorical(["a", None]), ["a", None]),
        (polars.Series([1, None]), [1, None]),
        (Choice.FIRST, "first"),
        (memoryview(b"x"), b"x"),
        (("a", np.int8(1)), ["a", 1]),
        (range(3), [0, 1, 2]),
        (Path("a/b"), "a/b"),
    ],
    ids=str,
)
def test_values_of_numpy_and_pandas_are_pythons(value: Any, expected: Any) -> None:
    got = plain("v", value)
    assert got == expected
    assert type(got) is type(expected)


def test_what_sql_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(ProgrammingError, match="the variable 'v' is a object, and no value"):
        plain("v", object())
    with pytest.raises(ProgrammingError, match="the variable 'v' is a object, and no value"):
        bind("SELECT 1 IN ($v)", {"v": object()})


def test_a_decimal_that_is_no_number_can_be_written() -> None:
    with thanosql_dbapi.connect() as connection:
        row = connection.execute(f"SELECT isnan({literal('v', Decimal('NaN'))})").fetchone()
    assert row == (True,)


# --- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM frame", {"frame"}),
        ("SELECT * FROM t JOIN frame USING (a)", {"frame"}),
        ('SELECT * FROM t, "frame"', {"frame"}),
        ("SELECT frame FROM t", set()),
        ("SELECT * FROM other.frame", set()),
        ("SELECT * FROM frame.calls", set()),
        ("SELECT 'FROM frame' -- FROM frame", set()),
        ("SELECT * FROM taken", set()),
        ("SELECT * FROM seen", set()),
        ("TABLE frame", {"frame"}),
        ("DROP TABLE frame", set()),
        ("CREATE TEMP TABLE frame (a INT)", set()),
        ("CREATE TABLE frame AS SELECT * FROM frame", {"frame"}),
    ],
)
def test_a_frame_is_read_where_no_table_has_its_name(
    connection: Connection, sql: str, expected: set[str]
) -> None:
    connection.execute("CREATE TABLE Taken (a INT); CREATE TEMP VIEW seen AS SELECT 1 AS a")
    connection.execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.frame (a INT)")
    names = {**NAMES, "taken": NAMES["frame"], "seen": NAMES["frame"]}
    assert set(frames(sql, names, connection)) == expected
