"""AdamW with a warm-up and a cosine decay, and what half precision needs around it.

It knows a model's parameters, and of a training which step it is at.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch

from .settings import TrainingSettings

_GRADIENT_NORM: Final = 1.0
#: Steps in a row that float16 may skip while it looks for a scale.
_MOST_SKIPPED: Final = 20


class Optimiser:
    """Takes the steps of a training; its learning rate is a function of the step alone."""

    def __init__(
        self, model: torch.nn.Module, settings: TrainingSettings, steps: int, device: torch.device
    ) -> None:
        self._settings = settings
        self._steps = steps
        self._parameters = [each for each in model.parameters() if each.requires_grad]
        # One pass over the memory, not one for each operation.
        self._adam = torch.optim.AdamW(
            self._parameters,
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=device.type in {"cpu", "cuda"},
        )
        #: What autocast casts to; None in full precision.
        self.half = None if settings.precision == "full" else _half(device)
        needs_scale = self.half is torch.float16
        self._scaler = torch.amp.GradScaler(device.type) if needs_scale else None
        self._skipped = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warm_up = max(1, round(self._steps * self._settings.warmup_ratio))
        if step < warm_up:
            return self._settings.learning_rate * (step + 1) / warm_up
        done = (step - warm_up) / max(1, self._steps - warm_up)
        decayed = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done))
        return self._settings.learning_rate * decayed

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss to take gradients of."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def norm(self) -> float:
        """Clip the gradients; return their norm before."""
        if self._scaler is not None:
            self._scaler.unscale_(self._adam)
        given = [each for each in self._parameters if each.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(given, _GRADIENT_NORM))
        self._skipped = 0 if math.isfinite(norm) else self._skipped + 1
        return norm

    def may_skip(self) -> bool:
        """Return whether gradients that are not finite only mean that the scale was too large."""
        return self._scaler is not None and self._skipped <= _MOST_SKIPPED

    def step(self, step: int) -> None:
        """Take a step, counted from 0, and drop the gradients."""
        for group in self._adam.param_groups:
            group["lr"] = self.rate(step)
        if self._scaler is None:
            self._adam.step()
        else:
            self._scaler.step(self._adam)
            self._scaler.update()
        self._adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return its state, each tensor named by its parameter's number."""
        state = self._adam.state_dict()["state"]
        return {
            f"{number}.{name}": value
            for number, values in state.items()
            for name, value in values.items()
        }

    def load(self, tensors: Any, scaler: Any) -> None:
        """Go on from what `tensors` and `scaler_facts` gave."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            # A copy: what is read from a file is not aligned as torch's own memory is.
            state.setdefault(int(number), {})[name] = value.clone()
        groups = self._adam.state_dict()["param_groups"]
        self._adam.load_state_dict({"state": state, "param_groups": groups})
        if self._scaler is not None and scaler:
            self._scaler.load_state_dict(scaler)

    def scaler_facts(self) -> dict[str, Any]:
        """Return what JSON keeps of the scale of losses."""
        return {} if self._scaler is None else self._scaler.state_dict()


def _half(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16
