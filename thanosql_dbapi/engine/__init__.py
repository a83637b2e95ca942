"""Embedded DuckDB: the only room that imports it.

It opens databases, runs SQL, hands out results and registers the functions that DuckDB calls
back. It does not know ThanoSQL: what reaches it is plain DuckDB SQL.
"""

from __future__ import annotations

from .engine import Engine, Parameters
from .results import Result, Row
from .sources import SOURCE_ROWS, SOURCE_VIEW, SmallBatches
from .staging import ROWS_VIEW, Staging

__all__ = [
    "ROWS_VIEW",
    "SOURCE_ROWS",
    "SOURCE_VIEW",
    "Engine",
    "Parameters",
    "Result",
    "Row",
    "SmallBatches",
    "Staging",
]
