"""The learning curve of a training: its loss and its word error rate over the steps, as a picture.

A picture is SVG where a notebook shows it and characters in a terminal. It knows points, and
nothing of where they come from.
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .quoting import quote_text

if TYPE_CHECKING:
    from .connection import Connection
    from .journal import Point

#: A point of the smoothed loss weighs a step as many steps away this much less, by e.
_SMOOTHED_OVER: Final = 0.02

#: The first part of the steps, whose losses may lie above the axis; the part of the others that
#: may not; and how far the axis goes above those.
_FIRST: Final = 0.05
_ORDINARY: Final = 0.98
_ABOVE: Final = 1.2

#: Characters that a picture in a terminal takes, at least and at most.
NARROWEST, WIDEST = 60, 100
_ROWS: Final = 14
_AT_LEFT, _AT_RIGHT = 8, 8

#: The picture's size in SVG's units, and the room around its axes.
_WIDTH, _HEIGHT = 680, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 84, 40, 44
#: Colours that stand out on white and on black.
_LOSS_COLOUR, _WER_COLOUR = "#3b82f6", "#e8710a"
#: A value that is less is nothing: its axis would have no numbers.
_LEAST: Final = 1e-200
#: Points of a line in SVG; more than that nobody sees.
_DRAWN: Final = 600


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What a training's loss and word error rate did, as text or as a picture.

    `losses` and `wers` are pairs of a step and a value; a WER is a ratio. `steps` is how many there
    will be, and `title` says whose curve it is.
    """

    title: str
    losses: tuple[tuple[int, float], ...]
    wers: tuple[tuple[int, float], ...]
    steps: int

    def __str__(self) -> str:
        """Draw the curve in characters, as many as fit an ordinary terminal."""
        return self.text()

    def text(self, width: int = 80, *, ascii_only: bool | None = None) -> str:
        """Draw the curve in lines of `width` characters, held between 60 and 100.

        `ascii_only` is for a terminal that has no braille; None asks standard output's encoding.
        """
        width = max(NARROWEST, min(WIDEST, width))
        plain = not _writes_braille() if ascii_only is None else ascii_only
        heading = _clipped(self._heading(), width)
        if plain:
            heading = heading.encode("ascii", "replace").decode()
        if not self.losses and not self.wers:
            return f"{heading}\nno step is done yet"
        return "\n".join([heading, *_drawing(self, width, plain=plain)])

    def svg(self) -> str:
        """Draw the curve as SVG, whose letters and axes have the colour of the page's text."""
        return "".join(_svg(self))

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="max-width:{_WIDTH}px">{self.svg()}</div>'

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Write the drawing where IPython would write thousands of points."""
        printer.text("..." if cycle else str(self))

    def _heading(self) -> str:
        best = (
            f", best greedy WER {_percent(min(wer for _, wer in self.wers))}" if self.wers else ""
        )
        return f"{self.title}: step {self.last_step} of {self.steps}{best}"

    @property
    def last_step(self) -> int:
        """The last step that is done."""
        return max((step for step, _ in (*self.losses, *self.wers)), default=0)


def learning_curve(
    points: Iterable[Point], *, title: str = "training", steps: int | None = None
) -> LearningCurve:
    """Return the curve of the points of a journal; what is no number in them is left out."""
    losses, wers, last = [], [], 0
    for point in points:
        last = max(last, point.step)
        if point.loss is not None and math.isfinite(point.loss):
            losses.append((point.step, point.loss))
        if point.wer is not None and math.isfinite(point.wer):
            wers.append((point.step, point.wer))
    return LearningCurve(title, tuple(losses), tuple(wers), max(steps or 0, last, 1))


def of(connection: Connection, model: str) -> LearningCurve:
    """Return the curve of a model's last training, as `thanosql_training` tells it.

    Raises:
        ModelNotFound: nothing of such a training is kept.
    """
    from .exceptions import ModelNotFound
    from .journal import Point

    columns = "state = 'training', run, step, steps, loss, wer"
    with connection.execute(
        f"SELECT {columns} FROM thanosql_training({quote_text(model)})"
    ) as cursor:
        rows = cursor.fetchall()
    if not rows:
        raise ModelNotFound(f"nothing is kept of a training of '{model}'")
    # One that trains now may have begun before another one that has ended.
    last = max(row[:2] for row in rows)
    of_last = [row[2:] for row in rows if row[:2] == last]
    points = [Point(step, loss=loss, wer=wer) for step, _, loss, wer in of_last if step is not None]
    steps = max((steps for _, steps, _, _ in of_last if steps is not None), default=None)
    return learning_curve(points, title=model, steps=steps)


def smoothed(values: Sequence[tuple[int, float]], steps: int) -> list[tuple[int, float]]:
    """Return an exponential moving mean of values by step, unbiased at its beginning.

    Its memory is a fiftieth of `steps`. The correction is Adam's (Kingma and Ba, 2015).
    """
    memory = max(1.0, steps * _SMOOTHED_OVER)
    total = weight = 0.0
    before = values[0][0] if values else 0
    result = []
    for step, value in values:
        kept = math.exp(-max(step - before, 0) / memory)
        total = total * kept + value
        weight = weight * kept + 1.0
        before = step
        result.append((step, total / weight))
    return result


@dataclass(frozen=True, slots=True)
class _Axis:
    """A scale from a value to a part of the height, and the values to write beside it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def part(self, value: float) -> float:
        """Return where a value lies, from 0 at the bottom to 1 at the top."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


def _axis(values: Sequence[float], *, at_most: float | None = None) -> _Axis:
    """Return an axis from 0 that has round numbers; `at_most` cuts off what is beyond."""
    top = max((value for value in values if value > _LEAST), default=1.0)
    if at_most is not None and at_most > _LEAST:
        top = min(top, at_most)
    step = _round_step(top / 4)
    count = max(1, math.ceil(top / step - 1e-9))
    return _Axis(0.0, step * count, tuple(step * index for index in range(count + 1)))


def _round_step(step: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, `step` or the next above."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * f for f in (1.0, 2.0, 2.5, 5.0, 10.0) if power * f >= step * (1 - 1e-9))


def _axes(curve: LearningCurve) -> tuple[_Axis, _Axis]:
    """Return the loss's axis and the WER's.

    The first losses may be a hundred times the rest, and one batch's may be. So the losses of the
    first twentieth of the steps that are done, and the highest fiftieth of the others, may lie
    above the axis; they are drawn at its top.
    """
    first = _FIRST * curve.last_step
    ordinary = sorted(loss for step, loss in curve.losses if step > first)
    highest = ordinary[int(_ORDINARY * (len(ordinary) - 1))] if ordinary else None
    return (
        _axis(
            [loss for _, loss in smoothed(curve.losses, curve.steps)],
            at_most=None if highest is None else _ABOVE * highest,
        ),
        _axis([wer for _, wer in curve.wers], at_most=1.5),
    )


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f} %"


# --- in characters --------------------------------------------------------------------------


def _writes_braille() -> bool:
    try:
        "⣿│└┴".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clipped(text: str, width: int) -> str:
    line = "".join(char if char.isprintable() else "?" for char in text)
    return line if len(line) <= width else line[: width - 3] + "..."


def _drawing(curve: LearningCurve, width: int, *, plain: bool) -> Iterator[str]:
    """Yield the picture's lines: the loss as dots of braille or as `.`, the WER as circles."""
    loss_axis, wer_axis = _axes(curve)
    columns = width - _AT_LEFT - _AT_RIGHT - 2
    cells = _loss_cells(curve, loss_axis, columns, plain=plain)
    mark = "o" if plain else "●"
    for step, wer in curve.wers:
        column = min(columns - 1, int(step / curve.steps * columns))
        cells[_row(wer_axis.part(wer))][column] = mark
    bar = "|" if plain else "│"
    has_wer = bool(curve.wers)
    for row, cell in enumerate(cells):
        at_left = _tick(loss_axis, row, _figure) if curve.losses else ""
        at_right = _tick(wer_axis, row, _percent) if has_wer else ""
        line = f"{at_left:>{_AT_LEFT - 1}} {bar}{''.join(cell)}{bar if has_wer else ''} {at_right}"
        yield line.rstrip()
    corner, floor = ("+", "-") if plain else ("└", "─")
    end = ("+" if plain else "┘") if has_wer else ""
    yield f"{' ' * _AT_LEFT}{corner}{floor * columns}{end}"
    yield f"{' ' * _AT_LEFT}0{f'{curve.steps:,} steps'.rjust(columns)}"
    drawn = "." if plain else "⠒"
    legend = f"{drawn} training loss (left)"
    if has_wer:
        legend += f"   {mark} greedy WER (right)"
    yield " " * _AT_LEFT + legend


