"""Embedded DuckDB: the only module that imports it.

It opens databases, runs SQL, hands out results and registers the functions that DuckDB calls
back. It does not know ThanoSQL: what reaches it is plain DuckDB SQL.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import itertools
import os
import re
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from . import arrow, exceptions
from .quoting import quote_name, quote_text
from .session import Execution, FoldingRefused, Session
from .types import Column, column

if TYPE_CHECKING:
    import pandas
    import pyarrow

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None

VERSION = duckdb.__version__

#: DuckDB's vectors hold 2,048 rows: reading ahead by more would wait for the next one.
VECTOR = 2048

#: The relation that an `insert_rows` statement reads.
ROWS_VIEW = "__thanosql_rows"

_Type = duckdb.StatementType

#: Statements that never return rows of the user's, whatever DuckDB reports.
_WITHOUT_ROWS = frozenset(
    {_Type.CREATE, _Type.CREATE_FUNC, _Type.DROP, _Type.ALTER, _Type.TRANSACTION, _Type.SET}
    | {_Type.VARIABLE_SET, _Type.ATTACH, _Type.DETACH, _Type.LOAD, _Type.PREPARE, _Type.EXPORT}
    | {_Type.COPY_DATABASE, _Type.VACUUM}
)

#: What DuckDB reports where a PRAGMA, CALL or CHECKPOINT has no rows.
_SUCCESS = (column("Success", "BOOLEAN"),)

_LEADING_COMMENTS = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)


# --- errors ---------------------------------------------------------------------------------

_TRANSLATION: tuple[tuple[type[BaseException], type[exceptions.Error]], ...] = (
    (duckdb.InterruptException, exceptions.QueryInterrupted),
    (duckdb.NotSupportedError, exceptions.NotSupportedError),
    (duckdb.IntegrityError, exceptions.IntegrityError),
    (duckdb.DataError, exceptions.DataError),
    (duckdb.ProgrammingError, exceptions.ProgrammingError),
    (duckdb.OperationalError, exceptions.OperationalError),
    (duckdb.InternalError, exceptions.InternalError),
    (duckdb.Error, exceptions.DatabaseError),
    (RuntimeError, exceptions.OperationalError),
)


@contextlib.contextmanager
def _translated(execution: Execution | None = None) -> Iterator[None]:
    """Turn DuckDB's exceptions into ours, by class; what a function raised goes first."""
    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        if execution is not None and execution.failure is not None:
            raise execution.failure from error
        for theirs, ours in _TRANSLATION:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


# --- instances and their functions ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A function that SQL may call, over Arrow columns.

    `call` gets the execution and one Arrow column a parameter and returns one of the same length.
    `parameters` and `optional` name the SQL parameters; the types are DuckDB's names.
    """

    name: str
    call: Callable[..., pyarrow.Array]
    parameters: Mapping[str, str]
    optional: Mapping[str, str]
    returns: str
    runs_model: bool = False

    @property
    def internal_name(self) -> str:
        """The name it is registered under; the public name is a macro's."""
        return f"__{self.name}"


