"""One training in several processes, each with a GPU or a share of a CPU, through accelerate.

Every process takes the same steps with the same weights; each has some of a step's micro-batches,
and gradients are summed over all. Not by torch's DistributedDataParallel: that averages over
processes, where the mean over a step's utterances is wanted, and wants to wrap the forward pass.
It knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..memory import is_out_of_memory
from .lanes import Gradients, Loss, deal

if TYPE_CHECKING:
    from accelerate import Accelerator


class Processes:
    """The processes of a training, as one of them sees it."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def device(self) -> torch.device:
        """The device of this one."""
        device: torch.device = self._accelerator.device
        return device

    @property
    def is_first(self) -> bool:
        """Whether this is the one that reports, measures and keeps checkpoints."""
        return bool(self._accelerator.is_main_process)

    def wait(self) -> None:
        """Wait until all are here."""
        self._accelerator.wait_for_everyone()

    def agree(self, figure: float) -> float:
        """Return the first process's figure, in all of them."""
        given = torch.tensor([figure if self.is_first else 0.0], dtype=torch.float64)
        return float(self.total(given.to(self._accelerator.device)))

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum over all processes."""
        summed: torch.Tensor = self._accelerator.reduce(values, "sum")
        return summed

    def lane(
        self, parameters: Sequence[torch.nn.Parameter], scale: Callable[[torch.Tensor], Any]
    ) -> Gradients:
        """Return what takes gradients together with the other processes."""
        return _SharedLane(self, self._accelerator, parameters, scale)


class _SharedLane:
    def __init__(
        self,
        processes: Processes,
        accelerator: Accelerator,
        parameters: Sequence[torch.nn.Parameter],
        scale: Callable[[torch.Tensor], Any],
    ) -> None:
        self._processes = processes
        self._count = accelerator.num_processes
        self._rank = accelerator.process_index
        self._device = accelerator.device
        self._parameters = [each for each in parameters if each.requires_grad]
        self._scale = scale

    def __call__(self, costs: Sequence[int], loss: Loss) -> list[float]:
        """See `lanes.Gradients`."""
        dealt = deal(costs, self._count)
        losses = torch.zeros(len(costs), device=self._device)
        failure: Exception | None = None
        try:
            for piece in dealt[self._rank] if self._rank < len(dealt) else ():
                value = loss(piece)
                self._scale(value).backward()
                losses[piece] = value.detach()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)
        # All go on, or all do without, together.
        lacking = self._processes.total(
            torch.tensor([failure is not None], device=self._device) * 1
        )
        if int(lacking):
            raise failure or MemoryError("another process of the training lacked memory")
        self._sum_gradients()
        return self._processes.total(losses).tolist()

    def _sum_gradients(self) -> None:
        there = [int(each.grad is not None) for each in self._parameters]
        anywhere = self._processes.total(torch.tensor(there, device=self._device)).tolist()
        for parameter, count in zip(self._parameters, anywhere, strict=True):
            if count:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self._processes.total(own)

    def close(self) -> None:
        """There is nothing to end."""
