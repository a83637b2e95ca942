"""Decoding the media of a training into its store: each content once, in order, in threads.

It knows where the waveforms go, and not what they are used for.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...exceptions import Error, MediaError, MediaReason, OperationalError
from ...media.audio import decode_audio, probe_audio, stream_audio
from .recordings import INDEX, SAMPLE_BYTES, SAMPLES, Index, Recording, line_of

if TYPE_CHECKING:
    from ...media.sources import Media
    from ...progress import Bar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Longer files are decoded piece by piece, of so many seconds: with the number of threads it
#: bounds the memory that filling takes.
_PIECE_S: Final = 60.0

#: Threads that decode, at most, and files that each is ahead.
_MOST_THREADS: Final = 8
_AHEAD: Final = 2

#: Seconds between two looks whether the run was stopped, and between two times that what was
#: written is made safe: a crash costs no more than this.
_LOOK_S: Final = 0.2
_SAFE_S: Final = 3.0

#: From here on a sample is at the end of the scale, as part of full scale. Three of them in a row
#: are clipped: a loud voice only touches it.
_FULL_SCALE: Final = 0.999

#: What the system says where there is no room for a file.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_FIELDS: Final = tuple(field.name for field in fields(Recording))


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], check: Callable[[], None]
) -> Generator[Result]:
    """Work on items in threads, a few of them ahead; yield the results in order."""
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
    items = iter(items)
    pool = ThreadPoolExecutor(threads, "thanosql-decode")
    try:
        first = itertools.islice(items, threads * (1 + _AHEAD))
        waiting = deque(pool.submit(work, item) for item in first)
        while waiting:
            result = _wait(waiting.popleft(), check)
            waiting.extend(pool.submit(work, item) for item in itertools.islice(items, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _wait(future: Future[Result], check: Callable[[], None]) -> Result:
    check()
    while not wait([future], _LOOK_S).done:
        check()
    return future.result()


class _Filling:
    """Adds what is missing to a store: samples first, then, once they are safe, their lines."""

    def __init__(self, index: Index, samples: FileIO, lines: FileIO) -> None:
        self._index = index
        self._samples = samples
        self._lines = lines
        self._end = index.samples
        #: How many of the waveforms have their line.
        self._kept = len(index.recordings)
        self._kept_at = time.monotonic()
        # What a crash left after the last line that makes sense.
        _cut(lines, index.readable)
        _cut(samples, self._end * SAMPLE_BYTES)

    def add(self, media: Media, found: Recording, waveform: NDArray[np.float32] | None) -> int:
        """Write what was decoded of a medium, or decode it here; return the number of its line."""
        if found.reason is None:
            blocks = [waveform] if waveform is not None else _pieces(media, self._index)
            found = self._write(media, found, blocks)
        media.release()
        self._end += found.samples
        self._index.add(found)
        if time.monotonic() - self._kept_at > _SAFE_S:
            self.keep()
        return len(self._index.recordings) - 1

    def _write(
        self, media: Media, found: Recording, blocks: Iterable[NDArray[np.float32]]
    ) -> Recording:
        meter = _Meter()
        try:
            for block in blocks:
                meter.hear(block)
                _write_all(self._samples, np.ascontiguousarray(block, "<f4").data.cast("B"))
            if media.changed():
                # Without its token: what is there now is another content.
                found = replace(found, token="")
                raise MediaError("the file changed while it was read")  # noqa: TRY301
        except MediaError as error:
            _cut(self._samples, self._end * SAMPLE_BYTES)
            return _failed(found, error)
        return replace(found, offset=self._end, **meter.facts)

    def keep(self) -> None:
        """Make safe what was written: a line stands for samples that a power cut cannot take."""
        os.fsync(self._samples.fileno())
        new = self._index.recordings[self._kept :]
        lines = [line_of({name: getattr(found, name) for name in _FIELDS}) for found in new]
        _write_all(self._lines, memoryview(b"".join(lines)))
        self._kept, self._kept_at = len(self._index.recordings), time.monotonic()

    def complete(self, rows: Sequence[int]) -> None:
        """Say which waveforms are the rows': from here on the store is complete."""
        self.keep()
        _write_all(self._lines, memoryview(line_of({"rows": list(rows)})))
        os.fsync(self._lines.fileno())

    def clear(self) -> None:
        """Leave nothing on a disk that is full."""
        _cut(self._samples, 0)
        _cut(self._lines, 0)


