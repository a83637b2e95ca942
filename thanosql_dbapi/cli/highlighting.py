"""The words of ThanoSQL in colour: pygments' SQL, with our verbs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from pygments.lexers.sql import SqlLexer
from pygments.token import Keyword, Name, _TokenType

from ..language.verbs import DUCKDB_STATEMENTS, FOLLOWERS

#: Every word that opens or continues one of our statements.
KEYWORDS = frozenset(
    {*FOLLOWERS, *(word for words in FOLLOWERS.values() for word in words)}
    | {"COPY", "DATASET", "OPTIONS", "USING", "AS", "FROM"}
)


class ThanoSQLLexer(SqlLexer):
    """SQL as pygments reads it, where the names that are keywords of ours are keywords."""

    name = "ThanoSQL"
    aliases: ClassVar[list[str]] = ["thanosql"]
    filenames: ClassVar[list[str]] = []

    def get_tokens_unprocessed(
        self, text: str, stack: Iterable[str] = ("root",)
    ) -> Iterator[tuple[int, _TokenType, str]]:
        """Cut the text; what pygments takes for a name may be a keyword here."""
        for index, kind, value in super().get_tokens_unprocessed(text, stack):
            word = value.upper()
            is_ours = kind is Name and (word in KEYWORDS or word in DUCKDB_STATEMENTS)
            yield index, Keyword if is_ours else kind, value
