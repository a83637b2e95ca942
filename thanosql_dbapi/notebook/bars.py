"""How far a statement has come, below its cell: a bar, and for a training its curve.

It gets the driver's events, from whichever thread, and knows nothing of statements. When the work
ends, one line stays; work that is done at once leaves none.
"""

from __future__ import annotations

import contextlib
import contextvars
import html
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from IPython.display import DisplayHandle, display

from ..journal import Point
from ..learning_curve import LearningCurve, learning_curve
from ..progress import ProgressEvent, duration, figures

#: Seconds before a bar is shown, between two looks of it, and between two of a curve.
_DELAY_S: Final = 0.5
_INTERVAL_S: Final = 0.2
_CURVE_S: Final = 2.0

#: The activity that has a learning curve.
TRAINING: Final = "train"

#: A curve has SVG as well, which is in its HTML.
_FORMS: Final = ("text/html", "text/plain")

#: Cells of a bar that is written in characters.
_CELLS: Final = 20


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a bar: how much is done, or how it ended."""

    event: ProgressEvent
    ended: str | None = None

    def __repr__(self) -> str:
        if self.ended is not None or not self.event.total:
            return self._said()
        part = min(1.0, max(0.0, self.event.done / self.event.total))
        full = round(part * _CELLS)
        return f"{'█' * full}{'░' * (_CELLS - full)} {self._said()}"

    def _repr_html_(self) -> str:
        bar = ""
        if self.ended is None:
            value = ""
            if self.event.total:
                value = f' value="{self.event.done:g}" max="{self.event.total:g}"'
            bar = f'<progress style="width:16em;vertical-align:middle"{value}></progress> '
        return f'<div style="opacity:.85">{bar}{html.escape(self._said())}</div>'

    def _said(self) -> str:
        event = self.event
        total = f" of {event.total:,.0f}" if event.total else ""
        facts = dict(event.facts)
        if self.ended is not None:
            facts.pop("remaining_s", None)
        done = f"{event.done:,.0f}{total} {event.unit}".rstrip()
        shown = [done, figures(facts), self.ended or ""]
        return f"{event.activity}: {', '.join(filter(None, shown))}"


class Bars:
    """Shows events of the statements of one cell at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open = False
        #: By name; one may go on after another has begun, as where a training predicts.
        self._activities: dict[str, _Activity] = {}
        self._latest = ""
        self._context = contextvars.copy_context()
        self._curve = _Curve(self._publish)

    def tell(self, event: ProgressEvent) -> None:
        """Show an event; outside of `shown`, nothing."""
        with self._lock:
            if not self._open:
                return
            latest = self._activities.get(self._latest)
            if latest is not None and event.activity != self._latest:
                latest.rest()
            self._latest = event.activity
            if event.activity not in self._activities:
                self._activities[event.activity] = _Activity(self._publish)
            self._activities[event.activity].tell(event)
            if event.activity == TRAINING:
                self._curve.tell(event)

    @contextlib.contextmanager
    def shown(self) -> Iterator[Bars]:
        """Show what is told while a statement runs, below the cell that runs now."""
        # Threads of DuckDB's and of models tell too: their output belongs to this cell.
        self._context = contextvars.copy_context()
        with self._lock:
            self._open, self._latest = True, ""
            self._curve = _Curve(self._publish)
        ended = "stopped"
        try:
            yield self
            ended = ""
        finally:
            with self._lock:
                for activity in self._activities.values():
                    activity.rest(ended)
                self._activities.clear()
                self._open = False

    def curve(self, final: LearningCurve) -> None:
        """Show the curve of a training that has ended, in the place of the one that grew."""
        with self._lock:
            self._curve.show(final)

    def _publish(self, work: Callable[[], None]) -> None:
        self._context.run(work)


class _Display:
    """One output of a cell, shown for the first time or anew."""

    def __init__(self, publish: Callable[[Callable[[], None]], None]) -> None:
        self._publish = publish
        self._handle: DisplayHandle | None = None

    @property
    def is_shown(self) -> bool:
        return self._handle is not None

    def show(self, what: object) -> None:
        def work() -> None:
            if self._handle is None:
                self._handle = display(what, display_id=True, include=_FORMS)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(what, include=_FORMS)  # type: ignore[no-untyped-call]

        self._publish(work)


class _Activity:
    """One activity's bar. A clock shows the first look: the next event may be long in coming."""

    def __init__(self, publish: Callable[[Callable[[], None]], None]) -> None:
        self._display = _Display(publish)
        self._lock = threading.RLock()
        self._event: ProgressEvent | None = None
        self._began = self._told_at = time.monotonic()
        self._shown_at = 0.0
        self._rests = False
        self._clock = threading.Timer(_DELAY_S, self._show)
        self._clock.daemon = True
        self._clock.start()

    def tell(self, event: ProgressEvent) -> None:
        with self._lock:
            self._event, self._rests, self._told_at = event, False, time.monotonic()
            is_due = self._told_at - self._shown_at >= _INTERVAL_S
            if is_due and self._told_at - self._began >= _DELAY_S:
                self._show()

    def rest(self, how: str = "") -> None:
        """Show how it ended, as far as that is known."""
        self._clock.cancel()
        with self._lock:
            if self._event is not None and self._display.is_shown and not self._rests:
                took = duration(self._told_at - self._began)
                self._display.show(
                    Look(self._event, f"{how} after {took}" if how else f"in {took}")
                )
            self._rests = True

    def _show(self) -> None:
        with self._lock:
            if self._event is not None and not self._rests:
                self._shown_at = time.monotonic()
                self._display.show(Look(self._event))


class _Curve:
    """The learning curve of the training that runs, drawn anew every few seconds."""

    def __init__(self, publish: Callable[[Callable[[], None]], None]) -> None:
        self._display = _Display(publish)
        self._points: list[Point] = []
        self._wer: float | None = None
        self._shown_at: float | None = None

    def tell(self, event: ProgressEvent) -> None:
        step, facts = int(event.done), event.facts
        self._points.append(Point(step, loss=facts.get("loss")))
        wer = facts.get("wer")
        if wer is not None and wer != self._wer:  # it was measured after the step before
            self._points.append(Point(max(step - 1, 0), wer=wer))
            self._wer = wer
        now = time.monotonic()
        if self._shown_at is None:
            self._shown_at = now
        if now - self._shown_at >= _CURVE_S:
            self._shown_at = now
            steps = int(event.total) if event.total else None
            self.show(learning_curve(self._points, steps=steps))

    def show(self, curve: LearningCurve) -> None:
        self._display.show(curve)
