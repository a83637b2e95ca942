"""A result as a pandas DataFrame that shows itself well; what is made of it is an ordinary one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pandas as pd

from ..engine import Result
from ..exceptions import DataError, NotSupportedError
from ..types import NUMBER, Column
from .tables import Table, counted

if TYPE_CHECKING:
    from ..cursor import Cursor

#: The most rows that a cell reads to show them.
READ: Final = 10_000

#: The types whose values pandas keeps as floats where one is missing.
_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
    | {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)


class ResultFrame(pd.DataFrame):
    """The rows of a statement, with DuckDB's types in the head when a notebook shows them.

    Everything else is pandas': `print`, and all that is computed from it.
    """

    _metadata: ClassVar[list[str]] = []

    # pandas takes what is no column for an attribute, and would warn of a mapping in one.
    _types: Mapping[str, str]
    _exact: Table | None
    _rows: int

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # A cell's rows are shown once as DuckDB gave them; later what stands in the frame by then.
        table = self.__dict__.get("_exact") or self._as_it_is()
        object.__setattr__(self, "_exact", None)
        if any(name is not None for name in self.index.names):  # set_index has put values there
            plain = pd.DataFrame(self)
            return {"text/plain": repr(plain), "text/html": plain.to_html(max_rows=self._rows)}
        width = shutil.get_terminal_size().columns
        return {"text/plain": table.text(width), "text/html": table.html()}

    def _as_it_is(self) -> Table:
        types = self.__dict__.get("_types", {})
        kinds = [types.get(str(name), str(kind)) for name, kind in self.dtypes.items()]
        columns = [(str(name), kind) for name, kind in zip(self.columns, kinds, strict=True)]

        def rows(part: pd.DataFrame) -> list[list[Any]]:
            listed = [part.iloc[:, i].tolist() for i in range(part.shape[1])]
            values = [
                [_value(value, kind) for value in column]
                for column, kind in zip(listed, kinds, strict=True)
            ]
            return [list(row) for row in zip(*values, strict=True)]

        first, last = _ends(len(self), self.__dict__.get("_rows", 20))
        said = counted(len(self), "row")
        part = pd.DataFrame(self)
        return Table(columns, rows(part[:first]), rows(part[len(self) - last :]), said)


def read_all(cursor: Cursor, rows: int) -> ResultFrame:
    """Return all rows of a cursor; at most `rows` of them are shown."""
    return _frame(cursor.fetch_df(), cursor.description or (), rows, None)


def read_some(cursor: Cursor, rows: int) -> ResultFrame:
    """Return the first 10,000 rows of a cursor; at most `rows` of them are shown.

    What is shown first is what DuckDB gave: a missing whole number makes others floats in pandas.
    """
    found = cursor.fetchmany(READ + 1)
    more = len(found) > READ
    del found[READ:]
    columns = cursor.description or ()
    first, last = _ends(len(found), rows)
    if more:
        said = (
            f"the first {counted(min(rows, READ), 'row')}; {READ:,} were read, more follow:"
            " df = %thanosql … reads all"
        )
        first, last = min(rows, READ), 0
    else:
        said = counted(len(found), "row")
    named = [(each.name, _kind(each.type_code)) for each in columns]
    exact = Table(named, found[:first], found[len(found) - last :] if last else [], said)
    return _frame(_as_pandas(cursor, columns, found), columns, rows, exact)


def _as_pandas(cursor: Cursor, columns: Sequence[Column], found: list[Any]) -> pd.DataFrame:
    """Return rows that were fetched as `Cursor.fetch_df` would have."""
    engine = cursor.connection._engine  # noqa: SLF001 - rows that were read go back through it
    result = Result(engine, tuple(columns), -1, engine.new_execution())
    try:
        return result.hold(found).data_frame()
    except (DataError, NotSupportedError):  # what SQL has and pandas lacks: TIMETZ, an endless date
        return pd.DataFrame(found, columns=[each.name for each in columns], dtype=object)


def _frame(
    data: pd.DataFrame, columns: Sequence[Column], rows: int, exact: Table | None
) -> ResultFrame:
    frame = ResultFrame(data)
    object.__setattr__(frame, "_types", {each.name: _kind(each.type_code) for each in columns})
    object.__setattr__(frame, "_exact", exact)
    object.__setattr__(frame, "_rows", rows)
    return frame


def _kind(type_code: str) -> str:
    """Return a type's name: DuckDB quotes that of a bare NULL."""
    return type_code.strip('"')


def _ends(count: int, rows: int) -> tuple[int, int]:
    """Return how many of the first and of the last rows are shown."""
    return (count, 0) if count <= rows else ((rows + 1) // 2, rows // 2)


def _value(value: Any, kind: str) -> Any:
    """Return a value of pandas' as SQL would show it, of a column of type `kind`."""
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN, which is NULL in pandas
            return None
        return int(value) if kind in _WHOLE and value.is_integer() else value
    if kind == "DATE" and hasattr(value, "date"):
        return value.date()
    if hasattr(value, "tolist") and kind != NUMBER:
        return value.tolist()
    return value
