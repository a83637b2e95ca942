"""Small speech models and audio files that tests make themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)


def make_checkpoint(
    folder: Path, *, group_norm: bool, letters: str, seed: int = 0, **config_changes: Any
) -> Path:
    """Save a randomly initialised Wav2Vec2 in the real file layout; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2}
    vocabulary |= {letter: index for index, letter in enumerate(letters, 3)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), bos_token=None, eos_token=None, pad_token="<pad>"
    )
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=16000, do_normalize=True, return_attention_mask=not group_norm
    )
    torch.manual_seed(seed)
    config = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": (32, 32, 32),
        "conv_kernel": (10, 8, 4),
        "conv_stride": (5, 8, 8),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "feat_extract_norm": "group" if group_norm else "layer",
        "pad_token_id": 0,
        "ctc_loss_reduction": "mean",
    }
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**(config | config_changes)))
    # A random head says one letter all the time; a wider one says something of what it hears.
    with torch.no_grad():
        model.lm_head.weight.mul_(60)
    for part in (model, tokenizer, extractor):
        part.save_pretrained(folder)
    return folder


def write_tones(
    path: Path, seconds: float, rate: int = 16000, seed: int = 0, channels: int = 1
) -> None:
    """Write an audio file that a model can hear something in: gliding tones over noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 200 + 1500 * generator.random() * np.sin(time * (1 + 7 * generator.random())) ** 2
    waveform = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
    waveform += 0.05 * generator.standard_normal(len(time))
    frames = np.stack([waveform] * channels, axis=1).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, frames, rate)
