"""A connection's facts, and one run of one statement.

A function that DuckDB calls in the middle of a query reaches its connection's settings
through a `Session`, and what belongs to the run alone (the memo, the slot for an exception,
the flag that stops it) through an `Execution`. Neither knows DuckDB, SQL or a model.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .exceptions import QueryInterrupted

if TYPE_CHECKING:
    from .progress import Bar, Progress
    from .registry import Version
    from .workspace import Workspace

#: Predictions that one execution remembers: a filter on a prediction asks for a row's text a
#: second time within a vector or two, so this is far more than needed, and still bounded.
MEMO_ENTRIES = 1 << 17


@dataclass(frozen=True, slots=True)
class Session:
    """What a connection was opened with."""

    workspace: Workspace
    root: Path
    device: str
    checkpoints: Mapping[str, str]
    progress: Progress

    def path(self, text: str) -> Path:
        """Return the file that `text` names: absolute, or relative to the root."""
        return self.root / text


class Memo:
    """The predictions of one execution, least recently used dropped first; not thread-safe."""

    def __init__(self, entries: int = MEMO_ENTRIES) -> None:
        self._entries = entries
        self._texts: OrderedDict[tuple[str, str, str], object] = OrderedDict()

    def known(self, version: str, options: str, paths: Iterable[str]) -> dict[str, object]:
        """Return what is remembered of `paths`."""
        found = {}
        for path in paths:
            key = (version, options, path)
            if key in self._texts:
                self._texts.move_to_end(key)
                found[path] = self._texts[key]
        return found

    def remember(self, version: str, options: str, results: Mapping[str, object]) -> None:
        """Keep `results`, by path."""
        for path, result in results.items():
            self._texts[version, options, path] = result
        while len(self._texts) > self._entries:
            self._texts.popitem(last=False)


@dataclass(eq=False, slots=True)
class Execution:
    """One run of one statement.

    `is_planning` tells whether DuckDB is still planning: a model must not run there, even where
    all its arguments are constants that DuckDB would like to fold. `may_fold` lifts that.
    """

    session: Session
    is_planning: Callable[[], bool] = lambda: False
    may_fold: bool = False
    memo: Memo = field(default_factory=Memo)
    failure: BaseException | None = None
    rows_seen: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    _bar: Bar | None = None
    _asked: int = 0
    _done: int = 0
    _seconds: float = 0.0
    _versions: dict[str, Version] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def version(self, name: str) -> Version:
        """Resolve a model's name, once for the whole execution.

        Raises:
            ModelNotFound: no model has the name.
        """
        with self.lock:
            if name not in self._versions:
                self._versions[name] = self.session.workspace.registry.resolve(name)
            return self._versions[name]

    def number_rows(self, count: int) -> int:
        """Return the number, from 1, of the first of the next `count` rows that a model reads."""
        with self.lock:
            first = self.rows_seen + 1
            self.rows_seen += count
            return first

    def expect(self, items: int) -> None:
        """Count `items` more inputs that a model is asked for."""
        with self.lock:
            self._asked += items
            self._show()

    def advance(self, items: int, seconds: float) -> None:
        """Show that a model is done with `items` more inputs, of `seconds` of media in all."""
        with self.lock:
            self._done += items
            self._seconds += seconds
            self._show()

    def _show(self) -> None:
        if self._bar is None:
            self._bar = self.session.progress.bar("predict", "rows")
        self._bar.update(self._done, self._asked, audio_seconds=self._seconds)

    def finish(self) -> None:
        """End what the run showed."""
        with self.lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def fail(self, failure: BaseException) -> None:
        """Keep the first exception: DuckDB drops the cause of what a function raises."""
        with self.lock:
            if self.failure is None or isinstance(self.failure, FoldingRefused):
                self.failure = failure

    def refuse_folding(self) -> None:
        """Raise while DuckDB plans, unless that is allowed.

        Raises:
            FoldingRefused: DuckDB is planning.
        """
        if not self.may_fold and self.is_planning():
            raise FoldingRefused

    def stop(self) -> None:
        """Ask the run to end; `check` raises from now on."""
        self._stopped.set()

    def check(self) -> None:
        """Raise if the run was stopped.

        Raises:
            QueryInterrupted: it was.
        """
        if self._stopped.is_set():
            raise QueryInterrupted("the statement was interrupted")


class FoldingRefused(Exception):
    """A model was asked for while DuckDB planned; DuckDB then leaves the expression unfolded."""
