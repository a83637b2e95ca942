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
        ReflectedCheckConstraint,
        ReflectedColumn,
        ReflectedForeignKeyConstraint,
        ReflectedIndex,
        ReflectedPrimaryKeyConstraint,
        ReflectedTableComment,
        ReflectedUniqueConstraint,
        TableKey,
    )


class Reflection(default.DefaultDialect):
    """SQLAlchemy's methods of inspection.

    A schema is the current one where none is given, a name in the current database, or
    `database.schema` for an attached one; an attached database's name alone is its `main`.
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

    # --- one table: the many, of one ---

    @reflection.cache
    def get_columns(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedColumn]:
        """Return the columns of a table or view, in order.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is none of that name.
        """
        found: list[ReflectedColumn] = _only(self.get_multi_columns, connection, table_name, schema)
        return found

    @reflection.cache
    def get_pk_constraint(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> ReflectedPrimaryKeyConstraint:
        """Return the primary key.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: ReflectedPrimaryKeyConstraint = _only(
            self.get_multi_pk_constraint, connection, table_name, schema
        )
        return found

    @reflection.cache
    def get_foreign_keys(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedForeignKeyConstraint]:
        """Return the foreign keys.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: list[ReflectedForeignKeyConstraint] = _only(
            self.get_multi_foreign_keys, connection, table_name, schema
        )
        return found

    @reflection.cache
    def get_unique_constraints(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedUniqueConstraint]:
        """Return the unique constraints.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: list[ReflectedUniqueConstraint] = _only(
            self.get_multi_unique_constraints, connection, table_name, schema
        )
        return found

    @reflection.cache
    def get_check_constraints(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedCheckConstraint]:
        """Return the check constraints.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: list[ReflectedCheckConstraint] = _only(
            self.get_multi_check_constraints, connection, table_name, schema
        )
        return found

    @reflection.cache
    def get_indexes(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedIndex]:
        """Return the indexes that were created by themselves; not those of constraints.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: list[ReflectedIndex] = _only(self.get_multi_indexes, connection, table_name, schema)
        return found

    @reflection.cache
    def get_table_comment(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> ReflectedTableComment:
        """Return the comment.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: ReflectedTableComment = _only(
            self.get_multi_table_comment, connection, table_name, schema
        )
        return found

    @reflection.cache
    def get_table_options(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> dict[str, Any]:
        """Return nothing: DuckDB's tables have no options.

        Raises:
            sqlalchemy.exc.NoSuchTableError: there is no table or view of that name.
        """
        found: dict[str, Any] = _only(self.get_multi_table_options, connection, table_name, schema)
        return found

    # --- many tables, one query ---

    def get_multi_columns(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the columns of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, COLUMNS):
            yield key, [_column(key, *row) for row in rows]

    def get_multi_pk_constraint(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the primary key of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, KEYS):
            primary = ReflectionDefaults.pk_constraint()
            for constraint, name, columns, names in rows:
                if constraint == "PRIMARY KEY":
                    primary["name"] = name
                    primary["constrained_columns"] = _spelled(columns, names)
            yield key, primary

    def get_multi_unique_constraints(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the unique constraints of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, KEYS):
            yield (
                key,
                [
                    {"name": name, "column_names": _spelled(columns, names)}
                    for constraint, name, columns, names in rows
                    if constraint == "UNIQUE"
                ],
            )

    def get_multi_check_constraints(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the check constraints of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, CHECKS):
            names = _distinct(name for name, _ in rows)
            texts = (_bare(text) for _, text in rows)
            yield (
                key,
                [{"name": n, "sqltext": t} for n, t in zip(names, texts, strict=True)],
            )

    def get_multi_foreign_keys(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the foreign keys of each relation; DuckDB's stay within their schema."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, FOREIGN_KEYS):
            yield (
                key,
                [
                    {
                        "name": name,
                        "constrained_columns": _spelled(columns, names),
                        "referred_schema": schema,
                        "referred_table": target,
                        "referred_columns": _spelled(target_columns, target_names),
                        "options": {},
                    }
                    for name, columns, names, target, target_columns, target_names in rows
                ],
            )

    def get_multi_indexes(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the indexes of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, rows in relations.details(connection, INDEXES):
            yield key, [_index(*row) for row in rows]

    def get_multi_table_comment(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return the comment of each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, (comment,) in relations.facts(connection, "comment"):
            yield key, {"text": comment}

    def get_multi_table_options(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        filter_names: Collection[str] | None = None,
        scope: ObjectScope = ObjectScope.DEFAULT,
        kind: ObjectKind = ObjectKind.TABLE,
        **kw: Any,
    ) -> Facts:
        """Return no option for each relation."""
        relations = Relations(schema, filter_names, scope, kind)
        for key, _ in relations.facts(connection, "name"):
            yield key, ReflectionDefaults.table_options()


def _only(many: Callable[..., Facts], connection: Connection, name: str, schema: str | None) -> Any:
    found = many(
        connection,
        schema=schema,
        filter_names=[name],
        scope=ObjectScope.ANY,
        kind=ObjectKind.ANY,
    )
    for _, facts in found:
        return facts
    raise _no_such_table(name, schema)


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
