"""Relations stand wherever a query may, and know which common tables they may name."""

from __future__ import annotations

import pytest
from parsing import only, predict, relations, script, text

from thanosql_dbapi.language.statements import (
    CommonTable,
    Placeholder,
    Predict,
    Span,
    Sql,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("(", ")"),
        ("SELECT * FROM (", ") WHERE a"),
        ("SELECT * FROM a JOIN (", ") p USING (id)"),
        ("SELECT * FROM a, LATERAL (", ")"),
        ("WITH p AS (", ") FROM p"),
        ("WITH p(a) AS NOT MATERIALIZED (", ") FROM p"),
        ("WITH p AS (FROM t) ", ""),
        ("CREATE TABLE x AS ", ""),
        ("CREATE OR REPLACE TEMP TABLE IF NOT EXISTS a.x AS (", ")"),
        ("CREATE VIEW x(a, b) AS ", ""),
        ("CREATE MACRO x(a, b := 1) AS TABLE ", ""),
        ("PREPARE x AS ", ""),
        ("INSERT INTO x ", ""),
        ("INSERT OR IGNORE INTO a.x (b, c) ", ""),
        ("INSERT INTO x AS y BY NAME ", ""),
        ("INSERT INTO x BY POSITION (", ")"),
        ("INSERT INTO x (", ")"),
        ("WITH a AS (FROM t) INSERT INTO x ", ""),
        ("COPY (", ") TO 'x'"),
        ("SELECT 1 UNION ", ""),
        ("SELECT 1 UNION ALL BY NAME ", ""),
        ("SELECT 1 EXCEPT DISTINCT ", ""),
        ("SELECT 1 INTERSECT (", ") ORDER BY 1"),
        ("SELECT EXISTS (", ")"),
        ("SELECT a IN (", ")"),
        ("SELECT 1 + (", ")"),
        ("SELECT ARRAY(", ")"),
        ("SELECT f(1, (", "))"),
        ("SELECT CASE WHEN a THEN (", ") END"),
        ("EXPLAIN ", ""),
        ("EXPLAIN ANALYZE ", ""),
        ("EXPLAIN (FORMAT json) ", ""),
        ("EXPLAIN CREATE TABLE x AS ", ""),
        ("DESCRIBE ", ""),
        ("SUMMARIZE (", ")"),
        ("PIVOT (", ") ON a"),
        ("MERGE INTO t USING (", ") s ON true WHEN MATCHED THEN DELETE"),
        ("SET VARIABLE x = (", ")"),
        ("SELECT 'é👍', \"(\" FROM (", ") -- )"),
    ],
)
@pytest.mark.parametrize(
    "relation",
    [
        "PREDICT USING m OPTIONS (a=')') AS SELECT * FROM t",
        "EVALUATE USING m AS (FROM t)",
        "SEARCH TEXT USING m AS FROM t",
        "LIST MODEL",
        "LIST THANOSQL DATASET",
    ],
)
def test_relation_stands_where_a_subquery_stands(before: str, after: str, relation: str) -> None:
    sql = f"{before}{relation}{after}"
    assert [text(sql, r.span) for r in relations(sql)] == [relation]


def test_query_of_a_relation_reaches_to_the_end_of_its_level() -> None:
    sql = "FROM (PREDICT USING m AS SELECT 1 UNION SELECT (2) ORDER BY 1 LIMIT 3) LIMIT 1; SELECT 4"
    found = script(sql).statements[0]
    assert isinstance(found, Sql)
    first = found.query.relations[0]
    assert isinstance(first, Predict)
    assert text(sql, first.query.span) == "SELECT 1 UNION SELECT (2) ORDER BY 1 LIMIT 3"


