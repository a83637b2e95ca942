"""Trainings: how far those are that go on, and how those went that made a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..exceptions import ModelNotFound
from ..journal import DONE, Point, Run, read_kept, read_runs
from ..registry import ABOUT, Version
from ..registry.names import versioned
from ..session import Execution
from ..workspace import Workspace
from .base import Function, struct
from .tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

#: What `list_training` returns, in DuckDB's types.
TRAINING: Mapping[str, str] = {
    "run": "TIMESTAMP",
    "model": "VARCHAR",
    "version": "INTEGER",
    "state": "VARCHAR",
    "step": "BIGINT",
    "steps": "BIGINT",
    "epoch": "DOUBLE",
    "loss": "DOUBLE",
    "learning_rate": "DOUBLE",
    "wer": "DOUBLE",
    "audio_seconds": "DOUBLE",
    "seconds": "DOUBLE",
    "heartbeat_utc": "TIMESTAMP",
    "message": "VARCHAR",
}


def list_training(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List the trainings of a model, of all for NULL, one row a logged step: see `TRAINING`.

    Raises:
        ModelNotFound: there is no such model, and nothing of that name was ever trained.
    """
    workspace = execution.session.workspace
    return tables([_rows(workspace, name) for name in model.to_pylist()], TRAINING)


def _rows(workspace: Workspace, name: str | None) -> Iterator[dict[str, Any]]:
    for version, run in runs(workspace, name):
        points: tuple[Point | None, ...] = run.points or (None,)
        for point in points:
            yield {
                **_point(point),
                "run": run.started.replace(tzinfo=None),
                "model": run.model,
                "version": None if version is None else version.number,
                "state": run.state.value,
                "steps": (point.steps if point else None) or run.steps,
                "heartbeat_utc": run.heartbeat and run.heartbeat.replace(tzinfo=None),
                "message": run.message or None,
            }


def _point(point: Point | None) -> dict[str, Any]:
    told = {} if point is None else asdict(point)
    return {name: value for name, value in told.items() if name in TRAINING}


def runs(workspace: Workspace, name: str | None) -> list[tuple[Version | None, Run]]:
    """Return the runs of a model, or of the version that `m@3` names, or of all; oldest first.

    A run that made a version comes with it.

    Raises:
        ModelNotFound: there is no such model, and nothing of that name was ever trained.
    """
    registry = workspace.registry
    if name is not None and versioned(name) is not None:
        return _kept([registry.resolve(name)])
    # The unfinished are read first: one that finishes meanwhile is then seen twice, not never.
    unfinished = [run for run in read_runs(workspace.training, name) if run.state not in DONE]
    kept = []
    for model in registry.names() if name is None else [name]:
        try:
            kept += _kept(registry.versions(model))
        except ModelNotFound:
            if name is not None and not unfinished:
                raise
    seen = {(run.key, run.started) for _, run in kept}
    found = [*kept, *((None, run) for run in unfinished if (run.key, run.started) not in seen)]
    return sorted(found, key=lambda each: each[1].started)


def _kept(versions: list[Version]) -> list[tuple[Version | None, Run]]:
    read = [(version, read_kept(version.folder / ABOUT)) for version in versions]
    return [(version, run) for version, run in read if run is not None]


FUNCTIONS = (
    Function(
        "thanosql_training",
        list_training,
        {},
        {"model": "VARCHAR"},
        f"{struct(TRAINING)}[]",
        as_table=True,
        volatile=True,
    ),
)
