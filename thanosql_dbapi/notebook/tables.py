"""Rows as a table for a page or a terminal: types under the names, NULL apart from ''.

It knows columns and values. Its colours are the page's own, made fainter, so that it can be read
on light and on dark.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..places import cells
from ..types import NUMBER

#: Characters of a value that are shown; and of its full text, where the mouse rests on it.
LONGEST: Final = 80

#: The most of them in a page, where a cell has several lines.
_IN_A_PAGE: Final = 240
_FULL: Final = 4000
#: Columns that are shown; of a wider table those in the middle are left out.
COLUMNS: Final = 50
#: A number of more characters is rounded.
_DIGITS: Final = 12
#: The narrowest column in a terminal.
_NARROWEST: Final = 8

_PLAIN: Final = "border-collapse:collapse;margin:0;color:inherit;font-size:inherit"
_LINE: Final = "border-bottom:1px solid rgba(128,128,128,.35)"
_FAINT: Final = "opacity:.6;font-weight:normal;font-size:85%"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows to show: the first ones, and after a gap the last ones, if there is a gap.

    `columns` are names and types; `said` stands below.
    """

    columns: Sequence[tuple[str, str]]
    first: Sequence[Sequence[Any]]
    last: Sequence[Sequence[Any]]
    said: str

    def html(self) -> str:
        """Draw it for a page."""
        return "".join(_html(self))

    def text(self, width: int) -> str:
        """Draw it in lines of at most `width` characters."""
        return "\n".join(_text(self, width))


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def written(value: object) -> str:
    """Write one value on one line, in full or as far as it is ever shown."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{counted(len(value), 'byte')}>"
    if isinstance(value, dict):
        return _joined("{", (f"{written(k)}: {written(v)}" for k, v in value.items()), "}")
    if isinstance(value, list | tuple):
        return _joined("[", map(written, value), "]")
    return visible(str(value)[: _FULL + 1])


def _joined(opening: str, parts: Iterable[str], closing: str) -> str:
    """Join the parts of a value; a million of them are not all written."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part) + len(", ")
        if length > _FULL:
            return opening + ", ".join(kept)  # it is cut, and so has no end
    return f"{opening}{', '.join(kept)}{closing}"


def visible(text: str) -> str:
    """Write control characters as escapes: those of a terminal would act."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def short(value: object, longest: int = LONGEST) -> str:
    """Write one value, cut where it is long."""
    text = written(value)
    if isinstance(value, float) and len(text) > _DIGITS:
        return f"{value:.6g}"
    return _cut(text, longest)


def _shown(count: int, most: int) -> list[int | None]:
    """Return the columns to show; None stands for those that are left out."""
    if count <= most:
        return list(range(count))
    return [*range((most + 1) // 2), None, *range(count - most // 2, count)]


# --- for a page -----------------------------------------------------------------------------


def _html(table: Table) -> Iterator[str]:
    shown = _shown(len(table.columns), COLUMNS)
    yield '<div style="overflow-x:auto;max-width:100%">'
    yield f'<table style="{_PLAIN}"><thead><tr>'
    for index in shown:
        yield _head(*table.columns[index]) if index is not None else _cell("th", "…", "")
    yield "</tr></thead><tbody>"
    for row in table.first:
        yield from _row(table, row, shown)
    if table.last:
        gap = "".join(_cell("td", "⋮", "text-align:center;opacity:.6") for _ in shown)
        yield f"<tr>{gap}</tr>"
    for row in table.last:
        yield from _row(table, row, shown)
    yield f'</tbody></table></div><div style="{_FAINT}">{html.escape(table.said)}</div>'


def _head(name: str, kind: str) -> str:
    label = html.escape(_cut(name))
    below = f'<div style="{_FAINT}">{html.escape(_cut(kind, 40))}</div>'
    title = f"{name} {kind}"
    return _cell("th", label + below, f"text-align:{_side(kind)};{_LINE}", title, safe=True)


def _row(table: Table, row: Sequence[Any], shown: Sequence[int | None]) -> Iterator[str]:
    yield "<tr>"
    for index in shown:
        if index is None:
            yield _cell("td", "…", "")
            continue
        value, kind = row[index], table.columns[index][1]
        if value is None:
            yield _cell("td", "NULL", f"text-align:{_side(kind)};opacity:.5;font-style:italic")
            continue
        full, text = written(value), short(value, _IN_A_PAGE)
        # A column is as wide as its texts, up to a width that can be read.
        wraps = "pre-wrap;min-width:16em;max-width:36em" if cells(text) > LONGEST else "pre"
        look = f"text-align:{_side(kind)};white-space:{wraps}"
        yield _cell("td", text, look, full if full != text else "")
    yield "</tr>"


def _cell(tag: str, content: str, style: str, title: str = "", *, safe: bool = False) -> str:
    told = f' title="{html.escape(_cut(title, _FULL))}"' if title else ""
    inner = content if safe else html.escape(content)
    return f'<{tag} style="padding:.25em .7em;{style}"{told}>{inner}</{tag}>'


def _side(kind: str) -> str:
    return "right" if kind == NUMBER else "left"


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


# --- for a terminal -------------------------------------------------------------------------


def _text(table: Table, width: int) -> Iterator[str]:
    if not table.columns:
        yield table.said
        return
    rows = [[short(value) for value in row] for row in (*table.first, *table.last)]
    wanted = [
        min(LONGEST, max(cells(name), min(len(kind), 12), *(cells(row[i]) for row in rows), 1))
        for i, (name, kind) in enumerate(table.columns)
    ]
    widths, shown = _fitted(wanted, width)
    heads = [[name for name, _ in table.columns], [kind for _, kind in table.columns]]
    for head in heads:
        yield _line(table, head, widths, shown)
    yield _line(table, ["-" * wide for wide in widths], widths, shown, filler="-")
    for number, row in enumerate(rows):
        if table.last and number == len(table.first):
            yield _line(table, ["⋮"] * len(wanted), widths, shown)
        yield _line(table, row, widths, shown)
    if None in shown:
        yield f"{len(shown) - 1} of {counted(len(wanted), 'column')} fit here"
    yield table.said


def _fitted(wanted: Sequence[int], width: int) -> tuple[list[int], list[int | None]]:
    """Return the columns' widths, and which of them fit: the widest are narrowed first."""
    for count in range(min(len(wanted), COLUMNS), 0, -1):
        shown = _shown(len(wanted), count)
        for limit in range(max(_NARROWEST, *wanted), _NARROWEST - 1, -1):
            taken = [1 if i is None else min(wanted[i], limit) for i in shown]
            if sum(taken) + 2 * (len(taken) - 1) <= width:
                return [min(each, limit) for each in wanted], shown
    if len(wanted) == 1:
        return [max(width, 1)], [0]
    return [max(width - len("  …"), 1) for _ in wanted], [0, None]


def _line(
    table: Table,
    texts: Sequence[str],
    widths: Sequence[int],
    shown: Sequence[int | None],
    filler: str = "…",
) -> str:
    parts = []
    for index in shown:
        if index is None:
            parts.append(filler)
            continue
        text = _fit(texts[index], widths[index])
        blank = " " * (widths[index] - cells(text))
        right = _side(table.columns[index][1]) == "right"
        parts.append(blank + text if right else text + blank)
    return "  ".join(parts).rstrip()


def _fit(text: str, width: int) -> str:
    """Cut a text to so many cells."""
    if cells(text) <= width:
        return text
    kept = text[: max(width - 1, 0)]
    while cells(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…"
