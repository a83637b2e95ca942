"""Waveforms, seen from afar: between which values a recording moves, from left to right.

A recording is read in blocks, so an hour takes no more memory than a minute. It knows no page and
no terminal, but draws for both: characters, and the outline of a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .audio import probe_audio, stream_audio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .sources import Media

#: How much is decoded at once, in seconds.
BLOCK_S: Final = 10.0

#: From silence to the loudest of a recording.
BLOCKS: Final = "▁▂▃▄▅▆▇█"


class Envelope:
    """The lowest and highest sample, and the loudness, of `width` equal parts of a recording.

    `frames` is how many samples there will be; `add` takes them in order, channels averaged.
    """

    def __init__(self, frames: int, width: int) -> None:
        import numpy as np

        self._frames = max(1, frames)
        self._width = width
        # Of a recording with fewer samples than parts, one sample fills several.
        parts = min(width, self._frames)
        self._lows = np.full(parts, np.inf, np.float32)
        self._highs = np.full(parts, -np.inf, np.float32)
        self._squares = np.zeros(parts)
        self._counts = np.zeros(parts, np.int64)
        self._done = 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the next samples: float32 of shape (samples,)."""
        import numpy as np

        parts = len(self._lows)
        # A decoder may give a little more than a header says: it belongs to the last part.
        first = min(self._done * parts // self._frames, parts - 1)
        last = min((self._done + len(block) - 1) * parts // self._frames, parts - 1)
        starts = -(-np.arange(first, last + 1) * self._frames // parts) - self._done
        starts[0] = 0
        shown = slice(first, last + 1)
        self._lows[shown] = np.minimum(self._lows[shown], np.minimum.reduceat(block, starts))
        self._highs[shown] = np.maximum(self._highs[shown], np.maximum.reduceat(block, starts))
        self._squares[shown] += np.add.reduceat(np.square(block, dtype=np.float64), starts)
        self._counts[shown] += np.diff(starts, append=len(block))
        self._done += len(block)

    def lows(self) -> NDArray[np.float32]:
        """Return the lowest sample of each part: float32 of shape (width,)."""
        return self._spread(self._lows)

    def highs(self) -> NDArray[np.float32]:
        """Return the highest sample of each part: float32 of shape (width,)."""
        return self._spread(self._highs)

    def blocks(self) -> str:
        """Draw the loudness in `width` characters; the highest stands for the loudest part."""
        import numpy as np

        peaks = np.maximum(self.highs(), -self.lows())
        loudest = peaks.max()
        if not loudest:
            return BLOCKS[0] * self._width
        levels = np.rint(peaks / loudest * (len(BLOCKS) - 1)).astype(int)
        return "".join(BLOCKS[level] for level in levels)

    def loudness(self) -> NDArray[np.float32]:
        """Return the root mean square of each part: float32 of shape (width,)."""
        import numpy as np

        means = self._squares / np.maximum(self._counts, 1)
        return self._spread(np.sqrt(means).astype(np.float32))

    def _spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        known = np.where(np.isfinite(values), values, np.float32(0))
        spread: NDArray[np.float32] = known[np.arange(self._width) * len(known) // self._width]
        return spread


def read_envelope(media: Media, width: int) -> Envelope:
    """Read a recording's envelope of `width` parts.

    Raises:
        MediaError: the file is missing, empty, no audio, truncated, or its decoding fails.
    """
    facts = probe_audio(media)
    envelope = Envelope(facts.frames, width)
    for block in stream_audio(media, facts.sampling_rate, BLOCK_S):
        envelope.add(block)
    return envelope


def narrower(blocks: str, width: int) -> str:
    """Draw a waveform in fewer characters: the highest of neighbours stands for them.

    `width` divides the number there are; what is narrower already stays.
    """
    step = max(1, len(blocks) // width)
    return "".join(max(blocks[i : i + step]) for i in range(0, len(blocks), step))
