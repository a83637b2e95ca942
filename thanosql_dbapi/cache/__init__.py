"""Predictions that were made before, on disk, so that no file is paid for twice.

    <workspace>/cache/predictions.sqlite            one SQLite file, in WAL mode
                      predictions.damaged.sqlite    the last one that could not be read

A prediction is found by what decides it: the content of the medium, the model's content, the
options, the numeric precision and the family's revision. Beside the predictions lie the digests of
files whose content was read before, and how fast models ran on this machine.

Several processes and threads may use one file. A process that is killed loses nothing that was
remembered; a power cut may cost the last moments, never the file (WAL, `synchronous=NORMAL`).
WAL needs memory that the processes share, so the workspace may not lie on a network file system
that several machines use at once.

A cache that cannot be used says so in one warning, and nothing else: then it knows nothing and
keeps nothing. Nothing here knows ThanoSQL, a model or audio.
"""

from __future__ import annotations

from .settings import Settings, canonical
from .store import PredictionCache
from .versions import version_digest

__all__ = ["PredictionCache", "Settings", "canonical", "version_digest"]
