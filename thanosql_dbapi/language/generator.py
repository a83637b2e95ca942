"""The model statements printed, by sqlglot's DuckDB generator.

It prints what a tool has made of a statement too: a limit, a filter or a choice of columns stands
around it, since the query of a relation reaches to the end of its text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

from .expressions import (
    MediaFacts,
    ModelCommand,
    ModelQuery,
    Options,
    StoredQuery,
    Written,
    is_result,
)

_Statement: TypeAlias = ModelQuery | ModelCommand | MediaFacts

_PARTS = frozenset(
    {"verb", "sought", "model", "model_options", "results", "kind", "expressions", "from_"}
)


class Generator(DuckDBGenerator):
    """DuckDB's SQL, and the model statements."""

    TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[[Any, Any], str]]] = {
        **DuckDBGenerator.TRANSFORMS,
        ModelQuery: lambda self, node: self.model_query(node),
        ModelCommand: lambda self, node: self.statement(node, self.sql(node, "expression")),
        StoredQuery: lambda self, node: self.sql(node, "expression"),
        MediaFacts: lambda self, node: self.statement(node, self.sql(node, "this")),
        Options: lambda self, node: f"OPTIONS ({self.expressions(node, flat=True)})",
        Written: lambda _, node: node.this,
    }

    def model_query(self, node: ModelQuery) -> str:
        """Return a relation, below whatever a tool has put on it."""
        if isinstance(node.parent, exp.SetOperation):
            return self.sql(exp.Subquery(this=node.copy()))
        modifiers = {k: v for k, v in node.args.items() if v and k not in _PARTS}
        if modifiers.keys() <= _own_modifiers(node) and _selects_all(node):
            sql = self.statement(node, self._source(node))
            return self.prepend_ctes(node, self.query_modifiers(node, sql))
        return self.sql(_wrapped(node, modifiers))

    def statement(self, node: _Statement, query: str) -> str:
        """Return a statement with its query printed: all of them are made of the same clauses."""
        name = self.sql(node, "this" if isinstance(node, ModelCommand) else "sought")
        base = self.sql(node, "base") or self.sql(node, "model")
        source, new_name = self.sql(node, "source"), self.sql(node, "new_name")
        clauses = [
            " ".join(filter(None, [node.args["verb"], name, base and f"USING {base}"])),
            self.sql(node, "model_options"),
            source and f"FROM {source}",
            new_name and f"AS {new_name}",
            query and f"AS{self.sep()}{query}",
        ]
        return self.sep().join(filter(None, clauses))

    def anonymous_sql(self, expression: exp.Anonymous) -> str:
        """Return the call of an unknown function; a column that a statement makes, by its name."""
        if is_result(expression):
            return self.sql(expression.expressions[0])
        return super().anonymous_sql(expression)

    def _source(self, node: ModelQuery) -> str:
        clause = node.args.get("from_")
        if clause is None:
            return ""
        if isinstance(clause.this, exp.Subquery) and clause.this.args.keys() <= {"this", "alias"}:
            return self.sql(clause.this, "this")
        # An optimiser has made a common table of the query.
        return self.sql(exp.Select(expressions=[exp.Star()], from_=clause.copy()))


def _own_modifiers(node: ModelQuery) -> set[str]:
    """Return what may stand before the statement itself, or behind it, as a part of it."""
    return {"with_"} if node.args.get("from_") else {"with_", "order", "limit", "offset"}


def _selects_all(node: ModelQuery) -> bool:
    """Tell whether the projections are the statement's own, whether or not a star is expanded."""
    others = [p for p in node.expressions if not is_result(p)]
    if len(others) == 1 and isinstance(others[0], exp.Star) and not others[0].args.get("except_"):
        return True
    clause = node.args.get("from_")
    made = [p.alias.casefold() for p in node.expressions if is_result(p)]
    results = [name.casefold() for name in node.args["results"]]
    keeps_columns = node.args["verb"] != "EVALUATE" or "metric" not in results
    columns = clause.this.named_selects if clause is not None and keeps_columns else []
    return made == results and [p.alias_or_name for p in others] == columns


def _wrapped(node: ModelQuery, modifiers: Mapping[str, Any]) -> exp.Select:
    """Return a SELECT from the statement, with the modifiers and projections that are put on it."""
    inner = node.copy()
    inner.set("expressions", [exp.Star()])
    for key in modifiers:
        inner.set(key, None)
    clause = node.args.get("from_")
    alias = exp.to_identifier(clause.alias_or_name) if clause and clause.alias_or_name else None
    outer = node.copy()
    return exp.Select(
        expressions=_projections(outer),
        from_=exp.From(this=exp.Subquery(this=inner, alias=alias and exp.TableAlias(this=alias))),
        **{key: outer.args[key] for key in modifiers},
    )


def _projections(node: ModelQuery) -> list[exp.Expr]:
    """Return the projections as they are said of the statement from outside."""
    if _selects_all(node):
        return [exp.Star()]
    if any(isinstance(p, exp.Star) for p in node.expressions):
        return [p for p in node.expressions if not is_result(p)]
    return [exp.column(p.args["alias"]) if is_result(p) else p for p in node.expressions]
