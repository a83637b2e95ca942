"""A model family without weights: its prediction is the path itself, in capitals.

It tests all the plumbing between SQL and a model, and notes what it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thanosql_dbapi.exceptions import MediaError, MediaReason
from thanosql_dbapi.media.sources import Media
from thanosql_dbapi.models.base import (
    Finding,
    Model,
    Outcome,
    Prediction,
    Severity,
    Timed,
    Trained,
    Training,
    Verb,
    Watch,
)
from thanosql_dbapi.options import OptionSpec
from thanosql_dbapi.registry import Version

AUDIO = OptionSpec(
    "audio_col", str, "audio_path", "paths", aliases=("audio_column",), to_model=False
)
TEXT = OptionSpec("text_col", str, "text", "texts", to_model=False)
BATCH = OptionSpec("batch_size", int, 16, "rows at once", minimum=1, decides=False)
SCORE = OptionSpec("score_col", str, "", "score", to_model=False)
WORDS = OptionSpec("words_col", str, "", "words", to_model=False)
RETURN = OptionSpec("return", str, "text", "form", choices=("text", "chunks"), to_model=False)
RESULT = OptionSpec(
    "result_col", str, "predicted", "result", aliases=("column_name",), to_model=False
)
EPOCHS = OptionSpec("max_epochs", int, 5, "passes", minimum=1, aliases=("epochs",))
PUBLISH = OptionSpec("publish", str, "auto", "force", choices=("auto", "always"))
CHECK_ONLY = OptionSpec("check_only", bool, False, "findings")
OVERWRITE = OptionSpec("overwrite", bool, False, "replace", to_model=False)


class Echo:
    """The family; `asked` holds the file names of all inputs that any of its models saw."""

    name = "Echo"
    checkpoint = None
    revision = 1
    verbs = frozenset({Verb.BUILD, Verb.FIT, Verb.PREDICT, Verb.EVALUATE})

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.options_seen: list[Mapping[str, Any]] = []
        self.on_predict: Any = lambda names: None
        self.on_train: Any = lambda training: None
        self.refusal: str | None = None

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        if verb is Verb.PREDICT:
            return (AUDIO, BATCH, RESULT, SCORE, WORDS, RETURN)
        if verb is Verb.EVALUATE:
            return (AUDIO, TEXT, BATCH)
        return (AUDIO, TEXT, BATCH, EPOCHS, PUBLISH, CHECK_ONLY, OVERWRITE)

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        return "full"

    def load(self, version: Version, device: str) -> Model:
        prefix = json.loads((version.folder / "echo.json").read_text())["prefix"]
        return EchoModel(self, prefix)

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        raise NotImplementedError

    def prepare(self, training: Training) -> EchoTraining:
        findings = tuple(
            Finding("bad", Severity.ERROR, row, media.name, "bad on purpose")
            for row, media in enumerate(training.inputs, 1)
            if "bad" in Path(media.name).name
        )
        return EchoTraining(self, training, findings)


@dataclass(frozen=True)
class EchoTraining:
    family: Echo
    training: Training
    findings: Sequence[Finding]

    def train(self, folder: Path) -> Trained:
        self.family.on_train(self.training)
        for _ in self.training.inputs:
            self.training.check()
        (folder / "echo.json").write_text(json.dumps({"prefix": self.training.labels[0] + ":"}))
        lineage = {"audio_seconds": float(len(self.training.inputs))}
        return Trained({}, lineage, self.family.refusal)


class EchoModel:
    def __init__(self, family: Echo, prefix: str) -> None:
        self._family = family
        self._prefix = prefix

    def predict(
        self, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        names = [Path(media.name).name for media in inputs]
        self._family.asked += names
        self._family.options_seen.append(options)
        self._family.on_predict(names)
        for index, name in enumerate(names):
            watch.check()
            if "bad" in name:
                yield index, MediaError("bad on purpose", MediaReason.NOT_AUDIO)
                continue
            text = self._prefix + name.upper()
            words = tuple(Timed(word, 0.0, 1.0, 0.5) for word in text.split())
            watch.advance(1, 1.0)
            yield index, Prediction(text, 0.5, 1.0, words, words, repeatable="split" not in name)
