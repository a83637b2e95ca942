"""MPEG audio, layer III: how many frames a file truly has.

A file tells this in a tag in its first frame, if at all. Without the tag libmpg123 estimates the
number from the file's size, and libsndfile then stops at that estimate: a quarter of an untagged
file of variable bit rate was lost so. So frames are counted here, and a tag is put in front.
This module decodes nothing.

The frame header is that of ISO/IEC 11172-3, 2.4.1.3; the tag is the one that Xing introduced.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final, NamedTuple

_KBITS_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

#: How far a first frame is looked for, in bytes.
_REACH: Final = 1 << 16

#: So many samples of a file may be missing before it counts as truncated: some encoders count
#: the tag's own frame, and the last frame's padding.
SLACK: Final = 2 * 1152


class _Header(NamedTuple):
    version: int
    length: int
    rate: int
    mono: bool


class Tagged(NamedTuple):
    """What to put before the audio, where that starts, and how many bytes its end lacks."""

    tag: bytes
    start: int
    missing: int


def is_frame(four: bytes) -> bool:
    """Return whether four bytes are the header of a frame of layer III."""
    return _header(four, 0) is not None


def tagged(file: BinaryIO, head: bytes, size: int) -> Tagged | None:
    """Return how to read a file with the tag that it may lack; None where it has no frame."""
    first = _first_frame(file, head)
    if first is None:
        return None
    file.seek(first)
    frame = file.read(200)
    counted = _counted_bytes(frame, size - first)
    if counted is not None:
        file.seek(first + counted)
        # Frames behind those that the tag tells of: two files were joined.
        if _next_frame(file.read(_REACH), 0) is None:
            return Tagged(b"", first, 0)
    file.seek(first)
    count, missing = _count(file.read())
    return Tagged(_tag(frame, count), first, missing)


def _header(content: bytes, at: int) -> _Header | None:
    if at + 4 > len(content) or content[at] != 0xFF or content[at + 1] & 0xE6 != 0xE2:
        return None
    version = content[at + 1] >> 3 & 3
    kbits, rate = content[at + 2] >> 4, content[at + 2] >> 2 & 3
    if version == 1 or rate == 3 or kbits in (0, 15):
        return None
    hertz = _RATES[version][rate]
    length = _length(version, kbits, hertz) + (content[at + 2] >> 1 & 1)
    return _Header(version, length, hertz, content[at + 3] >> 6 == 3)


def _length(version: int, kbits: int, hertz: int) -> int:
    table, slots = (_KBITS_1, 144) if version == 3 else (_KBITS_2, 72)
    return slots * 1000 * table[kbits] // hertz


def _first_frame(file: BinaryIO, head: bytes) -> int | None:
    """Return where the first frame starts: behind an ID3 tag, and what else is no audio."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        a, b, c, d = head[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    file.seek(start)
    content = file.read(_REACH)
    found = _next_frame(content, 0)
    return None if found is None else start + found


def _next_frame(content: bytes, at: int) -> int | None:
    """Return where a frame starts that two others follow, or the end: one occurs by chance."""
    while (at := content.find(b"\xff", at)) >= 0:
        if _is_run(content, at):
            return at
        at += 1
    return None


def _is_run(content: bytes, at: int) -> bool:
    rates = set()
    for _ in range(3):
        header = _header(content, at)
        if header is None:
            return False
        rates.add(header.rate)
        at += header.length
        if at == len(content):
            break
    return len(rates) == 1


def _side(header: _Header) -> int:
    """Return how many bytes stand between a frame's header and its data, or a tag."""
    if header.version == 3:
        return 17 if header.mono else 32
    return 9 if header.mono else 17


def _counted_bytes(frame: bytes, left: int) -> int | None:
    """Return for how many bytes a tag in the first frame counts frames; None without one."""
    header = _header(frame, 0)
    if header is None:
        return None
    at = 4 + _side(header)
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[46:50], "big")
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags, _, length = struct.unpack(">III", frame[at + 4 : at + 16].ljust(12, b"\0"))
    if not flags & 1:
        return None
    return int(length) if flags & 2 else left


def _count(content: bytes) -> tuple[int, int]:
    """Return the number of whole frames, and how many bytes the last one lacks."""
    count = 0
    at: int | None = 0
    while at is not None:
        header = _header(content, at)
        if header is None:
            at = _next_frame(content, at)
            continue
        at += header.length
        if at > len(content):
            return count, at - len(content)
        count += 1
    return count, 0


def _tag(frame: bytes, count: int) -> bytes:
    """Return a frame without sound that tells how many follow it."""
    header = _header(frame, 0)
    assert header is not None
    at = 4 + _side(header)
    kbits = next(k for k in range(1, 15) if _length(header.version, k, header.rate) >= at + 12)
    tag = bytearray(_length(header.version, kbits, header.rate))
    # The lowest bit of the second byte: no checksum follows.
    tag[:4] = bytes([0xFF, frame[1] | 1, kbits << 4 | frame[2] & 0x0C, frame[3]])
    tag[at : at + 12] = b"Xing" + struct.pack(">II", 1, count)
    return bytes(tag)
