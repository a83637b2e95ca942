"""What SQLAlchemy's compliance suite must know to prepare a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, MetaData, event, inspect
from sqlalchemy.engine import URL, Engine
from sqlalchemy.testing.provision import (
    delete_from_all_tables,
    post_configure_engine,
    set_default_schema_on_connection,
    temp_table_keyword_args,
    upsert,
)

from .statements import insert


@post_configure_engine.for_db("thanosql")  # type: ignore[untyped-decorator]
def create_schemas(url: URL, engine: Engine, follower_ident: str | None) -> None:
    """Give each database the second schema that the suite works in."""

    @event.listens_for(engine, "connect")
    def create(dbapi_connection: Any, record: object) -> None:
        with dbapi_connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS test_schema")
        dbapi_connection.commit()


@temp_table_keyword_args.for_db("thanosql")  # type: ignore[untyped-decorator]
def temporary_table(cfg: object, engine: Engine) -> dict[str, list[str]]:
    """Return what makes a table temporary."""
    return {"prefixes": ["TEMPORARY"]}


@set_default_schema_on_connection.for_db("thanosql")  # type: ignore[untyped-decorator]
def set_schema(cfg: object, dbapi_connection: Any, schema_name: str) -> None:
    """Change a connection's current schema."""
    with dbapi_connection.cursor() as cursor:
        cursor.execute(f"SET schema = '{schema_name}'")
    dbapi_connection.commit()


@upsert.for_db("thanosql")  # type: ignore[untyped-decorator]
def upsert_rows(
    cfg: object,
    table: Any,
    returning: Any,
    *,
    set_lambda: Any = None,
    sort_by_parameter_order: bool = False,
    index_elements: Any = None,
) -> Any:
    """Return an INSERT … ON CONFLICT … RETURNING."""
    statement = insert(table)
    target = index_elements or list(table.primary_key)
    if set_lambda is None:
        statement = statement.on_conflict_do_nothing()
    else:
        statement = statement.on_conflict_do_update(
            index_elements=target, set_=set_lambda(statement.excluded)
        )
    return statement.returning(*returning, sort_by_parameter_order=sort_by_parameter_order)


@delete_from_all_tables.for_db("thanosql")  # type: ignore[untyped-decorator]
def empty_tables(connection: Connection, cfg: object, metadata: MetaData) -> None:
    """Empty all tables between two tests.

    DuckDB 2.0 keeps a row that is referenced until the deletion of what references it is
    committed; so it never deletes all rows of a table that references itself.
    """
    there = inspect(connection).get_table_names
    for table in reversed(metadata.sorted_tables):
        if table.name not in there(schema=table.schema):
            continue
        with connection.engine.begin() as alone:
            if any(key.column.table is table for key in table.foreign_keys):
                table.drop(alone)
                table.create(alone)
            else:
                alone.execute(table.delete())
