"""DuckDB's types for SQLAlchemy: their classes, their SQL, their values, and their texts read.

Most values pass untouched, because the driver gives and takes Python's own types; a processor
stands only where DuckDB needs one. Nothing here knows a connection or a statement.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.type_api import TypeEngine

from .binary import BIT, GEOMETRY, ThanoSQLBinary, ThanoSQLUuid
from .compiler import ThanoSQLTypeCompiler
from .json import JSON, JSONIndexType, JSONPathType
from .nested import ARRAY, LIST, MAP, STRUCT, TUPLE, UNION, VARIANT
from .numeric import (
    BIGNUM,
    HUGEINT,
    TINYINT,
    UBIGINT,
    UHUGEINT,
    UINTEGER,
    USMALLINT,
    UTINYINT,
    ThanoSQLFloat,
    ThanoSQLNumeric,
)
from .temporal import (
    INTERVAL,
    TIME_NS,
    TIMESTAMP_MS,
    TIMESTAMP_NS,
    TIMESTAMP_S,
    TIMESTAMPTZ_NS,
    ThanoSQLDate,
    ThanoSQLDateTime,
    ThanoSQLTime,
)
from .text import ischema_names, parse_type

#: What stands in for SQLAlchemy's generic types where values are bound, fetched or written out.
colspecs: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    sqltypes.ARRAY: LIST,
    sqltypes.Date: ThanoSQLDate,
    sqltypes.DateTime: ThanoSQLDateTime,
    sqltypes.Float: ThanoSQLFloat,
    sqltypes.Interval: INTERVAL,
    sqltypes.JSON: JSON,
    sqltypes.JSON.JSONIndexType: JSONIndexType,
    sqltypes.JSON.JSONPathType: JSONPathType,
    sqltypes.LargeBinary: ThanoSQLBinary,
    sqltypes.Numeric: ThanoSQLNumeric,
    sqltypes.Time: ThanoSQLTime,
    sqltypes.Uuid: ThanoSQLUuid,
}


__all__ = [
    "ARRAY",
    "BIGNUM",
    "BIT",
    "GEOMETRY",
    "HUGEINT",
    "INTERVAL",
    "JSON",
    "LIST",
    "MAP",
    "STRUCT",
    "TIMESTAMPTZ_NS",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP_S",
    "TIME_NS",
    "TINYINT",
    "TUPLE",
    "UBIGINT",
    "UHUGEINT",
    "UINTEGER",
    "UNION",
    "USMALLINT",
    "UTINYINT",
    "VARIANT",
    "ThanoSQLTypeCompiler",
    "colspecs",
    "ischema_names",
    "parse_type",
]
