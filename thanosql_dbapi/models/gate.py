"""Whether a trained model is good enough to be what its name means.

It is judged by what it and the model it comes from make of the same recordings, letter by letter:
a language model could hide that an acoustic model has learnt nothing. On few recordings a word
more or less is chance, so a model is refused where it is worse beyond that. This module knows
texts and error rates, and nothing of models or audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Standard deviations that an increase in errors must reach: of what happens by chance, one in
#: forty does.
_BEYOND_CHANCE: Final = 1.96

#: A model with more errors than that has understood nothing that could not be chance.
_DEAF: Final = 0.5

#: A loss that rose by so many nats a letter, and twofold, is no chance of which rows came last.
_RISEN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """The word error rates of a model on some rows: greedy, and by the decoder it is used with."""

    greedy: float
    served: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trained model and its base make of the same recordings.

    `heard` is what the trained model's greedy paths write; the error rates are fractions of the
    `words` that were said. `held_out` tells whether neither was trained on the recordings, and
    `divergence` says where the training broke off. The losses, nats a letter, are those of the
    first step and of the last epoch. `belongs` is what `matching.belong` tells of what was heard.
    """

    heard: Sequence[str]
    words: int
    rates: Rates
    base: Rates
    held_out: bool
    divergence: str | None = None
    first_loss: float = 0.0
    last_loss: float = 0.0
    belongs: bool | None = None


def refusal(judged: Judged) -> str | None:
    """Return why a model should not come into force; None where it may.

    Two counts of errors differ beyond chance where their difference is more than 1.96 times the
    root of their sum, as for counts of rare, independent events (Przyborowski and Wilenski, 1940,
    by the normal approximation). Errors on the same recordings are not independent, which makes
    the true bar lower: a model is rather let through, with a remark, than refused by chance.
    """
    if judged.divergence is not None:
        return f"the training diverged: {judged.divergence}"
    if judged.last_loss > max(2 * judged.first_loss, judged.first_loss + _RISEN):
        return (
            f"the training diverged: its loss was {judged.first_loss:.2f} in the first step and"
            f" {judged.last_loss:.2f} in the last epoch"
        )
    if not any(text.strip() for text in judged.heard):
        return f"the model writes nothing at all (only blanks) for {_rows(judged)}"
    if judged.belongs is False and min(judged.rates.greedy, judged.rates.served) > _DEAF:
        return (
            "texts and recordings may not belong together: what was heard is no more like the"
            " rows' own texts than like those of other rows, and the model is wrong in most words"
            f" of {_rows(judged)}"
        )
    for kind, now, before in (
        ("greedy", judged.rates.greedy, judged.base.greedy),
        ("", judged.rates.served, judged.base.served),
    ):
        errors, errors_before = now * judged.words, before * judged.words
        if errors - errors_before > _BEYOND_CHANCE * math.sqrt(errors + errors_before):
            return _worse(judged, kind, now, before)
    return None


def remark(judged: Judged) -> str | None:
    """Return what to say of a model that may come into force, and is no better than its base."""
    if refusal(judged) is not None or judged.rates.served <= judged.base.served:
        return None
    worse = _worse(judged, "", judged.rates.served, judged.base.served)
    return f"{worse}: on so few words that may be chance"


def _worse(judged: Judged, kind: str, now: float, before: float) -> str:
    return (
        f"the model is worse than what it was trained from: its {kind}{' ' if kind else ''}word"
        f" error rate on {_rows(judged)}, is {now:.1%}, and was {before:.1%}"
    )


def _rows(judged: Judged) -> str:
    count = len(judged.heard)
    rows = "row" if count == 1 else "rows"
    what = f"held-out {rows}" if judged.held_out else f"{rows} that it was trained on"
    words = "word" if judged.words == 1 else "words"
    return f"the {count} {what}, {judged.words} {words}"
