"""The beam search: held to brute force over all texts, and to what a lexicon should repair."""

from __future__ import annotations

import csv
import itertools
import math
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spoken import DIGITS, alphabet, candidates, spoken
from transcribing import predict

from thanosql_dbapi.assets import RECORDINGS, VOICE_TINY
from thanosql_dbapi.exceptions import NotSupportedError, OperationalError
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models import beam
from thanosql_dbapi.models.alignment import Alphabet, collapsed, text_of
from thanosql_dbapi.models.beam import BeamDecoder, Beams
from thanosql_dbapi.models.decoder_choice import FILE, DecoderChoice, read_decoder
from thanosql_dbapi.models.forced_alignment import align
from thanosql_dbapi.models.language_model import END, START, UNKNOWN, LanguageModel, Letters
from thanosql_dbapi.models.metrics import error_rates
from thanosql_dbapi.models.speech import WINDOW_S
from thanosql_dbapi.models.wav2vec2 import TINY
from thanosql_dbapi.models.windows import Candidates
from thanosql_dbapi.registry import Version

#: `_` is the blank, `|` parts words.
LETTERS = "_|ab"

#: Nothing is left out: what the search finds is then exact.
EXACT = DecoderChoice(
    "beam", beam_width=10**6, temperature=1.0, lm_weight=0.0, word_bonus=0.0, unknown_penalty=0.0
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Alphabet:
    return alphabet(tmp_path_factory.mktemp("tiny"), LETTERS)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Alphabet:
    return alphabet(tmp_path_factory.mktemp("english"), "_|abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="module")
def digits() -> LanguageModel:
    rng = np.random.default_rng(0)
    return LanguageModel.of([" ".join(rng.choice(DIGITS, rng.integers(2, 6))) for _ in range(100)])


def drawn(frames: int, labels: int, seed: int, peak: float = 2.0) -> NDArray[np.float64]:
    logits = np.random.default_rng(seed).normal(0, peak, (frames, labels))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def all_texts(log_probs: NDArray[Any], alphabet: Alphabet) -> dict[str, float]:
    """Return the probability of each text: of all the paths that are written so."""
    texts: dict[str, float] = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = "".join(alphabet.pieces[each] for each in collapsed(np.array(path), alphabet))
        told = sum(log_probs[frame, label] for frame, label in enumerate(path))
        texts[" ".join(text.split())] += math.exp(told)
    return texts


def weight(text: str, model: LanguageModel, choice: DecoderChoice) -> float:
    """Return what the words of a text weigh, in nats."""
    total, history = 0.0, model.after("", START)
    for word in text.split():
        total += choice.word_bonus
        if model.knows(word):
            total += choice.lm_weight * model.log_prob(word, history)
        else:
            told = model.log_prob(UNKNOWN, history) + model.letters.spelling(word)
            total += choice.lm_weight * told - choice.unknown_penalty
        history = model.after(history, word)
    return total + choice.lm_weight * model.log_prob(END, history)


@pytest.fixture
def nothing_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam, "_LEAST", 1e-300)
    monkeypatch.setattr(beam, "_BEHIND", 0.0)


MODELS = [
    LanguageModel.of(["a ab", "ab b ab", "b a"]),
    LanguageModel.of(["ab a", "ab b", "a ab b"] * 10),
]


@pytest.mark.usefixtures("nothing_left_out")
@pytest.mark.parametrize("seed", range(40))
def test_a_wide_beam_is_brute_force_over_all_texts(tiny: Alphabet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs = drawn(int(rng.integers(1, 7)), len(LETTERS), seed, peak=rng.uniform(0.5, 3))
    texts = all_texts(log_probs, tiny)
    weighed = replace(EXACT, lm_weight=0.8, word_bonus=0.7, unknown_penalty=1.0)
    for choice, model in ((EXACT, MODELS[0]), *((weighed, model) for model in MODELS)):
        scores = {
            text: math.log(told) + weight(text, model, choice) for text, told in texts.items()
        }
        found = BeamDecoder(tiny, model, choice).text(candidates(log_probs))
        assert scores[found] == pytest.approx(max(scores.values()), abs=1e-4)


@pytest.mark.usefixtures("nothing_left_out")
@pytest.mark.parametrize("seed", range(20))
def test_the_alignment_is_the_likeliest_path_of_the_text(tiny: Alphabet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 7))
    log_probs = drawn(frames, len(LETTERS), seed)
    kept = candidates(log_probs)
    best: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(len(LETTERS)), repeat=frames):
        written = tuple(collapsed(np.array(path), tiny))
        told = sum(log_probs[frame, label] for frame, label in enumerate(path))
        best[written] = max(best.get(written, -math.inf), told)
    for written, told in best.items():
        ids, log_prob = align(kept.labels, kept.log_probs, written, tiny.blank)
        assert tuple(collapsed(ids, tiny)) == written
        assert log_prob.sum() == pytest.approx(told, abs=1e-3)


