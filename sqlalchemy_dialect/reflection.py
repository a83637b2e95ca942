"""Inspection: what DuckDB's catalogue functions say, in SQLAlchemy's words.

Each kind of fact is one query, for one table as for all of a schema. It reads the catalogue
alone, so neither a view's query nor a model in it runs. DuckDB keeps no names that a user gave
to constraints; the names here are those that it makes itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc
from sqlalchemy.engine import default, reflection
from sqlalchemy.engine.reflection import ObjectKind, ObjectScope, ReflectionDefaults
from sqlalchemy.sql.sqltypes import Integer

from .catalogue import (
    CHECKS,
    COLUMNS,
    FOREIGN_KEYS,
    INDEXES,
    KEYS,
    Facts,
    Relations,
    one_name,
    place,
)
from .types import parse_type

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import (
        ReflectedIndex,
        TableKey,
    )


def _of_one(name: str) -> Any:
    """Return SQLAlchemy's method `get_…` for one relation, over its `get_multi_…`."""

    def get(
        self: Any, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        found = getattr(self, name.replace("get_", "get_multi_", 1))(
            connection,
            schema=schema,
            filter_names=[table_name],
            scope=ObjectScope.ANY,
            kind=ObjectKind.ANY,
        )
        for _, facts in found:
            return facts
        raise _no_such_table(table_name, schema)

    get.__name__ = name  # SQLAlchemy's cache goes by it
    return reflection.cache(get)


def _of_many(facts: Callable[[Connection, Relations], Facts]) -> Any:
    """Return SQLAlchemy's method `get_multi_…` that reads these facts of relations."""

    def get_multi(
        self: Any,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        return facts(connection, Relations(schema, filter_names, scope, kind))

    return get_multi


def _columns(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, COLUMNS):
        yield key, [_column(key, *row) for row in rows]


def _primary_keys(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, KEYS):
        primary = ReflectionDefaults.pk_constraint()
        for constraint, name, columns, names in rows:
            if constraint == "PRIMARY KEY":
                primary["name"] = name
                primary["constrained_columns"] = _spelled(columns, names)
        yield key, primary


def _unique_constraints(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, KEYS):
        unique = [
            {"name": name, "column_names": _spelled(columns, names)}
            for constraint, name, columns, names in rows
            if constraint == "UNIQUE"
        ]
        yield key, unique


def _check_constraints(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, CHECKS):
        names = _distinct(name for name, _ in rows)
        texts = (_bare(text) for _, text in rows)
        yield key, [{"name": n, "sqltext": t} for n, t in zip(names, texts, strict=True)]


def _foreign_keys(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, FOREIGN_KEYS):
        found = [
            {
                "name": name,
                "constrained_columns": _spelled(columns, names),
                # DuckDB's stay within their schema.
                "referred_schema": key[0],
                "referred_table": target,
                "referred_columns": _spelled(target_columns, target_names),
                "options": {},
            }
            for name, columns, names, target, target_columns, target_names in rows
        ]
        yield key, found


def _indexes(connection: Connection, relations: Relations) -> Facts:
    for key, rows in relations.details(connection, INDEXES):
        yield key, [_index(*row) for row in rows]


def _comments(connection: Connection, relations: Relations) -> Facts:
    for key, (comment,) in relations.facts(connection, "comment"):
        yield key, {"text": comment}


def _options(connection: Connection, relations: Relations) -> Facts:
    for key, _ in relations.facts(connection, "name"):
        yield key, ReflectionDefaults.table_options()  # DuckDB's tables have none


class Reflection(default.DefaultDialect):
    """SQLAlchemy's methods of inspection.

    A schema is the current one where none is given, a name in the current database, or
    `database.schema` for an attached one; an attached database's name alone is its `main`.
    What is asked of one relation raises sqlalchemy.exc.NoSuchTableError if there is none.
    """

    # --- names ---

    @reflection.cache
    def has_table(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        """Say whether there is a table or a view, temporary ones among them."""
        self._ensure_has_table_connection(connection)
        return dict(self.has_multi_table(connection, [table_name], schema))[schema, table_name]

    def has_multi_table(
        self,
        connection: Connection,
        table_names: Sequence[str],
        schema: str | None = None,
        **kw: Any,
    ) -> Iterable[tuple[TableKey, bool]]:
        """Say of each name whether there is a table or a view, as SQLAlchemy 2.1 asks."""
        condition, values = place(schema, ObjectScope.ANY)
        # Each has a column at least, and of the functions this one is the quickest.
        rows = connection.exec_driver_sql(
            "SELECT DISTINCT lower(table_name) FROM duckdb_columns()"
            f" WHERE {condition} AND list_contains(?, lower(table_name))",
            (*values, [name.lower() for name in table_names]),
        )
        found = set(rows.scalars())
        return [((schema, name), name.lower() in found) for name in table_names]

    @reflection.cache
    def has_schema(self, connection: Connection, schema_name: str, **kw: Any) -> bool:
        """Say whether there is a schema."""
        condition, values = place(schema_name, ObjectScope.DEFAULT)
        return _exists(connection, f"SELECT 1 FROM duckdb_schemas() WHERE {condition}", values)

    @reflection.cache
    def has_sequence(
        self, connection: Connection, sequence_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        """Say whether there is a sequence."""
        condition, values = place(schema, ObjectScope.ANY)
        sql = f"SELECT 1 FROM duckdb_sequences() WHERE {condition}"
        values = (*values, sequence_name)
        return _exists(connection, f"{sql} AND lower(sequence_name) = lower(?)", values)

    @reflection.cache
    def get_schema_names(self, connection: Connection, **kw: Any) -> list[str]:
        """Return the current database's schemas, then `database.schema` of attached ones."""
        rows = connection.exec_driver_sql(
            "SELECT database_name = current_database(), database_name, schema_name"
            " FROM duckdb_schemas()"
            " WHERE database_name NOT IN ('system', 'temp') AND parent_schema IS NULL"
            " ORDER BY 1 DESC, 2, 3"
        )
        return [
            one_name(schema) if current else f"{database}.{schema}"
            for current, database, schema in rows
        ]

    @reflection.cache
    def get_table_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return the tables' names, temporary ones left out."""
        return self._names(connection, "duckdb_tables", "table_name", schema, ObjectScope.DEFAULT)

    @reflection.cache
    def get_temp_table_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return the temporary tables' names; they are in no schema of yours."""
        return self._names(connection, "duckdb_tables", "table_name", None, ObjectScope.TEMPORARY)

    @reflection.cache
    def get_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return the views' names, temporary ones left out."""
        return self._names(connection, "duckdb_views", "view_name", schema, ObjectScope.DEFAULT)

    @reflection.cache
    def get_temp_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return the temporary views' names; they are in no schema of yours."""
        return self._names(connection, "duckdb_views", "view_name", None, ObjectScope.TEMPORARY)

    def get_materialized_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return nothing: DuckDB has no materialized views."""
        return []

    @reflection.cache
    def get_sequence_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """Return the sequences' names, those of autoincrementing columns among them."""
        return self._names(
            connection, "duckdb_sequences", "sequence_name", schema, ObjectScope.DEFAULT
        )

    def _names(
        self,
        connection: Connection,
        function: str,
        column: str,
        schema: str | None,
        scope: ObjectScope,
    ) -> list[str]:
        condition, values = place(schema, scope)
        sql = f"SELECT {column} FROM {function}() WHERE {condition} ORDER BY 1"
        return list(connection.exec_driver_sql(sql, values).scalars())

    @reflection.cache
    def get_view_definition(
        self, connection: Connection, view_name: str, schema: str | None = None, **kw: Any
    ) -> str:
        """Return a view's query.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no such view.
        """
        views = Relations(schema, [view_name], ObjectScope.ANY, ObjectKind.ANY_VIEW)
        for _, (definition,) in views.facts(connection, "definition"):
            return _view_query(definition)
        raise _no_such_table(view_name, schema)

    # --- one table, and many: one query each way ---

    get_columns = _of_one("get_columns")
    get_pk_constraint = _of_one("get_pk_constraint")
    get_foreign_keys = _of_one("get_foreign_keys")
    get_unique_constraints = _of_one("get_unique_constraints")
    get_check_constraints = _of_one("get_check_constraints")
    get_indexes = _of_one("get_indexes")
    get_table_comment = _of_one("get_table_comment")
    get_table_options = _of_one("get_table_options")

    get_multi_columns = _of_many(_columns)
    get_multi_pk_constraint = _of_many(_primary_keys)
    get_multi_foreign_keys = _of_many(_foreign_keys)
    get_multi_unique_constraints = _of_many(_unique_constraints)
    get_multi_check_constraints = _of_many(_check_constraints)
    get_multi_indexes = _of_many(_indexes)
    get_multi_table_comment = _of_many(_comments)
    get_multi_table_options = _of_many(_options)


def _no_such_table(name: str, schema: str | None) -> exc.NoSuchTableError:
    return exc.NoSuchTableError(f"{schema}.{name}" if schema else name)


def _exists(connection: Connection, sql: str, values: tuple[Any, ...]) -> bool:
    # One row, or else DuckDB would go on to the catalogue's end.
    return connection.exec_driver_sql(f"{sql} LIMIT 1", values).first() is not None


# --- from DuckDB's texts --------------------------------------------------------------------

_NAME = r'(?:"(?:[^"]|"")*"|[^\s."(),]+)'
_VIEW = re.compile(
    rf"CREATE (?:TEMP )?VIEW (?:{_NAME}\.)*(?P<name>{_NAME})"
    rf"(?: \((?P<columns>{_NAME}(?:, {_NAME})*)\))? AS (?P<query>.*?);?\Z",
    re.DOTALL,
)
_NEXTVAL = re.compile(r"nextval\('(?P<name>(?:[^']|'')*)'\)\Z")


def _view_query(definition: str) -> str:
    """Return the query in a CREATE VIEW, its columns named as the view names them."""
    view = _VIEW.match(definition)
    if view is None:
        return definition
    if view["columns"] is None:
        return view["query"]
    return f"SELECT * FROM ({view['query']}) AS {view['name']}({view['columns']})"


def _column(
    key: TableKey,
    name: str,
    data_type: str,
    nullable: bool,
    text: str | None,
    comment: str | None,
    generated: bool,
    primary_key: list[str] | None,
) -> dict[str, Any]:
    kind = parse_type(data_type)
    counts = (
        isinstance(kind, Integer)
        and name.lower() in map(str.lower, primary_key or ())
        and _counts(text, key, name)
    )
    column = {
        "name": name,
        "type": kind,
        "nullable": nullable,
        "default": None if generated or counts or text == "NULL" else text,
        "autoincrement": counts,
        "comment": comment,
    }
    if generated:
        column["computed"] = {"sqltext": _computed(text or "", data_type), "persisted": False}
    return column


def _counts(text: str | None, key: TableKey, column: str) -> bool:
    """Say whether a default is the sequence that the dialect makes for such a column."""
    call = _NEXTVAL.match(text or "")
    if call is None:
        return False
    *_, sequence = re.findall(_NAME, call["name"].replace("''", "'"))
    return _unquoted(sequence).lower() == f"{key[1]}_{column}_seq".lower()


def _computed(text: str, data_type: str) -> str:
    """Take off the cast to its column's type that DuckDB puts around a generated column."""
    end = f" AS {data_type})"
    # It may spell the type in lower case.
    if text.startswith("CAST(") and text.lower().endswith(end.lower()):
        return _bare(text[len("CAST(") : -len(end)])
    return text


def _index(name: str, unique: bool, expressions: list[str], names: list[str]) -> ReflectedIndex:
    columns = [
        # DuckDB puts all but the name of a column into parentheses.
        None if text.startswith("(") else _spelled([_unquoted(text)], names)[0]
        for text in expressions
    ]
    index: ReflectedIndex = {
        "name": name,
        "unique": unique,
        "column_names": columns,
        "dialect_options": {},
    }
    if None in columns:
        index["expressions"] = [
            _bare(text) if column is None else column
            for text, column in zip(expressions, columns, strict=True)
        ]
    return index


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Number the names that came before: DuckDB makes the same one for checks of one column."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        yield f"{name}{seen[name] or ''}"


def _spelled(columns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return columns as their table spells them."""
    spelling = {name.lower(): name for name in names}
    return [spelling.get(column.lower(), column) for column in columns]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _bare(text: str) -> str:
    """Take off the parentheses that DuckDB puts around a whole expression."""
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1]
    return text


def _closing(text: str) -> int:
    """Return where the first parenthesis of a text is closed; -1 if it is not."""
    depth = 0
    for position, mark in _marks(text):
        depth += 1 if mark == "(" else -1
        if depth == 0:
            return position
    return -1


def _marks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parentheses of an expression, those in texts and quoted names left out."""
    for part in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]""", text):
        if part[0] in "()":
            yield part.start(), part[0]
