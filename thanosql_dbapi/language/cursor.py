"""A place in the tokens of one statement, and the few moves a grammar is written with.

It knows words, parentheses and placeholders; it does not know any statement.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import TokenType

from ..exceptions import ThanoSQLSyntaxError, nearest
from .statements import Placeholder, Span
from .tokens import STRINGS, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLACEHOLDER = re.compile(r"\?(\d+)?|\$(?:(\d+)|([^\W\d]\w*))")


def one_of(words: Sequence[str]) -> str:
    """Return the words as a choice for a message: `A, B or ')'`."""
    shown = [word if word[0].isalpha() else f"'{word}'" for word in words]
    return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


class Cursor:
    """Where the parser stands in one statement.

    `ordinals` counts the `?` of the whole script, so statements are read in order and once.
    """

    def __init__(self, text: str, tokens: Sequence[Token], ordinals: Iterator[int]) -> None:
        end = tokens[-1].end
        self.text = text
        self.tokens = [*tokens, Token(TokenType.SENTINEL, "", "", end, end)]
        self.size = len(tokens)
        self.here = 0
        self.closing, self.unbalanced = _match_parentheses(tokens)
        self._ordinals = ordinals

    @property
    def current(self) -> Token:
        """The token that stands here, or one without text at the end."""
        return self.tokens[self.here]

    def word(self, index: int) -> str:
        """Return the keyword or symbol at `index`, or an empty string where there is none."""
        return self.tokens[index].word if 0 <= index < self.size else ""

    def accept(self, word: str) -> bool:
        """Step over `word` if it stands here."""
        if self.current.word != word or self.here >= self.size:
            return False
        self.here += 1
        return True

    def expect(self, *words: str) -> str:
        """Step over one of `words`, and return it."""
        word = self.current.word
        if word not in words:
            raise self.expected(one_of(words), known=words)
        self.here += 1
        return word

    def expect_end(self) -> None:
        """Raise unless the statement ends here."""
        if self.here < self.size:
            raise self.expected("The end of the statement")

    def span_from(self, first: int) -> Span:
        """Return the span from the token at `first` to the one before the cursor."""
        return self.span(first, self.here)

    def span(self, first: int, last: int) -> Span:
        """Return the span of the tokens from `first` up to and without `last`."""
        return Span(self.tokens[first].start, self.tokens[max(first, last - 1)].end)

    def written(self, index: int) -> str:
        """Return what the user wrote at `index`, or words for the end."""
        if index >= self.size:
            return "the end"
        token = self.tokens[index]
        return f"'{self.text[token.start : token.end]}'"

    def expected(
        self, what: str, where: str = "", known: Sequence[str] = ()
    ) -> ThanoSQLSyntaxError:
        """Return the error that `what` should stand here, with the nearest of the known words."""
        found = self.current
        hint = nearest(found.text, known) if found.kind not in STRINGS and found.text else ""
        problem = f"{what} expected{where}, found {self.written(self.here)}.{hint}"
        return self.error(problem, self.here)

    def error(self, problem: str, index: int) -> ThanoSQLSyntaxError:
        """Return the error that points at the token at `index`."""
        return ThanoSQLSyntaxError(problem, self.text, self.tokens[index].start)

    def ends_with_placeholder(self, index: int) -> bool:
        """Tell whether from a token on nothing but a placeholder stands."""
        if index >= self.size:
            return False
        end = self.tokens[self.size - 1].end
        return _PLACEHOLDER.fullmatch(self.text, self.tokens[index].start, end) is not None

    def placeholder(self) -> Placeholder | None:
        """Step over the placeholder that stands here, if one does."""
        token = self.current
        if token.word not in ("?", "$"):
            return None
        match = _PLACEHOLDER.match(self.text, token.start)
        if match is None:
            return None
        while self.here < self.size and self.current.start < match.end():
            self.here += 1
        span = Span(*match.span())
        if token.word == "?" and match[1] is None:
            return Placeholder(next(self._ordinals), span, positional=True)
        number = match[1] or match[2]
        return Placeholder(int(number) if number else match[3], span, positional=False)


def _match_parentheses(tokens: Sequence[Token]) -> tuple[dict[int, int], int | None]:
    """Return where each `(` closes, and the index of the first parenthesis that has no partner.

    One that never closes is taken to close at the end.
    """
    closing: dict[int, int] = {}
    opened: list[int] = []
    unbalanced: int | None = None
    for index, token in enumerate(tokens):
        if token.word == "(":
            opened.append(index)
        elif token.word == ")" and opened:
            closing[opened.pop()] = index
        elif token.word == ")" and unbalanced is None:
            unbalanced = index
    for index in opened:
        closing[index] = len(tokens)
    if unbalanced is None and opened:
        unbalanced = opened[-1]
    return closing, unbalanced
