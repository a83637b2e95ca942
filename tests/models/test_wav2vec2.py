"""The Wav2Vec2 families through SQL: transcribe, train, evaluate, whatever the audio."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from speech_fixtures import make_checkpoint, write_tones
from transcribing import predict
from transformers import pipeline

import thanosql_dbapi
from thanosql_dbapi import (
    CheckpointUnavailable,
    Connection,
    DataError,
    MediaError,
    ModelExists,
    ModelNotFound,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from thanosql_dbapi.exceptions import MediaReason
from thanosql_dbapi.models.wav2vec2 import ENGLISH
from thanosql_dbapi.registry import Version

LOWER = "abcdefghijklmnopqrstuvwxyz'"
#: A random model learns nothing, and little of eight rows: it is brought into force all the same.
ANY = "max_epochs=1, publish='always'"
FEW = pytest.mark.filterwarnings(
    *(f"ignore:{text}" for text in ("few rows", "one text", "the model is", "the training"))
)
DURATIONS = (0.3, 0.5, 0.9, 1.0, 1.3, 2.1, 2.2, 3.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints `layer`, `group` and `upper`, and eight files of tones, 0.wav to 7.wav."""
    folder = tmp_path_factory.mktemp("speech")
    make_checkpoint(folder / "layer", group_norm=False, letters=LOWER)
    make_checkpoint(folder / "group", group_norm=True, letters=LOWER)
    make_checkpoint(folder / "upper", group_norm=False, letters=LOWER.upper())
    for index, seconds in enumerate(DURATIONS):
        write_tones(folder / f"{index}.wav", seconds, seed=index)
    return folder


@pytest.fixture
def connection(folder: Path) -> Iterator[Connection]:
    checkpoints = {"Wav2Vec2En": "upper", "Wav2Vec2Ko": str(folder / "layer")}
    with thanosql_dbapi.connect(root=folder, checkpoints=checkpoints, progress=False) as opened:
        opened.execute(
            "CREATE TABLE calls AS SELECT i || '.wav' AS audio_path, 'hello you' AS text"
            " FROM range(8) r(i)"
        )
        yield opened


def load(folder: Path, text_case: str | None = None):
    facts = {"base": "Wav2Vec2En", "text_case": text_case}
    return ENGLISH.load(Version("m", 1, folder, facts), "cpu")


def transcribe(model, folder: Path, names: list[int], batch_size: int = 16) -> list[str]:
    outcomes = predict(model, [folder / f"{name}.wav" for name in names], batch_size=batch_size)
    return [outcome.text for outcome in outcomes]


# --- inference ------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_a_transcript_is_the_pipelines_own_for_that_file_alone(folder: Path, norm: str) -> None:
    asked = pipeline("automatic-speech-recognition", model=str(folder / norm), device="cpu")
    alone = [
        asked(soundfile.read(folder / f"{i}.wav", dtype="float32")[0])["text"] for i in range(8)
    ]
    assert len(set(alone)) > 4
    assert transcribe(load(folder / norm), folder, list(range(8))) == alone


@pytest.mark.parametrize("norm", ["layer", "group"])
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(st.integers(0, 7), min_size=1, max_size=12), batch_size=st.integers(1, 12))
def test_a_transcript_never_depends_on_its_neighbours(
    folder: Path, norm: str, names: list[int], batch_size: int
) -> None:
    model = load(folder / norm)
    alone = [transcribe(model, folder, [name])[0] for name in names]
    assert transcribe(model, folder, names, batch_size) == alone


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 8000, 1), ("b.flac", 44100, 2), ("c.mp3", 16000, 2), ("d.ogg", 48000, 1)],
)
def test_any_rate_channels_and_format(
    folder: Path, connection: Connection, name: str, rate: int, channels: int
) -> None:
    write_tones(folder / name, 1.0, rate, channels=channels)
    connection.execute("GET THANOSQL MODEL wav2vec2 AS m")
    cursor = connection.execute("PREDICT USING m AS SELECT ? AS audio_path", [name])
    assert isinstance(cursor.fetchall()[0][1], str)
    printed = connection.execute("PRINT AUDIO AS SELECT ?", [name]).fetchall()
    assert printed[0][2:4] == (rate, channels)


