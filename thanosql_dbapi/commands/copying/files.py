"""What a COPY reads: the files that its source means, and the rows that come of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...engine import ROWS_VIEW, Staging
from ...exceptions import Error
from ...quoting import quote_text
from ..base import Surroundings
from .kinds import Kind

if TYPE_CHECKING:
    import pyarrow as pa


#: What DuckDB calls the type of a column without a value: nothing can be put into it.
NO_TYPE: Final = '"NULL"'

#: What DuckDB's readers take for a pattern, though a file may be called so.
_MAGIC: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class File:
    """One file: as a table names it, as a message does, and where it is on this machine.

    What is not fetched, because only its facts are wanted, has no path.
    """

    text: str
    name: str
    path: Path | None = None

    @property
    def local(self) -> Path:
        """Where it is."""
        if self.path is None:
            raise ValueError(f"{self.name} was not fetched")
        return self.path


@dataclass(frozen=True, slots=True)
class Found:
    """The files that a source means, all of one kind, at least one; `name` is for messages."""

    kind: Kind
    files: tuple[File, ...]
    name: str

    @property
    def paths(self) -> str:
        """The files for DuckDB's readers, as a list in SQL."""
        return f"[{', '.join(quote_text(pattern_of(file.local)) for file in self.files)}]"


def pattern_of(path: Path) -> str:
    """Return the pattern that one file fits: DuckDB reads `a[1].csv` as a pattern for `a1.csv`."""
    return _MAGIC.sub(r"[\g<0>]", str(path))


@dataclass(frozen=True, slots=True)
class Rows:
    """A query for the rows, and the Arrow data that it reads, if they are not in the files.

    `again` gives the rows to take where the query fails with an error; None where that is told.
    """

    select: str
    table: pa.Table | None = None
    again: Callable[[Error], Rows | None] = lambda _error: None


def arrow_rows(table: pa.Table) -> Rows:
    """Return the rows of an Arrow table."""
    return Rows(f"SELECT * FROM {ROWS_VIEW}", table)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader works with.

    `types` are the columns of the table that the rows go to, with DuckDB's types, by their names in
    lower case; None where the table is made from the rows. `folder` is there for as long as the
    statement runs.
    """

    around: Surroundings
    options: Mapping[str, Any]
    staging: Staging
    folder: Path
    types: Mapping[str, str] | None = None

    def wanted(self, columns: Mapping[str, str]) -> dict[str, str]:
        """Return those of the columns that the table has, each with the table's type."""
        types = self.types or {}
        return {name: types[name.lower()] for name in columns if name.lower() in types}
