"""Laying a known text over the frames of a CTC model: the Viterbi alignment of its letters.

Between any two letters, and at both ends, stands a blank that may be left out, but for the one
between two equal letters (Graves et al., "Connectionist Temporal Classification", 2006). This
module knows labels and arrays; no letters, no torch and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The log-probability of a label that is no candidate.
_UNLIKELY: Final = -50.0


def align(
    labels: NDArray[np.int64],
    log_probs: NDArray[np.float32],
    written: Sequence[int],
    blank: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the likeliest path of a text: each frame's label, and its log-probability.

    `labels` and `log_probs` are (frames, candidates); what is no candidate of a frame is taken to
    be as unlikely as makes no path impossible that the text has. Both answers are (frames,).

    Raises:
        ValueError: the text needs more frames than there are.
    """
    states = np.full(2 * len(written) + 1, blank, dtype=np.int64)
    states[1::2] = written
    emitted = _emitted(labels, log_probs, states)
    # A letter may follow the one before without a blank, unless both are the same.
    skips = np.full(len(states), -np.inf)
    skips[3::2] = np.where(states[3::2] == states[1:-2:2], -np.inf, 0.0)
    # Two states before the first that nothing reaches.
    reached = np.full((len(emitted), len(states) + 2), -np.inf)
    reached[0, 2:4] = emitted[0, :2]
    for row, before, after in zip(emitted[1:], reached, reached[1:], strict=False):
        best = after[2:]
        np.add(before[:-2], skips, out=best)
        np.maximum(best, before[1:-1], out=best)
        np.maximum(best, before[2:], out=best)
        best += row
    path = _traced(reached, skips, len(written))
    told = np.take_along_axis(emitted, path[:, None], axis=1)[:, 0]
    return states[path], told.astype(np.float32)


def _traced(
    reached: NDArray[np.float64], skips: NDArray[np.float64], written: int
) -> NDArray[np.int64]:
    """Return the state of each frame on the best way to the end."""
    state = reached.shape[1] - 3
    if state and reached[-1, state + 1] >= reached[-1, state + 2]:
        state -= 1
    if not np.isfinite(reached[-1, state + 2]):
        raise ValueError(f"{written} letters do not fit into {len(reached)} frames")
    path = np.empty(len(reached), dtype=np.int64)
    path[-1] = state
    for frame in range(len(reached) - 2, -1, -1):
        two, one, same = reached[frame, state : state + 3].tolist()
        two += skips[state]
        if same < one or same < two:
            state -= 1 if one >= two else 2
        path[frame] = state
    return path


def _emitted(
    labels: NDArray[np.int64], log_probs: NDArray[np.float32], states: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what each state emits in each frame, (frames, states)."""
    distinct, places = np.unique(states, return_inverse=True)
    table = np.full((len(labels), len(distinct)), _UNLIKELY)
    for column, label in enumerate(distinct.tolist()):
        table[:, column] = np.where(labels == label, log_probs, _UNLIKELY).max(axis=1)
    return table[:, places]