def test_a_missing_and_a_broken_file_name_row_and_file(
    folder: Path, connection: Connection
) -> None:
    (folder / "broken.wav").write_bytes(b"no audio in here")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "silent.wav", np.zeros(0, np.float32), 16000)
    soundfile.write(folder / "short.wav", np.zeros(20, np.float32), 16000)
    connection.execute("GET THANOSQL MODEL wav2vec2 AS m")
    for name, reason in [
        ("gone.wav", "no such file"),
        ("broken.wav", "not audio"),
        ("empty.wav", "is empty"),
        ("silent.wav", "0 samples"),
        ("short.wav", "too short"),
    ]:
        sql = "PREDICT USING m AS SELECT unnest(['0.wav', '1.wav', ?]) AS audio_path"
        with pytest.raises(MediaError, match=f"row 3: '{name}': .*{reason}"):
            connection.execute(sql, [name]).fetchall()


def test_what_a_checkpoint_says_of_masks_changes_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "group", tmp_path / "claims")
    claims = tmp_path / "claims/preprocessor_config.json"
    claims.write_text(json.dumps(json.loads(claims.read_text()) | {"return_attention_mask": True}))
    names = list(range(8))
    alone = transcribe(load(folder / "group"), folder, names, batch_size=1)
    assert transcribe(load(tmp_path / "claims"), folder, names, batch_size=8) == alone


def test_what_cannot_be_used_is_an_outcome(folder: Path) -> None:
    outcomes = predict(load(folder / "layer"), [folder / "0.wav", folder / "gone.wav"])
    assert outcomes[0].text
    assert isinstance(outcomes[1], MediaError)
    assert outcomes[1].reason == MediaReason.MISSING


# --- training -------------------------------------------------------------------------------


@FEW
def test_a_built_model_answers_in_the_case_it_was_taught(
    folder: Path, connection: Connection
) -> None:
    row = connection.execute(
        f"BUILD MODEL m USING Wav2Vec2En OPTIONS ({ANY}, batch_size=4) AS SELECT * FROM calls"
    ).fetchone()
    assert row[:4] == ("m", 1, "Wav2Vec2En", 8)
    assert row[4] == pytest.approx(sum(DURATIONS), abs=0.01)
    heard = [r[-1] for r in connection.execute("PREDICT USING m AS SELECT * FROM calls").fetchall()]
    assert any(heard)
    assert all(text == text.lower() for text in heard)
    heard = transcribe(load(folder / "upper"), folder, [0, 1, 2])
    base = [text.replace("<unk>", "") for text in heard]
    assert all(text == text.upper() for text in base)
    assert any(base)


