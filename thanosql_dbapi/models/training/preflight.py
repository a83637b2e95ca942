"""What is wrong with the rows of a training, found before it begins.

It looks at what was seen while the audio was decoded, at the texts, and at the labels made of
them. It knows no SQL, and no model but by how many frames it makes of so many samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ...exceptions import MediaReason
from ..base import Finding, Severity
from ..frames import frames_needed
from ..vocabulary import NoText, UnfitText
from .figures import of_audio, of_texts, rows_left
from .findings import Kind, Rows, characters, short, summary, usable

if TYPE_CHECKING:
    from .recordings import Recording

#: More than this part of the samples at full scale is heard: one in a thousand.
_CLIPPED: Final = 0.001

#: Below this peak, -60 dB of full scale, a recording is mostly the noise of its device.
_QUIET: Final = 0.001

#: What lasts longer needs much memory, which grows with the square of the length, in seconds.
_LONG_S: Final = 60.0

#: Nobody says more letters a second, and in a file that is not short hardly fewer.
_FASTEST: Final = 35.0
_SLOWEST: Final = 1.0
_SLOW_FROM_S: Final = 5.0


__all__ = ["Kind", "Rows", "examine", "summary", "usable"]

_OF_REASON: Final = {
    MediaReason.MISSING: Kind.MISSING,
    MediaReason.UNREACHABLE: Kind.UNREACHABLE,
    MediaReason.NOT_AUDIO: Kind.NOT_AUDIO,
    MediaReason.TRUNCATED: Kind.TRUNCATED,
    MediaReason.EMPTY: Kind.EMPTY,
    MediaReason.TOO_LONG: Kind.TOO_LONG,
}

_ORDER: Final = tuple(Severity)


def examine(
    rows: Rows,
    letters: frozenset[str],
    frames_of: Callable[[int], int],
    max_duration_s: float = 0.0,
) -> list[Finding]:
    """Return what is found about the rows of a training, the worst first.

    An ERROR about a row means that it cannot be trained on; an ERROR about none, that the training
    cannot be. `letters` are the vocabulary's; `frames_of` tells how many frames the model makes of
    so many samples. What lasts longer than `max_duration_s` is left out; 0 leaves out nothing.
    """
    frames_of = functools.cache(frames_of)
    findings = list(_audio(rows, frames_of, max_duration_s))
    # What is left out need not be right.
    out = {(found.row, found.held_out) for found in findings if found.severity is Severity.NOTE}
    kept = [row for row in range(len(rows.names)) if rows.number(row) not in out]
    findings += [*_texts(rows, kept), *_fits(rows, kept, frames_of), *_same_audio(rows, kept)]
    findings += rows_left(findings, rows)
    findings += of_texts(rows, letters)
    findings += of_audio(rows)
    # Stable: within a severity they stay in the order of what was looked at, and of the rows.
    return sorted(findings, key=lambda found: _ORDER.index(found.severity))


def _audio(rows: Rows, frames_of: Callable[[int], int], max_duration_s: float) -> Iterator[Finding]:
    """Look at each row's recording."""
    for row, found in enumerate(rows.store.recordings):
        kind, severity, detail = _heard(found, rows.store.seconds(row), frames_of, max_duration_s)
        if kind is not None:
            yield rows.finding(kind, severity, row, detail)


def _heard(
    found: Recording, seconds: float, frames_of: Callable[[int], int], max_duration_s: float
) -> tuple[Kind | None, Severity, str]:
    """Return the worst that is heard in a recording, how bad it is, and what it is."""
    if found.reason is not None:
        kind = _OF_REASON.get(MediaReason(found.reason), Kind.BROKEN)
        left_out = kind is Kind.TOO_LONG and max_duration_s
        detail = f"{found.message}{': left out' if left_out else ''}"
        return kind, Severity.NOTE if left_out else Severity.ERROR, detail
    if max_duration_s and seconds > max_duration_s:
        detail = f"it lasts {seconds:.1f} s, and {max_duration_s:g} s is the most: left out"
        return Kind.TOO_LONG, Severity.NOTE, detail
    if frames_of(found.samples) < 1:
        return Kind.TOO_SHORT, Severity.ERROR, f"{seconds:.3f} s are too short for the model"
    if found.silent:
        return Kind.SILENT, Severity.ERROR, "all samples are the same: nothing is said in it"
    if found.peak < _QUIET:
        detail = f"the loudest sample is at {found.peak:.2%} of full scale"
        return Kind.QUIET, Severity.WARNING, detail
    if found.clipped >= _CLIPPED:
        detail = f"{found.clipped:.1%} of the samples are cut off at full scale"
        return Kind.CLIPPED, Severity.WARNING, detail
    if seconds > _LONG_S:
        detail = (
            f"it lasts {seconds:.0f} s: training on it needs much memory;"
            " cut it, or leave it out by max_duration_s"
        )
        return Kind.LONG, Severity.WARNING, detail
    return None, Severity.NOTE, ""