class Instance:
    """One DuckDB instance of this process, and what belongs to it rather than to a connection.

    Functions are registered in the instance; they find the connection that calls them by a
    number, a constant argument which each connection's temporary macros fill in.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = threading.RLock()
        #: What the product keeps for the instance: its workspace.
        self.shared: Any = None
        self._open = 0
        self._numbers = itertools.count(1)
        self._engines: weakref.WeakValueDictionary[int, Engine] = weakref.WeakValueDictionary()
        #: DuckDB 2.0 lets go of a function with the connection that registered it, and then calls
        #: it all the same for the others.
        self.kept: list[object] = []

    def add(self, engine: Engine) -> int:
        """Note a connection; return its number."""
        with self.lock:
            self._open += 1
            number = next(self._numbers)
            self._engines[number] = engine
            return number

    def remove(self, number: int) -> None:
        """Forget a connection; the last one takes along what was kept for all."""
        with self.lock:
            self._engines.pop(number, None)
            self._open -= 1
            if not self._open:
                self.shared = None

    def callback(self, function: Function) -> Callable[..., pyarrow.Array]:
        """Wrap a function for DuckDB: find the execution, and keep what it raises."""
        engines = self._engines  # and not the instance, which keeps this function

        def call(*columns: pyarrow.ChunkedArray) -> pyarrow.Array:
            *arguments, sessions = columns
            engine = engines[sessions[0].as_py()]
            execution = engine.execution
            try:
                if function.runs_model and len(sessions) == 1:
                    execution.refuse_folding()
                execution.check()
                return function.call(execution, *arguments)
            except BaseException as failure:
                execution.fail(failure)
                raise

        # DuckDB counts the parameters of what it registers, and evaluates their annotations.
        names = [*function.parameters, *function.optional, "session"]
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
        )
        return call


_instances: weakref.WeakValueDictionary[str, Instance] = weakref.WeakValueDictionary()
_instances_lock = threading.Lock()
_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_open_readers: weakref.WeakSet[Generator[object, None, None]] = weakref.WeakSet()
_anonymous = itertools.count(1)


def _instance_key(database: str) -> str:
    """Return what tells DuckDB's instances apart: a file, a named memory, or this one alone."""
    if database in ("", ":memory:"):
        return f":memory: {next(_anonymous)}"
    if database.startswith(":memory:"):
        return database
    return os.path.realpath(database)


def _instance(key: str) -> Instance:
    with _instances_lock:
        instance = _instances.get(key)
        if instance is None:
            instance = _instances[key] = Instance(key)
        return instance


@atexit.register
def _close_engines() -> None:
    """Close what the program left open, while Python can still call back."""
    for engine in list(_open_engines):
        engine.close()
    # What Arrow holds outlives the interpreter, and DuckDB's module with it, which complains.
    for batches in list(_open_readers):
        batches.close()


# --- results --------------------------------------------------------------------------------


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
        self._streams = columns is not None
        self._step = 1
        #: The batches of an Arrow reader that was handed out, as long as someone has it.
        self._reader: Callable[[], object] = lambda: None

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
        if len(self._rows) < size and self._streams:
            self._read(size - len(self._rows))
        self._raise_failure()
        if size >= len(self._rows):
            return self._take_rows()
        return [self._rows.popleft() for _ in range(size)]

    def fetch_all(self) -> list[Row]:
        """Return all rows that are left."""
        if self._streams:
            self._read(None)
        if self._failure is not None:
            self._rows.clear()  # they are not all
        self._raise_failure()
        return self._take_rows()

    def arrow_table(self) -> pyarrow.Table:
        """Return the rows that are left as an Arrow table."""
        return self._convert(_arrow_table)

    def arrow_reader(self, batch_size: int) -> pyarrow.RecordBatchReader:
        """Return a reader over the rows that are left, in batches of `batch_size` rows.

        DuckDB 2.0's own reader copies the whole result first. This one reads as it goes, where
        rows can become Arrow exactly, and its rows are buffered like any others.
        """
        import pyarrow

        schema = arrow.exact_schema(self.columns or ())
        if schema is None:
            return self.arrow_table().to_reader(max_chunksize=batch_size)
        batches = self._batches(schema, batch_size)
        self._reader = weakref.ref(batches)
        _open_readers.add(batches)
        return pyarrow.RecordBatchReader.from_batches(schema, batches)

    def data_frame(self) -> pandas.DataFrame:
        """Return the rows that are left as a pandas DataFrame."""
        return self._convert(lambda connection: connection.df())

    def buffer(self) -> None:
        """Read what is left into memory, because the connection is wanted for something else."""
        if not self._streams:
            return
        try:
            self._read(None)
        except (KeyboardInterrupt, exceptions.QueryInterrupted):
            # It stops the statement that comes now, and these rows are not whole any more.
            self._failure = exceptions.QueryInterrupted("reading the rows was interrupted")
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is raised later
            # It belongs to whoever reads these rows, not to the statement that comes now.
            self._failure = failure

    def close(self) -> None:
        """Drop what is left, unless a reader that was handed out wants it."""
        if self._reader() is None:
            self._rows.clear()
            self._end()

    def abandon(self) -> None:
        """End with the connection: a reader that wants what is left gets an error."""
        if self._streams:
            self._failure = exceptions.InterfaceError("the connection is closed")
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

    def _run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        try:
            return self._engine.run(lambda: work(self._engine.connection), self.execution)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._streams = False
        self.execution.finish()
        self._engine.forget(self)

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
        with _translated():
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


