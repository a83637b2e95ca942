"""From SQLAlchemy's constructs to DuckDB's SQL.

It knows the two languages, and no connection. Where DuckDB says what SQLAlchemy's generic
compiler says, nothing stands here.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import exc
from sqlalchemy.sql import coercions, compiler, elements, roles, sqltypes

#: Words that DuckDB 2.0 takes for a name only in quotes: `duckdb_keywords()`, the categories
#: reserved and type_function.
RESERVED_WORDS = set(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by
    case cast check collate collation column columns concurrently constraint create cross default
    deferrable desc describe distinct do else end except false fetch for foreign freeze from full
    generated glob group having ilike in initially inner intersect into is isnull join lambda
    lateral leading left like limit map natural not notnull null offset on only or order outer
    overlaps pivot pivot_longer pivot_wider placing positional primary qualify references returning
    right select semi show similar some struct summarize symmetric table tablesample then to
    trailing true try_cast tuple union unique unpack unpivot using variadic verbose when where
    window with
    """.split()  # noqa: SIM905 - one word a line would fill two pages
)


class ThanoSQLIdentifierPreparer(compiler.IdentifierPreparer):
    """Quote names; a schema `database.schema` is two of them."""

    reserved_words = RESERVED_WORDS

    def quote_schema(self, schema: str, force: Any = None) -> str:
        """Quote a schema's name, with the attached database in front of a dot.

        `quoted_name("a.b", quote=True)` is one name with a dot in it.
        """
        # SQLAlchemy's place for a schema that is translated later stays one word.
        if getattr(schema, "quote", None) or "." not in schema or schema.startswith("__[SCHEMA_"):
            return super().quote_schema(schema)
        return ".".join(self.quote(part) for part in schema.split(".", 1))


