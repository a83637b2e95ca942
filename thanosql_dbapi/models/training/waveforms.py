"""The waveforms of a training, decoded once into one file.

The file is mapped into memory: the operating system's cache holds of it what there is room for, so
later epochs decode nothing, and a training that is larger than the memory works all the same.
Beside the samples it keeps what was seen while decoding. It knows no text and no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, overload

import numpy as np
from numpy.typing import NDArray

from ...exceptions import MediaError, OperationalError
from ...progress import Progress
from .filling import ahead, fill
from .recordings import SAMPLES, Recording, begin, read_index

if TYPE_CHECKING:
    from ...media.sources import Media

#: Longer files than this are refused by their header, in seconds.
LONGEST_S: Final = 24 * 3600.0


class WaveformStore(Sequence[NDArray[np.float32]]):
    """The waveforms of all rows, each float32 of shape (samples,), read-only views of one file.

    The waveform of a row whose medium cannot be used is empty.
    """

    def __init__(self, folder: Path, sampling_rate: int, recordings: Sequence[Recording]) -> None:
        self.sampling_rate = sampling_rate
        #: One for each row.
        self.recordings = recordings
        path = folder / SAMPLES
        # An empty file cannot be mapped.
        self._samples: NDArray[np.float32] = (
            np.asarray(np.memmap(path, dtype="<f4", mode="r"))
            if path.stat().st_size
            else np.empty(0, np.float32)
        )

    @classmethod
    def open(cls, folder: Path) -> WaveformStore:
        """Open a store that `fill` completed: in another process, say.

        Raises:
            OperationalError: the folder holds none.
        """
        index = read_index(folder)
        if index is None or index.rows is None:
            raise OperationalError(f"{folder} holds no complete waveforms")
        return cls(folder, index.sampling_rate, [index.recordings[row] for row in index.rows])

    @classmethod
    def fill(
        cls,
        folder: Path,
        media: Sequence[Media],
        sampling_rate: int,
        check: Callable[[], None],
        progress: Progress | None = None,
        *,
        tokens: Sequence[str] | None = None,
        longest_s: float = LONGEST_S,
    ) -> WaveformStore:
        """Decode media into a folder, in order, or take what is there from before.

        A content that is in the folder already is not decoded again, be the store complete or cut
        off by a crash; a content that comes twice is kept once. `tokens` are what `content_tokens`
        returns. Files that last longer than `longest_s` seconds are not decoded. `check` raises
        when the run was stopped, several times a second; what was done by then stays.

        Raises:
            OperationalError: there is no room for the samples, or they cannot be written.
            MissingExtra: no audio can be decoded here.
        """
        if tokens is None:
            tokens = content_tokens(media, check)
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            index = read_index(folder)
            if index is None or not index.is_for(sampling_rate, longest_s):
                index = begin(folder, sampling_rate, longest_s)
            known = index.known()
            if index.rows is None or index.rows != [known.get(token) for token in tokens]:
                bar = (progress or Progress(setting=False)).bar("decode", "files")
                with closing(bar):
                    fill(folder, index, media, tokens, check, bar)
        return cls.open(folder)

    def __len__(self) -> int:
        return len(self.recordings)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.float32]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        found = self.recordings[index]
        return self._samples[found.offset : found.offset + found.samples]

    @property
    def failures(self) -> Mapping[int, MediaError]:
        """Why rows have no waveform, by the row's index."""
        errors = ((row, found.error) for row, found in enumerate(self.recordings))
        return {row: error for row, error in errors if error is not None}

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each row's medium; empty where its content was not to be had."""
        return [found.digest for found in self.recordings]

    @property
    def digest(self) -> str:
        """The SHA-256 of all contents in their order, and of the rate they are kept at."""
        lines = [str(self.sampling_rate), *self.digests]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def seconds(self, row: int) -> float:
        """Return how long a row's waveform lasts."""
        return self.recordings[row].samples / self.sampling_rate


def content_tokens(media: Sequence[Media], check: Callable[[], None]) -> list[str]:
    """Return what tells each medium's content from others: the SHA-256 of its bytes.

    For a file on another machine it is the server's entity tag where that can be trusted, so that
    nothing is fetched. Empty where the medium is not to be had; filling the store says why.
    """
    return list(ahead(_token, media, check))


def _token(media: Media) -> str:
    try:
        if media.path is None:
            return media.identity() or media.digest()
        return media.digest()
    except (MediaError, OSError):
        return ""


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationalError(
            f"the waveforms cannot be written to {folder}: {error.strerror or error}"
        ) from error
