"""Which of several files are read: those of one kind. No file is opened here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...exceptions import DataError, OperationalError, OptionError
from .files import File, Found
from .kinds import MEDIA, Kind, kind_of, required_kind


def chosen(files: list[File], source: str, options: Mapping[str, Any]) -> Found:
    """Return those of a pattern's or a listing's files that are to be read.

    Raises:
        OperationalError: there is no file.
        OptionError: they are of several kinds.
        DataError: none is of the kind that `media` asks for.
        NotSupportedError: one is not to be read.
    """
    if not files:
        raise OperationalError(f"no file fits '{source}'")
    name = f"the pattern '{source}'"
    if not any(kind_of(file.name) in MEDIA for file in files):
        for file in files:
            required_kind(file.name, file.name)
    kind = one_kind(files, name, options)
    if kind is None:
        raise DataError(f"{name} fits no {options['media']} file")
    return taken(kind, files, name)


def one_kind(files: list[File], name: str, options: Mapping[str, Any]) -> Kind | None:
    """Return the one kind that files have, or that `media` chooses; None where there is none.

    Raises:
        OptionError: there are several.
    """
    kinds = sorted({kind for file in files if (kind := kind_of(file.name)) is not None})
    if options["media"] is not None:
        wanted = Kind(options["media"])
        return wanted if wanted in kinds else None
    if len(kinds) > 1:
        example = next((kind for kind in kinds if kind in MEDIA), None)
        advice = "write the suffix in the pattern"
        if example is not None:
            advice = f"say which: OPTIONS (media='{example}')"
        raise OptionError(f"{name} has files of several kinds, {', '.join(kinds)}: {advice}")
    return kinds[0] if kinds else None


def taken(kind: Kind, files: list[File], name: str) -> Found:
    """Return the files of a kind."""
    return Found(kind, tuple(file for file in files if kind_of(file.name) is kind), name)
