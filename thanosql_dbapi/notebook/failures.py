"""What a cell shows of an error: what is wrong, the line of the statement, a caret.

The exception stays what it was, for `except` and for programs that run notebooks; `%tb` shows all
of it. A mistake of ours is no `Error`, and keeps its traceback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..exceptions import NotSupportedError, ProgrammingError, ThanoSQLSyntaxError
from ..places import cells, duckdb_place, line_at
from .tables import visible

#: Lines that are shown, and characters of the first.
LINES: Final = 3
_LONGEST: Final = 500

_PREFIX = re.compile(r"LINE \d+: ")
#: What a message of the driver names, in quotes; an apostrophe within a word opens none.
_NAMED = re.compile(r"(?<!\w)'([^'\n]+)'")
_OWN_PLACE = re.compile(r" \(line \d+, column (\d+)\)\Z")


def show_briefly(error: BaseException, lines: Sequence[str]) -> None:
    """Have IPython show these lines for an exception the first time, and later all of it."""

    def rendered() -> list[str]:
        error.__dict__.pop("_render_traceback_", None)
        return list(lines)

    error.__dict__["_render_traceback_"] = rendered


def lines_of(error: BaseException, statement: str, first_line: int) -> list[str]:
    """Return at most three lines: an error's name and message, the statement's line, the caret.

    `statement` is what was run, `first_line` the line of the cell that it begins in.
    """
    message = str(error)
    found = _own_place(error, message) or duckdb_place(message, statement)
    found = found or _named_place(error, message, statement)
    if found is None:
        return _cut(error, [line for line in message.splitlines() if line.strip()])
    what, line, shown, column = found
    said = f"{' '.join(what.split())} (line {first_line + line})"
    return [f"{_name(error)}: {_clipped(said)}", *_window(shown, column)]


def interrupted(error: BaseException) -> list[str]:
    """Return what to say of Ctrl-C: a BUILD's tells in a note how to go on."""
    said = [*getattr(error, "__notes__", ()), *([str(error)] if str(error) else [])]
    return ["interrupted", *said][:LINES]


def _own_place(error: BaseException, message: str) -> tuple[str, int, str, int] | None:
    if not isinstance(error, ThanoSQLSyntaxError):
        return None
    *what, shown, _ = message.split("\n")
    problem = _OWN_PLACE.sub("", "\n".join(what))
    return problem, error.line - 1, shown, error.column - 1


def _named_place(
    error: BaseException, message: str, statement: str
) -> tuple[str, int, str, int] | None:
    """Find what a message names first, such as a model or an option, in the statement."""
    named = _NAMED.search(message)
    if not isinstance(error, ProgrammingError | NotSupportedError) or named is None:
        return None
    found = re.search(rf"(?<!\w){re.escape(named[1])}(?!\w)", statement, re.IGNORECASE)
    if found is None or "\n" in message:
        return None
    return message, *line_at(statement, found.start())


def _cut(error: BaseException, lines: Sequence[str]) -> list[str]:
    place = next((i for i, line in enumerate(lines) if _PREFIX.match(line)), len(lines))
    kept = [line.rstrip() for line in lines[:place]]  # a line of SQL that nobody wrote says little
    first = f"{_name(error)}: {_clipped(kept[0])}" if kept else _name(error)
    if len(kept) > LINES:
        left = len(kept) - LINES + 1
        return [first, *map(_clipped, kept[1 : LINES - 1]), f"… {left} more lines: %tb shows all"]
    return [first, *map(_clipped, kept[1:])]


def _name(error: BaseException) -> str:
    return type(error).__name__


def _clipped(text: str) -> str:
    text = visible(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _window(line: str, column: int, width: int = 100) -> list[str]:
    """Return a line, cut around a column, and a caret below that column."""
    start = max(0, min(column - width // 2, len(line) - width))
    shown = line[start : start + width]
    before = line[start:column]
    caret = "".join("\t" if char == "\t" else " " * cells(char) for char in before) + "^"
    return [shown, caret]
