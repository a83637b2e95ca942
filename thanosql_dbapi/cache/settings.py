"""What decides a prediction, beside the medium itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a prediction was made with.

    `model` is the digest of the model's content, `options` the canonical JSON of those options
    that decide, `revision` the family's.
    """

    model: str
    options: str
    precision: str
    revision: int


def canonical(values: Mapping[str, Any]) -> str:
    """Return values as the one JSON text that equal values have."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
