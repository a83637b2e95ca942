"""A folder put in its place whole: whoever looks sees the one before, or the new one.

It knows folders, and nothing of what is in them.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..registry.files import locked, sync_tree

#: Seconds between two looks at whether another process is done.
_POLL_S: Final = 0.1
#: Linux's renameat2: from the current folder, and exchange the two.
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@contextmanager
def alone(lock: Path, check: Callable[[], None]) -> Iterator[None]:
    """Wait until no other process or thread is at it, and keep them out meanwhile."""
    held = locked(lock, timeout=0)
    while True:
        check()
        try:
            held.acquire()
            break
        except TimeoutError:
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        held.release()


def put(staged: Path, target: Path, aside: Path) -> None:
    """Put a folder in its place; what was there before is left at `staged`, or gone.

    `aside` is where the one before rests for an instant, on systems that cannot exchange two
    folders; `restore` brings it back after a crash just then.
    """
    sync_tree(staged)
    if not os.path.lexists(target):
        staged.rename(target)
    elif _exchange(staged, target):
        if staged.is_symlink() or not staged.is_dir():
            staged.unlink()  # a link goes, and not what it points to
    else:
        target.rename(aside)
        staged.rename(target)
        _remove(aside)


def restore(target: Path, aside: Path) -> None:
    """Bring back, or clear away, what a crash in the middle of `put` left."""
    if not os.path.lexists(aside):
        return
    if os.path.lexists(target):
        _remove(aside)
    else:
        aside.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    done: int = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return done == 0
