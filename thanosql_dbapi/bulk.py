"""executemany: many rows as one Arrow table where the statement is an INSERT … VALUES.

DuckDB binds and plans an INSERT anew for each row; one INSERT … SELECT from Arrow is hundreds of
times faster. It knows SQL only as far as to find the VALUES list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import language
from .arrow import parameter_columns
from .engine import ROWS_VIEW, Engine
from .exceptions import NotSupportedError, ProgrammingError
from .language.insert import InsertValues, insert_values


def execute_many(operation: str, rows: Sequence[Any], engine: Engine) -> int:
    """Run one statement for each row of parameters, all or none; return the rows changed.

    Raises:
        ProgrammingError: more than one statement, or a row that does not fit the first.
        NotSupportedError: a model statement.
    """
    if language.parse(operation) is not None:
        raise NotSupportedError("executemany takes plain SQL; run a model statement by execute")
    engine.require_one_statement(operation)
    if not rows:
        return 0
    keys = _keys(rows)
    insert = insert_values(operation)
    if insert is not None and keys and not _looks_at_itself(operation, insert, engine):
        columns = list(zip(*(_values(row, keys) for row in rows), strict=True))
        # Without a table DuckDB binds each row by itself, as it would have done.
        if converted := parameter_columns(columns):
            table, casts = converted
            if sql := _from_rows(operation, insert, keys, casts):
                return engine.insert_rows(sql, table)
    return engine.execute_each(operation, rows)


def _looks_at_itself(operation: str, insert: InsertValues, engine: Engine) -> bool:
    """Tell whether a row may refer to one before it: DuckDB sees them only once they are in."""
    target = operation[: insert.values_start].lower()
    return any(name in target for name in engine.tables_that_reference_themselves())


def _keys(rows: Sequence[Any]) -> list[Any]:
    """Return the names or positions of the first row's parameters; all rows must have them."""
    first = rows[0]
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


def _values(row: Any, keys: list[Any]) -> Sequence[Any]:
    return [row[key] for key in keys] if isinstance(row, Mapping) else row


def _from_rows(
    operation: str, insert: InsertValues, keys: list[Any], casts: Sequence[str | None]
) -> str | None:
    """Rewrite INSERT … VALUES (…) to read from the relation of rows."""
    columns = {
        str(key): f"{ROWS_VIEW}.c{i}" + (f"::{cast}" if cast else "")
        for i, (key, cast) in enumerate(zip(keys, casts, strict=True))
    }
    if {str(key) for key, _, _ in insert.placeholders} != set(columns):
        return None
    parts, position = [operation[: insert.values_start], "SELECT "], insert.tuple_start
    for key, start, end in insert.placeholders:
        parts += [operation[position:start], columns[str(key)]]
        position = end
    parts += [operation[position : insert.tuple_end], f" FROM {ROWS_VIEW} "]
    return "".join([*parts, operation[insert.tail_start :]])
