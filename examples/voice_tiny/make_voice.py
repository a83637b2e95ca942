"""Train the bundled voice model from scratch on synthesised clips, measure it, and write it out.

    python make_voice.py CLIPS_FOLDER MODEL_FOLDER [--epochs 2] [--limit CLIPS] [--start FOLDER]

The clips come from synthesise.py.  The voices in `synthesise.UNHEARD` are only measured.  It knows
nothing of recorded people: no real speech goes into the base model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
from numpy.typing import NDArray
from sentences import DIGITS
from synthesise import RATE, UNHEARD, Clip, load
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from thanosql_dbapi.journal import Step
from thanosql_dbapi.models.training.loop import train
from thanosql_dbapi.models.training.settings import TrainingSettings

SYMBOLS = ("<pad>", "<s>", "</s>", "<unk>", "|", "'", *"abcdefghijklmnopqrstuvwxyz")
_KERNEL, _STRIDE = 400, 160
_BANDS, _PHASES = 40, 4
_HELD_OUT = 12
_DIGIT_STRINGS = 8000


@dataclass(frozen=True, slots=True)
class Transcripts:
    """What one voice said, and what the model made of it."""

    voice: str
    texts: list[str]
    said: list[str]


class FloatWaveforms(Sequence[NDArray[np.float32]]):
    """Present 16-bit clips as float32 waveforms, made one at a time: there are hours of them."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> NDArray[np.float32]:  # type: ignore[override]
        return self._clips[index].waveform.astype(np.float32) / np.float32(32768.0)


def label(text: str) -> list[int]:
    """Return the vocabulary's numbers for lower-case words."""
    return [SYMBOLS.index(letter) for letter in text.replace(" ", "|")]


def new_model(seed: int = 0) -> Wav2Vec2ForCTC:
    """Return a model with random weights, its first convolution a bank of Gabor filters."""
    torch.manual_seed(seed)
    model = Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=len(SYMBOLS),
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            hidden_size=192,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=768,
            conv_dim=(_BANDS * _PHASES, 160),
            conv_kernel=(_KERNEL, 4),
            conv_stride=(_STRIDE, 2),
            conv_bias=True,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            num_conv_pos_embeddings=32,
            num_conv_pos_embedding_groups=16,
            layerdrop=0.0,
            attention_dropout=0.0,
            hidden_dropout=0.0,
            activation_dropout=0.0,
            feat_proj_dropout=0.0,
            final_dropout=0.1,
            mask_time_prob=0.0,
            ctc_loss_reduction="mean",
            ctc_zero_infinity=False,
        )
    )
    with torch.no_grad():
        first = model.get_submodule("wav2vec2.feature_extractor.conv_layers.0.conv")
        first.get_parameter("weight").copy_(torch.from_numpy(_gabor_filters())[:, None, :])
        first.get_parameter("bias").zero_()
    return model


def _gabor_filters() -> NDArray[np.float32]:
    """Return windowed waves at mel-spaced pitches, each at four phases a quarter turn apart.

    GELU keeps the positive half only; over four phases the sum follows a band's energy, whatever
    the phase that the wave has in the frame.
    """
    edges = 700.0 * (10.0 ** (np.linspace(_mel(60.0), _mel(7600.0), _BANDS + 2) / 2595.0) - 1.0)
    times = (np.arange(_KERNEL) - (_KERNEL - 1) / 2) / RATE
    filters = []
    for low, centre, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        width = min(0.3 / (high - low) * 2.0, 0.006)
        window = np.exp(-0.5 * (times / width) ** 2)
        for phase in np.arange(_PHASES) * 2 * np.pi / _PHASES:
            wave = window * np.cos(2 * np.pi * centre * times + phase)
            filters.append(wave / np.linalg.norm(wave))
    return np.array(filters, dtype=np.float32)


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def digit_strings(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Join single digits of one voice into strings, with gaps, as dictated numbers have them."""
    rng = random.Random(seed)
    single = [clip for clip in clips if clip.text in DIGITS]
    made = []
    for _ in range(count):
        parts = rng.choices(single, k=rng.randint(2, 6))
        pieces = []
        for part in parts:
            gap = np.zeros(int(RATE * rng.uniform(0.0, 0.2)), dtype=np.int16)
            loudness = np.float32(rng.uniform(0.4, 1.0))
            pieces += [(part.waveform * loudness).astype(np.int16), gap]
        text = " ".join(part.text for part in parts)
        made.append(Clip(text, np.concatenate(pieces[:-1])))
    return made


def transcribe(model: Wav2Vec2ForCTC, waveforms: Sequence[NDArray[np.float32]]) -> list[str]:
    """Return the greedy transcript of each waveform, one at a time."""
    said = []
    with torch.inference_mode():
        for waveform in waveforms:
            values = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
            # An inference batch pads to fresh lengths too; here every length would cost oneDNN a
            # new plan, so pad to the next quarter of a second and mask.
            padded = np.zeros(-(-len(values) // 4000) * 4000, dtype=np.float32)
            padded[: len(values)] = values
            mask = torch.zeros(1, len(padded), dtype=torch.long)
            mask[0, : len(values)] = 1
            logits = model(torch.from_numpy(padded)[None], attention_mask=mask).logits[0]
            frames = ((len(values) - _KERNEL) // _STRIDE + 1 - 4) // 2 + 1
            best = torch.unique_consecutive(logits[:frames].argmax(-1))
            letters = "".join(SYMBOLS[each] for each in best if each > 3)
            said.append(" ".join(letters.replace("|", " ").split()))
    return said


def measure(model: Wav2Vec2ForCTC, voice: str, clips: Sequence[Clip]) -> Transcripts:
    """Transcribe one voice's clips."""
    return Transcripts(
        voice, [clip.text for clip in clips], transcribe(model, FloatWaveforms(clips))
    )


def write(model: Wav2Vec2ForCTC, folder: Path) -> None:
    """Save half-precision weights with tokenizer and feature extractor."""
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(folder)  # type: ignore[arg-type]
    model.to(torch.float32)  # type: ignore[arg-type]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(SYMBOLS)}))
    tokenizer = Wav2Vec2CTCTokenizer(  # type: ignore[no-untyped-call]
        str(vocabulary),
        word_delimiter_token="|",  # noqa: S106 (no password)
        replace_word_delimiter_char=" ",
    )
    extractor = Wav2Vec2FeatureExtractor(  # type: ignore[no-untyped-call]
        feature_size=1,
        sampling_rate=RATE,
        padding_value=0.0,
        do_normalize=True,
        return_attention_mask=True,
    )
    extractor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="go on from this model, not from nothing")
    parser.add_argument("--focus", action="store_true", help="only sentences and digits")
    arguments = parser.parse_args()
    heard, held_out = _gather(arguments.clips)
    random.Random(0).shuffle(heard)
    if arguments.focus:
        heard = list(_sentences_and_digits(heard))
    heard = heard[: arguments.limit]
    model = new_model()
    if arguments.start:
        model = Wav2Vec2ForCTC.from_pretrained(arguments.start, dtype=torch.float32)
    settings = TrainingSettings(
        max_epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        batch_seconds=24.0,
        shorter_first=not arguments.start,
    )
    seconds = sum(len(clip.waveform) for clip in heard) / RATE
    print(f"{model.num_parameters()} parameters, {len(heard)} clips, {seconds / 3600:.1f} hours")
    labels = [label(clip.text) for clip in heard]
    summary = train(model, FloatWaveforms(heard), labels, settings, report=_Printer())
    print(f"trained in {summary.seconds:.0f} s, losses {summary.epoch_losses}", flush=True)
    write(model, arguments.model)
    measured = [measure(model, voice, clips) for voice, clips in sorted(held_out.items())]
    card = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
    facts = {
        "parameters": model.num_parameters(),
        "hours": seconds / 3600,
        "seconds": summary.seconds,
        "held_out": _HELD_OUT,
        "groups": _table("voices", _groups(measured)),
        "voices": _table("voice", {each.voice: [each] for each in measured}),
    }
    print(facts["groups"])
    (arguments.model / "README.md").write_text(card.format(**facts), encoding="utf-8")


