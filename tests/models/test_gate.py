"""What a model must not be, to take the name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.gate import Judged, Rates, refusal, remark

GOOD = Judged(["three one", "four"], 100, Rates(0.1, 0.1), Rates(0.4, 0.4), held_out=True)


def test_a_better_model_and_one_as_good_may_pass() -> None:
    as_good = replace(GOOD, rates=Rates(0.4, 0.4))
    for judged in (GOOD, as_good, replace(GOOD, first_loss=0.1, last_loss=0.9)):
        assert refusal(judged) is None
        assert remark(judged) is None


def test_a_word_more_is_chance_and_is_said() -> None:
    judged = replace(GOOD, words=29, rates=Rates(22 / 29, 22 / 29), base=Rates(21 / 29, 21 / 29))
    assert refusal(judged) is None
    told = remark(judged) or ""
    assert "the 2 held-out rows, 29 words, is 75.9%, and was 72.4%" in told
    assert "chance" in told
    assert remark(replace(judged, rates=Rates(22 / 29, 0.1))) is None


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        (
            replace(GOOD, rates=Rates(0.61, 0.1)),
            "greedy word error rate .* 61.0%, and was 40.0%",
        ),
        (
            replace(GOOD, rates=Rates(0.7, 0.7), held_out=False),
            "2 rows that it was trained on",
        ),
        (
            replace(GOOD, base=Rates(0.4, 0.03), rates=Rates(0.3, 0.2)),
            "its word .* was 3.0%",
        ),
        (replace(GOOD, belongs=False, rates=Rates(0.7, 0.8), base=Rates(0.9, 0.9)), "not belong"),
        (replace(GOOD, heard=["", " "]), "writes nothing at all .* 2 held-out rows"),
        (replace(GOOD, heard=[]), "writes nothing"),
        (replace(GOOD, heard=[""], words=1), "for the 1 held-out row, 1 word$"),
        (replace(GOOD, first_loss=2.0, last_loss=4.1), "diverged: its loss was 2.00 .* and 4.10"),
        (replace(GOOD, divergence="the loss is nan at step 3"), "diverged: the loss is nan"),
    ],
)
def test_a_bad_model_is_refused_with_the_reason(judged: Judged, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(refusal(judged))
    assert remark(judged) is None  # it would call chance what is not


@given(st.integers(1, 10_000), st.floats(0, 3), st.floats(0, 3))
def test_more_evidence_for_the_same_rates_only_makes_a_refusal_surer(
    words: int, wer: float, base_wer: float
) -> None:
    judged = Judged(["a"], words, Rates(wer, wer), Rates(base_wer, base_wer), held_out=True)
    if refusal(judged) is not None:
        assert wer > base_wer
        assert refusal(replace(judged, words=10 * words)) is not None
