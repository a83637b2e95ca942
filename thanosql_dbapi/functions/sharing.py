"""Sharing a model: as a folder that transformers loads, and in a repository of a hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..models import exporting, hub
from ..session import Execution
from .base import Function

if TYPE_CHECKING:
    import pyarrow as pa


def export_model(
    execution: Execution,
    model: pa.ChunkedArray,
    folder: pa.ChunkedArray,
    overwrite: pa.ChunkedArray,
    lineage: pa.ChunkedArray,
) -> pa.Array:
    """Write each model as a folder; return its path. A NULL gives NULL."""

    def export(name: str, text: str, replaces: bool | None, whole: bool | None) -> str:
        session = execution.session
        target = session.path(text)
        exporting.export(
            execution.version(name),
            target,
            session.workspace.folder,
            overwrite=bool(replaces),
            full=bool(whole),
        )
        return str(target)

    return _each(execution, export, model, folder, overwrite, lineage)


def push_model(
    execution: Execution,
    model: pa.ChunkedArray,
    repository: pa.ChunkedArray,
    private: pa.ChunkedArray,
    branch: pa.ChunkedArray,
    message: pa.ChunkedArray,
    lineage: pa.ChunkedArray,
) -> pa.Array:
    """Push each model to a repository; return the commit's URL. A NULL gives NULL."""

    def push(
        name: str,
        target: str,
        unseen: bool | None,
        to_branch: str | None,
        said: str | None,
        whole: bool | None,
    ) -> str:
        version = execution.version(name)
        token = hub.require_hub()
        with execution.session.workspace.registry.staging() as folder:
            exporting.write(version, folder, full=bool(whole))
            return hub.push(
                folder,
                target,
                token,
                private=unseen is not False,
                branch=to_branch,
                message=said or f"Push {version} from ThanoSQL",
            )

    return _each(execution, push, model, repository, private, branch, message, lineage)


def _each(execution: Execution, call: Callable[..., str], *columns: pa.ChunkedArray) -> pa.Array:
    """Call for each row whose first two values are there; for the same row once in a statement."""
    import pyarrow as pa

    def once(row: tuple[Any, ...]) -> str | None:
        if None in row[:2]:
            return None
        return execution.once((call.__qualname__, row), lambda: call(*row))

    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return pa.array([once(row) for row in rows], pa.string())


FUNCTIONS = (
    Function(
        "thanosql_export",
        export_model,
        {"model": "VARCHAR", "folder": "VARCHAR"},
        {"overwrite": "BOOLEAN", "lineage": "BOOLEAN"},
        "VARCHAR",
        runs_model=True,
        volatile=True,
    ),
    Function(
        "thanosql_push",
        push_model,
        {"model": "VARCHAR", "repository": "VARCHAR"},
        {"private": "BOOLEAN", "branch": "VARCHAR", "message": "VARCHAR", "lineage": "BOOLEAN"},
        "VARCHAR",
        runs_model=True,
        volatile=True,
    ),
)
