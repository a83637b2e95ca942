"""Values as DuckDB's SQL writes them, where they stand in a statement's text.

It knows Python's types, and none of SQLAlchemy's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import exc

#: What makes of a value another one, or its text.
Processor: TypeAlias = Callable[[Any], Any]


def quoted(text: str) -> str:
    """Write a text."""
    return "'" + text.replace("'", "''") + "'"


def decimal_literal(value: Any) -> str:
    """Write a number that is to be exact."""
    if isinstance(value, float):
        return float_literal(value)
    # Not in the scientific notation, which DuckDB reads as a DOUBLE; 1 alone is an INTEGER.
    text = format(value if isinstance(value, Decimal) else Decimal(value), "f")
    return text if "." in text else f"{text}."


def float_literal(value: float) -> str:
    """Write a DOUBLE, infinities and NaN among them."""
    text = repr(value)
    if text in {"nan", "inf", "-inf"}:
        return f"CAST('{text}' AS DOUBLE)"
    # 1.5 alone is a DECIMAL in DuckDB.
    return text if "e" in text else f"{text}e0"


def blob_literal(value: bytes) -> str:
    """Write a BLOB."""
    escaped = "".join(f"\\x{byte:02X}" for byte in value)
    return f"CAST('{escaped}' AS BLOB)"


def uuid_literal(value: UUID | str) -> str:
    """Write a UUID."""
    return f"CAST({quoted(str(value))} AS UUID)"


def date_literal(value: dt.date) -> str:
    """Write a DATE, of a time stamp too."""
    day = value.date() if isinstance(value, dt.datetime) else value
    return f"DATE '{day.isoformat()}'"


def time_literal(value: dt.time, zoned: bool) -> str:
    """Write a TIME, or one with an offset."""
    return f"{'TIMETZ' if zoned else 'TIME'} '{value.isoformat()}'"


def timestamp_literal(value: dt.datetime, zoned: bool) -> str:
    """Write a TIMESTAMP, or one that is a point in time."""
    return f"{'TIMESTAMPTZ' if zoned else 'TIMESTAMP'} '{value.isoformat(sep=' ')}'"


def interval_literal(value: dt.timedelta) -> str:
    """Write an INTERVAL."""
    microseconds = value.seconds * 1_000_000 + value.microseconds
    return f"INTERVAL '{value.days} days {microseconds} microseconds'"


def list_literal(items: Iterable[str]) -> str:
    """Write a list of items that are written already."""
    return f"[{', '.join(items)}]"


def python_literal(value: Any) -> str:
    """Write a value by its Python type, where no SQL type says more.

    Raises:
        sqlalchemy.exc.CompileError: no literal of DuckDB's is known for its type.
    """
    if value is None:
        return "NULL"
    for kind, write in _LITERALS.items():
        if isinstance(value, kind):
            text: str = write(value)
            return text
    raise exc.CompileError(f"no literal is known for {value!r}, of {type(value).__name__}")


_LITERALS: dict[type | tuple[type, ...], Processor] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    float: float_literal,
    str: quoted,
    bytes: blob_literal,
    Decimal: decimal_literal,
    UUID: uuid_literal,
    dt.datetime: lambda value: timestamp_literal(value, value.tzinfo is not None),
    dt.date: date_literal,
    dt.time: lambda value: time_literal(value, value.tzinfo is not None),
    dt.timedelta: interval_literal,
    Mapping: lambda value: (
        "{" + ", ".join(f"{quoted(str(k))}: {python_literal(v)}" for k, v in value.items()) + "}"
    ),
    (list, tuple): lambda value: list_literal(map(python_literal, value)),
}
