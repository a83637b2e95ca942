"""The words of a script, cut by sqlglot's DuckDB tokenizer with our verbs as custom tokens.

It knows no grammar: a verb is marked wherever it stands, and the parser decides whether it is one.
Of sqlglot only a Tokenizer is subclassed: with `sqlglot[c]` installed a subclass of its Parser,
Expression or Generator raises.
"""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from sqlglot import TokenType
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError

from .verbs import FOLLOWERS

VERB = TokenType.MODEL  # the enum is closed; nothing in DuckDB's own language maps to this member
SEMICOLON = TokenType.SEMICOLON
STRINGS = frozenset(
    {
        TokenType.STRING,
        TokenType.IDENTIFIER,
        TokenType.HEREDOC_STRING,
        TokenType.BYTE_STRING,
    }
)

# Jinja's braces are nested structs in DuckDB, and `?::INT` is a placeholder with a cast.
_FOREIGN = frozenset(
    {"{%", "{%+", "{%-", "%}", "+%}", "-%}", "{{+", "{{-", "+}}", "-}}", "?::", "??"}
)
_KEYWORDS = {
    key: kind
    for key, kind in DuckDB.Tokenizer.KEYWORDS.items()
    # A keyword of two words is missed where a comment stands between them.
    if key not in _FOREIGN and " " not in key
}


class Token(NamedTuple):
    """One token; `word` is its text in upper case, or empty where it can be no keyword."""

    kind: TokenType
    word: str
    text: str
    start: int
    end: int


class Tokenizer(DuckDB.Tokenizer):
    """DuckDB's tokenizer with our verbs, each a single word: comments may stand within a phrase."""

    KEYWORDS: ClassVar[dict[str, TokenType]] = {
        **_KEYWORDS,
        **dict.fromkeys((*FOLLOWERS, "COPY"), VERB),
    }
    # A command swallows the rest of its statement into one token.
    COMMANDS: ClassVar[set[TokenType]] = set()


class Unreadable(Exception):
    """The text cannot be cut into tokens; `position` is where the trouble begins."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def tokenise(sql: str) -> list[Token]:
    """Cut the text into tokens, offsets in characters, `end` exclusive.

    Raises `Unreadable` where a string, a quoted name or a comment is not closed.
    """
    try:
        found = Tokenizer(dialect="duckdb").tokenize(sql)
    except TokenError as error:
        raise Unreadable(_first_unclosed(sql)) from error
    tokens: list[Token] = []
    after_dot = False
    for token in found:
        kind, text = token.token_type, token.text
        is_name = after_dot and (text[:1].isalpha() or text[:1] == "_")
        word = "" if kind in STRINGS or is_name or not text.isascii() else text.upper()
        if kind is VERB and not word:
            kind = TokenType.VAR
        tokens.append(Token(kind, word, text, token.start, token.end + 1))
        after_dot = kind is TokenType.DOT
    return tokens


_CLOSED_OR_OPEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\r\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$"""
    r"""|(?P<open>'|"|/\*|\$\w*\$)""",
    re.DOTALL,
)


def _first_unclosed(sql: str) -> int:
    for match in _CLOSED_OR_OPEN.finditer(sql):
        if match["open"]:
            return match.start()
    return 0
