"""The cursor: statements in, rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import adbc, language
from .engine import Engine, Parameters, Result, Row
from .exceptions import InterfaceError, MissingExtra, ProgrammingError
from .session import Session
from .types import Column

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from .connection import Connection


class Cursor:
    """A PEP 249 cursor, with ADBC's and DuckDB's ways to fetch Arrow and pandas."""

    def __init__(self, connection: Connection, engine: Engine, session: Session) -> None:
        self.arraysize = 1
        self.messages: list[tuple[type[Exception], Exception]] = []
        self._connection = connection
        self._engine = engine
        self._session = session
        self._result: Result | None = None
        self._rowcount = -1
        self._closed = False

    @property
    def connection(self) -> Connection:
        """The connection that made the cursor."""
        return self._connection

    @property
    def description(self) -> tuple[Column, ...] | None:
        """The result's columns; None before a statement, and after one without rows."""
        return None if self._result is None else self._result.columns

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed; -1 where that is not known."""
        return self._rowcount

    def execute(self, operation: str, parameters: Parameters = None) -> Self:
        """Run a statement, or a script whose last statement's result is kept.

        Args:
            operation: ThanoSQL or plain SQL; `?`, `$1` and `$name` are parameters, in OPTIONS too.
            parameters: a sequence, or a mapping for `$name`.

        Raises:
            ThanoSQLSyntaxError, ProgrammingError, OperationalError, DataError: see `exceptions`.
        """
        self._start()
        script = language.parse(operation)
        if script is None:
            run = self._engine.new_execution()
            run.tell_to(self.messages)
            self._result = self._engine.execute(operation, parameters, run)
        else:
            # Imported late: plain SQL needs none of it.
            from .dispatch import run_script

            self._result = run_script(
                script, parameters, self._engine, self._session, self.messages
            )
        self._rowcount = -1 if self._result is None else self._result.rowcount
        return self

    def executemany(
        self, operation: str, seq_of_parameters: Sequence[Sequence[Any] | Mapping[str, Any]]
    ) -> Self:
        """Run a statement once for each set of parameters, all or none of them.

        An INSERT … VALUES is handed over to DuckDB as one Arrow table. What RETURNING returns is
        there to be fetched, in the order of the parameters.

        Raises:
            ProgrammingError: more than one statement, or a row with another number of parameters.
        """
        from .bulk import execute_many

        self._start()
        self._result = execute_many(operation, list(seq_of_parameters), self._engine)
        self._rowcount = 0 if self._result is None else self._result.rowcount
        return self

    def adbc_ingest(
        self,
        table_name: str,
        data: object,
        mode: adbc.Mode = "create",
        *,
        catalog_name: str | None = None,
        db_schema_name: str | None = None,
        temporary: bool = False,
    ) -> int:
        """Write Arrow data to a table, all of it or nothing; return the number of rows.

        Args:
            table_name: the table, unquoted.
            data: a table, batch or reader of pyarrow's, or a frame that gives out Arrow data.
            mode: `create` a new table; `append` to one, by the names of the columns; `replace`
                it; or `create_append`, whichever of the two it takes.
            catalog_name: an attached database; the current one.
            db_schema_name: the schema; the current one.
            temporary: whether it is a table of this connection alone.

        Raises:
            ProgrammingError: the table exists, or does not, against `mode`; a column is unknown;
                or `data` is no Arrow data.
        """
        self._start()
        self._rowcount = adbc.ingest(
            self._engine,
            table_name,
            data,
            mode,
            catalog_name=catalog_name,
            db_schema_name=db_schema_name,
            temporary=temporary,
        )
        return self._rowcount

    def fetchone(self) -> Row | None:
        """Return the next row, or None."""
        return self._rows().fetch_one()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return the next `size` rows (`arraysize` if not given), fewer at the end."""
        return self._rows().fetch_many(self.arraysize if size is None else size)

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        return self._rows().fetch_all()

    def fetch_arrow_table(self) -> pyarrow.Table:
        """Return the rows that are left as an Arrow table."""
        return self._rows().arrow_table()

    def fetch_record_batch(self, rows_per_batch: int = 131_072) -> pyarrow.RecordBatchReader:
        """Return a reader over the rows that are left.

        It reads as it goes, and takes them from the cursor; what runs on the connection next
        buffers them. A result with nested or rarer types is read into memory at once.
        """
        return self._rows().arrow_reader(rows_per_batch)

    def fetch_df(self) -> pandas.DataFrame:
        """Return the rows that are left as a pandas DataFrame."""
        return self._rows().data_frame()

    def fetch_polars(self) -> polars.DataFrame:
        """Return the rows that are left as a polars DataFrame.

        Raises:
            MissingExtra: polars is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise MissingExtra("fetch_polars needs the package polars: pip install polars") from (
                error
            )
        return polars.DataFrame(self.fetch_arrow_table())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows that are left to whatever takes Arrow data: pandas, polars, pyarrow."""
        return self.fetch_arrow_table().__arrow_c_stream__(requested_schema)

    fetch_arrow = fetch_arrow_table
    fetchallarrow = fetch_arrow_table
    to_arrow_table = fetch_arrow_table
    to_arrow_reader = fetch_record_batch
    df = fetch_df

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Drop the result. Closing twice is harmless."""
        result, self._result = self._result, None
        self._closed = True
        if result is not None and not self._connection.closed:
            result.close()

    def _start(self) -> None:
        self._require_open()
        self._rowcount = -1
        result, self._result = self._result, None
        try:
            if result is not None:
                result.close()
        finally:
            # After that: what the last statement has to tell is not this one's.
            self.messages.clear()

    def _rows(self) -> Result:
        self._require_open()
        if self._result is None or self._result.columns is None:
            # JupySQL knows by the first four words that nothing is amiss.
            raise ProgrammingError("no results to fetch: the statement returned no rows")
        return self._result

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")
        if self._connection.closed:
            raise InterfaceError("the connection is closed")

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
