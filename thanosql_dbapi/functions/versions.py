"""Versions of models: lists of them, what they come from, and which is in force."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ModelNotFound, OperationalError
from ..registry import ABOUT, Registry, Version
from ..registry.files import size_of
from ..session import Execution
from .base import Function, struct
from .tables import tables

if TYPE_CHECKING:
    import pyarrow as pa

MODELS: Mapping[str, str] = {
    "name": "VARCHAR",
    "version": "INTEGER",
    "versions": "INTEGER",
    "published": "BOOLEAN",
    "base": "VARCHAR",
    "created_utc": "TIMESTAMP",
    "rows": "BIGINT",
    "audio_seconds": "DOUBLE",
    "wer": "DOUBLE",
    "decoder": "VARCHAR",
    "size_bytes": "BIGINT",
}

VERSIONS: Mapping[str, str] = {
    "version": "INTEGER",
    "in_force": "BOOLEAN",
    "created_utc": "TIMESTAMP",
    "parent": "VARCHAR",
    "base": "VARCHAR",
    "rows": "BIGINT",
    "audio_seconds": "DOUBLE",
    "wer": "DOUBLE",
    "base_wer": "DOUBLE",
    "refusal": "VARCHAR",
    "size_bytes": "BIGINT",
    "seconds": "DOUBLE",
    "device": "VARCHAR",
}

LINEAGE: Mapping[str, str] = {
    "depth": "INTEGER",
    "version": "VARCHAR",
    "parent": "VARCHAR",
    "base": "VARCHAR",
    "options": "VARCHAR",
    "seed": "BIGINT",
    "query": "VARCHAR",
    "data_digest": "VARCHAR",
    "rows": "BIGINT",
    "held_out_rows": "BIGINT",
    "audio_seconds": "DOUBLE",
    "metrics": "VARCHAR",
    "libraries": "VARCHAR",
    "device": "VARCHAR",
    "seconds": "DOUBLE",
    "weights_digest": "VARCHAR",
    "decoder": "VARCHAR",
    "refusal": "VARCHAR",
    "created_utc": "TIMESTAMP",
}

FINDINGS: Mapping[str, str] = {
    "kind": "VARCHAR",
    "severity": "VARCHAR",
    "row": "BIGINT",
    "name": "VARCHAR",
    "detail": "VARCHAR",
    "held_out": "BOOLEAN",
}

COLLECTED: Mapping[str, str] = {"what": "VARCHAR", "name": "VARCHAR", "size_bytes": "BIGINT"}

#: What `thanosql_collect_garbage` leaves unless it is told otherwise.
KEEP, DAYS = 10, 30.0


def list_models(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List the workspace's models, or the one of this name: see `MODELS`."""
    registry = execution.session.workspace.registry
    return tables([_models(registry, name) for name in model.to_pylist()], MODELS)


def _models(registry: Registry, name: str | None) -> Iterator[dict[str, Any]]:
    for listed in registry.listed():
        if name is not None and name.casefold() != listed.name.casefold():
            continue
        try:
            versions = registry.versions(listed.name)
        except ModelNotFound:  # deleted while we look
            continue
        version = listed.version
        yield {
            **_told(version, MODELS),
            "name": listed.name,
            "version": version.number if listed.published else None,
            "versions": len(versions),
            "published": listed.published,
            "size_bytes": sum(size_of(one.folder) for one in versions),
        }


