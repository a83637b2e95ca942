"""ThanoSQL in notebooks: `%load_ext thanosql_dbapi`, then `%thanosql` and `%%thanosql`.

IPython is imported when the extension is loaded, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import MissingExtra

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..connection import Connection

__all__ = ["connection", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a notebook the magics. Loaded once more, under another name, they stay as they are.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        from .magic import load
    except ImportError as error:
        if error.name != "pandas":
            raise
        raise MissingExtra(
            "a notebook needs pandas: pip install 'thanosql-dbapi[notebook]'"
        ) from error
    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away, and close what they opened."""
    from .magic import unload

    unload(shell)


def connection() -> Connection:
    """Return the connection that this notebook's magics use, opened if need be: for Python cells.

    Raises:
        InterfaceError: the extension is not loaded here.
    """
    from .magic import current_connection

    return current_connection()
