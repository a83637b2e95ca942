"""Small speech models and audio files that tests make themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    GenerationConfig,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
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


#: As in the published checkpoints: what they write by bytes and merges, then the special tokens in
#: this order, then one token for each 20 ms of a window.
WHISPER_LANGUAGES = ("en", "zh", "de", "ko", "ja")
_WHISPER_TIMES = 1501


def make_whisper_checkpoint(
    folder: Path,
    *,
    multilingual: bool = True,
    aligned: bool = True,
    seed: int = 0,
    **config_changes: Any,
) -> Path:
    """Save a randomly initialised Whisper in the real file layout; return its folder.

    `aligned` tells whether the generation config names alignment heads, which words need.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _whisper_tokenizer(multilingual)
    eos = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    config = {
        "vocab_size": len(tokenizer),
        "num_mel_bins": 16,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_target_positions": 32,
        "init_std": 0.6,
        "bos_token_id": eos,
        "eos_token_id": eos,
        "pad_token_id": eos,
        "decoder_start_token_id": tokenizer.convert_tokens_to_ids("<|startoftranscript|>"),
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(WhisperConfig(**(config | config_changes)))
    model.generation_config = _whisper_generation(tokenizer, multilingual, aligned)
    for part in (model, tokenizer, WhisperFeatureExtractor(feature_size=16)):
        part.save_pretrained(folder)
    return folder


def _whisper_tokenizer(multilingual: bool) -> WhisperTokenizer:
    letters = sorted(ByteLevel.alphabet())
    merges = [("Ġ", "a"), ("Ġ", "t"), ("Ġ", "s"), ("Ġ", "o"), ("Ġ", "i"), ("e", "r"), ("n", "g")]
    vocabulary = [*letters, *(one + other for one, other in merges)]
    specials = ["<|startoftranscript|>"]
    specials += [f"<|{language}|>" for language in WHISPER_LANGUAGES] if multilingual else []
    specials += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    specials += ["<|nospeech|>", "<|notimestamps|>"]
    tokenizer = WhisperTokenizer(
        {piece: label for label, piece in enumerate(vocabulary)}, merges, pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    tokenizer.add_tokens([f"<|{0.02 * time:.2f}|>" for time in range(_WHISPER_TIMES)])
    return tokenizer


def _whisper_generation(
    tokenizer: WhisperTokenizer, multilingual: bool, aligned: bool
) -> GenerationConfig:
    label = tokenizer.convert_tokens_to_ids
    eos = label("<|endoftext|>")
    settings: dict[str, Any] = {
        "bos_token_id": eos,
        "eos_token_id": eos,
        "pad_token_id": eos,
        "decoder_start_token_id": label("<|startoftranscript|>"),
        "no_timestamps_token_id": label("<|notimestamps|>"),
        "prev_sot_token_id": label("<|startofprev|>"),
        "is_multilingual": multilingual,
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "return_timestamps": False,
        "begin_suppress_tokens": [label("Ġ"), eos],
        "suppress_tokens": sorted(_unwritten(tokenizer)),
    }
    if multilingual:
        languages = (f"<|{language}|>" for language in WHISPER_LANGUAGES)
        settings["lang_to_id"] = {language: label(language) for language in languages}
        settings["task_to_id"] = {
            task: label(f"<|{task}|>") for task in ("transcribe", "translate")
        }
    if aligned:
        settings["alignment_heads"] = [[0, 1], [1, 0], [1, 1]]
    return GenerationConfig(**settings)


def _unwritten(tokenizer: WhisperTokenizer) -> set[int]:
    """Return the labels to suppress: prompts, and bytes that are no small letter and no space."""
    prompts = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}
    readable = {"Ġ", *"abcdefghijklmnopqrstuvwxyz"}
    return prompts | set(
        tokenizer.convert_tokens_to_ids(sorted({*ByteLevel.alphabet()} - readable))
    )
