"""The dialect: connections, transactions, and what DuckDB can do.

Derived from SQLAlchemy's DefaultDialect, over the public names of the driver alone.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sqlalchemy import exc, pool
from sqlalchemy.engine import URL, default
from sqlalchemy.engine.cursor import CursorFetchStrategy
from sqlalchemy.sql.compiler import InsertmanyvaluesSentinelOpts, _InsertManyValuesBatch

from . import types
from .address import Address, connect_options, refusal
from .compiler import (
    ThanoSQLCompiler,
    ThanoSQLDDLCompiler,
    ThanoSQLIdentifierPreparer,
    counting_column,
    sequence_name,
)
from .reflection import Reflection

#: Below this a VALUES list is read faster than Arrow is made (measured, DuckDB 2.0).
_FEW_ROWS = 100


class ThanoSQLExecutionContext(default.DefaultExecutionContext):
    """One execution of a statement."""

    def fire_sequence(self, seq: Any, type_: Any) -> Any:
        """Return a sequence's next value."""
        return self._next_value(self.identifier_preparer.format_sequence(seq), type_)

    def get_insert_default(self, column: Any) -> Any:
        """Return the default of a column, also that of a key whose table has no RETURNING."""
        if column is counting_column(column.table):
            name = sequence_name(self.identifier_preparer, column)
            return self._next_value(name, column.type)
        return super().get_insert_default(column)

    def _next_value(self, sequence: str, type_: Any) -> Any:
        name = sequence.replace("'", "''")
        return self._execute_scalar(f"SELECT nextval('{name}')", type_)

    def create_default_cursor(self) -> Any:
        """Return a cursor, noted for `ThanoSQLDialect.do_rollback`."""
        cursor = self._dbapi_connection.cursor()
        dialect: Any = self.dialect
        dialect.last_cursors[self._dbapi_connection.dbapi_connection] = weakref.ref(cursor)
        return cursor

    #: All of the driver's cursors read as they go.
    create_server_side_cursor = create_default_cursor

    def post_exec(self) -> None:
        """Keep a streaming connection from reading rows of a statement that has none."""
        if self.cursor.description is None:
            self.cursor_fetch_strategy = CursorFetchStrategy()