def test_a_text_that_needs_more_frames_is_refused(tiny: Alphabet) -> None:
    kept = candidates(drawn(3, len(LETTERS), 0))
    with pytest.raises(ValueError, match="3 letters do not fit into 3 frames"):
        align(kept.labels, kept.log_probs, [2, 2, 3], tiny.blank)


def test_a_lexicon_repairs_letters(english: Alphabet, digits: LanguageModel) -> None:
    decoder = BeamDecoder(english, digits, DecoderChoice("beam"))
    heard = spoken("three one four", english, {1: "l", 3: "i", 7: "m", 11: "a"})
    assert text_of(heard.labels[:, 0], english) == "tlrie ome faur"
    assert decoder.text(heard) == "three one four"
    ids, log_probs = decoder.path(heard)
    assert text_of(ids, english) == "three one four"
    table = {
        (frame, label): told
        for frame, (labels, row) in enumerate(zip(heard.labels, heard.log_probs, strict=True))
        for label, told in zip(labels.tolist(), row.tolist(), strict=True)
    }
    assert log_probs.tolist() == pytest.approx(
        [table[frame, label] for frame, label in enumerate(ids.tolist())]
    )


def test_a_word_outside_the_lexicon_is_written_where_it_is_heard(
    english: Alphabet, digits: LanguageModel
) -> None:
    for text in ("three hundred four", "oh one", "zebra"):
        assert not all(map(digits.knows, text.split()))
        decoder = BeamDecoder(english, digits, DecoderChoice("beam"))
        assert decoder.text(spoken(text, english)) == text


def test_a_heavier_penalty_never_lets_more_unknown_words_in(
    english: Alphabet, digits: LanguageModel
) -> None:
    counts = []
    for penalty in (0.0, 4.0, 16.0, 64.0):
        choice = DecoderChoice("beam", unknown_penalty=penalty)
        decoder = BeamDecoder(english, digits, choice)
        heard = [candidates(drawn(60, 28, seed, peak=4.0)) for seed in range(8)]
        words = " ".join(map(decoder.text, heard)).split()
        counts.append(sum(not digits.knows(word) for word in words))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_words_are_parted_by_one_space(english: Alphabet, digits: LanguageModel) -> None:
    decoder = BeamDecoder(english, digits, DecoderChoice("beam"))
    heard = spoken("  one   two ", english)
    assert decoder.text(heard) == "one two"
    assert text_of(decoder.path(heard)[0], english) == "one two"


labels_of_paths = st.lists(st.integers(0, 27), min_size=1, max_size=50)


@given(labels_of_paths)
@settings(deadline=None)
def test_where_the_model_is_sure_the_greedy_path_is_taken_without_a_search(
    english: Alphabet, digits: LanguageModel, ids: list[int]
) -> None:
    decoder = BeamDecoder(english, digits, DecoderChoice("beam"))
    sure = np.full((len(ids), 28), -30.0)
    sure[np.arange(len(ids)), ids] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(beam, "_Search")
        path, log_probs = decoder.path(candidates(sure))
    written = "".join(english.pieces[each] for each in collapsed(np.array(ids), english))
    once = " ".join(written.split())
    if written == once:
        assert path.tolist() == ids
        assert not log_probs.any()
    assert text_of(path, english) == once


