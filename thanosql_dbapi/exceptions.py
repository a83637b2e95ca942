"""Everything the driver raises: PEP 249's tree with the product's leaves.

Warning:
    Error
    ├── InterfaceError
    └── DatabaseError
        ├── DataError
        │   └── MediaError                a file that is missing, or is not what it should be
        ├── OperationalError
        │   ├── CheckpointUnavailable     weights that are neither here nor to be fetched
        │   ├── TrainingError             a training run that could not go on
        │   │   └── ModelRefused          trained, but too bad to take the name
        │   └── QueryInterrupted          stopped by `Connection.interrupt`
        ├── IntegrityError
        ├── InternalError
        ├── ProgrammingError
        │   ├── ThanoSQLSyntaxError       with line, column and caret
        │   ├── OptionError               an unknown option, or a value it does not take
        │   ├── ColumnNotFound
        │   ├── ModelNotFound
        │   └── ModelExists
        └── NotSupportedError
            └── MissingExtra              an optional package is not installed

A user can catch PEP 249's class or the leaf. The leaves know nothing but their message.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from enum import StrEnum


class Warning(Exception):  # noqa: A001 - PEP 249 names it
    """An important warning, as PEP 249 defines it."""


class Error(Exception):
    """The base of all errors of this driver."""


class InterfaceError(Error):
    """The driver was used wrongly: a closed cursor, say."""


class DatabaseError(Error):
    """An error that comes from the database or a model."""


class DataError(DatabaseError):
    """A value could not be processed."""


class OperationalError(DatabaseError):
    """Something outside the program's control failed: a file, a lock, memory, a network."""


class IntegrityError(DatabaseError):
    """A constraint of the database was violated."""


class InternalError(DatabaseError):
    """The database met an internal fault."""


class ProgrammingError(DatabaseError):
    """The statement was wrong: its syntax, a name, a number of parameters."""


class NotSupportedError(DatabaseError):
    """Something that this database or this version does not do."""


class MediaReason(StrEnum):
    """Why a medium could not be used; PREDICT's `error_col` holds these words."""

    MISSING = "missing"
    UNREACHABLE = "unreachable"
    NOT_AUDIO = "not audio"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    SILENT = "silent"
    DECODING_FAILED = "decoding failed"
    MODEL_FAILED = "model failed"


class MediaError(DataError):
    """A medium is missing, cannot be read as what it should be, or a model fails on it.

    `reason` is one of `MediaReason`; the message says more.
    """

    def __init__(self, message: str, reason: MediaReason = MediaReason.DECODING_FAILED) -> None:
        super().__init__(message)
        self.reason = reason


class CheckpointUnavailable(OperationalError):
    """The weights of a base model are neither on this machine nor to be fetched."""


class TrainingError(OperationalError):
    """A training run could not go on."""


class ModelRefused(TrainingError):
    """A model was trained, and is too bad to be what its name means.

    `version` names it all the same: `m@4`.
    """

    def __init__(self, message: str, version: str) -> None:
        super().__init__(message)
        self.version = version


class QueryInterrupted(OperationalError):
    """The statement was stopped by `Connection.interrupt`."""


class ThanoSQLSyntaxError(ProgrammingError):
    """A model statement does not fit the grammar; the message shows line, column and a caret."""

    def __init__(self, problem: str, text: str, position: int) -> None:
        line_start = text.rfind("\n", 0, position) + 1
        line_end = text.find("\n", position)
        shown = text[line_start : len(text) if line_end < 0 else line_end]
        self.line = text.count("\n", 0, position) + 1
        self.column = position - line_start + 1
        caret = "".join("\t" if c == "\t" else " " for c in shown[: self.column - 1]) + "^"
        super().__init__(f"{problem} (line {self.line}, column {self.column})\n{shown}\n{caret}")


class OptionError(ProgrammingError):
    """An option is unknown where it stands, or its value is not one it takes."""


class ColumnNotFound(ProgrammingError):
    """A query lacks the column that a statement needs."""


class ModelNotFound(ProgrammingError):
    """No model or base model has this name."""


class ModelExists(ProgrammingError):
    """The name is taken, and `overwrite` was not asked for."""


class MissingExtra(NotSupportedError):
    """A package that this statement needs is not installed; the message names the extra."""


def callers_level() -> int:
    """Return the `stacklevel` for a warning, here where it is given, to name the caller's line.

    That is the first line outside of this package.
    """
    package = __name__.partition(".")[0]
    frames = inspect.stack(context=0)[1:]
    stack = [str(frame.frame.f_globals.get("__name__")) for frame in frames]
    outside = (level for level, name in enumerate(stack, 1) if name.partition(".")[0] != package)
    return next(outside, len(stack))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the known name nearest to `name`, or an empty string."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f" Did you mean '{by_fold[found[0]]}'?" if found else ""
