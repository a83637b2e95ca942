"""Where a base model's weights come from: a folder, the Hugging Face hub, or the package.

A name is looked up in the connection's `checkpoints`, then in the environment variable
`THANOSQL_CHECKPOINTS` (`Wav2Vec2En=<folder or hub id>,…`), then with the family. This module
knows names and folders, and nothing of what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..assets import VOICE_TINY
from ..exceptions import CheckpointUnavailable, MissingExtra, ProgrammingError, nearest
from . import families
from .base import Family

ENVIRONMENT = "THANOSQL_CHECKPOINTS"

#: Weights in safetensors and the JSON around them; pickled weights are neither fetched nor read.
_WANTED = ("*.safetensors", "*.json", "*.txt")


def checkpoint_folder(
    family: Family, checkpoints: Mapping[str, str], root: Path, default: str | None = None
) -> Path:
    """Return the folder of a base model's weights, fetched from the hub where need be.

    `default` is a hub id to take before the family's own: that of a larger or smaller sibling.

    Raises:
        CheckpointUnavailable: the folder does not exist, or the hub cannot be reached and the
            weights are not in its cache.
    """
    source = checkpoints.get(family.name) or _from_environment().get(family.name)
    source = source or default or family.checkpoint
    if source is None:
        return VOICE_TINY
    folder = root / Path(source).expanduser()
    if folder.is_dir():
        return folder
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise CheckpointUnavailable(
            f"the checkpoint of {family.name} is set to '{source}', and there is no such folder"
        )
    return _from_hub(family.name, source)


def read_checkpoints(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """Check the names of a `checkpoints` mapping.

    Raises:
        ProgrammingError: one is no base model; the message names the nearest.
    """
    for name in given or {}:
        if name not in families.names() and name not in families.PLANNED:
            raise ProgrammingError(
                f"checkpoints: there is no base model '{name}'.{nearest(name, families.names())}"
            )
    return dict(given or {})


def _from_environment() -> dict[str, str]:
    entries = [entry for entry in os.environ.get(ENVIRONMENT, "").split(",") if entry.strip()]
    pairs = [entry.partition("=") for entry in entries]
    wrong = [entry for entry, (_, equals, _) in zip(entries, pairs, strict=True) if not equals]
    if wrong:
        raise ProgrammingError(
            f"{ENVIRONMENT} holds '{wrong[0]}'; it takes <base model>=<folder or hub id>,…"
        )
    return dict(read_checkpoints({name.strip(): source.strip() for name, _, source in pairs}))


def _from_hub(base: str, repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise MissingExtra(
            "fetching weights needs huggingface_hub: pip install 'thanosql-dbapi[speech]'"
        ) from error
    try:
        return Path(snapshot_download(repository, allow_patterns=list(_WANTED)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise CheckpointUnavailable(
            f"the weights of {base} ('{repository}' on the Hugging Face hub) are not on this"
            f" machine and could not be fetched: {_first_line(error)}. Name a local folder by"
            f" connect(checkpoints={{'{base}': '<folder>'}}) or {ENVIRONMENT}, or use the bundled"
            " base Wav2Vec2Tiny, which needs no network."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
