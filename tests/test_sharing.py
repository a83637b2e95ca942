"""Exporting a model: what others get, that it writes the same, and what stays private."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from speech_fixtures import make_checkpoint, make_whisper_checkpoint, write_tones
from transformers import pipeline

import thanosql_dbapi
from thanosql_dbapi import Connection, ModelNotFound, OperationalError, assets
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.card import plain
from thanosql_dbapi.models.decoder_choice import DecoderChoice
from thanosql_dbapi.models.exporting import public_facts
from thanosql_dbapi.models.language_model import LanguageModel
from thanosql_dbapi.registry import Version


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Connection]:
    make_checkpoint(tmp_path / "tones", group_norm=False, letters="ABCDEFGH")
    with thanosql_dbapi.connect(root=tmp_path, workspace=tmp_path / "w") as connection:
        connection.execute("UPLOAD MODEL m FROM 'tones'")
        yield connection


def publish(connection: Connection, name: str, like: str, facts: dict[str, Any]) -> Version:
    """Make a version with the files of another one and these facts."""
    registry = connection._session.workspace.registry
    of = registry.resolve(like)
    with registry.staging() as staged:
        for path in of.folder.iterdir():
            (staged / path.name).write_bytes(path.read_bytes())
        (staged / "about").mkdir()
        (staged / "about" / "rows.txt").write_text("a digest of a row\n")
        kept = {key: value for key, value in of.facts.items() if key not in ("name", "version")}
        return registry.publish(name, staged, {**kept, **facts}, overwrite=True)


def transcripts(folder: Path, files: list[Path], root: Path) -> list[str]:
    """Return what the pipeline of transformers writes, for each file by itself."""
    recognise = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    rate = recognise.feature_extractor.sampling_rate
    waveforms = [decode_audio(media_of(str(file), root), rate) for file in files]
    return [
        recognise({"raw": waveform, "sampling_rate": rate})["text"].strip()
        for waveform in waveforms
    ]


def predictions(connection: Connection, model: str, files: list[Path]) -> list[str]:
    connection.execute("CREATE OR REPLACE TABLE f (i INT, audio_path VARCHAR)")
    rows = list(enumerate(map(str, files)))
    connection.cursor().executemany("INSERT INTO f VALUES (?, ?)", rows)
    sql = f"SELECT predicted FROM (PREDICT USING {model} AS SELECT * FROM f) ORDER BY i"
    return [text for (text,) in connection.execute(sql).fetchall()]


# --- it is the same model -------------------------------------------------------------------


@pytest.mark.parametrize("group_norm", [False, True])
@pytest.mark.parametrize("case", [None, "lower"])
def test_transformers_writes_the_same_text(
    opened: Connection, tmp_path: Path, group_norm: bool, case: str | None
) -> None:
    make_checkpoint(tmp_path / "other", group_norm=group_norm, letters="ABCDEFGH", seed=3)
    opened.execute("UPLOAD MODEL o FROM 'other'")
    publish(opened, "n", "o", {"text_case": case})
    files = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, file in enumerate(files):
        write_tones(file, 0.6 + number, seed=number)
    assert opened.execute("SELECT thanosql_export('n', 'out/n')").fetchall() == [
        (str(tmp_path / "out" / "n"),)
    ]
    expected = predictions(opened, "n", files)
    assert transcripts(tmp_path / "out" / "n", files, tmp_path) == expected
    assert all(expected)
    assert any(text != text.lower() for text in expected) is (case is None)


def test_the_bundled_voice_is_exported_too(opened: Connection, tmp_path: Path) -> None:
    opened.execute("SELECT thanosql_export('voice_tiny', 'voice')").fetchall()
    files = sorted(assets.RECORDINGS.glob("test_1*.*"))[:6]
    expected = predictions(opened, "voice_tiny", files)
    assert transcripts(tmp_path / "voice", files, tmp_path) == expected
    assert len(set(expected)) > 3
    # And back.
    assert opened.execute("UPLOAD MODEL v FROM 'voice'").fetchone()[2] == "Wav2Vec2Tiny"
    assert predictions(opened, "v", files) == expected


def test_a_whisper_is_exported(opened: Connection, tmp_path: Path) -> None:
    make_whisper_checkpoint(tmp_path / "whisper")
    opened.execute("UPLOAD MODEL s FROM 'whisper'")
    opened.execute("SELECT thanosql_export('s', 'out')").fetchall()
    recognise = pipeline("automatic-speech-recognition", model=str(tmp_path / "out"), device="cpu")
    assert type(recognise.model).__name__ == "WhisperForConditionalGeneration"


def test_an_export_comes_back_with_its_language_model_and_case(
    opened: Connection, tmp_path: Path
) -> None:
    version = publish(opened, "n", "m", {"text_case": "lower"})
    LanguageModel.of(["a bad cab", "a cab"]).write(version.folder)
    DecoderChoice("beam", lm_weight=0.25).write(version.folder)
    opened.execute("SELECT thanosql_export('n', 'out')").fetchall()
    assert "language_model.arpa" in (tmp_path / "out" / "README.md").read_text()
    opened.execute("UPLOAD MODEL back FROM 'out'")
    back = opened._session.workspace.registry.resolve("back")
    assert back.facts["text_case"] == "lower"
    for name in ("language_model.arpa", "decoder.json"):
        assert (back.folder / name).read_bytes() == (version.folder / name).read_bytes()
    assert not (back.folder / "README.md").exists()
    (tmp_path / "out" / "language_model.arpa").write_text("no model")
    with pytest.raises(OperationalError, match="is no ARPA language model"):
        opened.execute("UPLOAD MODEL again FROM 'out'")


# --- what is private ------------------------------------------------------------------------

SECRETS = ("/home/", "C:\\\\", "patients", "secret", "hours", "WHERE")
LINEAGE = {
    "parent": "older@2",
    "base": "Wav2Vec2En",
    "seed": 7,
    "query": "SELECT * FROM patients WHERE secret",
    "data_digest": "ab" * 32,
    "rows": 40,
    "held_out_rows": 4,
    "audio_seconds": 123.456,
    "metrics": {"wer": 0.1234, "base_wer": 1.0},
    "libraries": {"torch": "2.13.0"},
    "device": "cpu",
    "seconds": 60.5,
    "steps": 25,
    "refusal": None,
    "decoder": "greedy",
    "files": ["/home/me/a.wav"],
    "options": {
        "audio_col": "patients_audio",
        "text_col": "secret_text",
        "max_epochs": 5,
        "learning_rate": 0.0001,
        "validation": "SELECT * FROM patients WHERE secret",
        "precision": "auto",
        "augmentation": ["speed", "/home/me/noise"],
        "invented": "hours",
    },
}


@pytest.fixture
def built(opened: Connection, tmp_path: Path) -> Version:
    version = publish(opened, "b", "m", {"lineage": LINEAGE, "checkpoint": "/home/me/base"})
    config = json.loads((version.folder / "config.json").read_text())
    config |= {"_name_or_path": "/home/me/secret", "own": "C:\\secret", "_commit_hash": "hours"}
    (version.folder / "config.json").write_text(json.dumps(config))
    return version


def test_queries_rows_and_paths_stay_behind(
    opened: Connection, built: Version, tmp_path: Path
) -> None:
    opened.execute("SELECT thanosql_export('b', 'out')").fetchall()
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_file()  # no folder `about`
        if path.suffix != ".safetensors":
            text = path.read_text()
            assert [word for word in SECRETS if word in text] == [], path.name
            assert str(tmp_path) not in text
    facts = json.loads((tmp_path / "out" / "thanosql.json").read_text())
    lineage = facts["lineage"]
    assert lineage["options"] == {"max_epochs": 5, "learning_rate": 0.0001, "precision": "auto"}
    assert (lineage["rows"], lineage["metrics"]["wer"]) == (40, 0.1234)


def test_the_whole_lineage_goes_along_where_asked(
    opened: Connection, built: Version, tmp_path: Path
) -> None:
    opened.execute("SELECT thanosql_export('b', 'out', lineage := true)").fetchall()
    facts = json.loads((tmp_path / "out" / "thanosql.json").read_text())
    assert facts["lineage"] == LINEAGE
    assert (tmp_path / "out" / "about" / "rows.txt").read_text() == "a digest of a row\n"


def test_the_card_says_what_is_known(opened: Connection, built: Version, tmp_path: Path) -> None:
    opened.execute("SELECT thanosql_export('b@1', 'out')").fetchall()
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "license:" not in card
    for row in (
        "| base model | Wav2Vec2En |",
        "| trained on from | older@2 |",
        "| recordings | 40 |",
        "| audio | 123.5 s |",
        "| WER on held-out recordings | 12.3 % |",
        "| options | max\\_epochs 5, learning\\_rate 0.0001, precision auto |",
        "| seed | 7 |",
        "| libraries | torch 2.13.0 |",
    ):
        assert row in card
    assert "come into force" not in card


def test_the_card_of_a_refused_model_says_so(opened: Connection, tmp_path: Path) -> None:
    publish(opened, "b", "m", {"lineage": {"refusal": "it writes <nothing>"}})
    opened.execute("SELECT thanosql_export('b', 'out')").fetchall()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**Not good enough to come into force:** it writes \\<nothing\\>." in card


def test_a_name_is_no_markup() -> None:
    assert plain("a`b|c\n# d <script>") == "a\\`b\\|c \\# d \\<script\\>"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cpu", True),
        ("m@2", True),
        ("3 / 4 of the rows", True),
        ("/home/me", False),
        ("~/models/x", False),
        ("C:\\models", False),
        ("\\\\host\\share", False),
        ("see file:///tmp/x", False),
        ("worse than '/data/base/model'", False),
    ],
)
def test_a_path_is_told_from_a_text(tmp_path: Path, text: str, kept: bool) -> None:
    facts = {"base": "Wav2Vec2En", "lineage": {"device": text}}
    shown = public_facts(Version("m", 1, tmp_path, facts))["lineage"]
    assert ("device" in shown) is kept


# --- where it is written --------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_left_alone(opened: Connection, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    for options in ("", ", overwrite := true"):
        with pytest.raises(OperationalError, match="not empty|no export wrote"):
            opened.execute(f"SELECT thanosql_export('m', 'mine'{options})").fetchall()
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OperationalError, match="no folder to export into"):
        opened.execute("SELECT thanosql_export('m', 'file', overwrite := true)").fetchall()
    for name in ("x" * 300, "file/below", "x\0y"):
        with pytest.raises(OperationalError, match="cannot be written"):
            opened.execute("SELECT thanosql_export('m', ?)", [name]).fetchall()
    (tmp_path / "empty").mkdir()
    opened.execute("SELECT thanosql_export('m', 'empty')").fetchall()
    assert (tmp_path / "empty" / "model.safetensors").exists()


def test_an_export_replaces_an_earlier_one_whole(opened: Connection, tmp_path: Path) -> None:
    opened.execute("SELECT thanosql_export('m', 'out')").fetchall()
    (tmp_path / "out" / "language_model.arpa").write_text("of the version before")
    with pytest.raises(OperationalError, match="overwrite := true"):
        opened.execute("SELECT thanosql_export('m', 'out')").fetchall()
    opened.execute("SELECT thanosql_export('m', 'out', overwrite := true)").fetchall()
    assert not (tmp_path / "out" / "language_model.arpa").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_registrys_folders_and_what_holds_them_are_no_target(
    opened: Connection, tmp_path: Path
) -> None:
    folder = opened._session.workspace.registry.resolve("m").folder
    before = sorted(path.name for path in folder.iterdir())
    (tmp_path / "thanosql.json").write_text("{}")
    for target in (folder, tmp_path / "w" / "new", tmp_path / "out" / ".." / "w"):
        with pytest.raises(OperationalError, match="lies in the workspace"):
            opened.execute("SELECT thanosql_export('m', ?, overwrite := true)", [str(target)])
    with pytest.raises(OperationalError, match="no export wrote"):
        opened.execute("SELECT thanosql_export('m', '', overwrite := true)").fetchall()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_export_that_fails_leaves_nothing(
    opened: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    opened.execute("SELECT thanosql_export('m', 'out')").fetchall()
    monkeypatch.setattr("shutil.copyfile", fail)
    for target in ("new", "out"):
        with pytest.raises(OperationalError, match="No space left on device"):
            opened.execute(f"SELECT thanosql_export('m', '{target}', overwrite := true)").fetchall()
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tones", "w"]


# --- how it is called -----------------------------------------------------------------------


def test_planning_exports_nothing_and_running_it_once(
    opened: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thanosql_dbapi.models import exporting

    written = []
    export = exporting.export

    def counted(version: Version, folder: Path, *given: Any, **named: Any) -> Path:
        written.append(folder.name)
        return export(version, folder, *given, **named)

    monkeypatch.setattr(exporting, "export", counted)
    opened.execute("EXPLAIN SELECT thanosql_export('m', 'out')").fetchall()
    opened.execute("DESCRIBE SELECT thanosql_export('m', 'out')").fetchall()
    assert written == []
    exported = "SELECT thanosql_export('m', 'out') AS p"
    opened.execute(f"SELECT p, p FROM ({exported}) WHERE p LIKE '%out' AND p <> ''").fetchall()
    assert written == ["out"]
    opened.execute("SELECT thanosql_export(?, ?)", ["m", "new"]).fetchall()
    assert written.pop() == "new"
    opened.execute("SELECT thanosql_export('m', n) FROM (VALUES ('x'), ('y'), (NULL)) AS t(n)")
    assert sorted(written[1:]) == ["x", "y"]


def test_a_null_gives_null_and_an_unknown_model_an_error(opened: Connection) -> None:
    sql = "SELECT thanosql_export(NULL, 'out'), thanosql_export('m', NULL)"
    assert opened.execute(sql).fetchall() == [(None, None)]
    with pytest.raises(ModelNotFound, match="there is no model 'mm'"):
        opened.execute("SELECT thanosql_export('mm', 'out')").fetchall()
