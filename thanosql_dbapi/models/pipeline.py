"""The engine that transcribes: it decodes ahead, packs windows into batches and runs them.

What differs between kinds of models is a `models.recogniser`; `models.speech` has the one of CTC
models. A run decodes in threads, at most some seconds of audio ahead, while forward passes run in
lanes beside each other; each file is told as soon as it is done, in any order. How much goes into
a batch is `models.packing`'s to learn, and what fits into memory `models.memory`'s. Neither changes
what is predicted: a recogniser gives a window the same piece in any batch.

It knows no text, no file format and no SQL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from ..exceptions import MediaError, MediaReason
from . import threads
from .decoding import Decoded, Decoder, Header, Ready, read_header
from .memory import Budget, is_out_of_memory
from .packing import Arm, Packing, arms_for
from .windows import Window

if TYPE_CHECKING:
    from ..media.sources import Media
    from .base import Outcome, Watch
    from .recogniser import Recogniser

#: Threads that decode, and that read headers.
_DECODERS: Final = 2

#: Seconds of audio that may wait decoded, on a CPU and elsewhere: as many as fill the batches.
_ROOM_S: Final = {True: 240.0, False: 4096.0}

#: Seconds between two looks at whether the run was stopped, while nothing happens; and that the
#: lanes stay idle before they take a batch that is not full.
_PATIENCE_S: Final = 0.1


class Pipeline:
    """Runs a recogniser on a device; several runs may go on at once and share what is learnt."""

    def __init__(self, recogniser: Recogniser, device: str) -> None:
        self._recogniser = recogniser
        self._kind = torch.device(device).type
        self._cores = threads.available()
        self._lock = threading.Lock()
        self._packings: dict[str, Packing] = {}
        self._budgets: dict[str, Budget] = {}
        self._lanes: ThreadPoolExecutor | None = None

    def run(
        self,
        inputs: Sequence[Media],
        options: Mapping[str, Any],
        precision: str,
        watch: Watch,
        *,
        fixed: bool = False,
    ) -> Generator[tuple[int, Outcome]]:
        """Yield each input's index with what comes of it, as soon as it is done.

        `options['batch_size']` is the most windows in a batch. `fixed` gives each window a pass of
        its own, on one thread: the same to the last bit, whatever stands beside it.
        """
        watch.check()
        self._recogniser.prepare(precision)
        headers: list[Header] = []
        for header in _read_headers(inputs, watch):
            if header.error is not None:
                watch.advance(1, 0.0)
                yield header.index, _without_frames(header.error)
            else:
                headers.append(header)
        if not headers:
            return
        with threads.restored if self._kind == "cpu" else nullcontext():
            run = _Run(
                self._recogniser,
                self._packing(precision, fixed=fixed),
                self._budgets.setdefault(precision, Budget()),
                self._pool(),
                self._cores if self._kind == "cpu" else None,
                options,
                precision,
                watch,
            )
            headers.sort(key=_longest)
            yield from run.outcomes(inputs, headers, _ROOM_S[self._kind == "cpu"])

    def packing(self, precision: str) -> Packing | None:
        """Return what was learnt of packing at a precision; None before anything was run."""
        return self._packings.get(precision)

    def _packing(self, precision: str, *, fixed: bool) -> Packing:
        with self._lock:
            if precision not in self._packings:
                arms = arms_for(self._kind, self._cores, fixed=fixed)
                self._packings[precision] = Packing(arms, fixed=fixed)
            return self._packings[precision]

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._lanes is None:
                self._lanes = ThreadPoolExecutor(max(self._cores, 2), "thanosql-forward")
            return self._lanes


def _without_frames(error: MediaError) -> MediaError:
    """Return an error that holds no frames, and so no waveforms: a run may keep many of them."""
    links: list[BaseException] = [error]
    while links:
        link = links.pop()
        link.__traceback__ = None
        links += [each for each in (link.__cause__, link.__context__) if each is not None]
    return error


def _read_headers(inputs: Sequence[Media], watch: Watch) -> Iterator[Header]:
    with ThreadPoolExecutor(_DECODERS, "thanosql-probe") as readers:
        futures = [readers.submit(read_header, *each) for each in enumerate(inputs)]
        try:
            for future in futures:
                watch.check()
                started = time.perf_counter()
                header = future.result()
                watch.spend("decode", time.perf_counter() - started)
                yield header
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _longest(header: Header) -> tuple[float, int]:
    """Sort the longest first: so a lack of memory shows at once, and lanes end together."""
    return -header.seconds, header.index


def _failed(failure: Exception) -> MediaError:
    error = MediaError(
        f"the model failed on it: {str(failure) or type(failure).__name__}",
        MediaReason.MODEL_FAILED,
    )
    error.__cause__ = failure
    return error


_NOTHING: Final = np.empty(0, dtype=np.float32)

#: How a window goes that goes alone.
_APART: Final = Arm(1, 0, padded=False)


@dataclass(slots=True)
class _File:
    """An input under way: its pieces, and once it is decoded how many there will be.

    A short one has one window. Of one that was split, the model heard less at once than usual.
    """

    short: bool
    split: bool = False
    #: Seconds of it that were told to be done before it was.
    told_s: float = 0.0
    pieces: list[tuple[Window, Any]] = field(default_factory=list)
    windows: int = 0
    decoded: Decoded | None = None
    error: MediaError | None = None

    @property
    def refused(self) -> bool:
        return self.decoded is not None and self.decoded.error is not None

    @property
    def done(self) -> bool:
        return self.refused or (self.decoded is not None and len(self.pieces) == self.windows)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Windows that go through the model together, and how."""

    windows: tuple[Ready, ...]
    arm: Arm
    width: int
    lanes: int


