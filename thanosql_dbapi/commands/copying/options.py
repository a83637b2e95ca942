"""The options of COPY, and which kind of source takes which."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any, Final

from ...exceptions import OptionError
from ...language.statements import CopyTable
from ...options import OptionSpec, read_options
from ..base import Surroundings
from .kinds import MEDIA, Kind

OPTIONS: Final = (
    OptionSpec(
        "if_exists",
        str,
        "fail",
        "what to do where the table exists",
        choices=("fail", "replace", "append"),
    ),
    OptionSpec("overwrite", bool, False, "the older spelling of if_exists='replace'"),
    OptionSpec(
        "header",
        (bool, type(None)),
        None,
        "csv and spreadsheets: whether the first row has the columns' names; without it a csv is"
        " looked at, and a spreadsheet has them",
    ),
    OptionSpec(
        "delimiter",
        (str, type(None)),
        None,
        "csv: what stands between the columns; without it DuckDB finds out",
    ),
    OptionSpec(
        "encoding",
        str,
        "utf-8",
        "csv: how the text is encoded, by Python's name for it ('cp949', 'utf-16', 'latin-1')",
    ),
    OptionSpec("all_varchar", bool, False, "csv: read each column as text"),
    OptionSpec(
        "sheet",
        (str, int, type(None)),
        None,
        "spreadsheets: a sheet by its name, or its number from 1; the first one without it",
        minimum=1,
    ),
    OptionSpec("recursive", bool, False, "folders: take the files of all folders below, too"),
    OptionSpec(
        "media",
        (str, type(None)),
        None,
        "folders and patterns: the kind of files to take, where there are several",
        choices=("audio", "image", "video"),
    ),
)

#: What an option is for, where it is not for all; and in which words that is said.
_FOR: Final[Mapping[str, tuple[frozenset[Kind], str]]] = {
    "header": (frozenset({Kind.CSV, Kind.SPREADSHEET}), "a csv or a spreadsheet"),
    "delimiter": (frozenset({Kind.CSV}), "a csv"),
    "encoding": (frozenset({Kind.CSV}), "a csv"),
    "all_varchar": (frozenset({Kind.CSV}), "a csv"),
    "sheet": (frozenset({Kind.SPREADSHEET}), "a spreadsheet"),
    "recursive": (MEDIA, "a folder of media"),
    "media": (MEDIA, "a folder of media"),
}


def given_options(statement: CopyTable, around: Surroundings) -> dict[str, Any]:
    """Check the options of a statement; return their values, `if_exists` told by either spelling.

    Raises:
        OptionError: an option or its value is none, or two say the same.
    """
    given = around.scope.option_values(statement.options)
    options = read_options(given, OPTIONS, statement="COPY")
    if {"if_exists", "overwrite"} <= {name for name, _ in given}:
        raise OptionError("if_exists and overwrite are one option: give one of them")
    if options.pop("overwrite"):
        options["if_exists"] = "replace"
    options["encoding"] = _codec(options["encoding"])
    return options


def _codec(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)  # some codecs are for bytes alone
    except (LookupError, ValueError) as error:
        raise OptionError(
            f"encoding={name!r}: no such encoding is known; 'utf-8', 'utf-16', 'cp949' and"
            " 'latin-1' are"
        ) from error
    return codec.name


def refuse_misplaced(options: Mapping[str, Any], kind: Kind, source: str) -> None:
    """Refuse an option that means nothing for this kind of source.

    Raises:
        OptionError: one was given.
    """
    defaults = {spec.name: spec.default for spec in OPTIONS}
    for name, (kinds, words) in _FOR.items():
        if kind not in kinds and options[name] != defaults[name]:
            raise OptionError(f"the option {name} is for {words}, and {source} is none")
