"""Torch's random draws, from a generator for each micro-batch.

A micro-batch draws the same whatever was drawn before it, and beside it in another thread. It
knows what Wav2Vec2 draws in training: dropout, in attention too, and which layers to leave out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

#: Tells torch's draws from the plan's and augmentation's, which have the same seed.
_TORCH: Final = 3


def seed_of(seed: int, step: int, piece: int) -> int:
    """Return the seed of one micro-batch of a step."""
    return int(np.random.SeedSequence([seed, _TORCH, step, piece]).generate_state(1)[0])


class OwnDraws(TorchFunctionMode):
    """Draws of the thread that enters it, from a seed.

    Torch has one generator for all threads of a CPU, so which of two lanes draws first would
    decide what they get. Its modes are a thread's own.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)
        self._own: dict[Any, Callable[..., torch.Tensor]] = {
            torch.nn.functional.dropout: self._dropout,
            torch.rand: self._rand,
            torch.nn.functional.scaled_dot_product_attention: self._attention,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call what torch would call, or our own of it."""
        return self._own.get(func, func)(*args, **(kwargs or {}))

    def _rand(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.rand(*args, **({"generator": self._generator} | kwargs))

    def _dropout(
        self,
        input: torch.Tensor,  # noqa: A002 (torch's name)
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,  # noqa: ARG002
    ) -> torch.Tensor:
        if not training or p == 0.0:
            return input
        kept = torch.empty_like(input).bernoulli_(1.0 - p, generator=self._generator)
        return input * kept.div_(1.0 - p)

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Attend as torch does where there is dropout: with all weights in memory."""
        if dropout_p == 0.0:
            return torch.nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attn_mask, **kwargs
            )
        scale = kwargs.get("scale") or 1.0 / math.sqrt(query.shape[-1])
        scores = (query * scale) @ key.transpose(-2, -1)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return self._dropout(scores.softmax(-1), dropout_p) @ value
