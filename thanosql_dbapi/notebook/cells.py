"""Runs the statements of a cell in order and shows what each returns; the last one's is its value.

It knows the driver's public ways alone. What a table, a bar or an error looks like is for the
modules beside it.
"""

from __future__ import annotations

import contextlib
import html
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import language
from ..connection import Connection
from ..cursor import Cursor
from ..exceptions import Error, ModelNotFound, ProgrammingError
from ..language.script import Piece, pieces
from ..language.statements import BuildModel, FitModel, PrintMedia, Script, Statement
from . import frames
from .bars import Bars
from .failures import interrupted, lines_of, show_briefly
from .notes import say, show, warn
from .tables import counted
from .variables import bind, makes_view, put_texts
from .variables import frames as frames_in

#: The columns of EXPLAIN, whose one value is a drawing of many lines.
_PLAN = ["explain_key", "explain_value"]

_CHANGES = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted", "COPY": "copied"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What EXPLAIN says: a drawing of lines."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<pre style="line-height:1.2">{html.escape(self.text)}</pre>'


@dataclass(frozen=True, slots=True)
class Cell:
    """How a cell's statements are run: on which connection, with which variables.

    `rows` is the most of a table that is shown; `reads_all` is for a line, whose value may be kept
    in a variable, and `keeps` where it is known to be. `first_line` is the line of the cell that
    the text begins in.
    """

    connection: Connection
    names: Mapping[str, Any]
    bars: Bars
    rows: int
    reads_all: bool
    first_line: int
    keeps: bool = False

    def run(self, text: str) -> Any:
        """Run the statements; return the last one's rows, and show those of the others.

        Raises:
            Error: of the first statement that fails; those before it stay done.
        """
        statements = self._pieces(text)
        for piece in statements[:-1]:
            value = self._run(piece, is_last=False)
            if value is not None:
                show(value)
        return self._run(statements[-1], is_last=True) if statements else None

    def _pieces(self, text: str) -> list[Piece]:
        with _briefly(Piece(text, 1), self.first_line):
            return list(pieces(put_texts(text, self.names)))

    def _run(self, piece: Piece, *, is_last: bool) -> Any:
        with _briefly(piece, self.first_line), _warnings():
            bound = bind(piece.text, self.names)
            script = language.parse(bound.text)
            statement = script.statements[0] if script is not None else None
            keeps = self.keeps and is_last
            with self._frames(bound.text), self.bars.shown():
                if isinstance(statement, PrintMedia) and script is not None and not keeps:
                    return _printed(self.connection, statement, script)
                with self.connection.execute(bound.text, bound.parameters or None) as cursor:
                    value = self._value(cursor, piece, reads_all=self.reads_all and is_last)
                self._draw(statement, value)
                return value

    def _value(self, cursor: Cursor, piece: Piece, *, reads_all: bool) -> Any:
        if cursor.description is None:
            say(_done(piece.text, cursor.rowcount))
            return None
        if [column.name for column in cursor.description] == _PLAN:
            return Plan("\n".join(str(row[1]) for row in cursor.fetchall()))
        if reads_all:
            return frames.read_all(cursor, self.rows)
        return frames.read_some(cursor, self.rows)

    @contextlib.contextmanager
    def _frames(self, sql: str) -> Iterator[None]:
        """Let a statement read frames of the notebook's as tables."""
        found = frames_in(sql, self.names, self.connection)
        if found and makes_view(sql):
            name = next(iter(found))
            raise ProgrammingError(
                f"'{name}' is a {type(found[name]).__name__} of this notebook, which a view would"
                f" outlive. Make it a table: CREATE TABLE t AS SELECT * FROM {name}"
            )
        for name, frame in found.items():
            self.connection.register(name, frame)
        try:
            yield
        finally:
            for name in found:
                with contextlib.suppress(Error):  # a transaction that has failed refuses
                    self.connection.unregister(name)

    def _draw(self, statement: Statement | None, value: Any) -> None:
        """Show the learning curve of a model that was just trained."""
        if not isinstance(statement, BuildModel | FitModel) or "version" not in value:
            return  # with check_only nothing was trained
        with contextlib.suppress(ModelNotFound):  # a family that keeps no journal
            curve = self.connection.learning_curve(statement.name.text)
            if curve.losses or curve.wers:
                self.bars.curve(curve)


def _printed(connection: Connection, statement: PrintMedia, script: Script) -> Any:
    from .players import printed

    return printed(connection, statement, script.text)


def _done(sql: str, rowcount: int) -> str:
    if rowcount < 0:
        return "Success"
    verb = sql.split(None, 1)[0].upper()
    return f"{counted(rowcount, 'row')} {_CHANGES.get(verb, 'written')}"


@contextlib.contextmanager
def _briefly(piece: Piece, first_line: int) -> Iterator[None]:
    """Have what fails shown in three lines."""
    try:
        yield
    except KeyboardInterrupt as error:
        show_briefly(error, interrupted(error))
        raise
    except Error as error:
        show_briefly(error, lines_of(error, piece.text, first_line + piece.line - 1))
        raise


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Show each warning as a line, without the line of code that it came from."""
    with warnings.catch_warnings(record=True) as found:
        # Of tqdm, which others use, in a notebook without ipywidgets: the bars here are our own.
        warnings.filterwarnings("ignore", message="IProgress not found")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(each.message) for each in found):
                warn(text)