def fill(
    folder: Path,
    index: Index,
    media: Sequence[Media],
    tokens: Sequence[str],
    check: Callable[[], None],
    bar: Bar,
) -> None:
    """Decode what a store lacks of the rows, and complete it."""
    numbers = index.known()
    wanted = _wanted(tokens, numbers)
    number_of_row = {}
    decode = partial(_decode, index)
    with (
        (folder / SAMPLES).open("r+b", buffering=0) as samples,
        (folder / INDEX).open("r+b", buffering=0) as lines,
        closing(ahead(decode, ((media[row], tokens[row]) for row in wanted), check)) as decoded,
    ):
        filling = _Filling(index, samples, lines)
        try:
            for done, row in enumerate(wanted, 1):
                number = filling.add(media[row], *next(decoded))
                numbers[tokens[row]] = number_of_row[row] = number
                seconds = index.samples / index.sampling_rate
                bar.update(done, len(wanted), audio_seconds=seconds)
            rows = enumerate(tokens)
            filling.complete([number_of_row.get(row, numbers[token]) for row, token in rows])
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            message = _no_room(folder, index, len(number_of_row), len(wanted))
            filling.clear()
            raise OperationalError(message) from error
        except BaseException:
            filling.keep()  # the same training goes on from here
            raise


def _wanted(tokens: Sequence[str], known: Mapping[str, int]) -> list[int]:
    """Return the rows to decode: the first of each content that is not known."""
    seen = set(known)
    wanted = []
    for row, token in enumerate(tokens):
        if not token or token not in seen:
            wanted.append(row)
        seen.add(token)
    return wanted


def _decode(
    index: Index, medium: tuple[Media, str]
) -> tuple[Recording, NDArray[np.float32] | None]:
    """Read a medium's facts and, where it is not long, its waveform."""
    media, token = medium
    found = Recording(token)
    try:
        found = replace(found, digest=media.digest())
        facts = probe_audio(media)
        found = replace(
            found,
            sampling_rate=facts.sampling_rate,
            channels=facts.channels,
            format=facts.format,
            encoding=facts.encoding,
        )
        _require_length(facts.duration_s, index.longest_s)
        whole = facts.duration_s <= _PIECE_S
        return found, decode_audio(media, index.sampling_rate) if whole else None
    except MediaError as error:
        return _failed(found, error), None
    except Error:
        raise  # that no audio can be read at all here
    except Exception as failure:  # noqa: BLE001 - whatever a library raises on one file is its own
        return _failed(found, _broken(failure)), None


def _require_length(seconds: float, longest_s: float) -> None:
    if seconds > longest_s:
        raise MediaError(
            f"it lasts {seconds:.1f} s, and {longest_s:g} s is the most", MediaReason.TOO_LONG
        )


def _pieces(media: Media, index: Index) -> Iterator[NDArray[np.float32]]:
    try:
        yield from stream_audio(media, index.sampling_rate, _PIECE_S)
    except Error:
        raise
    except Exception as failure:
        raise _broken(failure) from failure


def _broken(failure: Exception) -> MediaError:
    return MediaError(f"it cannot be decoded: {str(failure) or type(failure).__name__}")


def _failed(found: Recording, error: MediaError) -> Recording:
    return replace(found, reason=str(error.reason), message=str(error))


class _Meter:
    """What is heard of a waveform that goes by."""

    def __init__(self) -> None:
        self._samples = 0
        self._clipped = 0
        self._low = np.inf
        self._high = -np.inf

    def hear(self, block: NDArray[np.float32]) -> None:
        if not len(block):
            return
        low, high = float(block.min()), float(block.max())
        self._samples += len(block)
        self._low, self._high = min(self._low, low), max(self._high, high)
        if max(high, -low) >= _FULL_SCALE:
            self._clipped += _count_clipped(block)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "samples": self._samples,
            "peak": round(max(self._high, -self._low), 6),
            "clipped": round(self._clipped / self._samples, 6),
            "silent": self._low == self._high,
        }


def _count_clipped(block: NDArray[np.float32]) -> int:
    """Count samples at full scale that have such before and after them."""
    full = np.abs(block) >= _FULL_SCALE
    runs = full[1:-1] & full[:-2] & full[2:]
    # A run of n samples has n - 2 such, and each run two that touch it.
    starts = np.count_nonzero(runs[1:] & ~runs[:-1]) + bool(runs[:1].any())
    return int(np.count_nonzero(runs) + 2 * starts)


def _no_room(folder: Path, index: Index, done: int, of: int) -> str:
    """Say how much room a store needs, as far as can be told by what was decoded."""
    written = index.samples * SAMPLE_BYTES
    about = "more than" if not done else "about"
    needed = max(written, written * of // max(1, done), 1)
    free = shutil.disk_usage(folder).free + written
    return (
        f"there is no room for the waveforms in {folder}: {of} files need {about}"
        f" {_size(needed)}, and {_size(free)} are free. Make room, give connect() another"
        " workspace, or leave out long files by max_duration_s."
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _cut(file: FileIO, size: int) -> None:
    file.truncate(size)
    file.seek(size)


def _write_all(file: FileIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]
