"""The Wav2Vec2 families: speech recognisers with a CTC head.

Model and method: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", 2020. Importing this module loads no torch; it knows no SQL.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import OperationalError
from ..options import OptionSpec
from ..registry import Version
from . import speech_options, stack
from .base import Model, Prepared, Training, Verb
from .speech_options import resolve_precision
from .training.options import training_options

if TYPE_CHECKING:
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC


@dataclass(frozen=True, slots=True)
class Wav2Vec2:
    """One base model of the family; see `models.base.Family`."""

    name: str
    checkpoint: str | None
    language: str
    learning_rate: float = 1e-4
    freeze_feature_encoder: bool = True

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
        return training_options(
            self.learning_rate, freeze_feature_encoder=self.freeze_feature_encoder
        )

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        """What `precision` comes to on a device; see `models.base.Family`."""
        return resolve_precision(options["precision"], device)

    def load(self, version: Version, device: str) -> Model:
        """Load a version's weights; see `models.base.Family`."""
        model, tokenizer, extractor = _load(version.folder)
        from .speech import CTCModel

        device = stack.resolve_device(device)
        return CTCModel(
            model, tokenizer, extractor, version.facts.get("text_case"), device, version.folder
        )

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """Write a checkpoint as a version of a model; see `models.base.Family`."""
        for part in _load(checkpoint):
            part.save_pretrained(folder)
        return {"text_case": None, "libraries": _libraries()}

    def prepare(self, training: Training) -> Prepared:
        """Read the rows of a training and look at them; see `models.base.Family`."""
        stack.require_stack()
        from .training.ctc import prepare

        return prepare(training, _load(training.base), self.language)


ENGLISH = Wav2Vec2("Wav2Vec2En", "facebook/wav2vec2-base-960h", "en")
KOREAN = Wav2Vec2("Wav2Vec2Ko", "kresnik/wav2vec2-large-xlsr-korean", "ko")
#: A hundredth of the others' size, from synthetic speech: it wants larger steps, of all its layers.
TINY = Wav2Vec2("Wav2Vec2Tiny", None, "en", learning_rate=1e-3, freeze_feature_encoder=False)


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


def _libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
