"""UPLOAD MODEL: what becomes a model, what is refused, and that nothing in a folder is run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from speech_fixtures import make_checkpoint, make_whisper_checkpoint, write_tones

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    ModelExists,
    ModelNotFound,
    NotSupportedError,
    OperationalError,
    OptionError,
)

PREDICT = "SELECT predicted FROM (PREDICT USING {} AS SELECT 'a.wav' AS audio_path)"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, workspace=tmp_path / "w") as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "tones", group_norm=False, letters="abcdefgh")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def version_folder(tmp_path: Path, name: str, number: int = 1) -> Path:
    return tmp_path / "w" / "models" / name / "versions" / str(number)


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_becomes_a_model_and_stays_as_it_was(
    opened: Connection, folder: Path, tmp_path: Path
) -> None:
    write_tones(tmp_path / "a.wav", 1.0)
    before = contents(folder)
    cursor = opened.execute("UPLOAD MODEL m FROM 'tones'")
    row = dict(zip([c.name for c in cursor.description], cursor.fetchone(), strict=True))
    assert (row["name"], row["version"], row["class_name"]) == ("m", 1, "Wav2Vec2En")
    assert contents(folder) == before
    ((text,),) = opened.execute(PREDICT.format("m")).fetchall()
    with thanosql_dbapi.connect(root=tmp_path, checkpoints={"Wav2Vec2En": "tones"}) as other:
        other.execute("GET THANOSQL MODEL wav2vec2 AS m")
        assert other.execute(PREDICT.format("m")).fetchall() == [(text,)]
    assert text


def test_a_name_that_is_taken_needs_overwrite(opened: Connection, folder: Path) -> None:
    opened.execute("UPLOAD MODEL m FROM 'tones'")
    with pytest.raises(ModelExists):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    row = opened.execute("UPLOAD MODEL m OPTIONS (overwrite=True) FROM 'tones'").fetchone()
    assert row[:2] == ("m", 2)


def test_a_parameter_names_the_folder_absolutely(opened: Connection, folder: Path) -> None:
    assert opened.execute("UPLOAD MODEL m FROM ?", [str(folder)]).fetchone()[0] == "m"


@pytest.mark.parametrize(
    ("letters", "options", "family"),
    [
        ("abc", "", "Wav2Vec2En"),
        ("가나다", "", "Wav2Vec2Ko"),
        ("ㄱㅏ", "", "Wav2Vec2Ko"),
        ("가나다", "OPTIONS (base_model='Wav2Vec2En')", "Wav2Vec2En"),
        ("abc", "OPTIONS (base_model='Wav2Vec2Tiny', framework='pytorch')", "Wav2Vec2Tiny"),
    ],
)
def test_the_family_is_told_by_the_vocabulary_or_by_the_user(
    opened: Connection, tmp_path: Path, letters: str, options: str, family: str
) -> None:
    make_checkpoint(tmp_path / "f", group_norm=False, letters=letters)
    assert opened.execute(f"UPLOAD MODEL m {options} FROM 'f'").fetchone()[2] == family


def test_a_whisper_is_one_by_its_model_type(opened: Connection, tmp_path: Path) -> None:
    make_whisper_checkpoint(tmp_path / "f")
    assert opened.execute("UPLOAD MODEL m FROM 'f'").fetchone()[2] == "Whisper"
    with pytest.raises(NotSupportedError, match="another kind: base_model='Whisper' fits"):
        opened.execute("UPLOAD MODEL n OPTIONS (base_model='Wav2Vec2En') FROM 'f'")


def test_other_kinds_of_models_are_refused_by_name(opened: Connection, folder: Path) -> None:
    change(folder / "config.json", model_type="bert")
    with pytest.raises(NotSupportedError, match="'bert'.*wav2vec2, whisper"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    with pytest.raises(ModelNotFound, match="Did you mean 'Wav2Vec2En'"):
        opened.execute("UPLOAD MODEL m OPTIONS (base_model='Wav2Vec2Em') FROM 'tones'")
    with pytest.raises(OptionError, match="framework='tensorflow'"):
        opened.execute("UPLOAD MODEL m OPTIONS (framework='tensorflow') FROM 'tones'")


def test_shards_are_read_by_their_index(opened: Connection, folder: Path, tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 1.0)
    opened.execute("UPLOAD MODEL whole FROM 'tones'")
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file({n: weights[n] for n in part}, folder / name, {"format": "pt"})
        index |= dict.fromkeys(part, name)
    (folder / "model.safetensors").unlink()
    with pytest.raises(OperationalError, match=r"no model\.safetensors\.index\.json"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    indexed = folder / "model.safetensors.index.json"
    indexed.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    opened.execute("UPLOAD MODEL m FROM 'tones'")
    assert (
        opened.execute(PREDICT.format("m")).fetchall()
        == opened.execute(PREDICT.format("whole")).fetchall()
    )
    indexed.write_text(json.dumps({"weight_map": index | {names[0]: "../../secret.safetensors"}}))
    with pytest.raises(OperationalError, match=r"lacks \.\./\.\./secret\.safetensors"):
        opened.execute("UPLOAD MODEL n FROM 'tones'")


# --- nothing is run -------------------------------------------------------------------------


class Trap:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (self.sprung, "caught")  # type: ignore[return-value]


@pytest.fixture
def sprung(tmp_path: Path) -> Iterator[Path]:
    """A file that is there once the malicious code has run."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists()


