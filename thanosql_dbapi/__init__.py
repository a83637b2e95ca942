"""ThanoSQL as a Python driver: SQL with model statements, on embedded DuckDB.

    import thanosql_dbapi

    with thanosql_dbapi.connect("calls.db") as connection:
        cursor = connection.execute("PREDICT USING voice_tiny AS SELECT * FROM calls")
        for row in cursor:
            print(row)

The names here are the whole public surface; PEP 249 describes most of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .connection import Connection, connect
from .cursor import Cursor
from .exceptions import (
    CheckpointUnavailable,
    ColumnNotFound,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    MediaError,
    MissingExtra,
    ModelExists,
    ModelNotFound,
    ModelRefused,
    NotSupportedError,
    OperationalError,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
    ThanoSQLSyntaxError,
    TrainingError,
    Warning,  # noqa: A004 - PEP 249 names it
)
from .progress import ProgressEvent
from .types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Column,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)

if _TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell as _InteractiveShell

__version__ = "0.1.0"

apilevel = "2.0"
#: Threads may share the module and connections; cursors each have one thread at a time.
threadsafety = 2
paramstyle = "qmark"

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "CheckpointUnavailable",
    "Column",
    "ColumnNotFound",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "MediaError",
    "MissingExtra",
    "ModelExists",
    "ModelNotFound",
    "ModelRefused",
    "NotSupportedError",
    "OperationalError",
    "OptionError",
    "ProgrammingError",
    "ProgressEvent",
    "QueryInterrupted",
    "ThanoSQLSyntaxError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "TrainingError",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]


def load_ipython_extension(shell: _InteractiveShell) -> None:
    """Give a notebook the magics: what `%load_ext thanosql_dbapi` calls."""
    from . import notebook

    notebook.load_ipython_extension(shell)


def unload_ipython_extension(shell: _InteractiveShell) -> None:
    """Take the magics away: what `%unload_ext thanosql_dbapi` calls."""
    from . import notebook

    notebook.unload_ipython_extension(shell)
