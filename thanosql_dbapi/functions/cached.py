"""The predictions that are kept: listing and forgetting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..session import Execution
from .base import Function, struct

if TYPE_CHECKING:
    import pyarrow as pa

#: What `list_cache` returns, in DuckDB's types.
CACHE: Mapping[str, str] = {
    "model": "VARCHAR",
    "text": "VARCHAR",
    "score": "DOUBLE",
    "seconds": "DOUBLE",
    "precision": "VARCHAR",
    "options": "VARCHAR",
    "audio_digest": "VARCHAR",
    "model_digest": "VARCHAR",
    "created_utc": "TIMESTAMP",
    "used_utc": "TIMESTAMP",
    "size_bytes": "BIGINT",
}


def list_cache(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List the predictions kept of a model of this name, of all for NULL: see `CACHE`."""
    import pyarrow as pa

    types = {"DOUBLE": pa.float64(), "TIMESTAMP": pa.timestamp("us"), "BIGINT": pa.int64()}
    fields = [(name, types.get(duckdb_type, pa.string())) for name, duckdb_type in CACHE.items()]
    entries = execution.session.workspace.cache.entries()
    listed = [
        [entry for entry in entries if name in (None, entry["model"])] for name in model.to_pylist()
    ]
    return pa.array(listed, pa.list_(pa.struct(fields)))


def clear_cache(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """Forget what was predicted by a model of this name, by all for NULL; return how much went."""
    import pyarrow as pa

    cache = execution.session.workspace.cache
    return pa.array([cache.clear(name) for name in model.to_pylist()], pa.int64())


FUNCTIONS = (
    Function(
        "thanosql_cache",
        list_cache,
        {},
        {"model": "VARCHAR"},
        f"{struct(CACHE)}[]",
        as_table=True,
        volatile=True,
    ),
    Function(
        "thanosql_clear_cache",
        clear_cache,
        {},
        {"model": "VARCHAR"},
        "BIGINT",
        runs_model=True,
        volatile=True,
    ),
)
