"""Text fitted to a vocabulary."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.vocabulary import UnfitText, Vocabulary, in_case, majority_case

LOWER = Vocabulary(frozenset(string.ascii_lowercase + "'"), "en")
UPPER = Vocabulary(frozenset(string.ascii_uppercase + "'"), "en")
KOREAN = Vocabulary(frozenset("안녕하세요"), "ko")


@pytest.mark.parametrize(
    ("vocabulary", "text", "fitted"),
    [
        (UPPER, "it's me", "IT'S ME"),
        (LOWER, "It\u2019s ME!", "it's me"),
        (LOWER, "well-known, isn't it?", "well known isn't it"),
        (LOWER, "room 42", "room forty two"),
        (UPPER, "1,000 calls", "ONE THOUSAND CALLS"),
        (LOWER, "2.5 percent", "two point five percent"),
        (LOWER, "caf\u00e9  cre\u0300me", "cafe creme"),
        (LOWER, "o\u00f9\tis\nit", "ou is it"),
        (Vocabulary(frozenset("abc 7"), "en"), "a 7", "a 7"),
        (Vocabulary(frozenset("abc"), "en"), "a'b", "ab"),
        (KOREAN, "안녕, 하세요!", "안녕 하세요"),
    ],
)
def test_text_is_fitted(vocabulary: Vocabulary, text: str, fitted: str) -> None:
    assert vocabulary.fit(text) == fitted


@pytest.mark.parametrize("text", ["", "...", "안녕", "\u4f60\u597d"])
def test_a_text_without_a_letter_of_the_vocabulary_is_refused(text: str) -> None:
    with pytest.raises(UnfitText, match="no letter of the text"):
        LOWER.fit(text)


def test_digits_are_refused_where_they_cannot_be_spelled() -> None:
    with pytest.raises(UnfitText, match="write it in words"):
        Vocabulary(frozenset("abc"), None).fit("abc 7")
    with pytest.raises(UnfitText, match="write it in words"):
        LOWER.fit("version 1.2.3")


@given(st.text())
def test_what_is_fitted_holds_letters_of_the_vocabulary_alone(text: str) -> None:
    for vocabulary in (LOWER, UPPER):
        try:
            fitted = vocabulary.fit(text)
        except UnfitText:
            continue
        assert set(fitted) <= vocabulary.letters | {" "}
        assert fitted == " ".join(fitted.split())
        assert vocabulary.fit(fitted) == fitted


@pytest.mark.parametrize(
    ("texts", "case", "answer"),
    [
        (["hello", "you"], "lower", "hi there"),
        (["HELLO"], "upper", "HI THERE"),
        (["Hello You"], "lower", "hi there"),
        (["안녕"], None, "Hi There"),
    ],
)
def test_an_answer_is_in_the_case_of_the_texts(
    texts: list[str], case: str | None, answer: str
) -> None:
    assert majority_case(texts) == case
    assert in_case("Hi There", case) == answer