def _groups(measured: Sequence[Transcripts]) -> dict[str, list[Transcripts]]:
    groups: dict[str, list[Transcripts]] = {}
    for each in measured:
        engine, speaker = each.voice.split("-", 1)
        if engine == "festival" and "_" in speaker and speaker != "slt_hts":
            engine = "festival, foreign speakers"
        elif engine == "accent":
            engine = "espeak, other languages' voices (digits)"
        state = "unheard" if each.voice in UNHEARD else "heard"
        groups.setdefault(f"{engine}, {state}", []).append(each)
    return groups


def _table(heading: str, groups: dict[str, list[Transcripts]]) -> str:
    """Return a Markdown table of corpus-level error rates."""
    lines = [f"| {heading} | sentences | WER | CER |", "|---|---|---|---|"]
    for name, members in groups.items():
        texts = [text for each in members for text in each.texts]
        said = [text for each in members for text in each.said]
        word, character = jiwer.wer(texts, said), jiwer.cer(texts, said)
        shown = f"{name} (unheard)" if name in UNHEARD else name
        lines.append(f"| {shown} | {len(texts)} | {word:.1%} | {character:.1%} |")
    return "\n".join(lines)


class _Printer:
    """Print a line every hundred steps."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._losses: list[float] = []

    def __call__(self, step: Step) -> None:
        self._losses.append(step.loss)
        if step.step % 100 and step.step != step.steps:
            return
        loss, self._losses = sum(self._losses) / len(self._losses), []
        passed = time.monotonic() - self._started
        print(
            f"{passed:6.0f} s step {step.step}/{step.steps} loss {loss:.3f} "
            f"lr {step.learning_rate:.2e} {step.audio_seconds / passed:.0f} audio s/s",
            flush=True,
        )


def _gather(folder: Path) -> tuple[list[Clip], dict[str, list[Clip]]]:
    """Read every voice: clips to train on, and the first few sentences of each to measure on."""
    heard: list[Clip] = []
    held_out: dict[str, list[Clip]] = {}
    files = sorted(folder.glob("*.npz"))
    for file in files:
        clips = [clip for clip in load(file) if _trainable(clip)]
        held_out[file.stem] = clips[:_HELD_OUT]
        if file.stem not in UNHEARD:
            heard += clips[_HELD_OUT:]
            heard += digit_strings(clips[_HELD_OUT:], _DIGIT_STRINGS // len(files), len(heard))
    return heard, held_out


def _sentences_and_digits(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Leave out unrelated words and letters: text whose pairs of words are rare."""
    counts = Counter(pair for clip in clips for pair in itertools.pairwise(clip.text.split()))
    for clip in clips:
        pairs = list(itertools.pairwise(clip.text.split()))
        common = sum(counts[pair] >= 15 for pair in pairs)
        digits = set(clip.text.split()) <= set(DIGITS)
        if digits or (common > 0.6 * len(pairs) and not re.search(r"\b[b-hj-z]\b", clip.text)):
            yield clip


def _trainable(clip: Clip) -> bool:
    """Leave out what a fault of a synthesiser cut short, and what is too long for a batch."""
    seconds = len(clip.waveform) / RATE
    return bool(re.fullmatch("[a-z' ]+", clip.text)) and len(clip.text) * 0.028 < seconds < 9.0


if __name__ == "__main__":
    main()
