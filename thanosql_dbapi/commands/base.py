"""What a command works with, and what it answers. No command is known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine import Engine
from ..exceptions import OperationalError
from ..language.statements import Placeholder, Query
from ..lowering import Scope, lower, placeholders, source
from ..quoting import quote_name
from ..session import Execution, Session


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's result: SQL whose rows are the answer, with its parameters.

    So the user gets a command's rows as any others: from DuckDB.
    """

    sql: str
    parameters: list[Any] | dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The connection a command runs on, the script it stands in and the run it belongs to."""

    engine: Engine
    session: Session
    scope: Scope
    execution: Execution

    def rows(self, query: Query, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Read some columns of a query to the end."""
        shown = ", ".join(quote_name(column) for column in columns)
        sql = f"SELECT {shown} FROM {source(query, self.scope)}"
        parameters = self.scope.parameters.bind(placeholders(query))
        return self.engine.execute(sql, parameters, self.execution).fetch_all()

    def query_columns(self, query: Query) -> Mapping[str, str] | None:
        """Return the columns of a command's query, with their types."""
        return self.scope.columns_of(
            f"SELECT * FROM (\n{lower(query, self.scope)}\n)",
            self.scope.parameters.bind(placeholders(query)),
        )

    def text(self, value: str | Placeholder) -> str:
        """Return a text of the statement, taken from the parameters if need be."""
        return str(self.scope.parameters.literal(value))

    def existing_path(self, text: str) -> Path:
        """Return the file or folder that `text` names.

        Raises:
            OperationalError: there is none.
        """
        path = self.session.path(text)
        if not path.exists():
            raise OperationalError(
                f"there is no file or folder '{text}' (relative paths start from"
                f" {self.session.root})"
            )
        return path


def one_row(row: Mapping[str, tuple[str, Any]]) -> Answer:
    """Answer one row: each column's name with its DuckDB type and value."""
    shown = ", ".join(f"?::{kind} AS {quote_name(name)}" for name, (kind, _) in row.items())
    return Answer(f"SELECT {shown}", [value for _, value in row.values()])
