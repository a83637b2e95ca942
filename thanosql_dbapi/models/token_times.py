"""When a Whisper model writes each token: from the attention of its decoder to the audio.

Some heads of the decoder look at what is being said; a path through what they look at gives each
token its time (Radford et al., 2022, and the authors' later releases). Which heads these are, the
checkpoint says. This module knows no text.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.generation_whisper import (
    _dynamic_time_warping,
    _median_filter,
)

from .segments import POSITION_S


class AlignmentHeads:
    """The heads of a model's decoder that look at what is being said, as (layer, head)."""

    def __init__(self, heads: Sequence[Sequence[int]]) -> None:
        self._heads: dict[int, list[int]] = {}
        for layer, head in heads:
            self._heads.setdefault(layer, []).append(head)
        #: What this thread's passes looked at, by layer; not there while nobody asks.
        self._seen = threading.local()

    def __bool__(self) -> bool:
        return bool(self._heads)

    def watched(self, model: WhisperForConditionalGeneration) -> WhisperForConditionalGeneration:
        """Return the model once more, around the same weights, so that `gathered` sees it.

        Its decoder has plain attention: no other gives its weights away. Other passes keep theirs,
        as how attention is computed stands in a setting of the whole model.
        """
        shared = {id(t): t for t in itertools.chain(model.parameters(), model.buffers())}
        twin: Any = copy.deepcopy(model, shared)
        twin.set_attn_implementation("eager")
        twin.model.encoder = model.model.encoder
        for layer in self._heads:
            twin.model.decoder.layers[layer].encoder_attn.register_forward_hook(self._hook(layer))
        watched: WhisperForConditionalGeneration = twin
        return watched

    def _hook(self, layer: int) -> Any:
        heads = self._heads[layer]

        def keep(_module: Any, _given: Any, output: Any) -> None:
            seen = getattr(self._seen, "steps", None)
            if seen is not None:
                seen[layer].append(output[1][:, heads].float().cpu())

        return keep

    @contextmanager
    def gathered(self) -> Iterator[list[torch.Tensor]]:
        """Gather what the heads look at, in passes of watched models in this thread.

        It is there once the context is left: (rows, heads, tokens, positions) for each layer.
        """
        steps: dict[int, list[torch.Tensor]] = {layer: [] for layer in self._heads}
        attention: list[torch.Tensor] = []
        self._seen.steps = steps
        try:
            yield attention
        finally:
            self._seen.steps = None
        attention += [torch.cat(seen, dim=2) for seen in steps.values() if seen]


def token_ends(matrix: torch.Tensor, filter_width: int) -> list[float]:
    """Return where tokens end, in seconds, by dynamic time warping over cross-attention.

    `matrix` is (heads, tokens but the last, positions). Smoothing and warping are those of
    transformers' token timestamps, for one row without the padding of the others.
    """
    if not matrix.shape[1]:
        return [0.0]
    spread = matrix.std(dim=-2, keepdim=True, unbiased=False).clamp_min(1e-12)
    matrix = (matrix - matrix.mean(dim=-2, keepdim=True)) / spread
    smooth = _median_filter(matrix, filter_width).mean(dim=0)
    rows, columns = _dynamic_time_warping(-smooth.double().numpy())
    jumps = np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)
    times: list[float] = (columns[jumps] * POSITION_S).tolist()
    return [*times, times[-1]]
