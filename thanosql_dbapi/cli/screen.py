"""Where results and errors go: standard output and standard error, a terminal or a pipe.

It knows cursors and errors; it runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from ..cursor import Cursor
from ..language.statements import MediaKind
from ..media.waveform import BLOCKS
from .highlighting import ThanoSQLLexer
from .media import media_table
from .tables import cell, table

#: A pipe has no width. Rich wants one; a table takes only as much as it needs.
_UNBOUNDED = 1_000_000

#: The columns of EXPLAIN, whose one value is a drawing of many lines.
_PLAN = ["explain_key", "explain_value"]

#: Lines of an error's message: what it is, the line of the statement and the caret, and a little
#: room for DuckDB's candidates.
_ERROR_LINES = 6


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown of a result: `more` tells that rows follow which nobody read."""

    rows: int
    more: bool

    def __str__(self) -> str:
        if self.more:
            return f"the first {_counted(self.rows, 'row')}; more rows follow"
        return _counted(self.rows, "row")


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console


@dataclass(frozen=True, slots=True)
class Screen:
    """Shows results, statements and errors; `rows` is the most of one result, 0 for all."""

    rows: int
    out: Console = field(default_factory=_console)
    errors: Console = field(default_factory=lambda: _console(stderr=True))

    def show(self, cursor: Cursor, printed: MediaKind | None = None) -> Shown:
        """Print the rows of a statement that returns some, and read no more than is shown.

        `printed` tells that it was a PRINT, as `for_terminal` asks for it.
        """
        columns = cursor.description or ()
        rows = cursor.fetchmany(self.rows + 1) if self.rows else cursor.fetchall()
        more = bool(self.rows) and len(rows) > self.rows
        if more:
            del rows[-1]
        if [column.name for column in columns] == _PLAN:
            for _, plan in rows:
                self.say("\n".join(cell(line).plain for line in str(plan).splitlines()), style="")
            return Shown(len(rows), more)
        width = self.out.width if self.out.is_terminal else None
        if printed is None:
            laid, hidden = table(columns, rows, width)
        else:
            laid, hidden = media_table(printed, columns, rows, width, plain=self._is_plain())
        self.out.print(laid, crop=False)
        if hidden:
            shown = len(laid.columns) if printed else len(columns) - hidden
            total = shown + hidden if printed else len(columns)
            self.say(f"{shown} of {_counted(total, 'column')} fit here")
        return Shown(len(rows), more)

    def _is_plain(self) -> bool:
        try:
            BLOCKS.encode(self.out.encoding)
        except UnicodeEncodeError:
            return True
        return False

    def say(self, text: str, style: str = "dim") -> None:
        """Print a line about what happens."""
        self.out.print(Text(text, style), soft_wrap=True)

    def statement(self, sql: str) -> None:
        """Print a statement, in colours where there are some."""
        if not self.out.is_terminal:
            self.say(sql, style="")
            return
        self.out.print(Syntax(sql, ThanoSQLLexer(), theme="ansi_dark", background_color="default"))

    def fail(self, error: BaseException, place: str = "") -> None:
        """Print an error in a few lines: where, what, and the caret where it has one."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        if len(lines) > _ERROR_LINES:
            # The caret and the line it points into are the last two.
            lines = [*lines[: _ERROR_LINES - 3], "…", *lines[-2:]]
        text = "\n".join([*([place] if place else []), *(lines or [type(error).__name__])])
        self.errors.print(Text(text, "red"), soft_wrap=True)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
