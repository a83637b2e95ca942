"""Transcripts of CTC paths: held to the tokenizer's own decoding, for any path."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

from thanosql_dbapi.models.alignment import (
    PAUSE_S,
    Alphabet,
    alphabet_of,
    best_path,
    seconds_per_frame,
    transcript,
)
from thanosql_dbapi.models.base import Prediction
from thanosql_dbapi.models.vocabulary import in_case

FRAME_S = 0.02
LETTERS = ("<pad>", "<s>", "</s>", "<unk>", "|", "'", "N", "T", "S", ".", "é", "ß", "Σ")
#: The model has more labels than the tokenizer writes.
LABELS = len(LETTERS) + 3


def _tokenizer(folder: Path, **settings: object) -> Wav2Vec2CTCTokenizer:
    path = folder / "vocab.json"
    path.write_text(json.dumps({token: label for label, token in enumerate(LETTERS)}))
    return Wav2Vec2CTCTokenizer(str(path), **settings)


@pytest.fixture(scope="module")
def alphabets(tmp_path_factory: pytest.TempPathFactory) -> list[Alphabet]:
    folder = tmp_path_factory.mktemp("tokenizers")
    settings: list[tuple[dict[str, object], str | None]] = [
        ({}, None),
        ({}, "lower"),
        ({"do_lower_case": True}, "upper"),
        ({"clean_up_tokenization_spaces": True}, None),
        ({"clean_up_tokenization_spaces": True, "do_lower_case": True}, "upper"),
        ({"replace_word_delimiter_char": ""}, None),
        ({"pad_token": "N"}, None),
        ({"word_delimiter_token": "T"}, "lower"),
    ]
    return [
        alphabet_of(_tokenizer(folder, **given), LABELS, text_case) for given, text_case in settings
    ]


def _read(alphabet: Alphabet, ids: list[int], log_probs: object = None) -> Prediction:
    given = np.full(len(ids), -0.1) if log_probs is None else np.asarray(log_probs)
    return transcript(
        np.array(ids), given, alphabet, frame_s=FRAME_S, seconds=FRAME_S * len(ids) + 0.01
    )


def _labels(text: str) -> list[int]:
    """Return a path that is written as one character a frame, `_` for the blank."""
    return [0 if letter == "_" else LETTERS.index(letter) for letter in text]


paths = st.lists(st.integers(0, LABELS - 1), min_size=1, max_size=60)
log_probabilities = st.floats(-50, 0)


@given(paths)
@settings(deadline=None, max_examples=150)
def test_a_text_is_what_the_tokenizer_decodes(alphabets: list[Alphabet], ids: list[int]) -> None:
    for alphabet in alphabets:
        decoded = alphabet.tokenizer.decode(ids)
        assert _read(alphabet, ids).text == in_case(decoded, alphabet.text_case)


@given(paths)
@settings(deadline=None, max_examples=150)
def test_words_are_the_tokenizers_words_at_its_offsets(
    alphabets: list[Alphabet], ids: list[int]
) -> None:
    for alphabet in alphabets:
        output = alphabet.tokenizer.decode(ids, output_word_offsets=True)
        found = _read(alphabet, ids)
        assert found.words is not None
        expected = [
            (alphabet.word(each["word"]), each["start_offset"], each["end_offset"])
            for each in output.word_offsets
        ]
        assert [
            (word.text, round(word.start_s / FRAME_S), round(word.end_s / FRAME_S))
            for word in found.words
        ] == expected


@given(paths)
@settings(deadline=None, max_examples=150)
def test_words_and_chunks_joined_by_spaces_are_the_text(
    alphabets: list[Alphabet], ids: list[int]
) -> None:
    for alphabet in alphabets:
        tokenizer = alphabet.tokenizer
        if tokenizer.clean_up_tokenization_spaces or tokenizer.replace_word_delimiter_char != " ":
            continue
        found = _read(alphabet, ids)
        assert found.words is not None
        assert found.chunks is not None
        text = " ".join(found.text.split())
        assert " ".join(word.text for word in found.words) == text
        assert " ".join(chunk.text for chunk in found.chunks) == text


@given(st.lists(st.tuples(st.integers(0, LABELS - 1), log_probabilities), min_size=1, max_size=60))
@settings(deadline=None, max_examples=150)
def test_scores_and_times_are_in_their_bounds_and_in_order(
    alphabets: list[Alphabet], frames: list[tuple[int, float]]
) -> None:
    ids, log_probs = zip(*frames, strict=True)
    for alphabet in alphabets:
        found = _read(alphabet, list(ids), log_probs)
        assert found.score is not None
        assert found.words is not None
        assert found.chunks is not None
        timed = (*found.words, *found.chunks)
        scores = [found.score, *(each.score for each in timed if each.score is not None)]
        assert len(scores) == 1 + len(timed)
        assert all(0 <= score <= 1 for score in scores)
        assert found.seconds is not None
        for each in timed:
            assert 0 <= each.start_s < each.end_s <= found.seconds
        for stretches in (found.words, found.chunks):
            for one, other in itertools.pairwise(stretches):
                assert one.end_s <= other.start_s


@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
@settings(deadline=None, max_examples=100)
def test_noise_in_the_logits_moves_no_score(
    alphabets: list[Alphabet], seed: int, frames: int
) -> None:
    generator = np.random.default_rng(seed)
    logits = 4 * generator.standard_normal((frames, LABELS))
    # Exact ties are nobody's promise: the best label of each frame leads by 1e-3.
    logits[np.arange(frames), logits.argmax(axis=1)] += 1e-3
    noise = 1e-5 * (2 * generator.random(logits.shape) - 1)
    for alphabet in alphabets[:2]:
        plain, noisy = (
            transcript(*best_path(each.astype(np.float32)), alphabet, frame_s=0.02, seconds=9.0)
            for each in (logits, logits + noise)
        )
        assert noisy.text == plain.text
        assert noisy.score == pytest.approx(plain.score, abs=1e-4)
        assert [w.text for w in noisy.words or ()] == [w.text for w in plain.words or ()]
        for one, other in zip(noisy.words or (), plain.words or (), strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_the_best_path_has_the_log_softmax_of_its_labels() -> None:
    logits = 30 * torch.randn((50, 12), generator=torch.Generator().manual_seed(1))
    ids, log_probs = best_path(logits.numpy())
    expected = torch.log_softmax(logits.double(), dim=1).max(dim=1)
    assert ids.tolist() == expected.indices.tolist()
    assert log_probs == pytest.approx(expected.values.numpy(), abs=1e-5)


def test_the_greedy_path_is_the_likeliest_of_all_paths_of_its_text(
    alphabets: list[Alphabet],
) -> None:
    alphabet = alphabets[0]
    used = _labels("_|NT")
    generator = np.random.default_rng(3)
    logits = np.full((5, LABELS), -30.0)
    logits[:, used] = generator.standard_normal((5, len(used)))
    log_probs = torch.log_softmax(torch.tensor(logits), dim=1).numpy()
    ids, greedy = best_path(logits)
    text = _read(alphabet, ids.tolist()).text
    for path in np.stack(np.meshgrid(*[used] * 5), axis=-1).reshape(-1, 5):
        if _read(alphabet, path.tolist()).text == text:
            assert log_probs[np.arange(5), path].sum() <= greedy.sum() + 1e-6


def test_a_score_is_the_geometric_mean_of_its_letters_surest_frames(
    alphabets: list[Alphabet],
) -> None:
    ids = _labels("_NN_|TS_")
    probabilities = [0.3, 0.5, 0.9, 0.2, 0.1, 0.8, 0.4, 0.7]
    found = _read(alphabets[0], ids, np.log(probabilities))
    assert found.text == "N TS"
    assert found.words is not None
    assert [word.score for word in found.words] == pytest.approx([0.9, (0.8 * 0.4) ** (1 / 2)])
    assert found.score == pytest.approx((0.9 * 0.8 * 0.4) ** (1 / 3))


@pytest.mark.parametrize("path", ["____", "_|_|"])
def test_a_text_of_no_word_has_the_score_of_its_frames(
    alphabets: list[Alphabet], path: str
) -> None:
    found = _read(alphabets[0], _labels(path), np.log([0.9, 0.8, 0.7, 0.6]))
    assert found.text == ""
    assert found.words == found.chunks == ()
    assert found.score == pytest.approx((0.9 * 0.8 * 0.7 * 0.6) ** (1 / 4))


def test_a_letter_that_the_model_rules_out_scores_nothing(alphabets: list[Alphabet]) -> None:
    found = _read(alphabets[0], _labels("N"), [-np.inf])
    assert found.score == 0


def test_words_are_timed_from_their_first_frame_to_after_their_last(
    alphabets: list[Alphabet],
) -> None:
    found = _read(alphabets[0], _labels("__NN_T_||S"))
    assert found.words is not None
    assert [(word.text, word.start_s, word.end_s) for word in found.words] == [
        ("NT", pytest.approx(0.04), pytest.approx(0.12)),
        ("S", pytest.approx(0.18), pytest.approx(0.20)),
    ]


def test_times_stay_within_the_audio(alphabets: list[Alphabet]) -> None:
    ids = np.array(_labels("_N|T"))
    found = transcript(ids, np.zeros(4), alphabets[0], frame_s=1.0, seconds=2.5)
    assert [(w.start_s, w.end_s) for w in found.words or ()] == [(1.0, 2.0), (2.5, 2.5)]


def test_a_pause_parts_chunks(alphabets: list[Alphabet]) -> None:
    pause = "_" * round(PAUSE_S / FRAME_S)
    found = _read(alphabets[0], _labels(f"_N|_T_|{pause[1:]}S{pause[2:]}|N"))
    assert found.chunks is not None
    assert [chunk.text for chunk in found.chunks] == ["N T", "S N"]
    assert found.words is not None
    assert found.chunks[0].start_s == found.words[0].start_s
    assert found.chunks[0].end_s == found.words[1].end_s


def test_a_chunk_scores_its_letters(alphabets: list[Alphabet]) -> None:
    probabilities = [0.9, 0.1, 0.5, 0.4]
    found = _read(alphabets[0], _labels("N|TS"), np.log(probabilities))
    assert found.chunks is not None
    assert found.chunks[0].score == pytest.approx((0.9 * 0.5 * 0.4) ** (1 / 3))
    assert found.chunks[0].score == found.score


@pytest.mark.parametrize(("adapter", "frame_s"), [(False, 0.02), (True, 0.08)])
def test_the_time_between_frames_counts_all_strides(adapter: bool, frame_s: float) -> None:
    config = Wav2Vec2Config(
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_kernel=(40, 8),
        conv_stride=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        add_adapter=adapter,
        num_adapter_layers=2,
    )
    assert seconds_per_frame(Wav2Vec2ForCTC(config), 16000) == pytest.approx(frame_s)