@FEW
def test_a_build_leaves_weights_and_facts_and_no_pickle(connection: Connection) -> None:
    connection.execute(f"BUILD MODEL m USING Wav2Vec2En OPTIONS ({ANY}) AS SELECT * FROM calls")
    version = connection._session.workspace.registry.resolve("m")
    names = {path.name for path in version.folder.iterdir()}
    assert {"model.safetensors", "vocab.json", "thanosql.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pickle"))}
    facts = json.loads((version.folder / "thanosql.json").read_text())
    assert facts["lineage"]["options"]["max_epochs"] == 1
    assert facts["lineage"]["rows"] == 8
    assert facts["lineage"]["parent"] is None
    assert len(facts["lineage"]["data_digest"]) == 64


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT '0.wav' AS audio_path, '...' AS text", DataError, "unfit text in 1 row"),
        ("SELECT '0.wav' AS audio_path, NULL AS text", DataError, "no text in 1 row"),
        ("SELECT '0.wav' AS audio_path, 5 AS text", DataError, "'text' is 5, not a text"),
        ("FROM calls UNION ALL SELECT 'x.wav', 'hey'", DataError, "missing audio .*row 9 'x.wav'"),
        ("SELECT '0.wav' AS audio_path, repeat('what a long story ', 20) AS text", DataError,
         "text longer than audio in 1 row"),
        ("SELECT * FROM calls WHERE false", ProgrammingError, "returns no rows"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_trained_on_stop_the_build_before_it_starts(
    connection: Connection, query: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        connection.execute(f"BUILD MODEL m USING Wav2Vec2En AS {query}")
    assert connection.execute("LIST MODEL").fetchall() == []
    assert not list((connection.workspace / "staging").glob("*"))


def test_a_name_that_is_taken_is_refused_before_any_training(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("GET THANOSQL MODEL wav2vec2 AS m")
    monkeypatch.setattr(
        "thanosql_dbapi.models.training.loop.train", lambda *a, **k: pytest.fail("ran")
    )
    with pytest.raises(ModelExists, match="overwrite=True"):
        connection.execute("BUILD MODEL M USING Wav2Vec2En AS SELECT * FROM calls")
    with pytest.raises(ModelExists, match="overwrite=True"):
        connection.execute("GET THANOSQL MODEL wav2vec2 AS m")


# --- the catalogue and checkpoints ----------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "GET THANOSQL MODEL wav2vec2 AS heard",
        "GET THANOSQL MODEL tutorial_audio_recognition OPTIONS (model_name='heard')",
        "GET THANOSQL MODEL Wav2Vec2 OPTIONS (overwrite=True) AS heard",
        "GET THANOSQL MODEL voice_tiny AS heard",
    ],
)
def test_a_catalogue_name_resolves_through_the_checkpoints(
    connection: Connection, sql: str
) -> None:
    assert connection.execute(sql).fetchone()[0] == "heard"
    assert connection.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("heard",)]
    assert len(connection.execute("PREDICT USING heard AS FROM calls LIMIT 2").fetchall()) == 2
    assert connection.execute("DELETE MODEL heard").fetchall() == [("heard",)]
    with pytest.raises(ModelNotFound, match="'heard'"):
        connection.execute("DELETE MODEL heard")


@FEW
def test_checkpoints_come_from_the_environment_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_CHECKPOINTS", f"Wav2Vec2En={folder / 'layer'}, Wav2Vec2Ko=group")
    with thanosql_dbapi.connect(root=folder) as opened:
        opened.execute("GET THANOSQL MODEL wav2vec2 AS m")
        opened.execute("CREATE TABLE k AS SELECT '7.wav' AS audio_path, 'abc' AS text")
        opened.execute(
            "BUILD MODEL k USING Wav2Vec2Ko OPTIONS (epochs=1, publish='always') AS FROM k"
        )
        names = opened.execute("SELECT name, class_name FROM (LIST MODEL)").fetchall()
        assert names == [("k", "Wav2Vec2Ko"), ("m", "Wav2Vec2En")]


def test_a_checkpoint_that_cannot_be_had_names_the_bundled_base(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "cache"))
    with thanosql_dbapi.connect(root=folder) as opened:
        with pytest.raises(CheckpointUnavailable, match="bundled base Wav2Vec2Tiny") as caught:
            opened.execute("GET THANOSQL MODEL wav2vec2 AS m")
        assert "facebook/wav2vec2-base-960h" in str(caught.value)
    with thanosql_dbapi.connect(checkpoints={"Wav2Vec2En": "./nowhere"}) as opened:
        with pytest.raises(CheckpointUnavailable, match="no such folder"):
            opened.execute("GET THANOSQL MODEL wav2vec2 AS m")


def test_weights_in_a_pickle_are_not_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "layer", tmp_path / "pickled")
    (tmp_path / "pickled/model.safetensors").rename(tmp_path / "pickled/pytorch_model.bin")
    with thanosql_dbapi.connect(checkpoints={"Wav2Vec2En": str(tmp_path / "pickled")}) as opened:
        with pytest.raises(OperationalError, match="safetensors"):
            opened.execute("GET THANOSQL MODEL wav2vec2 AS m")
        assert opened.execute("LIST MODEL").fetchall() == []


