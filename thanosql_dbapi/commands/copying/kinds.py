"""The kinds of files that COPY reads, told by their names. No file is opened here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from ...exceptions import NotSupportedError
from ...media import audio, image, video


class Kind(StrEnum):
    """What a file is."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    ARROW = "arrow"
    SPREADSHEET = "spreadsheet"
    AUDIO = "audio"
    IMAGE = "image"
    VIDEO = "video"


#: Media are read by other statements; COPY makes a row of each.
MEDIA: Final = frozenset({Kind.AUDIO, Kind.IMAGE, Kind.VIDEO})

#: The kind of a file by how its name ends.
SUFFIXES: Final[Mapping[str, Kind]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), Kind.CSV),
    **dict.fromkeys((".parquet", ".pqt"), Kind.PARQUET),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), Kind.JSON),
    **dict.fromkeys((".arrow", ".feather"), Kind.ARROW),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), Kind.SPREADSHEET),
    **dict.fromkeys(sorted(video.SUFFIXES), Kind.VIDEO),
    **dict.fromkeys(sorted(image.SUFFIXES), Kind.IMAGE),
    **dict.fromkeys(sorted(audio.SUFFIXES), Kind.AUDIO),
}

#: What may be packed, and how that is seen.
_PACKED: Final = frozenset({".gz", ".zst"})
_PACKED_KINDS: Final = frozenset({Kind.CSV, Kind.JSON})

_PICKLES: Final = frozenset({".pkl", ".pickle", ".p", ".joblib", ".dill"})


def kind_of(name: str) -> Kind | None:
    """Return the kind of a file by its name; None where that does not tell."""
    path = PurePosixPath(name.replace("\\", "/").lower())
    if path.suffix in _PACKED:
        kind = SUFFIXES.get(PurePosixPath(path.stem).suffix)
        return kind if kind in _PACKED_KINDS else None
    return SUFFIXES.get(path.suffix)


def required_kind(name: str, shown: str) -> Kind:
    """Return the kind of a file that somebody named.

    Raises:
        NotSupportedError: it is a pickle, or its name does not tell what it is.
    """
    if is_pickle(name):
        raise pickle_refused(shown)
    kind = kind_of(name)
    if kind is None:
        tables = ", ".join(suffix for suffix, kind in SUFFIXES.items() if kind not in MEDIA)
        raise NotSupportedError(
            f"COPY cannot tell what '{shown}' is; it reads {tables}, media, and folders of media"
        )
    return kind


def pickle_refused(shown: str) -> NotSupportedError:
    """Return the error that says why a pickle is not read."""
    return NotSupportedError(
        f"'{shown}' is a pickle, and reading one can run any program that is hidden in it:"
        " save the table as parquet or csv"
    )


def is_pickle(name: str) -> bool:
    """Tell whether a file is a pickle by its name, packed or not."""
    return bool(_PICKLES & {suffix.lower() for suffix in PurePosixPath(name).suffixes})
