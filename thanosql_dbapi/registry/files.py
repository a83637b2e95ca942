"""Files that a crash leaves whole, locks that go with their process, and folders on their way.

What is written first lies under `staging`, in a folder with a lock beside it; what is taken away
goes there by one rename. It knows nothing of models.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: A lock file is there an instant before it is held.
LOCK_SETTLES_S = 60


def locked(path: Path, timeout: float = -1) -> BaseFileLock:
    """Return a lock that goes with its process; `timeout` in seconds, -1 waits."""
    # Imported late: it costs as much as the rest of the driver.
    from filelock import FileLock

    return FileLock(path, timeout=timeout)


@contextlib.contextmanager
def staged_folder(staging: Path) -> Iterator[Path]:
    """Give an empty folder under `staging`, which goes afterwards, or is renamed meanwhile."""
    staging.mkdir(parents=True, exist_ok=True)
    sweep(staging)
    folder = staging / uuid.uuid4().hex
    # The lock comes first: a folder whose lock is free is one that its writer left.
    with locked(_lock_of(folder)):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def sweep(staging: Path) -> None:
    """Remove what writers that died left in `staging`."""
    for path in list(staging.iterdir()):
        folder = path.with_suffix("")
        # A lock without its folder is of a writer that died while it published, unless the
        # lock is just being taken.
        if folder != path and (folder.exists() or not _has_settled(path)):
            continue
        with contextlib.suppress(TimeoutError), locked(_lock_of(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def grave(staging: Path) -> Path:
    """Return a name under `staging` for what is to go; `remove` ends it."""
    staging.mkdir(parents=True, exist_ok=True)
    return staging / uuid.uuid4().hex


def remove(folder: Path, staging: Path) -> None:
    """Take a folder away whole by one rename; what follows is only tidying."""
    resting = grave(staging)
    folder.rename(resting)
    shutil.rmtree(resting, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files, those that go meanwhile left out."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that nobody reads yet."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file so that a reader sees the old one or the new one, and a crash leaves either."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".current-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    _sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Have the file system keep a folder with all its files across a power cut."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # folders cannot be opened on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _has_settled(lock: Path) -> bool:
    try:
        return time.time() - lock.stat().st_mtime > LOCK_SETTLES_S
    except FileNotFoundError:
        return False


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")
