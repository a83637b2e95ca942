"""The Wav2Vec2 families: speech recognisers with a CTC head.

Model and method: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", 2020. Importing this module loads no torch; it knows no SQL.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import OperationalError, TrainingError
from ..options import OptionSpec
from ..registry import Version
from . import speech_options, stack
from .base import InputError, Model, Training, Verb
from .speech_options import AUDIO, BATCH, OVERWRITE, TEXT, resolve_precision
from .vocabulary import UnfitText, Vocabulary, majority_case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    from .training.loop import TrainingStep, TrainingSummary


@dataclass(frozen=True, slots=True)
class Wav2Vec2:
    """One base model of the family; see `models.base.Family`."""

    name: str
    checkpoint: str | None
    language: str
    learning_rate: float = 1e-4

    @property
    def verbs(self) -> frozenset[Verb]:
        """What its models can do."""
        return frozenset({Verb.BUILD, Verb.FIT, Verb.PREDICT, Verb.EVALUATE})

    @property
    def revision(self) -> int:
        """See `models.base.Family`."""
        return 1

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        """The options of a verb."""
        if verb is Verb.PREDICT:
            return speech_options.PREDICT
        if verb is Verb.EVALUATE:
            return speech_options.EVALUATE
        epochs = OptionSpec(
            "max_epochs", int, 5, "passes over the rows", minimum=1, aliases=("epochs",)
        )
        rate = OptionSpec(
            "learning_rate",
            float,
            self.learning_rate,
            "the highest learning rate",
            minimum=0,
            above=True,
        )
        return (AUDIO, TEXT, BATCH, epochs, rate, OVERWRITE)

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        """What `precision` comes to on a device; see `models.base.Family`."""
        return resolve_precision(options["precision"], device)

    def load(self, version: Version, device: str) -> Model:
        """Load a version's weights; see `models.base.Family`."""
        model, tokenizer, extractor = _load(version.folder)
        from .speech import CTCModel

        device = stack.resolve_device(device)
        return CTCModel(model, tokenizer, extractor, version.facts.get("text_case"), device)

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """Write a checkpoint as a version of a model; see `models.base.Family`."""
        for part in _load(checkpoint):
            part.save_pretrained(folder)
        return {"text_case": None, "libraries": _libraries()}

    def train(self, training: Training, folder: Path) -> Mapping[str, Any]:
        """Fine-tune a model and save it; see `models.base.Family`."""
        model, tokenizer, extractor = _load(training.base)
        letters = frozenset(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) - {"|"}
        labels = _labels(tokenizer, Vocabulary(letters, self.language), training.labels)
        waveforms = _waveforms(training, extractor.sampling_rate)
        _require_room(model, waveforms, labels)
        device = stack.resolve_device(training.device)
        started = time.monotonic()
        summary = _fine_tune(model, waveforms, labels, training, extractor, device)
        for part in (model, tokenizer, extractor):
            part.save_pretrained(folder)
        return {
            "text_case": majority_case(training.labels),
            "rows": len(labels),
            "data_digest": _digest(waveforms, training.labels),
            "audio_seconds": round(sum(map(len, waveforms)) / extractor.sampling_rate, 3),
            "device": device,
            "seconds": round(time.monotonic() - started, 3),
            "steps": summary.steps,
            "epoch_losses": list(summary.epoch_losses),
            "libraries": _libraries(),
        }


ENGLISH = Wav2Vec2("Wav2Vec2En", "facebook/wav2vec2-base-960h", "en")
KOREAN = Wav2Vec2("Wav2Vec2Ko", "kresnik/wav2vec2-large-xlsr-korean", "ko")
#: A hundredth of the others' size: it wants larger steps.
TINY = Wav2Vec2("Wav2Vec2Tiny", None, "en", learning_rate=1e-3)


def _load(
    folder: Path,
) -> tuple[Wav2Vec2ForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor]:
    """Read model, tokenizer and feature extractor of a folder; weights in full precision.

    Raises:
        OperationalError: the folder has no such model in safetensors.
    """
    stack.require_stack()
    import torch
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    model, (tokenizer, extractor), lacking = stack.from_pretrained(
        Wav2Vec2ForCTC,
        (Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor),
        folder,
        "Wav2Vec2 CTC model",
        torch.float32,
    )
    # The mask's embedding is used in training alone, and some published models lack it.
    missing = sorted(lacking - {"wav2vec2.masked_spec_embed"})
    if missing:
        raise OperationalError(
            f"the weights in {folder} lack {', '.join(missing)}: it is no speech recogniser yet"
        )
    return model, tokenizer, extractor


def _labels(
    tokenizer: Wav2Vec2CTCTokenizer, vocabulary: Vocabulary, texts: Sequence[str]
) -> list[list[int]]:
    labels = []
    for index, text in enumerate(texts):
        try:
            labels.append(tokenizer(vocabulary.fit(text)).input_ids)
        except UnfitText as error:
            raise InputError(index, str(error)) from error
    return labels


def _waveforms(training: Training, sampling_rate: int) -> list[NDArray[np.float32]]:
    from .speech import decode_all

    with ThreadPoolExecutor(2) as decoders:
        return decode_all(training.inputs, sampling_rate, decoders, training.check)


def _require_room(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    labels: Sequence[Sequence[int]],
) -> None:
    """Refuse a text that its audio is too short for: its CTC loss would be infinite."""
    from .frames import frames_needed, frames_of

    for index, (waveform, label) in enumerate(zip(waveforms, labels, strict=True)):
        frames = frames_of(model, len(waveform))
        if frames < frames_needed(label):
            raise InputError(
                index,
                f"the text has {len(label)} letters, and the audio only {max(frames, 0)} frames:"
                " too short for what is said",
            )


def _fine_tune(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[NDArray[np.float32]],
    labels: Sequence[Sequence[int]],
    training: Training,
    extractor: Wav2Vec2FeatureExtractor,
    device: str,
) -> TrainingSummary:
    import torch

    from .training.loop import TrainingSettings, train

    options = training.options
    bar = training.progress.bar("train", "steps")

    def report(step: TrainingStep) -> None:
        training.check()
        bar.update(step.step, step.steps, epoch=step.epoch, loss=step.loss)

    settings = TrainingSettings(
        batch_size=options["batch_size"],
        max_epochs=options["max_epochs"],
        learning_rate=options["learning_rate"],
        normalise=bool(extractor.do_normalize),
    )
    try:
        return train(
            model,
            waveforms,
            labels,
            settings,
            report=report,
            sampling_rate=extractor.sampling_rate,
            device=torch.device(device),
        )
    except FloatingPointError as error:
        raise TrainingError(
            f"the training diverged: {error}. Nothing was saved; a smaller learning_rate than"
            f" {options['learning_rate']:g} may help."
        ) from error
    finally:
        bar.close()


def _digest(waveforms: Sequence[NDArray[np.float32]], texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for waveform, text in zip(waveforms, texts, strict=True):
        digest.update(waveform.tobytes())
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
