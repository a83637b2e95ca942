"""The gradients of one step, whatever memory there is: micro-batches, lanes, precision.

It knows an optimiser's step by its number, and nothing of epochs' ends or of checkpoints.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from transformers import Wav2Vec2ForCTC

from .. import threads
from ..memory import is_out_of_memory
from .ahead import Ahead
from .draws import OwnDraws, seed_of
from .lanes import CPULanes, Gradients, OneLane, lanes_for
from .optimiser import Optimiser
from .plan import Batch, Plan, micro_batches, padded
from .processes import Processes
from .state import State
from .utterances import Utterances

#: Padded seconds of a micro-batch on a CPU, where more makes nothing quicker, and elsewhere until
#: memory lacks.
_MICRO_S: Final = {True: 8.0, False: 1000.0}


class UtteranceTooLong(MemoryError):
    """An utterance that memory does not hold even alone; `index` says which."""

    def __init__(self, index: int, seconds: float) -> None:
        super().__init__(
            f"utterance {index} lasts {seconds:.1f} s, and training on it needs more memory than"
            " there is, even alone; max_duration_s leaves longer ones out"
        )
        self.index = index
        self.seconds = seconds


class Steps:
    """Takes gradients of a model; `state` is what the training it belongs to has done."""

    def __init__(
        self,
        model: Wav2Vec2ForCTC,
        utterances: Utterances,
        plan: Plan,
        optimiser: Optimiser,
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        self._model = model
        self._utterances = utterances
        self._plan = plan
        self._optimiser = optimiser
        self._device = device
        self._processes = processes
        self._ahead = Ahead(utterances, plan, device)
        self._lanes: Gradients | None = None
        limit = int(_MICRO_S[device.type == "cpu"] * utterances.sampling_rate)
        self.state = State(self._most_lanes(), limit)

    def _most_lanes(self) -> int:
        # What gradient checkpointing computes twice must draw twice: torch's own generator does.
        recompute = self._utterances.settings.gradient_checkpointing
        if self._device.type != "cpu" or recompute or self._processes:
            return 1
        return lanes_for(list(self._model.parameters()), self._utterances.settings.batch_size)

    def gradients(self, step: int) -> tuple[float, float]:
        """Leave a step's clipped gradients at the model; return mean loss and learning rate.

        Where memory lacks, micro-batches become smaller, and the step is done again.

        Raises:
            FloatingPointError: they are not finite.
            UtteranceTooLong: memory does not hold one utterance.
        """
        batch = self._plan.batch(step)
        while True:
            pieces = micro_batches(batch, self.state.limit, self._utterances.sampling_rate)
            try:
                loss = sum(self._backward(step, pieces, len(batch)))
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # its frames hold what is to be freed
            self._make_do(pieces, failure)
        norm = self._optimiser.norm()
        if not math.isfinite(loss) or not (math.isfinite(norm) or self._optimiser.may_skip()):
            raise FloatingPointError(
                f"at step {step + 1} the loss is {loss:g} and its gradient's norm {norm:g}:"
                " lower the learning_rate"
            )
        return loss, self._optimiser.rate(step)

    def _backward(self, step: int, pieces: list[Batch], utterances: int) -> list[float]:
        rate = self._utterances.sampling_rate
        heard = self._ahead.of(step)

        def loss(piece: int) -> torch.Tensor:
            batch = pieces[piece]
            waveforms = [heard(take) for take in batch]
            seed = seed_of(self._utterances.settings.seed, step, piece)
            with self._drawing(seed), self._casting():
                return self._utterances.loss(self._model, batch, waveforms) / utterances

        if self._lanes is None:
            self._lanes = self._open_lanes()
        costs = [len(batch) * padded(batch[0].samples, rate) for batch in pieces]
        return self._lanes(costs, loss)

    def _open_lanes(self) -> Gradients:
        parameters = list(self._model.parameters())
        if self._processes:
            return self._processes.lane(parameters, self._optimiser.scale)
        if self.state.lanes == 1:
            return OneLane(self._optimiser.scale)
        return CPULanes(parameters, self.state.lanes, threads.available())

    def _drawing(self, seed: int) -> AbstractContextManager[Any]:
        if self.state.lanes > 1:
            return OwnDraws(seed)
        torch.manual_seed(seed)
        return nullcontext()

    def _casting(self) -> AbstractContextManager[Any]:
        if self._optimiser.half is None:
            return nullcontext()
        return torch.autocast(self._device.type, self._optimiser.half)

    def _make_do(self, pieces: list[Batch], failure: Exception) -> None:
        """Choose how to go on after memory lacked: smaller micro-batches, then fewer lanes."""
        self._model.zero_grad(set_to_none=True)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        rate = self._utterances.sampling_rate
        together = [len(piece) * padded(piece[0].samples, rate) for piece in pieces if piece[1:]]
        if together:
            self.state.limit = max(together) // 2
        elif self.state.lanes > 1:
            self.close_lanes()
            self.state.lanes //= 2
        else:
            longest = pieces[0][0]  # they are sorted by length
            raise UtteranceTooLong(longest.index, longest.samples / rate) from failure

    def close_lanes(self) -> None:
        """End the lanes' threads; the next step opens them as `state` has them then."""
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None

    def close(self) -> None:
        """End all threads."""
        self.close_lanes()
        self._ahead.close()
