"""Models that were deleted, and can come back.

    <workspace>/trash/<name>/<time>/       a model as it was, with all its versions
                             last.json     the highest number that a version of that name had

It knows folders, and nothing of what names mean.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import remove, replace_json, size_of
from .names import folder_name, name_of_folder

_TIME = "%Y%m%dT%H%M%S.%fZ"
_LAST = "last.json"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deleted model: its name, folded, and when it went (UTC)."""

    name: str
    folder: Path
    deleted: dt.datetime


class Trash:
    """The deleted models of a workspace. Who changes it holds the name's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, name: str, model: Path) -> None:
        """Take a model's folder in, by one rename."""
        of_name = self._folder / folder_name(name)
        of_name.mkdir(parents=True, exist_ok=True)
        now = dt.datetime.now(dt.UTC)
        while (kept := of_name / now.strftime(_TIME)).exists():
            now += dt.timedelta(microseconds=1)
        model.rename(kept)

    def newest(self, name: str, number: int | None = None) -> Deleted | None:
        """Return what was deleted last under a name (with a version of a number), if any was."""
        # A folder without a pointer never was a model: the first build of it was killed.
        models = [
            one
            for one in _in(self._folder / folder_name(name))
            if (one.folder / "current").is_file()
            if number is None or (one.folder / "versions" / str(number)).is_dir()
        ]
        return max(models, key=lambda one: one.deleted, default=None)

    def names(self) -> list[str]:
        """Return the names, folded, that something was deleted under."""
        return sorted({one.name for one in self._all() if (one.folder / "current").is_file()})

    def last_number(self, name: str) -> int:
        """Return the highest number that a deleted version of a name had; 0 where there is none."""
        folder = self._folder / folder_name(name)
        numbers = [
            int(path.name)
            for one in _in(folder)
            for path in _listed(one.folder / "versions")
            if path.name.isdigit()
        ]
        try:
            written = json.loads((folder / _LAST).read_text("utf-8"))
            numbers.append(int(written["number"]))
        except FileNotFoundError:
            pass  # nothing was removed for good yet
        return max(numbers, default=0)

    def older(self, days: float) -> list[Deleted]:
        """Return what was deleted more than so many days ago, oldest first."""
        before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        return sorted(
            (one for one in self._all() if one.deleted <= before), key=lambda one: one.deleted
        )

    def remove(self, one: Deleted, staging: Path) -> int:
        """Remove a deleted model for good, but for its last number; return its bytes."""
        size = size_of(one.folder)
        number = self.last_number(one.name)
        replace_json(one.folder.parent / _LAST, {"number": number})
        remove(one.folder, staging)
        return size

    def _all(self) -> Iterator[Deleted]:
        for of_name in _listed(self._folder):
            yield from _in(of_name)


def _in(of_name: Path) -> Iterator[Deleted]:
    for folder in _listed(of_name):
        try:
            deleted = dt.datetime.strptime(folder.name, _TIME).replace(tzinfo=dt.UTC)
        except ValueError:  # the file with the last number
            continue
        yield Deleted(name_of_folder(of_name.name), folder, deleted)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # a file manager may leave files of its own
        return []
