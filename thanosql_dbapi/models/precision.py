"""The weights for a numeric precision, and float32 without shortcuts.

What an option comes to on a device is `models.speech_options`' to say. It knows no files and no
text.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..exceptions import MediaError, MediaReason
from .quantised import quantised

Module = TypeVar("Module", bound=torch.nn.Module)


def weights_at(precision: str, model: Module) -> Module:
    """Return a copy of a model, in float32 itself, at precision `half` or `int8`."""
    return copy.deepcopy(model).half() if precision == "half" else quantised(model)


def require_numbers(log_probs: Sequence[float] | NDArray[np.float32]) -> None:
    """Refuse what a model says of a file where its log-probabilities are no numbers.

    Raises:
        MediaError: one of them is not finite.
    """
    if not np.isfinite(log_probs).all():
        raise MediaError(
            "the model's answer is no number: its weights overflow on it, or are broken",
            MediaReason.MODEL_FAILED,
        )


class ExactFloat32:
    """Lets float32 be float32 on a device: no TF32 and no bfloat16 inside.

    The settings are torch's, for all threads: the first to enter sets them, the last puts back
    what was before. A context to enter from several threads at once.
    """

    def __init__(self, device: str) -> None:
        self._on_gpu = torch.device(device).type == "cuda"
        self._lock = threading.Lock()
        self._entered = 0
        self._matmul = "highest"
        self._convolutions = True

    def __enter__(self) -> None:
        with self._lock:
            if not self._entered:
                self._matmul = torch.get_float32_matmul_precision()
                torch.set_float32_matmul_precision("highest")
                if self._on_gpu:
                    self._convolutions = torch.backends.cudnn.allow_tf32
                    torch.backends.cudnn.allow_tf32 = False
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if not self._entered:
                torch.set_float32_matmul_precision(self._matmul)
                if self._on_gpu:
                    torch.backends.cudnn.allow_tf32 = self._convolutions
