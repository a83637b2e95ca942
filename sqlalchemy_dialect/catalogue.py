"""DuckDB's catalogue functions, asked once for however many tables.

It knows their SQL, and nothing of what SQLAlchemy makes of the answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.sql.elements import quoted_name

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import TableKey

Facts: TypeAlias = "Iterable[tuple[TableKey, Any]]"

# Tables and views, with the oid by which the other functions know them.
_RELATIONS = """
    SELECT database_oid, table_oid, database_name, schema_name, table_name AS name,
        'table' AS kind, temporary, comment, NULL AS definition
    FROM duckdb_tables()
    UNION ALL
    SELECT database_oid, view_oid, database_name, schema_name, view_name,
        'view', temporary, comment, sql
    FROM duckdb_views()
"""

# The catalogue repeats the names of columns in constraints and indexes as somebody wrote them,
# in whatever case; this is how they are spelled in their table.
_SPELLINGS = """
    SELECT database_oid, table_oid, list(column_name ORDER BY column_index) AS names
    FROM duckdb_columns() GROUP BY ALL
"""

# What belongs to each relation: its oids, a position, and the facts.
COLUMNS = """
    SELECT database_oid, table_oid, column_index AS position, column_name, data_type, is_nullable,
        column_default, comment, is_generated, primary_key
    FROM duckdb_columns() LEFT JOIN (
        SELECT database_oid, table_oid, constraint_column_names AS primary_key
        FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'
    ) USING (database_oid, table_oid)
"""
KEYS = f"""
    SELECT database_oid, table_oid, constraint_index AS position, constraint_type,
        constraint_name, constraint_column_names, names
    FROM duckdb_constraints() JOIN ({_SPELLINGS}) USING (database_oid, table_oid)
    WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE')
"""
CHECKS = """
    SELECT database_oid, table_oid, constraint_index AS position, constraint_name, expression
    FROM duckdb_constraints() WHERE constraint_type = 'CHECK'
"""
# Materialized, because DuckDB 2.0 would join every table with every other one first.
FOREIGN_KEYS = """
    WITH spelled AS MATERIALIZED (
        SELECT database_oid, schema_oid, table_oid, table_name,
            list(column_name ORDER BY column_index) AS names
        FROM duckdb_columns() GROUP BY ALL
    ), keys AS MATERIALIZED (
        SELECT database_oid, schema_oid, table_oid, constraint_index, constraint_name,
            constraint_column_names, names, referenced_table, referenced_column_names
        FROM duckdb_constraints() JOIN spelled USING (database_oid, schema_oid, table_oid)
        WHERE constraint_type = 'FOREIGN KEY'
    )
    SELECT keys.database_oid, keys.table_oid, constraint_index AS position, constraint_name,
        constraint_column_names, keys.names, spelled.table_name, referenced_column_names,
        spelled.names
    FROM keys JOIN spelled ON spelled.database_oid = keys.database_oid
        AND spelled.schema_oid = keys.schema_oid
        AND lower(spelled.table_name) = lower(keys.referenced_table)
"""
# The expressions are a list that DuckDB wrote as text, and reads again.
INDEXES = f"""
    SELECT database_oid, table_oid, index_name AS position, index_name, is_unique,
        expressions::VARCHAR[], names
    FROM duckdb_indexes() JOIN ({_SPELLINGS}) USING (database_oid, table_oid)
"""


class Relations:
    """The tables and views that were asked for, in SQL."""

    def __init__(
        self,
        schema: str | None,
        filter_names: Collection[str] | None,
        scope: ObjectScope,
        kind: ObjectKind,
    ) -> None:
        self._schema = schema
        condition, values = place(schema, scope)
        kinds = [
            name
            for flag, name in ((ObjectKind.TABLE, "table"), (ObjectKind.VIEW, "view"))
            if flag in kind
        ]
        self._sql = f"SELECT * FROM ({_RELATIONS}) WHERE {condition} AND list_contains(?, kind)"
        self._values: tuple[Any, ...] = (*values, kinds)
        # DuckDB's names ignore case; a fact belongs to the name that was asked for.
        self._asked = {name.lower(): name for name in filter_names or ()}
        if filter_names is not None:
            self._sql += " AND list_contains(?, lower(name))"
            self._values += (list(self._asked),)

    def facts(self, connection: Connection, column: str) -> Facts:
        """Return a column of the relations themselves, as a row of one."""
        sql = f"SELECT temporary, name, {column} FROM ({self._sql}) ORDER BY temporary, name"
        rows = connection.exec_driver_sql(sql, self._values)
        # A temporary relation hides one of the same name, in DuckDB as here.
        return {self._key(name): row for _, name, *row in rows}.items()

    def details(self, connection: Connection, details: str) -> Facts:
        """Return what a query over the catalogue says of each relation: rows, or none."""
        rows = connection.exec_driver_sql(
            f"SELECT temporary, name, details.* EXCLUDE (database_oid, table_oid)"
            f" FROM ({self._sql}) AS relation LEFT JOIN ({details}) AS details"
            " USING (database_oid, table_oid) ORDER BY temporary, name, position",
            self._values,
        )
        found: dict[tuple[bool, str], list[Any]] = {}
        for temporary, name, position, *row in rows:
            facts = found.setdefault((temporary, name), [])
            if position is not None:
                facts.append(row)
        # A temporary relation hides one of the same name, in DuckDB as here.
        return {self._key(name): facts for (_, name), facts in found.items()}.items()

    def _key(self, name: str) -> TableKey:
        return self._schema, self._asked.get(name.lower(), name)


# --- schemas --------------------------------------------------------------------------------


def place(schema: str | None, scope: ObjectScope) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a catalogue row lies in a schema, and its values."""
    if schema is not None:
        # A temporary relation is in no schema.
        return _in_schema(schema) if ObjectScope.DEFAULT in scope else ("false", ())
    places = []
    if ObjectScope.DEFAULT in scope:
        places.append("(database_name = current_database() AND schema_name = current_schema())")
    if ObjectScope.TEMPORARY in scope:
        places.append("database_name = 'temp'")
    return f"({' OR '.join(places)})", ()


def _in_schema(schema: str) -> tuple[str, tuple[str, ...]]:
    if "." in schema and not getattr(schema, "quote", None):
        database, name = schema.split(".", 1)
        condition = "lower(database_name) = lower(?) AND lower(schema_name) = lower(?)"
        return condition, (database, name)
    own = "database_name = current_database() AND lower(schema_name) = lower(?)"
    attached = "lower(database_name) = lower(?) AND schema_name = 'main'"
    # A name that is both a schema and a database, DuckDB itself refuses as ambiguous.
    return f"(({own}) OR ({attached}))", (str(schema), str(schema))


def one_name(name: str) -> str:
    """Return a schema's name so that a dot in it does not part a database from it."""
    return quoted_name(name, quote=True) if "." in name else name
