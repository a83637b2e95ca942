"""A short line below a cell: a confirmation, a warning."""

from __future__ import annotations

import html
from dataclasses import dataclass

from IPython.display import display


@dataclass(frozen=True, slots=True)
class Note:
    """A few words, as plain text and as HTML; each line stands by itself."""

    text: str
    mark: str = ""

    def __repr__(self) -> str:
        return f"{self.mark}{self.text}"

    def _repr_html_(self) -> str:
        lines = html.escape(repr(self)).replace("\n", "<br>")
        return f'<div style="opacity:.75">{lines}</div>'


def show(what: object) -> None:
    """Show an object below the cell."""
    display(what)  # type: ignore[no-untyped-call]


def say(text: str) -> None:
    """Show a line."""
    show(Note(text))


def warn(text: str) -> None:
    """Show a warning, on one line."""
    show(Note(" ".join(text.split()), "⚠ "))
