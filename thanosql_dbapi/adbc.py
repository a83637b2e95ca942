"""What Arrow's database connectivity (ADBC) adds to a connection: its catalogue, and ingestion.

pandas, marimo and others that know ADBC use these calls, in the shapes of ADBC's specification
(https://arrow.apache.org/adbc/current/format/specification.html). ADBC's own package is never
imported here, and model statements are not known.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .engine import ROWS_VIEW, Engine
from .exceptions import ProgrammingError
from .quoting import quote_name

if TYPE_CHECKING:
    import pyarrow as pa

Depth: TypeAlias = Literal["all", "catalogs", "db_schemas", "tables", "columns"]
Mode: TypeAlias = Literal["append", "create", "replace", "create_append"]

#: DuckDB's kinds of tables, as its information schema names them.
TABLE_TYPES = ("BASE TABLE", "LOCAL TEMPORARY", "VIEW")

_DEPTHS = ("catalogs", "db_schemas", "tables", "columns", "all")


def register(kind: type) -> None:
    """Make `kind` a virtual subclass of ADBC's connection, if that class has been loaded.

    pandas decides by `isinstance`. To load ADBC's package takes longer than to open a database,
    so whoever asks has to have done it.
    """
    base = getattr(sys.modules.get("adbc_driver_manager.dbapi"), "Connection", None)
    if isinstance(base, ABCMeta) and not issubclass(kind, base):
        base.register(kind)


# --- ingestion ------------------------------------------------------------------------------


def ingest(
    engine: Engine,
    table_name: str,
    data: object,
    mode: Mode,
    *,
    catalog_name: str | None,
    db_schema_name: str | None,
    temporary: bool,
) -> int:
    """Write Arrow data to a table, all of it or nothing; return the number of rows.

    Raises:
        ProgrammingError: the table exists, or does not, against `mode`; a column is unknown; or
            `data` is no Arrow data.
    """
    if temporary and (catalog_name or db_schema_name):
        raise ProgrammingError("a temporary table has no catalog_name and no db_schema_name")
    where = ("temp", "main") if temporary else _place(catalog_name, db_schema_name)
    name = _qualified(*where, table_name)
    if mode == "create_append":
        mode = "append" if _exists(engine, *where, table_name) else "create"
    if mode == "append":
        # By name, as the order of a frame's columns is an accident.
        sql = f"INSERT INTO {name} BY NAME FROM {ROWS_VIEW}"
    elif mode in ("create", "replace"):
        create = "CREATE TABLE" if mode == "create" else "CREATE OR REPLACE TABLE"
        if temporary:
            create, name = create.replace("TABLE", "TEMP TABLE"), quote_name(table_name)
        sql = f"{create} {name} AS FROM {ROWS_VIEW}"
    else:
        raise ProgrammingError(f"mode is append, create, replace or create_append, not {mode!r}")
    return engine.insert_rows(sql, _readable(data)).rowcount


def _readable(data: Any) -> pa.Table | pa.RecordBatchReader:
    import pyarrow as pa

    if isinstance(data, (pa.Table, pa.RecordBatchReader)):
        return data
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data)
        if hasattr(data, "__arrow_c_array__"):
            return pa.Table.from_batches([pa.record_batch(data)])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ProgrammingError(f"{type(data).__name__} is no table of Arrow's: {error}") from error
    raise ProgrammingError(
        f"Arrow data is wanted (a table, a batch, a reader, or a frame), not {type(data).__name__}"
    )


def _place(catalog: str | None, schema: str | None) -> tuple[str | None, str | None]:
    # A single name before the point could be either; DuckDB refuses to guess where it is both.
    return catalog, schema or ("main" if catalog else None)


def _qualified(*parts: str | None) -> str:
    return ".".join(quote_name(part) for part in parts if part is not None)


def _exists(engine: Engine, catalog: str | None, schema: str | None, table: str) -> bool:
    found = engine.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE lower(table_name) = lower($table)"
        " AND (lower(database_name) = lower(coalesce($catalog, current_database()))"
        " AND lower(schema_name) = lower(coalesce($schema, current_schema()))"
        " OR temporary AND coalesce($catalog, $schema) IS NULL)",
        {"table": table, "catalog": catalog, "schema": schema},
    )
    return bool(found.fetch_all()[0][0])


# --- the catalogue --------------------------------------------------------------------------


def get_objects(
    engine: Engine,
    depth: Depth,
    *,
    catalog: str | None,
    schema: str | None,
    table: str | None,
    table_types: Sequence[str] | None,
    column: str | None,
) -> pa.RecordBatchReader:
    """Return catalogues, schemas, tables, columns and constraints, down to `depth`.

    The filters are SQL's LIKE patterns, None for all. DuckDB's own catalogues and views are left
    out. What lies below `depth` is NULL; what has nothing below it is an empty list.

    Raises:
        ProgrammingError: ADBC has no such depth.
    """
    import pyarrow as pa

    if depth not in _DEPTHS:
        raise ProgrammingError(f"depth is one of {', '.join(_DEPTHS)}, not {depth!r}")
    level = min(_DEPTHS.index(depth), _DEPTHS.index("columns"))
    filters = {"catalog": catalog, "schema": schema, "table": table, "column": column}
    columns = _columns(engine, filters) if level > 2 else None
    constraints = _constraints(engine, filters) if level > 2 else None
    tables = _tables(engine, filters, table_types, columns, constraints) if level > 1 else None
    schemas = _schemas(engine, filters, tables) if level > 0 else None
    rows = [
        {"catalog_name": name, "catalog_db_schemas": _below(schemas, name)}
        for (name,) in _select(
            engine,
            "SELECT database_name FROM duckdb_databases()"
            " WHERE (NOT internal OR database_name = 'temp') AND database_name LIKE $catalog"
            " ORDER BY ALL",
            filters,
        )
    ]
    return pa.Table.from_pylist(rows, _objects_schema()).to_reader()


#: Found objects by the names of what they stand in: their catalogue, schema and table.
_Found: TypeAlias = defaultdict[tuple[str, ...], list[dict[str, Any]]]


def _below(found: _Found | None, *names: str) -> list[dict[str, Any]] | None:
    return None if found is None else found.get(names, [])


def _select(
    engine: Engine, sql: str, filters: Mapping[str, str | None]
) -> Iterable[tuple[Any, ...]]:
    used = {name: pattern or "%" for name, pattern in filters.items() if f"${name}" in sql}
    return engine.execute(sql, used).fetch_all()


def _schemas(engine: Engine, filters: Mapping[str, str | None], tables: _Found | None) -> _Found:
    found: _Found = defaultdict(list)
    for catalog, name in _select(
        engine,
        "SELECT database_name, schema_name FROM duckdb_schemas() WHERE database_name != 'system'"
        " AND database_name LIKE $catalog AND schema_name LIKE $schema ORDER BY ALL",
        filters,
    ):
        below = _below(tables, catalog, name)
        found[(catalog,)].append({"db_schema_name": name, "db_schema_tables": below})
    return found


def _tables(
    engine: Engine,
    filters: Mapping[str, str | None],
    types: Sequence[str] | None,
    columns: _Found | None,
    constraints: _Found | None,
) -> _Found:
    found: _Found = defaultdict(list)
    for catalog, schema, name, kind in _select(
        engine,
        "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables"
        " WHERE table_catalog LIKE $catalog AND table_schema LIKE $schema"
        " AND table_name LIKE $table ORDER BY ALL",
        filters,
    ):
        if types is None or kind in types:
            below = {
                "table_name": name,
                "table_type": kind,
                "table_columns": _below(columns, catalog, schema, name),
                "table_constraints": _below(constraints, catalog, schema, name),
            }
            found[catalog, schema].append(below)
    return found


def _columns(engine: Engine, filters: Mapping[str, str | None]) -> _Found:
    found: _Found = defaultdict(list)
    for (
        *place,
        name,
        position,
        remarks,
        kind,
        size,
        scale,
        radix,
        nullable,
        default,
        generated,
    ) in _select(
        engine,
        "SELECT database_name, schema_name, table_name, column_name, column_index, comment,"
        " data_type, coalesce(character_maximum_length, numeric_precision), numeric_scale,"
        " numeric_precision_radix, is_nullable, column_default, is_generated"
        " FROM duckdb_columns() WHERE NOT internal AND database_name LIKE $catalog"
        " AND schema_name LIKE $schema AND table_name LIKE $table AND column_name LIKE $column"
        " ORDER BY database_name, schema_name, table_name, column_index",
        filters,
    ):
        described = {
            "column_name": name,
            "ordinal_position": position,
            "remarks": remarks,
            "xdbc_type_name": kind,
            "xdbc_column_size": size,
            "xdbc_decimal_digits": scale,
            "xdbc_num_prec_radix": radix,
            "xdbc_nullable": int(nullable),
            "xdbc_column_def": default,
            "xdbc_is_nullable": "YES" if nullable else "NO",
            "xdbc_is_generatedcolumn": generated,
        }
        found[tuple(place)].append(described)
    return found


def _constraints(engine: Engine, filters: Mapping[str, str | None]) -> _Found:
    found: _Found = defaultdict(list)
    for catalog, schema, table, name, kind, columns, referenced, referenced_columns in _select(
        engine,
        "SELECT database_name, schema_name, table_name, constraint_name, constraint_type,"
        " constraint_column_names, referenced_table, referenced_column_names"
        " FROM duckdb_constraints() WHERE constraint_type != 'NOT NULL'"
        " AND database_name LIKE $catalog AND schema_name LIKE $schema AND table_name LIKE $table"
        " AND len(list_filter(constraint_column_names, lambda name: name LIKE $column)) > 0"
        " ORDER BY database_name, schema_name, table_name, constraint_index",
        filters,
    ):
        # A foreign key of DuckDB's never leaves its schema.
        usage = [
            {
                "fk_catalog": catalog,
                "fk_db_schema": schema,
                "fk_table": referenced,
                "fk_column_name": column,
            }
            for column in referenced_columns or ()
            if referenced
        ]
        described = {
            "constraint_name": name,
            "constraint_type": kind,
            "constraint_column_names": columns,
            "constraint_column_usage": usage,
        }
        found[catalog, schema, table].append(described)
    return found


def _objects_schema() -> pa.Schema:
    """Return the schema of `adbc_get_objects`, as ADBC's specification has it."""
    import pyarrow as pa

    usage = pa.struct(
        [
            pa.field("fk_catalog", pa.string()),
            pa.field("fk_db_schema", pa.string()),
            pa.field("fk_table", pa.string(), nullable=False),
            pa.field("fk_column_name", pa.string(), nullable=False),
        ]
    )
    constraint = pa.struct(
        [
            pa.field("constraint_name", pa.string()),
            pa.field("constraint_type", pa.string(), nullable=False),
            pa.field("constraint_column_names", pa.list_(pa.string()), nullable=False),
            pa.field("constraint_column_usage", pa.list_(usage)),
        ]
    )
    column = pa.struct(
        [
            pa.field("column_name", pa.string(), nullable=False),
            pa.field("ordinal_position", pa.int32()),
            pa.field("remarks", pa.string()),
            pa.field("xdbc_data_type", pa.int16()),
            pa.field("xdbc_type_name", pa.string()),
            pa.field("xdbc_column_size", pa.int32()),
            pa.field("xdbc_decimal_digits", pa.int16()),
            pa.field("xdbc_num_prec_radix", pa.int16()),
            pa.field("xdbc_nullable", pa.int16()),
            pa.field("xdbc_column_def", pa.string()),
            pa.field("xdbc_sql_data_type", pa.int16()),
            pa.field("xdbc_datetime_sub", pa.int16()),
            pa.field("xdbc_char_octet_length", pa.int32()),
            pa.field("xdbc_is_nullable", pa.string()),
            pa.field("xdbc_scope_catalog", pa.string()),
            pa.field("xdbc_scope_schema", pa.string()),
            pa.field("xdbc_scope_table", pa.string()),
            pa.field("xdbc_is_autoincrement", pa.bool_()),
            pa.field("xdbc_is_generatedcolumn", pa.bool_()),
        ]
    )
    table = pa.struct(
        [
            pa.field("table_name", pa.string(), nullable=False),
            pa.field("table_type", pa.string(), nullable=False),
            pa.field("table_columns", pa.list_(column)),
            pa.field("table_constraints", pa.list_(constraint)),
        ]
    )
    schema = pa.struct(
        [
            pa.field("db_schema_name", pa.string()),
            pa.field("db_schema_tables", pa.list_(table)),
        ]
    )
    return pa.schema(
        [
            pa.field("catalog_name", pa.string()),
            pa.field("catalog_db_schemas", pa.list_(schema)),
        ]
    )


def get_table_schema(
    engine: Engine, table: str, *, catalog: str | None, schema: str | None
) -> pa.Schema:
    """Return the Arrow schema of a table or view; no model runs for it.

    Raises:
        ProgrammingError: there is no such table.
    """
    name = _qualified(*_place(catalog, schema), table)
    return engine.execute(f"FROM {name} LIMIT 0").arrow_table().schema


def get_info(engine: Engine) -> dict[str | int, Any]:
    """Return who serves the connection: DuckDB as the vendor, and this driver."""
    import pyarrow as pa

    ((version,),) = engine.execute("SELECT version()").fetch_all()
    return {
        "vendor_name": "DuckDB",
        "vendor_version": version,
        "driver_name": "thanosql_dbapi",
        "driver_version": metadata.version("thanosql-dbapi"),
        "driver_arrow_version": pa.__version__,
    }
