"""The contract between the driver and a model family.

A family is one file that says which verbs and options it has, loads its models and trains new
ones. It gets Arrow columns and gives Arrow columns; it knows no SQL and no DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..options import OptionSpec

if TYPE_CHECKING:
    import pyarrow as pa

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


class Watch(Protocol):
    """The run that a model predicts in."""

    def check(self) -> None:
        """Raise when the run was stopped: to be called between batches."""

    def advance(self, items: int, seconds: float) -> None:
        """Tell that `items` more inputs are done, of `seconds` of media in all."""


class Model(Protocol):
    """A loaded model."""

    def predict(self, inputs: pa.Array, options: Mapping[str, Any], watch: Watch) -> pa.Array:
        """Predict each input: for speech a path (no nulls), giving its transcript.

        Raises:
            InputError: an input cannot be used.
        """


@dataclass(frozen=True, slots=True)
class Training:
    """What a new model is made from.

    `base` is the folder of the model to start from, `inputs` and `labels` the rows; `options`
    are complete and checked. `check` raises when the run was stopped: to be called between steps.
    """

    base: Path
    inputs: Sequence[Path]
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

    def options(self, verb: Verb) -> tuple[OptionSpec, ...]:
        """The options of a verb."""

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
