"""The metrics of a corpus, how sure they are, and the comparison of two models."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.scoring import Corpus, compare_models, score_corpus
from thanosql_dbapi.models.significance import (
    LEAST_P_VALUE,
    difference_interval,
    paired_p_value,
    rate_interval,
)


def corpus(*references: str) -> Corpus:
    return Corpus(references, [1.5] * len(references))


def a_corpus_of_counts(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return errors of two models, and words."""
    generator = np.random.default_rng(7)
    words = generator.integers(1, 20, size)
    return generator.binomial(words, 0.2), generator.binomial(words, 0.25), words


# --- metrics --------------------------------------------------------------------------------


def test_the_metrics_and_their_order() -> None:
    scores = score_corpus(corpus("one two", "three"), ["one too", "three"], 0.25)
    assert list(scores) == [
        "wer",
        "wer_low",
        "wer_high",
        "cer",
        "substitutions",
        "insertions",
        "deletions",
        "words",
        "utterances",
        "audio_seconds",
        "real_time_factor",
    ]
    assert scores["wer"] == pytest.approx(1 / 3)
    assert (scores["wer_low"], scores["wer_high"]) == (0.0, 0.5)
    assert scores["cer"] == pytest.approx(1 / 12)
    assert [scores[name] for name in ("substitutions", "insertions", "deletions")] == [1, 0, 0]
    assert [scores[name] for name in ("words", "utterances", "audio_seconds")] == [3, 2, 3.0]
    assert scores["real_time_factor"] == 0.25


def test_one_utterance_has_no_interval_and_none_has_no_rate() -> None:
    scores = score_corpus(corpus("one two"), ["one"], None)
    assert (scores["wer"], scores["wer_low"], scores["wer_high"]) == (0.5, None, None)
    scores = score_corpus(corpus(), [], None)
    assert [name for name, value in scores.items() if value is None] == [
        "wer",
        "wer_low",
        "wer_high",
        "cer",
        "real_time_factor",
    ]
    assert scores["audio_seconds"] == 0.0


# --- how sure -------------------------------------------------------------------------------


def test_the_interval_is_the_plain_bootstraps() -> None:
    errors, _, words = a_corpus_of_counts(400)
    drawn = np.random.default_rng(1).integers(400, size=(5000, 400))
    plain = np.percentile(errors[drawn].sum(axis=1) / words[drawn].sum(axis=1), (2.5, 97.5))
    assert rate_interval(errors, words) == pytest.approx(plain, abs=0.002)
    other = a_corpus_of_counts(400)[1]
    apart = (errors - other)[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    assert difference_interval(errors, other, words) == pytest.approx(
        np.percentile(apart, (2.5, 97.5)), abs=0.002
    )


def test_the_interval_depends_on_no_order_of_the_rows() -> None:
    errors, others, words = a_corpus_of_counts(300)
    shuffled = np.random.default_rng(3).permutation(300)
    assert rate_interval(errors, words) == rate_interval(errors[shuffled], words[shuffled])
    assert difference_interval(errors, others, words) == difference_interval(
        errors[shuffled], others[shuffled], words[shuffled]
    )


def test_more_utterances_make_the_interval_narrower() -> None:
    widths = []
    for size in (50, 5000):
        errors, _, words = a_corpus_of_counts(size)
        low, high = rate_interval(errors, words) or (0.0, 0.0)
        assert low < errors.sum() / words.sum() < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_utterances_that_are_all_alike_leave_no_doubt() -> None:
    ones, fours = np.ones(10, dtype=np.int64), np.full(10, 4)
    assert rate_interval(ones, fours) == (0.25, 0.25)
    nothing = np.zeros(10, dtype=np.int64)
    assert rate_interval(ones, nothing) == (10.0, 10.0)  # without words, the errors


# --- two models -----------------------------------------------------------------------------


def enumerated(errors: list[int], others: list[int]) -> Fraction:
    """Return the p-value by every swapping of counts there is."""
    apart = [a - b for a, b in zip(errors, others, strict=True)]
    sums = [
        abs(sum(sign * each for sign, each in zip(signs, apart, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(apart))
    ]
    return Fraction(sum(each >= abs(sum(apart)) for each in sums), len(sums))


counts = st.integers(0, 6)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=9))
def test_the_p_value_is_the_share_of_all_swappings(pairs: list[tuple[int, int]]) -> None:
    errors, others = (list(column) for column in zip(*pairs, strict=True))
    found = paired_p_value(np.array(errors), np.array(others))
    assert found == pytest.approx(float(enumerated(errors, others)), abs=1e-12)
    assert found == pytest.approx(paired_p_value(np.array(others), np.array(errors)), abs=1e-12)


def test_of_many_utterances_the_p_value_is_that_of_drawn_swappings() -> None:
    errors, _, words = a_corpus_of_counts(800)
    others = np.random.default_rng(2).binomial(words, 0.205)
    signs = np.random.default_rng(5).choice((-1, 1), size=(5000, 800))
    sums = np.abs(signs @ (errors - others))
    drawn = (sums >= abs(int((errors - others).sum()))).mean()
    assert 0.01 < drawn < 0.99
    assert paired_p_value(errors, others) == pytest.approx(drawn, abs=0.02)


def test_equal_models_are_equal_and_very_different_ones_very_different() -> None:
    errors, _, _ = a_corpus_of_counts(500)
    assert paired_p_value(errors, errors) == 1.0
    assert paired_p_value(errors, errors + 1) == LEAST_P_VALUE


def test_chance_alone_is_called_significant_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    draws = generator.binomial(9, 0.2, size=(400, 2, 80))
    found = np.array([paired_p_value(first, second) for first, second in draws])
    assert 0.02 < (found < 0.05).mean() < 0.08


def test_two_models_are_compared_metric_by_metric() -> None:
    said = corpus("one two", "three four", "five")
    heard = (["one two", "three four", "five"], ["one too", "three for", "fife"])
    found = {each.metric: each for each in compare_models(said, heard, (0.5, None))}
    wer = found["wer"]
    assert (wer.score, wer.against) == (0.0, 0.6)
    assert wer.difference == pytest.approx(-0.6)
    assert wer.difference_low is not None
    assert wer.difference_high is not None
    assert -1 <= wer.difference_low < -0.6 < wer.difference_high < 0
    assert wer.p_value == pytest.approx(2 / 8)
    assert found["cer"].p_value == pytest.approx(2 / 8)
    assert found["substitutions"].difference == -3
    for name in set(found) - {"wer", "cer"}:
        assert found[name].p_value is None
        assert found[name].difference_low is None
    assert found["wer_low"].difference is None
    assert (found["real_time_factor"].score, found["real_time_factor"].difference) == (0.5, None)


def test_nothing_to_compare_is_no_difference() -> None:
    wer = compare_models(corpus(), ([], []), (None, None))[0]
    assert (wer.metric, wer.score, wer.difference, wer.p_value) == ("wer", None, None, None)
