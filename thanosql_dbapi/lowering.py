"""From relations to plain DuckDB SQL.

A model statement that returns rows becomes a query over a pure function, and DuckDB's optimiser
does the rest. Lowering runs nothing: what it must know of the database and the models (a query's
columns, a model's family) it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .exceptions import ColumnNotFound, ProgrammingError, nearest
from .language.statements import ListObjects, Option, Placeholder, Query, Relation, Span
from .parameters import Parameters
from .registry import Version

#: The name of a relation's query within the SQL made from it.
SOURCE = "__q"

ColumnsOf: TypeAlias = Callable[
    [str, "list[Any] | dict[str, Any] | None"], "Mapping[str, str] | None"
]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement may be lowered by.

    `columns_of` gives the columns of a query with their types, without running it, or None where
    the query cannot stand alone (a lateral one). `resolve` finds a model's version. `to_sql` has,
    for each class of relations, what turns one into SQL. `lowered` keeps each relation's SQL: one
    within another is asked for twice, for its columns and for itself.
    """

    text: str
    parameters: Parameters
    columns_of: ColumnsOf
    resolve: Callable[[str], Version]
    to_sql: Mapping[type, Callable[[Any, Scope], str]]
    lowered: dict[Span, str] = field(default_factory=dict)

    def option_values(self, options: Sequence[Option]) -> list[tuple[str, Any]]:
        """Return the options with their placeholders replaced."""
        return [(option.name, self.parameters.literal(option.value)) for option in options]

    def columns(self, relation: Relation, query: Query) -> Mapping[str, str] | None:
        """Return the columns of a relation's query with their types, as it stands."""
        return self.columns_of(*self.alone(relation, query))

    def alone(
        self, relation: Relation, query: Query
    ) -> tuple[str, list[Any] | dict[str, Any] | None]:
        """Return a relation's query as a statement, with the tables that it sees, and its values.

        A lateral one cannot stand alone: DuckDB will not know what it refers to.
        """
        tables = [lower(table.query, self) for table in relation.visible]
        recursive = "RECURSIVE " if any(t.recursive for t in relation.visible) else ""
        clause = f"WITH {recursive}{', '.join(tables)}\n" if tables else ""
        places = [p for table in relation.visible for p in placeholders(table.query)]
        return (
            f"{clause}SELECT * FROM (\n{lower(query, self)}\n)",
            self.parameters.bind([*places, *placeholders(query)]),
        )


def lower(query: Query, scope: Scope) -> str:
    """Return the query's text with each relation in it replaced by DuckDB SQL."""
    parts, position = [], query.span.start
    for relation in query.relations:
        parts += [scope.text[position : relation.span.start], lower_relation(relation, scope)]
        position = relation.span.end
    return "".join([*parts, scope.text[position : query.span.end]])


def lower_relation(relation: Relation, scope: Scope) -> str:
    """Return one relation as DuckDB SQL, in parentheses: an ORDER BY may follow it."""
    if relation.span not in scope.lowered:
        scope.lowered[relation.span] = f"({scope.to_sql[type(relation)](relation, scope)})"
    return scope.lowered[relation.span]


def source(query: Query, scope: Scope) -> str:
    """Return a relation's query as a FROM clause's item.

    It stands on lines of its own: it may end in a comment.
    """
    return f"(\n{lower(query, scope)}\n) AS {SOURCE}"


def placeholders(query: Query) -> list[Placeholder]:
    """Return the placeholders that stand in a query's text once it is lowered, in its order."""
    return sorted(_placeholders(query), key=lambda place: place.span.start)


def _placeholders(query: Query) -> Iterator[Placeholder]:
    yield from query.placeholders
    for relation in query.relations:
        if not isinstance(relation, ListObjects):
            yield from _placeholders(relation.query)


def pick_column(
    columns: Collection[str] | None, wanted: str, option: str, fallback: str | None = None
) -> str:
    """Return the column that an option names; `fallback` where that one alone is there.

    Raises:
        ColumnNotFound: the query has neither; the message names the nearest.
    """
    if columns is None:
        return wanted
    by_fold = {column.casefold(): column for column in columns}
    for name in (wanted, fallback):
        if name is not None and name.casefold() in by_fold:
            return by_fold[name.casefold()]
    raise ColumnNotFound(
        f"the query has no column '{wanted}' ({option}).{nearest(wanted, columns)}"
        f" Its columns: {', '.join(columns)}."
    )


def refuse_view_parameters(query: Query, scope: Scope) -> None:
    """Refuse a parameter in a view, which is stored as text and outlives every value.

    Raises:
        ProgrammingError: there is one.
    """
    words = scope.text[query.span.start : query.span.end].upper().split()
    if words[:1] == ["CREATE"] and "VIEW" in words[1:6] and placeholders(query):
        raise ProgrammingError(
            "a view is stored as text, so its query cannot hold a parameter:"
            " write the value into the statement"
        )
