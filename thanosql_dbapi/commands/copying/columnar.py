"""Parquet, and Arrow's own files."""

from __future__ import annotations

from ...exceptions import DataError
from ...quoting import quote_text
from .files import File, Found, Reading, Rows, arrow_rows


def parquet(found: Found, _reading: Reading) -> Rows:
    """Read parquet files; several of them by the names of their columns."""
    paths = ", ".join(quote_text(str(file.local)) for file in found.files)
    union = ", union_by_name=true" if len(found.files) > 1 else ""
    return Rows(f"SELECT * FROM read_parquet([{paths}]{union})")


def arrow(found: Found, _reading: Reading) -> Rows:
    """Read Arrow's files, as Feather 2 or IPC, with a footer or as a stream.

    Raises:
        DataError: one is no such file, or they do not go together.
    """
    import pyarrow as pa

    tables = [_table(file) for file in found.files]
    try:
        return arrow_rows(pa.concat_tables(tables, promote_options="permissive"))
    except pa.ArrowInvalid as error:
        raise DataError(f"the columns of {found.name} do not go together: {error}") from error


def _table(file: File) -> object:
    import pyarrow as pa

    with file.local.open("rb") as opened:
        begins = opened.read(6)
        opened.seek(0)
        try:
            if begins == b"ARROW1":
                return pa.ipc.open_file(opened).read_all()
            return pa.ipc.open_stream(opened).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"'{file.name}' is no Arrow file, or not whole ({error})") from error
