"""How a function that SQL may call is described. No function is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Function:
    """A function that SQL may call, over Arrow columns.

    `call` gets the execution and one Arrow column a parameter and returns one of the same length.
    `parameters` and `optional` name the SQL parameters; the types are DuckDB's names. `as_table`
    shows a list of structs as rows, to be read in FROM. `runs_model` keeps DuckDB from calling it
    while it plans: because it is slow, or because it changes something. `volatile` is for what
    changes something, or tells what changes: DuckDB calls it once for each row of each execution,
    and folds no call, not even that of a prepared statement or in a transaction.
    """

    name: str
    call: Callable[..., pyarrow.Array]
    parameters: Mapping[str, str]
    optional: Mapping[str, str]
    returns: str
    runs_model: bool = False
    as_table: bool = False
    volatile: bool = False

    @property
    def internal_name(self) -> str:
        """The name it is registered under; the public name is a macro's."""
        return f"__{self.name}"


def struct(fields: Mapping[str, str]) -> str:
    """Return DuckDB's name for a struct of these fields."""
    return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in fields.items())})"
