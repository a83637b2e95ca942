"""What the containers of audio promise, in bytes: is the file whole?

libsndfile reads a file that was cut short as a shorter file, without a word. Here its sizes are
compared with what the header says. This module decodes nothing.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from .mpeg import is_frame

#: A writer that cannot go back (to a pipe) leaves a size like these: 4 GiB, or just under 2 GiB.
_STAND_IN: Final = 0x7FFF_F000

#: How many chunks are looked through for the audio: damaged files may seem to have millions.
_CHUNKS: Final = 1000

#: The largest page of Ogg, in bytes: 27 + 255 for its header, and 255 segments of 255.
_PAGE: Final = 27 + 255 + 255 * 255


def is_known(head: bytes) -> bool:
    """Return whether a file that starts like this says that it is audio."""
    return (
        head[:4] in (b"fLaC", b"OggS", b"caff", b".snd")
        or _is_wav(head)
        or _is_aiff(head)
        or head[:3] == b"ID3"
        or is_frame(head)
    )


def _is_wav(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] in (b"WAVE", b"")


def _is_aiff(head: bytes) -> bool:
    return head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"")


def missing_bytes(file: BinaryIO, head: bytes, size: int) -> int:
    """Return how many bytes of audio a header promises beyond the file's end; 0 where unknown.

    Known are the chunks of wav and aiff, an ID3 tag, and the last page of Ogg. A wav of 2 GiB and
    more looks like one from a writer to a pipe. Of flac and mp3 the decoders tell; of others, and
    of Ogg that ends between two pages, nothing does.
    """
    if _is_wav(head) or _is_aiff(head):
        return _missing_of_chunks(file, head, size)
    if head[:4] == b"OggS":
        return _missing_of_page(file, size)
    if head[:3] == b"ID3" and len(head) >= 10:
        return max(0, 10 + _syncsafe(head[6:10]) - size)
    return 0


def _syncsafe(four: bytes) -> int:
    a, b, c, d = four
    return a << 21 | b << 14 | c << 7 | d


def _missing_of_chunks(file: BinaryIO, head: bytes, size: int) -> int:
    order = ">" if head[:4] in (b"FORM", b"RIFX") else "<"
    total = 0
    block = 1
    for name, start, length in _chunks(file, head, size, order):
        if name == b"ds64":
            file.seek(start + 8)
            (total,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        elif name == b"fmt ":
            file.seek(start + 12)
            (block,) = struct.unpack(order + "H", file.read(2).ljust(2, b"\1"))
        elif name in (b"data", b"SSND"):
            promised = total if total and length == 0xFFFF_FFFF else length
            if promised >= _STAND_IN and not total:
                return 0
            missing = start + promised - size
            # Writers that are off by a part of a sample lose none.
            return missing if missing >= max(block, 1) else 0
    # No audio before the end: the header itself was cut, or there is none.
    (promised,) = struct.unpack(order + "I", head[4:8].ljust(4, b"\0"))
    return max(0, promised + 8 - size) if promised < _STAND_IN else 0


def _chunks(file: BinaryIO, head: bytes, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a RIFF or FORM file: name, where its content starts, and its length."""
    at = 12
    for _ in range(_CHUNKS):
        if at + 8 > size:
            return
        header = head[at : at + 8]
        if len(header) < 8:
            file.seek(at)
            header = file.read(8)
        (length,) = struct.unpack(order + "I", header[4:8])
        yield header[:4], at + 8, length
        at += 8 + length + length % 2


def _missing_of_page(file: BinaryIO, size: int) -> int:
    """Return how many bytes the last page of an Ogg file lacks."""
    start = max(0, size - 2 * _PAGE)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    if at < 0:
        return 0
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return 1
    return max(0, 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page))


class Spliced(NamedTuple):
    """A file read otherwise: `before`, and then the file from position `start`."""

    before: bytes
    start: int


def unfinished(file: BinaryIO, head: bytes, size: int) -> Spliced | None:
    """Return how to read a wav whose writer left its length open; None for any other file.

    A writer that could not go back leaves 0 for the length of the audio; libsndfile then reads
    none. With 0xFFFFFFFF instead it reads to the end.
    """
    if head[:4] != b"RIFF" or len(head) < 8 or not _is_wav(head):
        return None
    (total,) = struct.unpack("<I", head[4:8])
    for name, start, length in _chunks(file, head, size, "<"):
        if name == b"data":
            # Where the whole is longer than the header, the audio truly has 0 bytes.
            left_open = total in (0, start - 8) or total >= _STAND_IN
            if length or start >= size or not left_open:
                return None
            file.seek(0)
            header = file.read(start)
            return Spliced(header[:4] + b"\xff" * 4 + header[8:-4] + b"\xff" * 4, start)
    return None


class SplicedFile(io.RawIOBase):
    """What `Spliced` says of a file, as a file. It has no name, so that libsndfile reads it."""

    def __init__(self, file: BinaryIO, spliced: Spliced) -> None:
        super().__init__()
        self._file = file
        self._before, self._start = spliced
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, as in any file."""
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            end = self._file.seek(0, io.SEEK_END)
            offset += end - self._start + len(self._before)
        self._at = max(0, offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read from what stands before, or else from the file."""
        content = self._before[self._at : self._at + len(buffer)]
        if not content:
            self._file.seek(self._at - len(self._before) + self._start)
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
