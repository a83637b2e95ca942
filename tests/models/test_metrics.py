"""Errors of utterances, and error rates over a corpus: jiwer's."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.metrics import AlignedWord, align, count_errors, error_rates

words = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=6).map(" ".join)
maybe_words = st.one_of(words, st.just(""))

#: References and hypotheses that are easily counted wrongly.
EDGES = {
    "equal": ("one two", "one two"),
    "empty reference": ("", "one two"),
    "empty hypothesis": ("one two three", ""),
    "both empty": ("", ""),
    "white space for a reference": (" \t\n ", "one"),
    "white space for a hypothesis": ("one two", "  "),
    "space around": ("  one two ", " one two  "),
    "all else": ("one two three", "four five"),
    "more heard than said": ("one", "two three one four"),
    "a word cut in two": ("another", "an other"),
    "composed against combining": ("caf\u00e9 na\u00efve", "cafe\u0301 nai\u0308ve"),
    "korean": ("안녕하세요 반갑습니다", "안녕 하세요 반갑습니다"),
    "korean in letters": ("\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    "beyond the basic plane": ("one 👍🏽 two", "one 👍 two"),
    "punctuation": ("one, two.", "one two"),
    "swapped": ("one two three four", "two one four three"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_each_edge_case_is_jiwers(edge: str) -> None:
    reference, hypothesis = EDGES[edge]
    assert error_rates([reference], [hypothesis]) == {
        "wer": jiwer.wer(reference, hypothesis),
        "cer": jiwer.cer(reference, hypothesis),
    }
    expected = jiwer.process_words(reference, hypothesis)
    counts = count_errors([reference], [hypothesis])
    assert counts.substitutions.tolist() == [expected.substitutions]
    assert counts.insertions.tolist() == [expected.insertions]
    assert counts.deletions.tolist() == [expected.deletions]


def test_all_edge_cases_together_are_jiwers() -> None:
    references, hypotheses = (list(column) for column in zip(*EDGES.values(), strict=True))
    whole = jiwer.process_words(references, hypotheses)
    counts = count_errors(references, hypotheses)
    assert error_rates(references, hypotheses) == {
        "wer": whole.wer,
        "cer": jiwer.cer(references, hypotheses),
    }
    assert counts.words.sum() == whole.hits + whole.substitutions + whole.deletions
    assert counts.errors.sum() == whole.substitutions + whole.insertions + whole.deletions


@given(st.lists(st.tuples(maybe_words, maybe_words), min_size=1))
def test_rates_are_jiwers_over_the_whole_corpus(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = (list(column) for column in zip(*pairs, strict=True))
    assert error_rates(references, hypotheses) == {
        "wer": pytest.approx(jiwer.wer(references, hypotheses)),
        "cer": pytest.approx(jiwer.cer(references, hypotheses)),
    }


def test_a_corpus_of_many_pieces_is_one_corpus() -> None:
    references = [f"one two {i % 7}" for i in range(5000)]
    hypotheses = [f"one {i % 5}" for i in range(5000)]
    rates = error_rates(references, hypotheses)
    assert rates["wer"] == pytest.approx(jiwer.wer(references, hypotheses))
    counts = count_errors(references, hypotheses)
    for row in (0, 2047, 2048, 4999):
        alone = count_errors([references[row]], [hypotheses[row]])
        assert counts.errors[row] == alone.errors[0]
        assert counts.character_errors[row] == alone.character_errors[0]


def test_the_corpus_rate_is_not_the_mean_of_the_rows() -> None:
    rates = error_rates(["one", "one two three four"], ["two", "one two three four"])
    assert rates["wer"] == pytest.approx(1 / 5)


def test_case_and_spaces_are_folded() -> None:
    assert error_rates(["one  two"], ["ONE\tTWO "]) == {"wer": 0.0, "cer": 0.0}
    assert error_rates(["Straße ΣΑΣ"], ["STRASSE σας"]) == {"wer": 0.0, "cer": 0.0}


def test_without_an_utterance_there_is_no_rate() -> None:
    assert error_rates([], []) == {"wer": None, "cer": None}


def test_without_words_the_rate_is_the_number_of_errors() -> None:
    assert error_rates(["", ""], ["one", "two three"]) == {"wer": 3.0, "cer": 12.0}
    assert error_rates(["", ""], ["", ""]) == {"wer": 0.0, "cer": 0.0}


def test_words_are_aligned_as_they_were_written() -> None:
    assert align("One two  three four six", "one three FOR six seven") == [
        AlignedWord("equal", "One", "one"),
        AlignedWord("delete", "two", None),
        AlignedWord("equal", "three", "three"),
        AlignedWord("substitute", "four", "FOR"),
        AlignedWord("equal", "six", "six"),
        AlignedWord("insert", None, "seven"),
    ]
    assert align("", "") == []


@given(maybe_words, maybe_words)
def test_an_alignment_holds_both_texts_in_order(reference: str, hypothesis: str) -> None:
    aligned = align(reference, hypothesis)
    assert [word.reference for word in aligned if word.op != "insert"] == reference.split()
    assert [word.hypothesis for word in aligned if word.op != "delete"] == hypothesis.split()
    errors = sum(word.op != "equal" for word in aligned)
    assert errors == count_errors([reference], [hypothesis]).errors[0]
    for word in aligned:
        assert (word.reference == word.hypothesis) == (word.op == "equal")