@pytest.fixture
def trap(sprung: Path) -> bytes:
    data = pickle.dumps(Trap(sprung))
    pickle.loads(data)
    assert sprung.read_text() == "caught"  # it works
    sprung.unlink()
    return data


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "pkl", "ckpt", "PTH", "joblib", "npy"])
def test_a_pickle_is_refused_unopened(
    opened: Connection, tmp_path: Path, trap: bytes, suffix: str
) -> None:
    (tmp_path / f"model.{suffix}").write_bytes(trap)
    with pytest.raises(NotSupportedError, match="is a pickle.*would run.*save_pretrained"):
        opened.execute(f"UPLOAD MODEL m OPTIONS (framework='pytorch') FROM 'model.{suffix}'")
    assert opened.execute("LIST MODEL").fetchall() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_who_opened_a_pickle_would_wait_for_ever(
    opened: Connection, folder: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "model.pt")
    with pytest.raises(NotSupportedError, match="it was not opened"):
        opened.execute("UPLOAD MODEL m FROM 'model.pt'")
    os.mkfifo(folder / "pytorch_model.bin")
    assert opened.execute("UPLOAD MODEL m FROM 'tones'").fetchone()[0] == "m"
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotSupportedError, match="it was not opened"):
        opened.execute("UPLOAD MODEL n FROM 'tones'")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_a_folder_whose_weights_are_pickled_is_refused(
    opened: Connection, folder: Path, trap: bytes, name: str
) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(trap)
    with pytest.raises(NotSupportedError, match=f"'{name}' alone, a pickle.*save_pretrained"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_beside_safetensors_a_pickle_and_code_stay_behind(
    opened: Connection, folder: Path, tmp_path: Path, trap: bytes, sprung: Path
) -> None:
    code = f"open({str(sprung)!r}, 'w').write('caught')"
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin"):
        (folder / name).write_bytes(trap)
    for name in ("modeling_own.py", "sitecustomize.py", "chat_template.jinja", "run.sh"):
        (folder / name).write_text(code)
    opened.execute("UPLOAD MODEL m FROM 'tones'")
    kept = {path.suffix for path in version_folder(tmp_path, "m").rglob("*") if path.is_file()}
    assert kept == {".json", ".safetensors"}


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"]
)
def test_code_that_a_config_names_is_not_run(
    opened: Connection, folder: Path, tmp_path: Path, sprung: Path, file: str
) -> None:
    write_tones(tmp_path / "a.wav", 1.0)
    (folder / "own.py").write_text(
        f"open({str(sprung)!r}, 'w').write('caught')\n"
        "class Own:\n    from_pretrained = from_dict = classmethod(lambda *a, **k: 1 / 0)\n"
    )
    classes = ("AutoConfig", "AutoModelForCTC", "AutoTokenizer", "AutoFeatureExtractor")
    change(
        folder / file,
        auto_map=dict.fromkeys(classes, "own.Own"),
        trust_remote_code=True,
        _attn_implementation="somebody/their-kernels",
        attn_implementation="somebody/their-kernels",
        custom_pipelines={"automatic-speech-recognition": {"impl": "own.Own"}},
    )
    with pytest.warns(UserWarning, match=f"{file} names code of its own .auto_map, custom_pip"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    kept = version_folder(tmp_path, "m")
    for path in kept.glob("*.json"):
        assert not any(word in path.read_text() for word in ("own.Own", "trust_remote", "kernels"))
    assert len(opened.execute(PREDICT.format("m")).fetchall()) == 1


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_under_another_name_is_not_read(
    opened: Connection, folder: Path, sprung: Path, protocol: int
) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap(sprung), protocol))
    said = "is a pickle, whatever" if protocol else "is no safetensors file"
    expected = NotSupportedError if protocol else OperationalError
    with pytest.raises(expected, match=said):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_a_zip_of_torch_is_a_pickle(opened: Connection, folder: Path, trap: bytes) -> None:
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + trap)
    with pytest.raises(NotSupportedError, match="is a pickle, whatever its name says"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


# --- links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.json"])
def test_a_link_out_of_the_folder_is_refused(
    opened: Connection, folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.move(folder / name, tmp_path / "elsewhere" / name)
    (folder / name).symlink_to(Path("..", "elsewhere", name))
    with pytest.raises(OperationalError, match=f"'{name}' .* is a link that leads out"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    (folder / name).unlink()
    (folder / name).symlink_to("gone")
    with pytest.raises(OperationalError, match=f"'{name}' .* is a link to a file that is gone"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_a_link_within_the_folder_and_a_linked_folder_are_followed(
    opened: Connection, folder: Path, tmp_path: Path
) -> None:
    (folder / "kept").mkdir()
    shutil.move(folder / "config.json", folder / "kept" / "one.json")
    (folder / "config.json").symlink_to(Path("kept", "one.json"))
    (tmp_path / "linked").symlink_to(folder)
    assert opened.execute("UPLOAD MODEL m FROM 'linked'").fetchone()[0] == "m"


def test_the_links_of_a_hubs_cache_are_followed(
    opened: Connection, folder: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "models--acme--tones"
    snapshot = repository / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.move(path, repository / "blobs" / str(number))
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", str(number)))
    relative = snapshot.relative_to(tmp_path)
    assert opened.execute(f"UPLOAD MODEL m FROM '{relative}'").fetchone()[0] == "m"
    assert not any(path.is_symlink() for path in version_folder(tmp_path, "m").iterdir())


# --- parts that are missing or wrong --------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("vocab.json", "with safetensors weights"),
        ("preprocessor_config.json", "with safetensors weights"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(
    opened: Connection, folder: Path, tmp_path: Path, gone: str, said: str
) -> None:
    (folder / gone).unlink()
    with pytest.raises(OperationalError, match=said):
        opened.execute("UPLOAD MODEL m FROM 'tones'")
    assert opened.execute("LIST MODEL").fetchall() == []
    assert list((tmp_path / "w" / "staging").glob("*")) == []


def test_weights_without_a_head_are_refused(opened: Connection, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "lm_head" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(OperationalError, match="lack lm_head.bias, lm_head.weight"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_weights_of_another_shape_are_refused(opened: Connection, folder: Path) -> None:
    change(folder / "config.json", vocab_size=99)
    with pytest.raises(OperationalError, match="cannot be loaded|no Wav2Vec2 CTC model"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_weights_that_are_cut_short_are_refused(opened: Connection, folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for length in (0, 5, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(OperationalError, match="is no safetensors file|is not whole"):
            opened.execute("UPLOAD MODEL m FROM 'tones'")


@pytest.mark.parametrize(
    "head",
    [
        b'{"a": {"data_offsets": ["0", "b"]}}',
        b'{"a": {"data_offsets": [0, [4]]}}',
        b'{"a": {"data_offsets": [0, NaN]}}',
        b'{"a": {"data_offsets": [0, Infinity]}}',
        b"[" * 100_000,
    ],
)
def test_a_head_of_weights_that_is_none_is_refused(
    opened: Connection, folder: Path, head: bytes
) -> None:
    data = len(head).to_bytes(8, "little") + head + b"1234"
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(OperationalError, match="is no safetensors file"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_a_link_in_a_circle_is_refused(opened: Connection, folder: Path) -> None:
    (folder / "vocab.json").unlink()
    (folder / "vocab.json").symlink_to("vocab.json")
    with pytest.raises(OperationalError, match="link in a circle|gone"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_json_that_is_nested_deeply_is_refused(opened: Connection, folder: Path, name: str) -> None:
    (folder / name).write_text('{"a":' * 800 + "1" + "}" * 800)
    with pytest.raises(OperationalError, match="nested too deeply|is no JSON"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_json_that_would_fill_the_memory_is_not_read(opened: Connection, folder: Path) -> None:
    with (folder / "config.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(OperationalError, match="too large"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"hidden_size": "wide"}),
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"num_feat_extract_layers": 10**9}),
        ("config.json", {"dtype": "os.system"}),
        ("config.json", {"id2label": [1]}),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}),
        ("preprocessor_config.json", {"sampling_rate": 0}),
        ("preprocessor_config.json", {"sampling_rate": "16k"}),
        ("preprocessor_config.json", {"sampling_rate": 10**12}),
    ],
)
def test_values_that_no_model_has_are_an_error_of_ours(
    opened: Connection, folder: Path, file: str, values: dict[str, object]
) -> None:
    change(folder / file, **values)
    with pytest.raises(OperationalError, match="cannot be loaded|no Wav2Vec2 CTC|no rate"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


def test_a_quantised_model_is_refused(opened: Connection, folder: Path) -> None:
    change(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(NotSupportedError, match="quantised"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


@pytest.mark.parametrize("text", ["{", "[]", '"text"', "\x00", "[" * 100_000])
def test_a_config_that_is_no_json_object_is_refused(
    opened: Connection, folder: Path, text: str
) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(OperationalError, match="is no JSON|a JSON object"):
        opened.execute("UPLOAD MODEL m FROM 'tones'")


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("nothing", OperationalError, "there is no file or folder 'nothing'"),
        ("tones/model.safetensors", NotSupportedError, "name the folder that it lies in"),
        ("tones/config.json", NotSupportedError, "is no folder of a transformers model"),
    ],
)
def test_a_source_that_is_no_folder_is_refused(
    opened: Connection, folder: Path, path: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        opened.execute(f"UPLOAD MODEL m FROM '{path}'")
