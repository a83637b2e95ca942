"""JSON: an object a line, an array of objects, or such an array in the statement itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

from ...exceptions import DataError, Error, QueryInterrupted
from ...quoting import quote_name, quote_text
from .delimited import recode, unpacked
from .files import NO_TYPE, File, Found, Reading, Rows

#: What DuckDB calls the one column where it finds no object, or takes all of them for maps.
_NO_OBJECTS: Final = {"json"}

#: Objects, with a column for each key, however many there are.
_RECORDS: Final = ("records=true", "map_inference_threshold=-1")

#: DuckDB reads JSON in UTF-8 without a mark.
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_NUMBERED: Final = re.compile(r"(.*)_[0-9]+", re.DOTALL)


def is_document(source: str) -> bool:
    """Tell whether a source is JSON itself, and no path."""
    text = source.strip("\ufeff \t\r\n")
    return (text[:1], text[-1:]) in (("[", "]"), ("{", "}"))


def documents(found: Found, reading: Reading) -> Rows:
    """Read JSON; a key that an object lacks is NULL, a nested one a struct or a list.

    Raises:
        DataError: it is no JSON, or has no objects.
    """
    found = _unmarked(found, reading)
    # All rows are looked at: where its sample has whole numbers, DuckDB 2.0 reads a later 1.5 as 2.
    arguments = ["sample_size=-1", *(["union_by_name=true"] if len(found.files) > 1 else [])]
    if all(_has_lines(file) for file in found.files):
        arguments.append("format='newline_delimited'")
    columns = reading.staging.columns_of(f"SELECT * FROM {_call(found, arguments)}")
    if set(columns) == _NO_OBJECTS:
        arguments += _RECORDS
        try:
            columns = reading.staging.columns_of(f"SELECT * FROM {_call(found, arguments)}")
        except QueryInterrupted:
            raise
        except Error as error:
            if reading.types is not None and _is_empty(found, reading):
                return Rows(f"SELECT NULL AS {quote_name(next(iter(reading.types)))} LIMIT 0")
            raise DataError(f"{found.name} holds no objects, which rows would come of") from error
    if _has_renamed(columns):  # by its new name a key would not be found
        return Rows(f"SELECT * FROM {_call(found, arguments)}")
    # So the table's own types are read, and nothing takes a way through a guessed one.
    known = {name: "VARCHAR" if kind == NO_TYPE else kind for name, kind in columns.items()}
    known |= reading.wanted(columns)
    typed = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in known.items())
    return Rows(f"SELECT * FROM {_call(found, [*arguments, f'columns={{{typed}}}'])}")


def _call(found: Found, arguments: list[str]) -> str:
    return f"read_json({found.paths}, {', '.join(arguments)})"


def _has_lines(file: File) -> bool:
    path = PurePath(file.local.name.lower())
    if path.suffix in (".gz", ".zst"):
        path = PurePath(path.stem)
    return path.suffix in (".jsonl", ".ndjson")


def _has_renamed(columns: Mapping[str, str]) -> bool:
    """Tell whether DuckDB may have renamed a key that another one is but for its case."""
    folded = {name.lower() for name in columns}
    numbered = (_NUMBERED.fullmatch(name.lower()) for name in columns)
    return any(match[1] in folded for match in numbered if match)


def _unmarked(found: Found, reading: Reading) -> Found:
    files = []
    for number, file in enumerate(found.files):
        encoding = _marked(file)
        if encoding is not None:
            path = reading.folder / f"{number}{'.jsonl' if _has_lines(file) else '.json'}"
            recode(file, path, encoding, reading)
            files.append(File(file.text, file.name, path))
        else:
            files.append(file)
    return Found(found.kind, tuple(files), found.name)


def _marked(file: File) -> str | None:
    """Return the encoding that the mark at a file's beginning tells; None without one."""
    try:
        with unpacked(file.local) as opened:
            begins = opened.read(4)
    except OSError:  # it is not packed as its name says: DuckDB tells
        return None
    return next((name for mark, name in _MARKS.items() if begins.startswith(mark)), None)


def _is_empty(found: Found, reading: Reading) -> bool:
    sql = f"SELECT count(*) FROM read_json({found.paths})"
    return reading.staging.fetch_all(sql) == [(0,)]
