"""Which decoder a version's frames become text by, as `decoder.json` in its folder says.

This module knows that file, and neither decoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from ..exceptions import OperationalError

FILE: Final = "decoder.json"


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """How a version's frames become text, and what spoke for it.

    `decoder` is 'greedy' or 'beam'. The weights are the beam's, whichever was chosen: the model's
    logarithms are divided by `temperature`, the language model's multiplied by `lm_weight`;
    `word_bonus` is added for each word, and `unknown_penalty` taken off for one outside the
    lexicon, both in nats. The rates are those of the
    held-out rows, None where there were none; `evidence` says in words what decided.
    """

    decoder: str
    beam_width: int = 16
    temperature: float = 2.0
    lm_weight: float = 0.5
    word_bonus: float = 1.0
    unknown_penalty: float = 4.0
    wer_greedy: float | None = None
    wer_beam: float | None = None
    coverage: float | None = None
    evidence: str = ""

    def write(self, folder: Path) -> None:
        """Write the choice into a version's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_decoder(folder: Path) -> DecoderChoice | None:
    """Return the choice that a version was saved with; None where there is none.

    Raises:
        OperationalError: its file is broken.
    """
    try:
        return _read_choice(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise OperationalError(f"{folder / FILE} says no decoder: {error}") from error


def _read_choice(given: Mapping[str, Any]) -> DecoderChoice:
    known = {each.name for each in fields(DecoderChoice)}
    choice = DecoderChoice(**{name: value for name, value in given.items() if name in known})
    if choice.decoder not in ("greedy", "beam"):
        raise ValueError(f"it names {choice.decoder!r}")
    if not isinstance(choice.beam_width, int) or choice.beam_width < 1:
        raise ValueError(f"its beam_width is {choice.beam_width!r}")
    for name in ("temperature", "lm_weight", "word_bonus", "unknown_penalty"):
        if not math.isfinite(getattr(choice, name)):
            raise ValueError(f"its {name} is no number")
    if choice.temperature <= 0 or choice.lm_weight < 0:
        raise ValueError("its temperature or lm_weight is too small")
    return choice
