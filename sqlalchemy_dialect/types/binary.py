"""DuckDB's bits, bytes, geometries and UUIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.type_api import UserDefinedType

from .literals import Processor, blob_literal, python_literal, quoted, uuid_literal

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect


class BIT(UserDefinedType[str]):
    """A string of bits; its values are texts of 0 and 1."""

    __visit_name__ = "BIT"
    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: f"CAST({quoted(str(value))} AS BIT)"


class GEOMETRY(UserDefinedType[bytes]):
    """A geometry: taken as well-known text or binary, returned as well-known binary.

    Args:
        crs: the coordinate reference system, such as `"EPSG:4326"`, if there is one.
    """

    __visit_name__ = "GEOMETRY"
    cache_ok = True

    def __init__(self, crs: str | None = None) -> None:
        self.crs = crs

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: f"CAST({python_literal(value)} AS GEOMETRY)"


class ThanoSQLBinary(sqltypes.LargeBinary):
    """Bytes, which the driver gives and takes as they are."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        return None

    def literal_processor(self, dialect: Dialect) -> Processor:
        return blob_literal


class ThanoSQLUuid(sqltypes.Uuid[Any]):
    """UUIDs, written out as such."""

    def literal_processor(self, dialect: Dialect) -> Processor:
        if not (self.native_uuid and dialect.supports_native_uuid):
            return super().literal_processor(dialect)
        return uuid_literal