# --- the connection -------------------------------------------------------------------------


class Engine:
    """One DuckDB connection: it runs a statement at a time, and holds one pending result."""

    def __init__(
        self,
        database: str,
        *,
        read_only: bool,
        config: Mapping[str, Any],
        functions: Sequence[Function],
    ) -> None:
        # The key is taken first: closing the last connection ends DuckDB's instance, and the
        # instance object lives exactly as long, held by the functions registered in it.
        self.instance = _instance(_instance_key(database))
        with _translated():
            self.connection = duckdb.connect(database, read_only=read_only, config=dict(config))
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.autocommit = True
        #: DuckDB does not tell whether a transaction is open, so each BEGIN and COMMIT is noted.
        self.in_transaction = False
        #: The runs of model statements, which `interrupt` must reach outside DuckDB too.
        self.running: set[Execution] = set()
        #: Weak: what nobody can read any more need not be buffered.
        self._pending: Callable[[], Result | None] = lambda: None
        self._executor: ThreadPoolExecutor | None = None
        self._execution: Execution | None = None
        self._number = self.instance.add(self)
        try:
            with _translated():
                self._prepare(functions, config)
        except BaseException:
            self.connection.close()
            self.instance.remove(self._number)
            raise
        _open_engines.add(self)

    def _prepare(self, functions: Sequence[Function], config: Mapping[str, Any]) -> None:
        with self.instance.lock:
            for function in functions:
                # Another connection to the same instance has registered it already.
                with contextlib.suppress(duckdb.CatalogException):
                    self._register(function)
        # A name that cannot be resolved must not cost a transaction: the lowering asks DuckDB for
        # columns that need not exist. DuckDB tells its progress (-1: planning) only where the
        # bar is on; it is not shown.
        policy = "'SYNTACTIC_ERRORS_DO_NOT_INVALIDATE'"
        wanted = {
            "GLOBAL default_transaction_invalidation_policy": policy,
            "enable_progress_bar": "true",
            "enable_progress_bar_print": "false",
        }
        for setting, value in wanted.items():
            # A configuration that the user locked stays: planning is then taken for running.
            if setting.split()[-1] not in config:
                with contextlib.suppress(duckdb.InvalidInputException):
                    self.connection.execute(f"SET {setting} = {value}")
        for function in functions:
            self._create_macro(function)

    def _register(self, function: Function) -> None:
        types = [*function.parameters.values(), *function.optional.values(), "BIGINT"]
        callback = self.instance.callback(function)
        self.connection.create_function(
            function.internal_name,
            callback,
            [duckdb.sqltype(t) for t in types],
            duckdb.sqltype(function.returns),
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )
        self.instance.kept.append(callback)

    def _create_macro(self, function: Function) -> None:
        names = [*function.parameters, *function.optional]
        declared = [*function.parameters, *(f"{name} := NULL" for name in function.optional)]
        arguments = ", ".join([*names, str(self._number)])
        self.connection.execute(
            f"CREATE OR REPLACE TEMP MACRO {function.name}({', '.join(declared)})"
            f" AS {function.internal_name}({arguments})"
        )

    @property
    def execution(self) -> Execution:
        """The run that DuckDB is busy with."""
        if self._execution is None:
            self._execution = self.new_execution()
        return self._execution

    def new_execution(self) -> Execution:
        """Return a new run on this connection."""
        if self.session is None:
            raise exceptions.InternalError("a function was called before the connection was open")
        connection = self.connection
        return Execution(self.session, lambda: connection.query_progress() < 0)

    def execute(
        self, sql: str, parameters: Parameters = None, run: Execution | None = None
    ) -> Result:
        """Run DuckDB SQL, of one statement or several; the result is the last one's.

        Raises:
            Error: DuckDB's error, translated, or what a function of ours raised.
        """
        with self.lock:
            self.settle()
            run = run or self.new_execution()
            self._execution = run
            try:
                return self._execute(sql, parameters, run)
            except FoldingRefused:
                # VALUES lists are evaluated while planning, and no error is forgiven there.
                run.may_fold, run.failure = True, None
                return self._execute(sql, parameters, run)

    def _execute(self, sql: str, parameters: Parameters, run: Execution) -> Result:
        statements = self.run(lambda: self.connection.extract_statements(sql), run)
        if not statements:
            return Result(self, None, -1, run)
        for statement in statements[:-1]:
            self._execute_one(statement, None, run)
        last = statements[-1]
        self._execute_one(last, parameters, run)
        rowcount = self.connection.rowcount
        result = Result(self, self._columns(last, rowcount), rowcount, run)
        if result.columns is not None:
            self._pending = weakref.ref(result)
        return result

    def _execute_one(
        self, statement: duckdb.Statement, parameters: Parameters, run: Execution
    ) -> None:
        transacts = statement.type is _Type.TRANSACTION
        if not transacts:
            self._open_transaction()
        try:
            self.run(lambda: self.connection.execute(statement, parameters), run)
        except exceptions.Error:
            if transacts and not _begins(statement.query):
                self.in_transaction = False
            raise
        if transacts:
            self.in_transaction = _begins(statement.query)

    def _columns(self, statement: duckdb.Statement, rowcount: int) -> tuple[Column, ...] | None:
        """Describe the pending result; None where DuckDB only says `Count` or `Success`."""
        described = self.connection.description
        if described is None or rowcount >= 0:
            return None
        columns = tuple(column(name, str(type_)) for name, type_, *_ in described)
        if statement.type in _WITHOUT_ROWS:
            return None
        if statement.type is not _Type.SELECT and columns == _SUCCESS:
            return None
        return columns

    def run(self, work: Callable[[], T], execution: Execution) -> T:
        """Do DuckDB's work so that Ctrl-C and `interrupt` can stop it.

        Python handles signals in the main thread, between its own instructions: a main thread
        inside DuckDB would not see Ctrl-C until the query ends. So it waits beside the work.
        """
        if self.in_transaction:
            # An error while planning would end the transaction, though DuckDB forgives it.
            execution.may_fold = True
        with _translated(execution):
            if threading.current_thread() is not threading.main_thread():
                return work()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="thanosql")
            try:
                return self._executor.submit(work).result()
            except KeyboardInterrupt:
                self.interrupt()
                # The one thread is free again when what it was at has ended, whichever moment
                # of the line above was interrupted.
                self._executor.submit(int).result()
                raise

    def interrupt(self) -> None:
        """Stop what runs on this connection, from any thread."""
        for execution in [*self.running, self._execution]:
            if execution is not None:
                execution.stop()
        self.connection.interrupt()

    def settle(self) -> None:
        """Buffer what the pending result has left: the connection is wanted."""
        pending, self._pending = self._pending(), lambda: None
        if pending is not None:
            pending.buffer()

    def forget(self, result: Result) -> None:
        """Do not buffer `result` any more."""
        if self._pending() is result:
            self._pending = lambda: None

    def columns_of(self, query: str, parameters: Parameters = None) -> tuple[Column, ...] | None:
        """Return the columns of a query, without running it; None where it cannot be bound."""
        with self.lock:
            self.settle()
            run = self.new_execution()
            self._execution = run
            try:
                rows = self.run(
                    lambda: self.connection.execute(f"DESCRIBE {query}", parameters).fetchall(), run
                )
            except exceptions.ProgrammingError:
                return None
            return tuple(column(name, type_) for name, type_, *_ in rows)

    def require_one_statement(self, sql: str) -> None:
        """Refuse a text of several statements, or of none.

        Raises:
            ProgrammingError: it is not one statement, or does not parse.
        """
        with self.lock, _translated():
            count = len(self.connection.extract_statements(sql))
        if count != 1:
            raise exceptions.ProgrammingError(
                f"executemany runs one statement for many rows; the text has {count}"
            )

    def execute_each(self, sql: str, rows: Sequence[Any]) -> int:
        """Run one statement for each row of parameters, all or none; return the rows changed."""
        with self.lock:
            owned = self.autocommit and not self.in_transaction
            if owned:
                self.begin()
            try:
                changed = [self.execute(sql, row).rowcount for row in rows]
            except BaseException:
                if owned:
                    self.rollback()
                else:
                    self._fail_transaction()
                raise
            if owned:
                self.commit()
        return -1 if -1 in changed else sum(changed)

    def insert_rows(self, sql: str, rows: pyarrow.Table) -> int:
        """Run an INSERT that reads `rows` from the relation `ROWS_VIEW`; return how many."""
        with self.lock:
            self.settle()
            self._open_transaction()
            run = self._execution = self.new_execution()

            def insert() -> int:
                # What a cursor closed without reading to the end is still open in DuckDB; a
                # statement ends it, a registration refuses.
                self.connection.execute("SELECT 1").fetchall()
                self.connection.register(ROWS_VIEW, rows)
                try:
                    self.connection.execute(sql)
                    return self.connection.rowcount
                finally:
                    # A transaction that has failed refuses this too; its rollback does it then.
                    with contextlib.suppress(duckdb.TransactionException):
                        self.connection.unregister(ROWS_VIEW)

            return self.run(insert, run)

    def _fail_transaction(self) -> None:
        """Leave the user's transaction with nothing to do but its rollback.

        DuckDB has no savepoints to go back to, and by far not every error ends a transaction.
        """
        with contextlib.suppress(exceptions.Error):
            self.execute("SELECT error('a batch failed')").fetch_all()

    def _open_transaction(self) -> None:
        """Begin PEP 249's implicit transaction, unless each statement commits by itself."""
        if not (self.autocommit or self.in_transaction):
            self.begin()

    def begin(self) -> None:
        """Begin a transaction.

        Raises:
            OperationalError: one is open already.
        """
        with self.lock:
            self.settle()
            self.run(self.connection.begin, self.new_execution())
            self.in_transaction = True

    def commit(self) -> None:
        """Commit the transaction; without one, do nothing."""
        self._end_transaction(self.connection.commit)

    def rollback(self) -> None:
        """Roll the transaction back; without one, do nothing."""
        self._end_transaction(self.connection.rollback)

    def _end_transaction(self, end: Callable[[], object]) -> None:
        with self.lock:
            self.settle()
            if self.in_transaction:
                self.in_transaction = False
                self.run(end, self.new_execution())

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        with self.lock:
            _open_engines.discard(self)
            if (pending := self._pending()) is not None:
                pending.abandon()
            self.connection.close()
            self.instance.remove(self._number)
            if self._executor is not None:
                self._executor.shutdown(wait=False)


def _begins(statement: str) -> bool:
    """Tell whether a transaction statement opens one (BEGIN, START) rather than ends it."""
    start = _LEADING_COMMENTS.match(statement)
    word = statement[start.end() if start else 0 :][:5].upper()
    return word in ("BEGIN", "START")
