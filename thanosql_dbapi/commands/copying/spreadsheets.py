"""Spreadsheets: .xlsx, .xlsm, .xlsb, .xls and .ods, by calamine.

Cells have types, columns have none: a column's type is the one that all of its cells have.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...exceptions import DataError, MissingExtra, OptionError, nearest
from .files import File, Found, Reading, Rows, arrow_rows

if TYPE_CHECKING:
    import pyarrow as pa

Cell: TypeAlias = Any

#: Up to here a spreadsheet's numbers, which are doubles, count by ones.
_COUNTS: Final = 1 << 53


def spreadsheets(found: Found, reading: Reading) -> Rows:
    """Read one sheet of each workbook; several of them by the names of their columns.

    Raises:
        MissingExtra: calamine is not installed.
        OptionError: there is no such sheet.
        DataError: a file is no workbook, is locked by a password, or its sheet is empty.
    """
    import pyarrow as pa

    tables = [_table(file, reading) for file in found.files]
    try:
        return arrow_rows(pa.concat_tables(tables, promote_options="permissive"))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the columns of {found.name} do not go together: {error}") from error


def _table(file: File, reading: Reading) -> pa.Table:
    import pyarrow as pa

    name, rows = _sheet(file, reading.options["sheet"])
    has_names = reading.options["header"] is not False
    width = max((len(row) for row in rows), default=0)
    titles = rows.pop(0) if has_names and rows else [""] * width
    while rows and all(cell == "" for cell in rows[-1]):
        rows.pop()
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    kept = [i for i in range(width) if titles[i] != "" or any(c != "" for c in columns[i])]
    if not kept:
        raise DataError(f"'{file.name}': the sheet '{name}' is empty")
    names = _unique([_title(titles[i], place) for place, i in enumerate(kept)])
    try:
        return pa.table([_array(columns[i]) for i in kept], names)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise DataError(f"'{file.name}', sheet '{name}': {error}") from error


def _sheet(file: File, wanted: str | int | None) -> tuple[str, list[list[Cell]]]:
    """Return the name of a sheet, and its cells; an empty cell is an empty text."""
    calamine = _calamine()
    try:
        with calamine.CalamineWorkbook.from_path(str(file.local)) as book:
            name = _name_of(wanted, book.sheet_names, file)
            return name, book.get_sheet_by_name(name).to_python()
    except calamine.PasswordError as error:
        raise DataError(f"'{file.name}' is locked by a password: save it without one") from error
    except calamine.CalamineError as error:
        raise DataError(f"'{file.name}' is no workbook, or not whole ({error})") from error


def _name_of(wanted: str | int | None, names: Sequence[str], file: File) -> str:
    if not names:
        raise DataError(f"'{file.name}' has no sheet")
    if wanted is None:
        return names[0]
    if isinstance(wanted, int):
        if wanted <= len(names):
            return names[wanted - 1]
    elif wanted in names:
        return wanted
    near = nearest(wanted, names) if isinstance(wanted, str) else ""
    listed = ", ".join(f"'{name}'" for name in names)
    raise OptionError(f"sheet={wanted!r}: '{file.name}' has no such sheet.{near} It has: {listed}")


def _calamine() -> Any:
    try:
        import python_calamine
    except ImportError as error:
        raise MissingExtra(
            "COPY from a spreadsheet needs a package that is not installed"
            f" ({error}): pip install 'thanosql-dbapi[excel]'"
        ) from error
    return python_calamine


def _title(cell: Cell, place: int) -> str:
    """Return a column's name; DuckDB names what has none by its place, from 0."""
    text = _text(cell)
    return f"column{place}" if text is None else text.strip() or f"column{place}"


def _unique(names: Sequence[str]) -> list[str]:
    """Make names differ as DuckDB does in a csv: `a`, `a_1`, `a_2`; it folds their case."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidates = chain([name], (f"{name}_{i}" for i in count(1)))
        found = next(each for each in candidates if each.lower() not in taken)
        taken.add(found.lower())
        unique.append(found)
    return unique


def _array(cells: Sequence[Cell]) -> pa.Array:
    import pyarrow as pa

    values = [None if cell == "" else cell for cell in cells]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        numbers = [value for value in values if value is not None]
        if not numbers:
            return pa.array(values, pa.string())
        whole = all(float(value).is_integer() and abs(value) <= _COUNTS for value in numbers)
        as_number = int if whole else float
        kind = pa.int64() if whole else pa.float64()
        return pa.array([None if v is None else as_number(v) for v in values], kind)
    if kinds == {dt.date, dt.datetime}:
        return pa.array([_midnight(value) for value in values], pa.timestamp("us"))
    types = {
        bool: pa.bool_(),
        str: pa.string(),
        dt.date: pa.date32(),
        dt.datetime: pa.timestamp("us"),
        dt.time: pa.time64("us"),
        dt.timedelta: pa.duration("us"),
    }
    if len(kinds) == 1:
        return pa.array(values, types[kinds.pop()])
    return pa.array([_text(value) for value in values], pa.string())


def _midnight(value: Cell) -> Cell:
    if value is None or isinstance(value, dt.datetime):
        return value
    return dt.datetime.combine(value, dt.time())


def _text(cell: Cell) -> str | None:
    """Write a cell of a column that holds several types, as the spreadsheet shows it."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _COUNTS:
        return str(int(cell))
    return str(cell)
