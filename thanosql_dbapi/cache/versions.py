"""The digest of a model's version: what its predictions go by in the cache."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..registry import ABOUT, FACTS
from .settings import canonical

if TYPE_CHECKING:
    from ..registry import Version
    from .store import PredictionCache

#: What the facts of a version say that no model reads: its name, and how its training went.
_FACTS_THAT_DECIDE_NOTHING = frozenset(
    {"name", "version", "created_utc", "lineage", "seconds", "audio_seconds", "epoch_losses"}
)


def version_digest(cache: PredictionCache, version: Version) -> str:
    """Return the SHA-256, in hexadecimal, of all that decides what a version predicts.

    That is the names and contents of its files, but for those about its making, and its facts but
    for its name, number and date and how its training went. So a copy under another name has the
    same digest, and a base or a byte of the weights makes another.

    Raises:
        OSError: a file of the version cannot be read.
    """
    files = {
        path.relative_to(version.folder).as_posix(): cache.file_digest(path)
        for path in version.folder.rglob("*")
        if path.name != FACTS and path.is_file()
        if path.relative_to(version.folder).parts[0] != ABOUT
    }
    if not files:
        raise FileNotFoundError(f"there are no files in {version.folder}")
    facts = {
        name: value
        for name, value in version.facts.items()
        if name not in _FACTS_THAT_DECIDE_NOTHING
    }
    return hashlib.sha256(canonical({"facts": facts, "files": files}).encode()).hexdigest()
