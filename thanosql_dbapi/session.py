"""A connection's facts, and one run of one statement.

A function that DuckDB calls in the middle of a query reaches its connection's settings
through a `Session`, and what belongs to the run alone (the memo, the slot for an exception,
the flag that stops it, what it counts) through an `Execution`. Neither knows DuckDB, SQL or a
model.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import exceptions
from .exceptions import MediaReason, QueryInterrupted, callers_level
from .media.paths import local_path

if TYPE_CHECKING:
    from .models.base import Outcome
    from .progress import Bar, Progress
    from .registry import Version
    from .workspace import Workspace

T = TypeVar("T")

#: What one execution remembers, in predictions, words and chunks: a filter on a prediction asks for
#: a row's text a second time within a vector or two, so this is far more than needed, and bounded.
MEMO_WEIGHT = 1 << 17


@dataclass(frozen=True, slots=True)
class Session:
    """What a connection was opened with."""

    workspace: Workspace
    root: Path
    device: str
    checkpoints: Mapping[str, str]
    progress: Progress

    def path(self, text: str) -> Path:
        """Return the file that `text` names; see `media.paths.local_path`."""
        return local_path(text, self.root)


class Memo:
    """What came of the inputs of one execution, least recently used dropped first.

    It is not thread-safe.
    """

    def __init__(self, weight: int = MEMO_WEIGHT) -> None:
        self._room = weight
        self._outcomes: OrderedDict[tuple[object, str], Outcome] = OrderedDict()

    def known(self, call: object, inputs: Iterable[str]) -> dict[str, Outcome]:
        """Return what is remembered of `inputs` to a call."""
        found = {}
        for name in inputs:
            key = (call, name)
            if key in self._outcomes:
                self._outcomes.move_to_end(key)
                found[name] = self._outcomes[key]
        return found

    def remember(self, call: object, outcomes: Mapping[str, Outcome]) -> None:
        """Keep outcomes, by input."""
        for name, outcome in outcomes.items():
            replaced = self._outcomes.pop((call, name), None)
            self._room += _weight(replaced) - _weight(outcome)
            self._outcomes[call, name] = outcome
        while self._room < 0 and self._outcomes:
            self._room += _weight(self._outcomes.popitem(last=False)[1])


def _weight(outcome: Outcome | None) -> int:
    if outcome is None:
        return 0
    parts = (getattr(outcome, "words", None), getattr(outcome, "chunks", None))
    return 1 + sum(len(part) for part in parts if part is not None)


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
    #: Seconds by step of the work: decode, wait, forward, text.
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    #: Inputs that a model was asked for, that a cache had, and that came to nothing, by reason.
    computed: int = 0
    cached: int = 0
    failed: Counter[MediaReason] = field(default_factory=Counter)
    #: What was scored, and how much of it the model was trained on, by model and `rows` or `files`.
    scored: defaultdict[tuple[str, str], tuple[int, int]] = field(
        default_factory=lambda: defaultdict(lambda: (0, 0))
    )
    #: Seconds that a model took, and the seconds of media that it did in them, by call.
    worked: defaultdict[object, tuple[float, float]] = field(
        default_factory=lambda: defaultdict(lambda: (0.0, 0.0))
    )
    #: What to tell once the run has ended.
    messages: list[tuple[type[Exception], Exception]] = field(default_factory=list)
    failure: BaseException | None = None
    rows_seen: int = 0
    #: The same by who asks, for their numbers: two models that are asked for one row have both seen
    #: it. And how many of them had been seen before.
    _rows: Counter[object] = field(default_factory=Counter)
    _repeated: Counter[object] = field(default_factory=Counter)
    #: How many rows the model will be given, where that is known.
    total: int | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    _bar: Bar | None = None
    _started: float = 0.0
    _asked: int = 0
    _done: int = 0
    _seconds: float = 0.0
    _versions: dict[str, Version] = field(default_factory=dict)
    _found: dict[object, Any] = field(default_factory=dict)
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

    def forget_version(self, name: str) -> None:
        """Resolve a model's name anew when it is next asked for: it means something else now."""
        with self.lock:
            self._versions = {
                known: version
                for known, version in self._versions.items()
                if known.casefold() != name.casefold()
            }

    def once(self, key: object, find: Callable[[], T]) -> T:
        """Return what `find` found when it was first asked for under `key`.

        A model may be deleted while it runs: what was found of its files then stays.
        """
        with self.lock:
            if key not in self._found:
                self._found[key] = find()
            found: T = self._found[key]
            return found

    def number_rows(self, count: int, asker: object = None) -> int:
        """Return the number, from 1, of the first of the next `count` rows of who asks for them."""
        with self.lock:
            first = self._rows[asker] + 1
            self._rows[asker] += count
            self.rows_seen += count
            return first

    def see_rows(self, count: int, asker: object) -> Callable[[], int]:
        """Count rows that a model may be asked for; return what numbers them, if it is.

        If it is not, they are taken for rows that were seen before, as after a filter on the
        prediction, unless each row is known to come once.
        """
        with self.lock:
            first = self.number_rows(count, asker)
            if self.total is not None:
                return lambda: first
            self._repeated[asker] += count
            numbered: list[int] = []

        def number() -> int:
            with self.lock:
                if not numbered:
                    self._repeated[asker] -= count
                    numbered.append(first - self._repeated[asker])
                return numbered[0]

        return number

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

    def skip(self, items: int) -> None:
        """Show `items` more inputs as done that no model had to read."""
        with self.lock:
            self._done += items
            if items:
                self._show()

    def spend(self, step: str, seconds: float) -> None:
        """Note that `seconds` went by in a step of the work."""
        with self.lock:
            self.spent[step] += seconds

    def work(self, call: object, took_s: float, media_s: float) -> None:
        """Note that a model took so long for so much media."""
        with self.lock:
            took, done = self.worked[call]
            self.worked[call] = took + took_s, done + media_s

    def score(self, model: str, kind: str, count: int, trained_on: int) -> None:
        """Note that `count` rows (or files: `kind`) were scored, some known from the training."""
        with self.lock:
            counted, known = self.scored[model, kind]
            self.scored[model, kind] = counted + count, known + trained_on

    def _show(self) -> None:
        if self._bar is None:
            if self._stopped.is_set():
                return  # a batch that ends after its run: nobody would close the bar
            self._bar = self.session.progress.bar("predict", "rows")
            self._started = time.monotonic()
        # A row that no model was asked for yet counts as one input; it may be a copy of another.
        elapsed = time.monotonic() - self._started
        total = None
        if self.total is not None:
            total = self._asked + max(self.total - self.rows_seen, 0)
        facts = {"audio_seconds": self._seconds}
        if elapsed > 0:
            facts["real_time"] = self._seconds / elapsed
        if self._done and total is not None:
            facts["remaining_s"] = elapsed * (total - self._done) / self._done
        self._bar.update(self._done, total, **facts)

    def finish(self) -> None:
        """End what the run showed; tell of what came to nothing, and what the training had.

        It may raise: where warnings are errors, and where a program's progress does.
        """
        with self.lock:
            failed = self.failed.copy()
            self.failed.clear()
            scored = self.scored.copy()
            self.scored.clear()
            self._found.clear()  # a cursor that is kept must not keep its models in memory
            if self._bar is not None:
                try:
                    if self.total is not None and self.rows_seen >= self.total:
                        self._show()  # only now is it known how many of the rows were copies
                finally:
                    self._bar.close()
                    self._bar = None
        if failed:
            total = self.computed + self.cached
            reasons = ", ".join(f"{count} {reason}" for reason, count in failed.most_common())
            self._tell(f"{failed.total()} of {total} files gave no prediction: {reasons}")
        for (model, kind), (count, known) in scored.items():
            if known:
                self._tell(
                    f"{known} of {count} {kind} were in the training of '{model}': its error rate"
                    " on them says little about new recordings."
                )

    def _tell(self, text: str) -> None:
        self.messages.append((exceptions.Warning, exceptions.Warning(text)))
        warnings.warn(text, stacklevel=callers_level())

    def tell_to(self, messages: list[tuple[type[Exception], Exception]]) -> None:
        """Add what there will be to tell to a cursor's messages."""
        self.messages = messages

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