def _row(part: float) -> int:
    return min(_ROWS - 1, int((1 - part) * (_ROWS - 1) + 0.5))


def _tick(axis: _Axis, row: int, written: Callable[[float], str]) -> str:
    return next((written(tick) for tick in axis.ticks if _row(axis.part(tick)) == row), "")


def _figure(value: float) -> str:
    figure = f"{value:.3g}"
    return figure if len(figure) < _AT_LEFT else f"{value:.0e}"


def _loss_cells(curve: LearningCurve, axis: _Axis, columns: int, *, plain: bool) -> list[list[str]]:
    """Return the cells with the loss drawn in dots: 2 by 4 in a cell of braille, 1 where plain."""
    across, down = (1, 1) if plain else (2, 4)
    dots: dict[tuple[int, int], int] = {}
    line = list(_columns(curve, axis, columns * across))
    before = None
    for x, part in line:
        y = min(_ROWS * down - 1, int((1 - part) * (_ROWS * down - 1) + 0.5))
        reached = range(min(y, before), max(y, before) + 1) if before is not None else (y,)
        for each in reached:
            cell = (each // down, x // across)
            dots[cell] = dots.get(cell, 0) | _BRAILLE[each % down][x % across]
        before = y
    return [
        [_dotted(dots.get((row, column), 0), plain=plain) for column in range(columns)]
        for row in range(_ROWS)
    ]


#: The bits of a braille character, by row and column (Unicode, block U+2800).
_BRAILLE: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def _dotted(bits: int, *, plain: bool) -> str:
    if not bits:
        return " "
    return "." if plain else chr(0x2800 + bits)


def _columns(curve: LearningCurve, axis: _Axis, columns: int) -> Iterator[tuple[int, float]]:
    """Yield each column that the loss reaches with its height, drawn through between steps."""
    line = [
        (step / curve.steps * (columns - 1), axis.part(loss))
        for step, loss in smoothed(curve.losses, curve.steps)
    ]
    if len(line) == 1:
        yield int(line[0][0]), line[0][1]
    at = 0
    for x in range(math.ceil(line[0][0]) if line else 0, columns):
        while at + 1 < len(line) and line[at + 1][0] < x:
            at += 1
        if at + 1 >= len(line):
            return
        (x0, y0), (x1, y1) = line[at], line[at + 1]
        yield x, y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 > x0 else y1


# --- as SVG ---------------------------------------------------------------------------------


def _svg(curve: LearningCurve) -> Iterator[str]:
    title = html.escape(curve._heading())  # noqa: SLF001 - the picture is the curve's own
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{title}" font-family="sans-serif" font-size="12" fill="currentColor">'
        f'<title>{title}</title><text x="{_LEFT}" y="22" font-size="14">{title}</text>'
    )
    loss_axis, wer_axis = _axes(curve)
    yield from _svg_axis(loss_axis, "training loss", _LOSS_COLOUR, _figure, left=True)
    if curve.wers:
        yield from _svg_axis(wer_axis, "greedy WER", _WER_COLOUR, _percent, left=False)
    yield from _svg_steps(curve)
    yield _svg_line(_thinned(curve.losses), curve.steps, loss_axis, _LOSS_COLOUR, faint=True)
    mean = _thinned(smoothed(curve.losses, curve.steps))
    yield _svg_line(mean, curve.steps, loss_axis, _LOSS_COLOUR)
    yield _svg_line(curve.wers, curve.steps, wer_axis, _WER_COLOUR)
    for step, wer in curve.wers:
        x, y = _place(step, curve.steps, wer_axis.part(wer))
        told = f"step {step}: greedy WER {_percent(wer)}"
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_WER_COLOUR}">'
        yield f"{circle}<title>{told}</title></circle>"
    yield "</svg>"


