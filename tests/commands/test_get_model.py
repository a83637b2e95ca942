"""GET THANOSQL MODEL: the real client of the hub, against a loopback server of its protocol."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hub as hubs
import pytest
from echo import Echo
from hub import Hub
from safetensors.torch import load_file
from speech_fixtures import make_checkpoint, make_whisper_checkpoint, write_tones

import thanosql_dbapi
from thanosql_dbapi import (
    CheckpointUnavailable,
    Error,
    ModelExists,
    ModelNotFound,
    OperationalError,
    OptionError,
)
from thanosql_dbapi.assets import CATALOGUE
from thanosql_dbapi.models import families
from thanosql_dbapi.models.checkpoints import PINNED
from thanosql_dbapi.progress import ProgressEvent

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
#: Weights that are in other formats, or in another precision beside.
UNWANTED = ("pytorch_model.bin", "flax_model.msgpack", "model.fp32-00001-of-00002.safetensors")


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "wav2vec2"
    make_checkpoint(folder, group_norm=True, letters="ABC")
    for name in UNWANTED:
        (folder / name).write_bytes(b"what nobody asks for: " + name.encode())
    return folder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "whisper"
    make_whisper_checkpoint(folder)
    for name in UNWANTED:
        (folder / name).write_bytes(b"what nobody asks for: " + name.encode())
    return folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hubs.serve() as served:
        yield served


class Said(NamedTuple):
    """What came of statements: rows and sentences of errors, the last of the bar, the facts."""

    answers: list[tuple[Any, ...] | str]
    shown: ProgressEvent | None
    kept: dict[str, Any]


def run(
    tmp_path: Path,
    url: str,
    *statements: str,
    checkpoint: str = "",
    token: str = "",
    offline: bool = False,
) -> Said:
    """Run statements against a hub, with a database and a cache that stay."""
    answers: list[tuple[Any, ...] | str] = []
    events: list[ProgressEvent] = []
    with (
        hubs.client(url, tmp_path / "hf", token=token, offline=offline),
        thanosql_dbapi.connect(
            tmp_path / "calls.db",
            root=tmp_path,
            checkpoints={"Wav2Vec2En": checkpoint} if checkpoint else {},
            progress=events.append,
        ) as connection,
    ):
        for sql in statements:
            try:
                answers += connection.execute(sql).fetchall()
            except Error as error:
                answers.append(f"{type(error).__name__}: {error}")
        registry = connection._session.workspace.registry
        names = [model.name for model in registry.listed()]
        kept = {name: registry.resolve(name).facts.get("checkpoint") for name in names}
    assert "hf_token" not in f"{answers} {events} {kept}"
    return Said(answers, events[-1] if events else None, kept)


def test_every_name_of_the_catalogue_is_fetched_at_its_commit(
    hub: Hub, wav2vec2: Path, whisper: Path, tmp_path: Path
) -> None:
    folders = {"Wav2Vec2En": wav2vec2, "Whisper": whisper}
    for entry in CATALOGUE.values():
        repository = entry.checkpoint or families.family(entry.base).checkpoint
        if repository is not None:
            hub.add(repository, folders[entry.base], PINNED[repository])
            hub.add(repository, tmp_path / "moved on", COMMIT, "main")
    write_tones(tmp_path / "a.wav", 1.0)
    names = sorted(CATALOGUE)
    statements = [f"GET THANOSQL MODEL {name} OPTIONS (overwrite=True)" for name in names]
    statements += [f"PREDICT USING {name} AS SELECT 'a.wav' AS audio_path" for name in names]
    answers, _, kept = run(tmp_path, hub.url, *statements)
    got, said = answers[: len(names)], answers[len(names) :]
    for name, row, heard in zip(names, got, said, strict=True):
        version, base = (2, "Wav2Vec2Tiny") if name == "voice_tiny" else (1, CATALOGUE[name].base)
        assert row[:3] == (name, version, base)
        assert heard[0] == "a.wav"
    assert kept["whisper_l"] == {
        "repository": "openai/whisper-large-v3",
        "revision": PINNED["openai/whisper-large-v3"],
    }
    assert kept["wav2vec2"] == kept["tutorial_audio_recognition"]
    assert kept["voice_tiny"] is None
    assert not any(COMMIT in path or "/main" in path for path in hub.paths())
    assert not any(path.endswith(UNWANTED) for path in hub.paths())
    # Offline, the cache has it all; a second GET asks nobody.
    asked = len(hub.asked)
    get = "GET THANOSQL MODEL whisper_s AS w"
    again = run(tmp_path, "http://127.0.0.1:9", get, offline=True)
    assert again.answers[0][:3] == ("w", 1, "Whisper")
    assert len(hub.asked) == asked


def test_a_revision_can_be_named_and_the_commit_is_kept(
    hub: Hub, wav2vec2: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(wav2vec2, bare)
    (bare / "model.safetensors").unlink()
    hub.add("me/mine", bare, OTHER, "main")
    hub.add("me/mine", wav2vec2, COMMIT, "refs/pr/1", "v2")
    get = "GET THANOSQL MODEL wav2vec2"
    for revision in ("refs/pr/1", "v2", COMMIT):
        said = run(
            tmp_path, hub.url, f"{get} OPTIONS (overwrite=True)", checkpoint=f"me/mine@{revision}"
        )
        assert said.answers[0][0] == "wav2vec2"
        assert said.kept["wav2vec2"] == {"repository": "me/mine", "revision": COMMIT}
    (refused,) = run(tmp_path, hub.url, f"{get} AS other", checkpoint="me/mine").answers
    assert "its weights are pickled (pytorch_model.bin) and not in safetensors" in refused
    assert "'me/mine@refs/pr/<number>'" in refused
    assert not any(path.endswith(".bin") for path in hub.paths())
    (unknown,) = run(tmp_path, hub.url, f"{get} AS other", checkpoint="me/mine@v9").answers
    assert unknown.startswith("CheckpointUnavailable: ")
    assert "the repository has no revision 'v9'" in unknown


def test_weights_in_shards_are_those_of_the_index(hub: Hub, wav2vec2: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "sharded"
    shutil.copytree(wav2vec2, folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "model-00009-of-00002.safetensors").write_bytes(b"of an older commit")
    halves = sorted(weights)[::2], sorted(weights)[1::2]
    where = {}
    for number, names in enumerate(halves, 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({n: weights[n] for n in names}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.add("me/mine", folder, COMMIT, "main")
    said = run(tmp_path, hub.url, "GET THANOSQL MODEL wav2vec2 AS m", checkpoint="me/mine")
    assert said.answers[0][:3] == ("m", 1, "Wav2Vec2En")
    assert any(path.endswith("model-00002-of-00002.safetensors") for path in hub.paths())
    assert not any("00009" in path for path in hub.paths())


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("../../elsewhere/model.safetensors", "speaks of '../../elsewhere/model.safetensors'"),
        ("model-00001-of-00002.safetensors", "it lacks 'model-00001-of-00002.safetensors'"),
    ],
)
def test_an_index_speaks_of_what_its_repository_has(
    hub: Hub, wav2vec2: Path, tmp_path: Path, named: str, sentence: str
) -> None:
    folder = tmp_path / "sharded"
    shutil.copytree(wav2vec2, folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": named}}))
    hub.add("me/mine", folder, COMMIT, "main")
    get = "GET THANOSQL MODEL wav2vec2 AS m"
    (said,) = run(tmp_path, hub.url, get, checkpoint="me/mine").answers
    assert said.startswith("CheckpointUnavailable: ")
    assert sentence in said


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"\x10" + bytes(500)),
        ("config.json", b'{"model_type": "bert"}'),
        ("config.json", b"[]"),
    ],
)
def test_a_checkpoint_that_is_damaged_is_said_so(
    wav2vec2: Path, tmp_path: Path, file: str, content: bytes
) -> None:
    shutil.copytree(wav2vec2, tmp_path / "damaged")
    (tmp_path / "damaged" / file).write_bytes(content)
    with (
        thanosql_dbapi.connect(
            root=tmp_path, checkpoints={"Wav2Vec2En": "damaged"}, progress=False
        ) as connection,
        pytest.raises(OperationalError, match="damaged holds no Wav2Vec2 CTC model"),
    ):
        connection.execute("GET THANOSQL MODEL wav2vec2 AS m")


@pytest.mark.parametrize("folder", ["~nobody-of-this-name/x", "/" + "x" * 5000])
def test_a_folder_that_cannot_be_is_said_not_to_be_there(folder: str) -> None:
    with (
        thanosql_dbapi.connect(checkpoints={"Wav2Vec2En": folder}, progress=False) as connection,
        pytest.raises(CheckpointUnavailable, match="and there is no such folder"),
    ):
        connection.execute("GET THANOSQL MODEL wav2vec2")


def test_a_download_that_breaks_off_goes_on_and_is_shown(hub: Hub, tmp_path: Path) -> None:
    # The client writes what came in pieces of 10 MB.
    sizes = {"hidden_size": 256, "intermediate_size": 6000}
    folder = make_checkpoint(tmp_path / "large", group_norm=True, letters="ABC", **sizes)
    hub.add("me/mine", folder, COMMIT, "main")
    hub.breaks, hub.breaks_after = 1, 22_000_000
    said = run(tmp_path, hub.url, "GET THANOSQL MODEL wav2vec2 AS m", checkpoint="me/mine")
    assert said.answers[0][:3] == ("m", 1, "Wav2Vec2En")
    ranges = [asked for _, path, asked in hub.asked if "/cdn/" in path and asked]
    assert ranges == ["bytes=20971520-"]
    assert said.shown is not None
    assert said.shown.activity == "me/mine"
    size = (folder / "model.safetensors").stat().st_size
    assert said.shown.done == said.shown.total >= round(size / 1e6, 1) > 0


PROGRAM = """
import sys, thanosql_dbapi
checkpoints = {"Wav2Vec2En": "me/mine"}
with thanosql_dbapi.connect(root=sys.argv[1], checkpoints=checkpoints) as connection:
    try:
        connection.execute("GET THANOSQL MODEL wav2vec2 AS m")
    except KeyboardInterrupt:
        print("stopped", flush=True)
        raise
