"""A thread that does one thing at a time, while the main thread waits where Ctrl-C reaches it.

Not a ThreadPoolExecutor: that one holds a lock of all executors while it takes a job on, and when
Python's garbage collector just then closes another connection, whose rollback is a job too, the
thread waits for itself for ever. A SimpleQueue may be put to from anywhere, says its documentation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: Seconds after which a wait looks up. polars and ADBC's driver manager handle SIGINT in a way that
#: Python's own waiting is not woken by it: it only sees Ctrl-C the next time that it runs.
_GLANCE = 0.1


class Job(Generic[T]):
    """Work that was handed over."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._value: Any = None
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Do the work; whatever it raises is for whoever asks for the result."""
        work, self._work = self._work, None
        try:
            self._value = work() if work is not None else None
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            self._error = error
        finally:
            self._done.release()

    def result(self) -> T:
        """Wait for the work, and return or raise what came of it."""
        while not self._done.acquire(timeout=_GLANCE):
            pass
        self._done.release()
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        value: T = self._value
        return value


class Worker:
    """The thread, which starts at once and ends with `stop`."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        # A daemon: at the end of the program all connections are closed, and with them this.
        threading.Thread(target=_serve, args=(self._jobs,), name="thanosql", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Hand work over; it is done after what was handed over before."""
        job = Job(work)
        self._jobs.put(job)
        return job

    def stop(self) -> None:
        """End the thread after what it is at."""
        self._jobs.put(None)


def _serve(jobs: SimpleQueue[Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # while it waits for the next one, nobody's rows are kept alive
