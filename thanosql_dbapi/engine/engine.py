"""The connection to DuckDB: it runs SQL, one statement at a time."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from .. import exceptions
from ..functions.base import Function
from ..session import Execution, FoldingRefused, Session
from ..types import Column, column
from .errors import opening, translated
from .instances import instance_of, open_engines
from .results import Result, Row
from .sources import SOURCE_VIEW, SmallBatches, read_source, survives
from .staging import ROWS_VIEW, Staging
from .worker import Worker

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None

_Type = duckdb.StatementType

#: Statements that never return rows of the user's, whatever DuckDB reports.
_WITHOUT_ROWS = frozenset(
    {_Type.CREATE, _Type.CREATE_FUNC, _Type.DROP, _Type.ALTER, _Type.TRANSACTION, _Type.SET}
    | {_Type.VARIABLE_SET, _Type.ATTACH, _Type.DETACH, _Type.LOAD, _Type.PREPARE, _Type.EXPORT}
    | {_Type.COPY_DATABASE, _Type.VACUUM}
)

#: What DuckDB reports where a PRAGMA, CALL or CHECKPOINT has no rows.
_SUCCESS = (column("Success", "BOOLEAN"),)

#: DuckDB 2.0's own `streaming_buffer_size`, as it tells it.
_BUFFER_SIZE = "10.0 MiB"

#: Every constant call in an EXPLAIN would be made, if no one said no. With ANALYZE it should.
_ANALYSES = re.compile(r"\bANALY[SZ]E\b", re.IGNORECASE)

_LEADING_COMMENTS = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)


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
        self.instance = instance_of(database)
        with opening(database):
            self.connection = duckdb.connect(database, read_only=read_only, config=dict(config))
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.autocommit = True
        #: DuckDB does not tell whether a transaction is open, so each BEGIN and COMMIT is noted.
        self.in_transaction = False
        #: The first error in the open transaction, which may have ended it.
        self._doubt: BaseException | None = None
        #: The runs of model statements, which `interrupt` must reach outside DuckDB too.
        self.running: set[Execution] = set()
        #: Weak: what nobody can read any more need not be buffered.
        self._pending: Callable[[], Result | None] = lambda: None
        self._worker: Worker | None = None
        self._execution: Execution | None = None
        #: Whether a source is being read, in which no model may run; and whether one was asked for.
        self.reads_source = False
        self.source_asks_model = False
        #: What `stream` has to take back before anything else runs, and for whom it was done.
        self._to_undo: list[Callable[[], object]] = []
        self._streaming: Execution | None = None
        #: What is read apart from the transaction, which `interrupt` must reach too.
        self._staging: Staging | None = None
        self._stagings = itertools.count(1)
        self._number = self.instance.add(self)
        try:
            with translated():
                self._prepare(functions, config)
        except BaseException:
            self.connection.close()
            self.instance.remove(self._number)
            raise
        open_engines.add(self)

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
            side_effects=function.volatile,
        )
        self.instance.kept.append(callback)

    def _create_macro(self, function: Function) -> None:
        names = [*function.parameters, *function.optional]
        declared = [*function.parameters, *(f"{name} := NULL" for name in function.optional)]
        arguments = ", ".join([*names, str(self._number)])
        call = f"{function.internal_name}({arguments})"
        body = f"TABLE SELECT unnest({call}, max_depth := 2)" if function.as_table else call
        self.connection.execute(
            f"CREATE OR REPLACE TEMP MACRO {function.name}({', '.join(declared)}) AS {body}"
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
            return self._execute(sql, parameters, run or self.new_execution())

    def _execute(self, sql: str, parameters: Parameters, run: Execution) -> Result:
        try:
            return self._start(sql, parameters, run)
        except BaseException:
            with contextlib.suppress(Exception):  # what failed first is what to tell
                run.finish()
            raise

    def _start(self, sql: str, parameters: Parameters, run: Execution) -> Result:
        self._execution = run
        statements = self.run(lambda: self._statements(sql), run)
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
        else:
            run.finish()
        return result

    def stream(
        self, sql: str, parameters: Parameters, run: Execution, source: SmallBatches | None = None
    ) -> Result:
        """Run SQL of one statement so that a row can be fetched as soon as it is there.

        `source` is the relation `SOURCE_VIEW`, which goes with the result.

        Raises:
            Error: as `execute`.
        """
        with self.lock:
            self.settle()
            self._streaming = run
            try:
                self.run(lambda: self._prepare_stream(source), run)
                return self._execute(sql, parameters, run)
            except BaseException:
                self.end_stream(run)
                raise

    def _prepare_stream(self, source: SmallBatches | None) -> None:
        # By default ten vectors are made before the first is given out. It costs plain SQL up to
        # nine tenths of its time, so it is for this statement alone; who has set it has chosen.
        if self._setting("streaming_buffer_size") == _BUFFER_SIZE:
            self._set_for_now("streaming_buffer_size", "1KB")
        if source is not None:
            self.connection.register(SOURCE_VIEW, source)
            self._to_undo.append(lambda: self.connection.unregister(SOURCE_VIEW))

    def _set_for_now(self, setting: str, value: str) -> bool:
        """Set something for this connection until `_undo`; tell whether that could be done."""
        try:
            self.connection.execute(f"SET SESSION {setting} = '{value}'")
        except duckdb.InvalidInputException:  # the user locked the settings
            return False
        self._to_undo.append(lambda: self.connection.execute(f"RESET SESSION {setting}"))
        return True

    def _setting(self, name: str) -> Any:
        return self.connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0]

    def end_stream(self, run: Execution) -> None:
        """Take back what `stream` did for a run, unless that was done already."""
        if self._streaming is not run:
            return  # without the lock: a result may end in the thread that DuckDB works in
        with self.lock:
            if self._streaming is run:
                self._undo()

    def _undo(self) -> None:
        if not self._to_undo:
            return

        def undo() -> None:
            # A transaction that has failed refuses this: it is done after its rollback.
            with contextlib.suppress(duckdb.TransactionException):
                self._end_pending()
                while self._to_undo:
                    self._to_undo[-1]()
                    self._to_undo.pop()

        self._streaming = None
        self.run(undo, self.new_execution())

    def read_source(self, sql: str, parameters: Parameters, run: Execution) -> SmallBatches | None:
        """Read a query's rows for `stream`; None where that cannot be, or a model would run.

        What is beyond the limits is not read, so then the query has begun, and no more.

        Raises:
            Error: as `execute`.
        """
        with self.lock:
            self.settle()
            self._open_transaction()
            self._execution = run
            with self.without_models():
                source = self.run(lambda: self._read_source(sql, parameters), run)
            return None if self.source_asks_model else source

    @contextlib.contextmanager
    def without_models(self) -> Iterator[None]:
        """Have every model give NULL, and note in `source_asks_model` that one was asked for.

        An exception would end the user's transaction.
        """
        with self.lock:
            self.reads_source, self.source_asks_model = True, False
            try:
                yield
            finally:
                self.reads_source = False

    def fits_source(self, sql: str, parameters: Parameters, run: Execution) -> bool:
        """Tell whether `read_source` can give a query's rows out again, whatever their number."""
        with self.lock:
            self.settle()
            return self.run(lambda: survives(self.connection.sql(sql, params=parameters)), run)

    def may_collate(self, sql: str) -> bool:
        """Tell whether a column of a query may have a collation, which Arrow data does not.

        DuckDB's types do not show it: the word in the query, a table or a view does.
        """
        defined = (
            "SELECT sql FROM duckdb_tables()"
            " UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal"
        )
        asked = f"SELECT 1 FROM ({defined}) WHERE contains(lower(sql), 'collate') LIMIT 1"
        if "collate" in sql.lower():
            return True
        with self.lock:
            self.settle()
            run = self.new_execution()
            return bool(self.run(lambda: self.connection.execute(asked).fetchall(), run))

    def _read_source(self, sql: str, parameters: Parameters) -> SmallBatches | None:
        self._end_pending()
        setting = "arrow_lossless_conversion"
        if not (self._setting(setting) or self._set_for_now(setting, "true")):
            return None
        return read_source(self.connection, sql, parameters, lambda: self.source_asks_model)

    def _statements(self, sql: str) -> list[duckdb.Statement]:
        try:
            return self.connection.extract_statements(sql)
        except TypeError as error:
            raise exceptions.ProgrammingError(
                f"a statement is text that UTF-8 can hold, not {sql!r:.60}"
            ) from error

    def _execute_one(
        self, statement: duckdb.Statement, parameters: Parameters, run: Execution
    ) -> None:
        transacts = statement.type is _Type.TRANSACTION
        if not transacts:
            self._open_transaction()

        def work() -> object:
            return self.connection.execute(statement, parameters)

        def work_that_folds() -> object:
            if statement.type is not _Type.EXPLAIN or _ANALYSES.search(statement.query):
                return self.run(work, run)
            with self.without_models():  # it is all planning, and a model must not run
                return self.run(work, run)

        try:
            try:
                if self.in_transaction:
                    work_that_folds()
                else:
                    self.run(work, run)
            except FoldingRefused:
                # VALUES lists are evaluated while planning, and no error is forgiven there.
                run.may_fold, run.failure = True, None
                work_that_folds()
        except exceptions.Error:
            if transacts and not _begins(statement.query):
                self.in_transaction = False
            raise
        if transacts:
            self.in_transaction = _begins(statement.query)

    def _columns(self, statement: duckdb.Statement, rowcount: int) -> tuple[Column, ...] | None:
        """Describe the pending result; None where DuckDB only says `Count` or `Success`."""
        if self.connection.description is None or rowcount >= 0:
            return None
        columns = self._describe()
        if statement.type in _WITHOUT_ROWS:
            return None
        if statement.type is not _Type.SELECT and columns == _SUCCESS:
            return None
        return columns

    def _describe(self) -> tuple[Column, ...]:
        described = self.connection.description or ()
        return tuple(column(name, str(type_)) for name, type_, *_ in described)

    def run(self, work: Callable[[], T], execution: Execution) -> T:
        """Do DuckDB's work so that Ctrl-C and `interrupt` can stop it.

        Python handles signals in the main thread, between its own instructions: a main thread
        inside DuckDB would not see Ctrl-C until the query ends. So it waits beside the work.
        """
        if self.in_transaction:
            # An error while planning would end the transaction, though DuckDB forgives it.
            execution.may_fold = True
        with self._noting_errors(), translated(execution):
            in_main_thread = threading.current_thread() is threading.main_thread()
            # A finalizer at the program's very end finds no other thread running any more.
            if not in_main_thread or sys.is_finalizing():
                return work()
            if self._worker is None:
                self._worker = Worker()
            try:
                return self._worker.submit(work).result()
            except KeyboardInterrupt:
                self.interrupt()
                # The one thread is free again when what it was at has ended, whichever moment
                # of the line above was interrupted.
                self._worker.submit(int).result()
                raise

    @contextlib.contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if self.in_transaction:
                self._doubt = self._doubt or error
            raise

    def interrupt(self) -> None:
        """Stop what runs on this connection, from any thread."""
        for execution in [*self.running, self._execution]:
            if execution is not None:
                execution.stop()
        if (staging := self._staging) is not None:
            staging.interrupt()
        self.connection.interrupt()

    def settle(self) -> None:
        """Buffer what the pending result has left, and tidy up: the connection is wanted."""
        pending, self._pending = self._pending(), lambda: None
        if pending is not None:
            pending.buffer()
        self._undo()

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
        with self.lock, translated():
            count = len(self.connection.extract_statements(sql))
        if count != 1:
            raise exceptions.ProgrammingError(
                f"executemany runs one statement for many rows; the text has {count}"
            )

    def execute_each(self, sql: str, rows: Sequence[Any]) -> Result:
        """Run one statement for each row of parameters, all or none.

        The result has what RETURNING returned, in the order of `rows`.
        """
        returned: list[Row] = []
        changed: list[int] = []
        with self.lock:
            owned = self.autocommit and not self.in_transaction
            if owned:
                self.begin()
            try:
                for row in rows:
                    result = self.execute(sql, row)
                    changed.append(result.rowcount)
                    if result.columns is not None:
                        returned += result.fetch_all()
            except BaseException:
                if owned:
                    self.rollback()
                else:
                    self._fail_transaction()
                raise
            if owned:
                self.commit()
        count = -1 if -1 in changed else sum(changed)
        return Result(self, result.columns, count, result.execution).hold(returned)

    def insert_rows(self, sql: str, rows: pyarrow.Table | pyarrow.RecordBatchReader) -> Result:
        """Run one statement that reads `rows` from the relation `ROWS_VIEW` into a table.

        The result has what RETURNING returned: in the order of `rows`, if `keeps_order`.
        """
        run = self.new_execution()

        def insert() -> Result:
            self.connection.execute(sql)
            count = self.connection.rowcount
            if count >= 0:
                return Result(self, None, count, run)
            columns = self._describe()
            return Result(self, columns, count, run).hold(self.connection.fetchall())

        return self._with_rows(rows, insert, run)

    def query_rows(self, sql: str, rows: pyarrow.Table) -> list[Row]:
        """Run a query that reads `rows` from the relation `ROWS_VIEW`."""

        def query() -> list[Row]:
            return self.connection.execute(sql).fetchall()

        return self._with_rows(rows, query, self.new_execution())

    def _with_rows(self, rows: object, work: Callable[[], T], run: Execution) -> T:
        with self.lock:
            self.settle()
            self._open_transaction()
            self._execution = run

            def registered() -> T:
                self._end_pending()
                self.connection.register(ROWS_VIEW, rows)
                try:
                    return work()
                finally:
                    # A transaction that has failed refuses this too; its rollback does it then.
                    with contextlib.suppress(duckdb.TransactionException):
                        self.connection.unregister(ROWS_VIEW)

            return self.run(registered, run)

    def keeps_order(self) -> bool:
        """Tell whether what is inserted and returned keeps the order of what is read."""
        with self.lock:
            setting = "current_setting('preserve_insertion_order')"
            return bool(self.execute(f"SELECT {setting}").fetch_all()[0][0])

    def tables_that_reference_themselves(self) -> set[str]:
        """Return the names of tables with a foreign key to themselves, in lower case."""
        return self._table_names(
            "duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'"
            " AND lower(table_name) = lower(referenced_table)"
        )

    def tables_of_several_keys(self) -> set[str]:
        """Return the names of tables with more than one unique key, in lower case."""
        return self._table_names(
            "(SELECT table_oid, table_name FROM duckdb_constraints()"
            " WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
            " UNION ALL SELECT table_oid, table_name FROM duckdb_indexes() WHERE is_unique)"
            " GROUP BY table_oid, table_name HAVING count(*) > 1"
        )

    def _table_names(self, source: str) -> set[str]:
        with self.lock:
            rows = self.execute(f"SELECT lower(table_name) FROM {source}").fetch_all()
        return {name for (name,) in rows}

    @contextlib.contextmanager
    def staging(self, run: Execution) -> Iterator[Staging]:
        """Read apart from the transaction that may be open: what fails there does not end it."""
        with self.lock:
            connection = self.connection.cursor()
            # A new name each time: a transaction keeps what it read under one, until it ends.
            name = f"__thanosql_staging_{self._number}_{next(self._stagings)}"
            staging = Staging(connection, name, lambda work: self.run(work, run))
            self._staging = staging
            try:
                yield staging
            finally:
                self._staging = None
                staging.close()

    def register(self, name: str, rows: object) -> None:
        """Show a Python object that DuckDB can read to SQL, as a temporary view.

        Raises:
            ProgrammingError: DuckDB cannot read it.
        """
        with self.lock:
            self.settle()

            def register() -> None:
                self._end_pending()
                self.connection.register(name, rows)

            self.run(register, self.new_execution())

    def unregister(self, name: str) -> None:
        """Take away what `register` showed; where there is nothing, do nothing."""
        with self.lock:
            self.settle()

            def unregister() -> None:
                self._end_pending()
                self.connection.unregister(name)

            self.run(unregister, self.new_execution())

    def _end_pending(self) -> None:
        # What a cursor closed without reading to the end is still open in DuckDB; a statement
        # ends it, a registration refuses.
        self.connection.execute("SELECT 1").fetchall()

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
            self.in_transaction, self._doubt = True, None

    def commit(self) -> None:
        """Commit the transaction; without one, do nothing.

        Raises:
            OperationalError: an error had ended the transaction; DuckDB's own COMMIT would roll
                it back and say nothing.
        """
        with self.lock:
            self.settle()
            if self.in_transaction and self._has_failed():
                first = self._doubt
                self.rollback()
                raise exceptions.OperationalError(
                    "an earlier error had ended the transaction, and nothing of it was committed:"
                    f" {first}"
                ) from first
            self._end_transaction(self.connection.commit)

    def _has_failed(self) -> bool:
        if self._doubt is None:
            return False
        try:
            self.connection.execute("SELECT 1").fetchall()
        except duckdb.TransactionException:
            return True
        return False

    def rollback(self) -> None:
        """Roll the transaction back; without one, do nothing."""
        self._end_transaction(self.connection.rollback)

    def _end_transaction(self, end: Callable[[], object]) -> None:
        with self.lock:
            self.settle()
            if self.in_transaction:
                self.in_transaction, self._doubt = False, None
                self.run(end, self.new_execution())
                self._undo()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        with self.lock:
            open_engines.discard(self)
            try:
                if (pending := self._pending()) is not None:
                    pending.abandon()
            finally:
                self.connection.close()
                self.instance.remove(self._number)
                self.in_transaction = False
                worker, self._worker = self._worker, None
                if worker is not None:
                    worker.stop()


def _begins(statement: str) -> bool:
    """Tell whether a transaction statement opens one (BEGIN, START) rather than ends it."""
    start = _LEADING_COMMENTS.match(statement)
    word = statement[start.end() if start else 0 :][:5].upper()
    return word in ("BEGIN", "START")
