"""Progress: a bar in a terminal, a call to the program, or nothing; and its end, whichever."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, MediaError, ProgressEvent
from thanosql_dbapi.progress import Progress, duration


@pytest.fixture
def events() -> list[ProgressEvent]:
    return []


@pytest.fixture
def told(echo: Echo, tmp_path: Path, events: list[ProgressEvent]) -> Iterator[Connection]:
    """A connection that tells its progress, with a table `t` of 1,000 paths."""
    with thanosql_dbapi.connect(root=tmp_path, progress=events.append) as opened:
        publish_echo(opened, "m")
        opened.execute("CREATE TABLE t AS SELECT 'p' || i AS audio_path FROM range(1000) r(i)")
        yield opened


def test_a_program_is_told_every_step(told: Connection, events: list[ProgressEvent]) -> None:
    told.execute("PREDICT USING m AS FROM t").fetchall()
    assert {event.activity for event in events} == {"predict"}
    done = [event.done for event in events]
    assert done == sorted(done)
    assert set(range(1, 1001)) <= set(done)
    assert {event.total for event in events} == {1000}
    last = events[-1]
    # The echo says that each of its inputs lasts a second.
    assert (last.done, last.facts["audio_seconds"]) == (1000, 1000.0)
    assert last.facts["real_time"] > 0
    assert last.facts["remaining_s"] == 0
    assert all(event.facts["remaining_s"] > 0 for event in events if 0 < event.done < 1000)


def test_copies_of_a_path_are_one_input(told: Connection, events: list[ProgressEvent]) -> None:
    told.execute(
        "PREDICT USING m AS SELECT 'p' || i % 10 AS audio_path FROM range(1000) r(i)"
    ).fetchall()
    assert (events[0].total, events[-1].done, events[-1].total) == (994, 10, 10)


def test_without_a_known_number_of_rows_there_is_no_total(
    told: Connection, events: list[ProgressEvent]
) -> None:
    told.execute("CREATE TABLE kept AS PREDICT USING m AS FROM t")
    assert (events[-1].done, events[-1].total) == (1000, None)
    assert all("remaining_s" not in event.facts for event in events)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_ends(
    echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        publish_echo(opened, "m")
        opened.execute(
            "PREDICT USING m AS SELECT 'p' || i AS audio_path FROM range(500) r(i)"
        ).fetchall()
    last = screen.getvalue().rstrip().split("\r")[-1]
    assert "predict: 100%" in last
    assert "500/500" in last
    assert "500 s of audio" in last
    assert "x real time" in last
    assert screen.getvalue().endswith("\n")


def test_nothing_is_shown_in_batch(
    echo: Echo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        publish_echo(opened, "m")
        opened.execute("PREDICT USING m AS SELECT 'p' AS audio_path").fetchall()
    assert capsys.readouterr() == ("", "")


class Bars:
    """Stands for tqdm, and counts."""

    def __init__(self) -> None:
        self.shown: list[float] = []
        self.open = 0
        self.n: float = 0
        self.total: float | None = None

    def __call__(self, **_: object) -> Bars:
        self.open += 1
        return self

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.text = text

    def refresh(self) -> None:
        self.shown.append(self.n)

    def close(self) -> None:
        self.open -= 1


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Bars:
    made = Bars()
    monkeypatch.setattr("tqdm.auto.tqdm", made)
    return made


def test_a_bar_is_drawn_ten_times_a_second_at_most(bars: Bars) -> None:
    bar = Progress(True).bar("predict", "rows")
    began = time.monotonic()
    step = 0
    while time.monotonic() - began < 0.35:
        step += 1
        bar.update(step, None, audio_seconds=float(step))
    bar.close()
    assert step > 100
    assert 3 <= len(bars.shown) <= 6
    # The last word is said, however soon after the one before.
    assert bars.shown[-1] == step
    assert bars.text == f"{step} s of audio"


@pytest.fixture
def barred(echo: Echo, tmp_path: Path, bars: Bars) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, progress=True) as opened:
        publish_echo(opened, "m")
        opened.execute("CREATE TABLE t AS SELECT 'p' || i AS audio_path FROM range(9000) r(i)")
        yield opened


def test_a_bar_ends_with_the_rows(barred: Connection, bars: Bars) -> None:
    cursor = barred.execute("PREDICT USING m AS FROM t")
    cursor.fetchone()
    assert bars.open == 1
    cursor.fetchall()
    assert bars.open == 0


def test_a_bar_ends_with_an_error(barred: Connection, bars: Bars) -> None:
    barred.execute("INSERT INTO t VALUES ('bad')")
    cursor = barred.execute("PREDICT USING m AS FROM t")
    cursor.fetchone()
    with pytest.raises(MediaError):
        cursor.fetchall()
    assert bars.open == 0
    with pytest.raises(MediaError):
        barred.execute("PREDICT USING m AS SELECT 'bad' AS audio_path").fetchall()
    with pytest.raises(MediaError):
        barred.execute("CREATE TABLE kept AS PREDICT USING m AS FROM t")
    assert bars.open == 0


def test_a_bar_ends_with_a_cursor_that_is_closed_early(
    echo: Echo, barred: Connection, bars: Bars
) -> None:
    cursor = barred.execute("PREDICT USING m AS FROM t")
    cursor.fetchone()
    started = threading.Event()

    def slowly(names: list[str]) -> None:
        started.set()
        time.sleep(0.2)

    echo.on_predict = slowly
    cursor.fetchmany(100)
    assert started.wait(5)
    cursor.close()
    assert bars.open == 0
    time.sleep(0.3)
    assert bars.open == 0


def test_a_bar_ends_with_ctrl_c(echo: Echo, barred: Connection, bars: Bars) -> None:
    import _thread

    cursor = barred.execute("PREDICT USING m AS FROM t")
    cursor.fetchone()
    echo.on_predict = lambda names: _thread.interrupt_main()
    with pytest.raises(KeyboardInterrupt):
        cursor.fetchall()
    assert bars.open == 0
    echo.on_predict = lambda names: None
    assert len(barred.execute("PREDICT USING m AS FROM t LIMIT 5").fetchall()) == 5


# Training


def test_the_bar_of_a_training_says_how_it_goes(bars: Bars) -> None:
    bar = Progress(True).bar("train", "steps")
    bar.update(90, 200, epoch=2.25, loss=0.4123, wer=0.12345, learning_rate=3e-4, remaining_s=35.2)
    assert bars.text == "epoch 3, loss 0.41, greedy WER 12.3 %, rate 3.0e-04, 35 s left"
    assert (bars.n, bars.total) == (90, 200)
    bar.close()


def test_a_training_in_a_terminal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    bar = Progress(None).bar("train", "steps")
    bar.update(90, 200, epoch=3, loss=0.41, wer=0.123, remaining_s=35)
    bar.close()
    last = screen.getvalue().rstrip().split("\r")[-1]
    assert last.startswith("train:  45%|")
    assert last.endswith("| 90/200 steps, epoch 3, loss 0.41, greedy WER 12.3 %, 35 s left")
    # Its own guess would take what an earlier run did for work of this one.
    assert "?" not in last
    assert "steps/s" not in last


def test_a_program_is_told_the_figures_themselves(events: list[ProgressEvent]) -> None:
    bar = Progress(events.append).bar("train", "steps")
    bar.update(1, 4, epoch=0.25, loss=2.0, wer=0.5, remaining_s=3.0)
    facts = {"epoch": 0.25, "loss": 2.0, "wer": 0.5, "remaining_s": 3.0}
    assert events == [ProgressEvent("train", 1, 4, facts, "steps")]


@pytest.mark.parametrize(
    ("loss", "shown"), [(12.345, "12.35"), (0.1, "0.10"), (0.0123, "0.012"), (float("nan"), "nan")]
)
def test_a_small_loss_keeps_its_digits(bars: Bars, loss: float, shown: str) -> None:
    bar = Progress(True).bar("train", "steps")
    bar.update(1, 2, loss=loss)
    assert bars.text == f"loss {shown}"
    bar.close()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (100_000, "27 h 46 min"),
        (-1, "0 s"),
        (float("inf"), "unknown time"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
