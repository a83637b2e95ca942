"""Runs of trainings as others see them: how they stand, and whether they live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from .files import LOCK, RUN, STATE, STEPS, read_json
from .points import Point, read_points

#: A reader holds a run's lock for microseconds; seconds that who takes it waits for that.
LOCK_WAIT_S = 0.5
#: Where the lock cannot be asked, a run whose last heartbeat is as many seconds old is dead.
SILENT_S = 30.0


class RunState(StrEnum):
    """How a run stands."""

    TRAINING = "training"
    FINISHED = "finished"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    #: Never written: its process is gone, and could not say so.
    DEAD = "dead"


#: A run in one of these states has a version, and its folder is not gone on from.
DONE = frozenset({RunState.FINISHED, RunState.REFUSED})


@dataclass(frozen=True, slots=True)
class Run:
    """A training as its journal tells it. Times are in UTC."""

    model: str
    key: str
    state: RunState
    started: dt.datetime
    heartbeat: dt.datetime | None
    message: str
    steps: int | None
    epochs: float | None
    points: tuple[Point, ...]
    facts: Mapping[str, Any]


def read_runs(training_folder: Path, name: str | None) -> list[Run]:
    """Return the runs under `<workspace>/training`, of all models or of one, oldest first.

    A run whose state says training while nobody holds its lock is `dead`.
    """
    runs = [read_run(path.parent) for path in training_folder.glob(f"*/*/{RUN}")]
    of_name = [
        run
        for run in runs
        if run is not None and (name is None or run.model.casefold() == name.casefold())
    ]
    return sorted(of_name, key=lambda run: run.started)


def read_run(folder: Path) -> Run | None:
    """Return the run in a folder; None where there is none."""
    state = read_json(folder / STATE)
    run = _run({"key": folder.name, **read_json(folder / RUN)}, state, folder)
    if run is None or run.state is not RunState.TRAINING or is_held(folder, run.heartbeat):
        return run
    # It may have ended between the two looks.
    ended = _run({**run.facts}, read_json(folder / STATE), folder) or run
    return ended if ended.state is not RunState.TRAINING else replace(ended, state=RunState.DEAD)


def read_kept(folder: Path) -> Run | None:
    """Return the run that `Journal.copy_to` kept in a folder; None where there is none."""
    facts = read_json(folder / RUN)
    return _run(facts, facts, folder)


def is_held(folder: Path, heartbeat: dt.datetime | None = None) -> bool:
    """Tell whether a process holds the lock of a run's folder."""
    from filelock import FileLock, Timeout

    if not (folder / LOCK).exists():
        return False
    # Another reader may hold it for an instant.
    try:
        with FileLock(folder / LOCK, timeout=0.02, poll_interval=0.002, thread_local=False):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that can only be read
        silent = dt.datetime.now(dt.UTC) - heartbeat if heartbeat is not None else None
        return silent is not None and silent.total_seconds() < SILENT_S


def discard(folder: Path, grave: Path) -> bool:
    """Move a run's folder to `grave`, unless a process is at it; tell whether it went."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / LOCK, timeout=LOCK_WAIT_S, thread_local=False):
            folder.rename(grave)
            # Who waits for the lock sees that it is none any more, and begins a folder anew.
            (grave / LOCK).unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def _run(facts: Mapping[str, Any], state: Mapping[str, Any], folder: Path) -> Run | None:
    """Make a run of what is written; None where that is damaged or not yet there."""
    try:
        beat = state.get("heartbeat_utc")
        return Run(
            model=str(facts["model"]),
            key=str(facts.get("key", "")),
            state=RunState(state.get("state", RunState.TRAINING)),
            started=dt.datetime.fromisoformat(facts["started_utc"]),
            heartbeat=dt.datetime.fromisoformat(beat) if beat else None,
            message=str(state.get("message", "")),
            steps=state.get("steps"),
            epochs=state.get("epochs"),
            points=read_points(folder / STEPS),
            facts=facts,
        )
    except (KeyError, TypeError, ValueError):
        return None
