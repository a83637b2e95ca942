"""Whisper: held to transformers' own result for one file, whatever stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speech_fixtures import make_whisper_checkpoint, write_tones
from transformers import (
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

import thanosql_dbapi
from thanosql_dbapi.assets import CATALOGUE
from thanosql_dbapi.exceptions import (
    MediaError,
    MediaReason,
    NotSupportedError,
    OperationalError,
    OptionError,
)
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models import families
from thanosql_dbapi.models.base import Model, Outcome, Prediction, Verb
from thanosql_dbapi.models.segments import cut_at_quiet, segments
from thanosql_dbapi.models.seq2seq import WhisperRecogniser
from thanosql_dbapi.models.whisper import WHISPER
from thanosql_dbapi.models.writing import Spoken
from thanosql_dbapi.registry import Version

RATE = 16000
OPTIONS: Mapping[str, Any] = {
    spec.name: spec.default for spec in WHISPER.options(Verb.PREDICT) if spec.to_model
}


class Unwatched:
    """A run that nobody stops or looks at."""

    def check(self) -> None: ...

    def advance(self, items: int, seconds: float) -> None: ...

    def spend(self, step: str, seconds: float) -> None: ...


class Reference:
    """What transformers itself makes of one file."""

    def __init__(self, folder: Path) -> None:
        self.model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
        self.tokenizer = WhisperTokenizer.from_pretrained(folder)
        self.extractor = WhisperFeatureExtractor.from_pretrained(folder)

    def features(self, waveform: np.ndarray) -> Any:
        return self.extractor(
            waveform, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True
        )

    def generate(self, waveform: np.ndarray, **options: Any) -> Any:
        given = self.features(waveform)
        return self.model.generate(
            given.input_features,
            attention_mask=given.attention_mask,
            return_timestamps=True,
            **options,
        )

    def text(self, waveform: np.ndarray, **options: Any) -> str:
        (labels,) = self.generate(waveform, **options)
        return self.tokenizer.decode(labels, skip_special_tokens=True).strip()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper_checkpoint(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    return make_whisper_checkpoint(folder, multilingual=False, aligned=False)


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return WHISPER.load(_version(checkpoint), "cpu")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight files: two of a whole window, and shorter ones."""
    folder = tmp_path_factory.mktemp("recordings")
    lengths = (30.0, 2.5, 11.0, 0.4, 30.0, 19.3, 7.0, 28.1)
    paths = [folder / f"{index}.wav" for index in range(len(lengths))]
    for index, (path, seconds) in enumerate(zip(paths, lengths, strict=True)):
        write_tones(path, seconds, seed=index)
    return paths


@pytest.fixture(scope="module")
def alone(model: Model, recordings: list[Path]) -> list[Prediction]:
    """What the model makes of each file by itself, with words."""
    return [_prediction(_predict(model, [path], words=True)[0]) for path in recordings]


def _version(folder: Path) -> Version:
    return Version("w", 1, folder, {"base": "Whisper"})


def _predict(model: Model, paths: Sequence[Path], **options: Any) -> list[Outcome]:
    media = [media_of(str(path), Path()) for path in paths]
    outcomes = dict(model.predict(media, {**OPTIONS, **options}, Unwatched()))
    return [outcomes[index] for index in range(len(paths))]


def _prediction(outcome: Outcome) -> Prediction:
    assert isinstance(outcome, Prediction)
    return outcome


def _read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def _recogniser(folder: Path) -> WhisperRecogniser:
    reference = Reference(folder)
    recogniser = WhisperRecogniser(reference.model, reference.tokenizer, reference.extractor, "cpu")
    recogniser.prepare("full")
    return recogniser


# The same as transformers


@pytest.mark.parametrize("given", ["ko", "Korean", "en"])
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_the_text_of_a_whole_window_is_that_of_transformers(
    model: Model, reference: Reference, recordings: list[Path], given: str, task: str
) -> None:
    for path in (recordings[0], recordings[4]):
        (outcome,) = _predict(model, [path], language=given, task=task)
        code = "en" if given == "en" else "ko"
        expected = reference.text(_read(path), language=code, task=task)
        assert len(expected) > 5
        assert _prediction(outcome).text == expected


def test_the_language_that_is_heard_is_that_of_transformers(
    model: Model, reference: Reference, recordings: list[Path]
) -> None:
    path = recordings[0]
    expected = reference.text(_read(path), task="transcribe")
    assert _prediction(_predict(model, [path])[0]).text == expected
    others = {_prediction(_predict(model, [path], language=c)[0]).text for c in ("en", "ko", "de")}
    assert len(others) > 1


