"""Texts that slipped by a row are told from those that belong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanosql_dbapi.models.matching import belong

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def said(rows: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(DIGITS, k=draw.randint(2, 5))) for _ in range(rows)]


def misheard(text: str, share: float, draw: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz "
    return "".join(draw.choice(letters) if draw.random() < share else each for each in text)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 0.5))
def test_what_is_half_heard_belongs(seed: int, share: float) -> None:
    texts, draw = said(32, seed), random.Random(seed)
    assert belong([misheard(text, share, draw) for text in texts], texts) is True


@pytest.mark.parametrize("shift", [1, 3, 7])
def test_texts_that_slipped_do_not(shift: int) -> None:
    wrong = sum(belong(said(32, seed), said(32, seed + 1000)) is not False for seed in range(40))
    assert wrong <= 6  # one in twenty by chance
    texts = said(40)
    assert belong(texts, [*texts[shift:], *texts[:shift]]) is False


@pytest.mark.parametrize("heard", ["", "e", "one"])
def test_a_model_that_says_one_thing_hears_nothing(heard: str) -> None:
    assert belong([heard] * 32, said(32)) is False


def test_of_few_rows_and_few_texts_nothing_is_said() -> None:
    assert belong(["one"] * 5, ["one"] * 5) is None
    assert belong(["yes", "no"] * 20, ["yes", "no"] * 20) is None
