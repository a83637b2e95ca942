"""The spectrogram of a recording, as a small picture: time to the right, pitch up, light is loud.

Mel bands in decibels below the loudest. The scale: S. S. Stevens, J. Volkmann and E. B. Newman, "A
scale for the measurement of the psychological magnitude pitch", 1937; m = 2595 log10(1 + f / 700
Hz): D. O'Shaughnessy, "Speech Communication", 1987. A recording is read in blocks; of a long one a
few windows a column are looked at. It knows no page.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

from .image import pillow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Of what pitch the lowest band begins and the highest ends, in hertz: speech lies between.
_LOWEST: Final = 40.0
_HIGHEST: Final = 8000.0

#: How long a window is, in seconds, and how far apart two are at least.
_WINDOW_S: Final = 0.032
_HOP_S: Final = 0.008

#: The most windows of one column of the picture.
_PER_COLUMN: Final = 8

#: How far below the loudest the darkest lies, in decibels.
_DEPTH_DB: Final = 70.0

#: The loudest sample that is told from others; whole recordings lie between -1 and 1.
_LOUDEST: Final = 1e12

#: Windows that are transformed at once.
_AT_ONCE: Final = 256

#: From silence to the loudest: lightness grows all the way, so it reads without colours too.
_COLOURS: Final = (
    (13, 16, 48), (44, 26, 96), (104, 36, 130), (170, 52, 122), (224, 88, 92), (249, 156, 84),
    (253, 236, 170),
)  # fmt: skip


class Spectrogram:
    """The spectrogram of a recording of `frames` samples at `rate` Hz, of `width` by `height`.

    `add` takes the samples in order, channels averaged.
    """

    def __init__(self, frames: int, rate: int, width: int, height: int) -> None:
        import numpy as np

        self._window = max(16, round(_WINDOW_S * rate))
        self._hop = max(1, round(_HOP_S * rate), frames // (width * _PER_COLUMN))
        self._windows = max(1, 1 + (frames - self._window) // self._hop)
        self._sums = np.zeros((min(width, self._windows), height))
        self._counts = np.zeros(len(self._sums))
        self._hann = np.hanning(self._window).astype(np.float32)
        # More points than samples, or the lowest bands would lie between two of them.
        self._points = 4 * 2 ** (self._window - 1).bit_length()
        self._bands = _mel_bands(rate, self._points, height)
        self._kept = np.zeros(0, np.float32)
        self._at = 0
        self._seen = 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the next samples: float32 of shape (samples,)."""
        import numpy as np

        # What is louder still has a power that no float32 holds.
        self._kept = np.concatenate([self._kept, block.clip(-_LOUDEST, _LOUDEST)])
        self._look()

    def png(self) -> bytes:
        """Return the picture as PNG.

        Raises:
            MissingExtra: Pillow is not installed.
        """
        import numpy as np

        if not self._seen:  # shorter than a window
            self._kept = np.pad(self._kept, (0, max(0, self._window - len(self._kept))))
            self._look()
        power = self._sums / np.maximum(self._counts, 1)[:, None]
        loudest = power.max() or 1.0
        decibels = 10 * np.log10(np.maximum(power / loudest, 10 ** (-_DEPTH_DB / 10)))
        light = np.rint((1 + decibels / _DEPTH_DB) * 255).astype(np.uint8)
        rows = np.ascontiguousarray(light.T[::-1])
        picture = pillow().frombytes("P", (rows.shape[1], rows.shape[0]), rows.tobytes())
        picture.putpalette(_palette())
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        return file.getvalue()

    def _look(self) -> None:
        """Look at the windows that are here in full; keep what later ones need."""
        import numpy as np

        # The place of the next window within what is kept may lie beyond it.
        here = max(0, 1 + (len(self._kept) - self._window - self._at) // self._hop)
        starts = self._at + np.arange(here) * self._hop
        for first in range(0, here, _AT_ONCE):
            self._transform(starts[first : first + _AT_ONCE])
        self._at += here * self._hop
        dropped = min(self._at, len(self._kept))
        self._kept, self._at = self._kept[dropped:], self._at - dropped

    def _transform(self, starts: NDArray[np.int64]) -> None:
        import numpy as np

        samples = self._kept[starts[:, None] + np.arange(self._window)] * self._hann
        spectrum = np.fft.rfft(samples, self._points)
        power = (spectrum.real**2 + spectrum.imag**2) @ self._bands
        columns = (self._seen + np.arange(len(starts))) * len(self._sums) // self._windows
        columns = np.minimum(columns, len(self._sums) - 1)
        np.add.at(self._sums, columns, power)
        np.add.at(self._counts, columns, 1)
        self._seen += len(starts)


def _mel_bands(rate: int, points: int, count: int) -> Any:
    """Return triangular bands, evenly spaced on the mel scale: (points / 2 + 1, count)."""
    import numpy as np

    highest = min(_HIGHEST, rate / 2)
    lowest, top = (2595 * math.log10(1 + f / 700) for f in (min(_LOWEST, highest / 4), highest))
    edges = 700 * (10 ** (np.linspace(lowest, top, count + 2) / 2595) - 1)
    pitches = np.arange(points // 2 + 1)[:, None] * rate / points
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (pitches - low) / (middle - low), (high - pitches) / (high - middle)
    bands = np.maximum(0, np.minimum(rising, falling))
    # A band between two points has that nearest to its middle.
    empty = np.flatnonzero(bands.max(axis=0) == 0)
    bands[np.rint(middle[empty] * points / rate).astype(int), empty] = 1
    return bands


def _palette() -> bytes:
    import numpy as np

    places = np.linspace(0, 255, len(_COLOURS))
    curves = [np.interp(np.arange(256), places, channel) for channel in zip(*_COLOURS, strict=True)]
    colours = np.rint(np.stack(curves, axis=1)).astype(np.uint8)
    return bytes(colours.tobytes())
