"""One version of a model: its folder, and the facts written with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exceptions import OperationalError

FACTS = "thanosql.json"
#: What a version keeps of its making, in a folder of its own: it decides nothing it predicts.
ABOUT = "about"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: where its files lie, and the facts written with them."""

    name: str
    number: int
    folder: Path
    facts: Mapping[str, Any]

    @property
    def base(self) -> str:
        """The base model it descends from: the name of its family."""
        return str(self.facts["base"])

    @property
    def lineage(self) -> Mapping[str, Any]:
        """How it was made; of a version from before there was a lineage, what its facts tell."""
        older = {name: self.facts[name] for name in _OLDER_FACTS if name in self.facts}
        lineage = self.facts.get("lineage")
        return {**older, **lineage} if isinstance(lineage, Mapping) else older

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


#: What versions had among their facts before they had a lineage.
_OLDER_FACTS = (
    *("parent", "options", "rows", "data_digest", "audio_seconds", "epoch_losses", "steps"),
    *("libraries", "device", "seconds"),
)


def read_version(folder: Path) -> Version:
    """Read a version's facts.

    Raises:
        FileNotFoundError: the folder is no version.
        OperationalError: its facts cannot be read.
    """
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        return Version(facts["name"], facts["version"], folder, facts)
    except (ValueError, KeyError, TypeError) as error:
        raise OperationalError(f"{folder / FACTS} is damaged: {error}") from error
