"""A file of another machine, fetched as far as it is read, over as many connections as it takes.

What came is kept in a part file, which a later run goes on from if the server still has the same
file. It knows bytes, and nothing of what they are.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, cast

from ..exceptions import OperationalError
from .transfers import POLL_S, Dropped, Head, RangeRefused, Transfer

#: Connections in a row that may bring nothing new, and the wait after the first of them.
TRIES: Final = 5
BACKOFF_S = 0.5
#: Bytes that a download leaves free on the disk.
_ROOM_BYTES: Final = 100_000_000


class Download:
    """A download of `url` into `part`.

    `check` raises where the work is to stop; `told` is given the bytes that are here, and of how
    many, or None where the server does not say. `most_bytes` bounds them.
    """

    def __init__(
        self,
        url: str,
        part: Path,
        *,
        check: Callable[[], None],
        told: Callable[[int, int | None], None],
        most_bytes: int,
    ) -> None:
        self.url = url
        self.part = part
        self._facts = part.with_name(part.name + ".json")
        self._check, self._told, self._most_bytes = check, told, most_bytes
        self._transfer: Transfer | None = None
        self._skipped = 0  # bytes of this connection that are here already
        self._tries = self._furthest = 0
        #: Whether the part file stays when this is closed, and whether the network has failed.
        self.keep, self.failed = True, False
        self._read_to = 0
        self.have, self.total, self._tag = self._kept()
        self._file = part.open("ab")
        self.complete = self.have > 0 and self.have == self.total

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        self._file.close()
        if not self.keep:
            self.part.unlink(missing_ok=True)
            self._facts.unlink(missing_ok=True)

    def whole(self) -> Path:
        """Fetch all of it; return the file.

        Raises:
            OperationalError: it cannot be had; what came is kept.
        """
        while self._extend():
            pass
        return self.part

    def open(self) -> io.BufferedReader:
        """Return the file for reading from its start; it is fetched as it is read."""
        if not self._read_to:
            self._extend()  # is what is kept of an earlier run still of the same file?
        return io.BufferedReader(_Reader(self), 1 << 16)

    def reach(self, place: int) -> bool:
        """Fetch until the byte at `place` is here; return False where the file ends before it."""
        while self.have <= place:
            if not self._extend():
                return False
        self._read_to = max(self._read_to, place + 1)
        self._file.flush()  # it is read through another handle
        return True

    # --- what is kept

    def _kept(self) -> tuple[int, int | None, str | None]:
        try:
            facts: dict[str, Any] = json.loads(self._facts.read_text("utf-8"))
            size = self.part.stat().st_size
        except (OSError, ValueError):
            facts, size = {}, 0
        if _make_sense(facts) and facts.get("url") == self.url:
            tag, total = facts["tag"], facts.get("total")
            if tag and (total is None or size <= total):
                return size, total, tag
        self.part.unlink(missing_ok=True)
        return 0, None, None

    def _remember(self) -> None:
        facts = {"url": self.url, "tag": self._tag, "total": self.total}
        self._facts.write_text(json.dumps(facts), "utf-8")

    # --- connections

    def _extend(self) -> bool:
        """Bring more of the file; return False where there is no more."""
        while not self.complete:
            try:
                if self._transfer is None:
                    self._connect()
                if self._take(cast("Transfer", self._transfer).chunk(self._check)):
                    return True
            except Dropped as error:
                self._wait_after(error)
            except OperationalError:
                self.failed = True
                raise
        return False

    def _connect(self) -> None:
        """Ask for what is lacking, and find out where the answer starts."""
        self._transfer = Transfer(self.url, self.have, self._tag)
        try:
            head = self._transfer.head(self._check)
        except RangeRefused:
            self._start_over()
            raise Dropped("the file changed") from None
        same = self._tag is not None and head.tag in (self._tag, None if head.start else self._tag)
        if head.start and (head.start != self.have or not same):
            self._start_over()
            raise Dropped("the file changed")
        if self.have and not head.start and not same:
            self._start_over()
        self._skipped = self.have - head.start
        self._require_room(head)
        self.total = head.total
        self._tag = head.tag or (self._tag if head.start else None)
        self._remember()
        self._told(self.have, self.total)

    def _take(self, chunk: bytes) -> bool:
        """Keep what came; return False where it was nothing new."""
        if not chunk:
            return self._end()
        again = min(self._skipped, len(chunk))
        self._skipped -= again
        fresh = chunk[again:]
        if self.have + len(fresh) > self._most_bytes:
            raise OperationalError(
                f"{self.url} is longer than the {self._most_bytes / 1e9:.1f} GB that are read of it"
            )
        self._file.write(fresh)
        self.have += len(fresh)
        self._told(self.have, self.total)
        return bool(fresh)

    def _end(self) -> bool:
        if self._skipped or (self.total is not None and self.have < self.total):
            raise Dropped("the connection broke off")
        self._hang_up()
        self.total = self.have
        self.complete = True
        self._remember()
        return False

    def _start_over(self) -> None:
        """Drop what is kept: it is not what the server has now."""
        self._file.truncate(0)
        self.have, self.total, self._tag = 0, None, None
        if self._read_to:
            raise OperationalError(
                f"{self.url} changed, or its server cannot go on in the middle, while it was read:"
                " run the statement again"
            )

    def _wait_after(self, error: Dropped) -> None:
        self._hang_up()
        if self.have > self._furthest:
            self._furthest, self._tries = self.have, 0
        self._tries += 1
        if self._tries >= TRIES:
            self.failed = True
            raise OperationalError(
                f"{self.url} cannot be fetched: {error}. {self._how_far()}"
            ) from error
        until = time.monotonic() + BACKOFF_S * 2 ** (self._tries - 1)
        while time.monotonic() < until:
            self._check()
            time.sleep(POLL_S)

    def _how_far(self) -> str:
        if not self.have:
            return "Is there a network? THANOSQL_MIRROR names a folder or a server that has it too."
        return f"{self.have / 1e6:.1f} MB are kept: the same statement goes on from there."

    def _hang_up(self) -> None:
        if self._transfer is not None:
            self._transfer.close()
            self._transfer = None
        self._file.flush()

    def _require_room(self, head: Head) -> None:
        if head.total is None or head.total > self._most_bytes:
            return  # not all of it will be read
        lacking = head.total - self.have + _ROOM_BYTES
        free = shutil.disk_usage(self.part.parent).free
        if free < lacking:
            raise OperationalError(
                f"{self.url} needs {lacking / 1e6:.0f} MB on the disk of {self.part.parent}, and"
                f" {free / 1e6:.0f} MB are free"
            )


def _make_sense(facts: Any) -> bool:
    """Return whether what was kept of a download can be what one wrote."""
    if not isinstance(facts, dict) or not isinstance(facts.get("total"), int | None):
        return False
    tag = facts.get("tag")  # it goes back in a header
    return isinstance(tag, str) and tag.isprintable() and max(tag, default="") < "\u0100"


class _Reader(io.RawIOBase):
    """The bytes of a download, in order."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._file = download.part.open("rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        download, place = self._download, self._file.tell()
        if not download.reach(place):
            return 0
        return self._file.readinto(memoryview(buffer)[: download.have - place])

    def close(self) -> None:
        self._file.close()
        super().close()
