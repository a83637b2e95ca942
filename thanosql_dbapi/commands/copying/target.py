"""The table that a COPY fills: whether it is there, and how rows get into it, all or none."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...engine import Engine, Staging
from ...exceptions import DataError, Error, ProgrammingError, QueryInterrupted
from ...quoting import quote_name, quote_text
from ..base import Surroundings
from .files import Found, Rows

_UNQUALIFIED: Final = re.compile(r'"(?:[^"]|"")*"|[^".]+')
_TEMPORARY: Final = re.compile(r'(?:temp|"temp")\s*\.', re.IGNORECASE)

#: How many columns that do not fit are named.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A table, as the statement names it; `types` by column, None where there is no table.

    A temporary table stands before one of the database with the same name.
    """

    name: str
    types: Mapping[str, str] | None
    is_temporary: bool = False

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return self.types is not None

    def folded_types(self) -> dict[str, str]:
        """Return the types by the columns' names in lower case, as DuckDB compares them."""
        return {name.lower(): kind for name, kind in (self.types or {}).items()}


def target_of(name: str, engine: Engine) -> Target:
    """Look a table up.

    Raises:
        ProgrammingError: it is a view.
    """
    try:
        described = engine.execute(f"PRAGMA table_info({quote_text(name)})").fetch_all()
    except ProgrammingError:
        return Target(name, None, _TEMPORARY.match(name) is not None)
    try:
        # Only a table has it; a catalogue could not be asked so, without resolving the name anew.
        engine.execute(f"SELECT rowid FROM {name} LIMIT 0").fetch_all()
    except ProgrammingError as error:
        raise ProgrammingError(
            f"{name} is a view: COPY fills tables; drop the view, or give another name"
        ) from error
    types = {str(row[1]): str(row[2]) for row in described}
    return Target(name, types, _is_temporary(name, engine))


def _is_temporary(name: str, engine: Engine) -> bool:
    if _TEMPORARY.match(name):
        return True
    if not _UNQUALIFIED.fullmatch(name):
        return False
    try:
        engine.execute(f"SELECT rowid FROM temp.{name} LIMIT 0").fetch_all()
    except ProgrammingError:
        return False
    return True


def in_transaction(engine: Engine) -> bool:
    """Tell whether a statement would be part of a transaction, which its error would end."""
    return engine.in_transaction or not engine.autocommit


def zone_of(engine: Engine) -> str:
    """Return the time zone that the user's connection reads times in."""
    return str(engine.execute("SELECT current_setting('TimeZone')").fetch_all()[0][0])


def write(
    rows: Rows, target: Target, mode: str, found: Found, staging: Staging, around: Surroundings
) -> int:
    """Make, replace or extend the table; return how many rows came in.

    Where a transaction is open the rows are read apart from it first, since DuckDB ends it with
    an error.

    Raises:
        ProgrammingError: the rows have columns that the table has not.
        DataError: a value does not become what the table has in its column.
        Error: DuckDB's error; the table is as it was.
    """
    engine = around.engine
    appends = target.exists and mode == "append"
    if appends:
        columns = _columns(rows, staging)
        _require_known(columns, target, found)
    head = f"INSERT INTO {target.name} BY NAME" if appends else _create(target, mode)
    try:
        if in_transaction(engine):
            select = _cast(rows, columns, target) if appends else rows.select
            kept = staging.keep(select, rows.table)
            return engine.execute(f"{head} SELECT * FROM {kept}", None, around.execution).rowcount
        if rows.table is not None:
            return engine.insert_rows(f"{head} {rows.select}", rows.table).rowcount
        return engine.execute(f"{head} {rows.select}", None, around.execution).rowcount
    except QueryInterrupted:
        raise
    except DataError as error:
        if appends and (misfit := _misfit(rows, columns, target, staging)):
            raise DataError(f"{found.name}: {misfit}") from error
        raise


def _create(target: Target, mode: str) -> str:
    replaces = "OR REPLACE " if mode == "replace" else ""
    return f"CREATE {replaces}{'TEMP ' if target.is_temporary else ''}TABLE {target.name} AS"


def _columns(rows: Rows, staging: Staging) -> list[str]:
    if rows.table is not None:
        return [str(name) for name in rows.table.column_names]
    return list(staging.columns_of(rows.select))


def _require_known(columns: list[str], target: Target, found: Found) -> None:
    known = target.folded_types()
    unknown = [name for name in columns if name.lower() not in known]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        words = "a column" if len(unknown) == 1 else "columns"
        raise ProgrammingError(
            f"{found.name} has {words} that {target.name} has not:"
            f" {', '.join(unknown[:_NAMED])}{more}; the table has"
            f" {', '.join(list(target.types or ())[:20])}"
        )


def _cast(rows: Rows, columns: list[str], target: Target) -> str:
    types = target.folded_types()
    cast = ", ".join(
        f"CAST({quote_name(name)} AS {types[name.lower()]}) AS {quote_name(name)}"
        for name in columns
    )
    return f"SELECT {cast} FROM ({rows.select})"


def _misfit(rows: Rows, columns: list[str], target: Target, staging: Staging) -> str | None:
    """Say which column holds values that do not become what the table has in it; None if none."""
    types = target.folded_types()
    if rows.table is None:
        with contextlib.suppress(Error):
            given = staging.columns_of(rows.select)
            columns = [name for name in columns if given[name] != types[name.lower()]]
    for name in columns:
        quoted, kind = quote_name(name), types[name.lower()]
        sql = (
            f"SELECT any_value({quoted})::VARCHAR, count(*) FROM ({rows.select})"
            f" WHERE {quoted} IS NOT NULL AND TRY_CAST({quoted} AS {kind}) IS NULL"
        )
        try:
            ((value, count),) = staging.fetch_all(sql, rows.table)
        except Error:  # the file itself is broken, and that was told
            return None
        if count:
            rest = "" if count == 1 else f", as {count} rows have such values"
            return f"column {name}: '{value}' is no {kind}, which {target.name} has there{rest}"
    return None
