"""How much audio fits into memory at once: learnt from running out of it.

It knows torch's errors, and no model.
"""

from __future__ import annotations

import math
from typing import Final

import torch

#: Batches that must fit before a budget that was cut grows again; twice as many the next time.
_PATIENCE: Final = 16


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory, of the GPU or of the machine, was what lacked."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    # The CPU's allocator has no class of its own. The second wording is Windows'.
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator: can't allocate memory" in text
        or "DefaultCPUAllocator: not enough memory" in text
    )


class Budget:
    """The most seconds of audio that a batch may have on a device; no limit to begin with."""

    def __init__(self) -> None:
        self.seconds = math.inf
        self._most = math.inf
        self._fitted = 0
        self._grown = False
        self._patience = _PATIENCE

    def shrink(self, seconds: float) -> None:
        """Note that a batch of so many seconds did not fit."""
        if self._grown:
            self._patience *= 2  # too soon
        self._grown = False
        self._most = min(self._most, seconds)
        self.seconds = min(self.seconds, seconds / 2)
        self._fitted = 0

    def grow(self, seconds: float) -> None:
        """Note that a batch of so many seconds fitted.

        The budget doubles after a row of batches that used it, up to what once did not fit: other
        programs may have left the memory since.
        """
        if seconds < self.seconds / 2 or self.seconds >= self._most:
            return
        self._fitted += 1
        if self._fitted >= self._patience:
            self.seconds = min(self.seconds * 2, self._most)
            self._grown = True
            self._fitted = 0
