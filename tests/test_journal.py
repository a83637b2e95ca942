"""The journal of a training: read while it is written, by others, and after any death."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from thanosql_dbapi import OperationalError, QueryInterrupted
from thanosql_dbapi.journal import (
    Journal,
    Point,
    Run,
    RunState,
    Step,
    read_kept,
    read_points,
    read_runs,
    writing,
)
from thanosql_dbapi.journal.files import STATE, STEPS


def step(number: int, loss: float = 0.5) -> Step:
    return Step(number, 10, number / 5, 2.0, loss, 1e-3, number * 3.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "training" / "m" / "key"


def only(folder: Path) -> Run:
    (run,) = read_runs(folder.parent.parent, None)
    return run


def write(folder: Path, *numbers: int) -> Journal:
    return _write(Journal(folder, {"model": "M"}), numbers)


def _write(opened: Journal, numbers: tuple[int, ...]) -> Journal:
    with opened:
        for number in numbers:
            opened.step(step(number))
    return opened


def dies(folder: Path, code: str) -> None:
    """Run code on a journal `opened` in another process, which then kills itself."""
    text = """
        import os, signal, sys
        from pathlib import Path
        from thanosql_dbapi.journal import *
        opened = Journal(Path(sys.argv[1]), {"model": "M"}).__enter__()
        def step(n):
            opened.step(Step(n, 10, n / 5, 2.0, 0.5, 1e-3, n * 3.0))
        """
    kill = "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    program = textwrap.dedent(text) + textwrap.dedent(code) + kill
    done = subprocess.run([sys.executable, "-c", program, str(folder)], timeout=60)
    assert done.returncode == -signal.SIGKILL


# --- what is written ------------------------------------------------------------------------


def test_a_run_is_read_while_it_is_written(folder: Path) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    with Journal(folder, {"model": "M", "rows": 7}) as opened:
        assert (only(folder).state, only(folder).points) == (RunState.TRAINING, ())
        opened.step(step(1))
        opened.step(step(2))
        opened.measured(2, 0.25)
        run = only(folder)
        assert (run.model, run.key, run.state, run.steps, run.epochs, run.message) == (
            "M", "key", RunState.TRAINING, 10, 2.0, "",
        )  # fmt: skip
        assert run.facts["rows"] == 7
        assert run.heartbeat is not None
        assert before < run.started <= run.heartbeat
        first, second = run.points
        assert (first.step, first.epoch, first.loss, first.wer) == (1, 0.2, 0.5, None)
        assert (second.learning_rate, second.audio_seconds, second.wer) == (1e-3, 6.0, 0.25)
        assert first.seconds is not None
        assert opened.points == run.points
        opened.finish(RunState.REFUSED, "only blanks")
        assert (only(folder).state, only(folder).message) == (RunState.REFUSED, "only blanks")
    assert only(folder).state is RunState.REFUSED


def test_runs_are_of_a_name_whatever_its_case_and_oldest_first(tmp_path: Path) -> None:
    for model, key in (("M", "b"), ("other", "x"), ("m", "a")):
        _write(Journal(tmp_path / model.lower() / key, {"model": model}), (1,))
        time.sleep(0.002)
    assert [run.key for run in read_runs(tmp_path, "M")] == ["b", "a"]
    assert [run.key for run in read_runs(tmp_path, None)] == ["b", "x", "a"]
    assert read_runs(tmp_path, "none") == read_runs(tmp_path / "no folder", None) == []


def test_a_loss_that_diverged_is_kept_and_the_file_is_json(folder: Path) -> None:
    with Journal(folder, {"model": "M"}) as opened:
        for number, loss in enumerate((math.nan, math.inf, -math.inf), 1):
            opened.step(step(number, loss))
    losses = [point.loss for point in only(folder).points]
    assert losses[0] is not None
    assert math.isnan(losses[0])
    assert losses[1:] == [math.inf, -math.inf]

    def fail(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    for line in (folder / STEPS).read_text().splitlines():
        json.loads(line, parse_constant=fail)


def test_a_measurement_joins_its_step_in_whatever_order(folder: Path) -> None:
    with Journal(folder, {"model": "M"}) as opened:
        opened.measured(0, 1.0)
        opened.measured(1, 0.5, 0.75)
        opened.step(step(1))
    none, one = only(folder).points
    assert (none.step, none.loss, none.wer) == (0, None, 1.0)
    assert (one.step, one.loss, one.wer, one.held_out_loss) == (1, 0.5, 0.5, 0.75)


def test_the_heart_beats_while_no_step_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BEAT_S", 0.02)
    with Journal(folder, {"model": "M"}):
        first = only(folder).heartbeat
        assert first is not None
        for _ in range(200):
            time.sleep(0.02)
            later = only(folder).heartbeat
            if later is not None and later > first:
                break
        else:
            pytest.fail("no second heartbeat")
    last = only(folder).heartbeat
    time.sleep(0.1)
    assert only(folder).heartbeat == last


def test_steps_do_not_rewrite_the_state(folder: Path) -> None:
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(1))
        written = (folder / STATE).stat().st_mtime_ns, (folder / STATE).stat().st_ino
        for number in range(2, 200):
            opened.step(step(number))
        again = (folder / STATE).stat().st_mtime_ns, (folder / STATE).stat().st_ino
    assert len(only(folder).points) == 199
    assert written == again  # and BEAT_S is longer than 200 steps take


# --- how runs end ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (None, RunState.FINISHED, ""),
        (QueryInterrupted("stopped"), RunState.INTERRUPTED, "stopped"),
        (KeyboardInterrupt(), RunState.INTERRUPTED, ""),
        (ValueError("no audio"), RunState.FAILED, "no audio"),
        (MemoryError(), RunState.FAILED, "MemoryError"),
    ],
)
def test_a_run_tells_how_it_ended(
    folder: Path, error: BaseException | None, state: RunState, message: str
) -> None:
    def train() -> None:
        with Journal(folder, {"model": "M"}) as opened:
            opened.step(step(1))
            if error is not None:
                raise error

    if error is None:
        train()
    else:
        with pytest.raises(type(error)):
            train()
    assert (only(folder).state, only(folder).message) == (state, message)


def test_a_killed_run_is_dead_at_once_however_fresh_its_heartbeat(folder: Path) -> None:
    dies(folder, "step(1); step(2)")
    run = only(folder)
    assert run.state is RunState.DEAD
    assert run.heartbeat is not None
    assert json.loads((folder / STATE).read_text())["state"] == "training"
    assert [point.step for point in run.points] == [1, 2]


def test_another_process_reads_a_run_and_readers_do_not_disturb_each_other(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from thanosql_dbapi.journal import read_runs\n"
        "for _ in range(100): (run,) = read_runs(Path(sys.argv[1]), 'm'); print(run.state)"
    )
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(1))
        read = [sys.executable, "-c", code, str(folder.parent.parent)]
        readers = [subprocess.Popen(read, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        printed = [reader.communicate(timeout=60)[0].split() for reader in readers]
    assert printed == [["training"] * 100] * 2
    dies(folder, "pass")
    readers = [subprocess.Popen(read, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [reader.communicate(timeout=60)[0].split() for reader in readers]
    assert printed == [["dead"] * 100] * 2


def test_readers_do_not_keep_a_writer_out(folder: Path) -> None:
    dies(folder, "step(1)")
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            read_runs(folder.parent.parent, "m")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            write(folder, 2)
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_one_trains_at_a_time(folder: Path) -> None:
    with Journal(folder, {"model": "my model"}) as opened:
        opened.step(step(1))
        with (
            pytest.raises(OperationalError, match=rf"trained already.*process {os.getpid()};.*'my"),
            Journal(folder, {"model": "my model"}),
        ):
            pytest.fail("two at once")
        opened.step(step(2))
        assert only(folder).state is RunState.TRAINING
    assert len(write(folder, 1).points) == 1  # the lock is free again


# --- going on -------------------------------------------------------------------------------


def test_a_dead_run_goes_on_from_a_checkpoint(folder: Path) -> None:
    dies(
        folder,
        "import time; time.sleep(0.05)\nfor n in range(1, 8): step(n)\nopened.measured(5, .5)",
    )
    dead = only(folder)
    with Journal(folder, {"model": "M"}) as opened:
        assert only(folder).state is RunState.TRAINING
        opened.resumed_from(4)
        assert [point.step for point in opened.points] == [1, 2, 3, 4]
        opened.step(step(5, 0.25))
        run = only(folder)
    assert run.started == dead.started
    assert run.steps == 10
    assert [point.step for point in run.points] == [1, 2, 3, 4, 5]
    assert (run.points[-1].loss, run.points[-1].wer) == (0.25, None)
    # The seconds go on too: those before the kill are counted.
    seconds = [point.seconds for point in run.points]
    assert None not in seconds
    assert seconds == sorted(seconds)  # type: ignore[type-var]
    assert (seconds[-1] or 0) >= 0.05


def test_steps_done_again_replace_what_was_logged_though_nobody_said_so(folder: Path) -> None:
    dies(folder, "for n in range(1, 8): step(n)")
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(3, 9.0))
    points = only(folder).points
    assert [(point.step, point.loss) for point in points] == [(1, 0.5), (2, 0.5), (3, 9.0)]


def test_what_came_to_a_version_begins_anew_and_what_was_stopped_goes_on(folder: Path) -> None:
    for state, kept in ((RunState.FINISHED, 0), (RunState.FAILED, 2), (RunState.REFUSED, 0)):
        with Journal(folder, {"model": "M"}) as opened:
            opened.resumed_from(0)
            opened.step(step(1))
            opened.step(step(2))
            opened.finish(state)
        started = only(folder).started
        time.sleep(0.002)
        with Journal(folder, {"model": "M"}) as opened:
            assert len(opened.points) == kept
        assert (only(folder).started == started) is bool(kept)


@pytest.mark.parametrize("torn", ['{"step": 4, "lo', '{"step": 4}', "\0\0\0\0", '{"step"', "ÿ"])
def test_a_torn_last_line_is_passed_over_and_does_not_spoil_the_next(
    folder: Path, torn: str
) -> None:
    dies(folder, "for n in (1, 2, 3): step(n)")
    with (folder / STEPS).open("a", encoding="latin-1") as file:
        file.write(torn)
    assert [point.step for point in only(folder).points] == [1, 2, 3]
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(4, 0.125))
    assert [(point.step, point.loss) for point in only(folder).points][2:] == [(3, 0.5), (4, 0.125)]


def test_damaged_lines_within_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / STEPS
    path.write_text(
        '{"step": 1}\n\0\0\n[]\n{"step": 2, "loss": "x"}\n{"loss": 1}\n{"step": 3, "new": 1}\n'
    )
    assert read_points(path) == (Point(1), Point(3))


def test_damaged_runs_are_passed_over(folder: Path) -> None:
    write(folder, 1)
    (folder / "run.json").write_text("{")
    assert read_runs(folder.parent.parent, None) == []


# --- what is kept ---------------------------------------------------------------------------


def test_a_version_keeps_its_run(folder: Path, tmp_path: Path) -> None:
    about = tmp_path / "about"
    assert read_kept(about) is None
    with Journal(folder, {"model": "M", "rows": 7}) as opened:
        opened.step(step(1))
        opened.copy_to(about, RunState.REFUSED, "only blanks")
        kept = read_kept(about)
        assert only(folder).state is RunState.TRAINING
    assert kept is not None
    assert (kept.model, kept.key, kept.state, kept.message, kept.steps) == (
        "M", "key", RunState.REFUSED, "only blanks", 10,
    )  # fmt: skip
    assert (kept.started, kept.points) == (only(folder).started, only(folder).points)
    assert kept.facts["rows"] == 7


def test_a_run_that_is_finished_is_kept_as_it_stands(folder: Path, tmp_path: Path) -> None:
    with Journal(folder, {"model": "M"}) as opened:
        opened.finish(RunState.FINISHED)
        opened.copy_to(tmp_path / "about")
    kept = read_kept(tmp_path / "about")
    assert kept is not None
    assert kept.state is RunState.FINISHED


# --- what cannot be written -----------------------------------------------------------------


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_step_that_cannot_be_logged_raises(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(1))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", full)
            with pytest.raises(OperationalError, match="cannot be written.*No space"):
                opened.step(step(2))
            with pytest.raises(OperationalError, match="cannot be written.*No space"):
                opened.measured(1, 0.5)
        opened.step(step(2))
    assert len(only(folder).points) == 2


def test_a_heartbeat_that_cannot_be_written_is_told_by_the_next_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BEAT_S", 0.02)
    with Journal(folder, {"model": "M"}) as opened:
        opened.step(step(1))
        with monkeypatch.context() as patched:
            patched.setattr(writing, "replace_json", full)
            steps = (time.sleep(0.01) or opened.step(step(n)) for n in range(2, 500))
            with pytest.raises(OperationalError, match="cannot be written.*No space"):
                list(steps)
        last = opened.points[-1].step
        for _ in range(100):
            time.sleep(0.02)
            try:
                opened.step(step(last + 1))
                break
            except OperationalError:  # until the next heartbeat
                continue
        else:
            pytest.fail("the disk has room again, and the run does not know")
    assert only(folder).points[-1].step == last + 1


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "training").write_text("a file")
    with (
        pytest.raises(OperationalError, match="cannot be written"),
        Journal(tmp_path / "training" / "m" / "key", {"model": "M"}),
    ):
        pytest.fail("no journal")


def test_what_failed_is_told_though_the_end_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train() -> None:
        with Journal(folder, {"model": "M"}):
            monkeypatch.setattr(writing, "replace_json", full)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        train()
    monkeypatch.undo()
    assert only(folder).state is RunState.DEAD
