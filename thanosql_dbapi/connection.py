"""The connection: PEP 249's object, over one DuckDB connection and one workspace."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import adbc, exceptions, learning_curve
from .cursor import Cursor
from .engine import Engine, Parameters
from .exceptions import InterfaceError, ProgrammingError
from .functions import FUNCTIONS
from .learning_curve import LearningCurve
from .models.checkpoints import read_checkpoints
from .progress import Progress, ProgressSetting
from .session import Session
from .workspace import CACHE_LIMIT, Workspace, default_folder

if TYPE_CHECKING:
    import pyarrow


def connect(
    database: str | Path = ":memory:",
    *,
    root: str | Path | None = None,
    workspace: str | Path | None = None,
    read_only: bool = False,
    checkpoints: Mapping[str, str] | None = None,
    device: str = "auto",
    progress: ProgressSetting = None,
    cache_limit: int = CACHE_LIMIT,
    config: Mapping[str, Any] | None = None,
) -> Connection:
    """Open a database.

    Args:
        database: a DuckDB file; `:memory:`, one of this connection's own; or `:memory:name`, one
            that the connections of this process share.
        root: the folder that relative paths in tables and statements start from; the current one.
        workspace: the folder of the models; beside the database file, or a temporary one that
            lives as long as the database in memory. All connections to one database share it.
        read_only: open the file for reading only.
        checkpoints: where base models' weights are, by base model: a folder or a hub id.
        device: `auto` (the GPU where there is one), or a torch device.
        progress: None shows bars in a terminal, True always, False never; a callable gets
            `ProgressEvent`s.
        cache_limit: bytes that predictions kept in the workspace may take; 0 keeps none.
        config: DuckDB's settings.

    Raises:
        OperationalError: the file cannot be opened, or another process holds it.
        ProgrammingError: a setting is wrong, or the database is open with another workspace.
    """
    # DuckDB takes `~` for the home folder; the models must land beside the file it opens.
    database = os.path.expanduser(database)  # noqa: PTH111 - ":memory:" is no path
    base = Path(root).expanduser().absolute() if root is not None else Path.cwd()
    if not base.is_dir():
        raise ProgrammingError(f"root: there is no folder '{base}'")
    if cache_limit < 0:
        raise ProgrammingError(f"cache_limit={cache_limit}: the limit is 0 bytes or more")
    known = read_checkpoints(checkpoints)
    engine = Engine(database, read_only=read_only, config=config or {}, functions=FUNCTIONS)
    try:
        shared = _shared_workspace(engine, database, workspace)
    except BaseException:
        engine.close()
        raise
    shared.cache.limit_bytes = cache_limit
    engine.session = Session(shared, base, device, known, Progress(progress))
    return Connection(engine, engine.session)


def _shared_workspace(engine: Engine, database: str, given: str | Path | None) -> Workspace:
    """Return the workspace of the connection's instance, made by its first connection.

    Raises:
        ProgrammingError: it is another than the one given.
    """
    wanted = Path(given).expanduser().absolute() if given is not None else None
    instance = engine.instance
    with instance.lock:
        if instance.shared is None:
            instance.shared = Workspace(wanted or default_folder(database))
        shared: Workspace = instance.shared
    if wanted is not None and wanted.resolve() != shared.folder.resolve():
        raise ProgrammingError(
            f"workspace='{given}': the database is open in this process with the workspace"
            f" '{shared.folder}', and all its connections share it"
        )
    return shared


class Connection:
    """A PEP 249 connection. Its cursors share one transaction.

    DuckDB commits each statement by itself unless BEGIN, `begin()` or `autocommit = False` opens
    a transaction. Models do not roll back with it.
    """

    Warning = exceptions.Warning
    Error = exceptions.Error
    InterfaceError = exceptions.InterfaceError
    DatabaseError = exceptions.DatabaseError
    DataError = exceptions.DataError
    OperationalError = exceptions.OperationalError
    IntegrityError = exceptions.IntegrityError
    InternalError = exceptions.InternalError
    ProgrammingError = exceptions.ProgrammingError
    NotSupportedError = exceptions.NotSupportedError

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._closed = False

    # What `isinstance` asks first. pandas tests for ADBC's connection, whose package may have
    # been loaded a moment ago.
    @property  # type: ignore[misc]
    def __class__(self) -> type[Self]:
        """The class, which by now is a virtual subclass of ADBC's where that is loaded."""
        adbc.register(type(self))
        return type(self)

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self._closed

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself; PEP 249's implicit transactions if not."""
        return self._engine.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._require_open()
        if value:
            self._engine.commit()
        self._engine.autocommit = value

    @property
    def root(self) -> Path:
        """The folder that relative paths start from."""
        return self._session.root

    @property
    def workspace(self) -> Path:
        """The folder of the models."""
        return self._session.workspace.folder

    def cursor(self) -> Cursor:
        """Return a new cursor.

        Raises:
            InterfaceError: the connection is closed.
        """
        self._require_open()
        return Cursor(self, self._engine, self._session)

    def execute(self, operation: str, parameters: Parameters = None) -> Cursor:
        """Execute a statement on a new cursor, and return that."""
        return self.cursor().execute(operation, parameters)

    def sql(self, query: str, params: Parameters = None) -> Cursor:
        """Execute a statement on a new cursor, by the name that DuckDB and ibis have for it."""
        return self.execute(query, params)

    def register(self, view_name: str, python_object: object) -> None:
        """Show a frame or Arrow data to SQL, as a temporary view that this connection alone has.

        Raises:
            ProgrammingError: DuckDB cannot read such an object.
        """
        self._require_open()
        if isinstance(python_object, Cursor):
            # DuckDB would ask it for rows while it holds the connection that has them.
            python_object = python_object.fetch_arrow_table()
        self._engine.register(view_name, python_object)

    def unregister(self, view_name: str) -> None:
        """Take away what `register` showed; where there is nothing, do nothing."""
        self._require_open()
        self._engine.unregister(view_name)

    def begin(self) -> None:
        """Begin a transaction.

        Raises:
            OperationalError: one is open already.
        """
        self._require_open()
        self._engine.begin()

    def commit(self) -> None:
        """Commit the transaction; without one, do nothing."""
        self._require_open()
        self._engine.commit()

    def rollback(self) -> None:
        """Roll the transaction back; without one, do nothing."""
        self._require_open()
        self._engine.rollback()

    def learning_curve(self, model: str) -> LearningCurve:
        """Return the learning curve of a model's last training, as far as it is.

        A notebook shows it as a picture, and printed it is one of characters.

        Raises:
            ModelNotFound: nothing of such a training is kept.
        """
        return learning_curve.of(self, model)

    def interrupt(self) -> None:
        """Stop what runs on this connection, from any thread: it raises `QueryInterrupted`."""
        self._require_open()
        self._engine.interrupt()

    @property
    def adbc_current_catalog(self) -> str:
        """The catalogue where unqualified names are looked for."""
        return self._current("database")

    @property
    def adbc_current_db_schema(self) -> str:
        """The schema where unqualified names are looked for."""
        return self._current("schema")

    def adbc_get_objects(
        self,
        *,
        depth: adbc.Depth = "all",
        catalog_filter: str | None = None,
        db_schema_filter: str | None = None,
        table_name_filter: str | None = None,
        table_types_filter: Sequence[str] | None = None,
        column_name_filter: str | None = None,
    ) -> pyarrow.RecordBatchReader:
        """Return the catalogue in ADBC's nested schema; the filters are LIKE patterns.

        Args:
            depth: `catalogs`, `db_schemas`, `tables`, or `columns` and `all`, which are the same.
            catalog_filter: of attached databases.
            db_schema_filter: of schemas.
            table_name_filter: of tables and views.
            table_types_filter: some of `adbc_get_table_types()`, exactly.
            column_name_filter: of columns.

        Raises:
            ProgrammingError: there is no such depth.
        """
        self._require_open()
        return adbc.get_objects(
            self._engine,
            depth,
            catalog=catalog_filter,
            schema=db_schema_filter,
            table=table_name_filter,
            table_types=table_types_filter,
            column=column_name_filter,
        )

    def adbc_get_table_schema(
        self,
        table_name: str,
        *,
        catalog_filter: str | None = None,
        db_schema_filter: str | None = None,
    ) -> pyarrow.Schema:
        """Return the Arrow schema of a table or view; no model runs for it.

        Raises:
            ProgrammingError: there is no such table.
        """
        self._require_open()
        return adbc.get_table_schema(
            self._engine, table_name, catalog=catalog_filter, schema=db_schema_filter
        )

    def adbc_get_table_types(self) -> list[str]:
        """Return the kinds of tables there are."""
        self._require_open()
        return list(adbc.TABLE_TYPES)

    def adbc_get_info(self) -> dict[str | int, Any]:
        """Return the names and versions of the database, as the vendor, and of the driver."""
        self._require_open()
        return adbc.get_info(self._engine)

    def _current(self, what: str) -> str:
        self._require_open()
        return str(self._engine.execute(f"SELECT current_{what}()").fetch_all()[0][0])

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._engine.close()

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("the connection is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit, or roll back after an exception; then close."""
        if self._closed:
            return
        try:
            if kind is None:
                self.commit()
            else:
                self.rollback()
        finally:
            self.close()
