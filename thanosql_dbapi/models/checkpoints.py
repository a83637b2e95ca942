"""Where a base model's weights come from: a folder, the Hugging Face hub, or the package.

A name is looked up in the connection's `checkpoints`, then in the environment variable
`THANOSQL_CHECKPOINTS` (`Wav2Vec2En=<folder or hub id>,…`), then with the family. A hub id is
`owner/name`, or `owner/name@revision`. This module knows names and folders, and nothing of what is
in them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..assets import VOICE_TINY
from ..exceptions import CheckpointUnavailable, ProgrammingError, nearest
from ..progress import Progress
from . import families
from .base import Family
from .weights import fetch_weights

ENVIRONMENT = "THANOSQL_CHECKPOINTS"

#: The commits that are meant where nobody says a revision. Of other repositories it is what `main`
#: is when it is fetched; a version keeps which commit that was.
PINNED: Final[Mapping[str, str]] = {
    "facebook/wav2vec2-base-960h": "22aad52d435eb6dbaf354bdad9b0da84ce7d6156",
    "openai/whisper-large-v3": "06f233fe06e710322aca913c1bc4249a0d71fce1",
    "openai/whisper-small": "973afd24965f72e36ca33b3055d56a652f456b4d",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The folder of a base model's weights; of those from the hub, where they are from."""

    folder: Path
    repository: str | None = None
    revision: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what a version keeps of it."""
        if self.repository is None:
            return {}
        return {"checkpoint": {"repository": self.repository, "revision": self.revision}}


def find_checkpoint(
    family: Family,
    checkpoints: Mapping[str, str],
    root: Path,
    *,
    default: str | None = None,
    progress: Progress | None = None,
    check: Callable[[], None] = lambda: None,
) -> Checkpoint:
    """Return a base model's weights, fetched from the hub where need be.

    `default` is a hub id to take before the family's own: that of a larger or smaller sibling.
    `check` raises where the work is to stop.

    Raises:
        CheckpointUnavailable: the folder does not exist, or the hub cannot be reached and the
            weights are not in its cache, or it has them as pickles alone.
    """
    source = checkpoints.get(family.name) or _from_environment().get(family.name)
    source = source or default or family.checkpoint
    if source is None:
        return Checkpoint(VOICE_TINY)
    folder = _folder(source, root)
    if folder is not None:
        return Checkpoint(folder)
    repository, _, revision = source.partition("@")
    if source.startswith((".", "/", "~")) or repository.count("/") != 1:
        raise CheckpointUnavailable(
            f"the checkpoint of {family.name} is set to '{source}', and there is no such folder"
        )
    return _from_hub(family.name, repository, revision, progress or Progress(False), check)


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


def _folder(source: str, root: Path) -> Path | None:
    try:
        folder = root / Path(source).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # a name that is too long; the home of nobody
        return None


def _from_environment() -> dict[str, str]:
    entries = [entry for entry in os.environ.get(ENVIRONMENT, "").split(",") if entry.strip()]
    pairs = [entry.partition("=") for entry in entries]
    wrong = [entry for entry, (_, equals, _) in zip(entries, pairs, strict=True) if not equals]
    if wrong:
        raise ProgrammingError(
            f"{ENVIRONMENT} holds '{wrong[0]}'; it takes <base model>=<folder or hub id>,…"
        )
    return dict(read_checkpoints({name.strip(): source.strip() for name, _, source in pairs}))


def _from_hub(
    base: str,
    repository: str,
    revision: str,
    progress: Progress,
    check: Callable[[], None],
) -> Checkpoint:
    wanted = revision or PINNED.get(repository)
    try:
        folder = fetch_weights(repository, wanted, progress, check)
    except CheckpointUnavailable as error:
        raise CheckpointUnavailable(
            f"the weights of {base} ('{repository}' on the Hugging Face hub) are not on this"
            f" machine and could not be fetched: {error}. Name a local folder by"
            f" connect(checkpoints={{'{base}': '<folder>'}}) or {ENVIRONMENT}, or use the bundled"
            " base Wav2Vec2Tiny, which needs no network."
        ) from error
    return Checkpoint(folder, repository, folder.name)
