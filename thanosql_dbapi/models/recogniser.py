"""The contract between the engine that transcribes and a kind of models.

It knows no model, no text and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .windows import Window

if TYPE_CHECKING:
    from .base import Prediction


class Recogniser(Protocol):
    """What the engine asks of a kind of models.

    All of it may be called from several threads at once, and gives a window the same whatever
    other windows stand beside it, and in whatever order.
    """

    @property
    def sampling_rate(self) -> int:
        """The rate that waveforms are decoded to, in hertz."""

    @property
    def window_s(self) -> float:
        """The longest window, in seconds: longer files are decoded block by block."""

    @property
    def shortest(self) -> int:
        """The fewest samples that anything can be heard in."""

    def prepare(self, precision: str) -> None:
        """Make what a precision needs, once: weights of another type, say."""

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        """Yield the windows of a file, normalised and ready for `forward`.

        `blocks` are its waveform in order, each (samples,); they may be fewer samples than
        `shortest`, or all the same, and are then refused afterwards.
        """

    def width(self, window: Window) -> int:
        """Return the samples that a window takes up in a batch, before any padding."""

    def split(self, window: Window) -> Sequence[Window]:
        """Return a window as several smaller ones; none where it cannot be split."""

    def forward(
        self, windows: Sequence[Window], width: int, precision: str, options: Mapping[str, Any], /
    ) -> Sequence[Any]:
        """Return a piece for each window: one pass over rows padded to `width` samples.

        Pieces lie in the machine's memory, and are small: they wait there for their file's end.

        Raises:
            torch.OutOfMemoryError: the batch is too large.
        """

    def join(
        self, pieces: Sequence[tuple[Window, Any]], seconds: float, options: Mapping[str, Any], /
    ) -> Prediction:
        """Return what the pieces of a file say, ordered by their windows' first samples.

        The windows' features are gone by then.

        Raises:
            MediaError: they say nothing that can be used.
        """
