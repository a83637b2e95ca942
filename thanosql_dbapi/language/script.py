"""A text to its statements: cut at the semicolons, each parsed alone, in order.

It knows what becomes of a text that cannot be read, and nothing of any statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from sqlglot import TokenType

from ..exceptions import ThanoSQLSyntaxError
from .cursor import Cursor
from .parser import StatementParser
from .statements import Script, Sql
from .tokens import Token, Unreadable, tokenise
from .verbs import opens_with_verb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def parse(sql: str) -> Script | None:
    """Parse a text into its statements, or return None where nothing of ours stands in it.

    Raises `ThanoSQLSyntaxError` where a statement opens with a verb of ours, or with something so
    close to one that DuckDB could make nothing of it, and does not fit the grammar.
    """
    try:
        tokens = tokenise(sql)
    except Unreadable as error:
        if opens_with_verb(sql):
            problem = "A string, a quoted name or a comment that begins here is not closed."
            raise ThanoSQLSyntaxError(problem, sql, error.position) from error
        return None
    ordinals = count(1)
    try:
        statements = tuple(
            StatementParser(Cursor(sql, part, ordinals)).statement() for part in _split(tokens)
        )
    except RecursionError:
        raise ThanoSQLSyntaxError("The statement is nested too deeply.", sql, 0) from None
    plain = all(isinstance(s, Sql) and not s.query.relations for s in statements)
    return None if plain else Script(sql, statements)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a script: its text, and the line it begins in, from 1."""

    text: str
    line: int


def pieces(sql: str) -> Iterator[Piece]:
    """Cut a script into its statements; a text that has no tokens to cut at stays whole.

    It is for those who want every statement's result, and the line of one that fails.
    """
    try:
        tokens = tokenise(sql)
    except Unreadable:
        # DuckDB's own error shows what is not closed, before anything has run.
        yield Piece(sql, 1)
        return
    for part in _split(tokens):
        start, end = part[0].start, part[-1].end
        yield Piece(sql[start:end], sql.count("\n", 0, start) + 1)


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.kind is not TokenType.SEMICOLON:
            part.append(token)
        elif part:
            yield part
            part = []
    if part:
        yield part
