"""What trainings leave behind, and when it goes.

A run that came to a version has nothing left to say; one that was stopped or died can be gone on
with, until nobody cared for a while.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..journal import DONE, discard, is_held, read_run
from .files import grave, size_of
from .names import name_of_folder


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed for good: what it was, its name, and its bytes."""

    what: str
    name: str
    size_bytes: int


def collect_runs(training: Path, staging: Path, days: float) -> list[Collected]:
    """Remove what is left of runs that came to a version, or were not touched for `days`."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    return [
        collected
        for folder in _runs(training)
        if _is_done(folder) or _touched(folder) <= before
        if (collected := _discarded(folder, staging)) is not None
    ]


def finished_runs(training: Path, staging: Path) -> None:
    """Remove what is left of runs that came to a version."""
    for folder in _runs(training):
        if _is_done(folder):
            _discarded(folder, staging)


def parents_of_runs(training: Path) -> set[str]:
    """Return the versions, folded, that unfinished runs say they began from, under `parent`."""
    runs = [read_run(folder) for folder in _runs(training)]
    parents = [run.facts.get("parent") for run in runs if run is not None]
    return {parent.casefold() for parent in parents if isinstance(parent, str)}


def _runs(training: Path) -> Iterator[Path]:
    return (folder for folder in sorted(training.glob("*/*")) if folder.is_dir())


def _is_done(folder: Path) -> bool:
    run = read_run(folder)
    return run is not None and run.state in DONE


def _touched(folder: Path) -> dt.datetime:
    run = read_run(folder)
    if run is not None and run.heartbeat is not None:
        return run.heartbeat
    return dt.datetime.fromtimestamp(folder.stat().st_mtime, dt.UTC)


def _discarded(folder: Path, staging: Path) -> Collected | None:
    size = size_of(folder)
    resting = grave(staging)
    with contextlib.suppress(FileNotFoundError):  # another one was faster
        if is_held(folder) or not discard(folder, resting):
            return None
        shutil.rmtree(resting, ignore_errors=True)
        with contextlib.suppress(OSError):  # the model has other runs
            folder.parent.rmdir()
        return Collected(
            "training run", f"{name_of_folder(folder.parent.name)}/{folder.name}", size
        )
    return None
