"""The logits of a padded batch, the same for each row as if it went through the model alone.

The forward pass of transformers' Wav2Vec2, around its own modules, but for what there looks at
padding: the group norm of the first convolution (wav2vec2-base) takes its statistics over a row's
padding too, attention mask or not, and an adapter's convolutions look past a row's end. It knows
no files, no text and no SQL.

Model: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2ForCTC

from .frames import frames_after


def pad(waveforms: Sequence[NDArray[np.float32]], samples: int) -> torch.Tensor:
    """Return waveforms as rows of so many samples, with zeros at the end."""
    rows = np.zeros((len(waveforms), samples), dtype=np.float32)
    for row, waveform in zip(rows, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return torch.from_numpy(rows)


def logits_of(model: Wav2Vec2ForCTC, rows: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return logits, (rows, frames, vocabulary), on the model's device.

    `rows` are waveforms as the feature extractor leaves them, (rows, samples), each padded at its
    end, and `lengths` their samples without the padding: enough for a frame. A row's first
    `frames_of` frames are what counts; what follows them is of no meaning.

    In training it leaves out the model's own SpecAugment, which fails on utterances shorter than a
    mask and draws from numpy's global state, and layer drop in the adapter, which would change the
    number of frames.
    """
    wav2vec2: Any = model.wav2vec2
    counts = torch.tensor(lengths)
    hidden = rows.to(model.device, model.dtype, non_blocking=True)[:, None]
    for layer in wav2vec2.feature_extractor.conv_layers:
        counts = frames_after(layer.conv, counts)
        hidden = _convolve(layer, hidden, counts)
    hidden, _ = wav2vec2.feature_projection(hidden.transpose(1, 2))
    # The mask makes padding zero before the position embedding's convolution, as a row alone is
    # padded there, and takes it out of attention.
    # Where there is no padding it would only be slower.
    padded = int(counts.min()) < hidden.shape[1]
    mask = _mask(counts, hidden.shape[1], hidden.device) if padded else None
    hidden = wav2vec2.encoder(hidden, attention_mask=mask).last_hidden_state
    if wav2vec2.adapter is not None:
        hidden = _adapt(wav2vec2.adapter, hidden, counts)
    logits: torch.Tensor = model.lm_head(model.dropout(hidden))
    return logits


def _convolve(layer: Any, hidden: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Send (rows, channels, frames) through a layer of the feature encoder.

    A frame within `counts` comes of frames within the last layer's counts alone, as these
    convolutions pad nothing; so padding may hold anything, but for statistics over time.
    """
    if isinstance(getattr(layer, "layer_norm", None), torch.nn.GroupNorm):
        return layer.activation(_normalise(layer.layer_norm, layer.conv(hidden), counts))  # type: ignore[no-any-return]
    return layer(hidden)  # type: ignore[no-any-return]


def _normalise(
    norm: torch.nn.GroupNorm, hidden: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Normalise each row over its own frames.

    One call of the norm for each row is what the row alone would meet. Statistics by a mask would
    go over what is the model's largest tensor several times more.
    """
    if len(hidden) == 1 and int(counts[0]) == hidden.shape[2]:
        whole: torch.Tensor = norm(hidden)
        return whole
    normalised = torch.zeros_like(hidden)
    for row, count in enumerate(counts.tolist()):
        normalised[row : row + 1, :, :count] = norm(hidden[row : row + 1, :, :count])
    return normalised


def _adapt(adapter: Any, hidden: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Send (rows, frames, channels) through the adapter, whose convolutions pad with zeros."""
    if adapter.proj is not None:
        hidden = adapter.proj_layer_norm(adapter.proj(hidden))
    for layer in adapter.layers:
        beyond = ~_mask(counts, hidden.shape[1], hidden.device)
        hidden = hidden.masked_fill(beyond[:, :, None], 0.0)
        hidden = layer(hidden.transpose(1, 2)).transpose(1, 2)
        counts = frames_after(layer.conv, counts)
    return hidden


def _mask(counts: torch.Tensor, frames: int, device: torch.device) -> torch.Tensor:
    """Return (rows, frames), True where a frame is no padding."""
    return (torch.arange(frames)[None, :] < counts[:, None]).to(device)
