"""Where speech is cut for a Whisper model: waveforms at quiet spots, tokens at time tokens.

Pure arrays and numbers: no model, no text and no file is known here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Time tokens count positions of the encoder: two frames of features, 20 ms.
POSITION_S: Final = 0.02
FRAMES_PER_POSITION: Final = 2

#: A window is cut within so many seconds of its end, in the middle of the quietest stretch.
_CUT_WITHIN_S: Final = 5.0
_QUIET_S: Final = 0.2

#: Below the smallest step of 16 bits there is nothing to hear, and much to hallucinate.
_SILENCE: Final = 2.0**-15


def cut_at_quiet(
    blocks: Iterable[NDArray[np.float32]], longest: int, sampling_rate: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield stretches of at most `longest` samples that follow on one another, with their places.

    `blocks` are a waveform's, each (samples,). A cut lies at the quietest spot of a stretch's last
    seconds; the stretches are the same in whatever blocks the waveform comes. No more is held than
    a stretch and a block.
    """
    held = np.zeros(0, np.float32)
    first = 0
    for block in blocks:
        held = np.concatenate((held, block))
        while len(held) > longest:
            cut = _quietest(held[:longest], sampling_rate)
            yield first, held[:cut]
            # A copy: a view would keep the whole alive.
            held = held[cut:].copy()
            first += cut
    if len(held):
        yield first, held


def is_soundless(samples: NDArray[np.float32]) -> bool:
    """Return whether there is nothing at all to hear."""
    return not len(samples) or float(np.abs(samples).max()) < _SILENCE


def _quietest(samples: NDArray[np.float32], sampling_rate: int) -> int:
    """Return the middle of the quietest stretch near the end; of equals the last."""
    first = max(1, len(samples) - round(_CUT_WITHIN_S * sampling_rate))
    width = max(1, min(round(_QUIET_S * sampling_rate), len(samples) - first))
    power = np.concatenate(([0.0], np.cumsum(samples[first:].astype(np.float64) ** 2)))
    stretches = power[width:] - power[:-width]
    return first + len(stretches) - 1 - int(stretches[::-1].argmin()) + width // 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens from `first` to before `end`, said from position `start` of the encoder to `stop`."""

    first: int
    end: int
    start: int
    stop: int


def segments(ids: Sequence[int], first_time: int, frames: int) -> tuple[list[Segment], int | None]:
    """Cut tokens at their time tokens; return also the position to go on from, or None.

    Two time tokens side by side end one segment and begin the next. What follows the last such
    pair is unfinished, unless a single time token ends it: the model is to hear it again, from
    that pair on. (The rules are those of the method's authors and of transformers.)
    """
    times = [each >= first_time for each in ids]
    ends = [i + 1 for i in range(len(ids) - 1) if times[i] and times[i + 1]]
    if not ends:
        marks = [each - first_time for each, is_time in zip(ids, times, strict=True) if is_time]
        stop = marks[-1] if marks and marks[-1] else frames // FRAMES_PER_POSITION
        return [Segment(0, len(ids), 0, stop)], None
    finished = times[-2:] == [False, True]
    if finished:
        ends.append(len(ids))
    slices = [
        Segment(first, end, ids[first] - first_time, ids[end - 1] - first_time)
        for first, end in itertools.pairwise([0, *ends])
    ]
    return slices, None if finished else ids[ends[-1] - 1] - first_time
