"""DuckDB's dates, times, time stamps and intervals."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sqlalchemy import cast
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.type_api import NativeForEmulated

from .literals import Processor, date_literal, interval_literal, time_literal, timestamp_literal

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect


class ThanoSQLDate(sqltypes.Date):
    """Dates, written out as DATE '…'."""

    def literal_processor(self, dialect: Dialect) -> Processor:
        return date_literal


class ThanoSQLTime(sqltypes.Time):
    """Times, written out as TIME '…'."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        # DuckDB 2.0 takes no time whose offset is negative; as text it does.
        return _with_offset if self.timezone else super().bind_processor(dialect)

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        return cast(bindvalue, self) if self.timezone else bindvalue

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: time_literal(value, self.timezone)


class ThanoSQLDateTime(sqltypes.DateTime):
    """Time stamps, written out as TIMESTAMP '…'."""

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: timestamp_literal(value, self.timezone)


class TIMESTAMP_S(ThanoSQLDateTime):
    """A time stamp of whole seconds."""

    __visit_name__ = "TIMESTAMP_S"


class TIMESTAMP_MS(ThanoSQLDateTime):
    """A time stamp of milliseconds."""

    __visit_name__ = "TIMESTAMP_MS"


class TIMESTAMP_NS(ThanoSQLDateTime):
    """A time stamp of nanoseconds; Python's values carry microseconds."""

    __visit_name__ = "TIMESTAMP_NS"


class TIMESTAMPTZ_NS(ThanoSQLDateTime):
    """A point in time, in nanoseconds; Python's values carry microseconds."""

    __visit_name__ = "TIMESTAMPTZ_NS"

    def __init__(self) -> None:
        super().__init__(timezone=True)


class TIME_NS(ThanoSQLTime):
    """A time of day of nanoseconds; Python's values carry microseconds."""

    __visit_name__ = "TIME_NS"


class INTERVAL(NativeForEmulated, sqltypes._AbstractInterval):
    """A span of time; its months count as thirty days once it is a timedelta."""

    __visit_name__ = "INTERVAL"

    @property
    def python_type(self) -> type[dt.timedelta]:
        """Return timedelta."""
        return dt.timedelta

    @classmethod
    def adapt_emulated_to_native(cls, impl: Any, **kw: Any) -> INTERVAL:
        """Stand in for the generic Interval, whose precisions DuckDB does not have."""
        return cls()

    def literal_processor(self, dialect: Dialect) -> Processor:
        return interval_literal


def _with_offset(value: dt.time | None) -> str | None:
    return None if value is None else value.isoformat()
