"""EVALUATE: a model's predictions scored against what was said, one row a metric."""

from __future__ import annotations

from ..language.statements import Evaluate
from ..lowering import SOURCE, Scope, pick_column, source
from ..models import families
from ..models.base import Verb
from ..predicting import RUN_OPTIONS
from ..quoting import quote_name
from .predict import call_predict, pick_audio, resolve_model


def evaluate_sql(statement: Evaluate, scope: Scope) -> str:
    """Lower an EVALUATE: the predictions are PREDICT's own, scored all at once."""
    family = families.family(resolve_model(statement.model.text, scope).base)
    given = scope.option_values(statement.options)
    options = families.read_verb_options(family, Verb.EVALUATE, given, *RUN_OPTIONS)
    columns = scope.columns(statement, statement.query)
    audio = pick_audio(columns, options)
    text = pick_column(columns, options["text_col"], "text_col")
    call = call_predict(statement.model.text, audio, columns, family, options, whole=True)
    row = (
        f"{{'reference': CAST({SOURCE}.{quote_name(text)} AS VARCHAR),"
        f" 'hypothesis': {call}.text, 'seconds': {call}.seconds}}"
    )
    return (
        "SELECT scored.metric, scored.score FROM (SELECT unnest(thanosql_score(list("
        f"{row}))) AS scored FROM {source(statement.query, scope)})"
    )