@given(st.integers(0, 1000), st.integers(1, 80))
@settings(deadline=None, max_examples=40)
def test_a_run_that_says_one_thing_is_one_step(
    english: Alphabet, digits: LanguageModel, seed: int, frames: int
) -> None:
    rng = np.random.default_rng(seed)
    log_probs = drawn(frames, 28, seed, peak=3.0)
    kept = candidates(log_probs)
    # Single frames that are sure: saying them several times says nothing more.
    sure = rng.random(frames) < 0.5
    table = np.where(sure[:, None], np.array([0.0] + [-60.0] * 11), kept.log_probs)
    once = Candidates(kept.labels, table.astype(np.float32))
    often = np.repeat(np.arange(frames), np.where(sure, 3, 1))
    thrice = Candidates(once.labels[often], once.log_probs[often])
    decoder = BeamDecoder(english, digits, DecoderChoice("beam"))
    assert decoder.text(thrice) == decoder.text(once)


def test_a_decision_taken_early_is_the_decision_taken_late(
    english: Alphabet, digits: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long files are decided bit by bit; the words on both sides know of each other."""
    rng = np.random.default_rng(3)
    text = " ".join(rng.choice(DIGITS, 60))
    places = rng.choice(len(text), 25, replace=False).tolist()
    mishears = {place: "k" for place in places if text[place] != " "}
    heard = spoken(text, english, mishears)
    decoder = BeamDecoder(english, digits, DecoderChoice("beam", beam_width=64))
    late = decoder.text(heard)
    monkeypatch.setattr(beam, "_UNDECIDED", 0)
    # Sure blanks are where it may decide.
    sure = heard.labels[:, 0] == english.blank
    table = np.where(sure[:, None], np.array([0.0] + [-60.0] * 11), heard.log_probs)
    heard = Candidates(heard.labels, table.astype(np.float32))
    assert error_rates([text], [late])["wer"] < 0.1
    assert error_rates([late], [decoder.text(heard)])["wer"] < 0.1
    parts = decoder._parts(heard.labels.astype(np.int64), heard.log_probs)
    assert len(parts) > 20
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[-1].end) == (0, len(heard.labels))


@pytest.mark.parametrize("sure", [True, False])
def test_what_is_never_decided_is_believed_in_parts(
    english: Alphabet, digits: LanguageModel, monkeypatch: pytest.MonkeyPatch, sure: bool
) -> None:
    """Else search and alignment grow with the square of a file's length."""
    monkeypatch.setattr(beam, "_LONGEST", 100)
    monkeypatch.setattr(beam, "_LONGEST_WORD", 20)
    aligned: list[int] = []

    def aligning(labels: NDArray[np.int64], *rest: Any) -> Any:
        aligned.append(len(labels))
        return align(labels, *rest)

    monkeypatch.setattr(beam, "align", aligning)
    heard = drawn(700, len(english.pieces), seed=5, peak=1.0)
    if sure:
        heard = drawn(700, len(english.pieces), seed=5, peak=9.0)
        heard[:, english.blank] = -30.0
        heard[:, 1] = -30.0
    decoder = BeamDecoder(english, digits, replace(DecoderChoice("beam"), temperature=1.0))
    found = candidates(heard)
    ids, log_probs = decoder.path(found)
    assert len(ids) == len(log_probs) == 700
    assert text_of(ids, english)
    assert aligned
    assert max(aligned) <= 101


def test_a_heavy_language_model_overflows_nowhere(english: Alphabet) -> None:
    order = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"]
    texts = [" ".join((order + order)[first : first + 4]) for first in range(9)] * 30
    states = beam._Words(
        english, LanguageModel.of(texts), replace(DecoderChoice("beam"), lm_weight=1000.0)
    )
    state = states.first()
    labels = {piece: label for label, piece in enumerate(english.pieces)}
    for letter in "alpha bravo charlie ":
        state, factor = states.follow(state, labels[letter])
        assert math.isfinite(factor)


def test_an_hour_neither_overflows_nor_underflows(english: Alphabet, digits: LanguageModel) -> None:
    heard = spoken("one two three four ", english)
    hour = Candidates(*(np.tile(each, (100, 1)) for each in (heard.labels, heard.log_probs)))
    for bonus, penalty, least, most in (
        (1.0, 400.0, 100, 100),
        (40.0, 0.0, 100, 200),
        (-400.0, 4.0, 0, 100),
    ):
        choice = DecoderChoice("beam", word_bonus=bonus, unknown_penalty=penalty)
        words = BeamDecoder(english, digits, choice).text(hour).split()
        assert least <= words.count("three") <= most


def test_what_was_searched_before_changes_nothing(
    english: Alphabet, digits: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [candidates(drawn(40, 28, seed, peak=4.0)) for seed in range(8)]
    alone = [BeamDecoder(english, digits, DecoderChoice("beam")).text(file) for file in files]
    shared = BeamDecoder(english, digits, DecoderChoice("beam"))
    assert [shared.text(file) for file in reversed(files)] == alone[::-1]
    monkeypatch.setattr(beam, "_MOST_STATES", 50)
    forgetful = BeamDecoder(english, digits, DecoderChoice("beam"))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(forgetful.text, files * 4)) == alone * 4
    finally:
        sys.setswitchinterval(before)


# --- a version's folder ---------------------------------------------------------------------


def test_a_choice_is_read_as_it_was_written(tmp_path: Path) -> None:
    choice = DecoderChoice("greedy", beam_width=7, lm_weight=0.25, wer_greedy=0.1, evidence="so")
    choice.write(tmp_path)
    assert read_decoder(tmp_path) == choice
    assert read_decoder(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"decoder": "best"}', '{"decoder": 1}'),
        *(
            f'{{"decoder": "beam", {wrong}}}'
            for wrong in (
                *('"temperature": 0', '"temperature": "x"', '"lm_weight": -1'),
                *('"word_bonus": NaN', '"beam_width": 0', '"beam_width": 1.5'),
            )
        ),
    ],
)
def test_a_broken_choice_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(OperationalError, match="says no decoder"):
        read_decoder(tmp_path)


