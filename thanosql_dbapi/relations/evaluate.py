"""EVALUATE: a model's predictions scored against what was said.

One row a metric; one set of them a group, or beside another model's; or one row an utterance. The
predictions are PREDICT's own, by the same function.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..exceptions import OptionError, ProgrammingError
from ..functions.scores import COMPARISON, ERRORS, METRIC
from ..language.statements import Evaluate
from ..lowering import SOURCE, Scope, pick_column, source
from ..models import families
from ..models.base import Family, Verb
from ..options import OptionSpec
from ..predicting import RUN_OPTIONS, SCORED
from ..quoting import quote_name, quote_text
from .predict import pick_audio, resolve_model

#: The options that are EVALUATE's own, whatever the family.
EVALUATE_OPTIONS: Final = (
    OptionSpec(
        "by",
        (str, tuple),
        "",
        "a column, or a list of columns: the metrics of each of their values",
        to_model=False,
    ),
    OptionSpec(
        "detail",
        bool,
        False,
        "one row an utterance, with its errors and its alignment, in place of the metrics",
        to_model=False,
    ),
    OptionSpec(
        "against",
        str,
        "",
        "another model, scored on the same rows and tested against this one",
        to_model=False,
    ),
)


@dataclass(frozen=True, slots=True)
class _Call:
    """A model asked for a column: the arguments, in SQL, that all its functions have."""

    model: str
    path: str
    options: str
    data: str

    def text(self) -> str:
        return f"thanosql_predict({self._arguments()})"

    def whole(self) -> str:
        return f"thanosql_prediction({self._arguments()})"

    def seen(self) -> str:
        data = f", data := {self.data}" if self.data else ""
        return f"thanosql_seen({self.model}, {self.path}{data})"

    def _arguments(self) -> str:
        data = f", data := {self.data}" if self.data else ""
        return f"{self.model}, {self.path}, options := {self.options}{data}"


def evaluate_sql(statement: Evaluate, scope: Scope) -> str:
    """Lower an EVALUATE.

    Raises:
        ModelNotFound, NotSupportedError, OptionError, ColumnNotFound: what it says does not fit.
        ProgrammingError: the query has a column of a result's name already.
    """
    family = families.family(resolve_model(statement.model.text, scope).base)
    given = scope.option_values(statement.options)
    other = _other_family(given, scope)
    options = _read_options(family, other, given)
    columns = scope.columns(statement, statement.query)
    audio = pick_audio(columns, options)
    text = pick_column(columns, options["text_col"], "text_col")
    said = f"{SOURCE}.{quote_name(text)}"
    holds_bytes = columns is not None and columns[audio] == "BLOB"
    heard = f"{SOURCE}.{quote_name(audio)}"
    if options["detail"]:
        _refuse_with_detail(options)
        call = _call(statement.model.text, heard, holds_bytes, family, {**options, SCORED: True})
        return _detailed(columns, said, call, source(statement.query, scope))
    # A row without a text does not count, so no model need hear it.
    heard = f"CASE WHEN {said} IS NULL THEN NULL ELSE {heard} END"
    calls = [_call(statement.model.text, heard, holds_bytes, family, options)]
    if other is not None:
        theirs = _read_others_options(other, given)
        calls.append(_call(options["against"], heard, holds_bytes, other, theirs))
    scores, shown = _scores(said, calls)
    groups = _groups(columns, options["by"], shown)
    return _scored(scores, shown, groups, source(statement.query, scope))


# --- options --------------------------------------------------------------------------------


def _other_family(given: Iterable[tuple[str, Any]], scope: Scope) -> Family | None:
    name = dict(given).get("against")
    if not name or not isinstance(name, str):
        return None  # of another type: the reading of the options says so
    return families.family(resolve_model(name, scope).base)


def _read_options(
    family: Family, other: Family | None, given: Iterable[tuple[str, Any]]
) -> dict[str, Any]:
    """Complete the options: those of the family, EVALUATE's own, and what the other one has more.

    Raises:
        NotSupportedError, OptionError: what is said does not fit.
    """
    own = family.options(Verb.EVALUATE) if Verb.EVALUATE in family.verbs else ()
    names = {spec.name for spec in own}
    more = [spec for spec in _specs(other) if spec.name not in names]
    extra = (*RUN_OPTIONS, *EVALUATE_OPTIONS, *more)
    return families.read_verb_options(family, Verb.EVALUATE, given, *extra)


def _read_others_options(other: Family, given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Complete the other model's options by what it has of those that are given."""
    known = {name for spec in _specs(other) for name in (spec.name, *spec.aliases)}
    known |= {spec.name for spec in RUN_OPTIONS}
    theirs = [(name, value) for name, value in given if name in known]
    return families.read_verb_options(other, Verb.EVALUATE, theirs, *RUN_OPTIONS)


def _specs(family: Family | None) -> Sequence[OptionSpec]:
    if family is None:
        return ()
    families.require(family, Verb.EVALUATE)
    return family.options(Verb.EVALUATE)


