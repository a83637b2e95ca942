"""The sqlglot dialect `thanosql`: DuckDB's, and the model statements, parsed and printed anew.

Tools that read SQL before a driver sees it load this module by sqlglot's entry point; the driver
never does. Where a statement of ours stands is asked of the language's own parser, so that both
agree; everything else is left to sqlglot's DuckDB dialect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser

from ..exceptions import ThanoSQLSyntaxError
from ..quoting import quote_text
from . import parse
from .expressions import (
    OPAQUE,
    MediaFacts,
    ModelCommand,
    ModelQuery,
    Options,
    StoredQuery,
    Written,
    is_result,
    result,
)
from .generator import Generator
from .statements import (
    BuildModel,
    Command,
    CopyTable,
    DeleteModel,
    Evaluate,
    FitModel,
    GetAsset,
    ListKind,
    ListObjects,
    Option,
    Placeholder,
    Predict,
    PrintMedia,
    Query,
    Relation,
    Script,
    Search,
    Span,
    Sql,
    UploadModel,
)

_Node: TypeAlias = ModelQuery | ModelCommand | MediaFacts

_LISTED: Mapping[ListKind, tuple[str, ...]] = {
    ListKind.TABLE: ("table_name",),
    ListKind.MODEL: ("name", "class_name", "last_updated_utc", "published"),
    ListKind.THANOSQL_MODEL: ("name", "class_name", "last_updated_utc"),
    ListKind.THANOSQL_DATASET: ("name", "data_type"),
}
_WORD = re.compile(r"\w+|.?")
_RESULT_OPTIONS = ("result_col", "column_name")
#: The columns that a PREDICT adds where an option names them, in their order.
_MORE_RESULTS = ("score_col", "words_col", "error_col")
#: The columns of an EVALUATE: of each metric, with `against` more of them, or of each utterance.
_METRIC = ("metric", "score")
_AGAINST = ("against", "difference", "difference_low", "difference_high", "p_value")
_UTTERANCE = (
    *("reference", "hypothesis", "words", "substitutions", "insertions", "deletions"),
    *("errors", "wer", "alignment"),
)


class Parser(DuckDBParser):
    """sqlglot's DuckDB parser, told where the statements of ours begin."""

    def parse(self, raw_tokens: list[Token], sql: str) -> list[Any]:
        """Parse a script. Raises `ParseError`, with the language's own message for what is ours."""
        try:
            trees: list[Any] = super().parse(raw_tokens, sql)
        except ParseError:
            if self._misfit is not None:
                raise _parse_error(self._misfit, sql) from self._misfit
            raise
        # A lone condition is no statement: in `search LIKE 'a%'` the first word is a column.
        if self._misfit is not None and not all(isinstance(t, exp.Condition) for t in trees if t):
            raise _parse_error(self._misfit, sql) from self._misfit
        return trees

    def _parse(
        self, parse_method: Callable[..., Any], raw_tokens: list[Token], sql: str | None = None
    ) -> list[Any]:
        self._misfit: ThanoSQLSyntaxError | None = None
        self._ours: dict[int, Relation | Command] = {}
        try:
            script = parse(sql or "")
        except ThanoSQLSyntaxError as error:
            self._misfit = error
        else:
            self._ours = {found.span.start: found for found in _outermost_first(script)}
        return super()._parse(parse_method, [self._marked(t) for t in raw_tokens], sql)

    def _marked(self, token: Token) -> Token:
        """Return a relation's first token as a SELECT: one may stand where the other may."""
        if not isinstance(self._ours.get(token.start), Relation):
            return token
        place = (token.line, token.col, token.start, token.end)
        return Token(TokenType.SELECT, token.text, *place, token.comments)

    def _parse_statement(self) -> Any:
        found = self._ours.get(self._curr.start) if self._curr else None
        if isinstance(found, Command):
            return self._command(found)
        table = _stored_as(found) if self._index == 0 else None
        tree = super()._parse_statement()
        if table is None:
            return tree
        return StoredQuery(kind="TABLE", this=table, replace=True, expression=tree)

    def _parse_select_query(
        self,
        nested: bool = False,
        table: bool = False,
        parse_subquery_alias: bool = True,
        parse_set_operation: bool = True,
    ) -> Any:
        found = self._ours.get(self._curr.start) if self._curr else None
        if not isinstance(found, Relation):
            return super()._parse_select_query(
                nested, table, parse_subquery_alias, parse_set_operation
            )
        query = self._listing(found) if isinstance(found, ListObjects) else self._relation(found)
        return self._parse_set_operations(query) if parse_set_operation else query

    def _parse_recursive_with_search(self) -> Any:
        # A clause of this name, of other databases, may end a WITH too.
        if self._curr and self._curr.start in self._ours:
            return None
        return super()._parse_recursive_with_search()

    # Statements

    def _relation(self, found: Any) -> ModelQuery:
        node = ModelQuery(
            kind=OPAQUE, verb=type(found).__name__.upper(), model=self._written(found.model.span)
        )
        options = found.options
        if isinstance(found, Search):
            node.set("verb", f"SEARCH {found.kind.value.upper()}")
            if options and options[0].span.end < found.model.span.start:
                node.set("sought", self._written(options[0].span))
                options = options[1:]
        node.set("model_options", self._options(options))
        query = self._query_into(node, found.query, found.options)
        inner = query.unnest() if isinstance(query, exp.Subquery) else query
        if type(inner) is exp.Select:
            inner.set("kind", OPAQUE)
        node.set("expressions", _projections(found))
        node.set("results", [p.alias for p in node.expressions if is_result(p)])
        node.set("from_", exp.From(this=exp.Subquery(this=query)))
        return node

    def _listing(self, found: ListObjects) -> ModelQuery:
        columns = [result(name, reads_all=False) for name in _LISTED[found.kind]]
        verb = f"LIST {found.kind.value.upper().replace('_', ' ')}"
        node = ModelQuery(
            kind=OPAQUE, verb=verb, expressions=columns, results=[c.alias for c in columns]
        )
        self._skip_to(found.span.end, node)
        listed: ModelQuery = self._parse_query_modifiers(node)
        return listed

    def _command(self, found: Command) -> ModelCommand | MediaFacts:
        match found:
            case BuildModel():
                node = self._model_command("BUILD MODEL", found, base=found.base)
            case FitModel():
                node = self._model_command("FIT MODEL", found, base=found.model)
            case GetAsset():
                verb = f"GET THANOSQL {found.kind.value.upper()}"
                node = self._model_command(verb, found, new_name=found.new_name)
            case UploadModel():
                node = self._model_command("UPLOAD MODEL", found)
                node.set("source", self._source(found.source))
            case DeleteModel():
                node = self._model_command("DELETE MODEL", found)
            case CopyTable():
                return self._copy_table(found)
            case PrintMedia():
                verb = f"PRINT {found.kind.value.upper()}"
                facts = MediaFacts(verb=verb, model_options=self._options(found.options))
                facts.set("this", self._query_into(facts, found.query, found.options))
                return facts
        if isinstance(found, BuildModel | FitModel):
            node.set("expression", self._query_into(node, found.query, found.options))
        self._skip_to(found.span.end, node)
        return node

    def _model_command(self, verb: str, found: Any, **names: Any) -> ModelCommand:
        node = ModelCommand(verb=verb, kind="MODEL", this=self._written(found.name.span))
        node.set("model_options", self._options(getattr(found, "options", ())))
        for key, name in names.items():
            node.set(key, name and self._written(name.span))
        return node

    def _copy_table(self, found: CopyTable) -> ModelCommand:
        node = ModelCommand(verb="COPY", kind="TABLE", source=self._source(found.source))
        self._skip_to(found.table.span.start, node)
        node.set("this", self._parse_table_parts(schema=True))
        options = Options(expressions=[self._written(option.span) for option in found.options])
        node.set("model_options", options if found.has_options else None)
        self._skip_to(found.span.end, node)
        return node

    # Clauses

    def _query_into(self, node: _Node, query: Query, options: Sequence[Option]) -> Any:
        """Skip to the query, whose comments before it go to the node, and parse it to its end."""
        self._skip_to(query.span.start, node, options)
        tree = self._parse_statement()
        if tree is None or (self._curr and self._curr.start < query.span.end):
            self.raise_error("Invalid expression / Unexpected token")
        return tree

    def _skip_to(self, position: int, node: _Node, options: Sequence[Option] = ()) -> None:
        while self._curr and self._curr.start < position:
            # An option keeps its text, and the comments in it.
            if not any(o.span.start <= self._curr.start < o.span.end for o in options):
                node.add_comments(self._curr.comments)
            self._advance()

    def _options(self, options: Sequence[Option]) -> Options | None:
        texts = [self._written(option.span) for option in options]
        return Options(expressions=texts) if texts else None

    def _source(self, source: str | Placeholder) -> Written:
        if isinstance(source, str):
            return Written(this=quote_text(source))
        return self._written(source.span)

    def _written(self, span: Span) -> Written:
        return Written(this=self.sql[span.start : span.end])


