"""A notebook's variables in SQL: `$name`, `{name}`, and frames as tables.

`$name` is safe wherever it stands: a value is a parameter, a name is quoted, and a text between
quotes stays between them. `{name}` puts a text in as it is. What names nothing is DuckDB's where
it may be DuckDB's: between quotes, `$1`, `{'a': 1}`. IPython's own `$` and `{}` are not used: they
change such SQL.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import ProgrammingError, nearest
from ..language.tokens import Token, Unreadable, tokenise
from ..quoting import quote_name, quote_text
from .literals import literal, plain

if TYPE_CHECKING:
    from ..connection import Connection

_NAME: Final = r"[^\W\d]\w*"
_PATH: Final = rf"{_NAME}(?:\.{_NAME}|\[[^\[\]{{}}]*\])*"
_DOLLAR = re.compile(rf"\$({_NAME})")
_BRACES = re.compile(rf"\{{\s*({_PATH})\s*\}}")
_QUOTED = re.compile(
    rf"\$\$(?P<kept_name>{_NAME})|\$(?P<name>{_NAME})"
    rf"|\{{\{{(?P<kept_path>{_PATH})\}}\}}|\{{(?P<path>{_PATH})\}}"
)
_DOTTED = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_FILE = re.compile(
    r"[/\\*?]|\.(?:csv|tsv|txt|parquet|pqt|jsonl?|ndjson|xlsx|gz|zst)\Z", re.IGNORECASE
)

#: Names that IPython puts beside the user's.
_SHELLS = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})

#: Behind these words stands the name of a model; of a column, a table or a schema.
_BEFORE_MODEL = frozenset({"USING", "MODEL"})
_BEFORE_NAME = frozenset(
    {"INTO", "UPDATE", "TABLE", "VIEW", "JOIN", "BY", "DESCRIBE", "SUMMARIZE", "SCHEMA"}
    | {"EXISTS", "COPY", "USE", "AS"}
)
_BEFORE_TABLE = frozenset({"FROM", "JOIN", ",", "TABLE", "DESCRIBE", "SUMMARIZE"})
#: Before TABLE, these words make a table or end it.
_BEFORE_MADE = frozenset({"CREATE", "REPLACE", "TEMP", "TEMPORARY", "DROP", "ALTER", "TRUNCATE"})
#: Functions in which FROM stands before a value.
_WITH_FROM = frozenset({"EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"})
#: Statements that take no parameters in DuckDB, and those that are read by more than the driver.
_LASTING = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?:RECURSIVE\s+)?"
    r"(?:VIEW|MACRO|FUNCTION)\b",
    re.IGNORECASE,
)
_LITERAL = re.compile(rf"{_LASTING.pattern}|\s*(?:PRINT|ALTER|PIVOT)\b", re.IGNORECASE)
#: Behind these words DuckDB's grammar takes a literal alone.
_BEFORE_LITERAL = frozenset({"INTERVAL", "TO", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ"})


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement's text, and the parameters in it."""

    text: str
    parameters: dict[str, Any]


def put_texts(sql: str, names: Mapping[str, Any]) -> str:
    """Replace each `{name}`, each `$name` between quotes, and a `$name` that is the whole text.

    Raises:
        ProgrammingError: outside of quotes, there is no such variable; or it is no text.
    """
    only = _DOLLAR.fullmatch(sql.strip().removesuffix(";"))
    if only is not None:
        return _text(only[1], _evaluate(only[1], names))
    try:
        tokens = tokenise(sql)
    except Unreadable:
        return sql  # DuckDB's own error says what is not closed
    parts, done = [], 0
    for token in tokens:
        if token.start < done:
            continue
        written = sql[token.start : token.end]
        end = token.end
        if written[0] in "'\"":
            new = _in_quotes(written, names)
        elif written[0] == "{" and (braces := _BRACES.match(sql, token.start)):
            new, end = _text(braces[1], _evaluate(braces[1], names)), braces.end()
        else:
            continue
        parts += [sql[done : token.start], new]
        done = end
    return "".join([*parts, sql[done:]])


