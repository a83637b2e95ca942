"""Types as DuckDB's SQL names them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.compiler import GenericTypeCompiler

from .binary import BIT, GEOMETRY
from .literals import quoted
from .nested import ARRAY, LIST, MAP, STRUCT, TUPLE, UNION, VARIANT, Composite
from .numeric import BIGNUM, HUGEINT, TINYINT, UBIGINT, UHUGEINT, UINTEGER, USMALLINT, UTINYINT
from .temporal import INTERVAL, TIME_NS, TIMESTAMP_MS, TIMESTAMP_NS, TIMESTAMP_S, TIMESTAMPTZ_NS

_WIDEST_SINGLE = 24  # binary digits of a FLOAT


class ThanoSQLTypeCompiler(GenericTypeCompiler):
    """Writes types as DuckDB names them."""

    def visit_TINYINT(self, type_: TINYINT, **kw: Any) -> str:
        return "TINYINT"

    def visit_UTINYINT(self, type_: UTINYINT, **kw: Any) -> str:
        return "UTINYINT"

    def visit_USMALLINT(self, type_: USMALLINT, **kw: Any) -> str:
        return "USMALLINT"

    def visit_UINTEGER(self, type_: UINTEGER, **kw: Any) -> str:
        return "UINTEGER"

    def visit_UBIGINT(self, type_: UBIGINT, **kw: Any) -> str:
        return "UBIGINT"

    def visit_HUGEINT(self, type_: HUGEINT, **kw: Any) -> str:
        return "HUGEINT"

    def visit_UHUGEINT(self, type_: UHUGEINT, **kw: Any) -> str:
        return "UHUGEINT"

    def visit_BIGNUM(self, type_: BIGNUM, **kw: Any) -> str:
        return "BIGNUM"

    def visit_float(self, type_: sqltypes.Float[Any], **kw: Any) -> str:
        """Write a DOUBLE, which holds a Python float whole, unless a FLOAT was asked for."""
        precision = type_.precision
        return "DOUBLE" if precision is None or precision > _WIDEST_SINGLE else "FLOAT"

    def visit_FLOAT(self, type_: sqltypes.Float[Any], **kw: Any) -> str:
        """Write DuckDB's FLOAT, of four bytes, unless its precision needs eight."""
        precision = type_.precision
        return "FLOAT" if precision is None or precision <= _WIDEST_SINGLE else "DOUBLE"

    def visit_REAL(self, type_: sqltypes.REAL[Any], **kw: Any) -> str:
        return "FLOAT"

    def visit_DOUBLE_PRECISION(
        self,
        type_: sqltypes.DOUBLE_PRECISION[Any],
        **kw: Any,
    ) -> str:
        return "DOUBLE"

    def visit_NUMERIC(self, type_: sqltypes.Numeric[Any], **kw: Any) -> str:
        """Write a DECIMAL; without a precision it is DuckDB's DECIMAL(18,3), as it says itself."""
        if type_.precision is None:
            return "DECIMAL(18,3)"
        return f"DECIMAL({type_.precision},{type_.scale or 0})"

    visit_DECIMAL = visit_NUMERIC

    def visit_VARCHAR(self, type_: sqltypes.String, **kw: Any) -> str:
        """Write a VARCHAR, with its length, which DuckDB reads over, and its collation."""
        length = f"({type_.length})" if type_.length else ""
        if not type_.collation:
            return f"VARCHAR{length}"
        # Collations join by dots, such as nocase.noaccent, which are no part of a name.
        quote = self.dialect.identifier_preparer.quote
        return f"VARCHAR{length} COLLATE {'.'.join(map(quote, type_.collation.split('.')))}"

    visit_CHAR = visit_NCHAR = visit_NVARCHAR = visit_VARCHAR
    visit_TEXT = visit_CLOB = visit_NCLOB = visit_VARCHAR
    visit_text = visit_unicode_text = visit_VARCHAR

    def visit_uuid(self, type_: sqltypes.Uuid[Any], **kw: Any) -> str:
        """Write a UUID; its 32 digits for one not native."""
        if type_.native_uuid and self.dialect.supports_native_uuid:
            return self.visit_UUID(type_, **kw)
        return self.visit_VARCHAR(sqltypes.VARCHAR(32), **kw)

    def visit_enum(self, type_: sqltypes.Enum, **kw: Any) -> str:
        """Write an ENUM in place, which needs no CREATE TYPE; a VARCHAR for one not native."""
        if not type_.native_enum:
            return super().visit_enum(type_, **kw)
        return f"ENUM({', '.join(map(quoted, type_.enums))})"

    visit_ENUM = visit_enum

    def visit_BLOB(self, type_: Any, **kw: Any) -> str:
        return "BLOB"

    visit_BINARY = visit_VARBINARY = visit_BLOB

    def visit_BIT(self, type_: BIT, **kw: Any) -> str:
        return "BIT"

    def visit_GEOMETRY(self, type_: GEOMETRY, **kw: Any) -> str:
        return "GEOMETRY" if type_.crs is None else f"GEOMETRY({quoted(type_.crs)})"

    def visit_JSON(self, type_: sqltypes.JSON, **kw: Any) -> str:
        return "JSON"

    def visit_TIME(self, type_: sqltypes.Time, **kw: Any) -> str:
        return "TIME WITH TIME ZONE" if type_.timezone else "TIME"

    def visit_TIMESTAMP(self, type_: sqltypes.DateTime, **kw: Any) -> str:
        return "TIMESTAMP WITH TIME ZONE" if type_.timezone else "TIMESTAMP"

    visit_DATETIME = visit_TIMESTAMP

    def visit_TIMESTAMP_S(self, type_: TIMESTAMP_S, **kw: Any) -> str:
        return "TIMESTAMP_S"

    def visit_TIMESTAMP_MS(self, type_: TIMESTAMP_MS, **kw: Any) -> str:
        return "TIMESTAMP_MS"

    def visit_TIMESTAMP_NS(self, type_: TIMESTAMP_NS, **kw: Any) -> str:
        return "TIMESTAMP_NS"

    def visit_TIMESTAMPTZ_NS(self, type_: TIMESTAMPTZ_NS, **kw: Any) -> str:
        return "TIMESTAMPTZ_NS"

    def visit_TIME_NS(self, type_: TIME_NS, **kw: Any) -> str:
        return "TIME_NS"

    def visit_INTERVAL(self, type_: INTERVAL, **kw: Any) -> str:
        return "INTERVAL"

    visit_interval = visit_INTERVAL

    def visit_LIST(self, type_: LIST, **kw: Any) -> str:
        return self.process(type_.item_type, **kw) + "[]" * type_.depth

    def visit_ARRAY(self, type_: sqltypes.ARRAY[Any], **kw: Any) -> str:
        return self.process(type_.item_type, **kw) + "[]" * (type_.dimensions or 1)

    def visit_FIXED_ARRAY(self, type_: ARRAY, **kw: Any) -> str:
        return f"{self.process(type_.item_type, **kw)}[{type_.size}]"

    def visit_STRUCT(self, type_: STRUCT, **kw: Any) -> str:
        return f"STRUCT({self._fields(type_, **kw)})"

    def visit_UNION(self, type_: UNION, **kw: Any) -> str:
        return f"UNION({self._fields(type_, **kw)})"

    def _fields(self, type_: Composite, **kw: Any) -> str:
        # Names are quoted always: which words need it is a list of DuckDB's, and no harm is done.
        return ", ".join(
            f'"{name.replace(chr(34), chr(34) * 2)}" {self.process(kind, **kw)}'
            for name, kind in type_.fields
        )

    def visit_MAP(self, type_: MAP, **kw: Any) -> str:
        return f"MAP({self.process(type_.key_type, **kw)}, {self.process(type_.value_type, **kw)})"

    def visit_TUPLE(self, type_: TUPLE, **kw: Any) -> str:
        return f"TUPLE({', '.join(self.process(kind, **kw) for kind in type_.types)})"

    def visit_VARIANT(self, type_: VARIANT, **kw: Any) -> str:
        return "VARIANT"