def _outermost_first(script: Script | None) -> Iterator[Relation | Command]:
    for statement in script.statements if script else ():
        if isinstance(statement, Sql):
            yield from _relations(statement.query)
        else:
            yield statement
            yield from _relations(getattr(statement, "query", None))


def _relations(query: Query | None) -> Iterator[Relation]:
    for relation in query.relations if query else ():
        yield relation
        yield from _relations(getattr(relation, "query", None))


def _projections(found: Any) -> list[exp.Expression]:
    if isinstance(found, Evaluate):
        return _evaluated(found)
    given = {o.name: o.value for o in found.options if isinstance(o.value, str)}
    first = next((given[name] for name in _RESULT_OPTIONS if name in given), None)
    if isinstance(found, Predict):
        first = first or "predicted"
    names = [first, *(given.get(option) for option in _MORE_RESULTS)]
    return [exp.Star(), *(result(name, reads_all=True) for name in names if name)]


def _evaluated(found: Evaluate) -> list[exp.Expression]:
    given = {option.name: option.value for option in found.options}
    if given.get("detail") is True:
        return [exp.Star(), *(result(name, reads_all=True) for name in _UTTERANCE)]
    by = given.get("by")
    named = (name for name in (by if isinstance(by, tuple) else (by,)) if isinstance(name, str))
    groups = list({name.casefold(): name for name in named if name}.values())
    names = (*groups, *_METRIC, *(_AGAINST if given.get("against") else ()))
    return [result(name, reads_all=True) for name in names]


