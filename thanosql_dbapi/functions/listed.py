"""Lists of models and datasets: what LIST reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..assets import CATALOGUE, DATASETS
from ..exceptions import DataError
from ..session import Execution
from .base import Function

if TYPE_CHECKING:
    import pyarrow as pa


def list_models(execution: Execution, kind: pa.ChunkedArray) -> pa.Array:
    """List models: those of the workspace (`model`), or of the catalogue (`thanosql_model`).

    `published` tells whether a version of it is in force; those of the catalogue have none.
    """
    import pyarrow as pa

    fields = [
        ("name", pa.string()),
        ("class_name", pa.string()),
        ("last_updated_utc", pa.timestamp("us")),
        ("published", pa.bool_()),
    ]
    listed = [list(_models(execution, text)) for text in kind.to_pylist()]
    return pa.array(listed, pa.list_(pa.struct(fields)))


def _models(execution: Execution, kind: str) -> Iterator[dict[str, Any]]:
    if kind == "model":
        for model in execution.session.workspace.registry.listed():
            yield {
                "name": model.name,
                "class_name": model.class_name,
                "last_updated_utc": model.updated.replace(tzinfo=None),
                "published": model.published,
            }
    elif kind == "thanosql_model":
        for entry in CATALOGUE.values():
            yield {
                "name": entry.name,
                "class_name": entry.base,
                "last_updated_utc": entry.updated.replace(tzinfo=None),
            }
    else:
        raise DataError(f"there is no list of models '{kind}'")


def list_datasets(_execution: Execution, kind: pa.ChunkedArray) -> pa.Array:
    """List the datasets of the catalogue."""
    import pyarrow as pa

    fields = [("name", pa.string()), ("data_type", pa.string())]
    listed = [{"name": d.name, "data_type": d.data_type} for d in DATASETS.values()]
    return pa.array([listed] * len(kind), pa.list_(pa.struct(fields)))


FUNCTIONS = (
    Function(
        "thanosql_list_models",
        list_models,
        {"kind": "VARCHAR"},
        {},
        "STRUCT(name VARCHAR, class_name VARCHAR, last_updated_utc TIMESTAMP, published BOOLEAN)[]",
        volatile=True,
    ),
    Function(
        "thanosql_list_datasets",
        list_datasets,
        {"kind": "VARCHAR"},
        {},
        "STRUCT(name VARCHAR, data_type VARCHAR)[]",
    ),
)
