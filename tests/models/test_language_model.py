"""The n-gram model of a training's texts: normalised, bounded, and the same in its file."""

from __future__ import annotations

import itertools
import math
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanosql_dbapi.exceptions import OperationalError
from thanosql_dbapi.models import language_model
from thanosql_dbapi.models.language_model import END, FILE, START, UNKNOWN, LanguageModel, Letters

texts = st.lists(
    st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), min_size=1, max_size=6).map(
        " ".join
    ),
    min_size=1,
    max_size=60,
)


def mass(model: LanguageModel, history: str) -> float:
    """Add up what all words have after a history."""
    words = (*model.words, UNKNOWN, END)
    return sum(math.exp(model.log_prob(word, history)) for word in words)


def told(model: LanguageModel, text: str) -> float:
    history, total = model.after("", START), 0.0
    for word in (*text.split(), END):
        total += model.log_prob(word, history)
        history = model.after(history, word) if word != END else ""
    return total


@given(texts)
@settings(deadline=None, max_examples=60)
def test_what_follows_any_history_sums_to_one(said: list[str]) -> None:
    model = LanguageModel.of(said)
    for history in ("", *model.backoffs):
        assert mass(model, history) == pytest.approx(1, abs=1e-3)


@given(texts, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_the_same_texts_in_any_order_are_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, said: list[str], order: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("models")
    LanguageModel.of(said).write(folder)
    before = (folder / FILE).read_bytes()
    order.shuffle(said)
    LanguageModel.of(said).write(folder)
    assert (folder / FILE).read_bytes() == before


@given(texts)
@settings(deadline=None, max_examples=30)
def test_a_model_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, said: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("models")
    model = LanguageModel.of(said)
    model.write(folder)
    read = LanguageModel.read(folder)
    assert (read.order, read.words) == (model.order, model.words)
    for text in (*said, "two two six", "unheard of"):
        assert told(read, text) == pytest.approx(told(model, text), abs=1e-4)


def test_a_word_outside_the_lexicon_is_possible_and_less_likely() -> None:
    model = LanguageModel.of(["one two", "two three", "three one"] * 10)
    assert not model.knows("six")
    assert -30 < model.log_prob("six", "") < min(model.log_prob(word, "") for word in model.words)
    assert model.log_prob("six", "") == model.probabilities[UNKNOWN]


def test_many_new_words_make_more_new_words_likely() -> None:
    closed = LanguageModel.of(["one two three"] * 50)
    open_ = LanguageModel.of([f"one two{index} three{index}" for index in range(50)])
    assert closed.probabilities[UNKNOWN] < math.log(0.01) < open_.probabilities[UNKNOWN]


def test_a_strict_order_of_words_is_learnt_and_a_loose_one_is_not() -> None:
    strict = LanguageModel.of(["please call me back now"] * 30 + ["please hold the line now"] * 30)
    assert strict.log_prob("me", "call") > math.log(0.9)
    rng = random.Random(1)
    loose = LanguageModel.of(
        [" ".join(rng.choices("abcdefgh", k=rng.randint(1, 9))) for _ in range(300)]
    )
    # An order that random words do not have is not believed in.
    for one, other in itertools.product(loose.words, repeat=2):
        assert math.exp(loose.log_prob(other, one)) == pytest.approx(0.1, abs=0.06)


def test_few_texts_have_words_only() -> None:
    assert LanguageModel.of(["please call me back"] * 5).order == 1


def test_reserved_words_and_empty_texts_are_left_out() -> None:
    model = LanguageModel.of(["", "  ", "one <s> two </s> <unk>"])
    assert model.words == ("one", "two")
    with pytest.raises(ValueError, match="no word"):
        LanguageModel.of(["", " ", "<unk>"])


def test_spelling_prefers_what_words_look_like() -> None:
    letters = Letters(["three", "tree", "free", "four", "five"])
    assert letters.spelling("fire") > letters.spelling("xqzj")
    alphabet = {*"threfouiv", Letters.EDGE}
    for before in alphabet:
        total = sum(math.exp(letters.log_prob(letter, before)) for letter in alphabet)
        assert 0.8 < total <= 1 + 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tone\n",
        "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tone\n\n\\end\\\n",
        "\\data\\\nngram 1=1\n\n\\1-grams:\nmany\tone\n\n\\end\\\n",
        "\\data\\\nngram 1=1\n\n\\1-grams:\n-1 one\n\n\\end\\\n",
        "\\data\\\nngram 1=3\n\n\\1-grams:\nnan\t<unk>\n-1\t</s>\n-1\tone\n\n\\end\\\n",
        "\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<unk>\n-1\t</s>\n-1\tone\t1e999\n\n\\end\\\n",
    ],
)
def test_a_broken_file_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(OperationalError, match="no ARPA language model"):
        LanguageModel.read(tmp_path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="no language model"):
        LanguageModel.read(tmp_path)


def test_a_large_model_is_pruned_sums_to_one_and_loads_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)
    words = [f"w{index}" for index in range(2_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    said = [" ".join(rng.choices(words, weights, k=8)) for _ in range(6_000)]
    said += [f"{one} {one} {one}x" for one in words[:1500]]
    monkeypatch.setattr(language_model, "_best_order", lambda *_: 3)
    monkeypatch.setattr(language_model, "_MOST_NGRAMS", 5_000)
    monkeypatch.setattr(language_model, "_MOST_WORDS", 3_000)
    model = LanguageModel.of(said)
    sizes = [sum(each.count(" ") == size for each in model.probabilities) for size in range(3)]
    assert len(model.words) == 3_000
    assert sizes[2] == 5_000
    assert sizes[1] <= 10_000  # what a longer n-gram hangs on stays
    for history in ("", START, "w0", "w3 w0", *rng.sample(sorted(model.backoffs), 20)):
        assert mass(model, history) == pytest.approx(1, abs=1e-3)
    model.write(tmp_path)
    started = time.perf_counter()
    read = LanguageModel.read(tmp_path)
    assert time.perf_counter() - started < 1
    assert told(read, said[0]) == pytest.approx(told(model, said[0]), abs=1e-3)
