"""Models by name and version, on disk.

    <workspace>/models/<name>/versions/3/     one immutable version: weights, vocabulary, facts
                              current         the version in force: `{"version": 3, ...}`
    <workspace>/staging/<random>/             a version that is being written
    <workspace>/locks/<name>.lock             held while a version comes into force, or all go

A version is written under `staging`, and becomes one of the model's by a rename; it comes into
force by the atomic replacement of `current`. A process that dies in between leaves a folder in
`staging`, which nobody reads and which goes as soon as its writer's lock is gone. The registry
knows files, and nothing of what a model is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .exceptions import ModelExists, ModelNotFound, OperationalError, ProgrammingError, nearest

if TYPE_CHECKING:
    from filelock import BaseFileLock

FACTS = "thanosql.json"
#: File systems take 255 bytes, and the lock's name is longer than the folder's.
LONGEST_NAME = 240
#: A lock file is there an instant before it is held.
LOCK_SETTLES_S = 60
_VERSIONED = re.compile(r"(.+)@(\d+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: where its files lie, and the facts written with them."""

    name: str
    number: int
    folder: Path
    facts: Mapping[str, Any]

    @property
    def base(self) -> str:
        """The base model it descends from: the name of its family."""
        return str(self.facts["base"])

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a list of models."""

    name: str
    class_name: str
    updated: dt.datetime


class Registry:
    """The models of one workspace, and the ready ones that come with the package."""

    def __init__(self, folder: Path, bundled: Mapping[str, Version]) -> None:
        self._models = folder / "models"
        self._staging = folder / "staging"
        self._locks = folder / "locks"
        self._bundled = bundled

    def resolve(self, name: str) -> Version:
        """Return the version that `m` (the one in force) or `m@3` names, whatever its case.

        Raises:
            ModelNotFound: there is none; the message names the nearest.
        """
        if self._folder(name).is_dir() or not (versioned := _VERSIONED.match(name)):
            return self._current(name)
        return self._numbered(versioned[1], int(versioned[2]))

    def exists(self, name: str) -> bool:
        """Tell whether `name` has a version in force in this workspace."""
        return (self._folder(name) / "current").is_file()

    def is_known(self, name: str) -> bool:
        """Tell whether `name` is a model of the workspace or comes with the package."""
        return self.exists(name) or self.is_bundled(name)

    def is_bundled(self, name: str) -> bool:
        """Tell whether `name` is a ready model that comes with the package."""
        return name.casefold() in self._bundled

    def names(self) -> list[str]:
        """Return the names of the workspace's models, as they were written."""
        return [listed.name for listed in self.listed()]

    def listed(self) -> list[Listed]:
        """Return the models of the workspace, by name."""
        if not self._models.is_dir():
            return []
        found = []
        for folder in self._models.iterdir():
            with contextlib.suppress(FileNotFoundError):  # deleted while we look
                version = self._in_force(folder)
                updated = dt.datetime.fromisoformat(version.facts["created_utc"])
                found.append(Listed(version.name, version.base, updated))
        return sorted(found, key=lambda listed: listed.name.casefold())

    def require_free(self, name: str, overwrite: bool) -> None:
        """Refuse a name that is taken, or that could not be told from a version.

        Raises:
            ModelExists: the name is taken and `overwrite` is not set.
            ProgrammingError: the name is empty or ends like a version.
        """
        if len(self._folder(name).name) > LONGEST_NAME:
            raise ProgrammingError(f"the name '{name[:20]}…' is too long for a file system")
        if not name.strip() or _VERSIONED.match(name):
            raise ProgrammingError(
                f"'{name}' cannot name a model: a name is not empty and does not end in @<number>"
            )
        if not overwrite and self.exists(name):
            raise ModelExists(
                f"the model '{name}' exists already; OPTIONS (overwrite=True) makes a new version"
            )

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty folder to write a version into; it is gone afterwards, published or not."""
        self._staging.mkdir(parents=True, exist_ok=True)
        self.sweep()
        folder = self._staging / uuid.uuid4().hex
        # The lock comes first: a folder whose lock is free is one that its writer left.
        with _locked(_lock_of(folder)):
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                _lock_of(folder).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers that died left in `staging`."""
        for path in list(self._staging.iterdir()):
            folder = path.with_suffix("")
            # A lock without its folder is of a writer that died while it published, unless the
            # lock is just being taken.
            if folder != path and (folder.exists() or not _has_settled(path)):
                continue
            with contextlib.suppress(TimeoutError), _locked(_lock_of(folder), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                _lock_of(folder).unlink(missing_ok=True)

    def publish(
        self, name: str, staged: Path, facts: Mapping[str, Any], *, overwrite: bool
    ) -> Version:
        """Make the staged folder the newest version of `name` and bring it into force.

        `facts` is completed by name, version and time and written beside the weights.

        Raises:
            ModelExists: the name was taken meanwhile and `overwrite` is not set.
        """
        folder = self._folder(name)
        versions = folder / "versions"
        self.require_free(name, overwrite=True)
        with self._naming(name):
            self.require_free(name, overwrite)
            versions.mkdir(parents=True, exist_ok=True)
            number = 1 + max((int(v.name) for v in versions.iterdir()), default=0)
            created = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
            complete = {"name": name, "version": number, "created_utc": created, **facts}
            _write_json(staged / FACTS, complete)
            _sync_tree(staged)
            staged.rename(versions / str(number))
            _replace_json(folder / "current", {"version": number})
        return Version(name, number, versions / str(number), complete)

    def delete(self, name: str) -> None:
        """Delete a model with all its versions.

        Raises:
            ModelNotFound: there is no such model in the workspace.
        """
        if not self.exists(name):
            self._raise_not_found(name, self.names())
        self._staging.mkdir(parents=True, exist_ok=True)
        grave = self._staging / uuid.uuid4().hex
        with self._naming(name):
            if not self.exists(name):  # another one was faster
                self._raise_not_found(name, self.names())
            # One rename takes the model away whole; what follows is only tidying.
            self._folder(name).rename(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def _naming(self, name: str) -> BaseFileLock:
        """Return the lock of a name; it lies outside the folder that a delete renames."""
        self._locks.mkdir(parents=True, exist_ok=True)
        return _locked(self._locks / f"{self._folder(name).name}.lock")

    def _folder(self, name: str) -> Path:
        """Return a model's folder; the name is folded, and safe as a file name."""
        quoted = urllib.parse.quote(name.casefold(), safe="")
        return self._models / quoted.replace(".", "%2E")

    def _current(self, name: str) -> Version:
        try:
            return self._in_force(self._folder(name))
        except FileNotFoundError:
            if name.casefold() not in self._bundled:
                self._raise_not_found(name, [*self.names(), *self._bundled])
        return self._bundled[name.casefold()]

    def _in_force(self, folder: Path) -> Version:
        """Read the version in force.

        Raises:
            FileNotFoundError: there is none.
        """
        number = json.loads((folder / "current").read_text("utf-8"))["version"]
        return read_version(folder / "versions" / str(number))

    def _numbered(self, name: str, number: int) -> Version:
        bundled = self._bundled.get(name.casefold())
        if bundled is not None and bundled.number == number and not self.exists(name):
            return bundled
        folder = self._folder(name) / "versions"
        try:
            return read_version(folder / str(number))
        except FileNotFoundError:
            known = sorted(int(v.name) for v in folder.iterdir()) if folder.is_dir() else []
        if not known:
            self._raise_not_found(name, [*self.names(), *self._bundled])
        raise ModelNotFound(
            f"the model '{name}' has no version {number}; it has "
            + ", ".join(str(version) for version in known)
        )

    def _raise_not_found(self, name: str, known: list[str]) -> NoReturn:
        raise ModelNotFound(
            f"there is no model '{name}'.{nearest(name, known)} LIST MODEL shows the models;"
            " BUILD MODEL makes one from a base model."
        )


def _locked(path: Path, timeout: float = -1) -> BaseFileLock:
    """Return a lock that goes with its process; `timeout` in seconds, -1 waits."""
    # Imported late: it costs as much as the rest of the driver.
    from filelock import FileLock

    return FileLock(path, timeout=timeout)


def _has_settled(lock: Path) -> bool:
    try:
        return time.time() - lock.stat().st_mtime > LOCK_SETTLES_S
    except FileNotFoundError:
        return False


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def read_version(folder: Path) -> Version:
    """Read a version's facts.

    Raises:
        FileNotFoundError: the folder is no version.
        OperationalError: its facts cannot be read.
    """
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        return Version(facts["name"], facts["version"], folder, facts)
    except (json.JSONDecodeError, KeyError) as error:
        raise OperationalError(f"{folder / FACTS} is damaged: {error}") from error


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file so that a reader sees the old one or the new one, and a crash leaves either."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".current-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    _sync(path.parent)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Have the file system keep a file, or a folder's entries, across a power cut."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # folders cannot be opened on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