class ThanoSQLCompiler(compiler.SQLCompiler):
    """Compile statements and expressions."""

    def visit_predict(self, element: Any, **kw: Any) -> str:
        """Render PREDICT over its query; see `statements.Predict`."""
        kw.update(asfrom=False, compound_index=None)
        model = self.preparer.quote(element.using)
        options = ", ".join(f"{name}={value}" for name, value in element.options)
        return (
            f"PREDICT USING {model}"
            + (f" OPTIONS ({options})" if options else "")
            + f" AS {self.process(element.query, **kw)}"
        )

    def visit_sequence(self, sequence: Any, **kw: Any) -> str:
        """Render the next value of a sequence."""
        return f"nextval({sequence_literal(self, self.preparer.format_sequence(sequence))})"

    # Rows: LIMIT, FETCH, VALUES, samples ------------------------------------------------------

    def limit_clause(self, select: Any, **kw: Any) -> str:
        """Render LIMIT and OFFSET, either of them alone too."""
        text = ""
        if select._limit_clause is not None:
            text += f"\n LIMIT {self.process(select._limit_clause, **kw)}"
        if select._offset_clause is not None:
            text += f"\n OFFSET {self.process(select._offset_clause, **kw)}"
        return text

    def fetch_clause(
        self,
        select: Any,
        fetch_clause: Any = None,
        require_offset: bool = False,
        use_literal_execute_for_simple_int: bool = False,
        **kw: Any,
    ) -> str:
        """Render FETCH FIRST as the LIMIT that DuckDB also takes a percentage in.

        Raises:
            CompileError: WITH TIES, which DuckDB does not have.
        """
        options = select._fetch_clause_options
        if options["with_ties"]:
            raise exc.CompileError("DuckDB has no FETCH FIRST … WITH TIES; use RANK in QUALIFY")
        count = self.process(select._fetch_clause, **kw)
        text = f"\n LIMIT ({count}){'%' if options['percent'] else ''}"
        if select._offset_clause is not None:
            text += f"\n OFFSET {self.process(select._offset_clause, **kw)}"
        return text

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Render nothing: DuckDB locks no rows, a conflict ends the later transaction."""
        return ""

    def get_select_precolumns(self, select: Any, **kw: Any) -> str:
        """Render DISTINCT and DISTINCT ON."""
        if select._distinct_on:
            columns = ", ".join(self.process(c, **kw) for c in select._distinct_on)
            return f"DISTINCT ON ({columns}) "
        return "DISTINCT " if select._distinct else ""

    def visit_tablesample(self, tablesample: Any, asfrom: bool = False, **kw: Any) -> str:
        """Render a sample of so many percent of the rows."""
        method = tablesample._get_method()
        share = ", ".join(self.process(c, literal_execute=True, **kw) for c in method.clauses)
        text = (
            f"{self.visit_alias(tablesample, asfrom=True, **kw)}"
            f" TABLESAMPLE {method.name}({share} PERCENT)"
        )
        if tablesample.seed is not None:
            text += f" REPEATABLE ({self.process(tablesample.seed, literal_execute=True, **kw)})"
        return text

    def visit_empty_set_expr(self, element_types: Any, **kw: Any) -> str:
        """Render a query without rows, in the types that it is compared with."""
        columns = ", ".join(
            f"CAST(NULL AS {self._type_of(sqltypes.INTEGERTYPE if t._isnull else t)})"
            for t in element_types or [sqltypes.INTEGERTYPE]
        )
        return f"SELECT {columns} WHERE 1 != 1"

    def _type_of(self, type_: Any) -> str:
        text: str = self.dialect.type_compiler_instance.process(type_)
        return text

    # Changes: FROM, USING, ON CONFLICT --------------------------------------------------------

    def update_from_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Render UPDATE … FROM."""
        return f"FROM {self._other_tables(extra_froms, from_hints, kw)}"

    def delete_extra_from_clause(
        self, delete_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Render DELETE … USING."""
        return f"USING {self._other_tables(extra_froms, from_hints, kw)}"

    def _other_tables(self, tables: Any, hints: Any, kw: dict[str, Any]) -> str:
        return ", ".join(self.process(t, fromhints=hints, asfrom=True, **kw) for t in tables)

    def visit_on_conflict_do_nothing(self, on_conflict: Any, **kw: Any) -> str:
        """Render ON CONFLICT … DO NOTHING."""
        return f"ON CONFLICT {self._conflict_target(on_conflict, **kw)}DO NOTHING"

    def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> str:
        """Render ON CONFLICT … DO UPDATE SET …."""
        target = self._conflict_target(on_conflict, **kw)
        selectable: Any = self.stack[-1]["selectable"]
        table = selectable.table
        kw["use_schema"] = False
        changes = []
        columns = {key: column for column in table.c for key in (column.key, column)}
        for name, value in dict(on_conflict.update_values_to_set).items():
            column = columns.get(name)
            if column is None:
                raise exc.CompileError(f"ON CONFLICT: the table {table.name} has no column {name}")
            new = coercions.expect(roles.ExpressionElementRole, value)
            if isinstance(new, elements.BindParameter) and new.type._isnull:
                new = new._with_binary_element_type(column.type)
            text = self.process(new.self_group(), is_upsert_set=True, **kw)
            changes.append(f"{self.preparer.quote(column.name)} = {text}")
        action = f"DO UPDATE SET {', '.join(changes)}"
        if on_conflict.update_whereclause is not None:
            kw["include_table"] = True
            action += f" WHERE {self.process(on_conflict.update_whereclause, **kw)}"
        return f"ON CONFLICT {target}{action}"

    def _conflict_target(self, clause: Any, **kw: Any) -> str:
        if getattr(clause, "constraint_target", None) is not None:
            raise exc.CompileError("DuckDB has no ON CONFLICT ON CONSTRAINT; name the columns")
        if clause.inferred_target_elements is None:
            return ""
        if clause.inferred_target_whereclause is not None:
            raise exc.CompileError("DuckDB has no partial indexes for ON CONFLICT … WHERE to name")
        kw.update(include_table=False, use_schema=False)
        names = (
            self.preparer.quote(e) if isinstance(e, str) else self.process(e, **kw)
            for e in clause.inferred_target_elements
        )
        return f"({', '.join(names)}) "

    # Operators and functions ------------------------------------------------------------------

    def visit_floordiv_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render `//`, which on integers stays exact and truncates, as elsewhere in SQL."""
        left, right = self.process(binary.left, **kw), self.process(binary.right, **kw)
        sides = (binary.left.type, binary.right.type)
        if all(t._type_affinity is sqltypes.Integer for t in sides):
            return f"{left} // {right}"
        return f"FLOOR({left} / {right})"

    def visit_bitwise_xor_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a function: DuckDB's `^` is a power."""
        return f"xor({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"

    def visit_ilike_case_insensitive_operand(self, element: Any, **kw: Any) -> str:
        """Render the operand as it is: ILIKE ignores case by itself."""
        return self.process(element.element, **kw)

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render ILIKE."""
        return self._generate_generic_binary(binary, " ILIKE ", **kw) + self._escape(binary)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT ILIKE."""
        return self._generate_generic_binary(binary, " NOT ILIKE ", **kw) + self._escape(binary)

    def _escape(self, binary: Any) -> str:
        escape = binary.modifiers.get("escape")
        if escape is None:
            return ""
        return f" ESCAPE {self.render_literal_value(escape, sqltypes.STRINGTYPE)}"

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a search for a regular expression (RE2) anywhere in the text."""
        return self._regexp("regexp_matches", [binary.left, binary.right], binary, **kw)

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the opposite."""
        return f"NOT {self.visit_regexp_match_op_binary(binary, operator, **kw)}"

    def visit_regexp_replace_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the replacement of the first match; of all with the flag `g`."""
        return self._regexp("regexp_replace", [binary.left, binary.right], binary, **kw)

    def _regexp(self, function: str, operands: list[Any], binary: Any, **kw: Any) -> str:
        arguments = [self.process(operand, **kw) for operand in operands]
        flags = binary.modifiers.get("flags")
        if flags is not None:
            arguments.append(self.render_literal_value(flags, sqltypes.STRINGTYPE))
        return f"{function}({', '.join(arguments)})"

    def visit_json_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the value at a key or index: JSON as JSON, anything else as its own type."""
        return self._json_extract(binary, **kw)

    def visit_json_path_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the value at a path."""
        return self._json_extract(binary, **kw)

    def _json_extract(self, binary: Any, **kw: Any) -> str:
        operands = f"({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"
        if binary.type._type_affinity is sqltypes.JSON:
            return f"json_extract{operands}"
        text = f"json_extract_string{operands}"
        if binary.type._type_affinity is sqltypes.String:
            return text
        return f"CAST({text} AS {self._type_of(binary.type)})"

    def visit_getitem_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the element of a list, a map or a struct."""
        return f"{self.process(binary.left, **kw)}[{self.process(binary.right, **kw)}]"

    def visit_slice(self, element: Any, **kw: Any) -> str:
        """Render the bounds of a list's slice, and its step; a bound may be left out."""
        start, stop, step = (
            "" if isinstance(bound, elements.Null) else self.process(bound, **kw)
            for bound in (element.start, element.stop, element.step)
        )
        return f"{start}:{stop or '-'}:{step}" if step else f"{start}:{stop}"

    def visit_try_cast(self, cast: Any, **kw: Any) -> str:
        """Render a cast that gives NULL where it fails."""
        return f"TRY_{self.visit_cast(cast, **kw)}"

    #: While RETURNING is rendered: DuckDB takes no parameters there, so values are written out.
    _in_returning = False

    def returning_clause(
        self, stmt: Any, returning_cols: Any, *, populate_result_map: bool, **kw: Any
    ) -> str:
        """Render RETURNING."""
        self._in_returning = True
        try:
            return super().returning_clause(
                stmt, returning_cols, populate_result_map=populate_result_map, **kw
            )
        finally:
            self._in_returning = False

    def visit_bindparam(self, bindparam: Any, *arguments: Any, **kw: Any) -> str:
        """Render a parameter, in RETURNING its value."""
        if self._in_returning:
            kw["literal_execute"] = True
        return super().visit_bindparam(bindparam, *arguments, **kw)

    def visit_array(self, element: Any, **kw: Any) -> str:
        """Render a list."""
        return f"[{self.visit_clauselist(element, **kw)}]"

    def visit_aggregate_strings_func(self, fn: Any, **kw: Any) -> str:
        """Render DuckDB's name of it."""
        kw["use_function_name"] = "string_agg"
        return super().visit_aggregate_strings_func(fn, **kw)


class ThanoSQLDDLCompiler(compiler.DDLCompiler):
    """Compile definitions.

    DuckDB has no identity columns: a key that counts by itself gets a sequence of its own, made
    and dropped with the table, in one text of two statements.
    """

    def visit_create_table(self, create: Any, **kw: Any) -> str:
        """Render CREATE TABLE, after the sequence of its key."""
        text = super().visit_create_table(create, **kw)
        column = counting_column(create.element)
        if column is None:
            return text
        self._refuse_a_shared_sequence(column)
        temporary = "TEMPORARY " if is_temporary(create.element) else ""
        bounds = ""
        if column.identity is not None:
            # DuckDB's sequences have no cache and no order.
            options = self.get_identity_options(column.identity)
            bounds = re.sub(r"\s*\b(CACHE \d+|(NO )?ORDER)\b", "", options)
        name = sequence_name(self.preparer, column)
        return f"\nCREATE {temporary}SEQUENCE IF NOT EXISTS {name} {bounds}".rstrip() + f";{text}"

    def _refuse_a_shared_sequence(self, column: Any) -> None:
        """Refuse a table whose sequence has the name of another one's.

        Raises:
            CompileError: `user(address_id)` and `user_address(id)` are such two.
        """
        name = sequence_name(self.preparer, column)
        for table in column.table.metadata.tables.values():
            other = counting_column(table)
            if other is None or other is column or sequence_name(self.preparer, other) != name:
                continue
            raise exc.CompileError(
                f"the keys {column} and {other} would share the sequence {name}:"
                " give one of them a Sequence() of its own"
            )

    def visit_drop_table(self, drop: Any, **kw: Any) -> str:
        """Render DROP TABLE, and then its key's sequence."""
        text = super().visit_drop_table(drop, **kw)
        column = counting_column(drop.element)
        if column is None:
            return text
        return f"{text};\nDROP SEQUENCE IF EXISTS {sequence_name(self.preparer, column)}"

    def get_column_specification(self, column: Any, **kw: Any) -> str:
        """Render a column's name, type, and what fills it."""
        parts = [
            self.preparer.format_column(column),
            self.dialect.type_compiler_instance.process(column.type, type_expression=column),
        ]
        if column.identity is not None and column is not counting_column(column.table):
            raise exc.CompileError(
                f"{column}: DuckDB has no identity columns; Identity() is for the primary key alone"
            )
        if column.computed is not None:
            parts.append(self.process(column.computed))
        elif column is counting_column(column.table):
            # Without a schema DuckDB looks for it beside the table, whatever the file is called.
            name = bare_sequence_name(self.preparer, column)
            sequence = sequence_literal(self.sql_compiler, name)
            parts.append(f"DEFAULT nextval({sequence})")
        elif (default := self.get_column_default_string(column)) is not None:
            parts.append(f"DEFAULT ({default})")
        if not column.nullable:
            parts.append("NOT NULL")
        return " ".join(parts)

    def visit_computed_column(self, generated: Any, **kw: Any) -> str:
        """Render a generated column.

        Raises:
            CompileError: a stored one is asked for; DuckDB computes them when they are read.
        """
        if generated.persisted:
            raise exc.CompileError(
                "DuckDB has only virtual generated columns: leave out persisted=True"
            )
        expression = self.sql_compiler.process(
            generated.sqltext, include_table=False, literal_binds=True
        )
        return f"GENERATED ALWAYS AS ({expression}) VIRTUAL"

    def visit_create_index(
        self,
        create: Any,
        include_schema: bool = False,
        include_table_schema: bool = True,
        **kw: Any,
    ) -> str:
        """Render CREATE INDEX; a functional index in the parentheses that DuckDB wants."""
        index = create.element
        self._verify_index_table(index)
        expressions = (
            self.sql_compiler.process(
                e if isinstance(e, elements.ColumnClause) else e.self_group(),
                include_table=False,
                literal_binds=True,
            )
            for e in index.expressions
        )
        return (
            f"CREATE {'UNIQUE ' if index.unique else ''}INDEX"
            f" {'IF NOT EXISTS ' if create.if_not_exists else ''}"
            f"{self._prepared_index_name(index)}"
            f" ON {self.preparer.format_table(index.table)} ({', '.join(expressions)})"
        )


def counting_column(table: Any) -> Any:
    """Return the column of a table that DuckDB fills by counting, or None."""
    column = getattr(table, "_autoincrement_column", None)
    if column is None or column.default is not None:
        return None
    if column.server_default is not None and column.identity is None:
        return None
    return column


def is_temporary(table: Any) -> bool:
    """Whether a table is made as a temporary one."""
    prefixes = getattr(table, "_prefixes", ())
    return any(str(prefix).upper() in {"TEMP", "TEMPORARY"} for prefix in prefixes)


def bare_sequence_name(preparer: compiler.IdentifierPreparer, column: Any) -> str:
    """Return the name of a counting column's sequence, quoted, without a schema."""
    return preparer.quote(f"{column.table.name}_{column.name}_seq")


def sequence_name(preparer: compiler.IdentifierPreparer, column: Any) -> str:
    """Return the full name of a counting column's sequence, quoted."""
    name = bare_sequence_name(preparer, column)
    schema = preparer.schema_for_object(column.table)
    return f"{preparer.quote_schema(schema)}.{name}" if schema else name


def sequence_literal(statement: compiler.SQLCompiler, name: str) -> str:
    """Return a sequence's quoted name as the text that nextval takes."""
    return statement.render_literal_value(name, sqltypes.STRINGTYPE)
