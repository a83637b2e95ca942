"""The metrics of a corpus of transcripts, and of two models' transcripts of one corpus.

It says what is told of a corpus and in which order; how errors are counted, and how sure the rates
are, others know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .metrics import ErrorCounts, count_errors, rate
from .significance import difference_interval, paired_p_value, rate_interval


@dataclass(frozen=True, slots=True)
class Corpus:
    """Utterances: what was said, and how long each is, in seconds, where that is known."""

    references: Sequence[str]
    seconds: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of two models: `score` of the first, `against` of the other.

    `difference` is the first less the other, with its 95 % interval; `p_value` is the paired
    test's. They are None where there is no such thing.
    """

    metric: str
    score: float | None
    against: float | None
    difference: float | None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None


def score_corpus(
    corpus: Corpus,
    hypotheses: Sequence[str],
    real_time_factor: float | None,
    check: Callable[[], None] = lambda: None,
) -> dict[str, float | None]:
    """Return the metrics of a corpus by name, in the order to show them in.

    The rates, and the WER's interval, are None without utterances; the interval also with one.
    `check` is called now and then, and ends it by what it raises.
    """
    counts = count_errors(corpus.references, hypotheses, check)
    return _scores(corpus, counts, real_time_factor)


def compare_models(
    corpus: Corpus,
    hypotheses: tuple[Sequence[str], Sequence[str]],
    real_time_factors: tuple[float | None, float | None],
    check: Callable[[], None] = lambda: None,
) -> list[Comparison]:
    """Return each metric of two models that transcribed the same utterances.

    `check` is called now and then, and ends it by what it raises.
    """
    counts = [count_errors(corpus.references, texts, check) for texts in hypotheses]
    first, second = (
        _scores(corpus, each, factor)
        for each, factor in zip(counts, real_time_factors, strict=True)
    )
    tested = _tested(*counts) if corpus.references else {}
    return [
        Comparison(
            name,
            first[name],
            second[name],
            *(tested.get(name) or (_difference(name, first, second),)),
        )
        for name in first
    ]


def _scores(
    corpus: Corpus, counts: ErrorCounts, real_time_factor: float | None
) -> dict[str, float | None]:
    words, characters = int(counts.words.sum()), int(counts.characters.sum())
    low, high = rate_interval(counts.errors, counts.words) or (None, None)
    some = bool(corpus.references)
    return {
        "wer": rate(int(counts.errors.sum()), words) if some else None,
        "wer_low": low,
        "wer_high": high,
        "cer": rate(int(counts.character_errors.sum()), characters) if some else None,
        "substitutions": float(counts.substitutions.sum()),
        "insertions": float(counts.insertions.sum()),
        "deletions": float(counts.deletions.sum()),
        "words": float(words),
        "utterances": float(len(corpus.references)),
        "audio_seconds": round(sum(each or 0.0 for each in corpus.seconds), 3),
        "real_time_factor": real_time_factor,
    }


def _tested(
    first: ErrorCounts, second: ErrorCounts
) -> dict[str, tuple[float, float | None, float | None, float]]:
    """Return the difference of each rate, its interval, and the paired test's p-value."""
    found = {}
    for name, errors, others, of in (
        ("wer", first.errors, second.errors, first.words),
        ("cer", first.character_errors, second.character_errors, first.characters),
    ):
        difference = rate(int(errors.sum()), int(of.sum())) - rate(int(others.sum()), int(of.sum()))
        low, high = difference_interval(errors, others, of) or (None, None)
        found[name] = (difference, low, high, paired_p_value(errors, others))
    return found


def _difference(
    name: str, first: Mapping[str, float | None], second: Mapping[str, float | None]
) -> float | None:
    # The interval of a difference is not the difference of two intervals.
    score, against = first[name], second[name]
    if name in ("wer_low", "wer_high") or score is None or against is None:
        return None
    return score - against
