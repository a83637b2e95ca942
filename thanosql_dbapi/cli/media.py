"""PRINT in a terminal: a small table, a file a row, recordings with their waveforms.

The statement is asked for a waveform, and for NULLs rather than an error at a file that cannot be
read: the others are shown, and what is wrong with it stands in its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..commands.print_media import FACTS
from ..language import parse
from ..language.statements import MediaKind, PrintMedia
from ..media.describing import amount, channels, length, pixels, rate
from ..media.waveform import BLOCKS, narrower
from ..types import Column
from .tables import cell

#: The columns that a terminal asks for beside those of the statement; no query has such names.
WAVEFORM: Final = "__thanosql_waveform"
ERROR: Final = "__thanosql_error"

#: How wide a waveform is drawn: the widest of these that fits. Each divides the width it has.
_WIDTHS: Final = (24, 16, 12, 8)

#: The narrowest that a text and a path are cut to before whole columns are left out.
_NARROWEST: Final = 12

#: What stands around a cell, its border included.
_PADDING: Final = 3

#: The blocks for an output that cannot write them.
_PLAIN: Final = str.maketrans(BLOCKS + "\N{MULTIPLICATION SIGN}…", " .:-=+*#x~")


def for_terminal(sql: str, rows: int) -> tuple[str, MediaKind | None]:
    """Return what to execute for a statement, and what it prints; None for any other statement.

    No more files are read than `rows` and one, which tells that there are more; 0 is for all.

    Raises:
        ThanoSQLSyntaxError: the statement is wrong.
    """
    script = parse(sql)
    if script is None or len(script.statements) != 1:
        return sql, None
    (statement,) = script.statements
    if not isinstance(statement, PrintMedia):
        return sql, None
    given = {option.name for option in statement.options}
    options = [sql[option.span.start : option.span.end] for option in statement.options]
    if not given & {"on_error", "error_col"}:
        options += ["on_error='null'", f"error_col='{ERROR}'"]
    if statement.kind is MediaKind.AUDIO and "waveform_col" not in given:
        options.append(f"waveform_col='{WAVEFORM}'")
    query = sql[statement.query.span.start : statement.query.span.end]
    # DuckDB would have files decoded by the thousand before the first row comes.
    limit = f" LIMIT {rows + 1}" if rows else ""
    verb = f"PRINT {statement.kind.value.upper()} OPTIONS ({', '.join(options)})"
    return f"{verb} AS SELECT * FROM (\n{query}\n){limit}", statement.kind


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column of the table: its cells, how narrow it may be, and how a cell is made narrower."""

    name: str
    cells: Sequence[str]
    least: int
    cut: Callable[[str, int], str]
    right: bool = False
    style: str = ""

    @property
    def wanted(self) -> int:
        return max(map(cell_len, (self.name, *self.cells)))

    def fitted(self, width: int) -> _Shown:
        return replace(self, cells=[self.cut(text, width) for text in self.cells])


def media_table(
    kind: MediaKind,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    width: int | None,
    *,
    plain: bool,
) -> tuple[Table, int]:
    """Lay the rows of a PRINT out in `width` cells; return how many columns found no room.

    `plain` is for an output that has no block characters.
    """
    by_name = {column.name: [row[i] for row in rows] for i, column in enumerate(columns)}
    shown, hidden = _fit(_columns(kind, by_name, width), width)
    table = Table(box=box.ROUNDED if width is not None else box.ASCII2)
    for column in shown:
        table.add_column(
            Text(column.name, "bold"), justify="right" if column.right else "left", no_wrap=True
        )
    for row in zip(*(column.cells for column in shown), strict=True):
        texts = (text.translate(_PLAIN) if plain else text for text in row)
        styles = (column.style for column in shown)
        table.add_row(*(Text(text, style) for text, style in zip(texts, styles, strict=True)))
    return table, hidden


def _columns(kind: MediaKind, found: Mapping[str, list[Any]], width: int | None) -> list[_Shown]:
    """Return the columns in their order: the path, what it looks like, facts, texts, errors."""
    path = f"{kind.value}_path"
    paths = [_ending(text, width) for text in _texts(found[path])]
    columns = [_Shown(path, paths, _NARROWEST, _cut_left, style="bold")]
    if WAVEFORM in found:
        drawn = [text or "" for text in found[WAVEFORM]]
        columns.append(_Shown("waveform", drawn, _WIDTHS[-1], _pooled, style="cyan"))
    columns += [
        _Shown(name, cells, max(map(cell_len, (name, *cells))), _cut_right, right=True)
        for name, cells in _facts(kind, found).items()
    ]
    others = found.keys() - {path, *FACTS[kind], WAVEFORM, ERROR}
    columns += [
        _Shown(cell(name).plain, _texts(values, width), _NARROWEST, _cut_right)
        for name, values in found.items()
        if name in others
    ]
    if any(found.get(ERROR, ())):
        errors = [text or "" for text in found[ERROR]]
        columns.append(_Shown("error", errors, _NARROWEST, _cut_right, style="red"))
    return columns


def _facts(kind: MediaKind, found: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    if kind is MediaKind.AUDIO:
        return {
            "length": [length(value) for value in found["duration_s"]],
            "rate": [rate(value) for value in found["sampling_rate"]],
            "channels": [channels(value) for value in found["channels"]],
        }
    size = [pixels(*pair) for pair in zip(found["width"], found["height"], strict=True)]
    stored = [amount(value) for value in found["size_bytes"]]
    if kind is MediaKind.IMAGE:
        return {"pixels": size, "format": _known(found["format"]), "size": stored}
    frames = ["" if value is None else f"{value:.4g}" for value in found["frame_rate"]]
    return {
        "length": [length(value) for value in found["duration_s"]],
        "pixels": size,
        "frames/s": frames,
        "codec": _known(found["codec"]),
        "sound": [
            "" if value is None else "yes" if value else "no" for value in found["has_audio"]
        ],
        "size": stored,
    }


def _texts(values: Sequence[Any], longest: int | None = None) -> list[str]:
    return [cell(value, longest).plain for value in values]


def _ending(text: str, width: int | None) -> str:
    """Return no more of a path than fits: what is no path may be a whole text."""
    return text if width is None or len(text) <= width else f"…{text[-width:]}"


def _known(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else cell(value).plain for value in values]


def _fit(columns: list[_Shown], width: int | None) -> tuple[list[_Shown], int]:
    """Narrow the widest columns until all fit; then leave out facts, and last of all texts."""
    widths = [min(_WIDTHS[0], c.wanted) if c.cut is _pooled else c.wanted for c in columns]
    kept = list(range(len(columns)))
    if width is not None:
        while _total(widths, kept) > width:
            broad = [i for i in kept if widths[i] > columns[i].least]
            if broad:
                widest = max(broad, key=lambda i: widths[i])
                widths[widest] -= 1
            elif len(kept) > 2:
                facts = [i for i in kept if columns[i].right]
                kept.remove(facts[-1] if facts else kept[-1])
            else:
                break
    return [columns[i].fitted(widths[i]) for i in kept], len(columns) - len(kept)


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] + _PADDING for i in kept) + 1


def _cut_right(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _cut_left(text: str, width: int) -> str:
    """Cut a path: its end tells more than its beginning."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"


def _pooled(text: str, width: int) -> str:
    """Draw a waveform in the widest width that fits."""
    return narrower(text, next((fits for fits in _WIDTHS if fits <= width), _WIDTHS[-1]))
