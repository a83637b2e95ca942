"""The tables of the cache's file, and how it is told that a file is ours.

It knows nothing of what stands in the tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

#: Raise it with each change of the tables.
SCHEMA_VERSION = 1
#: "thsq", in the file's header: a file of another program is not ours to write into.
APPLICATION_ID = 0x74687371
TABLES = (
    """CREATE TABLE settings (
        id INTEGER PRIMARY KEY, model TEXT NOT NULL, options TEXT NOT NULL,
        precision TEXT NOT NULL, revision INTEGER NOT NULL, model_name TEXT NOT NULL,
        UNIQUE (model, options, precision, revision))""",
    """CREATE TABLE predictions (
        id INTEGER PRIMARY KEY, setting INTEGER NOT NULL, audio TEXT NOT NULL,
        created INTEGER NOT NULL, used INTEGER NOT NULL, prediction BLOB NOT NULL,
        timings BLOB, UNIQUE (setting, audio))""",
    "CREATE INDEX predictions_by_use ON predictions (used)",
    """CREATE TABLE digests (
        id INTEGER PRIMARY KEY, identity BLOB NOT NULL UNIQUE, digest TEXT NOT NULL)""",
    """CREATE TABLE speeds (
        id INTEGER PRIMARY KEY, model TEXT NOT NULL, device TEXT NOT NULL,
        precision TEXT NOT NULL, audio_seconds REAL NOT NULL, wall_seconds REAL NOT NULL,
        UNIQUE (model, device, precision))""",
)


class Damage(Exception):
    """The file is an SQLite database, and not what we wrote."""


def is_complete(connection: sqlite3.Connection) -> bool:
    """Tell whether the file has our tables; it has none yet if not.

    Raises:
        Damage: it has others.
    """
    # The tables first: they come in one transaction with the marks, maybe at this moment.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = pragma(connection, "user_version")
    mark = pragma(connection, "application_id")
    if (version, mark) == (SCHEMA_VERSION, APPLICATION_ID):
        return True
    if tables:
        raise Damage(f"it is of another program or version: {mark:#x}, {version}")
    return False


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another one did so meanwhile."""
    if is_complete(connection):
        return
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
    connection.execute("PRAGMA journal_mode = WAL")
    with writing(connection):
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one transaction: all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # nothing, where a full disk made SQLite do it already
        raise


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return what SQLite says of the file: a number."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
