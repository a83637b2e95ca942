"""Torch, transformers and torchaudio: whether they load, and on which device they work.

The one place that knows that torchaudio may be installed and broken: its registry build wants
CUDA, `import torchaudio` then raises OSError, and transformers, which looks only whether the
package is there, would fail with it.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..exceptions import MissingExtra, OperationalError, ProgrammingError


@functools.cache
def torchaudio() -> ModuleType | None:
    """Return torchaudio, or None where it is not installed or does not load."""
    try:
        return importlib.import_module("torchaudio")
    except (ImportError, OSError):
        # None in sys.modules is Python's own sign for "not there": transformers goes without it.
        sys.modules["torchaudio"] = None  # type: ignore[assignment]
        return None


def from_pretrained(kind: Any, parts: Sequence[Any], folder: Path, what: str, dtype: Any) -> Any:
    """Read a model of transformers' and its parts, from safetensors in a folder alone.

    `kind` and `parts` are classes; `what` names the model in messages. Returns the model, the
    parts, and the names of the weights that are missing: transformers would fill them with random
    numbers, and only log it.

    Raises:
        OperationalError: the folder has no such model in safetensors.
    """
    from safetensors import SafetensorError

    try:
        model, loading = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        read = [part.from_pretrained(folder, local_files_only=True) for part in parts]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OperationalError(
            f"{folder} holds no {what} with safetensors weights: {reason}"
        ) from error
    return model, read, set(loading["missing_keys"])


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