def test_chunks_are_the_segments_of_transformers(
    alone: list[Prediction], reference: Reference, recordings: list[Path]
) -> None:
    for index in (0, 4):
        output = reference.generate(
            _read(recordings[index]), task="transcribe", return_segments=True
        )
        expected = [
            (
                reference.tokenizer.decode(each["tokens"], skip_special_tokens=True).strip(),
                min(float(each["start"]), 30.0),
                min(float(each["end"]), 30.0),
            )
            for each in output["segments"][0]
        ]
        chunks = alone[index].chunks
        assert chunks is not None
        assert len(chunks) > 1
        assert [chunk.text for chunk in chunks] == [text for text, _, _ in expected if text]
        for chunk, (_, start_s, end_s) in zip(
            chunks, (each for each in expected if each[0]), strict=True
        ):
            assert chunk.start_s == pytest.approx(start_s)
            assert chunk.end_s == pytest.approx(end_s)


def test_word_times_are_the_token_times_of_transformers(
    checkpoint: Path, reference: Reference, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    options = {**OPTIONS, "words": True, "language": "ko"}
    for path in recordings:
        waveform = _read(path)
        (window,) = recogniser.cut([waveform])
        (written,) = recogniser.forward([window], recogniser.width(window), "full", options)
        output = reference.generate(
            waveform,
            language="ko",
            task="transcribe",
            return_token_timestamps=True,
            return_dict_in_generate=True,
            force_unique_generate_call=True,
        )
        labels = output["sequences"][0].tolist()
        expected = output["token_timestamps"][0].tolist()
        for said in written.said[:1]:
            assert said.times is not None
            first = next(i for i, label in enumerate(labels) if label in said.tokens)
            assert labels[first : first + len(said.tokens)] == list(said.tokens)
            assert list(said.times) == pytest.approx(expected[first - 1 : first + len(said.tokens)])


def test_token_probabilities_are_those_of_transformers(
    checkpoint: Path, reference: Reference, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    (window,) = recogniser.cut([_read(recordings[1])])
    options = {**OPTIONS, "language": "de"}
    (written,) = recogniser.forward([window], 0, "full", options)
    output = reference.generate(
        _read(recordings[1]),
        language="de",
        task="transcribe",
        force_unique_generate_call=True,
        return_dict_in_generate=True,
        output_scores=True,
    )
    labels = output.sequences[0, -len(output.scores) :]
    expected = [
        float(scores[0].log_softmax(dim=-1)[label])
        for scores, label in zip(output.scores, labels, strict=True)
    ]
    assert written.emitted[: len(expected)] == pytest.approx(expected, abs=1e-4)


def test_a_score_is_the_geometric_mean_of_its_text_tokens(
    checkpoint: Path, alone: list[Prediction], recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    (window,) = recogniser.cut([_read(recordings[0])])
    (written,) = recogniser.forward([window], 0, "full", OPTIONS)
    log_probs = [p for said in written.said for p in said.log_probs]
    assert alone[0].score == pytest.approx(np.exp(np.mean(log_probs)), abs=1e-5)
    chunks = alone[0].chunks
    assert chunks is not None
    assert chunks[1].score == pytest.approx(np.exp(np.mean(written.said[1].log_probs)), abs=1e-5)


# The same in any batch


@given(order=st.permutations(range(8)), batch_size=st.integers(1, 8), words=st.booleans())
@settings(
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_file_says_the_same_in_any_batch(
    model: Model,
    recordings: list[Path],
    alone: list[Prediction],
    order: list[int],
    batch_size: int,
    words: bool,
) -> None:
    paths = [recordings[index] for index in order]
    outcomes = _predict(model, paths, batch_size=batch_size, words=words)
    for index, outcome in zip(order, outcomes, strict=True):
        found, expected = _prediction(outcome), alone[index]
        assert found.text == expected.text
        assert found.score == pytest.approx(expected.score, abs=1e-4)
        assert found.chunks is not None
        assert expected.chunks is not None
        for one, other in zip(found.chunks, expected.chunks, strict=True):
            assert (one.text, one.start_s, one.end_s) == (other.text, other.start_s, other.end_s)
        if not words:
            assert found.words is None
            continue
        assert found.words is not None
        assert expected.words is not None
        for one, other in zip(found.words, expected.words, strict=True):
            assert one.text == other.text
            assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.1)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_one_batch_gives_each_window_what_it_gets_alone(
    checkpoint: Path, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    options = {**OPTIONS, "words": True}
    windows = [next(recogniser.cut([_read(path)])) for path in recordings]
    together = recogniser.forward(windows, 0, "full", options)
    for path, written in zip(recordings, together, strict=True):
        (again,) = recogniser.forward(list(recogniser.cut([_read(path)])), 0, "full", options)
        assert [said.tokens for said in written.said] == [said.tokens for said in again.said]
        assert [said.times for said in written.said] == [said.times for said in again.said]
        assert written.emitted == pytest.approx(again.emitted, abs=1e-4)


def test_words_are_timed_right_from_several_threads(
    checkpoint: Path, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    windows = [next(recogniser.cut([_read(path)])) for path in recordings[1:5]] * 2

    def times(window: Spoken, *, words: bool = True) -> list[Any]:
        options = {**OPTIONS, "words": words}
        (written,) = recogniser.forward([window], 0, "full", options)
        return [said.times for said in written.said]

    expected = [times(window) for window in windows]
    with ThreadPoolExecutor(4) as threads:
        untimed = [threads.submit(times, window, words=False) for window in windows]
        assert list(threads.map(times, windows)) == expected
    assert all(found is None for future in untimed for found in future.result())


def test_timing_words_takes_no_second_copy_of_the_weights(
    checkpoint: Path, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    (window,) = recogniser.cut([_read(recordings[1])])
    recogniser.forward([window], 0, "full", {**OPTIONS, "words": True})
    plain, watched = recogniser._models["full"], recogniser._watched["full"]
    places = {tensor.data_ptr() for tensor in plain.state_dict().values()}
    assert {tensor.data_ptr() for tensor in watched.state_dict().values()} == places
    assert plain.config._attn_implementation != "eager"


# Long files and silence


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 s of tones, quiet at 27 s and at 52 s."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    write_tones(path, 70.0, seed=9)
    waveform = _read(path)
    for second in (27, 52):
        waveform[second * RATE : second * RATE + RATE // 2] *= 0.001
    soundfile.write(path, waveform, RATE)
    return path


def test_a_long_file_is_what_its_windows_are(
    model: Model, checkpoint: Path, reference: Reference, long_file: Path
) -> None:
    found = _prediction(_predict(model, [long_file], words=True)[0])
    waveform = _read(long_file)
    recogniser = _recogniser(checkpoint)
    windows = list(recogniser.cut([waveform]))
    assert [window.first // RATE for window in windows] == [0, 27, 52]
    given = reference.features(waveform[: windows[0].samples])
    (heard,) = reference.model.detect_language(given.input_features).tolist()
    options = {**OPTIONS, "words": True, "language": reference.tokenizer.decode([heard])[2:4]}
    chunks = []
    for window in windows:
        piece = waveform[window.first : window.first + window.samples]
        (alone,) = recogniser.cut([piece])
        (written,) = recogniser.forward([alone], 0, "full", options)
        said = recogniser.join([(alone, written)], len(piece) / RATE, options)
        offset = window.first / RATE
        chunks += [(c.text, offset + c.start_s, offset + c.end_s) for c in said.chunks or ()]
    assert found.chunks is not None
    assert [chunk.text for chunk in found.chunks] == [text for text, _, _ in chunks]
    for chunk, (_, start_s, end_s) in zip(found.chunks, chunks, strict=True):
        assert (chunk.start_s, chunk.end_s) == pytest.approx((start_s, end_s), abs=1e-3)
    assert found.words
    assert found.words[-1].end_s <= found.seconds == pytest.approx(70.0)


def test_later_windows_take_the_language_of_the_first(
    checkpoint: Path, long_file: Path, recordings: list[Path]
) -> None:
    recogniser = _recogniser(checkpoint)
    heard = []
    for order in ((0, 1, 2), (2, 1, 0)):
        windows = list(recogniser.cut([_read(long_file)]))
        written = [recogniser.forward([windows[i]], 0, "full", OPTIONS)[0] for i in order]
        heard.append([written[order.index(i)].said for i in range(3)])
        assert windows[0].opening is windows[2].opening
        assert windows[0].opening.language in {"en", "zh", "de", "ko", "ja"}
    assert heard[0] == heard[1]


def test_silent_windows_are_skipped(model: Model, tmp_path: Path, recordings: list[Path]) -> None:
    speech = _read(recordings[2])
    soundfile.write(
        tmp_path / "late.wav", np.concatenate((np.zeros(40 * RATE, np.float32), speech)), RATE
    )
    (found,) = _predict(model, [tmp_path / "late.wav"])
    chunks = _prediction(found).chunks
    assert chunks
    assert min(chunk.start_s for chunk in chunks) >= 25


@pytest.mark.parametrize("level", [0.0, 5e-6])
def test_a_file_without_sound_is_refused(model: Model, tmp_path: Path, level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal(2 * RATE)
    soundfile.write(tmp_path / "silent.wav", noise, RATE, subtype="FLOAT")
    (found,) = _predict(model, [tmp_path / "silent.wav"])
    assert isinstance(found, MediaError)
    assert found.reason is MediaReason.SILENT


def test_a_model_that_answers_no_number_fails_on_the_file(
    checkpoint: Path, recordings: list[Path]
) -> None:
    model: Any = WHISPER.load(Version("m", 1, checkpoint, {}), "cpu")
    with torch.no_grad():
        model._recogniser._loaded.model.encoder.layers[0].fc1.weight.fill_(float("nan"))
    (found,) = _predict(model, recordings[1:2])
    assert isinstance(found, MediaError)
    assert found.reason is MediaReason.MODEL_FAILED


def test_a_bad_file_costs_only_itself(model: Model, tmp_path: Path, recordings: list[Path]) -> None:
    (tmp_path / "not.wav").write_bytes(b"no audio at all")
    paths = [recordings[1], tmp_path / "none.wav", tmp_path / "not.wav", recordings[3]]
    outcomes = _predict(model, paths)
    assert [type(outcome) for outcome in outcomes] == [
        Prediction,
        MediaError,
        MediaError,
        Prediction,
    ]


@given(
    samples=st.integers(0, 4000),
    sizes=st.lists(st.integers(0, 900), max_size=20),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=100)
def test_cuts_lose_nothing_and_do_not_depend_on_blocks(
    samples: int, sizes: list[int], seed: int
) -> None:
    waveform = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    blocks = np.split(waveform, np.minimum(np.cumsum(sizes), samples)) if sizes else [waveform]
    found = list(cut_at_quiet(blocks, longest=700, sampling_rate=100))
    whole = list(cut_at_quiet([waveform], longest=700, sampling_rate=100))
    assert [first for first, _ in found] == [first for first, _ in whole]
    assert all(0 < len(stretch) <= 700 for _, stretch in found)
    joined = np.concatenate([np.zeros(0, np.float32), *(stretch for _, stretch in found)])
    assert np.array_equal(joined, waveform)
    # All but the last are cut in the window's last five seconds.
    assert all(len(stretch) >= 200 for _, stretch in found[:-1])


def test_a_cut_lies_in_the_quietest_stretch() -> None:
    waveform = np.ones(1000, np.float32)
    waveform[300:350] = 0.1
    waveform[420:470] = 0.01
    (first, *_) = list(cut_at_quiet([waveform], longest=600, sampling_rate=100))
    assert 420 + 10 <= len(first[1]) <= 470 - 10


TIME = 100


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        # nothing but text: the whole window
        ([1, 2], ([(0, 2, 0, 700)], None)),
        # one segment with its end
        ([100, 1, 2, 150], ([(0, 4, 0, 50)], None)),
        # two, and the model is finished
        ([100, 1, 150, 150, 2, 180], ([(0, 3, 0, 50), (3, 6, 50, 80)], None)),
        # two, and one that is not finished: go on from its beginning
        ([100, 1, 150, 160, 2, 180, 180, 3], ([(0, 3, 0, 50), (3, 6, 60, 80)], 80)),
        # a pair at the end: there may be more
        ([100, 1, 150, 150], ([(0, 3, 0, 50)], 50)),
        ([], ([(0, 0, 0, 700)], None)),
    ],
)
def test_segments_end_at_pairs_of_time_tokens(
    ids: list[int], expected: tuple[list[tuple[int, int, int, int]], int | None]
) -> None:
    found, rest = segments(ids, TIME, 1400)
    assert ([(s.first, s.end, s.start, s.stop) for s in found], rest) == expected


# Options


@pytest.mark.parametrize(
    ("language", "hint"), [("kr", ""), ("koreen", "korean"), ("english!", "english")]
)
def test_an_unknown_language_is_refused_by_name(
    model: Model, recordings: list[Path], language: str, hint: str
) -> None:
    with pytest.raises(OptionError, match=f"language='{language}'") as raised:
        _predict(model, recordings[:1], language=language)
    assert f"Did you mean '{hint}" in str(raised.value) or not hint


def test_a_model_of_english_takes_english_alone(english: Path, recordings: list[Path]) -> None:
    model = WHISPER.load(_version(english), "cpu")
    reference = Reference(english)
    expected = reference.text(_read(recordings[0]))
    for language in ("auto", "en", "English"):
        assert _prediction(_predict(model, recordings[:1], language=language)[0]).text == expected
    with pytest.raises(OptionError, match="knows English alone"):
        _predict(model, recordings[:1], language="ko")
    with pytest.raises(OptionError, match="knows English alone"):
        _predict(model, recordings[:1], task="translate")
    with pytest.raises(NotSupportedError, match="cannot time words"):
        _predict(model, recordings[:1], words=True)


def test_precision_is_full_on_a_cpu() -> None:
    assert WHISPER.precision({"precision": "auto"}, "cpu") == "full"
    with pytest.raises(NotSupportedError, match="int8"):
        WHISPER.precision({"precision": "int8"}, "cpu")
    with pytest.raises(NotSupportedError, match="GPU"):
        WHISPER.precision({"precision": "half"}, "cpu")


def test_words_lie_within_their_file_and_in_order(alone: list[Prediction]) -> None:
    for found in alone:
        assert found.words is not None
        assert found.seconds is not None
        # Where the language has no spaces, a word is a letter.
        assert "".join(word.text for word in found.words) == "".join(found.text.split())
        for word in found.words:
            assert 0 <= word.start_s <= word.end_s <= found.seconds
            assert word.score is not None
            assert 0 <= word.score <= 1


# Loading


def test_a_checkpoint_is_adopted_whole(
    checkpoint: Path, tmp_path: Path, recordings: list[Path], alone: list[Prediction]
) -> None:
    facts = WHISPER.adopt(checkpoint, tmp_path)
    assert set(facts["libraries"]) == {"torch", "transformers"}
    assert (tmp_path / "model.safetensors").exists()
    adopted = WHISPER.load(_version(tmp_path), "cpu")
    assert _prediction(_predict(adopted, recordings[:1], words=True)[0]) == alone[0]


def test_a_folder_without_a_whisper_model_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="holds no Whisper model"):
        WHISPER.load(_version(tmp_path), "cpu")
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    given = json.loads((tmp_path / "generation_config.json").read_text())
    del given["no_timestamps_token_id"]
    (tmp_path / "generation_config.json").write_text(json.dumps(given))
    with pytest.raises(OperationalError, match="no_timestamps_token_id"):
        WHISPER.load(_version(tmp_path), "cpu")


def test_weights_that_lack_a_part_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(checkpoint / "model.safetensors")
    del weights["model.decoder.layers.1.fc1.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OperationalError, match=r"lack .*fc1.weight"):
        WHISPER.load(_version(tmp_path), "cpu")


def test_the_catalogue_has_two_whispers() -> None:
    assert families.family("Whisper") is WHISPER
    assert CATALOGUE["whisper_s"].checkpoint == "openai/whisper-small"
    assert CATALOGUE["whisper_l"].checkpoint == "openai/whisper-large-v3"
    assert {CATALOGUE[name].base for name in ("whisper_s", "whisper_l")} == {"Whisper"}


# Through SQL


def test_whisper_speaks_sql(checkpoint: Path, recordings: list[Path]) -> None:
    root = recordings[0].parent
    connection = thanosql_dbapi.connect(root=root, checkpoints={"Whisper": str(checkpoint)})
    with connection, connection.cursor() as cursor:
        cursor.execute("GET THANOSQL MODEL whisper_s AS w")
        cursor.execute(
            "CREATE TABLE t AS SELECT i || '.wav' AS audio_path, 'a b' AS text FROM range(3) r(i)"
        )
        cursor.execute("PREDICT USING w OPTIONS (language='ko') AS SELECT * FROM t")
        rows = cursor.fetchall()
        model = WHISPER.load(_version(checkpoint), "cpu")
        expected = [_prediction(o).text for o in _predict(model, recordings[:3], language="ko")]
        assert sorted(row[-1] for row in rows) == sorted(expected)
        cursor.execute(
            "PREDICT USING w OPTIONS (words_col='words', score_col='score', return='chunks')"
            " AS SELECT * FROM t"
        )
        for *_, chunks, score, words in cursor.fetchall():
            assert 0 <= score <= 1
            assert chunks
            assert words[0]["word"]
        cursor.execute("EVALUATE USING w OPTIONS (language='ko') AS SELECT * FROM t")
        assert dict(cursor.fetchall())["wer"] > 0
        with pytest.raises(OptionError, match="korean"):
            cursor.execute(
                "PREDICT USING w OPTIONS (language='koreen') AS SELECT * FROM t"
            ).fetchall()
        with pytest.raises(NotSupportedError, match="EVALUATE, PREDICT"):
            cursor.execute("FIT MODEL x USING w AS SELECT * FROM t")
        with pytest.raises(NotSupportedError, match="EVALUATE, PREDICT"):
            cursor.execute("BUILD MODEL x USING Whisper AS SELECT * FROM t")
