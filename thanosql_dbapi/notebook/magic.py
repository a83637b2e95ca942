"""The magics `%thanosql` and `%%thanosql`, and how they come into a shell and leave it."""

from __future__ import annotations

import atexit
import sys
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.getipython import get_ipython
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from ..connection import Connection
from ..exceptions import Error, InterfaceError, ProgrammingError, nearest
from .address import Address, read_address
from .bars import Bars
from .cells import Cell
from .current import DEFAULT, VARIABLE, Current
from .failures import lines_of, show_briefly
from .notes import say
from .request import Request, read_request, without_token
from .tables import counted
from .variables import put_into

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Rows of a table that are shown where nobody says otherwise.
ROWS: Final = 20

_NAME: Final = "thanosql"
_USAGE: Final = """\
%%thanosql on a cell's first line runs the cell; df = %thanosql SELECT … gives a DataFrame.
%thanosql thanosql:///other.db goes to another database, thanosql:// is one in memory.
%%thanosql df << puts the last result into a variable; %thanosql ROWS=50 shows more of a table."""


@magics_class
class ThanoSQLMagics(Magics):
    """What `%thanosql` does, with the database it is connected to."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell = shell
        self.bars = Bars()
        # A terminal has the driver's own bars.
        self.current = Current(self.bars.tell if hasattr(shell, "kernel") else None)
        self._rows = ROWS

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def thanosql(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Run SQL with model statements: `%thanosql SELECT 1`, or a cell under `%%thanosql`.

        The line may begin with a URL, thanosql:///file.db, or a setting, API_TOKEN=… or ROWS=50;
        `name <<` before the SQL puts the last result into a variable. `%thanosql` alone tells
        which database it is.
        """
        names = ChainMap(local_ns or {}, self._shell.user_ns)
        try:
            request = read_request(_with_url(line, names))
            said = self._prepare(request, names)
            text = self._without_token(request.sql if cell is None else f"{request.sql}\n{cell}")
            if not text.strip():
                if cell is None and not said and request == Request():
                    say(self._status())
                return None
            connection = self._connection()
        except Error as error:
            show_briefly(error, lines_of(error, "", 1))
            raise
        keeps = request.target is not None
        reads_all = keeps or cell is None
        value = Cell(connection, names, self.bars, self._rows, reads_all, 1, keeps).run(text)
        return value if request.target is None else self._keep(request.target, value)

    def leave(self) -> None:
        """Close the database as the program ends, and let go of the last error's frames.

        IPython's namespace outlives DuckDB's module, which complains of what is left of it.
        """
        self.current.close()
        sys.last_type = sys.last_value = sys.last_traceback = None
        shown: Any = self._shell.InteractiveTB
        shown.etype = shown.evalue = shown.etb = shown.tb = None

    def _prepare(self, request: Request, names: Mapping[str, Any]) -> bool:
        """Do what a line says before its SQL; tell whether something was done."""
        if request.setting is not None:
            self._set(*request.setting)
        if request.url is not None:
            lost = self.current.switch(read_address(put_into(request.url, names)))
            say("\n".join(filter(None, [lost, self._connected()])))
        return request.setting is not None or request.url is not None

    def _set(self, name: str, text: str) -> None:
        # The value is never repeated: it may be a token under a name that was mistyped.
        if name.upper() == "API_TOKEN":
            say("ThanoSQL runs in this process: no token is needed, and this one is not kept.")
        elif name.upper() == "ROWS":
            if not text.isdecimal() or int(text) == 0:
                raise ProgrammingError("ROWS is how many rows of a table are shown: ROWS=50")
            self._rows = int(text)
            say(f"tables show up to {int(text):,} rows")
        else:
            raise ProgrammingError(
                f"there is no setting '{name}'.{nearest(name, ['API_TOKEN', 'ROWS'])}"
                " The settings are API_TOKEN and ROWS"
            )

    def _without_token(self, text: str) -> str:
        rest = without_token(text)
        if rest is None:
            return text
        self._set("API_TOKEN", "")
        return rest

    def _connection(self) -> Connection:
        is_open = self.current.is_open
        connection = self.current.connection()
        if not is_open:
            say(self._connected())
        return connection

    def _connected(self) -> str:
        connection, address = self.current.connection(), self.current.address
        if address.in_memory:
            return "connected to a database in memory: it ends with this kernel"
        return f"connected to {address}; models are in {_place(connection, address)}"

    def _status(self) -> str:
        if self.current.is_open:
            return f"{self._connected()}\n{_USAGE}"
        return (
            f"not connected yet: the first statement opens {self.current.address}\n"
            f"(the URL comes from %thanosql, the environment's {VARIABLE}, or is"
            f" thanosql:///{DEFAULT})\n{_USAGE}"
        )

    def _keep(self, name: str, value: Any) -> None:
        if value is None:
            error = ProgrammingError(f"the last statement returned no rows: {name} stays as it is")
            show_briefly(error, lines_of(error, "", 1))
            raise error
        self._shell.user_ns[name] = value
        if hasattr(value, "shape"):
            rows, columns = value.shape
            say(f"{name}: {counted(rows, 'row')}, {counted(columns, 'column')}")


def _place(connection: Connection, address: Address) -> str:
    folder = connection.workspace
    beside = folder.parent == Path(address.database).expanduser().absolute().parent
    return f"'{folder.name}' beside it" if beside else f"'{folder}'"


def _with_url(line: str, names: Mapping[str, Any]) -> str:
    """Put in the URL where a line begins with a variable that holds one."""
    head, blank, rest = line.strip().partition(" ")
    value = names.get(head[1:]) if head.startswith("$") else None
    return f'"{value}"{blank}{rest}' if isinstance(value, str) and "://" in value else line


def load(shell: InteractiveShell) -> None:
    """Register the magics, unless they are there."""
    if _registered(shell) is None:
        magics = ThanoSQLMagics(shell)
        shell.register_magics(magics)
        atexit.register(magics.leave)


def unload(shell: InteractiveShell) -> None:
    """Take the magics out of the shell, and close their connection."""
    magics = _registered(shell)
    if magics is None:
        return
    magics.current.close()
    atexit.unregister(magics.leave)
    manager = shell.magics_manager
    manager.registry.pop(ThanoSQLMagics.__name__, None)
    for kind in manager.magics.values():
        if getattr(kind.get(_NAME), "__self__", None) is magics:
            del kind[_NAME]


def current_connection() -> Connection:
    """Return the connection of this notebook's magics.

    Raises:
        InterfaceError: the extension is not loaded here.
    """
    shell = get_ipython()
    magics = _registered(shell) if shell is not None else None
    if magics is None:
        raise InterfaceError("there are no magics here: %load_ext thanosql_dbapi loads them")
    return magics.current.connection()


def _registered(shell: InteractiveShell) -> ThanoSQLMagics | None:
    found = shell.magics_manager.registry.get(ThanoSQLMagics.__name__)
    return found if isinstance(found, ThanoSQLMagics) else None
