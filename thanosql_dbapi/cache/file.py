"""The cache's file: opened late, by one thread at a time, put aside when it is damaged.

Whatever a disk, a lock or another program does to it becomes one warning here, and an answer as
from an empty cache. It knows nothing of what stands in the file but that the tables are ours.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .schema import Damage, create, is_complete, pragma

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

#: How long another process's writing is waited for.
TIMEOUT_S = 10.0
#: A file that failed is left alone for so long, then tried again.
RETRY_AFTER_S = 60.0
#: The log goes over into the file when it is an eighth of the limit, within these bounds.
LOG_BYTES = (64 << 10, 1 << 20)
#: SQLite's codes for a malformed file, and for one that is no database.
CORRUPT, NOT_A_DATABASE = 11, 26


class CacheFile:
    """An SQLite file for several processes, and for the threads of this one."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._connection: sqlite3.Connection | None = None
        self._closing: Callable[[], object] | None = None
        self._inode = -1
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._silent_until = 0.0
        self._warned = False

    def read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what work on the file gives; `otherwise` where there is none, or none to use."""
        return self._use(work, otherwise, create_it=False)

    def write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do work on the file, which is made where there is none."""
        self._use(work, None, create_it=True)

    def close(self) -> None:
        """Let go of the file; a later use opens it again."""
        self._leave_parent()
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._connection = self._closing = None
            self._silent_until = 0.0

    def _use(self, work: Callable[[sqlite3.Connection], T], otherwise: T, *, create_it: bool) -> T:
        self._leave_parent()
        with self._lock:
            if time.monotonic() < self._silent_until:
                return otherwise
            try:
                try:
                    return self._work(work, otherwise, create_it=create_it)
                except Exception as error:
                    if not _is_damage(error):
                        raise
                    self._put_aside(error)
                    return self._work(work, otherwise, create_it=create_it)
            except Exception as error:
                if not _is_outside(error):
                    raise
                self._go_silent(error)
                return otherwise

    def _work(self, work: Callable[[sqlite3.Connection], T], otherwise: T, *, create_it: bool) -> T:
        connection = self._connect(create_it=create_it)
        return otherwise if connection is None else work(connection)

    def _connect(self, *, create_it: bool) -> sqlite3.Connection | None:
        """Return the connection to the file; None where there is none and none is wanted.

        A file that is no longer the one in its place was put aside, or deleted.
        """
        inode = _inode(self._path)
        if self._connection is not None and inode == self._inode:
            return self._connection
        self.close()
        if inode is None:
            if not create_it:
                return None
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open(self._path)
        # It is also closed with the cache that nobody closed, and at the end of the program.
        self._closing = weakref.finalize(self, _close, connection, os.getpid())
        self._inode = _inode(self._path) or -1
        _configure(connection, self._limit)
        if not is_complete(connection):
            with self._file_lock():  # of two that begin at once, the second finds it made
                create(connection)
        self._connection = connection
        return connection

    def _leave_parent(self) -> None:
        """Leave connection and lock to the parent if this is a forked child."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.RLock()
            self._connection = self._closing = None

    def _put_aside(self, error: Exception) -> None:
        """Move a damaged file out of the way, with what belongs to it."""
        opened = self._inode
        self.close()
        aside = self._path.with_suffix(".damaged.sqlite")
        with self._file_lock():
            if _inode(self._path) != opened:
                return  # another process did it
            # The log goes first: it must never stand beside the next file.
            with contextlib.suppress(FileNotFoundError):
                _beside(self._path, "-wal").replace(_beside(aside, "-wal"))
            _beside(self._path, "-shm").unlink(missing_ok=True)
            self._path.replace(aside)
        self._warn(
            f"the prediction cache {self._path} is damaged ({error}); it is now {aside.name},"
            " and a new one begins"
        )

    def _file_lock(self) -> contextlib.AbstractContextManager[Any]:
        # Imported late: it costs as much as the rest of the driver.
        from filelock import FileLock

        return FileLock(self._path.with_suffix(".lock"), timeout=TIMEOUT_S)

    def _go_silent(self, error: Exception) -> None:
        self.close()
        self._silent_until = time.monotonic() + RETRY_AFTER_S
        if not self._warned:
            self._warned = True
            self._warn(f"predictions are made without the cache {self._path}: {error}")

    def _warn(self, message: str) -> None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _open(path: Path) -> sqlite3.Connection:
    import sqlite3

    # One connection for all threads, one at a time; isolation_level=None: BEGIN is ours to say.
    return sqlite3.connect(path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _configure(connection: sqlite3.Connection, limit: int) -> None:
    log = max(LOG_BYTES[0], min(limit // 8, LOG_BYTES[1]))
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {log // pragma(connection, 'page_size')}")
    connection.execute(f"PRAGMA journal_size_limit = {log}")


def _close(connection: sqlite3.Connection, process: int) -> None:
    if process == os.getpid():  # a forked child may not even close it
        connection.close()


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, Damage) or code in {CORRUPT, NOT_A_DATABASE}


def _is_outside(error: Exception) -> bool:
    """Tell what disk, locks and files do from mistakes in this module or its callers."""
    import sqlite3

    kinds = (sqlite3.OperationalError, sqlite3.InternalError, OSError)
    return isinstance(error, kinds) or _is_damage(error)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
