"""The COPY statement: find the files, read them, fill the table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ...engine import Staging
from ...exceptions import Error, OperationalError, ProgrammingError, QueryInterrupted
from ...language.statements import CopyTable
from ...quoting import quote_text
from ..base import Answer, Surroundings, one_row
from . import delimited
from .columnar import arrow, parquet
from .documents import documents, is_document
from .files import File, Found, Reading, Rows, pattern_of
from .finding import find
from .kinds import MEDIA, Kind, is_pickle, kind_of
from .media_files import media_files
from .messages import told
from .options import given_options, refuse_misplaced
from .remote import is_remote, local_path, remote_kind
from .spreadsheets import spreadsheets
from .target import Target, in_transaction, target_of, write, zone_of

_READERS: Final[Mapping[Kind, Callable[[Found, Reading], Rows]]] = {
    Kind.CSV: delimited.delimited,
    Kind.PARQUET: parquet,
    Kind.JSON: documents,
    Kind.ARROW: arrow,
    Kind.SPREADSHEET: spreadsheets,
    **dict.fromkeys(MEDIA, media_files),
}

#: What DuckDB opens itself, and complains of.
_BY_DUCKDB: Final = frozenset({Kind.CSV, Kind.JSON, Kind.PARQUET})

#: Where DuckDB finds files by its extension httpfs.
_DUCKDBS_PROTOCOLS: Final = ("http://", "https://", "s3://", "s3a://", "gcs://", "gs://", "r2://")

#: What DuckDB's own COPY does not read, or reads as something else.
_OURS: Final = MEDIA | {Kind.ARROW, Kind.SPREADSHEET}


def copy_table(statement: CopyTable, around: Surroundings) -> Answer:
    """Make, replace or extend a table; answer its name and how many rows came in.

    Raises:
        ProgrammingError: the table exists, and `if_exists` does not say what to do.
        OperationalError: there is no such file.
        DataError: the file is not what it should be; the table is left as it was.
    """
    source = around.text(statement.source)
    options = given_options(statement, around)
    target = target_of(statement.table.text, around.engine)
    if target.exists and not statement.has_options and _is_duckdbs(source, around):
        return _answer(target, _duckdb_append(target, source, around))
    if target.exists and options["if_exists"] == "fail":
        raise ProgrammingError(
            f"the table {target.name} exists already; OPTIONS (if_exists='replace') or"
            " (if_exists='append') says what to do"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="thanosql-") as folder:
            found = find(source, options, around, Path(folder))
            refuse_misplaced(options, found.kind, found.name)
            return _answer(target, _copy(found, target, options, Path(folder), around))
    except OSError as error:  # a file that may not be read, or a disk that is full
        raise OperationalError(f"COPY {target.name}: {error}") from error


def _is_duckdbs(source: str, around: Surroundings) -> bool:
    """Tell whether DuckDB's own COPY appends what the source is, where the table is there."""
    if is_remote(source):
        return remote_kind(source) in _BY_DUCKDB and source.lower().startswith(_DUCKDBS_PROTOCOLS)
    if is_document(source) or is_pickle(source) or kind_of(source) in _OURS:
        return False
    return not around.session.path(source).is_dir()


def _duckdb_append(target: Target, source: str, around: Surroundings) -> int:
    """Append as DuckDB's own COPY does, column by column; a relative path starts from the root.

    Where a transaction is open, a twin of the table takes the rows first: what fails costs nothing.
    """
    engine, table = around.engine, target.name
    where = source if is_remote(source) else _pattern(local_path(source), around)
    try:
        if not in_transaction(engine):
            return engine.execute(f"COPY {table} FROM {quote_text(where)}").rowcount
        with engine.staging(around.execution) as staging:
            staging.follow(zone_of(engine))
            kept = staging.keep_copy(target.types or {}, where)
            return engine.execute(f"INSERT INTO {table} SELECT * FROM {kept}").rowcount
    except QueryInterrupted:
        raise
    except Error as error:
        if is_remote(source) and "extension" in str(error):
            raise OperationalError(
                "DuckDB appends from a URL by its extension httpfs, which cannot be had here;"
                " OPTIONS (if_exists='append') needs none"
            ) from error
        path = around.session.path(local_path(source))
        raise told(error, [File(source, source, path)], guessed=False) from error


def _pattern(source: str, around: Surroundings) -> str:
    """Return a path or a pattern for DuckDB, to which a file's and the root's name are none."""
    path, root = around.session.path(source), around.session.root
    if path.exists():
        return pattern_of(path)
    if path.is_relative_to(root):
        return f"{pattern_of(root)}/{path.relative_to(root)}"
    return str(path)


def _copy(
    found: Found,
    target: Target,
    options: Mapping[str, Any],
    folder: Path,
    around: Surroundings,
) -> int:
    mode = options["if_exists"]
    types = target.folded_types() if target.exists and mode == "append" else None
    with around.engine.staging(around.execution) as staging:
        staging.follow(zone_of(around.engine))
        reading = Reading(around, options, staging, folder, types)
        try:
            rows = _READERS[found.kind](found, reading)
            count = _write(rows, target, mode, found, staging, around)
        except Error as error:
            better = _explained(error, found, options, guessed=types is None)
            if better is error:
                raise
            raise better from error
        if found.kind is Kind.CSV and types is None:
            delimited.warn_of_left_out(found, _names(target.name, around), reading)
    return count


def _write(
    rows: Rows, target: Target, mode: str, found: Found, staging: Staging, around: Surroundings
) -> int:
    try:
        return write(rows, target, mode, found, staging, around)
    except Error as error:
        again = rows.again(error)
        if again is None:
            raise
    return write(again, target, mode, found, staging, around)


def _explained(error: Error, found: Found, options: Mapping[str, Any], *, guessed: bool) -> Error:
    """Say what is wrong in which file, where DuckDB said it; return another error as it is."""
    if error.__cause__ is None or isinstance(error, QueryInterrupted):
        return error
    if found.kind is Kind.CSV and options["encoding"] == "utf-8":
        better = delimited.explained(error, found)
        if better is not error:
            return better
    return told(error, found.files, guessed=guessed) if found.kind in _BY_DUCKDB else error


def _names(table: str, around: Surroundings) -> list[str]:
    sql = f"PRAGMA table_info({quote_text(table)})"
    return [str(row[1]) for row in around.engine.execute(sql).fetch_all()]


def _answer(target: Target, rows: int) -> Answer:
    return one_row({"table_name": ("VARCHAR", target.name), "rows": ("BIGINT", rows)})
