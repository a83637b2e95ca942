"""One file a relation: from its statement to DuckDB SQL. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..language.statements import Convert, Evaluate, ListObjects, Predict, Search
from ..lowering import Scope
from .convert import convert_sql
from .evaluate import evaluate_sql
from .list_objects import list_sql
from .predict import predict_sql
from .search import search_sql

#: One line a relation.
TO_SQL: Mapping[type, Callable[[Any, Scope], str]] = {
    Predict: predict_sql,
    Evaluate: evaluate_sql,
    Convert: convert_sql,
    Search: search_sql,
    ListObjects: list_sql,
}
