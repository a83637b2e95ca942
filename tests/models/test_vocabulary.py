"""Text fitted to a vocabulary."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.vocabulary import (
    Fitting,
    NoText,
    UnfitText,
    Vocabulary,
    fit_all,
    in_case,
    majority_case,
)

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


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("it is me", Fitting("it is me", letters=6)),
        ("It IS me", Fitting("it is me", folded=True, letters=6)),
        ("room 42", Fitting("room forty two", spelled=(("42", "forty two"),), letters=12)),
        ("the 3rd", Fitting("the third", spelled=(("3rd", "third"),), letters=8)),
        (
            "21ST",
            Fitting("twenty first", folded=True, spelled=(("21st", "twenty first"),), letters=11),
        ),
        (
            "1,2",
            Fitting("one two", spelled=(("1", "one"), ("2", "two")), letters=6, punctuation=","),
        ),
        ("na\u00efve", Fitting("naive", letters=5, plain="\u00ef")),
        ("go \u4f60 \u4f60", Fitting("go", letters=4, dropped="\u4f60\u4f60")),
        (
            "50%!",
            Fitting("fifty", spelled=(("50", "fifty"),), letters=5, symbols="%", punctuation="!"),
        ),
        ("a & b \u20ac", Fitting("a b", letters=2, symbols="&\u20ac")),
        ("co\u00adop", Fitting("coop", letters=4, punctuation="\u00ad")),
        ("x\u00b2", Fitting("x", letters=1, symbols="\u00b2")),
    ],
)
def test_what_was_done_to_a_text_is_told(text: str, fitting: Fitting) -> None:
    assert LOWER.fitting(text) == fitting


def test_commas_part_thousands_alone() -> None:
    assert LOWER.fit("1,234,567") == LOWER.fit("1234567")
    assert LOWER.fit("12,34") == "twelve thirty four"


def test_ordinals_are_english_alone() -> None:
    letters = frozenset(string.ascii_lowercase)
    assert Vocabulary(letters, "en").fit("2nd") == "second"
    assert Vocabulary(letters, "de").fit("2nd") == "zwei nd"


def test_a_number_too_large_for_words_is_refused() -> None:
    with pytest.raises(UnfitText, match="write it in words") as raised:
        LOWER.fit("9" * 5000)
    assert len(str(raised.value)) < 200


def test_a_mark_that_stands_alone_does_not_part_a_word() -> None:
    assert LOWER.fit("\u0130stanbul") == "istanbul"


def test_texts_that_cannot_be_fitted_are_reasons_in_their_place() -> None:
    fitted = fit_all(LOWER, ["yes", None, " ", "\u4f60"])
    assert fitted[0] == Fitting("yes", letters=3)
    assert [type(each) for each in fitted[1:]] == [NoText, NoText, UnfitText]


@given(st.text())
def test_every_letter_is_written_or_told_as_dropped(text: str) -> None:
    try:
        fitting = LOWER.fitting(text)
    except UnfitText:
        return
    written = sum(map(str.isalpha, fitting.text))
    assert written == fitting.letters - len(fitting.dropped)
    assert all(character.isalpha() for character in fitting.dropped + fitting.plain)
    assert LOWER.fitting(fitting.text) == Fitting(fitting.text, letters=written)
