"""The members of a .tar.gz that may be malicious, read in one pass and never extracted.

A reader asks for the content of members by their names and writes it under names of its own, so
no name in an archive decides where anything goes. What a member may cost in memory is bounded.
It knows no corpus.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Final

from ..exceptions import OperationalError

#: Bytes that the heads of one member may take (a long name, its attributes), and its content.
_MOST_HEAD_BYTES: Final = 1 << 20
_MOST_MEMBER_BYTES: Final = 1 << 26
_MOST_MEMBERS: Final = 1_000_000
_PIECE_BYTES: Final = 1 << 18


class Member:
    """A regular file in an archive; its content can be read until the next member is asked for."""

    def __init__(self, archive: tarfile.TarFile, described: tarfile.TarInfo, what: str) -> None:
        self._archive, self._described, self._what = archive, described, what

    @property
    def name(self) -> str:
        """Its path in the archive, without `./` before it."""
        return self._described.name.removeprefix("./")

    def read(self, most_bytes: int | None = None) -> bytes:
        """Return the content, or its first bytes.

        Raises:
            OperationalError: it is too large, or the archive is cut off or damaged in it.
        """
        size = self._described.size
        if most_bytes is None and size > _MOST_MEMBER_BYTES:
            raise OperationalError(
                f"{self._what}: its member '{self.name}' is said to hold {size} bytes, which is"
                f" more than the {_MOST_MEMBER_BYTES} that are read: the archive was not used"
            )
        wanted = size if most_bytes is None else min(size, most_bytes)
        with damage_told(self._what):
            file = self._archive.extractfile(self._described)
            data = b"" if file is None else file.read(wanted)
            if len(data) < wanted:
                raise EOFError("it ends in the middle of a member")
        return data


def members(file: BinaryIO, what: str, most_bytes: int) -> Iterator[Member]:
    """Yield the regular files of a .tar.gz; `what` names it in messages.

    Raises:
        OperationalError: it is damaged, larger than `most_bytes` unpacked, or holds a member that
            would leave the folder it is unpacked in: then it is somebody's trap.
    """
    with gzip.open(file) as unpacked, damage_told(what):
        forward = _Forward(unpacked, what, most_bytes)
        with tarfile.TarFile(fileobj=forward, mode="r") as archive:
            for _ in range(_MOST_MEMBERS):
                forward.head_bytes = 0
                described = archive.next()
                if described is None:
                    return
                vars(archive)["members"].clear()  # else it keeps them all
                _require_inside(described, what)
                if described.isreg() and not described.issparse():
                    forward.head_bytes = None
                    yield Member(archive, described, what)
    raise OperationalError(f"{what} holds more than {_MOST_MEMBERS} members: it was not used")


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Say what an archive's readers raise where it is cut off or damaged."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OperationalError(f"{what} is cut off or damaged: {error}") from error


def _require_inside(described: tarfile.TarInfo, what: str) -> None:
    """Refuse what points out of the folder: `../x`, absolute paths, links there, devices."""
    name = described.name
    try:
        # It lets absolute names pass, and Windows's on other systems.
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or "\0" in name:
            raise tarfile.AbsolutePathError(described)
        if ".." in name.replace("\\", "/").split("/"):
            raise tarfile.OutsideDestinationError(described, name)
        tarfile.data_filter(described, str(Path("/nowhere").absolute()))
    except tarfile.FilterError as error:
        raise OperationalError(
            f"{what} was not used: its member {name[:200]!r} would leave the folder that it is"
            f" unpacked in, or is no file ({type(error).__name__})"
        ) from error


class _Forward(io.RawIOBase):
    """A stream that tarfile can move forward in, with bounds on what it reads.

    `head_bytes` counts what is read between two members, which tarfile keeps in memory as a whole;
    None while a member is read.
    """

    head_bytes: int | None = 0

    def __init__(self, stream: io.BufferedIOBase, what: str, most_bytes: int) -> None:
        self._stream, self._what, self._most_bytes = stream, what, most_bytes
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        if self.head_bytes is not None:
            self.head_bytes += size
            if not 0 <= self.head_bytes <= _MOST_HEAD_BYTES:
                raise OperationalError(
                    f"{self._what}: the head of a member takes more than {_MOST_HEAD_BYTES} bytes:"
                    " the archive was not used"
                )
        return self._read(size)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or place < self._place:
            raise io.UnsupportedOperation("only forward")
        while self._place < place:
            if not self._read(min(place - self._place, _PIECE_BYTES)):
                break
        return self._place

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._place += len(data)
        if self._place > self._most_bytes:
            raise OperationalError(
                f"{self._what} holds more than {self._most_bytes / 1e9:.1f} GB: it was not used"
            )
        return data
