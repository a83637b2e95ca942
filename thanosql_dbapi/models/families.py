"""The model families by name; a family's module is imported when its name is first used.

A family of another package is found by the entry point group `thanosql.models`: its name is the
base model's, its object a `Family`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from ..exceptions import ModelNotFound, NotSupportedError, nearest
from ..options import OptionSpec, read_options
from .base import Family, Verb

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

#: One line a family: its name, and where its object lies.
BUILT_IN: Mapping[str, str] = {
    "Wav2Vec2En": "thanosql_dbapi.models.wav2vec2:ENGLISH",
    "Wav2Vec2Ko": "thanosql_dbapi.models.wav2vec2:KOREAN",
    "Wav2Vec2Tiny": "thanosql_dbapi.models.wav2vec2:TINY",
    "Whisper": "thanosql_dbapi.models.whisper:WHISPER",
}

#: Families of the language that this version does not have yet, by what they work on.
PLANNED: Mapping[str, str] = {
    **dict.fromkeys(("ConvNeXt_Tiny", "ConvNeXt_Base"), "images"),
    **dict.fromkeys(("EfficientNetV2S", "EfficientNetV2M", "SimCLR", "CLIP"), "images"),
    **dict.fromkeys(("ElectraEn", "ElectraKo", "AlbertEn", "AlbertKo"), "text"),
    **dict.fromkeys(("SBERTEn", "SBERTKo"), "text"),
    **dict.fromkeys(("XCLIP", "ViLT"), "video and images"),
    **dict.fromkeys(("AutomlClassifier", "AutomlRegressor", "TFT"), "tables"),
}


def names() -> list[str]:
    """Return the names of the base models that can be used."""
    return sorted({*BUILT_IN, *(point.name for point in _entry_points())})


def family(name: str) -> Family:
    """Return the family of a base model; names are case-sensitive.

    Raises:
        NotSupportedError: the language has it, this version does not.
        ModelNotFound: nobody has it; the message names the nearest.
    """
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: Family = getattr(importlib.import_module(module), attribute)
        return found
    for point in _entry_points():
        if point.name == name:
            loaded: Family = point.load()
            return loaded
    if name in PLANNED:
        raise NotSupportedError(
            f"the base model '{name}' ({PLANNED[name]}) is not supported yet;"
            f" these are: {', '.join(names())}"
        )
    raise ModelNotFound(
        f"there is no base model '{name}'.{nearest(name, names())}"
        f" The base models are {', '.join(names())}."
    )


def _entry_points() -> EntryPoints:
    # Imported late: it takes longer than all of the driver.
    from importlib.metadata import entry_points

    return entry_points(group="thanosql.models")


def read_verb_options(
    found: Family, verb: Verb, given: Iterable[tuple[str, Any]], *extra: OptionSpec
) -> dict[str, Any]:
    """Check the options of a verb of a family, and `extra` ones, and complete them.

    Raises:
        NotSupportedError: the family has no such verb.
        OptionError: an option is unknown or wrong.
    """
    require(found, verb)
    elsewhere = {
        name
        for other in found.verbs
        for spec in found.options(other)
        for name in (spec.name, *spec.aliases)
    }
    return read_options(
        given, (*found.options(verb), *extra), statement=verb.value, elsewhere=elsewhere
    )


def require(found: Family, verb: Verb) -> None:
    """Refuse a verb that a family does not have.

    Raises:
        NotSupportedError: naming the verbs it has.
    """
    if verb not in found.verbs:
        refuse(found, verb)


def refuse(found: Family, verb: Verb) -> NoReturn:
    """Say that a family has no such verb.

    Raises:
        NotSupportedError: always, naming the verbs it has.
    """
    raise NotSupportedError(f"{found.name} has no {verb}; it has {', '.join(sorted(found.verbs))}")
