"""executemany: many rows as one Arrow table where the statement is an INSERT … VALUES.

DuckDB binds and plans an INSERT anew for each row; one INSERT … SELECT from Arrow is hundreds of
times faster. It knows SQL only as far as to find the VALUES list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import language
from .arrow import parameter_columns
from .engine import ROWS_VIEW, Engine, Result
from .exceptions import NotSupportedError, ProgrammingError
from .language.insert import InsertValues, insert_values

if TYPE_CHECKING:
    import pyarrow as pa


def execute_many(operation: str, rows: Sequence[Any], engine: Engine) -> Result | None:
    """Run one statement for each row of parameters, all or none; None without rows.

    Raises:
        ProgrammingError: more than one statement, or a row that does not fit the first.
        NotSupportedError: a model statement.
    """
    if language.parse(operation) is not None:
        raise NotSupportedError("executemany takes plain SQL; run a model statement by execute")
    engine.require_one_statement(operation)
    if not rows:
        return None
    keys = _keys(rows)
    insert = insert_values(operation)
    if insert is not None and keys and _as_one(operation, insert, engine):
        # No zip(*rows): its iterators, one a row, are as much work for Python's collector.
        places = keys if isinstance(rows[0], Mapping) else range(len(keys))
        columns = [[row[place] for row in rows] for place in places]
        converted = parameter_columns(columns)
        if converted is None and (kinds := _target_types(insert, keys, engine)):
            converted = parameter_columns(columns, kinds)
        # Without a table DuckDB binds each row by itself, as it would have done.
        if converted:
            table, casts = converted
            select = _from_rows(operation, insert, keys, casts)
            if select and _each_key_once(insert, select, table, engine):
                head, tail = operation[: insert.values_start], operation[insert.tail_start :]
                return engine.insert_rows(f"{head}{select} {tail}", table)
    return engine.execute_each(operation, rows)


def _as_one(operation: str, insert: InsertValues, engine: Engine) -> bool:
    """Tell whether inserting all rows at once is the same as inserting them one by one."""
    # With ON CONFLICT DuckDB returns rows in an order of its own.
    if insert.returns and (insert.conflict is not None or not engine.keeps_order()):
        return False
    # A row may refer to one before it, which DuckDB sees only once it is in the table. And of rows
    # that conflict with each other by several keys it keeps others than one by one.
    special = engine.tables_that_reference_themselves()
    if insert.conflict == "":
        special |= engine.tables_of_several_keys()
    target = operation[: insert.values_start].lower()
    return not any(name in target for name in special)


def _target_types(insert: InsertValues, keys: list[Any], engine: Engine) -> list[str] | None:
    """Return the types of the columns that the parameters go to; None where that is not plain."""
    if insert.plain is None or len(insert.placeholders) != len(keys):
        return None
    columns = ", ".join(insert.plain.columns or ["*"])
    found = engine.columns_of(f"SELECT {columns} FROM {insert.plain.table}")
    if found is None or len(found) != len(keys):
        return None
    # The places in the text have the table's order, the keys that of the parameters.
    places = [str(key) for key, _, _ in insert.placeholders]
    kinds = dict(zip(places, (described.type_code for described in found), strict=True))
    return [kinds[str(key)] for key in keys] if {*kinds} == {*map(str, keys)} else None


def _each_key_once(insert: InsertValues, select: str, rows: pa.Table, engine: Engine) -> bool:
    """Tell whether no two rows of an upsert have one key: DuckDB would keep the first of them.

    The keys are compared in their columns' own types: two texts may be one date.
    """
    if insert.key is None or insert.plain is None:
        return insert.key is None
    columns = insert.plain.columns or ()
    if not {_bare(name) for name in columns}.issuperset(map(_bare, insert.key)):
        return False
    types = engine.columns_of(f"SELECT {', '.join(insert.key)} FROM {insert.plain.table}")
    if types is None:
        return False
    casts = [
        f"CAST(v.{name} AS {described.type_code})"
        for name, described in zip(insert.key, types, strict=True)
    ]
    check = (
        f"SELECT count(*) = count(DISTINCT ({', '.join(casts)}))"
        f" FROM ({select}) AS v({', '.join(columns)})"
    )
    ((distinct,),) = engine.query_rows(check, rows)
    return bool(distinct)


def _bare(name: str) -> str:
    """Return a name without quotes and case, as DuckDB compares it."""
    return (name[1:-1].replace('""', '"') if name.startswith('"') else name).lower()


def _keys(rows: Sequence[Any]) -> list[Any]:
    """Return the names or positions of the first row's parameters; all rows must have them."""
    first = rows[0]
    # Nearly always so; then no loop is needed.
    if set(map(type, rows)) == {tuple} and set(map(len, rows)) == {len(first)}:
        return _row_keys(first)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, (Sequence, Mapping)) or isinstance(row, (str, bytes)):
            raise ProgrammingError(f"row {number} is no sequence and no mapping: {row!r}")
        # Lengths first: names are compared only where they are names.
        if len(row) != len(first) or (
            isinstance(row, Mapping) != isinstance(first, Mapping)
            or (isinstance(row, Mapping) and row.keys() != first.keys())
        ):
            raise ProgrammingError(
                f"row {number} has the parameters {_row_keys(row)}, the first row has"
                f" {_row_keys(first)}"
            )
    return _row_keys(first)


def _row_keys(row: Any) -> list[Any]:
    return list(row) if isinstance(row, Mapping) else list(range(1, len(row) + 1))


def _from_rows(
    operation: str, insert: InsertValues, keys: list[Any], casts: Sequence[str | None]
) -> str | None:
    """Return a SELECT from the relation of rows in place of VALUES (…)."""
    columns = {
        str(key): f"{ROWS_VIEW}.c{i}" + (f"::{cast}" if cast else "")
        for i, (key, cast) in enumerate(zip(keys, casts, strict=True))
    }
    if {str(key) for key, _, _ in insert.placeholders} != set(columns):
        return None
    parts, position = ["SELECT "], insert.tuple_start
    for key, start, end in insert.placeholders:
        parts += [operation[position:start], columns[str(key)]]
        position = end
    return "".join([*parts, operation[position : insert.tuple_end], f"\nFROM {ROWS_VIEW}"])
