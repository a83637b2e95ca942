"""LIST: tables, models, and what the catalogue offers."""

from __future__ import annotations

from ..language.statements import ListKind, ListObjects
from ..lowering import Scope

_TABLES = (
    "SELECT table_name FROM (SELECT table_name, database_name, schema_name FROM duckdb_tables()"
    " WHERE NOT internal UNION ALL SELECT view_name, database_name, schema_name"
    " FROM duckdb_views() WHERE NOT internal)"
    " WHERE database_name IN (current_database(), 'temp')"
    " AND schema_name = current_schema() ORDER BY table_name"
)


def list_sql(statement: ListObjects, _scope: Scope) -> str:
    """Lower a LIST; tables and views are those of the current schema."""
    if statement.kind is ListKind.TABLE:
        return _TABLES
    if statement.kind is ListKind.THANOSQL_DATASET:
        columns, call = ["name", "data_type"], "thanosql_list_datasets('dataset')"
    else:
        columns = ["name", "class_name", "last_updated_utc"]
        if statement.kind is ListKind.MODEL:
            columns.append("published")
        call = f"thanosql_list_models('{statement.kind.value}')"
    shown = ", ".join(f"listed.{column} AS {column}" for column in columns)
    return f"SELECT {shown} FROM (SELECT unnest({call}) AS listed)"
