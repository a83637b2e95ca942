"""Parquet, and Arrow's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...exceptions import DataError
from ...quoting import quote_name
from .files import NO_TYPE, File, Found, Reading, Rows, arrow_rows

if TYPE_CHECKING:
    import pyarrow as pa


def parquet(found: Found, reading: Reading) -> Rows:
    """Read parquet files; several of them by the names of their columns."""
    union = ", union_by_name=true" if len(found.files) > 1 else ""
    sql = f"SELECT * FROM read_parquet({found.paths}{union})"
    # A column without a value has no type, and DuckDB could put nothing into it.
    untyped = [name for name, kind in reading.staging.columns_of(sql).items() if kind == NO_TYPE]
    if not untyped:
        return Rows(sql)
    texts = ", ".join(f"CAST({quote_name(n)} AS VARCHAR) AS {quote_name(n)}" for n in untyped)
    return Rows(f"SELECT * REPLACE ({texts}) FROM ({sql})")


def arrow(found: Found, _reading: Reading) -> Rows:
    """Read Arrow's files, as Feather 2 or IPC, with a footer or as a stream.

    Raises:
        DataError: one is no such file, or they do not go together.
    """
    import pyarrow as pa

    tables = [_table(file) for file in found.files]
    if len(tables) == 1:
        return arrow_rows(tables[0])
    try:
        return arrow_rows(pa.concat_tables(tables, promote_options="permissive"))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the columns of {found.name} do not go together: {error}") from error


def _table(file: File) -> pa.Table:
    import pyarrow as pa

    with file.local.open("rb") as opened:
        begins = opened.read(6)
        opened.seek(0)
        try:
            if begins == b"ARROW1":
                table = pa.ipc.open_file(opened).read_all()
            else:
                table = pa.ipc.open_stream(opened).read_all()
            table.validate(full=True)  # DuckDB trusts offsets and texts
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"'{file.name}' is no Arrow file, or not whole ({error})") from error
    if not table.num_columns:
        raise DataError(f"'{file.name}' has no columns")
    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table