def _stored_as(found: Relation | None) -> exp.Table | None:
    """Return the table that a PREDICT is stored as too, where it is a statement of its own."""
    for option in found.options if isinstance(found, Predict) else ():
        if option.name == "table_name" and option.value:
            name = option.value if isinstance(option.value, str) else ""
            return exp.Table(this=exp.Identifier(this=name, quoted=True))
    return None


def _parse_error(misfit: ThanoSQLSyntaxError, sql: str) -> ParseError:
    line, start = sql.split("\n")[misfit.line - 1], misfit.column - 1
    word = _WORD.match(line, start)
    end = word.end() if word else start
    return ParseError.new(
        str(misfit),
        description=str(misfit).partition("\n")[0],
        line=misfit.line,
        col=misfit.column,
        start_context=line[:start],
        highlight=line[start:end],
        end_context=line[end:],
    )


def _refuse_compiled_build() -> None:
    try:
        Parser()
        Generator()
        ModelQuery()
    except TypeError as error:
        raise SqlglotError(
            "The sqlglot dialect 'thanosql' needs sqlglot's build in pure Python, because the"
            " parser of the compiled build allows no subclass: pip uninstall sqlglotc."
        ) from error


# Before the Dialect below, because a class of that kind registers itself.
_refuse_compiled_build()


class ThanoSQL(DuckDB):
    """DuckDB's dialect with the model statements."""

    Parser = Parser
    Generator = Generator
