"""`thanosql run`: a script, statement by statement, each with its own result.

A cursor keeps the last result of a script alone; here every statement's rows are wanted, and the
line of one that fails. So the script is cut at its semicolons, by the language's own tokens.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from ..connection import Connection, connect
from ..exceptions import Error, OperationalError, QueryInterrupted
from ..language.script import pieces
from .media import for_terminal
from .screen import Screen

#: The name of standard input among the scripts.
STANDARD_INPUT = "-"


def run(given: argparse.Namespace) -> int:
    """Run a script; return 0, or 1 after the first statement that fails."""
    text, name = read_script(given.file)
    with closing(open_connection(given)) as connection:
        return 0 if run_script(connection, text, name, Screen(given.rows)) else 1


def open_connection(given: argparse.Namespace) -> Connection:
    """Connect as the flags say."""
    return connect(given.database, root=given.root, workspace=given.workspace, device=given.device)


def read_script(file: str) -> tuple[str, str]:
    """Return a script's text, and its name for messages.

    Raises:
        OperationalError: there is no such file, or it is not UTF-8.
    """
    try:
        if file == STANDARD_INPUT:
            data, name = sys.stdin.buffer.read(), "standard input"
        else:
            data, name = Path(file).expanduser().read_bytes(), file
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OperationalError(f"{name} is not UTF-8: see line {line}") from error
    except OSError as error:
        raise OperationalError(f"cannot read the script '{file}': {error.strerror}") from error


def run_script(connection: Connection, text: str, name: str, screen: Screen) -> bool:
    """Run the statements in order and show what they return; stop at one that fails.

    Raises:
        QueryInterrupted, KeyboardInterrupt: a statement was interrupted.
    """
    for piece in pieces(text):
        try:
            sql, printed = for_terminal(piece.text, screen.rows)
            with connection.execute(sql) as cursor:
                if cursor.description is not None:
                    shown = screen.show(cursor, printed)
                    if shown.more:
                        screen.say(str(shown))
        except QueryInterrupted:
            raise
        except Error as error:
            screen.fail(error, f"{name}, in the statement that begins in line {piece.line}:")
            return False
    return True
