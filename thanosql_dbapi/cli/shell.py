"""`thanosql shell`: a prompt that remembers, completes and colours; results as tables.

It reads statements and dot commands and knows how to stop one. What a statement means is the
connection's business.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer

from ..connection import Connection
from ..exceptions import Error, QueryInterrupted, nearest
from ..language.script import pieces
from ..language.tokens import Unreadable, tokenise
from .completion import SqlCompleter, read_names
from .highlighting import ThanoSQLLexer
from .interruption import interruption
from .media import for_terminal
from .run import STANDARD_INPUT, open_connection, read_script, run, run_script
from .screen import Screen

COMMANDS = {
    ".help": "show this",
    ".models": "list the models of this database's workspace",
    ".quit": "leave, as Ctrl-D does",
    ".read FILE": "run a script",
    ".tables": "list the tables and views",
}

_HELP = (
    "A statement ends with ; and may span lines. Ctrl-C stops it, or clears what is typed;"
    " Ctrl-D leaves."
)
_QUERIES = {".models": "LIST MODEL", ".tables": "LIST TABLE"}

#: What people type to leave, whatever the shell.
_LEAVING = frozenset({".quit", ".exit", "quit", "exit"})


def shell(given: argparse.Namespace) -> int:
    """Talk to the user until Ctrl-D; input that is no terminal is a script."""
    if not sys.stdin.isatty():
        given.file = STANDARD_INPUT
        return run(given)
    with closing(open_connection(given)) as connection:
        screen = Screen(given.rows)
        screen.say(f"ThanoSQL on {given.database}; .help says more, Ctrl-D leaves")
        Shell(connection, screen, history()).talk()
    return 0


def history() -> History:
    """Return the lines typed before: of `THANOSQL_HISTORY`, XDG's state folder or the home.

    An empty `THANOSQL_HISTORY`, or a file that cannot be written, means that none are kept.
    """
    state = os.environ.get("XDG_STATE_HOME")
    file = Path(state, "thanosql", "history") if state else Path("~", ".thanosql_history")
    named = os.environ.get("THANOSQL_HISTORY", str(file))
    if not named:
        return InMemoryHistory()
    path = Path(named).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("ab"):
            return FileHistory(path)
    except OSError:
        return InMemoryHistory()


def is_complete(text: str) -> bool:
    """Tell whether Enter runs what is typed: a dot command, or text that a `;` ends."""
    if text.startswith(".") or not text.strip() or text.strip().lower() in _LEAVING:
        return True
    if text.endswith("\n"):  # an empty line after a `;` that the tokens did not see
        return text.rstrip().endswith(";")
    try:
        tokens = tokenise(text)
    except Unreadable:
        return False
    return not tokens or tokens[-1].text == ";"


class Shell:
    """One conversation with the user."""

    def __init__(self, connection: Connection, screen: Screen, lines: History) -> None:
        self._connection = connection
        self._screen = screen
        self._completer = SqlCompleter([name.partition(" ")[0] for name in COMMANDS])
        self._prompt: PromptSession[str] = PromptSession(
            "thanosql> ",
            multiline=True,
            prompt_continuation=lambda width, *_: "-> ".rjust(width),
            lexer=PygmentsLexer(ThanoSQLLexer),
            completer=self._completer,
            auto_suggest=AutoSuggestFromHistory(),
            history=lines,
            key_bindings=_key_bindings(),
        )

    def talk(self) -> None:
        """Read and run statements until Ctrl-D or `.quit`."""
        while True:
            try:
                self._completer.names = read_names(self._connection, self._completer.names)
                text = self._prompt.prompt().strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.rstrip(";").strip().lower() in _LEAVING:
                return
            try:
                self._answer(text)
            except (KeyboardInterrupt, QueryInterrupted) as error:
                self._screen.say(interruption(error), style="red")
            except Error as error:
                self._screen.fail(error)

    def _answer(self, text: str) -> None:
        if text.startswith("."):
            self._obey(*text.split(maxsplit=1))
            return
        for piece in pieces(text):
            self._run(piece.text)

    def _obey(self, command: str, argument: str = "") -> None:
        if command in _QUERIES:
            self._run(_QUERIES[command])
        elif command == ".read" and argument:
            script, name = read_script(argument.strip("'\""))
            run_script(self._connection, script, name, self._screen)
        elif command == ".help":
            self._help()
        else:
            names = [name.partition(" ")[0] for name in COMMANDS]
            usage = ".read needs a file" if command == ".read" else f"there is no {command}"
            hint = "" if command == ".read" else nearest(command, names)
            self._screen.say(f"{usage}.{hint} .help shows the commands.", style="red")

    def _help(self) -> None:
        width = max(map(len, COMMANDS))
        for name, meaning in COMMANDS.items():
            self._screen.say(f"{name.ljust(width)}  {meaning}", style="")
        self._screen.say(_HELP, style="")

    def _run(self, sql: str) -> None:
        started = time.perf_counter()
        text, printed = for_terminal(sql, self._screen.rows)
        with self._connection.execute(text) as cursor:
            if cursor.description is not None:
                done = str(self._screen.show(cursor, printed))
            elif cursor.rowcount >= 0:
                done = f"{cursor.rowcount:,} row{'' if cursor.rowcount == 1 else 's'} changed"
            else:
                done = "done"
        self._screen.say(f"{done} ({time.perf_counter() - started:.2f} s)")


def _key_bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline()

    return bindings
