"""What comes with the package: a small voice model, recordings, and the catalogue's names.

It knows where these files lie, and nothing of how they are used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..registry import Version
from .datasets import DATASETS

__all__ = [
    "CATALOGUE",
    "DATASETS",
    "RECORDINGS",
    "VOICE_TINY",
    "CatalogueModel",
    "bundled_models",
]

FOLDER = Path(__file__).parent
VOICE_TINY = FOLDER / "voice_tiny"
RECORDINGS = FOLDER / "recordings"

#: When the bundled voice was made, as LIST THANOSQL MODEL shows it.
_BUNDLED_UTC = "2026-11-21T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model that GET THANOSQL MODEL knows: the base whose checkpoint it is.

    `checkpoint` is its hub id, where that is not the base's own.
    """

    name: str
    base: str
    updated: dt.datetime
    checkpoint: str | None = None


_LISTED = dt.datetime.fromisoformat(_BUNDLED_UTC)

CATALOGUE: Mapping[str, CatalogueModel] = {
    model.name: model
    for model in (
        CatalogueModel("tutorial_audio_recognition", "Wav2Vec2En", _LISTED),
        CatalogueModel("voice_tiny", "Wav2Vec2Tiny", _LISTED),
        CatalogueModel("wav2vec2", "Wav2Vec2En", _LISTED),
        CatalogueModel("whisper_l", "Whisper", _LISTED, "openai/whisper-large-v3"),
        CatalogueModel("whisper_s", "Whisper", _LISTED, "openai/whisper-small"),
    )
}


def bundled_models() -> Mapping[str, Version]:
    """Return the ready models that need no GET, by name."""
    facts = {"base": "Wav2Vec2Tiny", "created_utc": _BUNDLED_UTC, "text_case": "lower"}
    return {"voice_tiny": Version("voice_tiny", 1, VOICE_TINY, facts)}
