"""Python's values for SQL: as parameters, and written out where DuckDB takes no parameter."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from ..exceptions import ProgrammingError
from ..quoting import quote_text

_TYPES: tuple[tuple[type, str], ...] = (
    (dt.datetime, "TIMESTAMP"),
    (dt.date, "DATE"),
    (dt.time, "TIME"),
    (uuid.UUID, "UUID"),
)


def plain(name: str, value: Any) -> Any:
    """Return the value of a variable as DuckDB takes it: numpy's and pandas' as Python's.

    Raises:
        ProgrammingError: SQL has no such value.
    """
    kind = type(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, enum.Enum):
        return plain(name, value.value)
    if isinstance(value, memoryview):
        return value.tobytes()
    if isinstance(value, dt.datetime) and hasattr(value, "to_pydatetime"):
        return value.to_pydatetime(warn=False)
    if hasattr(value, "notna") and value.ndim == 1:  # a Series has NaN for what is missing
        pairs = zip(value.astype(object).tolist(), value.notna().tolist(), strict=True)
        return [plain(name, item) if known else None for item, known in pairs]
    if str(getattr(value, "dtype", "")) in ("datetime64[ns]", "timedelta64[ns]"):
        value = value.astype(str(value.dtype).replace("ns", "us"))  # a list of these has integers
    if hasattr(value, "tolist") and not hasattr(value, "__dataframe__"):
        listed = value.tolist()  # numpy's arrays and scalars, pandas' arrays
        return [plain(name, item) for item in listed] if isinstance(listed, list) else listed
    if kind.__name__ == "Series":  # of polars
        return [plain(name, item) for item in value.to_list()]
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(name, item) for item in value]
    if isinstance(value, dict):
        return {key: plain(name, item) for key, item in value.items()}
    if value is None or isinstance(value, _SCALARS):
        return value
    raise ProgrammingError(
        f"the variable '{name}' is a {kind.__name__}, and no value of SQL: numbers, texts, dates,"
        " bytes, and lists and dicts of them are"
    )


_SCALARS = (
    *(str, bytes, bytearray, bool, int, float, Decimal),
    *(dt.date, dt.time, dt.timedelta, uuid.UUID),
)


def literal(name: str, value: Any) -> str:
    """Write a value out.

    Raises:
        ProgrammingError: SQL has no such value.
    """
    value = plain(name, value)
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return f"'{float(value)}'::DOUBLE"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
    if isinstance(value, list):
        return f"[{', '.join(literal(name, item) for item in value)}]"
    if isinstance(value, dict):
        items = (f"{quote_text(str(key))}: {literal(name, item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, dt.timedelta):
        return f"INTERVAL {quote_text(f'{value // dt.timedelta(microseconds=1)} microseconds')}"
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return f"{quote_text(value.isoformat())}::TIMESTAMPTZ"
    for kind, name_of_type in _TYPES:
        if isinstance(value, kind):
            return f"{quote_text(str(value))}::{name_of_type}"
    return quote_text(str(value))