def test_relations_nest() -> None:
    sql = "PREDICT USING a AS (PREDICT USING b AS SELECT * FROM (LIST MODEL), (LIST TABLE))"
    outer = predict(sql)
    inner = outer.query.relations[0]
    assert isinstance(inner, Predict)
    assert text(sql, outer.query.span) == sql[len("PREDICT USING a AS ") :]
    assert [text(sql, r.span) for r in inner.query.relations] == [
        "LIST MODEL",
        "LIST TABLE",
    ]


def test_trailing_comment_is_no_part_of_a_query() -> None:
    sql = "PREDICT USING m AS FROM t -- all of it"
    assert text(sql, predict(sql).query.span) == "FROM t"


def test_deep_parentheses_need_no_stack() -> None:
    sql = "SELECT " + "(" * 5000 + "PREDICT USING m AS FROM t" + ")" * 5000
    assert len(relations(sql)) == 1


@pytest.mark.parametrize(
    ("sql", "explains"),
    [
        ("EXPLAIN LIST MODEL", True),
        ("EXPLAIN (FORMAT json) LIST MODEL", True),
        ("EXPLAIN (ANALYZE false) LIST MODEL", True),
        ("EXPLAIN ANALYZE LIST MODEL", False),
        ("EXPLAIN (ANALYZE, FORMAT json) LIST MODEL", False),
        ("LIST MODEL", False),
    ],
)
def test_explain_runs_nothing_unless_it_analyzes(sql: str, explains: bool) -> None:
    statement = only(sql)
    assert isinstance(statement, Sql)
    assert statement.explains is explains


# Common tables in sight


def visible(sql: str, common: tuple[CommonTable, ...]) -> list[str]:
    return [text(sql, table.query.span) for table in common]


def test_relation_sees_the_common_tables_before_it() -> None:
    sql = (
        "WITH a AS (FROM t), b (x, y) AS MATERIALIZED (PREDICT USING m AS FROM a) "
        "SELECT * FROM (PREDICT USING n AS FROM b), (WITH c AS (FROM b) SELECT (LIST MODEL))"
    )
    first, second, third = relations(sql)
    a, b, c = (
        "a AS (FROM t)",
        sql[sql.index("b (x") : sql.index(" SELECT")],
        "c AS (FROM b)",
    )
    assert visible(sql, first.visible) == [a]
    assert visible(sql, second.visible) == [a, b]
    assert visible(sql, third.visible) == [a, b, c]
    assert second.visible[1].query.relations == (first,)


def test_common_table_of_an_inner_query_is_out_of_sight_outside() -> None:
    sql = "FROM (WITH a AS (FROM t) FROM a) JOIN (PREDICT USING m AS FROM t) USING (id)"
    assert predict(sql).visible == ()


def test_query_of_a_relation_brings_its_own_common_tables() -> None:
    sql = (
        "WITH a AS (FROM t) PREDICT USING m AS WITH b AS (FROM a) FROM (PREDICT USING n AS FROM b)"
    )
    outer = predict(sql)
    inner = outer.query.relations[0]
    assert visible(sql, outer.visible) == ["a AS (FROM t)"]
    assert visible(sql, inner.visible) == ["a AS (FROM t)", "b AS (FROM a)"]


def test_recursive_common_table_is_marked() -> None:
    sql = (
        "WITH RECURSIVE r(a) USING KEY (a) AS (SELECT ? UNION FROM r) "
        "FROM (PREDICT USING m AS FROM r)"
    )
    table = predict(sql).visible[0]
    assert table.recursive
    assert table.query.placeholders == (
        Placeholder(1, Span(sql.index("?"), sql.index("?") + 1), positional=True),
    )


def test_insert_and_create_keep_the_common_tables() -> None:
    sql = "WITH a AS (FROM t) INSERT INTO x PREDICT USING m AS FROM a"
    assert visible(sql, predict(sql).visible) == ["a AS (FROM t)"]
    sql = "CREATE TABLE x AS WITH a AS (FROM t) PREDICT USING m AS FROM a"
    assert visible(sql, predict(sql).visible) == ["a AS (FROM t)"]
