"""Findings about the rows of a training: their kinds, and what follows from them.

It knows how findings are told, and not how they are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..base import Finding, Severity

if TYPE_CHECKING:
    from ..vocabulary import Fitting, UnfitText
    from .waveforms import WaveformStore

#: How many examples a detail names, and how long they may be.
EXAMPLES: Final = 3
EXAMPLE_LENGTH: Final = 40


class Kind(StrEnum):
    """The kinds of findings."""

    MISSING = "missing audio"
    UNREACHABLE = "unreachable audio"
    NOT_AUDIO = "not audio"
    TRUNCATED = "truncated audio"
    EMPTY = "empty audio"
    BROKEN = "broken audio"
    TOO_SHORT = "audio too short"
    TOO_LONG = "audio too long"
    LONG = "long audio"
    SILENT = "silent audio"
    QUIET = "quiet audio"
    CLIPPED = "clipped audio"
    NO_TEXT = "no text"
    UNFIT_TEXT = "unfit text"
    TEXT_TOO_LONG = "text longer than audio"
    FAST = "fast speech"
    SLOW = "slow speech"
    MOSTLY_DROPPED = "text mostly dropped"
    DROPPED_LETTERS = "dropped letters"
    DROPPED_SYMBOLS = "dropped symbols"
    DROPPED_PUNCTUATION = "dropped punctuation"
    DROPPED_ACCENTS = "dropped accents"
    FOLDED_CASE = "changed case"
    SPELLED_NUMBERS = "spelled numbers"
    LONG_NUMBERS = "long numbers"
    COVERAGE = "vocabulary coverage"
    UNUSED_LETTERS = "unused letters"
    MISPLACED = "texts of other recordings"
    OTHER_TEXT = "same audio, other text"
    DUPLICATE = "duplicate row"
    LEAK = "held-out audio in training"
    ONE_TEXT = "one text"
    FEW_ROWS = "few rows"
    NO_ROWS = "no rows"
    ROWS = "rows"
    DURATIONS = "durations"
    SAMPLING_RATES = "sampling rates"
    LOW_RATE = "low sampling rate"
    CHANNELS = "channels"
    FORMATS = "formats"


@dataclass(frozen=True, slots=True)
class Rows:
    """What is looked at: the rows to train on, then, from `training` on, those held out.

    Only the rows of a validation query are held out here. `names` are those of the media,
    `fittings` are of `vocabulary.fit_all`, and `labels` what the tokenizer made of them; None for
    a text that cannot be fitted.
    """

    store: WaveformStore
    names: Sequence[str]
    fittings: Sequence[Fitting | UnfitText]
    labels: Sequence[Sequence[int] | None]
    training: int

    def finding(self, kind: Kind, severity: Severity, row: int, detail: str) -> Finding:
        """Return a finding about one row, by its index."""
        number, held_out = self.number(row)
        return Finding(kind.value, severity, number, self.names[row], detail, held_out)

    def number(self, row: int) -> tuple[int, bool]:
        """Return a row's number in its own query, and whether it is held out."""
        held_out = row >= self.training
        return (row - self.training if held_out else row) + 1, held_out

    def called(self, row: int) -> str:
        """Return what a row is called in a text."""
        number, held_out = self.number(row)
        return f"{'held-out ' if held_out else ''}row {number}"


def usable(findings: Iterable[Finding], count: int, *, held_out: bool = False) -> list[int]:
    """Return the indices, within their own query, of the rows that can be used.

    Rows with an ERROR cannot; those that last too long are left out.
    """
    bad = {
        found.row
        for found in findings
        if found.held_out == held_out
        and (found.severity is Severity.ERROR or found.kind == Kind.TOO_LONG)
    }
    return [row for row in range(count) if row + 1 not in bad]


def summary(findings: Iterable[Finding]) -> str:
    """Return findings as text: a line for each kind, with how many rows and the first of them."""
    kinds: dict[str, list[Finding]] = {}
    for found in findings:
        kinds.setdefault(found.kind, []).append(found)
    return "\n".join(_line(kind, found) for kind, found in kinds.items())


def _line(kind: str, findings: Sequence[Finding]) -> str:
    about_rows = [found for found in findings if found.row is not None]
    details = dict.fromkeys(found.detail for found in findings)
    if not about_rows:
        return f"{kind}: {'; '.join(details)}"
    # What is said of all rows together says more than the first row does.
    said = next((found.detail for found in findings if found.row is None), about_rows[0].detail)
    example = "for example, " if len(details) > 1 and len(about_rows) == len(findings) else ""
    named = ", ".join(
        f"{'held-out ' if found.held_out else ''}row {found.row} '{found.name}'"
        for found in about_rows[:EXAMPLES]
    )
    more = len(about_rows) - EXAMPLES
    others = f" and {more} more" if more > 0 else ""
    return f"{kind} in {count(len(about_rows), 'row')} ({named}{others}): {example}{said}"


def whole(kind: Kind, severity: Severity, detail: str) -> Finding:
    """Return a finding about the data as a whole."""
    return Finding(kind.value, severity, None, None, detail)


def characters(texts: Iterable[str]) -> str:
    """Name the most frequent characters, each with how often it occurs."""
    counts = Counter(character for text in texts for character in text)
    shown = ", ".join(f"{character!r} ({times})" for character, times in counts.most_common(8))
    return f"{shown} and {len(counts) - 8} others" if len(counts) > 8 else shown


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(text: str) -> str:
    """Return a text in quotes, cut where it is long."""
    return repr(text if len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}…")
