"""DuckDB's errors in PEP 249's words: the one seam where they are translated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from .. import exceptions
from ..session import Execution

_TRANSLATION: tuple[tuple[type[BaseException], type[exceptions.Error]], ...] = (
    (duckdb.InterruptException, exceptions.QueryInterrupted),
    (duckdb.NotSupportedError, exceptions.NotSupportedError),
    (duckdb.IntegrityError, exceptions.IntegrityError),
    (duckdb.DataError, exceptions.DataError),
    (duckdb.ProgrammingError, exceptions.ProgrammingError),
    (duckdb.OperationalError, exceptions.OperationalError),
    (duckdb.InternalError, exceptions.InternalError),
    (duckdb.Error, exceptions.DatabaseError),
    (RuntimeError, exceptions.OperationalError),
)


@contextlib.contextmanager
def translated(execution: Execution | None = None) -> Iterator[None]:
    """Turn DuckDB's exceptions into ours, by class; what a function raised goes first."""
    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        raised = execution.failure if execution is not None else None
        # What a function raises arrives as this class, always.
        if raised is not None and isinstance(error, duckdb.InvalidInputException):
            raise raised from error
        for theirs, ours in _TRANSLATION:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


@contextlib.contextmanager
def opening(database: str) -> Iterator[None]:
    """As `translated`; where a file that is there cannot be opened, say what to do."""
    try:
        with translated():
            yield
    except exceptions.OperationalError as error:
        # Another instance in this process, with other settings, is no IOException.
        if not (isinstance(error.__cause__, duckdb.IOException) and Path(database).is_file()):
            raise
        raise exceptions.OperationalError(
            f"'{database}' cannot be opened: {error}\n"
            "If another process has it open for writing, close it there, or open it with"
            " read_only=True in every process; if a newer DuckDB wrote it, upgrade the package"
            f" duckdb, which is {duckdb.__version__} here."
        ) from error.__cause__