def test_options_go_before_the_versions_choice(
    tmp_path: Path, english: Alphabet, digits: LanguageModel
) -> None:
    bare = Beams(tmp_path / "bare", english)
    assert bare.choice({}) is None
    with pytest.raises(NotSupportedError, match="needs a language model"):
        bare.choice({"decoder": "beam"})
    digits.write(tmp_path)
    DecoderChoice("greedy", beam_width=5, lm_weight=0.3).write(tmp_path)
    beams = Beams(tmp_path, english)
    assert beams.choice({"decoder": "auto"}) is None
    choice = beams.choice({"decoder": "beam", "beam_width": 0, "lm_weight": "auto"})
    assert choice == DecoderChoice("beam", beam_width=5, lm_weight=0.3)
    choice = beams.choice({"decoder": "beam", "beam_width": 9, "lm_weight": 0.0})
    assert choice == DecoderChoice("beam", beam_width=9, lm_weight=0.0)
    assert beams.decoder(choice) is beams.decoder(choice)
    DecoderChoice("beam").write(tmp_path)
    assert Beams(tmp_path, english).choice({}) == DecoderChoice("beam")
    assert Beams(tmp_path, english).choice({"decoder": "greedy"}) is None


def calls(name: str) -> list[dict[str, str]]:
    with (RECORDINGS / f"calls_{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled voice with a language model, beam search by default."""
    folder = tmp_path_factory.mktemp("version") / "m"
    shutil.copytree(VOICE_TINY, folder)
    LanguageModel.of([row["text"] for row in calls("train")]).write(folder)
    DecoderChoice("beam").write(folder)
    return folder


@pytest.fixture(scope="module")
def voice(folder: Path) -> Any:
    return TINY.load(Version("m", 1, folder, {}), "cpu")


FILES = [RECORDINGS / row["audio_path"] for row in calls("test")][:16]


def test_a_file_is_said_to_hold_the_same_in_any_company(voice: Any) -> None:
    for precision in ("full", "int8"):
        together = predict(voice, FILES, precision=precision)
        alone = [predict(voice, [path], precision=precision)[0] for path in FILES]
        assert [each.text for each in together] == [each.text for each in alone]
        greedy = predict(voice, FILES, precision=precision, decoder="greedy")
        assert [each.text for each in together] != [each.text for each in greedy]


def test_words_have_times_and_scores_in_order(voice: Any) -> None:
    for path, found in zip(FILES, predict(voice, FILES), strict=True):
        waveform = decode_audio(media_of(str(path), Path()), 16000)
        assert " ".join(word.text for word in found.words) == found.text
        times = [time for word in found.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert all(word.end_s > word.start_s for word in found.words)
        assert 0 <= times[0] <= times[-1] <= len(waveform) / 16000
        assert all(0 < word.score <= 1 for word in found.words)
        assert 0 < found.score <= 1


def test_the_greedy_decoder_is_what_it_was(voice: Any) -> None:
    bare = TINY.load(Version("m", 1, VOICE_TINY, {}), "cpu")
    heard = predict(voice, FILES, precision="int8", decoder="greedy")
    assert heard == predict(bare, FILES, precision="int8")
    with pytest.raises(NotSupportedError, match="needs a language model"):
        predict(bare, FILES[:1], decoder="beam")


def test_weights_of_the_language_model_count(voice: Any) -> None:
    texts = [row["text"] for row in calls("test")][:16]
    heard = {
        weight: [found.text for found in predict(voice, FILES, lm_weight=weight)]
        for weight in (0.0, 0.5, 20.0)
    }
    heard["greedy"] = [found.text for found in predict(voice, FILES, decoder="greedy")]
    rates = {name: error_rates(texts, found)["wer"] for name, found in heard.items()}
    assert rates[0.5] <= rates["greedy"]
    assert rates[0.5] < rates[20.0]
    assert heard[0.0] != heard[0.5]


def test_a_long_file_is_searched_across_its_windows(voice: Any, tmp_path: Path) -> None:
    rows = calls("test")[:24]
    parts = [
        decode_audio(media_of(str(RECORDINGS / row["audio_path"]), Path()), 16000) for row in rows
    ]
    pause = np.zeros(8000, np.float32)
    joined = np.concatenate([samples for part in parts for samples in (part, pause)])
    assert len(joined) / 16000 > 1.2 * WINDOW_S
    soundfile.write(tmp_path / "long.wav", joined, 16000)
    (found,) = predict(voice, [tmp_path / "long.wav"])
    said = [" ".join(row["text"] for row in rows)]
    (greedy,) = predict(voice, [tmp_path / "long.wav"], decoder="greedy")
    beam_wer, greedy_wer = (error_rates(said, [each.text])["wer"] for each in (found, greedy))
    assert beam_wer < greedy_wer
    assert len(found.chunks) > 3
    assert found.words[-1].end_s > 0.9 * len(joined) / 16000


def test_a_broken_language_model_says_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "broken")
    (tmp_path / "broken/language_model.arpa").write_text("nothing")
    model = TINY.load(Version("m", 1, tmp_path / "broken", {}), "cpu")
    assert predict(model, FILES[:1], decoder="greedy")[0].text
    with pytest.raises(OperationalError, match="no ARPA language model"):
        predict(model, FILES[:1])


def test_letters_of_a_word_weigh_what_its_spelling_does() -> None:
    """In the search letter by letter, in the language model at once."""
    letters = Letters(DIGITS)
    told = sum(letters.log_prob(*pair[::-1]) for pair in itertools.pairwise("\nzebra\n"))
    assert told == pytest.approx(letters.spelling("zebra"))