def test_weights_without_a_head_are_no_recogniser(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "layer", tmp_path / "headless")
    weights = load_file(tmp_path / "headless/model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("lm_head")}
    save_file(kept, tmp_path / "headless/model.safetensors", metadata={"format": "pt"})
    with thanosql_dbapi.connect(checkpoints={"Wav2Vec2En": str(tmp_path / "headless")}) as opened:
        with pytest.raises(OperationalError, match=r"lack lm_head.bias, lm_head.weight"):
            opened.execute("GET THANOSQL MODEL wav2vec2 AS m")


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("BUILD MODEL m USING Wav2Vec2en AS FROM calls", ModelNotFound, "mean 'Wav2Vec2En'"),
        ("BUILD MODEL m USING ConvNeXt_Tiny AS FROM calls", NotSupportedError, "Wav2Vec2Tiny"),
        ("GET THANOSQL MODEL wav2vec AS m", ModelNotFound, "Did you mean 'wav2vec2'"),
        ("GET THANOSQL DATASET mnist_data", NotSupportedError, "librispeech_data"),
        ("UPLOAD MODEL m FROM 'folder'", OperationalError, "no file or folder 'folder'"),
        ("BUILD MODEL m USING voice_tiny AS FROM calls", ModelNotFound, "FIT MODEL"),
        ('DELETE MODEL "m@1"', ModelNotFound, "all its versions"),
        ("DELETE MODEL voice_tiny", NotSupportedError, "comes with the package"),
        ("PREDICT USING missing AS FROM calls", ModelNotFound, "LIST MODEL"),
        ("PREDICT USING voice_tinny AS FROM calls", ModelNotFound, "Did you mean 'voice_tiny'"),
    ],
)  # fmt: skip
def test_names_that_do_not_exist_yet_or_at_all(
    connection: Connection, sql: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        connection.execute(sql)


def test_a_device_that_is_not_there(folder: Path) -> None:
    with thanosql_dbapi.connect(root=folder, device="cuda:7") as opened:
        with pytest.raises(ProgrammingError, match="device='cuda:7'"):
            opened.execute("PREDICT USING voice_tiny AS SELECT '0.wav' AS audio_path").fetchall()


# --- the bundled voice ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:few rows")
def test_the_bundled_voice_is_ready_and_is_a_base(tmp_path: Path) -> None:
    from thanosql_dbapi.assets import RECORDINGS, VOICE_TINY

    assert (VOICE_TINY / "model.safetensors").stat().st_size <= 5_000_000
    assert sum(path.stat().st_size for path in RECORDINGS.iterdir()) <= 3_000_000
    with thanosql_dbapi.connect(root=RECORDINGS, progress=False) as opened:
        opened.execute("COPY calls FROM 'calls_test.csv'")
        few = "SELECT * FROM calls LIMIT 6"
        before = dict(opened.execute(f"EVALUATE USING voice_tiny AS {few}").fetchall())
        assert 0 < before["cer"] < 0.9
        opened.execute(
            f"BUILD MODEL m USING Wav2Vec2Tiny OPTIONS (epochs=12, batch_size=2) AS {few}"
        )
        with pytest.warns(UserWarning, match="6 of 6 rows were in the training"):
            after = dict(opened.execute(f"EVALUATE USING m AS {few}").fetchall())
        assert after["cer"] < before["cer"]


def test_recorded_speech_is_learnt_a_little_in_a_few_steps(speech_folder: Path) -> None:
    with thanosql_dbapi.connect(root=speech_folder / "digits", progress=False) as opened:
        opened.execute("COPY train FROM 'train.csv'; COPY test FROM 'test.csv'")
        few = "SELECT * FROM test WHERE audio_path LIKE '%0_.%'"
        before = dict(opened.execute(f"EVALUATE USING voice_tiny AS {few}").fetchall())
        opened.execute(
            "BUILD MODEL digits USING Wav2Vec2Tiny OPTIONS (max_epochs=2) AS"
            " SELECT * FROM train LIMIT 120"
        )
        after = dict(opened.execute(f"EVALUATE USING digits AS {few}").fetchall())
        assert after["cer"] < before["cer"]
