"""Whether texts belong to the recordings they stand beside, by what a model hears in those.

Texts that slipped by a row, or a join that went wrong, train a model into nonsense, and measure it
against nonsense too. But a model that hears anything hears more of a row's own text than of
another row's. It knows texts, and nothing of models or audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .metrics import count_errors

#: Of fewer rows, or fewer different texts, nothing can be said.
_FEWEST: Final = 8

#: How many other rows' texts each row is held against.
_OTHERS: Final = 4

#: Standard errors that own texts must be nearer by: of texts in no order one in twenty sets is.
_NEARER: Final = 1.64


def belong(heard: Sequence[str], texts: Sequence[str]) -> bool | None:
    """Tell whether what was heard in rows is more like their own texts than like those of others.

    None where there are too few rows, or too few texts, to tell. Where texts stand beside
    recordings at random, own and other texts may be exchanged, and their mean difference in
    character errors a letter is about nothing.
    """
    if len(heard) < _FEWEST or len(set(texts)) < _FEWEST:
        return None
    nearer = np.zeros(len(heard))
    own = _rates(heard, texts)
    for shift in _shifts(len(heard)):
        nearer += _rates(heard, [*texts[shift:], *texts[:shift]]) - own
    nearer /= len(_shifts(len(heard)))
    mean, deviation = float(nearer.mean()), float(nearer.std(ddof=1))
    return mean > 0 and mean >= _NEARER * deviation / math.sqrt(len(heard))


def _shifts(rows: int) -> list[int]:
    """Return by how many rows texts are moved: evenly spread, and never back to their own."""
    return sorted({max(1, rows * part // (_OTHERS + 1)) for part in range(1, _OTHERS + 1)})


def _rates(heard: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
    counts = count_errors(texts, heard)
    # Capped: one long invention would outweigh all other rows.
    return np.minimum(counts.character_errors / np.maximum(counts.characters, 1), 1.5)
