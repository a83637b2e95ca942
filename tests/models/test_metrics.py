"""Error rates over a corpus."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.metrics import error_rates

words = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=6).map(" ".join)


@given(st.lists(st.tuples(words, st.one_of(words, st.just(""))), min_size=1))
def test_rates_are_jiwers_over_the_whole_corpus(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = (list(column) for column in zip(*pairs, strict=True))
    assert error_rates(references, hypotheses) == {
        "wer": pytest.approx(jiwer.wer(references, hypotheses)),
        "cer": pytest.approx(jiwer.cer(references, hypotheses)),
    }


def test_the_corpus_rate_is_not_the_mean_of_the_rows() -> None:
    rates = error_rates(["one", "one two three four"], ["two", "one two three four"])
    assert rates["wer"] == pytest.approx(1 / 5)


def test_case_and_spaces_are_folded() -> None:
    assert error_rates(["one  two"], ["ONE TWO "]) == {"wer": 0.0, "cer": 0.0}


def test_without_a_reference_there_is_no_rate() -> None:
    assert error_rates([], []) == {"wer": None, "cer": None}
    assert error_rates([""], ["one"]) == {"wer": None, "cer": None}