"""


def test_ctrl_c_ends_a_download_within_a_second(hub: Hub, wav2vec2: Path, tmp_path: Path) -> None:
    hub.add("me/mine", wav2vec2, COMMIT, "main")
    hub.pause_s = 60
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=hubs.environment(hub.url, tmp_path / "hf"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any("/cdn/" in path for path in hub.paths()):
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            pytest.fail(f"nothing was fetched: {process.communicate()}")
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    assert process.stdout is not None
    said = process.stdout.readline()
    took = time.monotonic() - sent
    # The process itself ends when the client's threads do, which wait for the silent server.
    process.kill()
    process.communicate()
    assert said == "stopped\n"
    assert took < 1.5


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("gated", "its owner asks for consent first: give it on {url}/me/mine, and set HF_TOKEN"),
        ("private", "the hub at {url} has no such repository, or shows it to a token alone"),
        ("absent", "the hub at {url} has no such repository, or shows it to a token alone"),
        ("offline", "HF_HUB_OFFLINE forbids to ask the hub, and they are not all in its cache"),
        ("empty", "it has no weights and not in safetensors"),
    ],
)
def test_what_a_hub_does_not_give_is_said_in_a_sentence(
    hub: Hub, wav2vec2: Path, tmp_path: Path, state: str, sentence: str
) -> None:
    folder = wav2vec2
    if state == "empty":
        folder = tmp_path / "empty"
        folder.mkdir()
        shutil.copyfile(wav2vec2 / "config.json", folder / "config.json")
    if state != "absent":
        hub.add("me/mine", folder, COMMIT, "main")
    if state in ("gated", "private"):
        getattr(hub, state).add("me/mine")
    get = "GET THANOSQL MODEL wav2vec2 AS m"
    offline = state == "offline"
    (said,) = run(tmp_path, hub.url, get, checkpoint="me/mine", offline=offline).answers
    assert said.startswith("CheckpointUnavailable: the weights of Wav2Vec2En ('me/mine' on the")
    assert sentence.format(url=hub.url) in said
    if state == "private":
        got = run(tmp_path, hub.url, get, checkpoint="me/mine", token=hub.token)
        assert got.answers[0][:2] == ("m", 1)


def test_what_is_built_keeps_the_commit_of_its_base(hub: Hub, echo: Echo, tmp_path: Path) -> None:
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"what an echo is made of")
    hub.add("me/mine", folder, COMMIT, "main")
    write_tones(tmp_path / "a.wav", 0.1)
    with (
        hubs.client(hub.url, tmp_path / "hf"),
        thanosql_dbapi.connect(root=tmp_path, checkpoints={"Echo": "me/mine"}) as connection,
    ):
        connection.execute("BUILD MODEL m USING Echo AS SELECT 'a.wav' AS audio_path, 'a' AS text")
        kept = connection._session.workspace.registry.resolve("m").facts
        assert kept["checkpoint"] == {"repository": "me/mine", "revision": COMMIT}
        assert kept["lineage"]["rows"] == 1


def test_names_and_options() -> None:
    with thanosql_dbapi.connect(progress=False) as connection:
        get = "GET THANOSQL MODEL voice_tiny"
        assert connection.execute(f"{get} OPTIONS (model_name='m')").fetchone()[:2] == ("m", 1)
        with pytest.raises(ModelExists):
            connection.execute(f"{get} AS m")
        assert connection.execute(f"{get} OPTIONS (overwrite=True) AS m").fetchone()[1] == 2
        with pytest.raises(OptionError, match="AS and model_name both name the model"):
            connection.execute(f"{get} OPTIONS (model_name='n') AS m")
        with pytest.raises(ModelNotFound, match="Did you mean 'voice_tiny'"):
            connection.execute("GET THANOSQL MODEL voice_tin")