def list_versions(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List a model's versions, newest first: see `VERSIONS`.

    Raises:
        ModelNotFound: there is no such model.
    """
    registry = execution.session.workspace.registry
    return tables([_versions(registry, name) for name in model.to_pylist()], VERSIONS)


def _versions(registry: Registry, name: str | None) -> list[dict[str, Any]] | None:
    if name is None:
        return None
    in_force = registry.in_force_number(name)
    if in_force is None and not registry.is_kept(name) and registry.is_bundled(name):
        in_force = registry.resolve(name).number
    return [
        {
            **_told(version, VERSIONS),
            "version": version.number,
            "in_force": version.number == in_force,
            "size_bytes": size_of(version.folder),
        }
        for version in reversed(registry.versions(name))
    ]


def list_lineage(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List a version and what it descends from, newest first: see `LINEAGE`.

    Raises:
        ModelNotFound: there is no such model.
    """
    registry = execution.session.workspace.registry
    return tables([_lineage(registry, name) for name in model.to_pylist()], LINEAGE)


def _lineage(registry: Registry, name: str | None) -> list[dict[str, Any]] | None:
    if name is None:
        return None
    line = registry.ancestors(registry.resolve(name))
    return [
        {
            **(_told(one.version, LINEAGE) if one.version else {}),
            "depth": depth,
            "version": one.name,
        }
        for depth, one in enumerate(line)
    ]


def list_findings(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List what was found about the data of a version before it was trained: see `FINDINGS`.

    Raises:
        ModelNotFound: there is no such model.
        OperationalError: what was found cannot be read.
    """
    registry = execution.session.workspace.registry
    found = [
        None if name is None else _findings(registry.resolve(name)) for name in model.to_pylist()
    ]
    return tables(found, FINDINGS)


def _findings(version: Version) -> list[dict[str, Any]]:
    path = version.folder / ABOUT / "findings.json"
    try:
        return [{name: each.get(name) for name in FINDINGS} for each in _read_json(path)]
    except FileNotFoundError:
        return []


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise OperationalError(f"{path} is damaged: {error}") from error


def roll_back(execution: Execution, model: pa.ChunkedArray, version: pa.ChunkedArray) -> pa.Array:
    """Bring a version of a model into force; return it as `m@3`.

    Raises:
        ModelNotFound: there is no such model or version.
        NotSupportedError: the model comes with the package.
    """
    registry = execution.session.workspace.registry

    def bring(name: str, number: int) -> str:
        brought = str(registry.roll_back(name, number))
        execution.forget_version(name)
        return brought

    return _once_each(bring, model.to_pylist(), version.to_pylist())


def undelete(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """Bring back the model that was deleted last under a name, or had `m@2`; return the name.

    Raises:
        ModelExists: the name is taken.
        ModelNotFound: nothing was deleted under it.
    """
    registry = execution.session.workspace.registry

    def bring(name: str) -> str:
        written = registry.undelete(name)
        execution.forget_version(written)
        return written

    return _once_each(bring, model.to_pylist())


def collect_garbage(execution: Execution, keep: pa.ChunkedArray, days: pa.ChunkedArray) -> pa.Array:
    """Remove for good what is not needed; list what went: see `COLLECTED`.

    Raises:
        ProgrammingError: no version would be kept, or the days are negative.
    """
    registry = execution.session.workspace.registry
    collected = [
        registry.collect(KEEP if versions is None else versions, DAYS if age is None else age)
        for versions, age in zip(keep.to_pylist(), days.to_pylist(), strict=True)
    ]
    return tables([[asdict(one) for one in went] for went in collected], COLLECTED)


def _once_each(call: Callable[..., str], *columns: list[Any]) -> pa.Array:
    """Call with each row's values, with the same ones once; NULL where one of them is NULL."""
    import pyarrow as pa

    answers: dict[tuple[Any, ...], str] = {}
    rows = list(zip(*columns, strict=True))
    for row in rows:
        if None not in row and row not in answers:
            answers[row] = call(*row)
    return pa.array([answers.get(row) for row in rows], pa.string())


def _told(version: Version, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return what a version tells of itself under the names of columns; the rest is NULL."""
    metrics = version.lineage.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    told = {
        **version.lineage,
        "base": version.base,
        "wer": metrics.get("wer"),
        "base_wer": metrics.get("base_wer"),
        "created_utc": created(version),
    }
    return {name: _as(kind, told.get(name)) for name, kind in columns.items()}


def created(version: Version) -> dt.datetime | None:
    """Return when a version was made, in UTC; None where it does not say."""
    written = version.facts.get("created_utc")
    return dt.datetime.fromisoformat(written).replace(tzinfo=None) if written else None


def _as(kind: str, value: Any) -> Any:
    """Return a fact as a column's type: what is not one text is JSON."""
    if value is None or kind == "TIMESTAMP":
        return value
    if kind == "VARCHAR":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not isinstance(value, int | float):
        return None
    return float(value) if kind == "DOUBLE" else int(value)


def _table(
    name: str,
    call: Callable[..., pa.Array],
    columns: Mapping[str, str],
    parameters: Mapping[str, str],
    optional: Mapping[str, str],
) -> Function:
    returns = f"{struct(columns)}[]"
    return Function(name, call, parameters, optional, returns, as_table=True, volatile=True)


_MODEL = {"model": "VARCHAR"}

FUNCTIONS = (
    _table("thanosql_models", list_models, MODELS, {}, _MODEL),
    _table("thanosql_versions", list_versions, VERSIONS, _MODEL, {}),
    _table("thanosql_lineage", list_lineage, LINEAGE, _MODEL, {}),
    _table("thanosql_findings", list_findings, FINDINGS, _MODEL, {}),
    Function(
        "thanosql_rollback",
        roll_back,
        {"model": "VARCHAR", "version": "INTEGER"},
        {},
        "VARCHAR",
        runs_model=True,
        volatile=True,
    ),
    Function("thanosql_undelete", undelete, _MODEL, {}, "VARCHAR", runs_model=True, volatile=True),
    Function(
        "thanosql_collect_garbage",
        collect_garbage,
        {},
        {"keep": "INTEGER", "days": "DOUBLE"},
        f"{struct(COLLECTED)}[]",
        runs_model=True,
        as_table=True,
        volatile=True,
    ),
)
