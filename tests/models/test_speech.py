"""CTC models on the engine: the same prediction in any company, at any precision, of any length."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speech_fixtures import make_checkpoint
from transcribing import Watching, predict
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from thanosql_dbapi.assets import RECORDINGS, VOICE_TINY
from thanosql_dbapi.exceptions import MediaError, MediaReason, NotSupportedError
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models import pipeline
from thanosql_dbapi.models.base import Prediction
from thanosql_dbapi.models.metrics import error_rates
from thanosql_dbapi.models.packing import Arm
from thanosql_dbapi.models.pipeline import Pipeline
from thanosql_dbapi.models.precision import ExactFloat32, weights_at
from thanosql_dbapi.models.quantised import QuantisedConvolution, QuantisedLinear, quantised
from thanosql_dbapi.models.speech import WINDOW_S, CTCModel, CTCRecogniser
from thanosql_dbapi.models.speech_options import resolve_precision
from thanosql_dbapi.models.wav2vec2 import TINY
from thanosql_dbapi.models.windows import Window
from thanosql_dbapi.registry import Version

RATE = 16000
FILES = sorted(path for path in RECORDINGS.iterdir() if path.suffix != ".csv")[:24]


def load(checkpoint: Path = VOICE_TINY) -> Any:
    return TINY.load(Version("m", 1, checkpoint, {}), "cpu")


@pytest.fixture(scope="module")
def voice() -> Any:
    return load()


@pytest.fixture(scope="module")
def alone(voice: CTCModel) -> dict[str, list[Prediction]]:
    """What each file is said to hold by itself, by precision."""
    return {
        precision: [predict(voice, [path], precision=precision)[0] for path in FILES]
        for precision in ("full", "int8")
    }


arms = st.builds(
    Arm, lanes=st.integers(1, 3), seconds=st.sampled_from([0.0, 5.0, 30.0]), padded=st.booleans()
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.permutations(range(len(FILES))),
    count=st.integers(1, len(FILES)),
    batch_size=st.integers(1, 16),
    tried=st.lists(arms, min_size=1, max_size=3, unique=True),
    room_s=st.sampled_from([3.0, 240.0]),
    precision=st.sampled_from(["full", "int8"]),
)
def test_a_prediction_never_depends_on_its_company(
    voice: CTCModel,
    alone: dict[str, list[Prediction]],
    order: list[int],
    count: int,
    batch_size: int,
    tried: list[Arm],
    room_s: float,
    precision: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_ROOM_S", {True: room_s})
        if precision == "full":
            patch.setattr(pipeline, "arms_for", lambda *_, **__: tuple(tried))
            voice.pipeline = Pipeline(voice.recogniser, "cpu")
        chosen = order[:count]
        paths = [FILES[index] for index in chosen]
        together = predict(voice, paths, batch_size=batch_size, precision=precision)
    for index, prediction in zip(chosen, together, strict=True):
        before = alone[precision][index]
        if precision == "int8":
            assert prediction == before  # to the last bit
            continue
        assert prediction.text == before.text
        assert prediction.score == pytest.approx(before.score, abs=1e-4)
        assert [word.text for word in prediction.words] == [word.text for word in before.words]
        for one, other in zip(prediction.words, before.words, strict=True):
            assert one.start_s == other.start_s
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_int8_hears_nearly_what_full_precision_does(alone: dict[str, list[Prediction]]) -> None:
    texts = {name: [each.text for each in found] for name, found in alone.items()}
    assert error_rates(texts["full"], texts["int8"])["cer"] < 0.05
    assert any(one.score != two.score for one, two in zip(*alone.values(), strict=True))


def test_features_are_the_extractors_own_to_the_last_bit(voice: CTCModel) -> None:
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(VOICE_TINY)
    for path in FILES[:8]:
        waveform = decode_audio(media_of(str(path), Path()), RATE)
        (theirs,) = extractor(waveform, sampling_rate=RATE)["input_values"]
        ours = voice.recogniser.normalised(waveform)
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)


# --- precision ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "device", "expected"),
    [
        ("auto", "cpu", "full"),
        ("full", "cpu", "full"),
        ("int8", "cpu", "int8"),
        ("auto", "cuda", "half"),
        ("auto", "cuda:1", "half"),
        ("full", "cuda", "full"),
        ("half", "cuda", "half"),
    ],
)
def test_a_precision_comes_to_what_the_device_has(asked: str, device: str, expected: str) -> None:
    assert resolve_precision(asked, device) == expected


@pytest.mark.parametrize(
    ("asked", "device", "message"),
    [("half", "cpu", "needs a GPU"), ("int8", "cuda", "is for CPUs")],
)
def test_a_precision_that_the_device_lacks(asked: str, device: str, message: str) -> None:
    with pytest.raises(NotSupportedError, match=message):
        resolve_precision(asked, device)


def test_a_precision_is_known_without_loading_torch() -> None:
    code = (
        "import sys; from thanosql_dbapi.models.wav2vec2 import TINY;"
        "print(TINY.precision({'precision': 'int8'}, 'cpu'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["int8", "False"]


def test_full_precision_takes_no_shortcuts_and_leaves_settings_as_they_were() -> None:
    exact = ExactFloat32("cpu")
    torch.set_float32_matmul_precision("medium")
    try:
        with exact:
            with exact:
                assert torch.get_float32_matmul_precision() == "highest"
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("packs", [True, False])
def test_int8_layers_are_near_those_they_stand_for(
    packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packs:  # as where torch has no oneDNN
        monkeypatch.setattr("thanosql_dbapi.models.quantised._has_onednn", lambda: False)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(256, 300, 3, 2), torch.nn.Identity(), torch.nn.Conv1d(300, 8, 2, 1)
    )
    linear = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Linear(32, 8, bias=False))
    few, fast = quantised(model), quantised(linear)
    assert isinstance(few[0], QuantisedConvolution)
    assert isinstance(fast[1], QuantisedLinear)
    with torch.inference_mode():
        for exact, rough, shape in ((model, few, (2, 256, 101)), (linear, fast, (3, 7, 64))):
            numbers = torch.randn(shape)
            expected, found = exact(numbers), rough(numbers)
            assert found.shape == expected.shape
            assert 0 < float((found - expected).std()) < 0.02 * float(expected.std())


def test_int8_sums_are_right_on_processors_that_add_in_16_bits() -> None:
    code = """
