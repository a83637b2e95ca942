"""Which database a notebook's statements go to: by URL, environment or default; opened when needed.

It knows addresses and one connection at a time, and no statement.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..connection import Connection
from ..exceptions import InterfaceError, OperationalError, ProgrammingError
from ..progress import ProgressEvent
from .address import Address, read_address

#: The variable of the environment that has the URL.
VARIABLE: Final = "THANOSQL_URL"
#: The file that is used where nobody says another: in the current folder, so that the tables and
#: models of yesterday are there today.
DEFAULT: Final = "thanosql.db"

#: How DuckDB says that another process has a file open, or this one in another way.
_IN_USE: Final = re.compile("lock|another process|different configuration")


class Current:
    """The notebook's connection; `tell` gets the progress of what runs on it."""

    def __init__(self, tell: Callable[[ProgressEvent], None] | None) -> None:
        self._tell = tell
        self._address: Address | None = None
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether the next statement has its connection already."""
        return self._connection is not None and not self._connection.closed

    @property
    def address(self) -> Address:
        """Where statements go: what was said last, the environment's URL, or the default.

        Raises:
            ProgrammingError: the environment's URL cannot be read.
        """
        if self._address is None:
            self._address = _from_environment() or Address(DEFAULT)
        return self._address

    def connection(self) -> Connection:
        """Return the connection, opened if need be.

        Raises:
            OperationalError, ProgrammingError: it cannot be opened.
        """
        if self._connection is None or self._connection.closed:
            self._connection = self._open(self.address)
        return self._connection

    def switch(self, address: Address) -> str:
        """Go to another database and leave the former; return what to say of that.

        Raises:
            OperationalError, ProgrammingError: it cannot be opened; the former one stays.
        """
        former, was_open = self._address, self.is_open
        if former is not None and _is_same(former, address):
            self.close()  # one process opens a file in one way at a time
        connection = self._open(address)
        self.close()
        self._address, self._connection = address, connection
        if was_open and former is not None and former.in_memory:
            return "the database in memory was closed, and its tables and models are gone"
        return ""

    def close(self) -> None:
        """Close the connection, if one is open; the next statement opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self, address: Address) -> Connection:
        try:
            return address.open(self._tell)
        except (OperationalError, InterfaceError) as error:
            first = next(iter(str(error).splitlines()), "")
            if not _IN_USE.search(first):  # no such folder, say
                raise
            raise OperationalError(
                f"{first}\n"
                "If another notebook or program has it open, close it there: Kernel > Shut Down.\n"
                "Or work in another database: %thanosql thanosql:///other.db"
            ) from error


def _from_environment() -> Address | None:
    url = os.environ.get(VARIABLE)
    if not url:
        return None
    try:
        return read_address(url)
    except ProgrammingError as error:
        raise ProgrammingError(f"the environment's {VARIABLE}: {error}") from None


def _is_same(one: Address, other: Address) -> bool:
    if one.in_memory or other.in_memory:
        return False
    return Path(one.database).expanduser().resolve() == Path(other.database).expanduser().resolve()