def _refuse_with_detail(options: Mapping[str, Any]) -> None:
    for name in ("by", "against"):
        if options[name]:
            raise OptionError(
                f"detail=True gives one row an utterance, {name} metrics of many: give one of them"
            )


# --- calls ----------------------------------------------------------------------------------


def _call(
    model: str,
    heard: str,
    holds_bytes: bool,
    family: Family,
    options: Mapping[str, Any],
) -> _Call:
    """Return the call for a column, with the options that reach the model and differ."""
    specs = [*(spec for spec in family.options(Verb.PREDICT) if spec.to_model), *RUN_OPTIONS]
    changed = {
        spec.name: options[spec.name]
        for spec in specs
        if options.get(spec.name, spec.default) != spec.default
    }
    if options.get(SCORED):
        changed[SCORED] = True
    told = quote_text(json.dumps(changed))
    path, data = ("NULL", heard) if holds_bytes else (heard, "")
    return _Call(quote_text(model), path, told, data)


# --- one row an utterance -------------------------------------------------------------------


def _detailed(columns: Mapping[str, str] | None, said: str, call: _Call, query: str) -> str:
    names = ("reference", "hypothesis", *ERRORS)
    taken = {column.casefold(): column for column in columns or ()}
    for name in names:
        if name in taken:
            raise ProgrammingError(
                f"the query has a column '{taken[name]}' already, and detail=True makes one of"
                " that name: leave it out of the query, or rename it there"
            )
    reference, hypothesis = f"CAST({said} AS VARCHAR)", call.text()
    compared = f"thanosql_compare({reference}, {hypothesis})"
    shown = [f"{reference} AS reference", f"{hypothesis} AS hypothesis"]
    shown += [f"{compared}.{name} AS {name}" for name in ERRORS]
    return f"SELECT {SOURCE}.*, {', '.join(shown)} FROM {query}"


# --- one row a metric -----------------------------------------------------------------------


def _scores(said: str, calls: Sequence[_Call]) -> tuple[str, Sequence[str]]:
    """Return the call that scores all rows of a group, and the columns that it makes."""
    first, *others = calls
    texts = [f"'hypothesis': {first.whole()}.text"]
    texts += [f"'other': {other.whole()}.text" for other in others]
    row = (
        f"{{'reference': CAST({said} AS VARCHAR), {', '.join(texts)},"
        f" 'seconds': {first.whole()}.seconds}}"
    )
    # What failed is not scored, so it is not told of either.
    scored = " AND ".join(f"{each.whole()}.text IS NOT NULL" for each in calls)
    seen = [f"count(*) FILTER ({each.seen()} AND {scored})" for each in calls]
    told = f"model := {first.model}, options := {first.options}, seen := {seen[0]}"
    for other in others:
        told += f", against := {other.model}, against_options := {other.options}"
        told += f", against_seen := {seen[1]}"
    name, shown = ("thanosql_score_against", COMPARISON) if others else ("thanosql_score", METRIC)
    return f"{name}(list({row}), {told})", list(shown)


def _groups(
    columns: Mapping[str, str] | None, by: str | tuple[str, ...], shown: Sequence[str]
) -> list[str]:
    """Return the columns of `by`.

    Raises:
        ColumnNotFound: the query lacks one; the message names the nearest.
        ProgrammingError: one has the name of a result's column.
    """
    wanted = [by] if isinstance(by, str) else by
    groups = list(dict.fromkeys(pick_column(columns, name, "by") for name in wanted if name))
    for name in groups:
        if name.casefold() in shown:
            raise ProgrammingError(
                f"by='{name}': EVALUATE makes a column of that name; rename it in the query"
            )
    return groups


def _scored(scores: str, shown: Sequence[str], groups: Sequence[str], query: str) -> str:
    results = [f"scored.{name} AS {name}" for name in shown]
    if not groups:
        return f"SELECT {', '.join(results)} FROM (SELECT unnest({scores}) AS scored FROM {query})"
    keys = [f"__by{place}" for place in range(len(groups))]
    named = [f"{key} AS {quote_name(name)}" for key, name in zip(keys, groups, strict=True)]
    picked = [
        f"{SOURCE}.{quote_name(name)} AS {key}" for key, name in zip(keys, groups, strict=True)
    ]
    grouped = (
        f"SELECT {', '.join(picked)}, {scores} AS scores FROM {query}"
        f" GROUP BY {', '.join(str(place) for place in range(1, len(keys) + 1))}"
    )
    rows = (
        f"SELECT {', '.join(keys)}, unnest(scores) AS scored,"
        f" generate_subscripts(scores, 1) AS place FROM ({grouped})"
    )
    # The metrics of a group stay in their order. A bare name would be one of the columns of `by`
    # where that has the same.
    order = ", ".join(f"ranked.{name}" for name in [*keys, "place"])
    return f"SELECT {', '.join([*named, *results])} FROM ({rows}) AS ranked ORDER BY {order}"
