"""What held-out rows say of a model, and which decoder they speak for."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speech_fixtures import make_checkpoint
from spoken import DIGITS, alphabet, spoken
from transcribing import predict

from thanosql_dbapi.assets import RECORDINGS, VOICE_TINY
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.alignment import Alphabet, alphabet_of
from thanosql_dbapi.models.beam import BeamDecoder
from thanosql_dbapi.models.decoder_choice import read_decoder
from thanosql_dbapi.models.held_out import (
    DecoderChoice,
    choose_decoder,
    emissions,
    greedy_texts,
    wer,
    wer_of,
)
from thanosql_dbapi.models.language_model import LanguageModel
from thanosql_dbapi.models.wav2vec2 import TINY, _load
from thanosql_dbapi.models.windows import Candidates
from thanosql_dbapi.registry import Version

with (RECORDINGS / "calls_test.csv").open() as file:
    ROWS = list(csv.DictReader(file))[:20]
FILES = [RECORDINGS / row["audio_path"] for row in ROWS]
TEXTS = [row["text"] for row in ROWS]


@pytest.fixture(scope="module")
def waveforms() -> list[Any]:
    return [decode_audio(media_of(str(path), Path()), 16000) for path in FILES]


@pytest.fixture(scope="module")
def parts() -> Any:
    return _load(VOICE_TINY)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Alphabet:
    return alphabet(tmp_path_factory.mktemp("english"), "_|abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="module")
def digits() -> LanguageModel:
    rng = np.random.default_rng(0)
    return LanguageModel.of([" ".join(rng.choice(DIGITS, rng.integers(2, 6))) for _ in range(100)])


@pytest.mark.parametrize("group_norm", [False, True])
def test_each_row_is_heard_as_if_alone(
    tmp_path: Path, waveforms: list[Any], group_norm: bool
) -> None:
    model, _, extractor = _load(make_checkpoint(tmp_path, group_norm=group_norm, letters="ABCDE"))
    model.eval()
    how = {"normalise": bool(extractor.do_normalize)}
    waveforms = waveforms[:6]
    together = emissions(model, waveforms, **how)
    for waveform, heard in zip(waveforms, together, strict=True):
        (alone,) = emissions(model, [waveform], **how)
        assert heard.labels.shape == alone.labels.shape
        np.testing.assert_allclose(heard.log_probs, alone.log_probs, atol=1e-3)
        assert np.exp(heard.log_probs).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_texts_are_those_that_predict_gives(parts: Any, waveforms: list[Any]) -> None:
    model, tokenizer, extractor = parts
    known = alphabet_of(tokenizer, 32)
    how: dict[str, Any] = {"normalise": bool(extractor.do_normalize)}
    voice = TINY.load(Version("m", 1, VOICE_TINY, {}), "cpu")
    predicted = [found.text for found in predict(voice, FILES)]
    assert greedy_texts(model, waveforms, known, **how) == predicted
    assert wer(model, waveforms, TEXTS, known, **how) == wer_of(TEXTS, predicted)
    # The beam's too.
    language_model = LanguageModel.of(TEXTS)
    decoder = BeamDecoder(known, language_model, DecoderChoice("beam"))
    heard = [decoder.text(row) for row in emissions(model, waveforms, **how)]
    assert heard != predicted


def test_a_beam_hears_what_predict_hears(parts: Any, waveforms: list[Any], tmp_path: Path) -> None:
    model, tokenizer, extractor = parts
    shutil.copytree(VOICE_TINY, tmp_path / "m")
    LanguageModel.of(TEXTS).write(tmp_path / "m")
    DecoderChoice("beam").write(tmp_path / "m")
    voice = TINY.load(Version("m", 1, tmp_path / "m", {}), "cpu")
    choice = read_decoder(tmp_path / "m")
    assert choice is not None
    decoder = BeamDecoder(alphabet_of(tokenizer, 32), LanguageModel.read(tmp_path / "m"), choice)
    heard = emissions(model, waveforms, normalise=bool(extractor.do_normalize))
    texts = [decoder.text(row) for row in heard]
    assert texts == [found.text for found in predict(voice, FILES)]


def test_the_model_is_left_as_it_was(parts: Any, waveforms: list[Any]) -> None:
    model, _, extractor = parts
    how: dict[str, Any] = {"normalise": bool(extractor.do_normalize)}
    first = emissions(model, waveforms[:3], **how)
    model.train()
    state = torch.random.get_rng_state()
    second = emissions(model, waveforms[:3], **how)
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.log_probs, other.log_probs)
    model.eval()


def test_a_row_too_short_for_a_frame_says_nothing(parts: Any, waveforms: list[Any]) -> None:
    model, tokenizer, extractor = parts
    known = alphabet_of(tokenizer, 32)
    rows = [np.zeros(10, np.float32), waveforms[0]]
    how: dict[str, Any] = {"normalise": bool(extractor.do_normalize)}
    texts = greedy_texts(model, rows, known, **how)
    assert texts[0] == ""
    assert texts[1]
    heard = emissions(model, rows, **how)
    assert [len(each.labels) > 0 for each in heard] == [False, True]
    decoder = BeamDecoder(known, LanguageModel.of(TEXTS), DecoderChoice("beam"))
    assert decoder.text(heard[0]) == ""


def test_a_run_that_was_stopped_ends_at_once(parts: Any, waveforms: list[Any]) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emissions(parts[0], waveforms, normalise=True, check=check)


def test_no_rows_have_no_rate() -> None:
    with pytest.raises(ValueError, match="no held-out row"):
        wer_of([], [])
    assert wer_of(["A  b", "c"], ["a B", "d"]) == pytest.approx(1 / 3)


# --- the choice -----------------------------------------------------------------------------


def said(rows: int, words: list[str] = DIGITS, seed: int = 1) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, rng.integers(2, 6))) for _ in range(rows)]


def misheard(text: str, alphabet: Alphabet, seed: int) -> Candidates:
    rng = np.random.default_rng(seed)
    place = int(rng.integers(len(text)))
    return spoken(text, alphabet, {} if text[place] == " " else {place: "k"})


def test_the_beam_is_chosen_where_it_errs_less(english: Alphabet, digits: LanguageModel) -> None:
    texts = said(30)
    heard = [misheard(text, english, seed) for seed, text in enumerate(texts)]
    choice = choose_decoder(heard, texts, digits, english)
    assert choice.decoder == "beam"
    assert choice.wer_beam is not None
    assert choice.wer_greedy is not None
    assert choice.wer_beam < choice.wer_greedy / 10
    assert choice.coverage == 1
    assert "30 held-out rows: greedy" in choice.evidence


def test_where_both_hear_all_the_beam_must_prove_itself_on_a_shaken_copy(
    english: Alphabet, digits: LanguageModel
) -> None:
    texts = said(30)
    heard = [spoken(text, english) for text in texts]
    choice = choose_decoder(heard, texts, digits, english)
    assert (choice.wer_greedy, choice.wer_beam) == (0, 0)
    assert choice.decoder == "beam"


def test_greedy_is_chosen_where_the_lexicon_misleads(
    english: Alphabet, digits: LanguageModel
) -> None:
    likely = said(30)
    # Each word's second letter is another than the lexicon's, and rightly heard.
    changes = [
        {place: "k" for place in range(1, len(text)) if f" {text}"[place - 1 : place + 1][0] == " "}
        for text in likely
    ]
    heard = [spoken(text, english, change) for text, change in zip(likely, changes, strict=True)]
    texts = [
        "".join(change.get(place, letter) for place, letter in enumerate(text))
        for text, change in zip(likely, changes, strict=True)
    ]
    choice = choose_decoder(heard, texts, digits, english)
    assert choice.coverage == 0
    assert choice.wer_greedy == 0
    assert choice.wer_beam is not None
    assert choice.wer_beam > 0.1
    assert choice.decoder == "greedy"


def test_a_beam_helps_words_that_are_spelled_like_the_lexicons(
    english: Alphabet, digits: LanguageModel
) -> None:
    texts = said(30, ["ones", "sixth", "fourth", "fives", "zeros", "tow", "threes"])
    heard = [misheard(text, english, seed) for seed, text in enumerate(texts)]
    choice = choose_decoder(heard, texts, digits, english)
    assert choice.coverage == 0
    assert choice.wer_beam is not None
    assert choice.wer_greedy is not None
    assert choice.decoder == "beam"
    assert choice.wer_beam < choice.wer_greedy


def test_the_same_rows_give_the_same_choice(english: Alphabet, digits: LanguageModel) -> None:
    texts = said(10)
    heard = [misheard(text, english, seed) for seed, text in enumerate(texts)]
    assert choose_decoder(heard, texts, digits, english) == choose_decoder(
        heard, texts, digits, english
    )


def test_one_row_changes_no_weight(english: Alphabet, digits: LanguageModel) -> None:
    texts = said(1)
    choice = choose_decoder([misheard(texts[0], english, 0)], texts, digits, english)
    weights = DecoderChoice("beam")
    assert (choice.lm_weight, choice.word_bonus, choice.unknown_penalty, choice.temperature) == (
        weights.lm_weight,
        weights.word_bonus,
        weights.unknown_penalty,
        weights.temperature,
    )


def test_a_bad_models_many_labels_are_searched_in_few_rows(
    english: Alphabet, digits: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thanosql_dbapi.models.held_out._MOST_LABELS", 600)
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(12, dtype=np.int32), (40, 1))
    unsure = np.log(rng.dirichlet(np.full(12, 20.0), (8, 40))).astype(np.float32)
    bad = [Candidates(labels, -np.sort(-row, axis=1)) for row in unsure]
    good = [spoken("one two", english)] * 8
    asked: list[int] = []
    for heard, rows in ((good, 8), (bad, 2)):
        choice = choose_decoder(
            heard, ["one two"] * 8, digits, english, check=lambda: asked.append(1)
        )
        assert f"WER on {rows} held-out rows" in choice.evidence
    # Before each row: a row of a bad model may take long.
    assert len(asked) == 11 * 2 * (8 + 2)


def test_without_held_out_rows_a_closed_language_speaks_for_the_beam(
    english: Alphabet, digits: LanguageModel
) -> None:
    closed = choose_decoder([], [], digits, english)
    assert closed.decoder == "beam"
    assert closed.wer_beam is None
    many = LanguageModel.of([f"w{index} v{index % 7}" for index in range(50)])
    open_ = choose_decoder([], [], many, english)
    assert open_.decoder == "greedy"
    assert "no held-out rows" in open_.evidence


def test_a_model_that_broke_is_no_reason_to_fail(english: Alphabet, digits: LanguageModel) -> None:
    texts = said(5)
    broken = Candidates(np.zeros((30, 12), np.int32), np.full((30, 12), np.nan, np.float32))
    assert choose_decoder([broken] * 5, texts, digits, english).decoder == "greedy"
