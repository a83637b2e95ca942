"""The contract between the driver and a model family.

A family is one file that says which verbs and options it has, loads its models and trains new
ones. It gets media and gives predictions; it knows no SQL and no DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..options import OptionSpec

if TYPE_CHECKING:
    from ..exceptions import MediaError
    from ..media.sources import Media
    from ..progress import Progress
    from ..registry import Version


class Verb(StrEnum):
    """What a model can be asked to do."""

    BUILD = "BUILD"
    FIT = "FIT"
    PREDICT = "PREDICT"
    EVALUATE = "EVALUATE"
    CONVERT = "CONVERT"
    SEARCH = "SEARCH"


class InputError(Exception):
    """One input of a batch cannot be used; `index` counts from 0 within the batch."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Timed:
    """A stretch of a transcript: a word or a longer chunk, in seconds from the start.

    `score` is the model's probability of it, from 0 to 1; None where the model has none.
    """

    text: str
    start_s: float
    end_s: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one input.

    `score` is the model's own probability, from 0 to 1, of what it says; `seconds` is how long the
    medium lasts. `words` and `chunks` are None where the model cannot tell them. `repeatable` is
    False where a lack of memory had a part in it: another run may say it otherwise.
    """

    text: str
    score: float | None = None
    seconds: float | None = None
    words: tuple[Timed, ...] | None = None
    chunks: tuple[Timed, ...] | None = None
    repeatable: bool = True


#: What comes of one input: a prediction, or why there is none.
Outcome: TypeAlias = "Prediction | MediaError"


class Watch(Protocol):
    """The run that a model predicts in."""

    def check(self) -> None:
        """Raise when the run was stopped: to be called between batches."""

    def advance(self, items: int, seconds: float) -> None:
        """Tell that `items` more inputs are done, of `seconds` of media in all."""

    def spend(self, step: str, seconds: float) -> None:
        """Tell that `seconds` went by in a step: `decode`, `wait`, `forward` or `text`."""


class Model(Protocol):
    """A loaded model."""

    def predict(
        self, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        """Predict inputs, in the order that is fastest; yield each one's index as it is done.

        An input that cannot be used is an outcome; what is raised ends the run.
        """


@dataclass(frozen=True, slots=True)
class Training:
    """What a new model is made from.

    `base` is the folder of the model to start from, `inputs` and `labels` the rows; `options`
    are complete and checked. `check` raises when the run was stopped: to be called between steps.
    """

    base: Path
    inputs: Sequence[Media]
    labels: Sequence[str]
    options: Mapping[str, Any]
    device: str
    check: Callable[[], None]
    progress: Progress


class Family(Protocol):
    """A kind of models that share code."""

    @property
    def name(self) -> str:
        """The base model's name, as USING has it."""

    @property
    def checkpoint(self) -> str | None:
        """The hub id of the base's weights; None where they come with the package."""

    @property
    def verbs(self) -> frozenset[Verb]:
        """What its models can do."""

    @property
    def revision(self) -> int:
        """A number to raise when the same weights would predict something else: caches go by it."""

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        """The options of a verb."""

    def precision(self, options: Mapping[str, Any], device: str) -> str:
        """Return the numeric precision that options come to on a device: `full`, say.

        With the weights and the options it decides what is predicted. No model is loaded for it.

        Raises:
            NotSupportedError: the device has no such precision.
        """

    def load(self, version: Version, device: str) -> Model:
        """Load a version's weights.

        Raises:
            OperationalError: the folder does not hold what the family saved there.
        """

    def adopt(self, checkpoint: Path, folder: Path) -> Mapping[str, Any]:
        """Write a checkpoint's folder as a version of a model; return facts to keep with it.

        Raises:
            OperationalError: the checkpoint is not of this family, or not in safetensors.
        """

    def train(self, training: Training, folder: Path) -> Mapping[str, Any]:
        """Train a model and save it into the empty `folder`; return facts to keep with it.

        Raises:
            InputError: a row cannot be trained on.
            TrainingError: the run could not go on.
        """