def _place(step: float, steps: int, part: float) -> tuple[float, float]:
    x = _LEFT + step / steps * (_WIDTH - _LEFT - _RIGHT)
    return x, _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)


def _svg_axis(
    axis: _Axis, name: str, colour: str, written: Callable[[float], str], *, left: bool
) -> Iterator[str]:
    x = _LEFT if left else _WIDTH - _RIGHT
    anchor, away = ("end", -8) if left else ("start", 8)
    for tick in axis.ticks:
        _, y = _place(0, 1, axis.part(tick))
        if left:
            yield (
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
                ' stroke="currentColor" stroke-opacity="0.15"/>'
            )
        yield f'<text x="{x + away}" y="{y + 4:.1f}" text-anchor="{anchor}">{written(tick)}</text>'
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    at = 14 if left else _WIDTH - 6
    yield (
        f'<text x="{at}" y="{middle}" fill="{colour}" text-anchor="middle"'
        f' transform="rotate(-90 {at} {middle})">{name}</text>'
    )


def _svg_steps(curve: LearningCurve) -> Iterator[str]:
    y = _HEIGHT - _BOTTOM + 16
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, _ = _place(part, 1, 0)
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{part * curve.steps:,.0f}</text>'
    x, _ = _place(0.5, 1, 0)
    yield f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">step</text>'


def _svg_line(
    values: Sequence[tuple[int, float]],
    steps: int,
    axis: _Axis,
    colour: str,
    *,
    faint: bool = False,
) -> str:
    places = (_place(step, steps, axis.part(value)) for step, value in values)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    look = 'stroke-width="1" stroke-opacity="0.3"' if faint else 'stroke-width="2"'
    return f'<polyline points="{points}" fill="none" stroke="{colour}" {look}/>' if points else ""


def _thinned(values: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    if len(values) <= _DRAWN:
        return values
    every = len(values) / _DRAWN
    kept = [values[int(index * every)] for index in range(_DRAWN)]
    return [*kept, values[-1]]
