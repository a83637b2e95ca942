"""The ThanoSQL language: text in, typed statements out.

`find` tells cheaply whether a text may be ours, `parse` what it says. What is not ours is never
read: DuckDB gets the very characters that were written. Nothing here knows a model or a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .verbs import find

if TYPE_CHECKING:
    from .statements import Script

__all__ = ["find", "parse"]


def parse(sql: str) -> Script | None:
    """Parse a script, or return None where all of it is DuckDB's own.

    Most texts hold no verb of ours and are not even cut into tokens. Raises `ThanoSQLSyntaxError`
    for what begins as a statement of ours and does not go on as one.
    """
    if not find(sql):
        return None
    # Imported late: a program that never uses the language does not load sqlglot for it.
    from . import script

    return script.parse(sql)
