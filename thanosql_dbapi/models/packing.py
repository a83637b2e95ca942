"""How windows are packed into batches: measured on the work itself, as it runs.

What a batch says does not depend on how it was packed, so the packing is free to be the fastest.
An arm is one way of packing; each is tried on a little of the work, and the fastest goes on. The
trials are paid for: they may lose half a second, and a twentieth of the time spent. This module
knows numbers alone.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Padded lengths come from this geometric scale, so that shapes repeat: each one that is new costs
#: the libraries a set-up, and padding costs work. On two cores 200 files of 1 to 6 s took a small
#: model 0.98 s with 1.25, 0.92 s with 1.1, and 1.48 s where each file kept its own length.
_SCALE: Final = 1.1

#: What trials may lose: seconds, and a share of the time spent on forward passes.
_TRIAL_S: Final = 0.5
_TRIAL_SHARE: Final = 0.05

#: An arm that takes so many times as long as the best is not tried at other lengths.
_HOPELESS: Final = 1.4

#: So near to the best a sample may be chance: an arm is tried so many times before it has lost.
_CLOSE: Final = 1.15
_SURE: Final = 3

#: Samples of an arm after which its estimate moves by a tenth with each further one.
_STEADY: Final = 10


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of packing.

    `lanes` forward passes run side by side, each over about `seconds` of padded audio, at least
    one window. `padded` rounds lengths up to the scale; an arm that does not pad takes one window
    at a time.
    """

    lanes: int
    seconds: float
    padded: bool

    def rows(self, width_s: float, most_rows: int, most_s: float) -> int:
        """Return how many windows of so many seconds go together: a power of two.

        `most_rows` and `most_s` are the limits of a batch.
        """
        wanted = int(min(self.seconds, most_s) / width_s) if self.padded else 1
        return 1 << (max(1, min(wanted, most_rows)).bit_length() - 1)

    def width(self, samples: int, sampling_rate: int) -> int:
        """Return the padded length of a batch whose longest window has so many samples."""
        if not self.padded:
            return samples
        width = sampling_rate / 4
        while width < samples:
            width *= _SCALE
        return int(width)


def arms_for(kind: str, cores: int, *, fixed: bool) -> tuple[Arm, ...]:
    """Return the ways of packing worth a trial on a device of a kind, the first to begin with.

    On a CPU several passes side by side, of a thread each, beat one pass of all threads: small
    operations do not gain from threads, and no thread waits for another. `fixed` asks for the one
    arm whose batches depend on nothing but the window in them: each has a thread to itself.
    """
    if kind != "cpu":
        alone = Arm(2, 0, padded=False)
        return (alone,) if fixed else (*(Arm(2, s, padded=True) for s in (128, 32, 512, 2048)),)
    if fixed:
        return (Arm(cores, 0, padded=False),)
    lanes = min(cores, 8)
    alone = Arm(lanes, 0, padded=False)
    batches = [Arm(lanes, seconds, padded=True) for seconds in (30, 10, 0)]
    # Where there are more cores, fewer and wider passes may keep more of the weights in its cache.
    wide = [Arm(lanes // 4, 0, padded=False), Arm(lanes // 4, 30, padded=True)]
    return (alone, *batches, *(wide if lanes >= 4 else ()))


class Packing:
    """What is known of the arms of one model, on one device, at one precision.

    Several runs may use and feed it at once.
    """

    def __init__(self, arms: tuple[Arm, ...], *, fixed: bool = False) -> None:
        self.arms = arms
        self._fixed = fixed
        #: The most forward passes that any arm runs side by side.
        self.lanes = max(arm.lanes for arm in arms)
        self._lock = threading.Lock()
        # Short windows gain from company where long ones do not: an octave of lengths each.
        self._costs: dict[tuple[int, Arm], _Cost] = defaultdict(_Cost)
        self._shapes: set[tuple[Arm, int, int]] = set()
        self._spent = 0.0
        self._lost = 0.0

    def choose(self, width_s: float, most_rows: int, most_s: float) -> Arm:
        """Return the arm for the next batch, whose longest window has so many seconds."""
        with self._lock:
            octave = _octave(width_s)
            best = self._best(octave)
            known = self._costs[octave, best]
            if not known.count:
                return best
            for wanted in (self._is_promising, self._is_close):
                waits = False
                for arm in self.arms:
                    rows = arm.rows(width_s, most_rows, most_s)
                    if arm.padded and arm.seconds and rows == 1:
                        continue  # nothing to learn: another arm does the same
                    if wanted(arm, octave):
                        if self._affords(known, rows * width_s):
                            return arm
                        waits = True
                if waits:  # second trials are not to spend what the first ones need
                    break
            return best

    def _best(self, octave: int) -> Arm:
        """Return the cheapest arm at these lengths, or at the nearest that were tried."""
        for near in _by_distance(octave):
            tried = [arm for arm in self.arms if self._costs[near, arm].count]
            if tried:
                return min(tried, key=lambda arm: self._costs[near, arm].mean)
        return self.arms[0]

    def _is_promising(self, arm: Arm, octave: int) -> bool:
        """Return whether an arm is worth a trial: not tried here, and not far behind elsewhere."""
        if self._costs[octave, arm].count:
            return False
        for near in _by_distance(octave):
            if self._costs[near, arm].count:
                best = min(c.mean for c in (self._costs[near, a] for a in self.arms) if c.count)
                return self._costs[near, arm].mean < _HOPELESS * best
        return True

    def _is_close(self, arm: Arm, octave: int) -> bool:
        """Return whether an arm is worth another trial: tried here seldom, and not far behind."""
        known, best = self._costs[octave, arm], self._costs[octave, self._best(octave)]
        return 0 < known.count < _SURE and known.mean < _CLOSE * best.mean

    def _affords(self, best: _Cost, audio_s: float) -> bool:
        # An arm is supposed to take twice as long as the best one, at worst.
        risk = best.mean * audio_s
        return self._lost + risk <= _TRIAL_S + _TRIAL_SHARE * self._spent

    def lanes_for(self, arm: Arm, parallel: int) -> int:
        """Return how many lanes to use where there is work for `parallel` of them alone."""
        return arm.lanes if self._fixed else min(arm.lanes, parallel)

    def threads_for(self, lanes: int, cores: int) -> int:
        """Return how many threads a pass has beside others in so many lanes.

        Where batches are fixed it is one, as sums over several are rounded otherwise.
        """
        return 1 if self._fixed else max(1, cores // lanes)

    def note(self, arm: Arm, width: int, lengths_s: Sequence[float], took_s: float) -> None:
        """Learn from a batch padded to `width`, that took `took_s` in one of the arm's lanes."""
        with self._lock:
            octave = _octave(max(lengths_s))
            cost = took_s / arm.lanes / sum(lengths_s)
            best = self._costs[octave, self._best(octave)]
            self._spent += took_s / arm.lanes
            if best.count:
                self._lost += max(0.0, cost - best.mean) * sum(lengths_s)
            shape = (arm, len(lengths_s), width)
            if not arm.padded or shape in self._shapes:
                self._costs[octave, arm].add(cost)
            else:  # its first time is not what it costs
                self._shapes.add(shape)


class _Cost:
    """Seconds of work for a second of audio: a mean that forgets slowly."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.mean += (value - self.mean) / min(self.count, _STEADY)


def _by_distance(octave: int) -> list[int]:
    return sorted(range(16), key=lambda other: (abs(other - octave), -other))


def _octave(width_s: float) -> int:
    return int(max(width_s, 0.25) * 4).bit_length()
