"""Torch, transformers and torchaudio: whether they load, and on which device they work.

The one place that knows that torchaudio may be installed and broken: its registry build wants
CUDA, `import torchaudio` then raises OSError, and transformers, which looks only whether the
package is there, would fail with it.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType

from ..exceptions import MissingExtra, ProgrammingError


@functools.cache
def torchaudio() -> ModuleType | None:
    """Return torchaudio, or None where it is not installed or does not load."""
    try:
        return importlib.import_module("torchaudio")
    except (ImportError, OSError):
        # None in sys.modules is Python's own sign for "not there": transformers goes without it.
        sys.modules["torchaudio"] = None  # type: ignore[assignment]
        return None


@functools.cache
def require_stack() -> None:
    """Make sure that torch and transformers can be imported.

    Raises:
        MissingExtra: one of them is not installed.
    """
    try:
        importlib.import_module("torch")
        torchaudio()
        importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtra(
            f"speech models need torch and transformers ({error});"
            " pip install 'thanosql-dbapi[speech]'"
        ) from error
    _quieten()


def _quieten() -> None:
    """Leave progress to our own bars, and loading reports to errors."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def resolve_device(device: str) -> str:
    """Return the torch device that `device` names; `auto` is the GPU where there is one.

    Raises:
        ProgrammingError: there is no such device here.
    """
    require_stack()
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ProgrammingError(f"device='{device}': {str(error).partition(chr(10))[0]}") from error
    return device
