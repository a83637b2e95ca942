"""What is found about the rows of a training as a whole: their texts, and figures of their audio.

It knows no row by itself: that is `preflight`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ..base import Finding, Severity
from ..vocabulary import Fitting
from .findings import EXAMPLE_LENGTH, EXAMPLES, Kind, Rows, characters, count, short, usable, whole

if TYPE_CHECKING:
    from .recordings import Recording

#: Fewer rows than this are learnt by heart.
FEW_ROWS: Final = 10

#: Numbers of so many digits are mostly said digit by digit: a telephone's, a postcode's.
_LONG_NUMBER: Final = 5

#: Below this rate in hertz speech is hard to make out: telephones have 8000.
_LOWEST_RATE: Final = 8000

#: The bounds of the histogram of durations, in seconds.
_BOUNDS: Final = (1, 2, 5, 10, 20, 30, 60)


def rows_left(findings: Sequence[Finding], rows: Rows) -> Iterator[Finding]:
    """Say whether enough rows are left."""
    left = len(usable(findings, rows.training))
    if not left:
        yield whole(Kind.NO_ROWS, Severity.ERROR, "no row is left that can be trained on")
    elif left < FEW_ROWS:
        detail = f"{count(left, 'row')} to train on: a model will learn them by heart"
        yield whole(Kind.FEW_ROWS, Severity.WARNING, detail)
    held_out = len(rows.names) - rows.training
    if held_out and not usable(findings, held_out, held_out=True):
        detail = "no row of the validation query can be used"
        yield whole(Kind.NO_ROWS, Severity.ERROR, detail)


def of_texts(rows: Rows, letters: frozenset[str]) -> Iterator[Finding]:
    """Say what was done to the texts to train on, in all."""
    fitted = [each for each in rows.fittings[: rows.training] if isinstance(each, Fitting)]
    if not fitted:
        return
    yield from _one_text(fitted)
    dropped = [each.dropped for each in fitted if each.dropped]
    if dropped:
        detail = f"the model cannot write {characters(dropped)}, in {_texts_of(dropped)}: left out"
        yield whole(Kind.DROPPED_LETTERS, Severity.WARNING, detail)
    symbols = [each.symbols for each in fitted if each.symbols]
    if symbols:
        detail = (
            f"{characters(symbols)}, in {_texts_of(symbols)}: said as words, and left out of the"
            " text; write them in words"
        )
        yield whole(Kind.DROPPED_SYMBOLS, Severity.WARNING, detail)
    yield from _done(fitted)
    yield _coverage(fitted, letters)
    yield from _unused(fitted, letters)


def _one_text(fitted: Sequence[Fitting]) -> Iterator[Finding]:
    text, times = Counter(each.text for each in fitted).most_common(1)[0]
    if len(fitted) > 1 and times == len(fitted):
        detail = f"all {times} texts are {short(text)}: a model will say it of any audio"
        yield whole(Kind.ONE_TEXT, Severity.WARNING, detail)
    elif len(fitted) >= FEW_ROWS and 2 * times > len(fitted):
        detail = f"{times} of {len(fitted)} texts are {short(text)}: a model may say it too often"
        yield whole(Kind.ONE_TEXT, Severity.WARNING, detail)


def _done(fitted: Sequence[Fitting]) -> Iterator[Finding]:
    """Say what was done that changes nothing of what is said."""
    folded = sum(each.folded for each in fitted)
    if folded:
        detail = f"{count(folded, 'text')} of {len(fitted)} were brought into the model's case"
        yield whole(Kind.FOLDED_CASE, Severity.NOTE, detail)
    spelled = [each.spelled for each in fitted if each.spelled]
    if spelled:
        pairs = dict.fromkeys(pair for each in spelled for pair in each)
        shown = ", ".join(f"{one} as {short(words)}" for one, words in _some(pairs))
        detail = f"numbers were spelled in {_texts_of(spelled)}: {shown}"
        yield whole(Kind.SPELLED_NUMBERS, Severity.NOTE, detail)
        long = [pair for pair in pairs if sum(map(str.isdigit, pair[0])) >= _LONG_NUMBER]
        if long:
            (one, words), *_ = long
            detail = (
                f"{count(len(long), 'number')} of {_LONG_NUMBER} digits or more, such as {one},"
                f" which was spelled as {short(words)}: digits that are said one by one want a"
                " space between them"
            )
            yield whole(Kind.LONG_NUMBERS, Severity.WARNING, detail)
    for kind, found in (
        (Kind.DROPPED_ACCENTS, [each.plain for each in fitted if each.plain]),
        (Kind.DROPPED_PUNCTUATION, [each.punctuation for each in fitted if each.punctuation]),
    ):
        if found:
            detail = f"{characters(found)}, in {_texts_of(found)}"
            yield whole(kind, Severity.NOTE, detail)


def _coverage(fitted: Sequence[Fitting], letters: frozenset[str]) -> Finding:
    total = sum(each.letters for each in fitted)
    kept = total - sum(len(each.dropped) for each in fitted)
    # Rounded down: 100% is all of them.
    part = int(1000 * kept / total) / 10 if total else 100.0
    detail = f"{part:g}% of {total} letters can be written by the model, which has {len(letters)}"
    return whole(Kind.COVERAGE, Severity.NOTE, detail)


def _unused(fitted: Sequence[Fitting], letters: frozenset[str]) -> Iterator[Finding]:
    used = {character for each in fitted for character in each.text}
    unused = sorted(letter for letter in letters - used if letter.isalnum())
    if unused:
        shown = "".join(unused) if len(unused) <= EXAMPLE_LENGTH else f"{len(unused)} letters"
        detail = f"in no text: {shown}; the model will not learn them, and may forget them"
        yield whole(Kind.UNUSED_LETTERS, Severity.NOTE, detail)


def of_audio(rows: Rows) -> Iterator[Finding]:
    """Give the figures of the audio to train on, as far as it can be decoded."""
    heard = [found for found in rows.store.recordings[: rows.training] if found.reason is None]
    seconds = sorted(found.samples / rows.store.sampling_rate for found in heard)
    hours = sum(seconds) / 3600
    detail = f"{count(rows.training, 'row')}, {hours:.2f} hours of audio"
    held_out = len(rows.names) - rows.training
    yield whole(
        Kind.ROWS,
        Severity.NOTE,
        f"{detail}; {count(held_out, 'held-out row')}" if held_out else detail,
    )
    if not heard:
        return
    yield whole(Kind.DURATIONS, Severity.NOTE, _durations(seconds))
    yield from _rates(heard, rows.store.sampling_rate)
    channels = Counter(count(found.channels, "channel") for found in heard)
    averaged = "; they are averaged" if set(channels) - {"1 channel"} else ""
    yield whole(Kind.CHANNELS, Severity.NOTE, f"{_histogram(channels)}{averaged}")
    formats = Counter(f"{found.format} {found.encoding}" for found in heard)
    yield whole(Kind.FORMATS, Severity.NOTE, _histogram(formats))


def _durations(seconds: Sequence[float]) -> str:
    """Describe durations, in order: the quartiles, and a histogram."""
    quartiles = [seconds[part * (len(seconds) - 1) // 4] for part in range(5)]
    low, first, median, third, high = (f"{each:.2f}" for each in quartiles)
    bounds = [0, *_BOUNDS]
    counts = Counter(max(bound for bound in bounds if bound <= each) for each in seconds)
    names = {
        bound: f"from {bound} s" if bound == bounds[-1] else f"{bound} to {bounds[place + 1]} s"
        for place, bound in enumerate(bounds)
    }
    histogram = ", ".join(f"{names[bound]}: {counts[bound]}" for bound in bounds if counts[bound])
    return (
        f"{low} s to {high} s, half of them {first} s to {third} s, median {median} s; {histogram}"
    )


def _rates(heard: Sequence[Recording], wanted: int) -> Iterator[Finding]:
    rates = Counter(found.sampling_rate for found in heard)
    named = Counter({f"{rate} Hz": rates[rate] for rate in sorted(rates)})
    yield whole(Kind.SAMPLING_RATES, Severity.NOTE, _histogram(named))
    low = {rate: count for rate, count in rates.items() if rate < wanted}
    if not low:
        return
    least = min(low)
    detail = (
        f"{count(sum(low.values()), 'row')} below the model's {wanted} Hz, the lowest {least} Hz:"
        " such a model suits recordings of the same kind"
    )
    severity = Severity.WARNING if least < _LOWEST_RATE else Severity.NOTE
    yield whole(Kind.LOW_RATE, severity, detail)


def _histogram(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {count(times, 'row')}" for name, times in counts.most_common())


def _some(examples: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for _, pair in zip(range(EXAMPLES), examples, strict=False)]


def _texts_of(found: Sequence[object]) -> str:
    return count(len(found), "text")
