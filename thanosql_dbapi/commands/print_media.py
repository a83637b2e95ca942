"""PRINT: what is known of media files, one row a file."""

from __future__ import annotations

from ..exceptions import NotSupportedError
from ..functions import AUDIO_FACTS
from ..language.statements import MediaKind, PrintMedia
from ..lowering import SOURCE, pick_column, placeholders, source
from ..options import OptionSpec, read_options
from ..quoting import quote_name
from .base import Answer, Surroundings

OPTIONS = (
    OptionSpec(
        "audio_col", str, "audio_path", "the column with the paths", aliases=("audio_column",)
    ),
)


def print_media(statement: PrintMedia, around: Surroundings) -> Answer:
    """Answer one row a file: its path, and what its header says.

    Raises:
        NotSupportedError: for images and videos, in this version.
        ColumnNotFound: the query lacks the column with the paths.
        MediaError: a file is missing or no audio file.
    """
    if statement.kind is not MediaKind.AUDIO:
        raise NotSupportedError(
            f"PRINT {statement.kind.value.upper()} is not supported yet; PRINT AUDIO is"
        )
    options = read_options(
        around.scope.option_values(statement.options), OPTIONS, statement="PRINT AUDIO"
    )
    columns = around.query_columns(statement.query)
    asked_for = any(option.name in ("audio_col", "audio_column") for option in statement.options)
    if columns is not None and len(columns) == 1 and not asked_for:
        (column,) = columns
    else:
        column = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    place = f"{SOURCE}.{quote_name(column)}"
    if columns is not None and columns.get(column) == "BLOB":
        path, read = f"'<' || octet_length({place}) || ' bytes>'", f"NULL, data := {place}"
    else:
        path = read = f"CAST({place} AS VARCHAR)"
    facts = ", ".join(f"facts.{name} AS {name}" for name in AUDIO_FACTS)
    sql = (
        f"SELECT audio_path, {facts} FROM (SELECT {path} AS audio_path,"
        f" thanosql_audio_facts({read}) AS facts FROM {source(statement.query, around.scope)})"
    )
    return Answer(sql, around.scope.parameters.bind(placeholders(statement.query)))
