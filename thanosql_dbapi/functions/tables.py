"""Lists of structs over Arrow: what a function returns that SQL reads as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def tables(found: Sequence[Iterable[Mapping[str, Any]] | None], columns: Mapping[str, str]) -> Any:
    """Return a list of rows for each call; None is NULL, which has no rows.

    `columns` names each column's type as DuckDB does; what a row lacks is NULL.
    """
    import pyarrow as pa

    struct = pa.struct([(name, _arrow(kind)) for name, kind in columns.items()])
    lists = [None if rows is None else [dict(row) for row in rows] for rows in found]
    return pa.array(lists, pa.list_(struct))


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    return {
        "BIGINT": pa.int64(),
        "BOOLEAN": pa.bool_(),
        "DOUBLE": pa.float64(),
        "INTEGER": pa.int32(),
        "TIMESTAMP": pa.timestamp("us"),
        "VARCHAR": pa.string(),
    }[kind]
