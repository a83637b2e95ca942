"""Windows of a waveform that is too long for one forward pass: cut with an overlap, and stitched.

A file up to one window goes through the model whole. A longer one is cut as it is decoded, so that
no more than a window of it is held; two neighbours share an overlap, and the seam is laid where
both hear the same. This module knows arrays alone: no model, no text, no file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Frames on each side of a seam over which the neighbours should agree, most wanted first.
_AGREEMENT: Final = (25, 12, 6, 3, 1, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of one file, as the model takes it.

    `features` is what the recogniser made of the samples; `first` is the file's sample that the
    window starts with, and `samples` how many it covers.
    """

    features: NDArray[np.float32]
    first: int
    samples: int


def cut(
    blocks: Iterable[NDArray[np.float32]], window: int, overlap: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield stretches of at most `window` samples, each with the place of its first.

    `blocks` are a waveform's, each (samples,). Neighbours share `overlap` samples, so that only a
    stretch that is the first can be shorter than that. No more is held than a window and a block.
    """
    held: list[NDArray[np.float32]] = []
    count = first = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        while count > window:
            waveform = np.concatenate(held)
            yield first, waveform[:window]
            first += window - overlap
            # A copy: a view would keep the whole alive.
            held = [waveform[window - overlap :].copy()]
            count = len(held[0])
    if held:
        yield first, held[0] if len(held) == 1 else np.concatenate(held)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The likeliest labels of each frame, the likeliest first, with their log-probabilities.

    Both are (frames, candidates).
    """

    labels: NDArray[np.int32]
    log_probs: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What a model says of a window: each frame's likeliest label, and its log-probability.

    `ids` and `log_probs` are (frames,); `first` counts the file's frames before them. `candidates`
    are kept where a beam search is to follow.
    """

    ids: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    first: int
    candidates: Candidates | None = None

    @property
    def end(self) -> int:
        """The file's frames up to its end."""
        return self.first + len(self.ids)

    def between(self, start: int, end: int) -> Path:
        """Return what it says from one of the file's frames to another."""
        frames = slice(start - self.first, end - self.first)
        kept = self.candidates
        if kept is not None:
            kept = Candidates(kept.labels[frames], kept.log_probs[frames])
        return Path(self.ids[frames], self.log_probs[frames], start, kept)


def stitch(paths: Sequence[Path], quiet: NDArray[np.bool_]) -> Path:
    """Join the paths of overlapping windows, in the order of their starts.

    `quiet` tells by label which of them write no letter: blanks and what parts words.
    """
    paths = _reaching(paths)
    parts: list[Path] = []
    start = paths[0].first
    for left, right in itertools.pairwise(paths):
        seam = max(start, _seam(left, right, quiet))
        parts.append(left.between(start, seam))
        start = seam
    parts.append(paths[-1].between(start, paths[-1].end))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Path]) -> Path:
    kept = [part.candidates for part in parts if part.candidates is not None]
    candidates = (
        Candidates(
            np.concatenate([each.labels for each in kept]),
            np.concatenate([each.log_probs for each in kept]),
        )
        if kept
        else None
    )
    return Path(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.log_probs for part in parts]),
        parts[0].first,
        candidates,
    )


def _reaching(paths: Sequence[Path]) -> list[Path]:
    """Leave out the paths that another covers: small parts of a window, within its neighbour."""
    kept: list[Path] = []
    for path in paths:
        if not kept or path.end > kept[-1].end:
            kept.append(path)
    return kept


def _seam(left: Path, right: Path, quiet: NDArray[np.bool_]) -> int:
    """Return the file's frame from which the right window is believed.

    Around it both say the same, over as many frames as possible: so no letter that one of them
    hears a frame earlier is doubled or lost. Of such places the best is quiet, and nearest to the
    middle, where both hear most of what is around.
    """
    one, other = left.ids[right.first - left.first :], right.ids[: max(0, left.end - right.first)]
    shared = min(len(one), len(other))
    if shared <= 0:
        return left.end
    one, other = one[:shared], other[:shared]
    same = one == other
    middle = np.abs(np.arange(shared) - shared / 2)
    reach = _reach(same)
    for wanted in _AGREEMENT:
        for candidates in (quiet[one] & (reach > wanted), reach > wanted):
            if candidates.any():
                return right.first + int(np.where(candidates, middle, np.inf).argmin())
    return right.first + shared // 2


def _reach(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each place how many equal ones lie on its shorter side, itself counted."""
    forth = _run_lengths(same)
    back = _run_lengths(same[::-1])[::-1]
    return np.minimum(forth, back)


def _run_lengths(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count for each place the equal ones that end with it."""
    places = np.arange(1, len(same) + 1)
    return places - np.maximum.accumulate(np.where(same, 0, places))
