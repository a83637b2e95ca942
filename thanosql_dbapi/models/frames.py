"""How a Wav2Vec2 model's convolutions turn samples into frames.

Inference and training both count by this; it knows neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from transformers import Wav2Vec2ForCTC

Count = TypeVar("Count", int, "torch.Tensor")


def frames_of(model: Wav2Vec2ForCTC, samples: Count) -> Count:
    """Return how many frames of logits so many samples give; below 1 where they give none."""
    for convolution in _convolutions(model):
        samples = frames_after(convolution, samples)
    return samples


def frames_after(convolution: torch.nn.Conv1d, frames: Count) -> Count:
    """Return how many frames a convolution makes of so many."""
    kernel, stride, padding = _shape(convolution)
    return (frames + 2 * padding - kernel) // stride + 1


def samples_for(model: Wav2Vec2ForCTC, frames: int) -> int:
    """Return the fewest samples that give so many frames."""
    samples = frames
    for convolution in reversed(_convolutions(model)):
        kernel, stride, padding = _shape(convolution)
        samples = (samples - 1) * stride + kernel - 2 * padding
    return samples


def frames_needed(label: Sequence[int]) -> int:
    """Count frames: one for each label, and one for the blank between two equal labels."""
    return len(label) + sum(one == other for one, other in itertools.pairwise(label))


def _convolutions(model: Wav2Vec2ForCTC) -> list[torch.nn.Conv1d]:
    """Return all that shortens the sequence, an adapter's layers too."""
    wav2vec2: Any = model.wav2vec2
    adapter = wav2vec2.adapter.layers if wav2vec2.adapter is not None else ()
    return [layer.conv for layer in (*wav2vec2.feature_extractor.conv_layers, *adapter)]


def _shape(convolution: torch.nn.Conv1d) -> tuple[int, int, int]:
    """Return kernel, stride and padding."""
    return convolution.kernel_size[0], convolution.stride[0], int(convolution.padding[0])
