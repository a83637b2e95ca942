"""Shorthands for what tests of the language look at."""

from __future__ import annotations

from thanosql_dbapi.language import parse
from thanosql_dbapi.language.statements import Predict, Relation, Script, Span, Sql, Statement


def script(sql: str) -> Script:
    parsed = parse(sql)
    assert parsed is not None
    return parsed


def only(sql: str) -> Statement:
    statements = script(sql).statements
    assert len(statements) == 1
    return statements[0]


def relations(sql: str) -> tuple[Relation, ...]:
    statement = only(sql)
    assert isinstance(statement, Sql)
    return statement.query.relations


def predict(sql: str) -> Predict:
    found = relations(sql)[0]
    assert isinstance(found, Predict)
    return found


def text(sql: str, span: Span) -> str:
    return sql[span.start : span.end]
