"""The layout of `korean_voice_data`: the first 100 utterances of Zeroth-Korean's archive.

The archive is read as it comes, and no further than needed. A speaker's transcripts stand before or
after their recordings: whatever comes first waits for the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ..exceptions import MediaError, OperationalError
from ..media.flac import Flac, decode_flac
from .archives import Member, members
from .datasets import DATASETS, LaidOut, Table

_WANTED: Final = 100
_WHAT: Final = "the archive of Zeroth-Korean"
_MOST_BYTES: Final = DATASETS["korean_voice_data"].most_bytes
_RECORDING = re.compile(r"(train_data_\d+/\d+/\d+)/(\d+_\d+_\d+)\.flac")
_TEXTS = re.compile(r"train_data_\d+/(\d+)/(\d+)/\2_\1\.trans\.txt")
#: A transcript begins with a letter or digit, so that no spreadsheet takes it for a formula.
_TEXT = re.compile(r"\w[^\x00-\x1f\x7f]*")
_COLUMNS: Final = (
    *("audio_path", "sampling_rate", "transcript_phonetic", "transcript_spelling", "duration"),
)


def lay_out(
    archive: Callable[[], BinaryIO],
    folder: Path,
    place: str,
    told: Callable[[int], None],
) -> LaidOut:
    """Write the FLAC files as they are, under their own names; see `datasets.Layout`."""
    found = _Utterances(folder, told)
    with archive() as file:
        for member in members(file, _WHAT, _MOST_BYTES):
            found.take(member)
            if found.are_enough():
                break
    rows = list(found.rows(place))
    if len(rows) < _WANTED:
        raise OperationalError(
            f"{_WHAT} has {len(rows)} utterances with a transcript; {_WANTED} are needed"
        )
    return LaidOut(
        tables=(Table("korean_voice.csv", _COLUMNS, rows),),
        files=len(rows),
        audio_seconds=sum(row[-1] for row in rows),
        origins={f"{name}.flac": f"{folder}/{name}" for name, folder in found.kept()},
        unverified=found.unverified,
    )


class _Utterances:
    """What was found so far: recordings, written under their names, and transcripts."""

    def __init__(self, folder: Path, told: Callable[[int], None]) -> None:
        self._folder, self._told = folder, told
        self._texts: dict[str, str] = {}
        #: By name, in the archive's order: the folder in the archive, rate and seconds.
        self._recordings: dict[str, tuple[str, int, float]] = {}
        self.unverified = 0

    def take(self, member: Member) -> None:
        """Take a recording or a speaker's transcripts; anything else is passed over."""
        if match := _RECORDING.fullmatch(member.name):
            # Recordings that wait for a transcript are enough too, unless it lacks one of them.
            if len(self._recordings) < _WANTED and self._may_have_text(match[2]):
                self._write(member, match[1], match[2])
        elif match := _TEXTS.fullmatch(member.name):
            self._read_texts(member, f"{match[2]}_{match[1]}_")

    def are_enough(self) -> bool:
        """Return whether enough recordings have their transcripts."""
        return len(self._texts.keys() & self._recordings.keys()) >= _WANTED

    def kept(self) -> Iterator[tuple[str, str]]:
        """Yield the recordings' names and folders in the archive."""
        return ((name, at) for name, (at, *_) in self._recordings.items() if name in self._texts)

    def rows(self, place: str) -> Iterator[tuple[str, int, str, str, float]]:
        """Yield the table's rows: the one transcript stands in both columns."""
        for name, (_, rate, seconds) in self._recordings.items():
            if text := self._texts.get(name):
                yield f"{place}/{name}.flac", rate, text, text, round(seconds, 3)

    def _may_have_text(self, name: str) -> bool:
        """Return whether its transcript is here, or all of its speaker's are yet to come."""
        speaker = name.rpartition("_")[0] + "_"
        return name in self._texts or not any(known.startswith(speaker) for known in self._texts)

    def _write(self, member: Member, at: str, name: str) -> None:
        data = member.read()
        flac = _decoded(member.name, data)
        (self._folder / f"{name}.flac").write_bytes(data)
        self._recordings[name] = at, flac.head.sampling_rate, flac.head.duration_s
        self.unverified += not flac.is_verified
        self._told(len(self._recordings))

    def _read_texts(self, member: Member, speaker: str) -> None:
        lines = member.read().decode("utf-8", "replace").splitlines()
        pairs = (line.strip().partition(" ") for line in lines)
        texts = {name: " ".join(text.split()) for name, _, text in pairs}
        self._texts |= {name: text for name, text in texts.items() if _TEXT.fullmatch(text)}
        # What lacks its transcript now will not get one.
        for name in [n for n in self._recordings if n.startswith(speaker)]:
            if name not in self._texts:
                del self._recordings[name]
                (self._folder / f"{name}.flac").unlink()


def _decoded(name: str, data: bytes) -> Flac:
    try:
        return decode_flac(data)
    except MediaError as error:
        raise OperationalError(f"{_WHAT}: {name}: {error}") from error
