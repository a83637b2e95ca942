"""The Whisper family: speech recognisers of many languages, which translate to English too.

Model and method: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
2022. Importing this module loads no torch; it knows no SQL.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import NotSupportedError, OperationalError
from ..options import OptionSpec
from ..registry import Version
from . import speech_options, stack
from .base import Model, Prepared, Training, Verb

if TYPE_CHECKING:
    from transformers import (
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

_LANGUAGE = OptionSpec(
    "language",
    str,
    "auto",
    "what is spoken, as a code or an English name; auto hears it in each file's beginning",
)
_TASK = OptionSpec(
    "task",
    str,
    "transcribe",
    "write what is said, or its translation to English",
    choices=("transcribe", "translate"),
)
#: Timing words costs memory and a warping of each window, so the model is told whether it is asked.
_TIMED = OptionSpec(
    "words", bool, False, "keep the times of words with a prediction; words_col sets it"
)


@dataclass(frozen=True, slots=True)
class Whisper:
    """The base model of the family; see `models.base.Family`."""

    name: str
    checkpoint: str | None
    revision: int = 1

    @property
    def verbs(self) -> frozenset[Verb]:
        """What its models can do."""
        return frozenset({Verb.PREDICT, Verb.EVALUATE})

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        """The options of a verb."""
        if verb is Verb.EVALUATE:
            return (*speech_options.SHARED_EVALUATE, _LANGUAGE, _TASK)
        return (*speech_options.SHARED_PREDICT, _LANGUAGE, _TASK, _TIMED)

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        """Return the precision that options come to on a device; see `models.base.Family`."""
        if options["precision"] == "int8":
            raise NotSupportedError(
                f"precision='int8': {self.name} has 'full', and on a GPU 'half'"
            )
        return speech_options.resolve_precision(options["precision"], device)

    def load(self, version: Version, device: str) -> Model:
        """Load a version's weights; see `models.base.Family`."""
        device = stack.resolve_device(device)
        model, tokenizer, extractor = _load(version.folder, "float32")
        from .seq2seq import WhisperModel, WhisperRecogniser

        recogniser = WhisperRecogniser(model, tokenizer, extractor, device)
        return WhisperModel(recogniser, device, self.precision)

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """Write a checkpoint as a version of a model; see `models.base.Family`."""
        for part in _load(checkpoint, "auto"):
            part.save_pretrained(folder)
        libraries = ("torch", "transformers")
        return {"libraries": {name: importlib.metadata.version(name) for name in libraries}}

    def prepare(self, training: Training) -> Prepared:  # noqa: ARG002
        """Refuse: this version does not train Whisper.

        Raises:
            NotSupportedError: always, naming the verbs it has.
        """
        from .families import refuse

        refuse(self, Verb.BUILD)


WHISPER = Whisper("Whisper", "openai/whisper-small")


def _load(
    folder: Path, dtype: str
) -> tuple[WhisperForConditionalGeneration, WhisperTokenizer, WhisperFeatureExtractor]:
    """Read model, tokenizer and feature extractor of a folder; `auto` is the weights' own type.

    Raises:
        OperationalError: the folder has no such model in safetensors.
    """
    stack.require_stack()
    from transformers import (
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    model, (tokenizer, extractor), missing = stack.from_pretrained(
        WhisperForConditionalGeneration,
        (WhisperTokenizer, WhisperFeatureExtractor),
        folder,
        "Whisper model",
        dtype,
    )
    if missing:
        raise OperationalError(f"the weights in {folder} lack {', '.join(sorted(missing))}")
    if getattr(model.generation_config, "no_timestamps_token_id", None) is None:
        raise OperationalError(
            f"generation_config.json in {folder} names no time tokens (no_timestamps_token_id):"
            " take the one that is published with the checkpoint"
        )
    return model, tokenizer, extractor
