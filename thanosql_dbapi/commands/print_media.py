"""PRINT: what is known of media files, one row a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..exceptions import ProgrammingError
from ..functions import AUDIO_FACTS, IMAGE_FACTS, VIDEO_FACTS
from ..language.statements import MediaKind, PrintMedia
from ..lowering import SOURCE, pick_column, placeholders, source
from ..options import OptionSpec, read_options
from ..quoting import quote_name
from .base import Answer, Surroundings

_COLUMNS: Mapping[MediaKind, OptionSpec] = {
    kind: OptionSpec(
        f"{kind.value}_col",
        str,
        f"{kind.value}_path",
        f"PRINT {kind.value.upper()}: the column with the paths, the URLs or the files themselves",
        aliases=(f"{kind.value}_column",),
    )
    for kind in MediaKind
}
_ON_ERROR = OptionSpec(
    "on_error",
    str,
    "fail",
    "at a file that cannot be read: raise an error, or show NULLs and go on",
    choices=("fail", "null"),
)
_ERROR_COL = OptionSpec(
    "error_col",
    str,
    "error",
    "with `on_error='null'`, the column that says why a file cannot be read",
)
_WAVEFORM = OptionSpec(
    "waveform_col",
    str,
    "",
    "PRINT AUDIO: add a column of this name with the waveform in block characters",
)

OPTIONS = (*_COLUMNS.values(), _ON_ERROR, _ERROR_COL, _WAVEFORM)

#: What is known of a file, by kind: the columns after the path.
FACTS: Mapping[MediaKind, Mapping[str, str]] = {
    MediaKind.AUDIO: AUDIO_FACTS,
    MediaKind.IMAGE: IMAGE_FACTS,
    MediaKind.VIDEO: VIDEO_FACTS,
}

#: Types that name media, or hold them; the type of NULL has a name of its own.
_MEDIA_TYPES: Final = frozenset({"VARCHAR", "BLOB", "ENUM", "JSON", "UUID", "NULL", '"NULL"'})


@dataclass(frozen=True, slots=True)
class Printing:
    """What a PRINT asks for: which column of the query has the media, and how they are shown."""

    column: str
    is_blob: bool
    options: Mapping[str, Any]
    others: tuple[str, ...]


def print_media(statement: PrintMedia, around: Surroundings) -> Answer:
    """Answer one row a file: its path, what its header says, then the query's other columns.

    Raises:
        ColumnNotFound: the query lacks the column with the paths.
        OptionError, ProgrammingError: an option or a column's type does not fit.
        MediaError: a file is missing, or not of the kind that is to be printed.
    """
    columns = around.query_columns(statement.query)
    given = around.scope.option_values(statement.options)
    asked = read_printing(statement.kind, given, columns)
    kind = statement.kind.value
    place = f"{SOURCE}.{quote_name(asked.column)}"
    if asked.is_blob:
        path, read = f"'<' || octet_length({place}) || ' bytes>'", f"NULL, data := {place}"
    else:
        path = f"CAST({place} AS VARCHAR)"
        read = path
    forgiving = asked.options["on_error"] == "null"
    gently = f"{read}, on_error := 'null'" if forgiving else read
    inner = [f"{SOURCE}.*", f"{path} AS __path", f"thanosql_{kind}_facts({gently}) AS __facts"]
    shown = [
        f"__path AS {kind}_path",
        *(f"__facts.{name} AS {name}" for name in FACTS[statement.kind]),
    ]
    if forgiving:
        inner.append(f"CASE WHEN __facts IS NULL THEN thanosql_{kind}_error({read}) END AS __error")
        shown.append(f"__error AS {quote_name(asked.options['error_col'])}")
    if waveform := asked.options.get("waveform_col"):
        inner.append(f"thanosql_waveform({gently}) AS __waveform")
        shown.append(f"__waveform AS {quote_name(waveform)}")
    shown += [quote_name(name) for name in asked.others]
    query = source(statement.query, around.scope)
    sql = f"SELECT {', '.join(shown)} FROM (SELECT {', '.join(inner)} FROM {query})"
    return Answer(sql, around.scope.parameters.bind(placeholders(statement.query)))


def read_printing(
    kind: MediaKind, given: Sequence[tuple[str, Any]], columns: Mapping[str, str] | None
) -> Printing:
    """Return what the options of a PRINT ask for, of a query with these columns and their types.

    None for columns that are unknown.

    Raises:
        ColumnNotFound, OptionError, ProgrammingError: as `print_media`.
    """
    options = _read_options(kind, given)
    wanted = _COLUMNS[kind]
    asked_for = any(name in (wanted.name, *wanted.aliases) for name, _ in given)
    if columns is not None and len(columns) == 1 and not asked_for:
        (column,) = columns
    else:
        # The name that the earliest tutorials use.
        column = pick_column(columns, options[wanted.name], wanted.name, fallback=kind.value)
    holds = "VARCHAR" if columns is None else columns[column]
    if holds.partition("(")[0] not in _MEDIA_TYPES:
        raise ProgrammingError(
            f"the column '{column}' ({wanted.name}) is {holds}: it holds paths or URLs (VARCHAR) or"
            " the files themselves (BLOB)"
        )
    others = _others(kind, options, column, columns or {})
    return Printing(column, holds == "BLOB", options, others)


def _read_options(kind: MediaKind, given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Check the options of a PRINT and complete them by their defaults.

    Raises:
        OptionError: an option is unknown, or has a value that it does not take.
    """
    specs = [
        _COLUMNS[kind],
        _ON_ERROR,
        _ERROR_COL,
        *([_WAVEFORM] if kind is MediaKind.AUDIO else []),
    ]
    return read_options(given, specs, statement=f"PRINT {kind.value.upper()}")


def _others(
    kind: MediaKind, options: Mapping[str, Any], column: str, columns: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the query's columns that stand beside the facts: those with a name of their own.

    Raises:
        ProgrammingError: a column that an option adds has a name that is taken.
    """
    taken = {f"{kind.value}_path", *FACTS[kind]}
    own = {*taken, *(name.casefold() for name in columns)}
    for option in _added(options):
        name = options[option]
        if name.casefold() in own:
            raise ProgrammingError(
                f"there is a column '{name}' already; OPTIONS ({option}='…') gives the column"
                " another name"
            )
        own.add(name.casefold())
    return tuple(name for name in columns if name != column and name.casefold() not in taken)


def _added(options: Mapping[str, Any]) -> list[str]:
    """Return the options that name a column which is added."""
    added = ["error_col"] if options["on_error"] == "null" else []
    return [*added, *(["waveform_col"] if options.get("waveform_col") else [])]
