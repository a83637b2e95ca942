"""The clauses that several statements share: names, OPTIONS, and sources.

It takes every spelling of a value the language has; it does not know which options exist.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import TokenType

from .statements import Name, Option, OptionValue, Placeholder
from .tokens import STRINGS

if TYPE_CHECKING:
    from .cursor import Cursor

_CLAUSE_WORDS = frozenset({"USING", "OPTIONS", "AS", "FROM", "SELECT", "WITH"})
_CONSTANTS: dict[str, bool | None] = {
    "TRUE": True,
    "FALSE": False,
    "NONE": None,
    "NULL": None,
}
_NUMBER = re.compile(r"[+-]?\s*(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_UNQUOTED = re.compile(r"""[^\s()\[\];,'"=]+""")
_WORD = re.compile(r"[^\W\d][\w$]*")


def read_name(cursor: Cursor, what: str) -> Name:
    """Read `m` or `"m@3"`, in either quote."""
    first, token = cursor.here, cursor.current
    if token.kind not in STRINGS:
        if token.word in _CLAUSE_WORDS or not _WORD.fullmatch(token.text):
            raise cursor.expected(f"The name of {what}")
        _refuse_symbols(cursor, what)
    elif not token.text:
        raise cursor.error(f"The name of {what} is empty.", first)
    cursor.here += 1
    return Name(token.text, cursor.span_from(first))


def _refuse_symbols(cursor: Cursor, what: str) -> None:
    token = cursor.current
    written = _UNQUOTED.match(cursor.text, token.start)
    if written is not None and written.end() > token.end:
        for sign in ("--", "/*"):
            if cursor.text.startswith(sign, token.end):
                return
        message = f'The name of {what} needs quotes: "{written[0]}".'
        raise cursor.error(message, cursor.here)


def read_table(cursor: Cursor) -> Name:
    """Read a table's name, qualified and quoted as it likes, and keep it as it was written."""
    first = cursor.here
    _table_part(cursor)
    while cursor.accept("."):
        _table_part(cursor)
    span = cursor.span_from(first)
    return Name(cursor.text[span.start : span.end], span)


def _table_part(cursor: Cursor) -> None:
    token = cursor.current
    if token.kind is not TokenType.IDENTIFIER and not _WORD.fullmatch(token.text):
        raise cursor.expected("The name of a table")
    cursor.here += 1


def read_source(cursor: Cursor) -> str | Placeholder:
    """Read a path or a JSON array in quotes, or a placeholder for it."""
    token = cursor.current
    if token.kind in STRINGS:
        cursor.here += 1
        return token.text
    placeholder = cursor.placeholder()
    if placeholder is None:
        raise cursor.expected("A path in quotes")
    return placeholder


def read_options(cursor: Cursor) -> tuple[Option, ...]:
    """Read `OPTIONS (name = value, …)`, or nothing where the word does not stand."""
    if not cursor.accept("OPTIONS"):
        return ()
    cursor.expect("(")
    options: list[Option] = []
    if cursor.accept(")"):
        return ()
    while True:
        options.append(_option(cursor, {option.name for option in options}))
        if cursor.expect(",", ")") == ")":
            return tuple(options)


def read_option(cursor: Cursor) -> Option:
    """Read one `name = value`."""
    return _option(cursor, set())


def _option(cursor: Cursor, taken: set[str]) -> Option:
    first, token = cursor.here, cursor.current
    if token.kind is not TokenType.IDENTIFIER and not _WORD.fullmatch(token.text):
        raise cursor.expected("The name of an option")
    name = token.text.lower()
    if name in taken:
        raise cursor.error(f"The option {name} is given twice.", first)
    cursor.here += 1
    cursor.expect("=")
    value = _value(cursor)
    return Option(name, value, cursor.span_from(first))


def _value(cursor: Cursor) -> OptionValue:
    token = cursor.current
    if token.kind in STRINGS:
        cursor.here += 1
        return token.text
    if token.word == "[":
        return _list(cursor)
    if token.kind is TokenType.NUMBER or token.word in ("+", "-", "."):
        return _number(cursor)
    if _WORD.fullmatch(token.text):
        cursor.here += 1
        return _CONSTANTS.get(token.word, token.text)
    placeholder = cursor.placeholder()
    if placeholder is None:
        raise cursor.expected("A value")
    return placeholder


def _list(cursor: Cursor) -> tuple[OptionValue, ...]:
    cursor.expect("[")
    values: list[OptionValue] = []
    if cursor.accept("]"):
        return ()
    while True:
        values.append(_value(cursor))
        if cursor.expect(",", "]") == "]":
            return tuple(values)


def _number(cursor: Cursor) -> int | float:
    match = _NUMBER.match(cursor.text, cursor.current.start)
    if match is None or _WORD.match(cursor.text, match.end()):
        raise cursor.expected("A number")
    while cursor.here < cursor.size and cursor.current.start < match.end():
        cursor.here += 1
    digits = "".join(match[0].split())
    return int(digits) if digits.lstrip("+-").replace("_", "").isdigit() else float(digits)
