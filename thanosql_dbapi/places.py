"""Where in a statement an error of DuckDB's lies: its line and column, in what the user wrote.

DuckDB tells the place in the SQL that it was given, which may be SQL that a statement became. It
knows texts, and no grammar.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator

from .exceptions import Error

#: The end of DuckDB's message: the line, cut at both sides if it is long, and a caret below.
_PLACE = re.compile(r"\n\s*\n(?P<prefix>LINE \d+: )(?P<line>[^\n]*)\n(?P<caret> *\^)[\^ ]*\Z")


def duckdb_place(message: str, statement: str) -> tuple[str, int, str, int] | None:
    """Find DuckDB's line in the statement.

    Return what is wrong, the number of the line, from 0, the line, and the column, from 0; None
    where the message tells no place, or one in a line that nobody wrote.
    """
    match = _PLACE.search(message)
    if match is None:
        return None
    text, column = match["line"], len(match["caret"]) - 1 - len(match["prefix"])
    if text.startswith("..."):
        text, column = text[3:], column - 3
    text = text.removesuffix("...")
    at = _find(statement, text, _index(text, column))
    if at is None:
        return None
    return message[: match.start()], *line_at(statement, at)


def _find(statement: str, line: str, index: int) -> int | None:
    """Find a character of a line in the statement, which the line may be only a part of.

    By the whole line; by what follows the character; by the word that begins there, if it stands
    once in the statement.
    """
    for text, offset in ((line, index), (line[index:], 0)):
        if text.strip() and statement.count(text) == 1:
            return statement.index(text) + offset
    word = re.match(r"\w+", line[index:])
    if word is None:
        return statement.find(line) + index if line.strip() and line in statement else None
    places = [m.start() for m in re.finditer(rf"\b{word[0]}\b", statement)]
    return places[0] if len(places) == 1 else None


def line_at(statement: str, at: int) -> tuple[int, str, int]:
    """Return the number of the line a character is in, from 0, the line, and the column."""
    begins = statement.rfind("\n", 0, at) + 1
    ends = statement.find("\n", at)
    line = statement[begins : len(statement) if ends < 0 else ends]
    return statement.count("\n", 0, at), line, at - begins


@contextlib.contextmanager
def told_of(statement: str) -> Iterator[None]:
    """Have DuckDB's errors tell their place in `statement`; one in SQL that it became is left out.

    Raises:
        Error: the one that was raised, with another text.
    """
    try:
        yield
    except Error as error:
        match = _PLACE.search(str(error))
        if match is not None:
            error.args = (_restated(str(error), statement, match.start()),)
        raise


def _restated(message: str, statement: str, end: int) -> str:
    found = duckdb_place(message, statement)
    if found is None:
        return message[:end]
    what, number, line, column = found
    prefix = f"LINE {number + 1}: "
    before = "".join("\t" if char == "\t" else " " * cells(char) for char in line[:column])
    return f"{what}\n\n{prefix}{line}\n{' ' * len(prefix)}{before}^"


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes; a Korean syllable takes two."""
    return sum(
        0
        if not char.isprintable() or unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def _index(text: str, column: int) -> int:
    """Return which character DuckDB's caret stands below: it counts cells, and a tab for none."""
    for index, char in enumerate(text):
        if column <= 0 and cells(char):
            return index
        column -= cells(char)
    return len(text)
