"""What DuckDB calls while a query runs: functions over Arrow columns, one file a subject.

Each gets the execution that it is called in, and one Arrow column a parameter. They turn to the
workspace for models and to the media modules for files; they know no SQL text and no DuckDB.
"""

from __future__ import annotations

from . import (
    audio,
    cached,
    images,
    listed,
    predictions,
    scores,
    sharing,
    trainings,
    versions,
    videos,
)
from .audio import AUDIO_FACTS
from .base import Function
from .images import IMAGE_FACTS
from .videos import VIDEO_FACTS

__all__ = ["AUDIO_FACTS", "FUNCTIONS", "IMAGE_FACTS", "VIDEO_FACTS", "Function"]

#: What SQL may call on a connection. Never one named `predict`: tools rewrite that name.
FUNCTIONS: tuple[Function, ...] = (
    *predictions.FUNCTIONS,
    *scores.FUNCTIONS,
    *audio.FUNCTIONS,
    *images.FUNCTIONS,
    *videos.FUNCTIONS,
    *cached.FUNCTIONS,
    *listed.FUNCTIONS,
    *versions.FUNCTIONS,
    *trainings.FUNCTIONS,
    *sharing.FUNCTIONS,
)