@dataclass(frozen=True, slots=True, eq=False)
class _Passed:
    """What a forward pass gave, the seconds that it took, and those that packings go by."""

    pieces: Sequence[Any]
    took_s: float
    cost_s: float


class _Run:
    """One call of the engine."""

    def __init__(
        self,
        recogniser: Recogniser,
        packing: Packing,
        budget: Budget,
        lanes: ThreadPoolExecutor,
        cores: int | None,
        options: Mapping[str, Any],
        precision: str,
        watch: Watch,
    ) -> None:
        self._recogniser = recogniser
        self._packing = packing
        self._budget = budget
        self._lanes = lanes
        self._cores = cores
        self._options = options
        self._precision = precision
        self._watch = watch
        self._changed = threading.Condition()
        self._files: dict[int, _File] = {}
        self._done: list[int] = []
        self._decode_s = 0.0
        self._flying: dict[Future[_Passed], _Batch] = {}
        #: When a pass was last under way.
        self._busy_at = time.perf_counter()
        #: Windows that go alone, with no other pass beside them: they once did not fit.
        self._apart: list[Ready] = []
        self._on_the_way_s = 0.0

    def outcomes(
        self, inputs: Sequence[Media], headers: Sequence[Header], room_s: float
    ) -> Generator[tuple[int, Outcome]]:
        """Yield each input's index and outcome; `headers` are in the order of the work."""
        window_s = self._recogniser.window_s
        self._files = {header.index: _File(header.seconds <= window_s) for header in headers}
        decoder = Decoder(
            self._recogniser,
            inputs,
            headers,
            threads=_DECODERS,
            room_s=room_s,
            changed=self._changed,
        )
        try:
            while self._files:
                self._watch.check()
                with self._changed:
                    self._collect(decoder)
                    self._launch(decoder)
                    done, self._done = self._done, []
                    files = [(index, self._files.pop(index)) for index in done]
                    on_the_way, self._on_the_way_s = self._on_the_way_s, 0.0
                    if not files:
                        self._wait()
                if on_the_way:
                    self._watch.advance(0, on_the_way)
                for index, file in files:
                    yield index, self._finish(file)
        finally:
            with self._changed:
                decoder.stop()
            for future in self._flying:
                future.cancel()

    def _wait(self) -> None:
        started = time.perf_counter()
        self._changed.wait(_PATIENCE_S)
        if not self._flying:
            self._watch.spend("wait", time.perf_counter() - started)

    def _finish(self, file: _File) -> Outcome:
        assert file.decoded is not None
        started = time.perf_counter()
        outcome = self._joined(file, file.decoded)
        self._watch.spend("text", time.perf_counter() - started)
        self._watch.advance(1, max(0.0, file.decoded.seconds - file.told_s))
        return outcome

    def _joined(self, file: _File, decoded: Decoded) -> Outcome:
        error = decoded.error or file.error
        if error is not None:
            return _without_frames(error)
        pieces = sorted(file.pieces, key=lambda piece: piece[0].first)
        try:
            joined = self._recogniser.join(pieces, decoded.seconds, self._options)
            return replace(joined, repeatable=False) if file.split else joined
        except MediaError as refused:
            return _without_frames(refused)
        except Exception as failure:  # noqa: BLE001
            return _without_frames(_failed(failure))

    def _collect(self, decoder: Decoder) -> None:
        """Take in what the decoders and the lanes have done."""
        self._watch.spend("decode", decoder.busy_s - self._decode_s)
        self._decode_s = decoder.busy_s
        if self._flying:
            self._busy_at = time.perf_counter()
        for decoded in decoder.decoded:
            file = self._files[decoded.index]
            file.decoded = decoded
            file.windows += decoded.windows
            if decoded.error is not None:
                decoder.drop(decoded.index)
            self._note_done(decoded.index)
        decoder.decoded.clear()
        for future in [future for future in self._flying if future.done()]:
            self._land(future, self._flying.pop(future), decoder)

    def _note_done(self, index: int) -> None:
        file = self._files[index]
        if file.done and index not in self._done:
            self._done.append(index)

    def _land(self, future: Future[_Passed], batch: _Batch, decoder: Decoder) -> None:
        error = future.exception()
        if error is None:
            passed = future.result()
            self._learn(batch, passed)
            for ready, piece in zip(batch.windows, passed.pieces, strict=True):
                self._keep(ready, piece, decoder)
        elif not isinstance(error, Exception):
            raise error
        elif is_out_of_memory(error):
            self._make_do(batch, decoder, error)
        elif len(batch.windows) > 1:
            self._apart += batch.windows  # to find out which of them it is
        else:
            self._fail(batch.windows[0], _failed(error), decoder)

    def _learn(self, batch: _Batch, passed: _Passed) -> None:
        rate = self._recogniser.sampling_rate
        widths = [ready.width for ready in batch.windows]
        self._watch.spend("forward", passed.took_s)
        self._budget.grow(len(widths) * batch.width / rate)
        if batch.lanes == batch.arm.lanes:
            self._packing.note(
                batch.arm, batch.width, [width / rate for width in widths], passed.cost_s
            )

    def _keep(self, ready: Ready, piece: Any, decoder: Decoder) -> None:
        decoder.release(ready.width)
        file = self._files.get(ready.index)
        if file is not None and not file.refused:
            # Without its samples: a day of them would be held.
            place = replace(ready.window, features=_NOTHING)
            file.pieces.append((place, piece))
            self._note_done(ready.index)
            self._tell(file, ready)

    def _tell(self, file: _File, ready: Ready) -> None:
        """Count a window of a long file as done, so that an hour is not silent until its end."""
        if not (file.short or file.done):
            end_s = (ready.window.first + ready.window.samples) / self._recogniser.sampling_rate
            self._on_the_way_s += max(0.0, end_s - file.told_s)
            file.told_s = max(file.told_s, end_s)

    def _fail(self, ready: Ready, error: MediaError, decoder: Decoder) -> None:
        file = self._files.get(ready.index)
        if file is not None:
            file.error = error
        self._keep(ready, None, decoder)

    def _make_do(self, batch: _Batch, decoder: Decoder, error: Exception) -> None:
        """Go on after a batch that did not fit: smaller, then apart, then split."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rate = self._recogniser.sampling_rate
        if len(batch.windows) > 1:
            self._budget.shrink(len(batch.windows) * batch.width / rate)
            decoder.put(batch.windows)
            return
        (ready,) = batch.windows
        if batch.lanes > 1:
            self._apart.append(ready)
            return
        parts = self._recogniser.split(ready.window)
        file = self._files.get(ready.index)
        if not parts or file is None:
            message = f"{ready.width / rate:.1f} s of it do not fit into memory"
            failed = MediaError(message, MediaReason.MODEL_FAILED)
            failed.__cause__ = error
            self._fail(ready, failed, decoder)
            return
        file.windows += len(parts) - 1
        file.split = True
        smaller = [Ready(ready.index, part, self._recogniser.width(part)) for part in parts]
        decoder.release(ready.width - sum(part.width for part in smaller))
        self._apart += smaller

    def _launch(self, decoder: Decoder) -> None:
        """Start as many forward passes as there is work and are lanes for."""
        if self._apart:
            if not self._flying:
                ready = self._apart.pop(0)
                self._fly(_Batch((ready,), _APART, ready.width, 1))
            return
        while decoder.ready:
            batch = self._next(decoder)
            if batch is None:
                return
            self._fly(batch)

    def _next(self, decoder: Decoder) -> _Batch | None:
        """Return the next batch; None while its lanes are taken, or more should be decoded."""
        if len(self._flying) >= self._packing.lanes:
            return None
        rate = self._recogniser.sampling_rate
        widest = decoder.ready[0].width
        limits = self._options["batch_size"], self._budget.seconds
        arm = self._packing.choose(widest / rate, *limits)
        lanes = self._packing.lanes_for(arm, self._parallel(arm.lanes))
        if len(self._flying) >= min([lanes, *(batch.lanes for batch in self._flying.values())]):
            return None
        rows = arm.rows(widest / rate, *limits)
        if len(decoder.ready) < rows and not (decoder.stalled or self._idles()):
            return None
        taken = decoder.take(arm.rows(widest / rate, min(rows, len(decoder.ready)), limits[1]))
        return _Batch(tuple(taken), arm, arm.width(widest, rate), lanes)

    def _idles(self) -> bool:
        """Return whether decoding is so slow that waiting for a whole batch gains nothing."""
        return not self._flying and time.perf_counter() - self._busy_at > _PATIENCE_S

    def _parallel(self, most: int) -> int:
        """Return how many passes could run side by side at most, as few files are left."""
        if len(self._files) >= most or not all(file.short for file in self._files.values()):
            return most
        return len(self._files)

    def _fly(self, batch: _Batch) -> None:
        future = self._lanes.submit(self._forward, batch)
        self._flying[future] = batch
        future.add_done_callback(self._landed)

    def _landed(self, _: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def _forward(self, batch: _Batch) -> _Passed:
        if self._cores is not None:
            wanted = self._packing.threads_for(batch.lanes, self._cores)
            if torch.get_num_threads() != wanted:
                torch.set_num_threads(wanted)
        # On a CPU what other programs take meanwhile should not count: a thread's own time.
        clock = time.perf_counter if self._cores is None else time.thread_time
        started, began = time.perf_counter(), clock()
        windows = [ready.window for ready in batch.windows]
        pieces = self._recogniser.forward(windows, batch.width, self._precision, self._options)
        return _Passed(pieces, time.perf_counter() - started, clock() - began)
