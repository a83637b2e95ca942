"""Which utterances go into which step, at which speed: drawn anew for each epoch.

A pure function of lengths, settings and seed: an epoch's plan depends on no other epoch, so a
training that was cut off finds its place again. It knows no model and no samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import augmentation
from .settings import TrainingSettings

# Each new input shape costs oneDNN about 180 ms, so padded lengths come from a coarse scale.
_SHORTEST_PADDED_S: Final = 0.5
_PADDING_STEP: Final = 1.12
#: Measurements lie at least and at most about so many steps apart.
_FEWEST_STEPS: Final = 20
_MOST_STEPS: Final = 500
#: Tells the plan's draws from those of augmentation and of torch, which have the same seed.
_PLAN: Final = 1


@dataclass(frozen=True, slots=True)
class Take:
    """One utterance of a batch, to be played at a speed; it has `samples` then."""

    index: int
    speed: float
    samples: int


Batch: TypeAlias = list[Take]


class Plan:
    """The steps of a training, counted from 0 as epochs are."""

    def __init__(
        self,
        lengths: NDArray[np.int64],
        shortest: NDArray[np.int64],
        settings: TrainingSettings,
        sampling_rate: int,
    ) -> None:
        """`lengths` are the utterances' samples, `shortest` what their labels need at least."""
        self._lengths = lengths
        self._shortest = shortest
        self._settings = settings
        self._rate = sampling_rate
        self._drawn: tuple[int, list[Batch]] = (-1, [])
        #: Steps that are done when each epoch ends.
        self.ends: Sequence[int] = list(accumulate(self._counts()))
        self.steps: int = min(self.ends[-1], settings.max_steps or self.ends[-1])

    def _counts(self) -> Iterator[int]:
        for epoch in range(self._settings.max_epochs):
            if self._settings.batch_seconds is None:
                yield math.ceil(len(self._lengths) / self._settings.batch_size)
            else:
                yield len(self._draw(epoch))

    def epoch_of(self, step: int) -> int:
        """Return the epoch that a step belongs to."""
        return int(np.searchsorted(self.ends, step, side="right"))

    def ends_epoch(self, done: int) -> bool:
        """Return whether an epoch is over after so many steps."""
        return done in (self.ends[self.epoch_of(done - 1)], self.steps)

    def batch(self, step: int) -> Batch:
        """Return the utterances of a step, the shortest first."""
        epoch = self.epoch_of(step)
        if self._drawn[0] != epoch:
            self._drawn = epoch, self._draw(epoch)
        first = self.ends[epoch - 1] if epoch else 0
        return self._drawn[1][step - first]

    def measurements(self) -> frozenset[int]:
        """Return after how many steps to measure on held-out rows.

        After each epoch; where epochs are short, after every few of them, and where they are long,
        evenly within them too. The last step is always measured.
        """
        measured, last = {self.steps}, 0
        for end in self.ends:
            parts = math.ceil((end - last) / _MOST_STEPS)
            if end - last >= _FEWEST_STEPS:
                measured |= {
                    last + round((end - last) * part / parts) for part in range(1, parts + 1)
                }
                last = end
        return frozenset(step for step in measured if step <= self.steps)

    def _draw(self, epoch: int) -> list[Batch]:
        """Draw speeds, then make batches of similar length, in random order."""
        rng = np.random.default_rng([self._settings.seed, _PLAN, epoch])
        samples = self._lengths
        if "speed" in self._settings.augmentation:
            speeds = augmentation.draw_speeds(len(samples), rng)
            # Altered lengths come from a scale, so that many are equal; and no speed may leave an
            # utterance with fewer frames than its labels need.
            altered = np.maximum(_on_scale(samples / speeds), self._shortest)
            samples = np.where(speeds == 1.0, samples, altered)
        speeds = self._lengths / samples
        # The jitter lets an utterance meet other neighbours in each epoch.
        order = np.argsort(samples * rng.uniform(0.9, 1.1, len(samples)), kind="stable")
        takes = [Take(int(each), float(speeds[each]), int(samples[each])) for each in order]
        batches = list(self._split(takes))
        if epoch or not self._settings.shorter_first:
            rng.shuffle(batches)
        return batches

    def _split(self, takes: Sequence[Take]) -> Iterator[Batch]:
        batch: Batch = []
        longest = 0
        for take in takes:
            longest = max(longest, padded(take.samples, self._rate))
            if batch and self._is_full(len(batch) + 1, longest):
                yield batch
                batch, longest = [], padded(take.samples, self._rate)
            batch.append(take)
        yield batch

    def _is_full(self, count: int, longest: int) -> bool:
        if self._settings.batch_seconds is None:
            return count > self._settings.batch_size
        return count * longest > self._settings.batch_seconds * self._rate


def _on_scale(samples: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round lengths to the nearest step of a scale four times as fine as the padded lengths'."""
    step = math.log(_PADDING_STEP) / 4
    return np.round(np.exp(np.round(np.log(samples) / step) * step)).astype(np.int64)


def padded(samples: int, sampling_rate: int) -> int:
    """Return so many samples, or the few more that the scale of padded lengths has next."""
    shortest = _SHORTEST_PADDED_S * sampling_rate
    steps = max(0, math.ceil(math.log(samples / shortest, _PADDING_STEP) - 1e-9))
    return math.ceil(shortest * _PADDING_STEP**steps)


def micro_batches(batch: Batch, most: int, sampling_rate: int) -> list[Batch]:
    """Split a batch into neighbours in length of at most so many padded samples together.

    One utterance is never split, whatever it has.
    """
    pieces: list[Batch] = []
    for take in sorted(batch, key=lambda take: (-take.samples, take.index)):
        widest = padded(pieces[-1][0].samples, sampling_rate) if pieces else most
        if pieces and (len(pieces[-1]) + 1) * widest <= most:
            pieces[-1].append(take)
        else:
            pieces.append([take])
    return pieces
