"""COPY: a table from a file, or from a folder of media files."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..exceptions import DataError, Error, NotSupportedError, OptionError, ProgrammingError
from ..language.statements import CopyTable
from ..media.audio import SUFFIXES as AUDIO_SUFFIXES
from ..options import OptionSpec, read_options
from ..quoting import quote_text
from .base import Answer, Surroundings, one_row

OPTIONS = (
    OptionSpec(
        "if_exists",
        str,
        "fail",
        "what to do where the table exists",
        choices=("fail", "replace", "append"),
    ),
    OptionSpec("overwrite", bool, False, "the older spelling of if_exists='replace'"),
)

_READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".txt": "read_csv",
    ".parquet": "read_parquet",
    ".pqt": "read_parquet",
}
_PICKLES = frozenset({".pkl", ".pickle", ".p", ".joblib"})
_LATER = frozenset({".xls", ".xlsx", ".json", ".jsonl", ".ndjson"})


def copy_table(statement: CopyTable, around: Surroundings) -> Answer:
    """Make, replace or extend a table; answer its name and how many rows came in.

    Raises:
        ProgrammingError: the table exists, and `if_exists` does not say what to do.
        OperationalError: there is no such file.
        DataError: the file is not what it should be; the table is left as it was.
    """
    table = statement.table.text
    source = around.text(statement.source)
    mode = _mode(statement, around)
    exists = _table_exists(table, around)
    if exists and not statement.has_options and not around.session.path(source).is_dir():
        return _answer(table, _duckdb_append(table, source, around))
    if exists and mode == "fail":
        raise ProgrammingError(
            f"the table {table} exists already; OPTIONS (if_exists='replace') or"
            " (if_exists='append') says what to do"
        )
    head = f"INSERT INTO {table} BY NAME" if exists and mode == "append" else _create(table, mode)
    return _answer(table, _load(head, source, around))


def _duckdb_append(table: str, source: str, around: Surroundings) -> int:
    """Append as DuckDB does without us; only a relative path starts from the root."""
    path = around.session.path(source)
    found = str(path) if path.exists() else source
    return around.engine.execute(f"COPY {table} FROM {quote_text(found)}").rowcount


def _mode(statement: CopyTable, around: Surroundings) -> str:
    given = around.scope.option_values(statement.options)
    options = read_options(given, OPTIONS, statement="COPY")
    names = {name for name, _ in given}
    if {"if_exists", "overwrite"} <= names:
        raise OptionError("if_exists and overwrite are one option: give one of them")
    return "replace" if options["overwrite"] else str(options["if_exists"])


def _create(table: str, mode: str) -> str:
    return f"CREATE {'OR REPLACE ' if mode == 'replace' else ''}TABLE {table} AS"


def _table_exists(table: str, around: Surroundings) -> bool:
    try:
        around.engine.execute(f"PRAGMA table_info({quote_text(table)})").fetch_all()
    except ProgrammingError:
        return False
    return True


def _load(head: str, source: str, around: Surroundings) -> int:
    """Run the statement that `head` begins with the rows of `source`; return how many."""
    if source.lstrip().startswith(("[", "{")):
        raise NotSupportedError("COPY from a JSON array is not supported yet; csv and parquet are")
    if "://" in source or any(c in source for c in "*?["):
        raise NotSupportedError("COPY from a URL or a pattern is not supported yet")
    path = around.existing_path(source)
    if path.is_dir():
        return _load_folder(head, path, source, around)
    reader = _reader(path, source)
    try:
        sql = f"{head} SELECT * FROM {reader}({quote_text(str(path))})"
        return around.engine.execute(sql).rowcount
    except Error as error:
        if reader == "read_csv" and (place := _not_utf8(path)):
            raise DataError(
                f"'{source}' is not UTF-8: line {place[0]} holds the byte 0x{place[1]:02x}."
                " Save it as UTF-8 and copy it again."
            ) from error
        raise


def _reader(path: Path, source: str) -> str:
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise NotSupportedError(
            f"'{source}' is a pickle, and reading one can run any program that is hidden in it:"
            " save the table as parquet or csv"
        )
    if suffix in _LATER:
        raise NotSupportedError(f"COPY from {suffix} is not supported yet; csv and parquet are")
    if suffix not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise NotSupportedError(
            f"COPY cannot tell what '{source}' is; it reads {known} and folders of audio files"
        )
    return _READERS[suffix]


def _not_utf8(path: Path) -> tuple[int, int] | None:
    """Return line and value of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as file:
        for chunk in _chunks(file):
            try:
                line += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                data = bytes(error.object)
                return line + data[: error.start].count(b"\n"), data[error.start]
    return None


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk


def _load_folder(head: str, folder: Path, source: str, around: Surroundings) -> int:
    import pyarrow as pa

    from ..engine import ROWS_VIEW

    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        known = ", ".join(sorted(AUDIO_SUFFIXES))
        raise DataError(f"the folder '{source}' holds no audio file ({known})")
    # Written as the user wrote the folder: relative to the root, or absolute.
    paths = [Path(os.path.normpath(source), file.name).as_posix() for file in files]
    rows = pa.table({"audio_path": paths})
    return around.engine.insert_rows(f"{head} SELECT * FROM {ROWS_VIEW}", rows).rowcount


def _answer(table: str, rows: int) -> Answer:
    return one_row({"table_name": ("VARCHAR", table), "rows": ("BIGINT", rows)})