def bind(sql: str, names: Mapping[str, Any]) -> Bound:
    """Take each `$name` of one statement for what stands there: a value, or a name.

    Raises:
        ProgrammingError: there is no such variable, or SQL knows no such value.
    """
    try:
        tokens = tokenise(sql)
    except Unreadable:
        return Bound(sql, {})
    if tokens and tokens[0].word == "PREPARE":
        return Bound(sql, {})  # its $name is a parameter of DuckDB's
    parts, done, parameters = [], 0, {}
    for index, token in enumerate(tokens):
        match = _DOLLAR.match(sql, token.start) if token.word == "$" else None
        if match is None:
            continue
        value = _evaluate(match[1], names)
        place = _Place(sql, tokens, index)
        new = place.written(match[1], value)
        if new is None:
            parameters[match[1]] = plain(match[1], value)
            new = f"SELECT unnest({match[0]})" if place.is_in_list(match[1], value) else match[0]
        parts += [sql[done : token.start], new]
        done = match.end()
    return Bound("".join([*parts, sql[done:]]), parameters)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a `$name` stands: `tokens[index]` is the `$`, the next one the name."""

    sql: str
    tokens: Sequence[Token]
    index: int

    def word(self, offset: int) -> str:
        at = self.index + offset
        return self.tokens[at].word if 0 <= at < len(self.tokens) else ""

    def written(self, name: str, value: Any) -> str | None:
        """Return what to write there; None where a parameter may stand."""
        before = self.word(-1)
        if before == "FROM" and self._takes_file():
            return literal(name, value)
        is_table = before == "JOIN" or (before == "FROM" and not self._takes_value())
        if is_frame(value) and (is_table or before in _BEFORE_TABLE):
            return name
        if is_table or before in _BEFORE_NAME or "." in (before, self.word(2)):
            return _named(name, value, is_table=is_table)
        if before in _BEFORE_MODEL:
            return quote_name(value) if isinstance(value, str) else literal(name, value)
        if self.is_in_list(name, value) and _LITERAL.match(self.sql):
            return f"SELECT unnest({literal(name, value)})"
        if before in _BEFORE_LITERAL or _LITERAL.match(self.sql):
            return literal(name, value)
        return None

    def is_in_list(self, name: str, value: Any) -> bool:
        """Tell whether a list stands in `IN ($name)`."""
        around = (self.word(-2), self.word(-1), self.word(2))
        return around == ("IN", "(", ")") and isinstance(plain(name, value), list)

    def _takes_file(self) -> bool:
        return self.tokens[0].word in ("COPY", "UPLOAD")

    def _takes_value(self) -> bool:
        if self.word(-2) == "DISTINCT":  # IS DISTINCT FROM
            return True
        depth = 0
        for offset in range(-2, -self.index - 1, -1):
            depth += {")": 1, "(": -1}.get(self.word(offset), 0)
            if depth < 0:
                return self.word(offset - 1) in _WITH_FROM
        return False


def _named(name: str, value: Any, *, is_table: bool) -> str:
    """Write the name of a table, a schema or a column, or a file where a table may stand."""
    if isinstance(value, PurePath):
        value = str(value)
    if not isinstance(value, str):
        return literal(name, value)
    if is_table and _FILE.search(value):
        return quote_text(value)
    parts = value.split(".") if _DOTTED.fullmatch(value) else [value]
    return ".".join(map(quote_name, parts))


def _in_quotes(written: str, names: Mapping[str, Any]) -> str:
    quote = written[0]
    return quote + put_into(written[1:-1], names, doubled=quote) + quote


def put_into(text: str, names: Mapping[str, Any], *, doubled: str = "") -> str:
    """Replace each `$name` and `{name}` of a text that is no SQL; in the values, double a quote.

    Raises:
        ProgrammingError: a variable has no such attribute or index, or is no text.
    """

    def replaced(match: re.Match[str]) -> str:
        path = match["kept_name"] or match["name"] or match["kept_path"] or match["path"]
        name = re.split(r"\W", path, maxsplit=1)[0]
        if name not in names or name[0] == "_" or name in _SHELLS:
            return match[0]  # a LIKE has '$_%'
        if match["kept_name"] or match["kept_path"]:
            return match[0][1:] if match["kept_name"] else match[0][1:-1]
        found = _text(path, _evaluate(path, names))
        return found.replace(doubled, doubled * 2) if doubled else found

    return _QUOTED.sub(replaced, text)


def _text(path: str, value: Any) -> str:
    if is_frame(value):
        raise ProgrammingError(
            f"'{path}' is a {type(value).__name__}; it is a table where its name alone stands:"
            f" SELECT * FROM {path}"
        )
    return str(value)


def _evaluate(path: str, names: Mapping[str, Any]) -> Any:
    """Return the value of a name with attributes and indices behind it; nothing is called.

    Raises:
        ProgrammingError: there is none.
    """
    try:
        return _value(ast.parse(path, mode="eval").body, names)
    except (AttributeError, LookupError, TypeError, SyntaxError) as error:
        raise ProgrammingError(f"{{{path}}}: {type(error).__name__}: {error}") from error


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            if name not in names:
                shown = [known for known in names if known[0] != "_" and known not in _SHELLS]
                raise ProgrammingError(
                    f"there is no variable '{name}' in this notebook.{nearest(name, shown)}"
                )
            return names[name]
        case ast.Attribute(value=value, attr=attribute):
            return getattr(_value(value, names), attribute)
        case ast.Subscript(value=value, slice=index):
            return _value(value, names)[_value(index, names)]
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    raise SyntaxError("a name, attributes and indices may stand in braces")


def is_frame(value: object) -> bool:
    """Tell whether a value is a table that DuckDB reads: of pandas, polars, pyarrow, a cursor."""
    kind = type(value)
    return hasattr(kind, "__arrow_c_stream__") and kind.__name__ != "Series"


def makes_view(sql: str) -> bool:
    """Tell whether a statement keeps its query's text: a view does, and a macro."""
    return _LASTING.match(sql) is not None


def frames(sql: str, names: Mapping[str, Any], connection: Connection) -> dict[str, object]:
    """Return the frames that a statement reads by their variables' names, where no table has them.

    Raises:
        Error: the catalogue cannot be read.
    """
    try:
        tokens = tokenise(sql)
    except Unreadable:
        return {}
    found = {}
    for index, token in enumerate(tokens):
        name = token.text
        if name not in names or not is_frame(names[name]):
            continue
        place = _Place(sql, tokens, index)
        is_made = place.word(-1) == "TABLE" and place.word(-2) in _BEFORE_MADE
        if place.word(-1) in _BEFORE_TABLE and place.word(1) != "." and not is_made:
            found[name] = names[name]
    if found:
        taken = _tables(connection)
        found = {name: frame for name, frame in found.items() if name.lower() not in taken}
    return found


def _tables(connection: Connection) -> set[str]:
    """Return the names, in lower case, that DuckDB finds without a schema before them."""
    with connection.execute(
        "SELECT lower(name) FROM ("
        " SELECT database_name AS d, schema_name AS s, table_name AS name FROM duckdb_tables()"
        " UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views())"
        " WHERE s IN (SELECT unnest(current_schemas(true)))"
        " AND d IN (current_database(), 'temp', 'system')"
    ) as cursor:
        return {name for (name,) in cursor}
