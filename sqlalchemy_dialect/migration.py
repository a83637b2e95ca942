"""Alembic on the dialect: what autogenerate compares, and how a migration changes a table.

Alembic finds this module by its entry point, from 1.18 on; nothing else imports it. It knows what
DuckDB 2.0 can alter in place; for the rest a table is made anew, in Alembic's batch mode, which
autogenerate therefore always writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import render
from alembic.ddl.base import (
    ColumnComment,
    RenameTable,
    alter_table,
    format_column_name,
    format_table_name,
)
from alembic.ddl.impl import ComparisonResult, DefaultImpl
from alembic.util import CommandError
from alembic.util.sqla_compat import compiles
from sqlalchemy.schema import CreateSequence, DefaultClause, DropSequence
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import UnaryExpression

from . import types
from .compiler import counting_column
from .types import ThanoSQLTypeCompiler
from .types.literals import quoted
from .types.nested import Composite

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl
    from alembic.runtime.plugins import Plugin
    from sqlalchemy import Column, Table
    from sqlalchemy.schema import Constraint, ForeignKeyConstraint, Index, UniqueConstraint
    from sqlalchemy.types import TypeEngine

IMPORT = "from sqlalchemy_dialect import types as thanosql"


def setup(plugin: Plugin) -> None:
    """Do nothing more: to import this module is what makes Alembic know the dialect."""


class CatalogTypeCompiler(ThanoSQLTypeCompiler):
    """Writes types as DuckDB keeps them: without lengths of texts, and without collations."""

    def visit_VARCHAR(self, type_: sqltypes.String, **kw: Any) -> str:
        return "VARCHAR"

    visit_CHAR = visit_NCHAR = visit_NVARCHAR = visit_TEXT = visit_CLOB = visit_NCLOB = (
        visit_VARCHAR
    )
    visit_text = visit_unicode_text = visit_VARCHAR


class ThanoSQLImpl(DefaultImpl):
    """Alembic's operations on DuckDB."""

    __dialect__ = "thanosql"
    transactional_ddl = True

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        # Plain ALTERs of a constraint, or of a table with an index, would not run.
        self.context_opts["render_as_batch"] = True

    # --- autogenerate: what is the same ---

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        """Say whether DuckDB would keep another type."""
        compiler = CatalogTypeCompiler(self.dialect)
        old, new = (compiler.process(c.type) for c in (inspector_column, metadata_column))
        return old != new

    def compare_server_default(
        self,
        inspector_column: Column[Any],
        metadata_column: Column[Any],
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        """Say whether DuckDB would keep another default."""
        if metadata_column.server_default is None and counting_column(metadata_column.table) is (
            metadata_column
        ):
            # The sequence of a table or column that was renamed has another name than expected.
            return "nextval(" not in (rendered_inspector_default or "nextval(")
        compiler = self.dialect.ddl_compiler(self.dialect, None)  # type: ignore[arg-type]
        wanted = compiler.get_column_default_string(metadata_column)
        return self._canonical(wanted) != self._canonical(rendered_inspector_default)

    def compare_indexes(self, metadata_index: Index, reflected_index: Index) -> ComparisonResult:
        """Compare uniqueness and the expressions, as DuckDB writes them."""
        found = [
            (bool(index.unique), [self._expression(e) for e in index.expressions])
            for index in (metadata_index, reflected_index)
        ]
        if found[0] == found[1]:
            return ComparisonResult.Equal()
        return ComparisonResult.Different(f"{found[1]} to {found[0]}")

    def correct_for_autogen_constraints(
        self,
        conn_uniques: set[UniqueConstraint],
        conn_indexes: set[Index],
        metadata_unique_constraints: set[UniqueConstraint],
        metadata_indexes: set[Index],
    ) -> None:
        """Name the models' unique constraints as DuckDB does: it keeps no other names."""
        for unique in metadata_unique_constraints:
            columns = [column.name for column in unique.columns]
            unique.name = _constraint_name(unique.table, columns, "key")

    def correct_for_autogen_foreignkeys(
        self, conn_fks: set[ForeignKeyConstraint], metadata_fks: set[ForeignKeyConstraint]
    ) -> None:
        """Name the models' foreign keys as DuckDB does: it keeps no other names."""
        for key in metadata_fks:
            # By their texts: the table that is referred to may be in no model.
            theirs = [element.target_fullname.rpartition(".")[2] for element in key.elements]
            columns = [*(column.name for column in key.columns), *theirs]
            key.name = _constraint_name(key.table, columns, "fkey")

    def _compare_identity_default(
        self, metadata_identity: Any, inspector_identity: Any
    ) -> tuple[set[str], set[str], bool]:
        # DuckDB has no identities; the sequences that stand for them are no column's option.
        return set(), set(), False

    def _normalize_computed_default(self, sqltext: str) -> str:
        normalized: str = super()._normalize_computed_default(self._canonical(sqltext) or sqltext)
        return normalized

    def _expression(self, expression: Any) -> str | None:
        while isinstance(expression, UnaryExpression) and expression.modifier is not None:
            # DuckDB's indexes have no order.
            expression = expression.element
        return self._canonical(self.render_ddl_sql_expr(expression))

    def _canonical(self, expression: str | None) -> str | None:
        """Return an expression as DuckDB's own parser prints it."""
        if expression is None or self.connection is None:
            return expression
        printed = self.connection.exec_driver_sql(
            "SELECT CASE WHEN (tree -> '$.error')::BOOLEAN THEN NULL"
            " ELSE json_deserialize_sql(tree) END"
            " FROM (SELECT json_serialize_sql(?::VARCHAR) AS tree)",
            (f"SELECT {expression}",),
        ).scalar_one()
        text: str = printed or expression
        # CURRENT_DATE and current_date are kept as they were written.
        return text if "'" in text or '"' in text else text.lower()

    # --- autogenerate: what is written ---

    def render_type(
        self, type_obj: TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Write DuckDB's types, and the import that they need."""
        if not _is_ours(type_obj):
            return False
        autogen_context.imports.add(IMPORT)
        return _rendered(type_obj, autogen_context)

    # --- operations ---

    def alter_column(self, table_name: str, column_name: str, **kw: Any) -> None:
        """Alter a column."""
        # Autogenerate passes them for every key, and Alembic warns that they are MySQL's.
        kw.update(autoincrement=None, existing_autoincrement=None)
        super().alter_column(table_name, column_name, **kw)

    def add_constraint(self, const: Any, **kw: Any) -> None:
        """Add a primary key or a unique constraint.

        Raises:
            alembic.util.CommandError: another one, which DuckDB adds to no table.
        """
        if isinstance(const, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            super().add_constraint(const, **kw)
        elif const._create_rule is None or const._create_rule(self):
            raise _not_in_place(f"add a {_kind(const)}", const.table.name)

    def drop_constraint(self, const: Constraint, **kw: Any) -> None:
        """Refuse.

        Raises:
            alembic.util.CommandError: DuckDB drops no constraint.
        """
        raise _not_in_place("drop a constraint", const.table.name)

    def drop_table(self, table: Table, **kw: Any) -> None:
        """Drop a table, and the sequences that the dialect made for its keys."""
        sequences = [] if table.info.get(_KEPT) else self._sequences(table)
        super().drop_table(table, **kw)
        for sequence in sequences:
            self._exec(DropSequence(sequence, if_exists=True))

    def _sequences(self, table: Table) -> list[sa.Sequence]:
        if self.connection is None:
            return []
        inspector = sa.inspect(self.connection)
        if not inspector.has_table(table.name, table.schema):
            return []
        return [
            _sequence(table, column["name"])
            for column in inspector.get_columns(table.name, table.schema)
            if column["autoincrement"] is True
        ]

    # --- batch mode ---

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        """Say whether the table must be made anew, because DuckDB cannot alter it so."""
        name, schema = batch_op.table_name, batch_op.schema
        table = _Existing(self.connection, name, schema)
        if all(table.takes(operation, *args, **kw) for operation, args, kw in batch_op.batch):
            return False
        for operation, args, _ in batch_op.batch:
            if operation in {"create_table_comment", "drop_table_comment"}:
                wanted = args[0].comment if operation == "create_table_comment" else None
                self.memo[_COMMENT, schema, name] = wanted
        return True

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        """Carry over to the new table what Alembic leaves behind.

        Raises:
            alembic.util.CommandError: a foreign key refers to the table, so DuckDB lets nobody
                drop it.
        """
        new = batch_impl.new_table
        if new is None:
            return
        if referring := _Existing(self.connection, table.name, table.schema).referring:
            raise CommandError(
                f"DuckDB cannot change the table {table.name!r} in this way while a foreign key"
                f" of {', '.join(referring)} refers to it. Drop that foreign key first, in a"
                " batch of its own, and add it again afterwards"
            )
        new.comment = self.memo.pop((_COMMENT, table.schema, table.name), table.comment)
        self._keep_sequence(table, new)
        table.info[_KEPT] = True

    def _keep_sequence(self, table: Table, new: Table) -> None:
        """Let the new table's key count on where the old one's was."""
        column = counting_column(new)
        if column is None:
            return
        old = counting_column(table)
        # A column that was renamed keeps its old one.
        sequence = _sequence(table, column.name if old is None else old.name)
        if old is None:
            self._exec(CreateSequence(sequence, if_not_exists=True))
        else:
            # Or else to drop the old table would be to drop its sequence.
            DefaultClause(sequence.next_value())._set_parent(old)
        DefaultClause(sequence.next_value())._set_parent(column)


_KEPT = "thanosql_sequence_kept"
_COMMENT = "thanosql_comment"


class _Existing:
    """A table as it is, and what DuckDB can alter of it in place."""

    def __init__(self, connection: sa.Connection | None, name: str, schema: str | None) -> None:
        self.indexed = False
        self.referring: list[str] = []
        self._order: list[str] = []
        self._constrained: set[str] = set()
        self._keys: set[str] = set()
        if connection is not None:
            self._inspect(sa.inspect(connection), name, schema)

    def _inspect(self, inspector: sa.Inspector, name: str, schema: str | None) -> None:
        if not inspector.has_table(name, schema):
            return
        self.indexed = bool(inspector.get_indexes(name, schema))
        self._order = [column["name"] for column in inspector.get_columns(name, schema)]
        primary = inspector.get_pk_constraint(name, schema)["constrained_columns"]
        unique = inspector.get_unique_constraints(name, schema)
        self._keys = {*primary, *(column for key in unique for column in key["column_names"])}
        everyones = inspector.get_multi_foreign_keys(schema=schema).items()
        self.referring = sorted(
            {
                str(table)
                for (_, table), keys in everyones
                for key in keys
                if key["referred_table"].lower() == name.lower()
            }
        )
        own = inspector.get_foreign_keys(name, schema)
        self._constrained = self._keys.union(*(key["constrained_columns"] for key in own))
        for check in inspector.get_check_constraints(name, schema):
            # Whichever are named in the text, and perhaps some that are not.
            self._constrained |= {column for column in self._order if column in check["sqltext"]}

    @property
    def free(self) -> bool:
        """Whether nothing depends on the table, so that DuckDB alters it."""
        return not self.indexed and not self.referring

    def takes(self, operation: str, *args: Any, **kw: Any) -> bool:
        """Say whether DuckDB does an operation of Alembic's in place."""
        if operation == "add_column":
            column = args[1]
            if column.computed is not None or column.primary_key or column.constraints:
                return False
            return column.nullable or self.free
        if operation == "drop_column":
            return self.free and self._takes_drop(args[1].name)
        if operation == "alter_column":
            return self._takes_alter(args[1], kw)
        if operation == "add_constraint":
            keys = (sa.PrimaryKeyConstraint, sa.UniqueConstraint)
            return self.free and isinstance(args[0], keys)
        return operation != "drop_constraint"

    def _takes_drop(self, name: str) -> bool:
        after = self._order[self._order.index(name) + 1 :] if name in self._order else []
        # DuckDB drops no column before one that has an index of a constraint.
        return name not in self._constrained and self._keys.isdisjoint(after)

    def _takes_alter(self, name: str, kw: Mapping[str, Any]) -> bool:
        if kw.get("nullable") is False and not self.referring:
            # In place it fails where the transaction has changed rows, to fill them in first.
            return False
        if all(kw.get(change) is None for change in ("type_", "name", "nullable")):
            return True
        return self.free and name not in self._constrained


def _constraint_name(table: Table, columns: Iterable[str], suffix: str) -> str:
    """Return the name that DuckDB makes up for a constraint whenever it is asked for one."""
    return "_".join([table.name, *(column.lower() for column in columns), suffix])


def _sequence(table: Table, column: str) -> sa.Sequence:
    """Return the sequence that the dialect makes for a table's counting column."""
    return sa.Sequence(f"{table.name}_{column}_seq", schema=table.schema)


def _kind(constraint: Constraint) -> str:
    return "foreign key" if isinstance(constraint, sa.ForeignKeyConstraint) else "check"


def _not_in_place(what: str, table: str) -> CommandError:
    return CommandError(
        f"DuckDB cannot {what} of the table {table!r} in place; use op.batch_alter_table({table!r})"
    )


# --- types as Python ------------------------------------------------------------------------


def _is_ours(kind: TypeEngine[Any]) -> bool:
    if isinstance(kind, sqltypes.ARRAY):
        return isinstance(kind, types.LIST) or _is_ours(kind.item_type)
    return type(kind).__module__.startswith(f"{types.__name__}.")


def _rendered(kind: TypeEngine[Any], context: AutogenContext) -> str:
    """Write a type as the call that makes it."""

    def inner(*kinds: TypeEngine[Any]) -> list[str]:
        return [
            _rendered(k, context) if _is_ours(k) else render._repr_type(k, context) for k in kinds
        ]

    name = f"thanosql.{type(kind).__name__}"
    if isinstance(kind, Composite):
        values = inner(*(member for _, member in kind.fields))
        pairs = zip((field for field, _ in kind.fields), values, strict=True)
        return f"{name}({{{', '.join(f'{field!r}: {value}' for field, value in pairs)}}})"
    if isinstance(kind, types.MAP):
        return f"{name}({', '.join(inner(kind.key_type, kind.value_type))})"
    if isinstance(kind, types.TUPLE):
        return f"{name}([{', '.join(inner(*kind.types))}])"
    if isinstance(kind, types.ARRAY):
        return f"{name}({inner(kind.item_type)[0]}, {kind.size})"
    if isinstance(kind, sqltypes.ARRAY):
        return f"thanosql.LIST({inner(kind.item_type)[0]}, dimensions={kind.dimensions})"
    return f"thanosql.{kind!r}"


# --- statements -----------------------------------------------------------------------------


@compiles(RenameTable, "thanosql")
def _rename_table(element: RenameTable, compiler: Any, **kw: Any) -> str:
    # The new name stands alone: a table stays in its schema.
    table = alter_table(compiler, element.table_name, element.schema)
    return f"{table} RENAME TO {format_table_name(compiler, element.new_table_name, None)}"


@compiles(ColumnComment, "thanosql")
def _column_comment(element: ColumnComment, compiler: Any, **kw: Any) -> str:
    table = format_table_name(compiler, element.table_name, element.schema)
    column = format_column_name(compiler, element.column_name)
    text = "NULL" if element.comment is None else quoted(element.comment)
    return f"COMMENT ON COLUMN {table}.{column} IS {text}"
