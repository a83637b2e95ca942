"""Rows read apart from the user's transaction, which then gets them whole.

DuckDB ends a transaction with the first error in it. What may fail for reasons that lie in a file
is read here: on a connection of its own to the same instance, into a database in memory. It knows
nothing of files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import duckdb

from ..quoting import quote_name, quote_text

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

#: The relation that a statement over Arrow data reads, as on the user's own connection.
ROWS_VIEW: Final = "__thanosql_rows"


class Staging:
    """A connection of its own, and the rows it keeps; `run` is how its work is done."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        database: str,
        run: Callable[[Callable[[], object]], object],
    ) -> None:
        self._connection = connection
        self._database = database
        self._run = run
        self._attached = False

    def follow(self, zone: str) -> None:
        """Read times in a time zone, which each connection of DuckDB's has its own of.

        Raises:
            Error: DuckDB's error, translated.
        """

        def follow() -> None:
            setting = "SELECT current_setting('TimeZone')"
            if self._connection.execute(setting).fetchall() != [(zone,)]:
                self._connection.execute(f"SET TimeZone = {quote_text(zone)}")

        self._run(follow)

    def columns_of(self, query: str) -> dict[str, str]:
        """Return the columns of a query with their types, without running it.

        Raises:
            Error: DuckDB's error, translated: a file is not what it should be, say.
        """
        found: list[tuple[str, str]] = []

        def describe() -> None:
            rows = self._connection.execute(f"DESCRIBE {query}").fetchall()
            found.extend((name, kind) for name, kind, *_ in rows)

        self._run(describe)
        return dict(found)

    def fetch_all(self, query: str, rows: pyarrow.Table | None = None) -> list[tuple[object, ...]]:
        """Return the rows of a query, which may read `rows` from the relation `ROWS_VIEW`.

        Raises:
            Error: DuckDB's error, translated.
        """
        found: list[tuple[object, ...]] = []
        self._run(lambda: found.extend(self._with_rows(query, rows)))
        return found

    def keep(self, query: str, rows: pyarrow.Table | None = None) -> str:
        """Run a query to its end; return the name of the table that now has its rows.

        Raises:
            Error: DuckDB's error, translated.
        """

        def keep() -> None:
            self._attach()
            self._with_rows(f"CREATE OR REPLACE TABLE {self._kept} AS {query}", rows)

        self._run(keep)
        return self._kept

    def keep_copy(self, types: Mapping[str, str], source: str) -> str:
        """Copy a file into a new table of these columns; return its name.

        Raises:
            Error: DuckDB's error, translated.
        """
        columns = ", ".join(f"{quote_name(name)} {kind}" for name, kind in types.items())

        def keep() -> None:
            self._attach()
            self._connection.execute(f"CREATE OR REPLACE TABLE {self._kept} ({columns})")
            self._connection.execute(f"COPY {self._kept} FROM {quote_text(source)}")

        self._run(keep)
        return self._kept

    @property
    def _kept(self) -> str:
        return f"{self._database}.main.kept"

    def _attach(self) -> None:
        if not self._attached:
            self._connection.execute(f"ATTACH ':memory:' AS {self._database} (READ_WRITE)")
            self._attached = True

    def _with_rows(self, sql: str, rows: pyarrow.Table | None) -> list[tuple[object, ...]]:
        if rows is None:
            return self._connection.execute(sql).fetchall()
        self._connection.register(ROWS_VIEW, rows)
        try:
            return self._connection.execute(sql).fetchall()
        finally:
            self._connection.unregister(ROWS_VIEW)

    def interrupt(self) -> None:
        """Stop what runs here, from any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Drop the rows; a transaction that reads them keeps them until it ends."""
        try:
            if self._attached:
                with contextlib.suppress(duckdb.Error):
                    self._connection.execute(f"DETACH {self._database}")
        finally:
            self._connection.close()
