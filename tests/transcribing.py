"""Predicting with a speech model outside of any statement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.base import Model, Watch


class Watching:
    """A run that nobody stops; it counts what it is told."""

    def __init__(self) -> None:
        self.items = 0
        self.seconds = 0.0
        self.spent: dict[str, float] = {}
        self.checks = 0

    def check(self) -> None:
        self.checks += 1

    def advance(self, items: int, seconds: float) -> None:
        self.items += items
        self.seconds += seconds

    def spend(self, step: str, seconds: float) -> None:
        self.spent[step] = self.spent.get(step, 0.0) + seconds


def predict(
    model: Model, paths: Sequence[Path], watch: Watch | None = None, **options: Any
) -> list[Any]:
    """Return what a speech model makes of files, in their order."""
    complete = {"batch_size": 16, "precision": "auto"} | options
    inputs = [media_of(str(path), Path()) for path in paths]
    outcomes = dict(model.predict(inputs, complete, watch or Watching()))
    assert sorted(outcomes) == list(range(len(paths)))
    return [outcomes[index] for index in range(len(paths))]
