"""Gradients of a step's micro-batches, taken side by side in threads of a CPU.

Micro-batches are dealt out by their size, and gradients added in a fixed order: which lane is
quicker changes no bit. It knows no utterances: a micro-batch is what its loss is called with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final, Protocol, TypeAlias

import torch

from .. import threads

#: Bytes that all lanes' gradients may take together, but that two lanes are always let.
_ROOM: Final = 4 << 30

Loss: TypeAlias = Callable[[int], torch.Tensor]


class Gradients(Protocol):
    """Leaves the gradients of a step's loss at the parameters."""

    def __call__(self, costs: Sequence[int], loss: Loss) -> list[float]:
        """Return the loss of each micro-batch; `loss` is called with its number."""

    def close(self) -> None:
        """End what runs."""


class OneLane:
    """Micro-batches one after the other, on all that the device has."""

    def __init__(self, scale: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        self._scale = scale

    def __call__(self, costs: Sequence[int], loss: Loss) -> list[float]:
        """See `Gradients`."""
        losses = []
        for piece in range(len(costs)):
            value = loss(piece)
            scaled: Any = self._scale(value) if self._scale else value
            scaled.backward()
            losses.append(value.detach())
        return torch.stack(losses).tolist()  # asked once: it waits for a GPU

    def close(self) -> None:
        """There is nothing to end."""


class CPULanes:
    """As many lanes as given, each on its share of the threads."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], count: int, cores: int) -> None:
        self._count = count
        self._parameters = [each for each in parameters if each.requires_grad]
        self._threads = max(1, cores // count)
        self._pool = ThreadPoolExecutor(count, "thanosql-train")
        self._stopped = threading.Event()

    def __call__(self, costs: Sequence[int], loss: Loss) -> list[float]:
        """See `Gradients`."""
        dealt = deal(costs, self._count)
        self._stopped.clear()
        futures = [self._pool.submit(self._lane, pieces, loss) for pieces in dealt]
        try:
            done = [future.result() for future in futures]
        finally:
            self._stopped.set()
            wait(futures)
        losses = {piece: value for values, _ in done for piece, value in values.items()}
        for parameter, gradients in zip(
            self._parameters, zip(*(sums for _, sums in done), strict=True), strict=True
        ):
            parameter.grad = _sum(gradients)
        return [losses[piece] for piece in range(len(costs))]

    def _lane(
        self, pieces: Sequence[int], loss: Loss
    ) -> tuple[dict[int, float], list[torch.Tensor | None]]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        losses: dict[int, float] = {}
        sums: list[torch.Tensor | None] = [None] * len(self._parameters)
        for piece in pieces:
            if self._stopped.is_set():
                break
            value = loss(piece)
            # Not backward(): it would add to what the lanes share.
            gradients = torch.autograd.grad(value, self._parameters, allow_unused=True)
            if not losses:  # what is added into must be ours alone
                gradients = tuple(each if each is None else each.clone() for each in gradients)
            sums = [_sum(each) for each in zip(sums, gradients, strict=True)]
            losses[piece] = value.item()
        return losses, sums

    def close(self) -> None:
        """End the lanes' threads."""
        self._stopped.set()
        self._pool.shutdown()


def _sum(gradients: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Add up into the first that there is."""
    there = [gradient for gradient in gradients if gradient is not None]
    if not there:
        return None
    total = there[0]
    for gradient in there[1:]:
        total += gradient
    return total


def deal(costs: Sequence[int], lanes: int) -> list[list[int]]:
    """Share pieces out: the largest first, each to the lane that has least to do."""
    dealt: list[list[int]] = [[] for _ in range(lanes)]
    loads = [0] * lanes
    for piece in sorted(range(len(costs)), key=lambda piece: (-costs[piece], piece)):
        lane = loads.index(min(loads))
        dealt[lane].append(piece)
        loads[lane] += costs[piece]
    return [pieces for pieces in dealt if pieces]


def lanes_for(parameters: Sequence[torch.nn.Parameter], batch_size: int) -> int:
    """Return how many lanes to train in on a CPU: the same for the same machine and model."""
    room = _ROOM // sum(each.nbytes for each in parameters if each.requires_grad)
    return max(1, min(threads.available(), batch_size, max(2, room)))
