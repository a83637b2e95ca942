"""What a store of waveforms has on disk: the samples, and an index of what they are.

It reads the index as far as a crash left it whole. It decodes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...exceptions import MediaError, MediaReason

#: The samples, float32 in little-endian order, one waveform after the other.
SAMPLES: Final = "waveforms.f32"

#: One line of JSON for each waveform, written when its samples are safe on disk; the last line
#: names the waveforms of all rows, and without it the store is not complete.
INDEX: Final = "waveforms.jsonl"

#: The bytes of a sample.
SAMPLE_BYTES: Final = 4

#: The layout of the two files: another number, and they are written anew.
_LAYOUT: Final = 1

#: The media that may be there another time: their failure is not kept.
_PASSING: Final = (MediaReason.MISSING, MediaReason.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was seen of one medium while it was decoded.

    `digest` is the SHA-256 of its content, empty where that was not to be had; `sampling_rate` in
    Hz, `channels`, `format` and `encoding` are the file's own. `offset` and `samples` count
    samples in the store. `peak` is the largest amplitude, 1 at full scale; `clipped` the part of
    the samples that lie at full scale; `silent` tells that all samples are the same. `reason` and
    `message` say why there is no waveform.
    """

    token: str
    digest: str = ""
    offset: int = 0
    samples: int = 0
    sampling_rate: int = 0
    channels: int = 0
    format: str = ""
    encoding: str = ""
    peak: float = 0.0
    clipped: float = 0.0
    silent: bool = False
    reason: str | None = None
    message: str = ""

    @property
    def error(self) -> MediaError | None:
        """Why there is no waveform; None where there is one."""
        return None if self.reason is None else MediaError(self.message, MediaReason(self.reason))


@dataclass(slots=True)
class Index:
    """What a folder holds: waveforms by the number of their line, and which are the rows'.

    `samples` is how many they have in all; `readable` is how many bytes of the file make sense:
    what follows was torn by a crash.
    """

    sampling_rate: int
    longest_s: float
    recordings: list[Recording]
    rows: list[int] | None = None
    samples: int = 0
    readable: int = 0

    def is_for(self, sampling_rate: int, longest_s: float) -> bool:
        """Return whether the waveforms are at this rate, and files were refused from here on."""
        return (self.sampling_rate, self.longest_s) == (sampling_rate, longest_s)

    def add(self, found: Recording) -> None:
        """Add a waveform."""
        self.recordings.append(found)
        self.samples = max(self.samples, found.offset + found.samples)

    def known(self) -> dict[str, int]:
        """Return the line of each content; what may be there another time is not known."""
        return {
            found.token: number
            for number, found in enumerate(self.recordings)
            if found.token and found.reason not in _PASSING
        }


def read_index(folder: Path) -> Index | None:
    """Read an index as far as it makes sense; None where there is none to be used."""
    try:
        lines = (folder / INDEX).read_bytes().splitlines(keepends=True)
        size = (folder / SAMPLES).stat().st_size
    except FileNotFoundError:
        return None
    head = _said(lines[0]) if lines else None
    if head is None or head.get("layout") != _LAYOUT:
        return None
    index = Index(head["sampling_rate"], head["longest_s"], [], readable=len(lines[0]))
    for line in lines[1:]:
        said = _said(line)
        if said is None:
            break
        index.rows = said.get("rows")
        if index.rows is None:
            found = Recording(**said)
            if (found.offset + found.samples) * SAMPLE_BYTES > size:
                break
            index.add(found)
        index.readable += len(line)
    return index


def _said(line: bytes) -> dict[str, Any] | None:
    """Return what a line says; None for one that a crash tore."""
    try:
        said = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def line_of(said: Mapping[str, Any]) -> bytes:
    """Return a line of the index."""
    return json.dumps(said).encode() + b"\n"


def begin(folder: Path, sampling_rate: int, longest_s: float) -> Index:
    """Begin a store anew."""
    (folder / INDEX).unlink(missing_ok=True)
    (folder / SAMPLES).write_bytes(b"")
    head = {"layout": _LAYOUT, "sampling_rate": sampling_rate, "longest_s": longest_s}
    (folder / INDEX).write_bytes(line_of(head))
    return Index(sampling_rate, longest_s, [], readable=len(line_of(head)))
