"""Torch's number of threads: what there is to share out, and giving it back.

It knows torch alone.
"""

from __future__ import annotations

import functools
import threading
from typing import Final

import torch


@functools.cache
def available() -> int:
    """Return the threads that torch may use: asked once, before any lane sets its own."""
    return torch.get_num_threads()


class _Restored:
    """Gives torch's number of threads back: what a lane sets is every new thread's default.

    The first run to enter notes what it was, the last puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = 0
        self._count = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._entered:
                self._count = torch.get_num_threads()
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if not self._entered:
                torch.set_num_threads(self._count)


restored: Final = _Restored()
