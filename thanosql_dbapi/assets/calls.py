"""The layout of `calls_data`: the recordings that come with the package, with their two tables."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from . import RECORDINGS
from .datasets import LaidOut, Table

_TABLES: Final = ("calls_train.csv", "calls_test.csv")
_PATH: Final = "audio_path"


def lay_out(
    _archive: Callable[[], BinaryIO],
    folder: Path,
    place: str,
    told: Callable[[int], None],
) -> LaidOut:
    """Copy them; no archive is opened. See `datasets.Layout`."""
    from ..media.audio import probe_audio
    from ..media.sources import LocalFile

    tables = [_table(name) for name in _TABLES]
    files = [row[0] for table in tables for row in table.rows]
    for number, file in enumerate(files, 1):
        shutil.copyfile(RECORDINGS / file, folder / file)
        told(number)
    placed = [
        Table(t.file, t.columns, [(f"{place}/{row[0]}", *row[1:]) for row in t.rows])
        for t in tables
    ]
    seconds = sum(probe_audio(LocalFile(f, RECORDINGS / f)).duration_s for f in files)
    return LaidOut(placed, len(files), seconds, {})


def _table(name: str) -> Table:
    with (RECORDINGS / name).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == _PATH
    return Table(name, header, rows)