def _texts(rows: Rows, kept: Sequence[int]) -> Iterator[Finding]:
    """Look at each row's text."""
    for row in kept:
        fitted = rows.fittings[row]
        if isinstance(fitted, UnfitText):
            kind = Kind.NO_TEXT if isinstance(fitted, NoText) else Kind.UNFIT_TEXT
            yield rows.finding(kind, Severity.ERROR, row, str(fitted))
            continue
        if 2 * len(fitted.dropped) > fitted.letters:
            detail = f"of {fitted.letters} letters {len(fitted.dropped)} are not in the vocabulary"
            yield rows.finding(Kind.MOSTLY_DROPPED, Severity.WARNING, row, detail)
        elif fitted.dropped:
            detail = f"the model cannot write {characters([fitted.dropped])}: left out"
            yield rows.finding(Kind.DROPPED_LETTERS, Severity.WARNING, row, detail)
        if fitted.symbols:
            detail = f"{characters([fitted.symbols])}: said as words, and left out of the text"
            yield rows.finding(Kind.DROPPED_SYMBOLS, Severity.WARNING, row, detail)


def _fits(rows: Rows, kept: Sequence[int], frames_of: Callable[[int], int]) -> Iterator[Finding]:
    """Hold each row's text against how long its audio lasts."""
    for row in kept:
        fitted, label = rows.fittings[row], rows.labels[row]
        samples = rows.store.recordings[row].samples
        frames = frames_of(samples) if samples else 0
        if frames < 1 or label is None or isinstance(fitted, UnfitText):
            continue
        seconds = rows.store.seconds(row)
        needed = frames_needed(label)
        rate = len(fitted.text.replace(" ", "")) / seconds
        if frames < needed:
            detail = (
                f"the text's {len(label)} letters need {needed} frames, and the"
                f" {seconds:.2f} s of audio give {frames}: too short for what is said"
            )
            yield rows.finding(Kind.TEXT_TOO_LONG, Severity.ERROR, row, detail)
        elif rate > _FASTEST:
            detail = f"{rate:.0f} letters a second: is this what is said?"
            yield rows.finding(Kind.FAST, Severity.WARNING, row, detail)
        elif rate < _SLOWEST and seconds > _SLOW_FROM_S:
            detail = f"{rate:.2f} letters a second, for {seconds:.0f} s: is that all that is said?"
            yield rows.finding(Kind.SLOW, Severity.WARNING, row, detail)


def _same_audio(rows: Rows, kept: Sequence[int]) -> Iterator[Finding]:
    """Find rows whose audio came before: in training with what text, or held out too."""
    first: dict[str, int] = {}
    for row in kept:
        found = rows.store.recordings[row]
        if found.reason is not None:
            continue
        before = first.setdefault(found.digest, row)
        if before == row:
            continue
        one, other = rows.fittings[before], rows.fittings[row]
        if rows.number(row)[1] and not rows.number(before)[1]:
            detail = f"the same audio as row {before + 1}: what is measured on it is too good"
            yield rows.finding(Kind.LEAK, Severity.WARNING, row, detail)
        if isinstance(one, UnfitText) or isinstance(other, UnfitText):
            continue
        if one.text != other.text:
            detail = (
                f"the same audio as {rows.called(before)}, and not its text:"
                f" {short(other.text)} here, {short(one.text)} there"
            )
            yield rows.finding(Kind.OTHER_TEXT, Severity.WARNING, row, detail)
        elif rows.number(row)[1] == rows.number(before)[1]:
            detail = f"the same audio and text as {rows.called(before)}"
            yield rows.finding(Kind.DUPLICATE, Severity.NOTE, row, detail)
