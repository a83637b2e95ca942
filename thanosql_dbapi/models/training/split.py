"""Which rows of a training are held out, to measure on.

It knows rows by the digests of their audio alone: no waveform, no text, no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal

#: Of fewer rows none is held out unless a part was asked for: the model needs them all.
_FEWEST: Final = 10

#: What `auto` holds out: a tenth, and at most so many rows. WER on 500 rows is known to a percent
#: or two, and measuring on more costs time at each measurement.
_AUTO_PART: Final = 0.1
_AUTO_MOST: Final = 500


def split(
    count: int, validation: float | Literal["auto"], digests: Sequence[str], seed: int
) -> tuple[list[int], list[int]]:
    """Return the indices of the rows to train on and of those held out, both in order.

    `validation` is the part to hold out. Rows with the same audio stay on one side, so the part
    may come out smaller; one row at least is left to train on. Which rows it is depends on their
    audio and on the seed: rows that are added move few of the others, and their order none.
    Texts may well occur on both sides, as they do where the model is used.
    """
    groups: dict[str, list[int]] = {}
    for row in range(count):
        # Audio that could not be read has no digest, and is like no other.
        groups.setdefault(digests[row] or f"row {row}", []).append(row)
    held = _drawn(groups, _wanted(count, validation), seed)
    return sorted(set(range(count)) - held), sorted(held)


def _wanted(count: int, validation: float | Literal["auto"]) -> int:
    """Return how many rows should be held out."""
    if validation == "auto":
        return 0 if count < _FEWEST else min(_AUTO_MOST, max(1, round(count * _AUTO_PART)))
    if validation == 0 or count < 2:
        return 0
    return min(count - 1, max(1, round(count * validation)))


def _drawn(groups: dict[str, list[int]], wanted: int, seed: int) -> set[int]:
    """Draw whole groups of up to so many rows; the smallest one where none is so small."""
    if not wanted or len(groups) < 2:
        return set()
    # By a hash, not by a generator: those may draw otherwise in another release.
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    held: set[int] = set()
    for name in order:
        if len(held) + len(groups[name]) <= wanted:
            held.update(groups[name])
    return held or set(groups[min(order, key=lambda name: len(groups[name]))])
