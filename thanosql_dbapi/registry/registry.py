"""The models of a workspace: what their names mean, and how that changes.

It knows files, and nothing of what a model is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import (
    ModelExists,
    ModelNotFound,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    nearest,
)
from ..quoting import quote_name, quote_text
from . import files
from .collecting import Collected, collect_runs, finished_runs, parents_of_runs
from .names import folder_name, require_name, versioned
from .trash import Deleted, Trash
from .version import FACTS, Version, read_version

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: As many days as dates can be moved by, and more than any file is old.
_LONGEST_DAYS = 36_500.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a list of models.

    `version` is the one in force, or where none is (`published` is False) the newest.
    """

    name: str
    class_name: str
    updated: dt.datetime
    published: bool
    version: Version


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A version that another descends from; `version` is None where it is not there any more."""

    name: str
    version: Version | None


class Registry:
    """The models of one workspace, and the ready ones that come with the package."""

    def __init__(self, folder: Path, bundled: Mapping[str, Version]) -> None:
        self._models = folder / "models"
        self._staging = folder / "staging"
        self._locks = folder / "locks"
        self._training = folder / "training"
        self._trash = Trash(folder / "trash")
        self._bundled = bundled

    # --- what names mean --------------------------------------------------------------------

    def resolve(self, name: str) -> Version:
        """Return the version that `m` (the one in force) or `m@3` names, whatever its case.

        Raises:
            ModelNotFound: there is none; the message names the nearest, or the versions kept.
        """
        if self._folder(name).is_dir() or (numbered := versioned(name)) is None:
            return self._current(name)
        return self._numbered(*numbered)

    def exists(self, name: str) -> bool:
        """Tell whether `name` has a version in force in this workspace."""
        return self.in_force_number(name) is not None

    def is_kept(self, name: str) -> bool:
        """Tell whether `name` is a model of this workspace, in force or not."""
        return (self._folder(name) / "current").is_file()

    def is_known(self, name: str) -> bool:
        """Tell whether `name` is a model of the workspace or comes with the package."""
        return self.exists(name) or self.is_bundled(name)

    def is_bundled(self, name: str) -> bool:
        """Tell whether `name` is a ready model that comes with the package."""
        return name.casefold() in self._bundled

    def in_force_number(self, name: str) -> int | None:
        """Return the number of the version of this workspace that `name` means; None for none."""
        try:
            return _pointer(self._folder(name))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of the workspace's models, as they were written."""
        return [listed.name for listed in self.listed()]

    def listed(self) -> list[Listed]:
        """Return the models of the workspace by name, those without a version in force too."""
        if not self._models.is_dir():
            return []
        found = []
        for folder in self._models.iterdir():
            # It was deleted while we look, or is a file that a file manager left.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found.append(_listed(folder))
        return sorted(found, key=lambda listed: listed.name.casefold())

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a model, oldest first.

        Raises:
            ModelNotFound: there is no such model.
        """
        found = _versions(self._folder(name))
        if not found and self.is_bundled(name):
            return [self._bundled[name.casefold()]]
        if not found:
            raise self._not_found(name, [*self.names(), *self._bundled])
        return found

    def ancestors(self, version: Version) -> list[Ancestor]:
        """Return a version and what it descends from, as it says itself, newest first.

        One that is gone ends the list: it cannot be asked what it descends from.
        """
        line = [Ancestor(str(version), version)]
        seen = {str(version).casefold()}
        parent = version.lineage.get("parent")
        while isinstance(parent, str) and parent.casefold() not in seen:
            seen.add(parent.casefold())
            found: Version | None = None
            with contextlib.suppress(ModelNotFound):
                found = self.resolve(parent)
            line.append(Ancestor(parent, found))
            parent = found.lineage.get("parent") if found is not None else None
        return line

    # --- how that changes -------------------------------------------------------------------

    def require_free(self, name: str, overwrite: bool) -> None:
        """Refuse a name that is taken, or that could not be told from a version.

        A model that has no version in force does not take its name.

        Raises:
            ModelExists: the name is taken and `overwrite` is not set.
            ProgrammingError: the name is empty or ends like a version.
        """
        require_name(name)
        if not overwrite and self.exists(name):
            raise ModelExists(
                f"the model '{name}' exists already; OPTIONS (overwrite=True) makes a new version"
            )

    def staging(self) -> contextlib.AbstractContextManager[Path]:
        """Give an empty folder to write a version into; it is gone afterwards, published or not."""
        return files.staged_folder(self._staging)

    def sweep(self) -> None:
        """Remove what writers that died left in `staging`."""
        files.sweep(self._staging)

    def publish(
        self,
        name: str,
        staged: Path,
        facts: Mapping[str, Any],
        *,
        overwrite: bool,
        in_force: bool = True,
    ) -> Version:
        """Make the staged folder the newest version of `name`, and unless told not to, its meaning.

        `facts` is completed by name, version and time and written beside the weights.

        Raises:
            ModelExists: the name was taken meanwhile and `overwrite` is not set.
        """
        folder = self._folder(name)
        versions = folder / "versions"
        require_name(name)
        with self._naming(name):
            self.require_free(name, overwrite)
            versions.mkdir(parents=True, exist_ok=True)
            # A number is never given twice: `m@3` stays what it was.
            others = self._trash.last_number(name), self._bundled_number(name)
            number = 1 + max(*others, *_numbers(folder))
            created = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
            complete = {"name": name, "version": number, "created_utc": created, **facts}
            files.write_json(staged / FACTS, complete)
            files.sync_tree(staged)
            staged.rename(versions / str(number))
            if in_force:
                files.replace_json(folder / "current", {"version": number})
            elif not self.is_kept(name):
                files.replace_json(folder / "current", {"version": None})
        return Version(name, number, versions / str(number), complete)

    def roll_back(self, name: str, number: int) -> Version:
        """Bring a stored version into force: an older one, a newer one, one that never was.

        Raises:
            ModelNotFound: there is no such model or version.
            NotSupportedError: the model comes with the package.
            ProgrammingError: the name cannot be a model's.
        """
        require_name(name)
        with self._naming(name):
            folder = self._folder(name)
            if self.is_bundled(name) and not _numbers(folder):
                raise NotSupportedError(
                    f"'{name}' comes with the package: there is no other version of it"
                )
            try:
                version = read_version(folder / "versions" / str(number))
            except FileNotFoundError:
                raise self._no_version(name, number) from None
            files.replace_json(folder / "current", {"version": number})
        return version

    def delete(self, name: str) -> None:
        """Delete a model with all its versions; `undelete` brings it back.

        Raises:
            ModelNotFound: there is no such model in the workspace.
        """
        if not self.is_kept(name):
            raise self._not_found(name, self.names())
        with self._naming(name):
            if not self.is_kept(name):  # another one was faster
                raise self._not_found(name, self.names())
            self._trash.take(name, self._folder(name))

    def undelete(self, name: str) -> str:
        """Bring back the model that was deleted last under a name; return it as it was written.

        `m@2` is the one that had this version: others may have been deleted under the name since.

        Raises:
            ModelExists: the name is taken.
            ModelNotFound: nothing was deleted under it, or it was removed for good.
            ProgrammingError: the name cannot be a model's.
        """
        wanted = name
        name, number = versioned(name) or (name, None)
        require_name(name)
        with self._naming(name):
            folder = self._folder(name)
            deleted = self._trash.newest(name, number)
            if self.is_kept(name):
                raise ModelExists(f"the model '{name}' exists" + _way_back(name, deleted))
            if deleted is None:
                raise ModelNotFound(
                    f"no deleted model has the name '{wanted}'.{nearest(name, self._trash.names())}"
                )
            if folder.is_dir():  # what a first build that was killed left
                self._trash.take(name, folder)
            self._models.mkdir(parents=True, exist_ok=True)
            deleted.folder.rename(folder)
            return _listed(folder).name

    # --- what goes for good -----------------------------------------------------------------

    def collect(self, keep: int, days: float) -> list[Collected]:
        """Remove for good what is not needed; return what went.

        That is: models deleted more than `days` ago; versions that are neither in force nor among
        the newest `keep` of their model, nor what a training that can be gone on with began from;
        what trainings left that ended without a version and were not touched for `days`. Nothing
        goes that a process is at.

        Raises:
            ProgrammingError: `keep` is less than 1, or `days` negative.
        """
        if keep < 1:
            raise ProgrammingError(f"keep is {keep}: at least 1 version of each model is kept")
        if not days >= 0:  # nor what is no number
            raise ProgrammingError(f"days is {days}: it cannot be negative")
        days = min(days, _LONGEST_DAYS)
        self._staging.mkdir(parents=True, exist_ok=True)
        self.sweep()
        collected = self._collect_trash(days)
        # Runs go first: one that is gone needs its parent no more.
        collected += collect_runs(self._training, self._staging, days)
        needed = parents_of_runs(self._training)
        folders = list(self._models.iterdir()) if self._models.is_dir() else []
        for folder in sorted(folders):
            collected += self._collect_versions(folder, keep, needed)
        return collected

    def sweep_runs(self) -> None:
        """Remove what is left of trainings that came to a version."""
        finished_runs(self._training, self._staging)

    def _collect_trash(self, days: float) -> list[Collected]:
        collected = []
        for one in self._trash.older(days):
            with self._naming(one.name):
                if one.folder.is_dir():  # it may have come back
                    size = self._trash.remove(one, self._staging)
                    collected.append(Collected("deleted model", one.name, size))
        return collected

    def _collect_versions(self, model: Path, keep: int, needed: set[str]) -> list[Collected]:
        collected = []
        # The folder's name stands for the model's: it gives the same lock.
        lock = files.locked(self._locks_folder() / f"{model.name}.lock")
        # It was just deleted, or is no folder.
        with lock, contextlib.suppress(FileNotFoundError, NotADirectoryError):
            stays = {_pointer(model), *sorted(_numbers(model))[-keep:]}
            for version in _versions(model):
                if version.number in stays or str(version).casefold() in needed:
                    continue
                size = files.size_of(version.folder)
                files.remove(version.folder, self._staging)
                collected.append(Collected("version", str(version), size))
        return collected

    # --- folders ----------------------------------------------------------------------------

    def _naming(self, name: str) -> BaseFileLock:
        """Return the lock of a name; it lies outside the folder that a delete renames."""
        return files.locked(self._locks_folder() / f"{folder_name(name)}.lock")

    def _locks_folder(self) -> Path:
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks

    def _folder(self, name: str) -> Path:
        return self._models / folder_name(name)

    def _current(self, name: str) -> Version:
        with contextlib.suppress(FileNotFoundError):
            version = _in_force(self._folder(name))
            if version is not None:
                return version
        if self.is_bundled(name):
            return self._bundled[name.casefold()]
        raise self._unresolved(name)

    def _numbered(self, name: str, number: int) -> Version:
        try:
            return read_version(self._folder(name) / "versions" / str(number))
        except FileNotFoundError:
            if self._bundled_number(name) == number:
                return self._bundled[name.casefold()]
            raise self._no_version(name, number) from None

    def _bundled_number(self, name: str) -> int:
        """Return the number of the ready model of a name; 0 where there is none."""
        bundled = self._bundled.get(name.casefold())
        return 0 if bundled is None else bundled.number

    def _no_version(self, name: str, number: int) -> ModelNotFound:
        known = sorted(_numbers(self._folder(name)))
        if not known:
            return self._not_found(name, [*self.names(), *self._bundled])
        return ModelNotFound(
            f"the model '{name}' has no version {number}; it has " + ", ".join(map(str, known))
        )

    def _unresolved(self, name: str) -> ModelNotFound:
        """Say why a bare name means nothing."""
        kept = _versions(self._folder(name)) if self.is_kept(name) else []
        if not kept:
            return self._not_found(name, [*self.names(), *self._bundled])
        newest = quote_name(str(kept[-1]))
        refusal = kept[-1].lineage.get("refusal")
        return ModelNotFound(
            f"'{name}' has no version in force: {newest} was kept"
            + (f", but {refusal}" if refusal else "")
            + f". PREDICT USING {newest} uses it nevertheless; thanosql_rollback"
            f"({quote_text(kept[-1].name)}, {kept[-1].number}) brings it into force, and so does"
            " OPTIONS (publish='always') when it is built."
        )

    def _not_found(self, name: str, known: list[str]) -> ModelNotFound:
        hint = nearest(name, known)
        if self._trash.newest(name) is not None:
            hint = f" It was deleted; thanosql_undelete({quote_text(name)}) brings it back."
        return ModelNotFound(
            f"there is no model '{name}'.{hint} LIST MODEL shows those that are in"
            f" '{self._models.parent}', LIST THANOSQL MODEL those of the catalogue;"
            " BUILD MODEL makes one from a base model."
        )


def _way_back(name: str, deleted: Deleted | None) -> str:
    """Say how a deleted model comes back whose name is taken, where there is one."""
    if deleted is None:
        return ""
    number = max(_numbers(deleted.folder), default=1)
    return (
        f", and the one that was deleted needs its name: after DELETE MODEL {quote_name(name)},"
        f" thanosql_undelete({quote_text(f'{name}@{number}')}) brings it back"
    )


def _pointer(model: Path) -> int | None:
    """Return the number of the version in force; None where versions are kept, and none is.

    Raises:
        FileNotFoundError: there is no such model.
        OperationalError: it cannot be read.
    """
    path = model / "current"
    try:
        number = json.loads(path.read_text("utf-8"))["version"]
        return None if number is None else int(number)
    except (ValueError, KeyError, TypeError) as error:
        raise OperationalError(
            f"{path} is damaged: {error}. thanosql_rollback writes it anew."
        ) from error


def _in_force(model: Path) -> Version | None:
    """Return the version in force; None where versions are kept, and none is.

    Raises:
        FileNotFoundError: there is no such model, or not the version that it names.
    """
    number = _pointer(model)
    while number is not None:
        try:
            return read_version(model / "versions" / str(number))
        except FileNotFoundError:
            missing, number = number, _pointer(model)
            if number == missing:  # else another came into force, and this one was collected
                raise
    return None


def _numbers(model: Path) -> list[int]:
    try:
        return [int(path.name) for path in (model / "versions").iterdir() if path.name.isdigit()]
    except FileNotFoundError:
        return []


def _versions(model: Path) -> list[Version]:
    found = []
    for number in sorted(_numbers(model)):
        with contextlib.suppress(FileNotFoundError):  # collected while we look
            found.append(read_version(model / "versions" / str(number)))
    return found


def _listed(model: Path) -> Listed:
    """Describe a model for a list.

    Raises:
        FileNotFoundError: there is none in the folder.
    """
    in_force = _in_force(model)
    newest = max(_numbers(model), default=0)
    version = in_force or read_version(model / "versions" / str(newest))
    updated = dt.datetime.fromisoformat(version.facts["created_utc"])
    return Listed(version.name, version.base, updated, in_force is not None, version)
