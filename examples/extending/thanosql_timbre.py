"""Timbre: which of some sounds a recording is like, by its average spectrum.

A whole model family of ThanoSQL in one file of another package. It learns the sounds from rows of
a path and a label (voices, machines, speech and hold music) in one pass, and needs no GPU, no
torch and no download. It knows nothing of words, and nothing of the order in which things sound.

The features are the mean and the spread, over the loud frames, of the logarithm of the energy in
bands that are spaced as mel filters are. The classifier is a linear discriminant with a shared
diagonal covariance (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 4.3).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from thanosql_dbapi.exceptions import MediaError, MediaReason, OperationalError
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import Media
from thanosql_dbapi.models.base import (
    Finding,
    Model,
    Outcome,
    Prediction,
    Prepared,
    Severity,
    Trained,
    Training,
    Verb,
    Watch,
)
from thanosql_dbapi.options import OptionSpec
from thanosql_dbapi.registry import Version

RATE: Final = 16_000  # hertz
FRAME: Final = 400  # samples, 25 ms
STEP: Final = 160  # samples, 10 ms
BANDS: Final = 40

AUDIO = OptionSpec(
    "audio_col",
    str,
    "audio_path",
    "the column with the audio: paths, URLs, or the bytes themselves",
    aliases=("audio_column",),
    to_model=False,
)
LABEL = OptionSpec("text_col", str, "label", "the column with the sound's name", to_model=False)
RESULT = OptionSpec("result_col", str, "predicted", "the name of the result column", to_model=False)
SCORE = OptionSpec(
    "score_col", str, "", "the name of a column for the score; none where empty", to_model=False
)
SURE = OptionSpec(
    "at_least",
    float,
    0.0,
    "answer 'unknown' where the score is below this",
    minimum=0,
    maximum=1,
)
SHRINKAGE = OptionSpec(
    "shrinkage",
    float,
    0.1,
    "how much each feature's spread leans to the average one, from 0 to 1",
    minimum=0,
    maximum=1,
)
OVERWRITE = OptionSpec(
    "overwrite", bool, False, "make a new version of a model that exists", to_model=False
)


class Timbre:
    """The family: what `thanosql_dbapi.models.base.Family` asks for."""

    name = "Timbre"
    checkpoint = None  # nothing to fetch
    revision = 1
    verbs = frozenset({Verb.BUILD, Verb.PREDICT, Verb.EVALUATE})

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        """Return the options of a verb."""
        if verb is Verb.BUILD:
            return (AUDIO, LABEL, SHRINKAGE, OVERWRITE)
        if verb is Verb.EVALUATE:
            return (AUDIO, LABEL, SURE)
        return (AUDIO, RESULT, SCORE, SURE)

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        """Return `full`: it computes in float64 on the CPU, whatever the device."""
        return "full"

    def load(self, version: Version, device: str) -> Model:
        """Load a version's means and spreads."""
        try:
            labels = json.loads((version.folder / "labels.json").read_text("utf-8"))
            arrays = load_file(version.folder / "model.safetensors")
            return TimbreModel(labels, arrays["means"], arrays["variances"])
        except (OSError, KeyError, ValueError) as error:
            raise OperationalError(f"'{version}' holds no Timbre model: {error}") from error

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """Refuse: there are no checkpoints of this family."""
        raise OperationalError("Timbre has no weights to fetch: BUILD MODEL m USING Timbre")

    def prepare(self, training: Training) -> Prepared:
        """Read all rows; what cannot be used is a finding, with its row."""
        features, labels, findings, total = [], [], [], 0.0
        for row, (media, label) in enumerate(zip(training.inputs, training.labels, strict=True), 1):
            training.check()
            if not label.strip():
                findings.append(Finding("no label", Severity.ERROR, row, media.name, "no label"))
                continue
            try:
                found, seconds = features_of(media)
            except MediaError as error:
                findings.append(Finding("bad audio", Severity.ERROR, row, media.name, str(error)))
                continue
            features.append(found)
            labels.append(label)
            total += seconds
        if len(set(labels)) < 2 and not findings:
            text = "there are fewer than two labels: nothing to tell apart"
            findings.append(Finding("one label", Severity.ERROR, None, None, text))
        return TimbreTraining(training, np.array(features), labels, total, findings)


@dataclass(frozen=True)
class TimbreTraining:
    """Rows that were read: features of shape (rows, 2 * BANDS), and their labels."""

    training: Training
    features: NDArray[np.float64]
    labels: Sequence[str]
    seconds: float
    findings: Sequence[Finding]

    def train(self, folder: Path) -> Trained:
        """Average what sounds alike, and save it into `folder`."""
        names = sorted(set(self.labels))
        rows = [self.features[[label == name for label in self.labels]] for name in names]
        means = np.array([each.mean(axis=0) for each in rows])
        within = np.concatenate([each - each.mean(axis=0) for each in rows])
        spread = (within**2).mean(axis=0)
        weight = self.training.options["shrinkage"]
        variances = (1 - weight) * spread + weight * spread.mean() + 1e-6
        save_file({"means": means, "variances": variances}, folder / "model.safetensors")
        (folder / "labels.json").write_text(json.dumps(names, ensure_ascii=False), "utf-8")
        return Trained(facts={"labels": names}, lineage={"audio_seconds": self.seconds})


class TimbreModel:
    """A loaded model: a mean for each label, and one variance for each feature."""

    def __init__(
        self, labels: Sequence[str], means: NDArray[np.float64], variances: NDArray[np.float64]
    ) -> None:
        self._labels = labels
        self._means = means
        self._variances = variances

    def predict(
        self, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        """Yield each input's label and the probability that the model gives it."""
        for index, media in enumerate(inputs):
            watch.check()
            try:
                features, seconds = features_of(media)
            except MediaError as error:
                yield index, error
                continue
            chances = self._chances(features)
            best = int(chances.argmax())
            score = float(chances[best])
            sure = score >= options.get("at_least", 0.0)
            watch.advance(1, seconds)
            yield index, Prediction(self._labels[best] if sure else "unknown", score, seconds)

    def _chances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = ((features - self._means) ** 2 / self._variances).sum(axis=1)
        # Neighbouring bands go together, so a feature counts for less than a fact of its own.
        odds = np.exp((distances.min() - distances) / (2 * np.sqrt(features.size)))
        return np.asarray(odds / odds.sum())


def features_of(media: Media) -> tuple[NDArray[np.float64], float]:
    """Return a recording's features, of shape (2 * BANDS,), and its length in seconds.

    Raises:
        MediaError: it cannot be read, is shorter than a frame, or silent.
    """
    waveform = decode_audio(media, RATE).astype(np.float64)
    if len(waveform) < FRAME:
        raise MediaError("shorter than 25 ms", MediaReason.TOO_SHORT)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, FRAME)[::STEP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME))) ** 2
    loudness = power.sum(axis=1)
    if not loudness.any():
        raise MediaError("nothing was recorded", MediaReason.SILENT)
    loud = power[loudness >= np.median(loudness)]
    bands = np.log(loud @ filters().T + 1e-10)
    level = bands.mean()  # how loud the recording is says nothing of what it is
    seconds = len(waveform) / RATE
    return np.concatenate([bands.mean(axis=0) - level, bands.std(axis=0)]), seconds


def filters() -> NDArray[np.float64]:
    """Return triangular filters of even spacing in mel: shape (BANDS, FRAME // 2 + 1)."""
    edges = np.linspace(_mel(60.0), _mel(RATE / 2), BANDS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    low, centre, high = (hertz[i : i + BANDS, None] for i in range(3))
    return np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, 1)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


TIMBRE = Timbre()
