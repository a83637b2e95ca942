"""DuckDB's errors over files, in few words: which file, which line, which column, what to do."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Final

from ... import exceptions
from ...exceptions import DataError, Error, callers_level
from ..base import Surroundings
from .files import File

_LINE: Final = re.compile(r"CSV Error on Line: (\d+)\n")
_FILE: Final = re.compile(r"^  file = (.*)$", re.MULTILINE)
_CAST: Final = re.compile(
    r'Error when converting column "(.*)"\. (?:Could not convert string "(.*)" to \'(.*)\'|(.*))'
)
_COUNT: Final = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_QUOTE: Final = re.compile(r"^Value with unterminated quote found", re.MULTILINE)

#: Where DuckDB's own advice begins, which names options that COPY has not.
_ADVICE: Final = re.compile(
    r"\n(?:\s*\n|Possible |Try |The search space |LINE \d+:|Column .* is being converted).*",
    re.DOTALL,
)
_KIND_OF_ERROR: Final = re.compile(r"^[A-Z][\w ]+ Error: ")


def told(error: Error, files: Sequence[File], *, guessed: bool) -> Error:
    """Return an error that says where a file is wrong, instead of DuckDB's.

    `guessed` tells whether the types are the file's own first rows' and not a table's.
    """
    text = str(error)
    line = _LINE.search(text)
    if line is None:
        renamed = _renamed(text, files)
        short = _KIND_OF_ERROR.sub("", _ADVICE.sub("", renamed)).strip()
        return (_class_of(error) if renamed != text else type(error))(short)
    found = _FILE.search(text)
    path = found[1] if found else ""
    name = next((file.name for file in files if str(file.path) == path), files[0].name)
    place = f"'{name}', line {line[1]}"
    if cast := _CAST.search(text):
        problem = f"'{cast[2]}' is no {cast[3]}" if cast[3] else cast[4]
        advice = (
            ", as the rows before it have there. Correct it, or read each column as text:"
            " OPTIONS (all_varchar=True)"
        )
        return DataError(f"{place}, column {cast[1]}: {problem}{advice if guessed else ''}")
    if count := _COUNT.search(text):
        return DataError(f"{place}: {count[2]} columns, where the rows before have {count[1]}")
    if _QUOTE.search(text):
        return DataError(f"{place}: a quote is opened and never closed")
    rest = _ADVICE.sub("", text[line.end() :]).partition("\n")[2] or text[line.end() :]
    return DataError(f"{place}: {rest.strip().partition(chr(10))[0]}")


def _class_of(error: Error) -> type[Error]:
    """Return the class of an error that names a file: DuckDB calls a broken one invalid input."""
    invalid = type(error.__cause__).__name__ == "InvalidInputException"
    return DataError if invalid else type(error)


def _renamed(text: str, files: Sequence[File]) -> str:
    for file in files:
        if file.path is not None and file.name:
            path = str(file.path)
            shown = f"'{file.name}'" if file.text else file.name
            text = text.replace(f'file "{path}"', shown).replace(f'"{path}"', shown)
            text = text.replace(path, file.name)
    return text


def warn(text: str, around: Surroundings) -> None:
    """Tell the user something that does not stop the statement."""
    around.execution.messages.append((exceptions.Warning, exceptions.Warning(text)))
    warnings.warn(text, stacklevel=callers_level())
