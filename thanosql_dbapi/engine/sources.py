"""The rows of a query, read to the end and given to DuckDB again in small batches.

DuckDB hands a function the vectors that a scan gives it: 2,048 rows of a table, but of Arrow data
whatever stands in a batch. So what is read from Arrow in small batches at first has its first rows
early. This module knows rows, and not what is done with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

#: The relation that a statement over rows in small batches reads.
SOURCE_VIEW: Final = "__thanosql_source"

#: What is read ahead at most, so that memory stays bounded: rows, and bytes of Arrow data.
SOURCE_ROWS: Final = 250_000
SOURCE_BYTES: Final = 256 << 20

#: Rows of the first batches; those after them have DuckDB's own 2,048, which a model packs well.
#: When the first row is given out DuckDB 2.0 has most times done two of them and begun the third.
FIRST_BATCHES: Final = (16, 16, 32, 64, 64, 64, 128, 128, 256, 256, 512, 512)
_VECTOR: Final = 2048

# Types that are the same after Arrow, with `arrow_lossless_conversion`. Not so in DuckDB 2.0: an
# ENUM comes back as VARCHAR, a TUPLE as STRUCT, an INTERVAL of more than 292 years in microseconds
# is cut. A BLOB survives, and is left out because whole files stand in such columns.
_FIT: Final = frozenset(
    """
    null boolean tinyint smallint integer bigint hugeint utinyint usmallint uinteger ubigint
    uhugeint bignum float double decimal varchar uuid bit date time time_ns timestamp timestamp_s
    timestamp_ms timestamp_ns timestamptz_ns
    """.split()  # noqa: SIM905 - a list of quoted words is longer and says no more
) | {"time with time zone", "timestamp with time zone"}
_NESTED: Final = frozenset({"list", "array", "struct", "map", "union"})


@dataclass(frozen=True, slots=True)
class SmallBatches:
    """Arrow data in batches that grow; DuckDB may read it as often as it likes."""

    rows: pa.Table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give out the rows from the first on."""
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self.rows.schema, self._growing())
        return reader.__arrow_c_stream__(requested_schema)

    def _growing(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        position = 0
        for size in chain(FIRST_BATCHES, repeat(_VECTOR)):
            parts = self.rows.slice(position, size).to_batches()
            if not parts:
                return
            # A copy: DuckDB 2.0 refuses nested columns of a batch that begins within another.
            yield pa.concat_batches([*parts, parts[0].slice(0, 0)])
            position += size


def read_source(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Any,
    is_given_up: Callable[[], bool],
) -> SmallBatches | None:
    """Read a query's rows; None where they are too many, too large, or would not come out again.

    The connection's `arrow_lossless_conversion` is on. `is_given_up` is asked between batches.

    Raises:
        duckdb.Error: the query fails.
    """
    query = connection.sql(sql, params=parameters)
    if not survives(query):
        return None
    with _as_duckdb_errors():
        return _read_within_limits(query, is_given_up)


def survives(query: duckdb.DuckDBPyRelation) -> bool:
    """Tell whether a query's columns are the same after Arrow."""
    return all(map(_survives, query.types))


def _survives(kind: Any) -> bool:
    """Tell whether the values of a type are the same after Arrow."""
    if kind.id in _NESTED:
        # An array's second child is its length.
        return all(_survives(child) for _, child in kind.children if not isinstance(child, int))
    return kind.id in _FIT


def _read_within_limits(
    query: duckdb.DuckDBPyRelation, is_given_up: Callable[[], bool]
) -> SmallBatches | None:
    import pyarrow as pa

    batches, rows, size = [], 0, 0
    # Lazily, so that what is beyond the limits is not computed.
    with query.to_arrow_reader(_VECTOR) as reader:
        for batch in reader:
            batches.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > SOURCE_ROWS or size > SOURCE_BYTES or is_given_up():
                return None
        return SmallBatches(pa.Table.from_batches(batches, reader.schema))


@contextlib.contextmanager
def _as_duckdb_errors() -> Iterator[None]:
    """Turn what DuckDB's errors become within an Arrow reader into DuckDB's errors again."""
    try:
        yield
    except OSError as error:
        # "Out of Range Error: …" is an OutOfRangeException.
        kind, _, _ = str(error).partition(" Error: ")
        wanted = f"{kind.replace(' ', '')}exception".casefold()
        by_name = {name.casefold(): found for name, found in vars(duckdb).items()}
        raise by_name.get(wanted, duckdb.Error)(str(error)) from error
