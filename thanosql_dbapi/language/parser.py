"""The tokens of one statement to a typed statement: each form of the language a short method.

What is not ours becomes an `Sql` and keeps its text. The parser resolves no name and judges no
option: whether a model exists, or takes `epochs`, is decided by those who run the statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ThanoSQLSyntaxError, nearest
from .clauses import (
    read_name,
    read_option,
    read_options,
    read_source,
    read_table,
)
from .cursor import Cursor, one_of
from .scanner import SET_OPERATIONS, Scan
from .statements import (
    BuildModel,
    Command,
    CommonTable,
    Convert,
    CopyTable,
    DeleteModel,
    Evaluate,
    FitModel,
    GetAsset,
    GetKind,
    ListKind,
    ListObjects,
    MediaKind,
    Name,
    Option,
    Predict,
    PrintMedia,
    Query,
    Relation,
    Search,
    SearchKind,
    Span,
    Sql,
    Statement,
    UploadModel,
)
from .tokens import STRINGS, VERB
from .verbs import DUCKDB_STATEMENTS, FOLLOWERS

if TYPE_CHECKING:
    from collections.abc import Callable

_QUERY_WORDS = (
    *("SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "PIVOT_WIDER", "PIVOT_LONGER"),
    *("UNPIVOT", "DESCRIBE", "DESC", "SUMMARIZE", "SHOW"),
)
_SHARED_RELATIONS: dict[str, type[Predict | Evaluate | Convert]] = {
    "PREDICT": Predict,
    "EVALUATE": Evaluate,
    "CONVERT": Convert,
}
_COMMANDS = frozenset({"BUILD", "FIT", "UPLOAD", "DELETE", "GET", "PRINT"})
_THANOSQL_LISTS = ("MODEL", "DATASET", "MODELS", "DATASETS")
_AFTER_LIST = SET_OPERATIONS | {")", "ORDER", "LIMIT", "OFFSET"}


class StatementParser:
    """The grammar of one statement."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def statement(self) -> Statement:
        """Read `statement = command | sql`."""
        cursor = self._cursor
        command = self._command()
        if command is not None:
            cursor.expect_end()
            self._refuse_unbalanced()
            return command
        self._refuse_near_miss()
        query = Scan(cursor, self, 0, cursor.size).query()
        if query.relations:
            self._refuse_unbalanced()
        return Sql(query, explains=self._explains())

    def _command(self) -> Command | None:
        verb = self._cursor.current.word
        if verb == "COPY":
            return self._copy() if self._opens_copy() else None
        if verb not in _COMMANDS or not self._fits(0):
            return None
        read: dict[str, Callable[[], Command]] = {
            "BUILD": self._build,
            "FIT": self._fit,
            "UPLOAD": self._upload,
            "DELETE": self._delete,
            "GET": self._get,
            "PRINT": self._print,
        }
        return read[verb]()

    def _explains(self) -> bool:
        """EXPLAIN runs what it explains only with ANALYZE, as a word or among its options."""
        cursor = self._cursor
        if cursor.word(0) != "EXPLAIN":
            return False
        if cursor.word(1) != "(":
            return cursor.word(1) != "ANALYZE"
        options = range(1, min(cursor.closing[1], cursor.size))
        return not any(
            cursor.word(i) == "ANALYZE" and cursor.word(i + 1) not in ("FALSE", "OFF", "0")
            for i in options
        )

    # Commands

    def _build(self) -> BuildModel:
        """Read `BUILD MODEL name USING base [OPTIONS (...)] AS query`."""
        name = self._model_name()
        base, options, query = self._using("a base model")
        return BuildModel(self._span(), name, base, options, query)

    def _fit(self) -> FitModel:
        """Read `FIT MODEL name USING model [OPTIONS (...)] AS query`."""
        name = self._model_name()
        model, options, query = self._using("a model")
        return FitModel(self._span(), name, model, options, query)

    def _upload(self) -> UploadModel:
        """Read `UPLOAD MODEL name [OPTIONS (...)] FROM path`."""
        name = self._model_name()
        options = self._options_before("FROM")
        source = read_source(self._cursor)
        return UploadModel(self._span(), name, options, source)

    def _delete(self) -> DeleteModel:
        """Read `DELETE MODEL name`."""
        name = self._model_name()
        return DeleteModel(self._span(), name)

    def _copy(self) -> CopyTable:
        """Read `COPY table [OPTIONS (...)] FROM (path | folder | 'json array')`."""
        self._cursor.expect("COPY")
        table = read_table(self._cursor)
        has_options = self._cursor.current.word == "OPTIONS"
        options = self._options_before("FROM")
        source = read_source(self._cursor)
        if self._cursor.current.word == "OPTIONS":
            raise self._cursor.error("OPTIONS stands before FROM.", self._cursor.here)
        return CopyTable(self._span(), table, options, source, has_options)

    def _get(self) -> GetAsset:
        """Read `GET THANOSQL (DATASET | MODEL) name [OPTIONS (...)] [AS new_name]`."""
        cursor = self._cursor
        cursor.expect("GET")
        cursor.expect("THANOSQL")
        kind = GetKind(cursor.expect("DATASET", "MODEL").lower())
        name = read_name(cursor, f"a {kind.value}")
        options = read_options(cursor)
        if not options and cursor.here < cursor.size and cursor.current.word != "AS":
            raise cursor.expected("OPTIONS or AS", known=("OPTIONS", "AS"))
        new_name = read_name(cursor, f"a {kind.value}") if cursor.accept("AS") else None
        return GetAsset(self._span(), kind, name, options, new_name)

    def _print(self) -> PrintMedia:
        """Read `PRINT (AUDIO | IMAGE | VIDEO) [OPTIONS (...)] AS query`."""
        cursor = self._cursor
        cursor.expect("PRINT")
        kind = MediaKind(cursor.expect(*FOLLOWERS["PRINT"]).lower())
        options = self._options_before("AS")
        query = self._query(cursor.size, ())
        return PrintMedia(self._span(), kind, options, query)

    # Relations

    def relation(self, index: int, last: int, visible: tuple[CommonTable, ...]) -> Relation:
        """Read `relation = predict | evaluate | convert | search | list`."""
        cursor = self._cursor
        cursor.here = index
        verb = cursor.current.word
        if verb == "LIST":
            return self._list(index, visible)
        cursor.here += 1
        if verb == "SEARCH":
            return self._search(index, last, visible)
        model, options, query = self._using("a model", last, visible)
        span = cursor.span_from(index)
        return _SHARED_RELATIONS[verb](span, model, options, query, visible)

    def _search(self, index: int, last: int, visible: tuple[CommonTable, ...]) -> Search:
        """Read `SEARCH kind [name = value] USING model [OPTIONS (...)] AS query`.

        The oldest era wrote what is looked for before USING; it becomes the first option.
        """
        cursor = self._cursor
        kind = SearchKind(cursor.expect(*FOLLOWERS["SEARCH"]).lower())
        early = () if cursor.current.word == "USING" else (read_option(cursor),)
        model, options, query = self._using("a model", last, visible)
        return Search(cursor.span_from(index), kind, model, early + options, query, visible)

    def _list(self, index: int, visible: tuple[CommonTable, ...]) -> ListObjects:
        """Read `LIST (TABLE | MODEL | THANOSQL MODEL | THANOSQL DATASET)`, or the plural."""
        cursor = self._cursor
        cursor.expect("LIST")
        kind = cursor.expect(*FOLLOWERS["LIST"])
        if kind == "THANOSQL":
            if cursor.current.word not in _THANOSQL_LISTS:
                raise cursor.expected(one_of(_THANOSQL_LISTS[:2]), known=_THANOSQL_LISTS[:2])
            kind = f"{kind}_{cursor.expect(*_THANOSQL_LISTS)}"
        kind = kind.removesuffix("S")
        if not self._ends_list(cursor.here):
            raise cursor.expected("The end of LIST")
        return ListObjects(cursor.span_from(index), ListKind(kind.lower()), visible)

    def _ends_list(self, index: int) -> bool:
        return index >= self._cursor.size or self._cursor.word(index) in _AFTER_LIST

    # Clauses

    def _model_name(self) -> Name:
        """Read `verb MODEL name`."""
        self._cursor.here = 1
        self._cursor.expect("MODEL")
        return read_name(self._cursor, "a model")

    def _using(
        self, what: str, last: int | None = None, visible: tuple[CommonTable, ...] = ()
    ) -> tuple[Name, tuple[Option, ...], Query]:
        """Read `USING model [OPTIONS (...)] AS query`."""
        self._cursor.expect("USING")
        model = read_name(self._cursor, what)
        options = self._options_before("AS")
        return model, options, self._query(last or self._cursor.size, visible)

    def _options_before(self, word: str) -> tuple[Option, ...]:
        """Read `[OPTIONS (...)] word`."""
        cursor = self._cursor
        if cursor.current.word not in ("OPTIONS", word):
            raise cursor.expected(f"OPTIONS or {word}", known=("OPTIONS", word))
        options = read_options(cursor)
        cursor.expect(word)
        return options

    def _query(self, last: int, visible: tuple[CommonTable, ...]) -> Query:
        """Read `query = DuckDB's text | relation | ( query )`."""
        cursor = self._cursor
        first = cursor.here
        self.refuse_command(first)
        opens = cursor.word(first) in (*_QUERY_WORDS, "(") or self.opens_relation(first)
        if first >= last or not opens:
            raise cursor.expected("A query", known=(*_QUERY_WORDS, *_SHARED_RELATIONS))
        query = Scan(cursor, self, first, last, visible).query()
        cursor.here = last
        return query

    def _span(self) -> Span:
        return self._cursor.span_from(0)

    # What is ours, and what only looks like it

    def _fits(self, index: int) -> bool:
        """Tell whether a verb stands at `index` with a word that may follow it."""
        cursor = self._cursor
        word = cursor.word(index)
        followers = FOLLOWERS.get(word, ())
        return cursor.tokens[index].kind is VERB and cursor.word(index + 1) in followers

    def opens_relation(self, index: int) -> bool:
        """Tell whether a relation begins at `index`, where a query may begin."""
        cursor = self._cursor
        verb = cursor.word(index)
        if verb in _COMMANDS or not self._fits(index):
            return False
        if verb == "SEARCH":
            return index == 0 or "USING" in (cursor.word(index + 2), cursor.word(index + 5))
        if verb == "LIST" and index > 0:
            qualified = cursor.word(index + 1) == "THANOSQL"
            ends = self._ends_list(index + 2 + qualified)
            return ends and (not qualified or cursor.word(index + 2) in _THANOSQL_LISTS)
        return True

    def refuse_command(self, index: int) -> None:
        """Raise where a command begins at `index`: only a relation may be part of something.

        More than the first two words must fit: `FROM (build model)` is a table with its alias.
        """
        cursor = self._cursor
        verb = cursor.word(index)
        if verb not in _COMMANDS or not self._fits(index):
            return
        third, fourth = cursor.word(index + 2), cursor.word(index + 3)
        named = third not in (")", ",")
        fits = {
            "PRINT": third in ("OPTIONS", "AS"),
            "GET": third in ("MODEL", "DATASET"),
            "UPLOAD": named and fourth in ("OPTIONS", "FROM"),
            "DELETE": named and (index + 3 == cursor.size or fourth == ")"),
        }
        if fits.get(verb, named and fourth == "USING"):
            problem = "may only stand at top level, not inside another statement."
            raise cursor.error(f"{verb} {cursor.word(index + 1)} {problem}", index)

    def _opens_copy(self) -> bool:
        """Tell whether OPTIONS follow the table, or one path in quotes or a parameter FROM."""
        cursor = self._cursor
        after = self._after_table(1)
        if after is None:
            return False
        if cursor.word(after) == "FROM":
            alone = after + 2 == cursor.size
            followed = cursor.word(after + 2) == "OPTIONS"
            quoted = cursor.tokens[after + 1].kind in STRINGS
            return (quoted and (alone or followed)) or cursor.ends_with_placeholder(after + 1)
        if cursor.word(after) == "OPTIONS":
            return True
        if nearest(cursor.word(after), ("OPTIONS",)) and cursor.word(after + 1) == "(":
            cursor.here = after
            raise cursor.expected("OPTIONS or FROM", known=("OPTIONS", "FROM"))
        return False

    def _after_table(self, index: int) -> int | None:
        cursor = self._cursor
        if cursor.word(index) in ("(", "FROM") or index >= cursor.size:
            return None
        while cursor.word(index + 1) == ".":
            index += 2
        return index + 1

    def _refuse_near_miss(self) -> None:
        """Raise for a statement that opens almost as one of ours, where DuckDB has none such."""
        cursor = self._cursor
        verb, next_word = cursor.word(0), cursor.word(1)
        if verb == "DELETE":
            if nearest(next_word, FOLLOWERS[verb]):
                raise self._misfit(verb)
        elif verb in FOLLOWERS:
            if not self._fits(0) and (cursor.size == 1 or next_word[:1].isalpha()):
                raise self._misfit(verb)
        elif verb not in DUCKDB_STATEMENTS:
            fitting = [known for known in FOLLOWERS if next_word in FOLLOWERS[known]]
            hint = nearest(verb, fitting) if verb else ""
            if hint:
                raise cursor.error(f"{cursor.written(0)} is no statement.{hint}", 0)

    def _misfit(self, verb: str) -> ThanoSQLSyntaxError:
        self._cursor.here = 1
        words = [word for word in FOLLOWERS[verb] if not word.endswith("S")]  # no plurals
        return self._cursor.expected(one_of(words), f" after {verb}", words)

    def _refuse_unbalanced(self) -> None:
        index = self._cursor.unbalanced
        if index is not None:
            closes = self._cursor.word(index) == ")"
            problem = "No ( opens this )." if closes else "This ( is not closed."
            raise self._cursor.error(problem, index)
