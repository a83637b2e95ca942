"""An error of DuckDB's points into the statement that the user wrote."""

from __future__ import annotations

import pytest

from thanosql_dbapi import Connection, Error
from thanosql_dbapi.places import cells, duckdb_place


def shown(connection: Connection, sql: str) -> list[str]:
    with pytest.raises(Error) as raised:
        connection.execute(sql).fetchall()
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("sql", "line", "at"),
    [
        ("SELECT * FROM (PREDICT USING m AS FROM t) WHERE predcted = 'a'", 1, "predcted"),
        ("SELECT *\nFROM (PREDICT USING m AS FROM t)\nJOIN nowhere USING (id)", 3, "nowhere"),
        ("SELECT '한국어', missing\nFROM (PREDICT USING m AS FROM t)", 1, "missing"),
        ("SELECT id FROM (PREDICT USING m AS\n FROM t) p\n\tWHERE q.id = 1", 3, "q.id"),
    ],
)
def test_it_points_to_what_was_written(
    connection: Connection, sql: str, line: int, at: str
) -> None:
    *_, written, caret = shown(connection, sql)
    text = sql.splitlines()[line - 1]
    assert written == f"LINE {line}: {text}"
    before = written[: written.index(at)]
    assert cells(caret.rstrip("^")) == cells(before)
    assert caret.endswith("^")


def test_sql_that_nobody_wrote_is_not_shown(connection: Connection) -> None:
    sql = "SELECT id + id FROM (PREDICT USING m AS FROM t) GROUP BY predicted"
    assert "__q" not in "\n".join(shown(connection, sql))


def test_plain_sql_keeps_duckdbs_own_words(connection: Connection) -> None:
    lines = shown(connection, "SELECT nothing FROM t")
    assert lines[-2:] == ["LINE 1: SELECT nothing FROM t", "               ^^^^^^^"]


def test_a_word_that_stands_twice_is_not_guessed() -> None:
    message = "no a\n\nLINE 1: ) AS x WHERE a = b)\n                     ^"
    assert duckdb_place(message, "SELECT a, a") is None
    assert duckdb_place(message, "SELECT a, b") == ("no a", 0, "SELECT a, b", 7)
    assert duckdb_place("no place", "SELECT a") is None
