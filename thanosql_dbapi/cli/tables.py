"""Rows as a table that fits: NULL apart from the empty string, long texts cut, types in the head.

It knows columns and values, and nothing of where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..types import NUMBER, Column

#: The narrowest that a column is made before whole columns are left out.
NARROWEST = 10

#: What stands on each side of a cell, its border included.
_PADDING = 3

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int | None
) -> tuple[Table, int]:
    """Lay rows out in `width` character cells, or as wide as they are; return the hidden columns.

    Where not even narrow columns fit, those in the middle are left out, as DuckDB's shell does.
    """
    cells = [[cell(value, width) for value in row] for row in rows]
    wanted = [_wanted(column, [row[i] for row in cells]) for i, column in enumerate(columns)]
    shown, widest = _fit(wanted, width)
    # Without a terminal the table may go anywhere: lines of plain ASCII.
    laid = Table(box=box.ROUNDED if width is not None else box.ASCII2)
    for index in shown:
        if index is None:
            laid.add_column("…", no_wrap=True)
            continue
        laid.add_column(
            _head(columns[index]),
            justify="right" if columns[index].type_code == NUMBER else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=widest,
        )
    for row in cells:
        laid.add_row(*("…" if index is None else row[index] for index in shown))
    return laid, len(columns) - sum(index is not None for index in shown)


def cell(value: object, longest: int | None = None) -> Text:
    """Write one value, cut to `longest` characters; control characters are escaped."""
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, bytes | bytearray):
        shown = bytes(value if longest is None else value[:longest])
        text = "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02X}" for b in shown)
    else:
        text = _CONTROL.sub(_escape, _head_of(str(value), longest))
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    return Text(text)


def _head_of(text: str, longest: int | None) -> str:
    # Escaping a megabyte to show a line of it would be slow; one more tells that it is cut.
    return text if longest is None else text[: longest + 1]


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]


def _head(column: Column) -> Text:
    return Text.assemble((cell(column.name).plain, "bold"), "\n", (column.type_code, "dim"))


def _wanted(column: Column, cells: Sequence[Text]) -> int:
    # A type such as a long STRUCT must not take the room of the values.
    head = max(cell_len(column.name), min(cell_len(column.type_code), NARROWEST))
    return max([head, *(text.cell_len for text in cells)])


def _fit(wanted: Sequence[int], width: int | None) -> tuple[list[int | None], int | None]:
    """Choose the columns to show (None: some are left out here), and the widest they may be."""
    everything: list[int | None] = list(range(len(wanted)))
    if width is None:
        return everything, None
    for count in range(len(wanted), 0, -1):
        shown = everything
        if count < len(wanted):
            shown = [*everything[: (count + 1) // 2], None, *everything[len(wanted) - count // 2 :]]
        widest = _widest([1 if i is None else wanted[i] for i in shown], width)
        if widest is not None:
            return shown, widest
    return [0, None] if len(wanted) > 1 else [0], max(1, width - 2 * _PADDING)


def _widest(wanted: Sequence[int], width: int) -> int | None:
    """Return the limit on a column's width with which all fit; None if it had to be too narrow."""
    room = width - _PADDING * len(wanted) - 1
    for limit in range(max(wanted), NARROWEST - 1, -1):
        if sum(min(w, limit) for w in wanted) <= room:
            return limit
    return max(wanted) if sum(wanted) <= room else None
