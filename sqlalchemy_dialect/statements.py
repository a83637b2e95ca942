"""Statements beside SQLAlchemy's own: INSERT with ON CONFLICT, INSERT for pandas, and PREDICT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Double, String, column, exc, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import ClauseElement, ColumnClause
from sqlalchemy.sql.selectable import SelectBase, Subquery, TextualSelect
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from .types import LIST, STRUCT

OptionValue = str | int | float | bool | Sequence[str | int | float]


class Insert(sqlite.Insert):
    """INSERT with `on_conflict_do_update`, `on_conflict_do_nothing` and `excluded`.

    SQLite's construct says what DuckDB takes; the SQL is this dialect's.
    """

    stringify_dialect = "thanosql"
    inherit_cache = sqlite.Insert.inherit_cache


def insert(table: Any) -> Insert:
    """Return an INSERT that can say what happens ON CONFLICT."""
    return Insert(table)


def insert_rows(table: Any, connection: Any, keys: Sequence[str], rows: Iterable[Any]) -> int:
    """Insert the rows of a DataFrame: `frame.to_sql(name, engine, method=insert_rows)`.

    Three times as fast as pandas' own way, which makes a dictionary of each row and has
    SQLAlchemy take it apart again.
    """
    statement = sqlalchemy.insert(table.table)
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(keys))
    result = connection.exec_driver_sql(str(compiled), [tuple(row) for row in rows])
    count: int = result.rowcount
    return count


class Predict(ClauseElement):
    """The text of a PREDICT, over the query that it reads."""

    __visit_name__ = "predict"
    stringify_dialect = "thanosql"
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's form
        ("query", InternalTraversal.dp_clauseelement),
        ("using", InternalTraversal.dp_string),
        ("options", InternalTraversal.dp_plain_obj),
    ]

    def __init__(self, query: SelectBase, using: str, options: tuple[tuple[str, str], ...]) -> None:
        self.query = query
        self.using = using
        self.options = options


def predict(query: Any, using: str, *, name: str | None = None, **options: OptionValue) -> Subquery:
    """Return `PREDICT USING model AS query` as a FROM clause.

    Its columns are the query's and then the prediction, `predicted` (or `result_col`), and those
    that `score_col`, `words_col` and `error_col` name:

        calls = predict(select(table), using="voice_tiny", audio_col="path")
        select(calls.c.region, func.count()).where(calls.c.predicted.contains("refund"))

    Its `element` is the statement by itself, for `connection.execute`.

    Args:
        query: a SELECT, a table, or a mapped class.
        using: the model, `m` or `m@3`.
        name: the alias in the FROM clause; made up if not given.
        options: the statement's OPTIONS.

    Raises:
        ArgumentError: an option's name or value cannot stand in a statement.
    """
    selected = query if isinstance(query, SelectBase) else select(query)
    names = [getattr(c, "name", None) for c in selected.selected_columns]
    if None in names or len({*names}) < len(names):
        # As a FROM clause it has names of its own for columns of one name or none.
        selected = select(selected.subquery())
    given = tuple((option, _literal(option, value)) for option, value in options.items())
    # It takes its text as anything that compiles.
    words: Any = Predict(selected, using, given)
    columns = [*selected.selected_columns, *_results(options)]
    statement = TextualSelect(words, columns, positional=True)
    return statement.subquery(name)


def _results(options: Mapping[str, Any]) -> list[ColumnClause[Any]]:
    """Return the columns that a PREDICT with these options adds to its query's."""
    folded = {option.lower(): value for option, value in options.items()}
    name = folded.get("result_col") or folded.get("column_name") or "predicted"
    in_chunks = folded.get("return") == "chunks"
    first: TypeEngine[Any] = _timed("text") if in_chunks else String()
    more = {"score_col": Double(), "words_col": _timed("word"), "error_col": String()}
    added = [(folded[option], kind) for option, kind in more.items() if folded.get(option)]
    return [column(str(named), kind) for named, kind in [(name, first), *added]]


def _timed(said: str) -> TypeEngine[Any]:
    """Return the type of a list of stretches of speech, with their times in seconds."""
    return LIST(STRUCT({said: String(), "start_s": Double(), "end_s": Double(), "score": Double()}))


def _literal(option: str, value: Any) -> str:
    """Return an option's value as the statement has it."""
    if not option.isidentifier():
        raise exc.ArgumentError(f"'{option}' is no name of an option")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(option, item) for item in value)}]"
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return f"'{quoted}'"
    if not isinstance(value, int | float):
        raise exc.ArgumentError(
            f"{option}={value!r} is neither text nor number, nor a list of them"
        )
    return str(value).lower()  # true and false, too
