"""Makes the next step's utterances while a GPU is at this one's. It knows no model."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import torch

from .plan import Plan, Take
from .utterances import Utterances, Waveform

_THREADS: Final = 4


class Ahead:
    """The utterances of a step, made in threads one step ahead.

    On a CPU there is nothing to gain: what makes them would take the time from who trains.
    """

    def __init__(self, utterances: Utterances, plan: Plan, device: torch.device) -> None:
        self._utterances = utterances
        self._plan = plan
        self._pool = None if device.type == "cpu" else ThreadPoolExecutor(_THREADS, "thanosql-hear")
        self._made: dict[int, dict[int, Future[Waveform]]] = {}

    def of(self, step: int) -> Callable[[Take], Waveform]:
        """Return what gives the utterances of a step."""
        if self._pool is None:
            epoch = self._plan.epoch_of(step)
            return lambda take: self._utterances.hear(take, epoch)
        self._made = {each: self._made.get(each) or self._make(each) for each in self._next(step)}
        futures = self._made[step]
        return lambda take: futures[take.index].result()

    def _next(self, step: int) -> range:
        return range(step, min(step + 2, self._plan.steps))

    def _make(self, step: int) -> dict[int, Future[Waveform]]:
        assert self._pool is not None
        epoch, hear = self._plan.epoch_of(step), self._utterances.hear
        takes = self._plan.batch(step)
        return {take.index: self._pool.submit(hear, take, epoch) for take in takes}

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
