"""What may follow: keywords, tables, columns and models, by the word before.

It knows the catalogue as of the last statement; it asks the database nothing while one types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from ..connection import Connection
from ..exceptions import Error
from ..models import families
from ..quoting import quote_name
from .highlighting import KEYWORDS

#: Behind these words stands a relation, and behind those a model.
_BEFORE_RELATION = frozenset({"FROM", "JOIN", "INTO", "TABLE", "UPDATE", "DESCRIBE", "SUMMARIZE"})
_BEFORE_MODEL = frozenset({"USING", "MODEL"})

_PLAIN_NAME = re.compile(r"[^\W\d]\w*\Z")
_WORD_BEFORE = re.compile(r"(\w+)\s+\w*\Z")


@dataclass(frozen=True, slots=True)
class Names:
    """What the database holds: DuckDB's keywords, and the names of its things and of models."""

    keywords: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def read_names(connection: Connection, before: Names) -> Names:
    """Ask the connection for its names; `before` where it cannot answer now."""

    def column(sql: str) -> tuple[str, ...]:
        with connection.execute(sql) as cursor:
            return tuple(str(name) for (name,) in cursor.fetchall())

    try:
        return Names(
            before.keywords or column("SELECT upper(keyword_name) FROM duckdb_keywords()"),
            column(
                "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
                " UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ),
            column("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal"),
            (*column("SELECT name FROM (LIST MODEL)"), "voice_tiny", *families.names()),
        )
    except Error:
        # A transaction that failed answers nothing before its ROLLBACK.
        return before


class SqlCompleter(Completer):
    """Completes the word before the cursor; `names` is set anew after each statement."""

    def __init__(self, commands: Iterable[str]) -> None:
        self.names = Names()
        self._commands = tuple(commands)
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield what begins with the word before the cursor."""
        text = document.text_before_cursor
        if text.startswith("."):
            command, blank, path = text.partition(" ")
            if blank:
                yield from self._paths.get_completions(Document(path), complete_event)
            else:
                yield from _matching(command, self._commands, lower=False)
            return
        word = document.get_word_before_cursor()
        if not word.strip():
            word = ""
        before = _WORD_BEFORE.search(text)
        yield from self._candidates(word, before[1].upper() if before else "")

    def _candidates(self, word: str, before: str) -> Iterator[Completion]:
        if before in _BEFORE_MODEL:
            yield from _matching(word, self.names.models, lower=False, kind="model")
            return
        relations = _matching(word, self.names.relations, lower=False, kind="table")
        if before in _BEFORE_RELATION:
            yield from relations
        if not word:
            return
        if before not in _BEFORE_RELATION:
            yield from _matching(word, self.names.columns, lower=False, kind="column")
            yield from relations
        keywords = dict.fromkeys((*sorted(KEYWORDS), *self.names.keywords))
        yield from _matching(word, keywords, lower=word.islower())


def _matching(
    word: str, names: Iterable[str], *, lower: bool, kind: str = ""
) -> Iterator[Completion]:
    folded = word.casefold()
    for name in names:
        if name.casefold().startswith(folded) and name != word:
            written = name.lower() if lower else name
            if kind in ("table", "column") and not _PLAIN_NAME.match(name):
                written = quote_name(name)
            yield Completion(written, -len(word), display=name, display_meta=kind)