import torch
from thanosql_dbapi.models import quantised
linear = torch.nn.Linear(512, 8, bias=False)
torch.nn.init.ones_(linear.weight)
layer = quantised.quantised(torch.nn.Sequential(linear))
with torch.inference_mode():
    print(float(layer(torch.ones(4, 512)).mean()), quantised._overflows())
"""
    for isa in ("AVX2", "DEFAULT"):
        environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert float(done.stdout.split()[0]) == pytest.approx(512, rel=1e-4)


def test_the_weights_of_a_precision_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser: CTCRecogniser = load().recogniser
    made = []

    def slow(precision: str, model: Any) -> Any:
        time.sleep(0.05)
        made.append(precision)
        return model

    monkeypatch.setattr("thanosql_dbapi.models.speech.weights_at", slow)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(recogniser.prepare, ["int8"] * 4))
    assert made == ["int8"]


def test_no_letter_is_quiet_where_no_label_is_blank(voice: CTCModel) -> None:
    recogniser = voice.recogniser
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(VOICE_TINY)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(VOICE_TINY)
    blank = tokenizer.pad_token_id
    tokenizer.pad_token = None
    other = CTCRecogniser(recogniser._model, tokenizer, extractor, None, "cpu")
    changed = np.flatnonzero(other._quiet != recogniser._quiet)
    assert changed.tolist() == [blank]


def test_an_int8_linear_layer_rounds_each_frame_by_itself() -> None:
    layer = quantised(torch.nn.Sequential(torch.nn.Linear(64, 32)))
    frames = torch.randn(6, 64) * torch.logspace(-3, 3, 6)[:, None]
    with torch.inference_mode():
        together = layer(frames)
        apart = torch.cat([layer(frame[None]) for frame in frames])
    torch.testing.assert_close(together, apart, rtol=0, atol=0)


def test_half_goes_back_to_full_where_its_numbers_overflow() -> None:
    recogniser: CTCRecogniser = load().recogniser
    (window,) = recogniser.cut([decode_audio(media_of(str(FILES[0]), Path()), RATE)])
    (full,) = recogniser.forward([window], window.samples, "full", {})
    recogniser.prepare("half")
    # oneDNN's grouped convolutions are wrong in float16 and bfloat16 on a CPU (torch 2.13).
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        (half,) = recogniser.forward([window], window.samples, "half", {})
        assert (half.ids == full.ids).mean() > 0.97
        assert (half.log_probs != full.log_probs).any()
        with torch.no_grad():
            recogniser._models["half"].lm_head.bias.fill_(float("inf"))
        (redone,) = recogniser.forward([window], window.samples, "half", {})
    np.testing.assert_allclose(redone.log_probs, full.log_probs, atol=1e-4)


def test_a_model_that_answers_no_number_fails_on_the_file() -> None:
    model = load()
    with torch.no_grad():
        model.recogniser._model.lm_head.bias[3] = float("nan")
    (outcome,) = predict(model, FILES[:1])
    assert isinstance(outcome, MediaError)
    assert outcome.reason is MediaReason.MODEL_FAILED


# --- long files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over three windows of recordings, with pauses between them."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    parts: list[Any] = []
    for index in range(90):
        media = media_of(str(FILES[index % len(FILES)]), Path())
        parts += [decode_audio(media, RATE), np.zeros(RATE // 4, np.float32)]
    whole = np.concatenate(parts)
    assert len(whole) > 3.5 * WINDOW_S * RATE
    noise = np.random.default_rng(0).standard_normal(len(whole)).astype(np.float32) * 1e-3
    soundfile.write(path, whole + noise, RATE)
    return path


def in_one_pass(model: CTCModel, path: Path) -> Prediction:
    """Transcribe a file in a single window, however long it is."""
    recogniser = model.recogniser
    waveform = decode_audio(media_of(str(path), Path()), RATE)
    window = Window(recogniser.normalised(waveform), 0, len(waveform))
    pieces = recogniser.forward([window], len(waveform), "full", {})
    return recogniser.join([(window, pieces[0])], len(waveform) / RATE, {})


def make_short_sighted(checkpoint: Path) -> CTCModel:
    """Load a model that hears the same of a sound whatever lies a second before and after it.

    So what windows say differs from a single pass at their edges alone, and in nothing else.
    """
    make_checkpoint(checkpoint, group_norm=False, letters="abcdefghijklm")
    model: CTCModel = load(checkpoint)
    model.recogniser._normalise = False
    with torch.no_grad():
        for layer in model.recogniser._model.wav2vec2.encoder.layers:
            layer.attention.out_proj.weight.zero_()
    return model


def test_a_long_file_reads_as_in_a_single_pass(tmp_path: Path, long_file: Path) -> None:
    model = make_short_sighted(tmp_path / "short_sighted")
    whole = in_one_pass(model, long_file)
    (windows,) = predict(model, [long_file])
    assert len(whole.text) > 1000
    assert windows.text == whole.text
    assert windows.seconds == whole.seconds
    assert windows.score == pytest.approx(whole.score, abs=1e-4)
    for one, other in zip(windows.words, whole.words, strict=True):
        assert (one.text, one.start_s, one.end_s) == (other.text, other.start_s, other.end_s)


def test_windows_understand_long_speech_no_worse(voice: CTCModel, long_file: Path) -> None:
    """A real model hears other letters with other sounds around; but no worse."""
    said = spoken()
    reference = " ".join(said[FILES[index % len(FILES)].name] for index in range(90))
    whole = in_one_pass(voice, long_file)
    (windows,) = predict(voice, [long_file])
    count = len(reference.split())
    assert abs(len(windows.words) - len(whole.words)) < 0.1 * count
    rates = [error_rates([reference], [each.text])["cer"] for each in (whole, windows)]
    assert rates[1] <= rates[0] + 0.02


def spoken() -> dict[str, str]:
    rows: dict[str, str] = {}
    for name in ("calls_train.csv", "calls_test.csv"):
        with (RECORDINGS / name).open() as file:
            rows |= {row["audio_path"]: row["text"] for row in csv.DictReader(file)}
    return rows


def test_a_window_that_does_not_fit_is_split_and_stitched(
    tmp_path: Path, long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_short_sighted(tmp_path / "short_sighted")
    fitting = predict(model, [long_file, *FILES], batch_size=32)
    forward = CTCRecogniser.forward
    refused = []

    def crowded(self: CTCRecogniser, windows: Any, width: int, *rest: Any) -> Any:
        if len(windows) * width > 12 * RATE:
            refused.append(len(windows) * width)
            raise torch.OutOfMemoryError("no room")
        return forward(self, windows, width, *rest)

    monkeypatch.setattr(CTCRecogniser, "forward", crowded)
    crowded_out = predict(model, [long_file, *FILES], batch_size=32)
    assert refused
    assert [each.text for each in crowded_out] == [each.text for each in fitting]


def test_long_files_are_never_decoded_whole(
    voice: CTCModel, long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded whole")

    monkeypatch.setattr("thanosql_dbapi.models.decoding.decode_audio", refuse)
    watch = Watching()
    (prediction,) = predict(voice, [long_file], watch)
    assert prediction.seconds > 3 * WINDOW_S
    assert watch.seconds == pytest.approx(prediction.seconds)


def test_half_weights_are_float16_copies() -> None:
    model = torch.nn.Linear(3, 2)
    half = weights_at("half", model)
    assert half.weight.dtype is torch.float16
    assert model.weight.dtype is torch.float32


def test_a_checkpoint_with_group_norm_keeps_int8_to_itself(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "group", group_norm=True, letters="abcdefghijklm")
    model = load(tmp_path / "group")
    apart = [predict(model, [path], precision="int8")[0] for path in FILES[:6]]
    assert predict(model, FILES[:6], precision="int8", batch_size=6) == apart
    assert len({each.text for each in apart}) > 3