class ThanoSQLDialect(Reflection, default.DefaultDialect):
    """DuckDB with model statements, as `thanosql://`."""

    name = "thanosql"
    driver = "duckdb"
    supports_statement_cache = True
    default_paramstyle = "qmark"

    preparer = ThanoSQLIdentifierPreparer
    statement_compiler = ThanoSQLCompiler
    ddl_compiler = ThanoSQLDDLCompiler
    type_compiler_cls = types.ThanoSQLTypeCompiler
    execution_ctx_cls = ThanoSQLExecutionContext
    colspecs = types.colspecs
    ischema_names = types.ischema_names

    # Values
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_enum = True
    supports_native_uuid = True
    returns_native_bytes = True

    # Statements
    delete_returning = True
    insert_returning = True
    update_returning = True
    insert_executemany_returning = True
    insert_executemany_returning_sort_by_parameter_order = True
    use_insertmanyvalues = True
    insertmanyvalues_page_size = 100_000  # rows in memory as Arrow at once
    insertmanyvalues_implicit_sentinel = InsertmanyvaluesSentinelOpts.ANY_AUTOINCREMENT
    supports_default_values = True
    supports_default_metavalue = True
    supports_empty_insert = True
    supports_multivalues_insert = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    supports_sane_rowcount_returning = False  # DuckDB counts what a RETURNING changes for nobody
    supports_is_distinct_from = True
    div_is_floordiv = False
    supports_server_side_cursors = True
    update_returning_multifrom = False
    delete_returning_multifrom = False
    postfetch_lastrowid = False
    favor_returning_over_lastrowid = True
    tuple_in_values = False

    # Definitions
    supports_alter = False  # of constraints: DuckDB adds no foreign key to a table that is there
    supports_comments = True
    inline_comments = False
    supports_identity_columns = False
    supports_sequences = True
    sequences_optional = False
    preexecute_autoincrement_sequences = True
    max_identifier_length = 9999

    #: What DuckDB gives every transaction; none of the standard's names says it.
    default_isolation_level: Any = "SNAPSHOT"

    def __init__(
        self,
        json_serializer: Any = None,
        json_deserializer: Any = None,
        **kw: Any,
    ) -> None:
        super().__init__(**kw)
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer
        #: Keeps a database in memory alive while the engine lives, whatever its pool closes.
        self._anchor: Any = None
        #: By the driver's connection; weak on both sides.
        self.last_cursors: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the driver."""
        import thanosql_dbapi

        return thanosql_dbapi

    # Connections ------------------------------------------------------------------------------

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """Return a pool of connections that share the process's one DuckDB instance."""
        return pool.QueuePool

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """Read the address; see `address.Address`.

        Raises:
            ArgumentError: the URL has a part that a database in this process cannot have.
        """
        address = Address.of(url)
        return [address.database], address.options

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        """Open a connection, and on the first one to a database in memory what keeps it alive.

        Raises:
            ArgumentError: an option's name is unknown, or DuckDB refuses its value.
        """
        options = connect_options(cparams)
        try:
            if self._anchor is None and cargs[0].startswith(":memory:"):
                self._anchor = super().connect(*cargs, **options)
            return super().connect(*cargs, **options)
        except self.loaded_dbapi.ProgrammingError:
            for name, value in options["config"].items():
                self._try_setting(name, value)
            raise

    def _try_setting(self, name: str, value: Any) -> None:
        """Refuse what DuckDB refuses, by name: its own message may not say which it was."""
        dbapi: Any = self.loaded_dbapi
        try:
            dbapi.connect(config={name: value}).close()
        except dbapi.ProgrammingError as error:
            with dbapi.connect() as connection:
                rows = connection.execute("SELECT name FROM duckdb_settings()").fetchall()
            raise refusal(name, value, error, [known for (known,) in rows]) from error

    def on_connect(self) -> Any:
        """Return what opens PEP 249's implicit transactions on a new connection."""

        def begin_implicitly(dbapi_connection: Any) -> None:
            dbapi_connection.autocommit = False

        return begin_implicitly

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether an error says that the connection is gone: only closing it ends one."""
        return connection is not None and bool(connection.closed)

    # Statements -------------------------------------------------------------------------------

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute a statement; a list of parameters is a batch of `_deliver_insertmany…`."""
        if isinstance(parameters, list):
            cursor.executemany(statement, parameters)
        else:
            cursor.execute(statement, parameters)

    def _deliver_insertmanyvalues_batches(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        generic_setinputsizes: Any,
        context: Any,
    ) -> Iterator[Any]:
        """Yield the batches of an INSERT of many rows with RETURNING.

        DuckDB reads a long VALUES list slowly; the driver's executemany hands the rows over as
        Arrow, and returns what RETURNING returns in their order, so nothing needs sorting. It also
        sees to it that a row of an upsert finds the one before it, which a VALUES list does not.
        """
        upserts = context.compiled.compile_state.statement._post_values_clause is not None
        if len(parameters) < _FEW_ROWS and not upserts:
            yield from super()._deliver_insertmanyvalues_batches(
                connection, cursor, statement, parameters, generic_setinputsizes, context
            )
            return
        options = context.execution_options
        size = options.get("insertmanyvalues_page_size", self.insertmanyvalues_page_size)
        context._insertmanyvalues_rows = rows = []
        starts = range(0, len(parameters), size)
        for number, start in enumerate(starts, 1):
            batch = parameters[start : start + size]
            yield _InsertManyValuesBatch(
                statement, batch, None, batch, [], size, number, len(starts), True, False
            )
            try:
                rows += cursor.fetchall()
            except BaseException as error:  # noqa: BLE001 - the method below raises it again
                connection._handle_dbapi_exception(
                    error, statement, batch, None, context, is_sub_exec=True
                )

    # Transactions -----------------------------------------------------------------------------

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        """Return DuckDB's only level, and AUTOCOMMIT."""
        return ["SNAPSHOT", "AUTOCOMMIT"]

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Return DuckDB's only level."""
        return "SNAPSHOT"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """Return a connection's level."""
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "SNAPSHOT"

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """Set a connection's level."""
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether a connection commits each statement by itself."""
        return bool(dbapi_conn.autocommit)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back, and drop the rows that nobody has read: so closing a connection does, too.

        The driver loses no rows. Left open, a result would be read to its end first, however
        large it is, and a model would run for all of it.
        """
        connection = getattr(dbapi_connection, "dbapi_connection", dbapi_connection)
        cursor = self.last_cursors.pop(connection, lambda: None)()
        if cursor is not None:
            cursor.close()
        super().do_rollback(dbapi_connection)

    def do_savepoint(self, connection: Any, name: str) -> None:
        """Refuse.

        Raises:
            InvalidRequestError: DuckDB has no savepoints.
        """
        raise exc.InvalidRequestError(
            "DuckDB has no savepoints: begin_nested() needs them. Use a transaction of its own"
        )

    # The server -------------------------------------------------------------------------------

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = connection.exec_driver_sql("SELECT version()").scalar()
        return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

    def _get_default_schema_name(self, connection: Any) -> str:
        name: str = connection.exec_driver_sql("SELECT current_schema()").scalar()
        return name


dialect = ThanoSQLDialect
