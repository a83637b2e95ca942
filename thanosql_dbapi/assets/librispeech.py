"""The layout of `librispeech_data`: 100 utterances of mini LibriSpeech, as the tutorials name them.

Which ones is decided by their names, lengths and speakers alone, so it is the same every time. It
reads an archive in LibriSpeech's own layout, and does not know where that came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Final

from ..exceptions import MediaError, OperationalError
from ..media.flac import HEAD_BYTES, FlacHead, decode_flac, read_head, write_wav
from .archives import Member, members
from .datasets import DATASETS, LaidOut, Table

_TRAIN: Final = 80
_TEST: Final = 20
#: Every fifth speaker is one of the test table.
_TEST_SPEAKER: Final = 5
#: Seconds of an utterance that is worth training on and small to train on.
_SECONDS: Final = (1.0, 15.0)
_RATE: Final = 16_000

_WHAT: Final = "the archive of mini LibriSpeech"
_MOST_BYTES: Final = DATASETS["librispeech_data"].most_bytes
_RECORDING = re.compile(r"LibriSpeech/dev-clean-2/(\d+)/(\d+)/(\1-\2-\d+)\.flac")
_TEXTS = re.compile(r"LibriSpeech/dev-clean-2/(\d+)/(\d+)/\1-\2\.trans\.txt")
#: Transcripts have no other characters; what does is no transcript of theirs.
_TEXT = re.compile(r"[A-Z' ]+")


def lay_out(
    archive: Callable[[], BinaryIO],
    folder: Path,
    place: str,
    told: Callable[[int], None],
) -> LaidOut:
    """Write `000.wav` … `079.wav` to train on and `080.wav` … `099.wav` to test.

    See `datasets.Layout`.
    """
    texts, lengths = _survey(archive)
    chosen = _choose(texts, lengths)
    files = {name: f"{number:03}.wav" for number, name in enumerate(chosen)}
    unverified = 0
    done = 0
    for member, name in _recordings(archive):
        if name in files:
            unverified += not _write(member, folder / files[name])
            told(done := done + 1)
    rows = [(f"{place}/{file}", texts[name].lower()) for name, file in files.items()]
    columns = ("audio_path", "text")
    return LaidOut(
        tables=(
            Table("librispeech_train.csv", columns, rows[:_TRAIN]),
            Table("librispeech_test.csv", columns, rows[_TRAIN:]),
        ),
        files=len(files),
        audio_seconds=sum(lengths[name] for name in files),
        origins={file: name for name, file in files.items()},
        unverified=unverified,
    )


def _recordings(archive: Callable[[], BinaryIO]) -> Iterator[tuple[Member, str]]:
    with archive() as file:
        for member in members(file, _WHAT, _MOST_BYTES):
            if match := _RECORDING.fullmatch(member.name):
                yield member, match[3]


def _survey(archive: Callable[[], BinaryIO]) -> tuple[dict[str, str], dict[str, float]]:
    """Read all texts, and the length of each recording that is of the corpus's kind, in seconds."""
    texts: dict[str, str] = {}
    lengths: dict[str, float] = {}
    with archive() as file:
        for member in members(file, _WHAT, _MOST_BYTES):
            if _TEXTS.fullmatch(member.name):
                lines = member.read().decode("utf-8", "replace").splitlines()
                pairs = (line.partition(" ") for line in lines)
                texts |= {name: text for name, _, text in pairs if _TEXT.fullmatch(text)}
            elif match := _RECORDING.fullmatch(member.name):
                head = _head(member)
                if (head.sampling_rate, head.channels, head.bits) == (_RATE, 1, 16):
                    lengths[match[3]] = head.duration_s
    return texts, lengths


def _head(member: Member) -> FlacHead:
    try:
        return read_head(member.read(HEAD_BYTES))
    except MediaError as error:
        raise OperationalError(f"{_WHAT}: {member.name}: {error}") from error


def _choose(texts: Mapping[str, str], lengths: Mapping[str, float]) -> list[str]:
    """Return the names of the utterances, first those to train on, then those to test.

    The speakers take turns, each with their utterances in order, so that the first rows of a table
    are of many speakers already.

    Raises:
        OperationalError: there are too few.
    """
    low, high = _SECONDS
    by_speaker: dict[int, list[str]] = {}
    for name in sorted(lengths, key=_numbers):
        if name in texts and low <= lengths[name] <= high:
            by_speaker.setdefault(_numbers(name)[0], []).append(name)
    speakers = sorted(by_speaker)
    to_test = [by_speaker[s] for s in speakers[_TEST_SPEAKER - 1 :: _TEST_SPEAKER]]
    to_train = [by_speaker[s] for i, s in enumerate(speakers, 1) if i % _TEST_SPEAKER]
    chosen = [*_in_turn(to_train)[:_TRAIN], *_in_turn(to_test)[:_TEST]]
    if len(chosen) < _TRAIN + _TEST:
        raise OperationalError(
            f"{_WHAT} has {len(chosen)} utterances of {low:g} to {high:g} s in 16 kHz mono FLAC"
            f" with a text, by speakers apart; {_TRAIN + _TEST} are needed"
        )
    return chosen


def _in_turn(speakers: list[list[str]]) -> list[str]:
    return [name for turn in zip_longest(*speakers) for name in turn if name is not None]


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.split("-")]


def _write(member: Member, path: Path) -> bool:
    """Write a recording as WAV; return whether its samples were verified."""
    try:
        flac = decode_flac(member.read())
    except MediaError as error:
        raise OperationalError(f"{_WHAT}: {member.name}: {error}") from error
    write_wav(path, flac)
    return flac.is_verified
