"""The steps of a training as they are logged: one line of JSON each, appended."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser, numbered from 1.

    `steps` and `epochs` are how many there will be, `epoch` how many are done, with a fraction;
    `audio_seconds` is how much audio was trained on until now.
    """

    step: int
    steps: int
    epoch: float
    epochs: float
    loss: float
    learning_rate: float
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class Point:
    """One step as it was logged, and what was measured after it on the held-out rows.

    `seconds` is how long the run had taken then, the time of a process that died included.
    """

    step: int
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    audio_seconds: float | None = None
    seconds: float | None = None
    wer: float | None = None
    held_out_loss: float | None = None
    steps: int | None = None


def read_points(path: Path) -> tuple[Point, ...]:
    """Return what a `steps.jsonl` says, by step; a measurement joins its step's point."""
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ()
    points: dict[int, Point] = {}
    # What stands behind the last line's end is torn, or just being written.
    for point in _parsed(lines[:-1]):
        known = points.get(point.step)
        points[point.step] = point if known is None else _joined(known, point)
    return tuple(points[step] for step in sorted(points))


def line(point: Point) -> str:
    """Return a point as it is logged."""
    values = {name: getattr(point, name) for name in Point.__slots__}
    # JSON has no NaN, and a loss that diverged is one.
    shown = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
        if value is not None
    }
    return json.dumps(shown) + "\n"


def _joined(known: Point, later: Point) -> Point:
    """Return a step's point with what was measured after it."""
    if known.loss is None:
        known, later = later, known
    return replace(known, wer=later.wer, held_out_loss=later.held_out_loss)


def _parsed(lines: Iterable[str]) -> Iterator[Point]:
    for line in lines:
        with contextlib.suppress(ValueError, AttributeError, TypeError):  # zeros, after a power cut
            yield _point(json.loads(line))


def _point(values: Mapping[str, Any]) -> Point:
    known: dict[str, Any] = {
        name: int(value) if name in ("step", "steps") else float(value)
        for name, value in values.items()
        if name in Point.__slots__
    }
    return Point(**known)
