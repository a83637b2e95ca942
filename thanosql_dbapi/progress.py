"""How far long work has come: a bar in a terminal, a call to the program, or nothing.

It knows how to show progress, and nothing of what progresses.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """What a program that embeds the driver is told: `done` of `total` of an `activity`.

    `unit` is what is counted: `rows`, `steps`, `files`, `MB`.
    """

    activity: str
    done: float
    total: float | None
    facts: dict[str, float] = field(default_factory=dict)
    unit: str = ""


#: Seconds between two looks of a bar.
_INTERVAL_S: Final = 0.1

#: How a bar shows figures that have a unit, or a form of their own.
_FIGURES: Final[Mapping[str, Callable[[float], str]]] = {
    "audio_seconds": "{:.0f} s of audio".format,
    "real_time": "{:.1f} x real time".format,
    # What is told is how many are done: 2.25 is in the third.
    "epoch": lambda value: f"epoch {math.ceil(value)}",
    "loss": lambda value: f"loss {_rounded(value)}",
    "wer": lambda value: f"greedy WER {100 * value:.1f} %",
    "learning_rate": lambda value: f"rate {value:.1e}",
    "remaining_s": lambda value: f"{duration(value)} left",
}

ProgressSetting: TypeAlias = "bool | Callable[[ProgressEvent], None] | None"


class Bar(Protocol):
    """The progress of one piece of work."""

    def update(self, done: float, total: float | None, **facts: float) -> None:
        """Set how much is done, in all; `facts` are figures to show beside it."""

    def close(self) -> None:
        """End the bar."""


class Progress:
    """Makes a bar for each piece of work.

    `setting`: None shows bars where standard error is a terminal, True always, False never; a
    callable gets a `ProgressEvent` for each step.
    """

    def __init__(self, setting: ProgressSetting) -> None:
        self._setting = setting

    def bar(self, activity: str, unit: str) -> Bar:
        """Return a new bar for an activity that is counted in `unit`."""
        if callable(self._setting):
            return _CallbackBar(activity, unit, self._setting)
        shown = sys.stderr.isatty() if self._setting is None else self._setting
        return _TqdmBar(activity, unit) if shown else _SilentBar()


class _SilentBar:
    def update(self, done: float, total: float | None, **facts: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class _CallbackBar:
    def __init__(self, activity: str, unit: str, tell: Callable[[ProgressEvent], None]) -> None:
        self._activity = activity
        self._unit = unit
        self._tell = tell

    def update(self, done: float, total: float | None, **facts: float) -> None:
        self._tell(ProgressEvent(self._activity, done, total, facts, self._unit))

    def close(self) -> None:
        """Nothing is left to tell."""


class _TqdmBar:
    def __init__(self, activity: str, unit: str) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(desc=activity, unit=f" {unit}", dynamic_ncols=True)
        self._unit = unit
        self._last: tuple[float, float | None, dict[str, float]] | None = None
        self._shown_at = 0.0

    def update(self, done: float, total: float | None, **facts: float) -> None:
        # A notebook's bar is a message to the browser each time.
        self._last = (done, total, facts)
        if time.monotonic() - self._shown_at >= _INTERVAL_S:
            self._show()

    def _show(self) -> None:
        if self._last is None:
            return
        (done, total, facts), self._last = self._last, None
        if total is not None:
            self._bar.total = total
        if "remaining_s" in facts:
            # tqdm's own guess takes what an earlier run did for work of this one.
            self._bar.bar_format = (
                f"{{l_bar}}{{bar}}| {{n_fmt}}/{{total_fmt}} {self._unit}{{postfix}}"
            )
        if facts:
            self._bar.set_postfix_str(figures(facts), refresh=False)
        self._bar.n = done
        self._bar.refresh()
        self._shown_at = time.monotonic()

    def close(self) -> None:
        self._show()
        self._bar.close()


def duration(seconds: float) -> str:
    """Return a time in the two largest units of it: `35 s`, `4 min 05 s`, `2 h 10 min`."""
    if not math.isfinite(seconds):
        return "unknown time"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def figures(facts: Mapping[str, float]) -> str:
    """Return the figures that go with an event, as a bar shows them."""
    return ", ".join(_shown(name, value) for name, value in facts.items())


def _shown(name: str, value: float) -> str:
    if name in _FIGURES:
        return _FIGURES[name](value)
    return f"{name.replace('_', ' ')}={value:.3g}"


def _rounded(value: float) -> str:
    """Return a figure in at least two digits after the point, and more where it is small."""
    return f"{value:.2f}" if not abs(value) < 0.1 else f"{value:.2g}"
