"""PREDICT: all columns of its query, then the result column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..exceptions import OptionError, ProgrammingError
from ..language.statements import Predict
from ..lowering import SOURCE, Scope, pick_column, source
from ..models import families
from ..models.base import Family, Verb
from ..options import OptionSpec
from ..quoting import quote_name, quote_text

#: The middle era's way to keep a result; the statement's runner obeys it, at top level.
TABLE_NAME = OptionSpec(
    "table_name", str, "", "also store the result as this table, replacing it", to_model=False
)


def predict_sql(statement: Predict, scope: Scope) -> str:
    """Lower a PREDICT that stands within a statement.

    Raises:
        ModelNotFound, NotSupportedError, OptionError, ColumnNotFound: what it says does not fit.
        ProgrammingError: the query has a column of the result's name already.
    """
    sql, table = predict_with_table(statement, scope)
    if table:
        raise OptionError("table_name stores the result of a PREDICT at top level only")
    return sql


def predict_with_table(statement: Predict, scope: Scope) -> tuple[str, str]:
    """Lower a PREDICT; also return the table it asks to be stored as, or an empty string."""
    version = scope.resolve(statement.model.text)
    family = families.family(version.base)
    given = scope.option_values(statement.options)
    options = families.read_verb_options(family, Verb.PREDICT, given, TABLE_NAME)
    columns = scope.columns(statement, statement.query)
    audio = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    result = options["result_col"]
    if result.casefold() in {column.casefold() for column in columns or ()}:
        raise ProgrammingError(
            f"the query has a column '{result}' already;"
            " OPTIONS (result_col='…') gives the prediction another name"
        )
    call = call_predict(statement.model.text, audio, family, options)
    sql = f"SELECT {SOURCE}.*, {call} AS {quote_name(result)} FROM {source(statement.query, scope)}"
    return sql, options["table_name"]


def call_predict(model: str, column: str, family: Family, options: Mapping[str, Any]) -> str:
    """Return the call of the function that predicts a column, with the options that reach it."""
    defaults = {spec.name: spec.default for spec in family.options(Verb.PREDICT) if spec.to_model}
    changed = {n: options[n] for n in defaults if n in options and options[n] != defaults[n]}
    arguments = [quote_text(model), f"{SOURCE}.{quote_name(column)}"]
    if changed:
        arguments.append(f"options := {quote_text(json.dumps(changed))}")
    return f"thanosql_predict({', '.join(arguments)})"
