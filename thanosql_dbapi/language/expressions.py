"""The model statements as expressions of sqlglot, for tools that read SQL by it.

A relation is a Select from the query that it reads, so a tool finds tables, columns and limits
where it looks for them. A command that changes something is a Create, so a tool that only lets
reading through stops it. Names and options stay the texts that were written. Nothing here knows
how a text is parsed or printed.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

# A column that the statement makes. Optimisers take an unknown function for one that may return
# several rows: they move no filter below it, and drop nothing that it reads.
_RESULT = "__thanosql_result"
# An optimiser that merges a query into another leaves alone a SELECT of a kind. DuckDB has no
# kinds, so it is never printed.
OPAQUE = "RELATION"


class _Printed(exp.Expression):
    """An expression that one dialect alone can print."""

    def __str__(self) -> str:
        return self.sql("thanosql")


class Written(_Printed):
    """A name, an option or a path, the text as it was written."""

    # Two are told apart by case, as a path and the name of a base model are.
    _hash_raw_args: ClassVar[bool] = True


class Options(_Printed):
    """`OPTIONS (…)`, each option a `Written`."""

    arg_types: ClassVar[dict[str, bool]] = {"expressions": False}


class ModelQuery(_Printed, exp.Select):
    """`verb [sought] [USING model] [OPTIONS (…)] [AS query]`: a relation.

    The query is the Subquery of its FROM. Its projections are the query's columns as a star, and
    the `results` that the statement adds or, for EVALUATE and LIST, has instead.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        **exp.Select.arg_types,
        "verb": True,
        "sought": False,
        "model": False,
        "model_options": False,
        "results": False,
    }


class StoredQuery(_Printed, exp.Create):
    """A PREDICT whose option `table_name` stores the result as a table too, replacing it."""


class ModelCommand(_Printed, exp.Create):
    """`verb this [USING base] [OPTIONS (…)] [FROM source] [AS new_name] [AS expression]`."""

    arg_types: ClassVar[dict[str, bool]] = {
        **exp.Create.arg_types,
        "verb": True,
        "base": False,
        "model_options": False,
        "source": False,
        "new_name": False,
    }


class MediaFacts(_Printed, exp.Describe):
    """`verb [OPTIONS (…)] AS this`: a PRINT, which only reads and is no query."""

    arg_types: ClassVar[dict[str, bool]] = {
        **exp.Describe.arg_types,
        "verb": True,
        "model_options": False,
    }


def result(name: str, *, reads_all: bool) -> exp.Alias:
    """Return a projection for a column that the statement makes, from all of its query or none."""
    column = exp.to_identifier(name)
    made = exp.Anonymous(this=_RESULT, expressions=[column, exp.Star()] if reads_all else [column])
    return exp.Alias(this=made, alias=column.copy())


def is_result(expression: exp.Expr) -> bool:
    """Tell whether an expression, or what an alias names, is a column that the statement makes."""
    made = expression.unalias()
    return isinstance(made, exp.Anonymous) and made.name == _RESULT
