"""Bars and curves below a cell: when they show, and what stays of them."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from typing import Any

import pytest

from thanosql_dbapi import ProgressEvent
from thanosql_dbapi.learning_curve import LearningCurve
from thanosql_dbapi.notebook import bars
from thanosql_dbapi.notebook.bars import Bars, Look

CELL = contextvars.ContextVar("CELL", default="no cell")


class Screen:
    """Outputs in their order: each with all its looks, and the cell that each look went to."""

    def __init__(self) -> None:
        self.outputs: list[list[Any]] = []
        self.cells: list[str] = []

    def display(self, what: object, **_: object) -> Output:
        output = Output(self, [what])
        self.outputs.append(output.looks)
        self.cells.append(CELL.get())
        return output

    @property
    def last(self) -> list[str]:
        return [repr(looks[-1]) for looks in self.outputs]


class Output:
    def __init__(self, screen: Screen, looks: list[Any]) -> None:
        self._screen = screen
        self.looks = looks

    def update(self, what: object, **_: object) -> None:
        self.looks.append(what)
        self._screen.cells.append(CELL.get())


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr(bars, "display", made.display)
    monkeypatch.setattr(bars, "_DELAY_S", 0.05)
    monkeypatch.setattr(bars, "_INTERVAL_S", 0.02)
    monkeypatch.setattr(bars, "_CURVE_S", 0.02)
    return made


def predict(done: int, total: int = 10) -> ProgressEvent:
    return ProgressEvent("predict", done, total)


def test_work_that_is_done_at_once_shows_nothing(screen: Screen) -> None:
    shown = Bars()
    with shown.shown():
        shown.tell(predict(1))
        shown.tell(predict(10))
    time.sleep(0.1)
    assert screen.outputs == []


def test_a_bar_shows_though_the_next_event_is_long_in_coming(screen: Screen) -> None:
    shown = Bars()
    with shown.shown():
        shown.tell(predict(1))
        time.sleep(0.15)
        assert screen.last == ["██░░░░░░░░░░░░░░░░░░ predict: 1 of 10"]
    assert screen.last == ["predict: 1 of 10, in 0 s"]


def test_looks_are_far_fewer_than_events(screen: Screen) -> None:
    shown = Bars()
    with shown.shown():
        for done in range(2000):
            shown.tell(predict(done, 2000))
            time.sleep(0.0001)
    (looks,) = screen.outputs
    assert 2 <= len(looks) < 200
    assert repr(looks[-1]).startswith("predict: 1,999 of 2,000")


def test_what_stops_is_told_as_stopped(screen: Screen) -> None:
    shown = Bars()
    with contextlib.suppress(KeyboardInterrupt), shown.shown():
        shown.tell(predict(3))
        time.sleep(0.1)
        raise KeyboardInterrupt
    assert screen.last == ["predict: 3 of 10, stopped after 0 s"]


def test_activities_that_take_turns_have_a_line_each(screen: Screen) -> None:
    shown = Bars()
    with shown.shown():
        for done in range(1, 6):
            shown.tell(ProgressEvent("decode", done, 5))
            shown.tell(predict(done))
            time.sleep(0.03)
    assert sorted(text.split(",")[0] for text in screen.last) == [
        *("decode: 5 of 5", "predict: 5 of 10"),
    ]


def test_events_of_threads_go_to_the_cell_that_runs(screen: Screen) -> None:
    shown = Bars()
    for cell in ("one", "two"):
        CELL.set(cell)
        with shown.shown():
            for done in range(5):
                thread = threading.Thread(target=shown.tell, args=(predict(done),))
                thread.start()
                thread.join()
                time.sleep(0.03)
        shown.tell(predict(9))  # what comes too late belongs to no cell
    assert len(screen.outputs) == 2
    assert set(screen.cells) == {"one", "two"}
    assert screen.cells == sorted(screen.cells)


def test_a_curve_grows_and_the_final_one_takes_its_place(screen: Screen) -> None:
    shown = Bars()
    final = LearningCurve("m", ((1, 0.5),), ((1, 0.25),), 1)
    with shown.shown():
        for step in range(1, 6):
            facts = {"loss": 1 / step, **({"wer": 0.5} if step > 3 else {})}
            shown.tell(ProgressEvent("train", step, 5, facts))
            time.sleep(0.03)
        (curves,) = [each for each in screen.outputs if isinstance(each[0], LearningCurve)]
        assert curves[-1].losses[-1] == (5, 0.2)
        assert curves[-1].wers == ((3, 0.5),)
        shown.curve(final)
    assert curves[-1] is final


def test_a_bar_says_how_far_it_is() -> None:
    look = Look(ProgressEvent("predict", 12, 20, {"remaining_s": 65.0}))
    assert repr(look) == "████████████░░░░░░░░ predict: 12 of 20, 1 min 05 s left"
    assert "<progress" in look._repr_html_()
    assert 'value="12" max="20"' in look._repr_html_()
    assert repr(Look(ProgressEvent("fetch", 2500, None, unit="MB"))) == "fetch: 2,500 MB"


def test_a_bar_without_a_total_and_one_that_ended() -> None:
    assert repr(Look(ProgressEvent("copy", 12345, None))) == "copy: 12,345"
    ended = Look(ProgressEvent("predict", 20, 20, {"remaining_s": 0.0}), "in 4 s")
    assert repr(ended) == "predict: 20 of 20, in 4 s"
    assert "<progress" not in ended._repr_html_()
