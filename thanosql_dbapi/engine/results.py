"""The rows of a statement, as Python objects, Arrow or pandas."""

from __future__ import annotations

import contextlib
import re
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import duckdb

from .. import arrow, exceptions
from ..quoting import quote_name, quote_text
from ..session import Execution
from ..types import Column
from .errors import translated
from .instances import open_readers

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from .engine import Engine

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

#: DuckDB's vectors hold 2,048 rows: reading ahead by more would wait for the next one.
VECTOR = 2048


class Result:
    """The rows of one statement: read from DuckDB as they are asked for, or buffered."""

    def __init__(
        self, engine: Engine, columns: tuple[Column, ...] | None, rowcount: int, run: Execution
    ) -> None:
        self.columns = columns
        self.rowcount = rowcount
        self.execution = run
        self._engine = engine
        self._rows: deque[Row] = deque()
        self._failure: BaseException | None = None
        #: Whether all rows came, if only `_end` failed.
        self._whole = True
        self._streams = columns is not None
        self._step = 1
        #: The batches of an Arrow reader that was handed out, as long as someone has it.
        self._reader: Callable[[], object] = lambda: None

    def hold(self, rows: Iterable[Row]) -> Result:
        """Be a result of rows that were read already; return it."""
        self._rows.extend(rows)
        self._end()
        return self

    def fetch_one(self) -> Row | None:
        """Return the next row, or None. Rows are read ahead by at most one vector."""
        if not self._rows and self._streams:
            self._read(self._step)
            # The first row comes as soon as there is one; later ones by vectors.
            self._step = min(self._step * 4, VECTOR)
        self._raise_failure()
        return self._rows.popleft() if self._rows else None

    def fetch_many(self, size: int) -> list[Row]:
        """Return the next `size` rows, fewer at the end."""
        if not self._rows and self._streams and (rows := self._read_directly(size)) is not None:
            return rows
        if len(self._rows) < size and self._streams:
            self._read(size - len(self._rows))
        self._raise_failure()
        if size >= len(self._rows):
            return self._take_rows()
        return [self._rows.popleft() for _ in range(size)]

    def fetch_all(self) -> list[Row]:
        """Return all rows that are left."""
        if self._streams:
            if not self._rows and (rows := self._read_directly(None)) is not None:
                return rows
            self._read(None)
        if not self._whole:
            self._rows.clear()
        self._raise_failure()
        return self._take_rows()

    def arrow_table(self) -> pyarrow.Table:
        """Return the rows that are left as an Arrow table."""
        table = self._convert(_arrow_table)
        self._refuse_wrapped(table)
        return table.replace_schema_metadata(arrow.with_pandas_types(table.schema).metadata)

    def arrow_reader(self, batch_size: int) -> pyarrow.RecordBatchReader:
        """Return a reader over the rows that are left, in batches of `batch_size` rows.

        DuckDB 2.0's own reader copies the whole result first. This one reads as it goes, where
        rows can become Arrow exactly, and its rows are buffered like any others.
        """
        import pyarrow

        schema = arrow.exact_schema(self.columns or ())
        if schema is None:
            return self.arrow_table().to_reader(max_chunksize=batch_size)
        schema = arrow.with_pandas_types(schema)
        batches = self._batches(schema, batch_size)
        self._reader = weakref.ref(batches)
        open_readers.add(batches)
        return pyarrow.RecordBatchReader.from_batches(schema, batches)

    def data_frame(self) -> pandas.DataFrame:
        """Return the rows that are left as a pandas DataFrame."""
        return self._convert(lambda connection: connection.df())

    def _refuse_wrapped(self, table: pyarrow.Table) -> None:
        """Refuse a UHUGEINT of 2^127 or more: DuckDB 2.0 writes it to Arrow as a negative number.

        Raises:
            DataError: there is one.
        """
        for described, values in zip(self.columns or (), table.columns, strict=True):
            if described.type_code == "UHUGEINT" and _has_negative(values):
                raise exceptions.DataError(
                    f"column '{described.name}': a UHUGEINT of 2^127 or more does not fit into"
                    " Arrow; cast the column to VARCHAR or DOUBLE"
                )

    def buffer(self) -> None:
        """Read what is left into memory, because the connection is wanted for something else."""
        if not self._streams:
            return
        try:
            self._read(None)
        except (KeyboardInterrupt, exceptions.QueryInterrupted):
            # It stops the statement that comes now, and these rows are not whole any more.
            self._whole = False
            self._failure = exceptions.QueryInterrupted("reading the rows was interrupted")
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is raised later
            # It belongs to whoever reads these rows, not to the statement that comes now.
            self._failure = failure

    def close(self) -> None:
        """Drop what is left, unless a reader that was handed out wants it."""
        if self._reader() is None:
            if self._streams:
                self.execution.stop()  # what DuckDB's threads have begun need not be done
            self._rows.clear()
            self._end()

    def abandon(self) -> None:
        """End with the connection: a reader that wants what is left gets an error."""
        if self._streams:
            self._failure = exceptions.InterfaceError("the connection is closed")
            self._whole = False
        self._end()

    def _batches(
        self, schema: pyarrow.Schema, size: int
    ) -> Generator[pyarrow.RecordBatch, None, None]:
        while rows := self.fetch_many(size):
            batch = arrow.record_batch(schema, rows)
            if batch is not None:
                yield batch
            else:  # a value that only DuckDB can convert
                table = _arrow_table(_scratch_result(self.columns or (), rows))
                yield from table.cast(schema).to_batches()

    def _read(self, size: int | None) -> None:
        with self._engine.lock:
            if self._streams:  # another thread may have buffered it meanwhile
                rows = self._run(_fetch(size))
                self._rows.extend(rows)
                if size is None or len(rows) < size:
                    self._end()

    def _read_directly(self, size: int | None) -> list[Row] | None:
        """Return rows as DuckDB made them, past the buffer; None if that holds some by now."""
        with self._engine.lock:
            if self._rows or not self._streams:  # another thread may have buffered it meanwhile
                return None
            rows = self._run(_fetch(size))
            if size is None or len(rows) < size:
                try:
                    self._end()
                except BaseException:
                    self._rows.extend(rows)  # they are there for the next one who asks
                    raise
            return rows

    def _run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        try:
            return self._engine.run(lambda: work(self._engine.connection), self.execution)
        except BaseException:
            self._whole = False
            with contextlib.suppress(Exception):  # what failed first is what to tell
                self._end()
            raise

    def _end(self) -> None:
        self._streams = False
        self._engine.forget(self)
        self._engine.end_stream(self.execution)
        self.execution.finish()

    def _take_rows(self) -> list[Row]:
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def _raise_failure(self) -> None:
        if self._failure is not None and not self._rows:
            failure, self._failure = self._failure, None
            raise failure

    def _convert(self, read: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self._engine.lock:
            if self._streams and not self._rows:
                value = self._run(read)
                self._end()
                return value
        rows = self.fetch_all()
        with translated():
            return read(_scratch_result(self.columns or (), rows))


def _fetch(size: int | None) -> Callable[[duckdb.DuckDBPyConnection], list[Row]]:
    if size is None:
        return lambda connection: connection.fetchall()
    return lambda connection: connection.fetchmany(size)


def _arrow_table(connection: duckdb.DuckDBPyConnection) -> pyarrow.Table:
    # DuckDB 2.0 warns that this copies the rows, and has no other way from a result that has
    # begun. The filter stays: to take it back again is not safe with several threads.
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    return connection.to_arrow_table()


def _has_negative(numbers: pyarrow.ChunkedArray) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.less(numbers, 0)).as_py())


def _scratch_result(columns: Sequence[Column], rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
    """Return a connection whose pending result is `rows`, in DuckDB's types of `columns`.

    Rows that were buffered as Python objects go back through DuckDB, so that they become Arrow
    or pandas just as they would have if nothing had come between; only the months of an INTERVAL
    and the nanoseconds of a TIMESTAMP_NS are not in the Python objects any more.
    """
    scratch = duckdb.connect()
    shown, parameters = [], []
    by_column: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(columns)
    for described, values in zip(columns, by_column, strict=True):
        kind = described.type_code
        zones = (getattr(getattr(value, "tzinfo", None), "zone", None) for value in values)
        if zone := next(filter(None, zones), None):
            scratch.execute(f"SET TimeZone = {quote_text(zone)}")
        # No Python object becomes one of the other time stamps.
        portable = re.sub(r"\bTIMESTAMP_(S|MS|NS)\b", "TIMESTAMP", kind)
        parameters.append(duckdb.Value(list(values), duckdb.sqltype(f"{portable}[]")))
        shown.append(f"unnest(${len(parameters)})::{kind} AS {quote_name(described.name)}")
    return scratch.execute(f"SELECT {', '.join(shown)}", parameters)
