"""PREDICT: all columns of its query, then the result column and those that more was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..assets import CATALOGUE
from ..exceptions import ModelNotFound, OptionError, ProgrammingError
from ..language.statements import Predict
from ..lowering import SOURCE, Scope, pick_column, source
from ..models import families
from ..models.base import Family, Verb
from ..options import OptionSpec
from ..predicting import RUN_OPTIONS
from ..quoting import quote_name, quote_text
from ..registry import Version

#: The middle era's way to keep a result; the statement's runner obeys it, at top level.
TABLE_NAME = OptionSpec(
    "table_name", str, "", "also store the result as this table, replacing it", to_model=False
)
ERROR_COL = OptionSpec(
    "error_col",
    str,
    "",
    "a column for the reason of a NULL that `on_error='null'` gave",
    to_model=False,
)

#: Types that name media, or hold them; the type of NULL has a name of its own.
_MEDIA_TYPES: Final = frozenset({"VARCHAR", "BLOB", "ENUM", "JSON", "UUID", "NULL", '"NULL"'})

#: The columns that an option adds, by the field of the prediction that each shows.
_MORE: Mapping[str, str] = {"score_col": "score", "words_col": "words", "error_col": "reason"}


def predict_sql(statement: Predict, scope: Scope) -> str:
    """Lower a PREDICT that stands within a statement.

    Raises:
        ModelNotFound, NotSupportedError, OptionError, ColumnNotFound: what it says does not fit.
        ProgrammingError: the query has a column of a result's name already.
    """
    sql, table = predict_with_table(statement, scope)
    if table:
        raise OptionError("table_name stores the result of a PREDICT at top level only")
    return sql


def predict_with_table(statement: Predict, scope: Scope) -> tuple[str, str]:
    """Lower a PREDICT; also return the table it asks to be stored as, or an empty string."""
    family, options = predict_options(statement, scope)
    columns = scope.columns(statement, statement.query)
    audio = pick_audio(columns, options)
    shown = _shown(options)
    replaced = _replaced(columns, shown, audio) if options["table_name"] else ()
    kept = [column for column in columns or () if column not in replaced]
    taken = {column.casefold(): f"the query has a column '{column}'" for column in kept}
    for name, option in ((name, option) for option, _, name in shown):
        if name.casefold() in taken:
            raise ProgrammingError(
                f"{taken[name.casefold()]} already; OPTIONS ({option}='…') gives the"
                f" {'prediction' if option == 'result_col' else 'column'} another name"
            )
        taken[name.casefold()] = f"{option} names a column '{name}'"
    whole = [field for _, field, _ in shown] != ["text"]
    call = call_predict(statement.model.text, audio, columns, family, options, whole=whole)
    calls = [
        f"{call}.{field} AS {quote_name(name)}" if whole else f"{call} AS {quote_name(name)}"
        for _, field, name in shown
    ]
    query = source(statement.query, scope)
    left_out = f" EXCLUDE ({', '.join(map(quote_name, replaced))})" if replaced else ""
    return (
        f"SELECT {SOURCE}.*{left_out}, {', '.join(calls)} FROM {query}",
        options["table_name"],
    )


def _replaced(
    columns: Mapping[str, str] | None, shown: Sequence[tuple[str, str, str]], audio: str
) -> tuple[str, ...]:
    """Return the query's columns in whose place the result's are stored.

    The tutorials store one PREDICT after another in the table that they read, and a notebook's cell
    runs more than once.
    """
    new = {name.casefold() for _, _, name in shown} - {audio.casefold()}
    return tuple(column for column in columns or () if column.casefold() in new)


def pick_audio(columns: Mapping[str, str] | None, options: Mapping[str, Any]) -> str:
    """Return the column with the media.

    Raises:
        ColumnNotFound: there is none of the name.
        ProgrammingError: it holds neither texts nor BLOBs.
    """
    audio = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    kind = "VARCHAR" if columns is None else columns[audio]
    if kind.partition("(")[0] not in _MEDIA_TYPES:
        raise ProgrammingError(
            f"the column '{audio}' (audio_col) is {kind}: it holds paths or URLs (VARCHAR) or"
            " the files themselves (BLOB)"
        )
    return audio


def predict_options(statement: Predict, scope: Scope) -> tuple[Family, dict[str, Any]]:
    """Return the family and the complete options of a PREDICT.

    Raises:
        ModelNotFound, NotSupportedError, OptionError: what it says does not fit.
    """
    family = families.family(resolve_model(statement.model.text, scope).base)
    given = scope.option_values(statement.options)
    extra = (*RUN_OPTIONS, ERROR_COL, TABLE_NAME)
    options = families.read_verb_options(family, Verb.PREDICT, given, *extra)
    if options["error_col"] and options["on_error"] != "null":
        raise OptionError("error_col shows why a row is NULL: it needs on_error='null'")
    if options.get("words_col") and "words" in options:
        options["words"] = True
    return family, options


def resolve_model(name: str, scope: Scope) -> Version:
    """Return the version that a statement names.

    Raises:
        ModelNotFound: there is none; for a base model, with the statements that make a model of it.
    """
    try:
        return scope.resolve(name)
    except ModelNotFound as error:
        if name not in families.names():
            raise
        ways = [
            f"GET THANOSQL MODEL {entry.name}" for entry in CATALOGUE.values() if entry.base == name
        ]
        if Verb.BUILD in families.family(name).verbs:
            ways.append(f"BUILD MODEL m USING {name}")
        raise ModelNotFound(
            f"'{name}' is a base model, not a model: {' or '.join(ways)} makes one of it"
        ) from error


def _shown(options: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what the relation adds to its query: the option, the prediction's field, the name."""
    result = "chunks" if options.get("return") == "chunks" else "text"
    more = [(option, field, options.get(option)) for option, field in _MORE.items()]
    return [
        ("result_col", result, options["result_col"]),
        *((option, field, name) for option, field, name in more if name),
    ]


def call_predict(
    model: str,
    column: str,
    columns: Mapping[str, str] | None,
    family: Family,
    options: Mapping[str, Any],
    *,
    whole: bool,
) -> str:
    """Return the call of the function that predicts a column, with the options that reach it.

    It gives the text, or the `whole` prediction as a struct. A column of BLOBs holds the media
    themselves.
    """
    specs = [*(spec for spec in family.options(Verb.PREDICT) if spec.to_model), *RUN_OPTIONS]
    changed = {
        spec.name: options[spec.name]
        for spec in specs
        if options.get(spec.name, spec.default) != spec.default
    }
    place = f"{SOURCE}.{quote_name(column)}"
    holds_bytes = columns is not None and columns.get(column) == "BLOB"
    arguments = [quote_text(model), "NULL" if holds_bytes else place]
    if changed:
        arguments.append(f"options := {quote_text(json.dumps(changed))}")
    if holds_bytes:
        arguments.append(f"data := {place}")
    name = "thanosql_prediction" if whole else "thanosql_predict"
    return f"{name}({', '.join(arguments)})"
