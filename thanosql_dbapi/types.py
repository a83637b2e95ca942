"""PEP 249's type objects, constructors and column descriptions.

A type code is the text of DuckDB's type (`"DECIMAL(10,2)"`, `"INTEGER[]"`); the type objects
compare equal to the codes of their kind. Nothing here knows a connection.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple

Date = dt.date
Time = dt.time
Timestamp = dt.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> dt.date:  # noqa: N802 - PEP 249 names it
    """Return the local date of `ticks`, in seconds since the epoch."""
    return dt.date.fromtimestamp(ticks)  # noqa: DTZ012 - local, says PEP 249


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 - PEP 249 names it
    """Return the local time of day of `ticks`, in seconds since the epoch."""
    return dt.datetime.fromtimestamp(ticks).time()  # noqa: DTZ006 - local, says PEP 249


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 - PEP 249 names it
    """Return the local time stamp of `ticks`, in seconds since the epoch."""
    return dt.datetime.fromtimestamp(ticks)  # noqa: DTZ006 - local, says PEP 249


class Column(NamedTuple):
    """One entry of `Cursor.description`, in PEP 249's order."""

    name: str
    type_code: str
    display_size: int | None = None
    internal_size: int | None = None
    precision: int | None = None
    scale: int | None = None
    null_ok: bool | None = None


_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)\Z")


def column(name: str, type_code: str) -> Column:
    """Describe a result column of DuckDB's type `type_code`."""
    decimal = _DECIMAL.match(type_code)
    if decimal is None:
        return Column(name, type_code)
    return Column(name, type_code, None, None, int(decimal[1]), int(decimal[2]))


class TypeObject:
    """A kind of types: equal to each type code of the kind."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return not other.endswith("]") and other.partition("(")[0] in self._names
        return isinstance(other, TypeObject) and self._names == other._names

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return f"TypeObject({', '.join(sorted(self._names))})"


STRING = TypeObject("VARCHAR", "UUID", "ENUM", "JSON")
BINARY = TypeObject("BLOB", "BIT")
NUMBER = TypeObject(
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "BIGNUM", "FLOAT", "DOUBLE"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "DECIMAL"),
)
DATETIME = TypeObject(
    "DATE",
    "TIME",
    "TIME WITH TIME ZONE",
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE",
    "INTERVAL",
)
ROWID = TypeObject("BIGINT")
