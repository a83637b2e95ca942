"""Writing the journal of a training: by the process that trains, which holds the run's lock."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..exceptions import OperationalError, QueryInterrupted
from ..quoting import quote_text
from .files import LOCK, RUN, STATE, STEPS, now, read_json, replace, replace_json
from .points import Point, Step, line, read_points
from .runs import DONE, LOCK_WAIT_S, RunState

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Seconds between two heartbeats.
BEAT_S = 2.0
#: How often a folder is made that is taken away before its lock is held.
_ATTEMPTS = 100


class Journal:
    """The writer of one run's journal, and the holder of its lock.

    `facts` say what is trained, under `model` its name. A run that was stopped or died is gone on
    with: its start and its steps stay; one that came to a version begins anew. A run that ends by
    an exception, or without `finish`, has its state by that.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self._facts = facts
        self._lock: BaseFileLock | None = None
        #: What state.json says; the thread that beats and the one that trains both write it.
        self._state: dict[str, Any] = {}
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None
        self._last = 0
        self._seconds_before = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        """Take the run's lock and begin to beat.

        Raises:
            OperationalError: the same is being trained already, or nothing can be written.
        """
        try:
            self._written(self._take_lock)
            self._written(self._begin)
        except BaseException:
            self._release()
            raise
        self._thread = threading.Thread(target=self._beat, name="thanosql-journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Say how the run ended, where `finish` did not, and release it."""
        try:
            if not self._ended.is_set():
                with contextlib.suppress(OperationalError):  # what ended the run is what to tell
                    self.finish(*_ending(error))
        finally:
            self._release()

    @property
    def points(self) -> tuple[Point, ...]:
        """What was logged until now."""
        return read_points(self.folder / STEPS)

    def step(self, step: Step) -> None:
        """Log a step; steps that were logged under its number or a later one are cut off.

        Raises:
            OperationalError: the journal cannot be written: the disk is full, say.
        """
        if step.step <= self._last:
            self.resumed_from(step.step - 1)
        self._last = step.step
        self._append(
            Point(
                step.step,
                step.epoch,
                step.loss,
                step.learning_rate,
                step.audio_seconds,
                self._seconds(),
                steps=step.steps,
            )
        )
        if (self._state.get("steps"), self._state.get("epochs")) != (step.steps, step.epochs):
            self._write_state(steps=step.steps, epochs=step.epochs)

    def measured(self, step: int, wer: float, loss: float | None = None) -> None:
        """Log what was measured on the held-out rows after a step.

        Raises:
            OperationalError: the journal cannot be written.
        """
        self._append(Point(step, seconds=self._seconds(), wer=wer, held_out_loss=loss))

    def resumed_from(self, step: int) -> None:
        """Cut off what was logged after `step`: it is done again.

        Raises:
            OperationalError: the journal cannot be written.
        """
        kept = [point for point in self.points if point.step <= step]
        self._written(lambda: replace(self.folder / STEPS, "".join(map(line, kept))))
        self._last = kept[-1].step if kept else 0
        self._seconds_before = (kept[-1].seconds or 0.0) if kept else 0.0
        self._began = time.monotonic()

    def finish(self, state: RunState, message: str = "") -> None:
        """Write the last state; the run beats no more.

        Raises:
            OperationalError: the journal cannot be written.
        """
        self._stop_beating()
        self._write_state(state=state, message=message)

    def copy_to(self, folder: Path, state: RunState | None = None, message: str = "") -> None:
        """Write the journal into a version's `folder`, for `read_kept`; as it stands, or will.

        Raises:
            OperationalError: it cannot be written.
        """
        last = {} if state is None else {"state": state, "message": message}
        kept = {"key": self.folder.name, **self._facts_of_run(), **self._state, **last}

        def write() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            replace_json(folder / RUN, kept)
            replace(folder / STEPS, "".join(map(line, self.points)))

        self._written(write)

    def _take_lock(self) -> None:
        # Imported late: it costs as much as the rest of the driver.
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / LOCK, timeout=LOCK_WAIT_S, thread_local=False)
        for attempt in range(_ATTEMPTS):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
            except (FileNotFoundError, FileExistsError):
                # The folder was being taken away: see `discard`.
                if attempt == _ATTEMPTS - 1:
                    raise
            except Timeout as error:
                raise self._taken() from error
            else:
                self._lock = lock
                return

    def _taken(self) -> OperationalError:
        name = str(self._facts.get("model"))
        holder = read_json(self.folder / RUN).get("process")
        return OperationalError(
            f"'{name}' is being trained already on these rows with these options, by process"
            f" {holder}; SELECT * FROM thanosql_training({quote_text(name)}) shows how far it is"
        )

    def _begin(self) -> None:
        before = read_json(self.folder / STATE)
        if before.get("state") in (None, *DONE):
            before = {}
            for name in (RUN, STEPS):
                (self.folder / name).unlink(missing_ok=True)
        points = self.points
        if points:
            # A torn last line goes, before the next is written behind it.
            replace(self.folder / STEPS, "".join(map(line, points)))
            self._last, self._seconds_before = points[-1].step, points[-1].seconds or 0.0
        self._began = time.monotonic()
        run = self._facts_of_run()
        replace_json(self.folder / RUN, run)
        self._state = before
        self._write_state(state=RunState.TRAINING, message="")

    def _facts_of_run(self) -> dict[str, Any]:
        started = read_json(self.folder / RUN).get("started_utc") or now()
        return {**self._facts, "started_utc": started, "process": os.getpid()}

    def _seconds(self) -> float:
        return round(self._seconds_before + time.monotonic() - self._began, 3)

    def _append(self, point: Point) -> None:
        if (failure := self._failure) is not None:
            raise _unwritten(self.folder, failure)

        def append() -> None:
            # One write a line: a reader, or a crash, sees it whole but for a torn last one.
            with (self.folder / STEPS).open("a", encoding="utf-8") as file:
                file.write(line(point))

        self._written(append)

    def _written(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise _unwritten(self.folder, error) from error

    def _write_state(self, **changed: Any) -> None:
        with self._writing:
            self._state |= {**changed, "heartbeat_utc": now()}
            self._written(lambda: replace_json(self.folder / STATE, self._state))

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._write_state()
                self._failure = None
            except OperationalError as error:
                # Nobody hears of it in this thread: the next step does.
                self._failure = error.__cause__ if isinstance(error.__cause__, OSError) else None

    def _stop_beating(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _release(self) -> None:
        self._stop_beating()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


def _ending(error: BaseException | None) -> tuple[RunState, str]:
    if error is None:
        return RunState.FINISHED, ""
    if isinstance(error, QueryInterrupted | KeyboardInterrupt):
        return RunState.INTERRUPTED, str(error)
    return RunState.FAILED, str(error) or type(error).__name__


def _unwritten(folder: Path, error: OSError) -> OperationalError:
    return OperationalError(f"the journal of the training in {folder} cannot be written: {error}")
