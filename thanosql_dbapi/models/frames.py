"""How a Wav2Vec2 model's convolutions turn samples into frames, and what it makes of padding.

Inference and training both count by this; it knows neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from transformers import Wav2Vec2ForCTC

Count = TypeVar("Count", int, "torch.Tensor")


def frames_of(model: Wav2Vec2ForCTC, samples: Count) -> Count:
    """Return how many frames of logits so many samples give; below 1 where they give none."""
    for kernel, stride in _convolutions(model):
        samples = (samples - kernel) // stride + 1
    return samples


def samples_for(model: Wav2Vec2ForCTC, frames: int) -> int:
    """Return the fewest samples that give so many frames."""
    samples = frames
    for kernel, stride in reversed(_convolutions(model)):
        samples = (samples - 1) * stride + kernel
    return samples


def frames_needed(label: Sequence[int]) -> int:
    """Count frames: one for each label, and one for the blank between two equal labels."""
    return len(label) + sum(one == other for one, other in itertools.pairwise(label))


def masks_padding(model: Wav2Vec2ForCTC) -> bool:
    """Tell whether an attention mask keeps padding out of the model.

    A group-norm feature encoder (wav2vec2-base) takes its statistics over the whole row, padding
    included, whatever mask it is given.
    """
    return bool(model.config.feat_extract_norm == "layer")


def _convolutions(model: Wav2Vec2ForCTC) -> list[tuple[int, int]]:
    """Return kernel and stride of all that shortens the sequence, an adapter's layers too."""
    config = model.config
    adapter = [(1, config.adapter_stride)] * config.num_adapter_layers if config.add_adapter else []
    return [*zip(config.conv_kernel, config.conv_stride, strict=True), *adapter]
