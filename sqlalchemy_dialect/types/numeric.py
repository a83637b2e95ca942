"""DuckDB's numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine.processors import to_decimal_processor_factory, to_float
from sqlalchemy.sql import sqltypes

from .literals import Processor, decimal_literal, float_literal

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect


class TINYINT(sqltypes.Integer):
    """A signed integer of one byte."""

    __visit_name__ = "TINYINT"


class UTINYINT(sqltypes.Integer):
    """An unsigned integer of one byte."""

    __visit_name__ = "UTINYINT"


class USMALLINT(sqltypes.Integer):
    """An unsigned integer of two bytes."""

    __visit_name__ = "USMALLINT"


class UINTEGER(sqltypes.Integer):
    """An unsigned integer of four bytes."""

    __visit_name__ = "UINTEGER"


class UBIGINT(sqltypes.Integer):
    """An unsigned integer of eight bytes."""

    __visit_name__ = "UBIGINT"


class WideInteger(sqltypes.Integer):
    """An integer that DuckDB, finding its digits in a statement, might read as a DOUBLE."""

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: f"CAST('{int(value)}' AS {self.__visit_name__})"


class HUGEINT(WideInteger):
    """A signed integer of sixteen bytes."""

    __visit_name__ = "HUGEINT"


class UHUGEINT(WideInteger):
    """An unsigned integer of sixteen bytes."""

    __visit_name__ = "UHUGEINT"


class BIGNUM(WideInteger):
    """An integer of any size. It travels as text: Python's integers end at DuckDB's 128 bits."""

    __visit_name__ = "BIGNUM"

    def bind_processor(self, dialect: Dialect) -> Processor:
        return lambda value: None if value is None else str(int(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        return lambda value: None if value is None else int(value)


_FLOATS = ("DOUBLE", "FLOAT")


class ThanoSQLNumeric(sqltypes.Numeric[Any]):
    """Decimals; where DuckDB computed a DOUBLE or an integer instead, they are made one."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        kind = _kind(coltype)
        if not self.asdecimal:
            return to_float if kind == "DECIMAL" else None
        if kind in _FLOATS:
            scale = self._effective_decimal_return_scale
            return to_decimal_processor_factory(Decimal, scale)
        return _to_decimal if kind.endswith(("INT", "INTEGER")) else None

    def literal_processor(self, dialect: Dialect) -> Processor:
        return decimal_literal


class ThanoSQLFloat(sqltypes.Float[Any]):
    """Floats; where DuckDB computed a DECIMAL instead, they are made one."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        if self.asdecimal:
            scale = self._effective_decimal_return_scale
            return to_decimal_processor_factory(Decimal, scale)
        return to_float if _kind(coltype) == "DECIMAL" else None

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: float_literal(float(value))


def _kind(coltype: object) -> str:
    """Return the name in a cursor's type code; nested values have none, and are as declared."""
    return coltype.partition("(")[0] if isinstance(coltype, str) else ""


def _to_decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
