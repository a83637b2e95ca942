"""One walk over the tokens of a query: where relations of ours stand in DuckDB's own text.

It knows where a query may begin (after a parenthesis, UNION, INSERT INTO …) and which common
tables are in sight there. It knows nothing else of SQL, and never changes the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .statements import (
    CommonTable,
    Placeholder,
    Query,
    Relation,
    Span,
)

if TYPE_CHECKING:
    from .cursor import Cursor

SET_OPERATIONS = frozenset({"UNION", "EXCEPT", "INTERSECT"})
# Only behind these (or a symbol) does `(` hold a query: in `CREATE TABLE t (list model)` and
# `STRUCT(search TEXT)` it holds columns, and a verb of ours may be the name of one.
_BEFORE_SUBQUERY = frozenset(
    """
    ALL AND ANY ARRAY AS BETWEEN CASE DESC DESCRIBE DISTINCT ELSE EXISTS FROM HAVING ILIKE IN IS
    JOIN LATERAL LIKE LIMIT NOT OFFSET ON OR PIVOT QUALIFY RETURNING SELECT SHOW SOME SUMMARIZE THEN
    UNPIVOT USING WHEN WHERE
    """.split()  # noqa: SIM905 - a list of quoted words is longer and says no more
)
_AFTER_OPERAND = frozenset({")", "]", "}"})


class Grammar(Protocol):
    """What the walk asks of the parser."""

    def opens_relation(self, index: int) -> bool:
        """Tell whether a relation begins at `index`."""

    def relation(self, index: int, last: int, visible: tuple[CommonTable, ...]) -> Relation:
        """Read the relation at `index`, whose query ends before `last`, and leave the cursor."""

    def refuse_command(self, index: int) -> None:
        """Raise where a command begins at `index`."""


@dataclass(slots=True)
class _Level:
    """The inside of one pair of parentheses, and the common tables in sight there so far."""

    opened: int
    closed: int
    visible: tuple[CommonTable, ...]


class _Definition(NamedTuple):
    """A common table whose body is being walked."""

    start: int
    recursive: bool
    relations: int
    placeholders: int


@dataclass(slots=True)
class Scan:
    """A walk from the token at `first` up to `last`; flat, so nesting costs no Python stack."""

    cursor: Cursor
    grammar: Grammar
    first: int
    last: int
    visible: tuple[CommonTable, ...] = ()
    relations: list[Relation] = field(default_factory=list)
    placeholders: list[Placeholder] = field(default_factory=list)
    _openings: set[int] = field(default_factory=set)
    _levels: list[_Level] = field(default_factory=list)
    _definitions: dict[int, _Definition] = field(default_factory=dict)

    def query(self) -> Query:
        """Walk, and return the query with what stands in it."""
        self._openings.add(self.first)
        self._levels.append(_Level(-1, self.last, self.visible))
        index = self.first
        while index < self.last:
            index = self._step(index)
        return Query(
            self.cursor.span(self.first, self.last),
            tuple(self.relations),
            tuple(self.placeholders),
        )

    def _step(self, index: int) -> int:
        word = self._word(index)
        if index in self._openings or (word == "WITH" and self._word(index - 1) == "("):
            if self.grammar.opens_relation(index):
                return self._take_relation(index)
            self.grammar.refuse_command(index)
            self._note_next_opening(word, index)
        if word == "(":
            self._open(index)
        elif word == ")":
            self._close(index)
        elif word in SET_OPERATIONS and self._word(index - 1) != "::":  # UNION is a type too
            self._openings.add(self._after_set_operation(index))
        elif word in ("?", "$"):
            return self._take_placeholder(index)
        return index + 1

    def _take_relation(self, index: int) -> int:
        level = self._levels[-1]
        last = min(level.closed, self.last)
        self.relations.append(self.grammar.relation(index, last, level.visible))
        return self.cursor.here

    def _take_placeholder(self, index: int) -> int:
        self.cursor.here = index
        placeholder = self.cursor.placeholder()
        if placeholder is None:
            return index + 1
        self.placeholders.append(placeholder)
        return self.cursor.here

    def _open(self, index: int) -> None:
        if index in self._openings or self._holds_query(index):
            self._openings.add(index + 1)
        closed = self.cursor.closing[index]
        self._levels.append(_Level(index, closed, self._levels[-1].visible))

    def _close(self, index: int) -> None:
        if len(self._levels) == 1 or self._levels[-1].closed != index:
            return
        definition = self._definitions.pop(self._levels.pop().opened, None)
        if definition is None:
            return
        query = Query(
            Span(definition.start, self.cursor.tokens[index].end),
            tuple(self.relations[definition.relations :]),
            tuple(self.placeholders[definition.placeholders :]),
        )
        self._levels[-1].visible += (CommonTable(query, definition.recursive),)
        if self._word(index + 1) == ",":
            self._define(index + 2, recursive=definition.recursive)
        else:
            self._openings.add(index + 1)

    def _note_next_opening(self, word: str, index: int) -> None:
        """Note where the query begins that stands behind the head of a statement."""
        match word:
            case "WITH":
                recursive = self._word(index + 1) == "RECURSIVE"
                self._define(index + 1 + recursive, recursive=recursive)
            case "EXPLAIN":
                self._explain(index)
            case "CREATE" | "PREPARE":
                self._create(index)
            case "INSERT":
                self._insert(index)
            case "DESCRIBE" | "DESC" | "SUMMARIZE" | "COPY":
                self._openings.add(index + 1)

    def _define(self, index: int, *, recursive: bool) -> None:
        """Read `name [(columns)] [USING KEY (columns)] AS [[NOT] MATERIALIZED]` up to its `(`."""
        after = self._after_group(index + 1)
        if self._word(after) == "USING" and self._word(after + 1) == "KEY":
            after = self._after_group(after + 2)
        if self._word(after) != "AS":
            return
        after += 1
        for word in ("NOT", "MATERIALIZED"):
            after += self._word(after) == word
        if self._word(after) == "(":
            self._openings.add(after)
            start = self.cursor.tokens[index].start
            self._definitions[after] = _Definition(
                start, recursive, len(self.relations), len(self.placeholders)
            )

    def _explain(self, index: int) -> None:
        after = index + 1
        after += self._word(after) == "ANALYZE"
        if self._word(after) == "(" and self._word(after + 1) in ("FORMAT", "ANALYZE"):
            after = self._after_group(after)
        self._openings.add(after)

    def _create(self, index: int) -> None:
        """Find the first AS outside parentheses: of a table, a view, a macro, a prepared query."""
        after, macro = index + 1, False
        while after < self.last and self._word(after) != "AS":
            macro = macro or self._word(after) in ("MACRO", "FUNCTION")
            after = self._after_group(after) if self._word(after) == "(" else after + 1
        after += 1
        self._openings.add(after + (macro and self._word(after) == "TABLE"))

    def _insert(self, index: int) -> None:
        """Read `INSERT [OR …] INTO table [AS alias] [(columns)] [BY NAME | BY POSITION]`."""
        after = index + 1
        if self._word(after) == "OR":
            after += 2
        if self._word(after) != "INTO":
            return
        after += 2
        while self._word(after) == ".":
            after += 2
        if self._word(after) == "AS":
            after += 2
        if self._word(after) == "(" and not self.grammar.opens_relation(after + 1):
            after = self._after_group(after)
        if self._word(after) == "BY":
            after += 2
        self._openings.add(after)

    def _after_set_operation(self, index: int) -> int:
        after = index + 1
        after += self._word(after) in ("ALL", "DISTINCT")
        return after + 2 if self._word(after) == "BY" else after

    def _after_group(self, index: int) -> int:
        """Return the index after the parentheses that open at `index`, or `index` if none do."""
        return self.cursor.closing[index] + 1 if self._word(index) == "(" else index

    def _word(self, index: int) -> str:
        return self.cursor.word(index) if self.first <= index < self.last else ""

    def _holds_query(self, index: int) -> bool:
        """Tell from the word before whether the `(` at `index` may hold a query."""
        before = self._word(index - 1)
        if before == "BY":
            return self._word(index - 2) in ("GROUP", "ORDER", "PARTITION")
        is_symbol = before != "" and not (before[0].isalnum() or before[0] == "_")
        return before in _BEFORE_SUBQUERY or (is_symbol and before not in _AFTER_OPERAND)
