"""The prediction cache, as the driver uses it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.base import Prediction
from . import rows
from .encoding import encode
from .file import CacheFile
from .pages import evict, shrink, surplus
from .schema import pragma, writing
from .settings import Settings

if TYPE_CHECKING:
    import sqlite3

#: The clock of a file system may stand still for so long (FAT's does). A file that changed since
#: could change again under the same times, so its digest is not remembered yet.
SETTLED_AFTER_S = 2.0
#: What the digest of one file takes, with its index; all of them get a quarter of the limit.
DIGEST_BYTES = 200
#: Digests of files that are kept in memory.
FILE_DIGESTS = 1024
#: Speeds not noted in so many runs are forgotten.
SPEEDS = 1000


class PredictionCache:
    """The predictions remembered in one workspace.

    It opens its file when first used, and creates it when there is first something to keep.
    `limit_bytes` bounds the file's pages in use; the least recently used predictions go first. Use
    is noted to the hour. Room that is free again is given back once the file is above the limit.
    """

    def __init__(self, workspace: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._file = CacheFile(workspace / "cache" / "predictions.sqlite", limit_bytes)
        self._file_digests: dict[str, str] = {}

    def known(self, settings: Settings, digests: Collection[str]) -> dict[str, Prediction]:
        """Return the predictions there are of media, by the digest of their content."""
        return self._file.read(lambda connection: rows.known(connection, settings, digests), {})

    def count(self, settings: Settings, digests: Collection[str]) -> int:
        """Return of how many of the media there are predictions; it is no use of them."""
        return self._file.read(lambda connection: rows.count(connection, settings, digests), 0)

    def remember(
        self, settings: Settings, predictions: Mapping[str, Prediction], model_name: str
    ) -> None:
        """Keep predictions by the digest of their medium's content: all of them, or none."""
        if not predictions:
            return
        encoded = {digest: encode(value) for digest, value in predictions.items()}

        def work(connection: sqlite3.Connection) -> None:
            with writing(connection):
                rows.insert(connection, settings, encoded, model_name)
                evict(connection, self.limit_bytes)
            shrink(connection, pages=surplus(connection, self.limit_bytes))

        self._file.write(work)

    def clear(self, model_name: str | None = None) -> int:
        """Forget all predictions, or those last made under a name; return how many went.

        The file shrinks. The speeds stay.
        """

        def work(connection: sqlite3.Connection) -> int:
            with writing(connection):
                gone = rows.forget(connection, model_name)
            shrink(connection, pages=pragma(connection, "freelist_count"))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return gone

        return self._file.read(work, 0)

    def entries(self) -> list[dict[str, Any]]:
        """Return what is remembered, the last used first.

        Each entry has `model` (the name that it was last made under), `model_digest`,
        `audio_digest`, `precision`, `options`, `revision`, `text`, `score`, `seconds` (of the
        medium), `created_utc`, `used_utc` and `size_bytes` (of the prediction, without its keys).
        """
        return self._file.read(rows.entries, [])

    def digests(self, identities: Collection[str]) -> dict[str, str]:
        """Return the content digests that were noted of media, by their identity."""
        hashed = {_hashed(identity): identity for identity in identities}
        found: dict[bytes, str] = self._file.read(
            lambda connection: rows.digests_of(connection, hashed), {}
        )
        return {hashed[identity]: digest for identity, digest in found.items()}

    def note_digests(self, digests: Mapping[str, str]) -> None:
        """Note content digests of media by their identity; the oldest noted go first."""
        if not digests:
            return
        hashed = {_hashed(identity): digest for identity, digest in digests.items()}

        def work(connection: sqlite3.Connection) -> None:
            with writing(connection):
                rows.note_digests(connection, hashed, self.limit_bytes // 4 // DIGEST_BYTES)
                evict(connection, self.limit_bytes)
            shrink(connection, pages=surplus(connection, self.limit_bytes))

        self._file.write(work)

    def file_digest(self, path: Path) -> str:
        """Return the SHA-256 of a file's content, in hexadecimal; read once, then remembered.

        Raises:
            OSError: the file cannot be read.
        """
        identity, settled = _identity(path)
        if identity in self._file_digests:
            return self._file_digests[identity]
        digest = self.digests([identity]).get(identity)
        if digest is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not settled or _identity(path)[0] != identity:
                return digest
            self.note_digests({identity: digest})
        if len(self._file_digests) >= FILE_DIGESTS:
            self._file_digests.clear()
        self._file_digests[identity] = digest
        return digest

    def note_speed(
        self,
        model_digest: str,
        device: str,
        precision: str,
        audio_seconds: float,
        wall_seconds: float,
    ) -> None:
        """Note how long a run took for how much audio; each run halves the weight of the last."""
        if audio_seconds <= 0 or wall_seconds <= 0:
            return
        key = (model_digest, device, precision)

        def work(connection: sqlite3.Connection) -> None:
            with writing(connection):
                rows.note_speed(connection, key, audio_seconds, wall_seconds, SPEEDS)

        self._file.write(work)

    def speed(self, model_digest: str, device: str, precision: str) -> float | None:
        """Return seconds of audio for each second that passed; None before the first run."""
        key = (model_digest, device, precision)
        audio, wall = self._file.read(lambda connection: rows.speed_of(connection, key), (0.0, 0.0))
        return audio / wall if wall else None

    def close(self) -> None:
        """Let go of the file; a later use opens it again."""
        self._file.close()


def _identity(path: Path) -> tuple[str, bool]:
    """Return a text that changes with a file's content, and whether it can be relied on yet."""
    found = path.stat()
    text = (
        f"{path.absolute()}|{found.st_dev}|{found.st_ino}|{found.st_size}"
        f"|{found.st_mtime_ns}|{found.st_ctime_ns}"
    )
    changed = max(found.st_mtime, found.st_ctime)
    return text, time.time() - changed > SETTLED_AFTER_S


def _hashed(identity: str) -> bytes:
    """Shorten an identity: a path may take four kilobytes."""
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()
