"""JSON: an object a line, an array of objects, or such an array in the statement itself."""

from __future__ import annotations

from ...exceptions import DataError
from ...quoting import quote_name, quote_text
from .files import File, Found, Reading, Rows

#: What DuckDB calls the one column where it finds no object.
_NO_OBJECTS = {"json"}


def is_document(source: str) -> bool:
    """Tell whether a source is JSON itself, and no path."""
    text = source.strip()
    return (text[:1], text[-1:]) in (("[", "]"), ("{", "}"))


def documents(found: Found, reading: Reading) -> Rows:
    """Read JSON; a key that an object lacks is NULL, a nested one a struct or a list.

    Raises:
        DataError: it is no JSON, or has no objects.
    """
    # All rows are looked at: where its sample has whole numbers, DuckDB 2.0 reads a later 1.5 as 2.
    arguments = ["sample_size=-1", *(["union_by_name=true"] if len(found.files) > 1 else [])]
    if all(_has_lines(file) for file in found.files):
        arguments.append("format='newline_delimited'")
    columns = reading.staging.columns_of(f"SELECT * FROM {_call(found, arguments)}")
    if set(columns) == _NO_OBJECTS:
        if reading.types is not None and "json" not in reading.types and _is_empty(found, reading):
            return Rows(f"SELECT NULL AS {quote_name(next(iter(reading.types)))} LIMIT 0")
        raise DataError(f"{found.name} holds no objects, which rows would come of")
    # So the table's own types are read, and nothing takes a way through a guessed one.
    known = {**columns, **reading.wanted(columns)}
    typed = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in known.items())
    return Rows(f"SELECT * FROM {_call(found, [*arguments, f'columns={{{typed}}}'])}")


def _call(found: Found, arguments: list[str]) -> str:
    paths = ", ".join(quote_text(str(file.local)) for file in found.files)
    return f"read_json([{paths}], {', '.join(arguments)})"


def _has_lines(file: File) -> bool:
    suffixes = {suffix.lower() for suffix in file.local.suffixes}
    return bool(suffixes & {".jsonl", ".ndjson"})


def _is_empty(found: Found, reading: Reading) -> bool:
    paths = ", ".join(quote_text(str(file.local)) for file in found.files)
    sql = f"SELECT count(*) FROM read_json([{paths}])"
    return reading.staging.fetch_all(sql) == [(0,)]
