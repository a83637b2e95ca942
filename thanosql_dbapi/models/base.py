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
    from ..journal import Journal
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


class Severity(StrEnum):
    """How bad a finding about the data is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about the data of a training before it began.

    `kind` is its class (`duplicate audio`, say), `row` the row from 1, in the query or, where
    `held_out` is set, in the validation's; None where it is about the data as a whole, as figures
    are. `name` is the row's file, and `detail` says more.
    """

    kind: str
    severity: Severity
    row: int | None
    name: str | None
    detail: str
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """What a new model is made from.

    `base` is the folder of the model to start from, `inputs` and `labels` the rows;
    `held_out_inputs` and `held_out_labels` are those of a validation query, none where there is no
    such query. `options` are complete and checked. `folder` lasts beyond a crash: what a training
    leaves there, the same training goes on from. `journal` is told how far it is. `check` raises
    when the run was stopped: to be called between steps.
    """

    base: Path
    inputs: Sequence[Media]
    labels: Sequence[str]
    held_out_inputs: Sequence[Media]
    held_out_labels: Sequence[str]
    options: Mapping[str, Any]
    device: str
    folder: Path
    journal: Journal
    check: Callable[[], None]
    progress: Progress


class Prepared(Protocol):
    """A training whose data were read and looked at."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found about the data; one of `Severity.ERROR` dooms the training."""

    def train(self, folder: Path) -> Trained:
        """Train a model and save it into the empty `folder`.

        Raises:
            TrainingError: the run could not go on.
        """


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    `facts` are kept with the version and decide what it predicts; `lineage` is kept too, and
    decides nothing. `refusal` says why the model should not come into force; None where it may.
    `remark` is to be told to the user either way.
    """

    facts: Mapping[str, Any]
    lineage: Mapping[str, Any]
    refusal: str | None = None
    remark: str | None = None


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

    def prepare(self, training: Training) -> Prepared:
        """Read the rows of a training and look at them, in seconds; nothing is trained yet.

        Raises:
            OperationalError: the base's folder holds no such model.
        """
