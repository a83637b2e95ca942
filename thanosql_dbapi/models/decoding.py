"""Decoding ahead of a model: media in, windows ready for the forward pass out.

Threads decode the files in the order they are given, only so far ahead that what waits stays
within a number of seconds; so memory does not grow with the files. A file that cannot be used is
an event like any other. This module knows no model but by its recogniser, and no batch.
"""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..exceptions import Error, MediaError, MediaReason
from ..media.audio import decode_audio, probe_audio, stream_audio
from .windows import Window

if TYPE_CHECKING:
    from ..media.sources import Media
    from .recogniser import Recogniser

#: A longer file than this is refused by its header, in seconds.
LONGEST_S: Final = 24 * 3600.0

#: Long files are decoded by so many seconds at a time.
_BLOCK_S: Final = 10.0

#: Seconds between two looks at whether the program has ended, while there is no room.
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Header:
    """The seconds that an input's header tells, or why the input cannot be used."""

    index: int
    seconds: float
    error: MediaError | None = None


def read_header(index: int, media: Media) -> Header:
    """Read how long a medium lasts, for the order of the work; refuse what is too long."""
    try:
        seconds = probe_audio(media).duration_s
    except MediaError as refused:
        return Header(index, 0.0, refused)
    except Error:
        raise  # that no audio can be read at all here
    except Exception as failure:  # noqa: BLE001
        return Header(index, 0.0, _broken(failure))
    if seconds > LONGEST_S:
        hours = seconds / 3600
        longest = LONGEST_S / 3600
        error = MediaError(
            f"too long: {hours:.1f} hours, and {longest:.0f} is the most", MediaReason.TOO_LONG
        )
        return Header(index, 0.0, error)
    return Header(index, seconds)


def _broken(failure: Exception) -> MediaError:
    error = MediaError(
        f"it cannot be decoded: {str(failure) or type(failure).__name__}",
        MediaReason.DECODING_FAILED,
    )
    error.__cause__ = failure
    return error


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A window that waits for its forward pass, of the input with this index."""

    index: int
    window: Window
    width: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """The end of an input: how many windows it had and seconds it lasts, or why it has none."""

    index: int
    windows: int
    seconds: float
    error: MediaError | None = None


class Decoder:
    """Decodes a sequence of media in threads, and keeps what is ready.

    `changed` is notified whenever something is; all that is not private needs it held.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        inputs: Sequence[Media],
        headers: Sequence[Header],
        *,
        threads: int,
        room_s: float,
        changed: threading.Condition,
    ) -> None:
        """`headers` are those of the inputs to decode, in their order."""
        self._recogniser = recogniser
        self._inputs = inputs
        self._order = iter(headers)
        self._room = int(room_s * recogniser.sampling_rate)
        self._changed = changed
        self._stopped = False
        self._held = 0
        self._waiting = 0
        self._working = min(threads, len(headers))
        #: Widest first.
        self.ready: list[Ready] = []
        self.decoded: list[Decoded] = []
        self.busy_s = 0.0
        # No pool's: Python would wait for them before it tells that the program has ended.
        for number in range(self._working):
            threading.Thread(target=self._work, name=f"thanosql-decode_{number}").start()

    @property
    def stalled(self) -> bool:
        """Whether nothing more becomes ready before something is taken and released."""
        return self._waiting >= self._working

    def take(self, rows: int) -> list[Ready]:
        """Take the widest so many windows; their place stays held until `release`."""
        taken, self.ready = self.ready[:rows], self.ready[rows:]
        return taken

    def put(self, windows: Sequence[Ready]) -> None:
        """Put windows among the ready ones; those that `take` gave still hold their place."""
        for window in windows:
            insort(self.ready, window, key=_widest_first)

    def drop(self, index: int) -> None:
        """Forget the windows of an input that was refused after all."""
        for ready in [ready for ready in self.ready if ready.index == index]:
            self.ready.remove(ready)
            self.release(ready.width)

    def release(self, samples: int) -> None:
        """Make room for so many samples."""
        self._held -= samples
        self._changed.notify_all()

    def stop(self) -> None:
        """Let the threads end after what they are at; nothing waits for them."""
        self._stopped = True
        self._changed.notify_all()

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    following = None if self._stopped else next(self._order, None)
                if following is None:
                    return
                self._decode(following.index, following.seconds)
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _decode(self, index: int, seconds: float) -> None:
        audio = _Heard()
        windows = 0
        error = None
        try:
            blocks = audio.listen(self._blocks(self._inputs[index], seconds))
            for window in self._timed(self._recogniser.cut(blocks)):
                if not self._offer(Ready(index, window, self._recogniser.width(window))):
                    return
                windows += 1
            self._require_sound(audio)
        except MediaError as refused:
            error = refused
        except Exception as failure:  # noqa: BLE001
            # Whatever a library raises on one file is that file's, and no other's.
            error = _broken(failure)
        lasts = audio.samples / self._recogniser.sampling_rate
        with self._changed:
            self.decoded.append(Decoded(index, windows, lasts, error))
            self._changed.notify_all()

    def _blocks(self, media: Media, seconds: float) -> Iterator[NDArray[np.float32]]:
        rate = self._recogniser.sampling_rate
        if seconds <= self._recogniser.window_s:
            yield decode_audio(media, rate)
        else:
            yield from stream_audio(media, rate, _BLOCK_S)

    def _require_sound(self, audio: _Heard) -> None:
        if audio.samples < self._recogniser.shortest:
            seconds = audio.samples / self._recogniser.sampling_rate
            raise MediaError(f"too short to transcribe ({seconds:.3f} s)", MediaReason.TOO_SHORT)
        if audio.silent:
            raise MediaError("silent: all samples are the same", MediaReason.SILENT)

    def _timed(self, windows: Iterator[Window]) -> Iterator[Window]:
        while True:
            started = time.perf_counter()
            window = next(windows, None)
            with self._changed:
                self.busy_s += time.perf_counter() - started
            if window is None:
                return
            yield window

    def _offer(self, ready: Ready) -> bool:
        """Wait for room and put a window in it; return False when the work was stopped."""
        with self._changed:
            if not self._has_room(ready):
                self._waiting += 1
                self._changed.notify_all()  # once: a notice for each look would wake all forever
                while not self._changed.wait_for(lambda: self._has_room(ready), _LOOK_S):
                    # Python waits for its threads when it ends, and nobody may have closed the run.
                    self._stopped = self._stopped or not threading.main_thread().is_alive()
                self._waiting -= 1
            if self._stopped:
                return False
            self._held += ready.width
            self.put([ready])
            self._changed.notify_all()
            return True

    def _has_room(self, ready: Ready) -> bool:
        return self._stopped or not self._held or self._held + ready.width <= self._room


class _Heard:
    """What went by of a waveform: how many samples, and whether they differ."""

    def __init__(self) -> None:
        self.samples = 0
        self.silent = True
        self._value: Any = None

    def listen(self, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            if len(block):
                self.samples += len(block)
                self._value = block[0] if self._value is None else self._value
                self.silent = self.silent and bool((block == self._value).all())
            yield block


def _widest_first(ready: Ready) -> tuple[int, int, int]:
    # Equal widths in the order of the inputs, so that a run can be repeated.
    return -ready.width, ready.index, ready.window.first
