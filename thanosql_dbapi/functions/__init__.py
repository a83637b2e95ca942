"""What DuckDB calls while a query runs: functions over Arrow columns, one file a subject.

Each gets the execution that it is called in, and one Arrow column a parameter. They turn to the
workspace for models and to the media modules for files; they know no SQL text and no DuckDB.
"""

from __future__ import annotations

from . import audio, cached, listed, predictions, scores, sharing, trainings, versions
from .audio import AUDIO_FACTS
from .base import Function

__all__ = ["AUDIO_FACTS", "FUNCTIONS", "Function"]

#: What SQL may call on a connection. Never one named `predict`: tools rewrite that name.
FUNCTIONS: tuple[Function, ...] = (
    *predictions.FUNCTIONS,
    *scores.FUNCTIONS,
    *audio.FUNCTIONS,
    *cached.FUNCTIONS,
    *listed.FUNCTIONS,
    *versions.FUNCTIONS,
    *trainings.FUNCTIONS,
    *sharing.FUNCTIONS,
)
