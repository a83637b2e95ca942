"""A model's folder from elsewhere: told what it is, and taken without running anything of it.

What is taken are weights in safetensors and the JSON and text around them, by name; a pickle is
refused unopened, since reading one runs what its author put in. Nothing in the folder is changed.
This module reads JSON and the heads of safetensors files, and loads no torch.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from ..exceptions import Error, NotSupportedError, OperationalError, callers_level
from ..registry import FACTS
from . import families
from .base import Family

#: Files that are pickles, or may be: torch's and numpy's own formats among them.
PICKLES: Final = frozenset(
    {".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".th"}
)

#: What transformers writes beside the weights, and what an export of ours adds.
_TAKEN: Final = frozenset(
    {
        *("config.json", "generation_config.json", "model.safetensors.index.json"),
        *("preprocessor_config.json", "processor_config.json"),
        *("tokenizer_config.json", "tokenizer.json", "vocab.json", "merges.txt", "normalizer.json"),
        *("special_tokens_map.json", "added_tokens.json"),
    }
)
#: What an export of ours has besides: these decide what the model predicts.
OURS: Final = ("decoder.json", "language_model.arpa")

_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors\Z")
#: What makes transformers fetch or run code from elsewhere, or convert weights while it loads.
_CODE: Final = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})
_QUIETLY_DROPPED: Final = frozenset(
    {"_attn_implementation", "attn_implementation", "_name_or_path", "name_or_path", "_commit_hash"}
)
#: Bytes of JSON in one file, and of the head of safetensors (the format's own limit), at most.
_LONGEST_JSON: Final = 100_000_000
_LONGEST_HEAD: Final = 100_000_000
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
#: The kinds of models that there are families for, and those families.
_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "wav2vec2": ("Wav2Vec2En", "Wav2Vec2Ko", "Wav2Vec2Tiny"),
    "whisper": ("Whisper",),
}
_HOW = (
    "in Python, model.save_pretrained('folder', safe_serialization=True), and the same for its"
    " tokenizer and feature extractor, write a folder that UPLOAD MODEL takes"
)


def require_folder(source: Path, text: str) -> None:
    """Refuse a source that is no folder, by what it is; `text` is how the statement names it.

    Raises:
        NotSupportedError: it is a pickle, or a file of another kind.
    """
    if source.is_dir():
        return
    if source.suffix.lower() in PICKLES:
        raise NotSupportedError(
            f"'{text}' is a pickle, as torch.save writes: reading it would run whatever code is in"
            f" it, so it was not opened; {_HOW}"
        )
    if source.suffix.lower() == ".safetensors":
        raise NotSupportedError(
            f"'{text}' is a file of weights alone: name the folder that it lies in, with its"
            " config.json and vocabulary"
        )
    raise NotSupportedError(f"'{text}' is no folder of a transformers model; {_HOW}")


def take(source: Path, folder: Path) -> None:
    """Copy what a model needs from `source` into the empty `folder`.

    Raises:
        NotSupportedError: its weights are pickled or quantised.
        OperationalError: it lacks a part, or a file in it is not what its name says.
    """
    found = {path.name: path for path in _files(source)}
    weights = {name: path for name, path in found.items() if _WEIGHTS.match(name)}
    if not weights:
        _refuse_weights(source, found)
    if "config.json" not in found:
        raise OperationalError(f"{source} has no config.json: it is no transformers model")
    for name, path in weights.items():
        require_safetensors(path)
        _link_or_copy(path, folder / name)
    for name in found.keys() & {*_TAKEN, *OURS, FACTS}:
        if name.endswith(".json") and name not in OURS:
            (folder / name).write_text(_harmless(found[name]), "utf-8")
        else:
            shutil.copyfile(found[name], folder / name)
    _require_shards(source, folder, weights)


def family_of(folder: Path, base_model: str) -> Family:
    """Return the family of a taken folder: `base_model`, or told by what is in the folder.

    An export of ours says its base in its facts; else `model_type` in config.json decides, and
    between Wav2Vec2's families whether the vocabulary has Hangul.

    Raises:
        NotSupportedError: no family has such models, or `base_model` is another one's.
        ModelNotFound: there is no such base model.
    """
    kind = str(_object(folder / "config.json").get("model_type"))
    known = _FAMILIES.get(kind, ())
    if base_model:
        found = families.family(base_model)
        if base_model in families.BUILT_IN and any(base_model in f for f in _FAMILIES.values()):
            _require_kind(kind, base_model, known)
        return found
    if not known:
        raise NotSupportedError(
            f"config.json says model_type '{kind}', which there is no family for; these there are:"
            f" {', '.join(_FAMILIES)}"
        )
    exported = _facts(folder).get("base")
    if exported in known:
        return families.family(exported)
    korean = kind == "wav2vec2" and any(map(_HANGUL.match, _vocabulary(folder)))
    return families.family("Wav2Vec2Ko" if korean else known[0])


def adopt(family: Family, taken: Path, folder: Path) -> dict[str, Any]:
    """Write a taken folder as a version of `family`, and return its facts.

    The language model and decoder of an export of ours, and the case of its answers, stay.

    Raises:
        OperationalError: the family cannot load it, or the decoder cannot be read.
    """
    _require_rate(taken)
    try:
        facts = {"base": family.name, **family.adopt(taken, folder)}
    except Error:
        raise
    except Exception as error:
        # Weights of another shape than config.json says, a package that it asks for, or whatever
        # transformers and its libraries raise for a value that they did not expect.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise OperationalError(f"the model cannot be loaded: {reason}") from error
    exported = _facts(taken)
    if exported:
        if exported.get("text_case") in ("lower", "upper"):
            facts["text_case"] = exported["text_case"]
        for name in OURS:
            if (taken / name).exists():
                shutil.copyfile(taken / name, folder / name)
        _require_decoder(folder)
    return facts


def _require_rate(folder: Path) -> None:
    """Refuse a sampling rate that is none: transformers takes it as it is."""
    path = folder / "preprocessor_config.json"
    rate = _object(path).get("sampling_rate", 16_000) if path.exists() else 16_000
    if not isinstance(rate, int) or not 1_000 <= rate <= 1_000_000:
        raise OperationalError(f"{path.name} says a sampling_rate of {rate!r}, which is no rate")


def _require_decoder(folder: Path) -> None:
    """Refuse a decoder or a language model that could not be read when the model is used."""
    from .decoder_choice import read_decoder
    from .language_model import FILE, LanguageModel

    read_decoder(folder)
    if (folder / FILE).exists():
        LanguageModel.read(folder)


def _files(source: Path) -> Iterator[Path]:
    """Yield the files of a folder, links resolved but named as in the folder.

    A link may lead to the `blobs` beside a hub cache's `snapshots`, and nowhere else outside.
    """
    real = source.resolve()
    roots = [real]
    if real.parent.name == "snapshots":
        roots.append(real.parent.parent / "blobs")
    for path in sorted(source.iterdir()):
        if not (_WEIGHTS.match(path.name) or path.suffix.lower() in {".json", ".txt", ".arpa"}):
            if path.suffix.lower() in PICKLES:
                yield path  # by its name alone; nobody opens it
            continue
        try:
            target = path.resolve()
        except (OSError, RuntimeError) as error:  # Python before 3.13 raises the latter
            raise OperationalError(f"'{path.name}' in {source} is a link in a circle") from error
        if not any(target.is_relative_to(root) for root in roots):
            raise OperationalError(
                f"'{path.name}' in {source} is a link that leads out of the folder: put the file"
                " itself there"
            )
        if not target.exists():
            raise OperationalError(f"'{path.name}' in {source} is a link to a file that is gone")
        if target.is_file():
            yield path


def _refuse_weights(source: Path, found: Mapping[str, Path]) -> NoReturn:
    pickled = [name for name in found if Path(name).suffix.lower() in PICKLES]
    if pickled:
        raise NotSupportedError(
            f"{source} has its weights in '{pickled[0]}' alone, a pickle: reading it would run"
            f" whatever code is in it, so it was not opened; {_HOW}"
        )
    raise OperationalError(f"{source} has no weights: there is no model.safetensors in it")


def require_safetensors(path: Path) -> None:
    """Refuse a file that is not safetensors, or is cut short, by its head alone.

    The format: 8 bytes, the length of a JSON header, least significant first; the header, which
    names each tensor's range of bytes; the tensors (huggingface.co/docs/safetensors).

    Raises:
        NotSupportedError: it is a pickle under another name; it was not read.
        OperationalError: it is no safetensors file, or not all of one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if head[:1] == b"\x80" or head[:2] == b"PK":
            raise NotSupportedError(
                f"'{path.name}' is a pickle, whatever its name says: reading it would run whatever"
                f" code is in it, so it was not opened; {_HOW}"
            )
        length = int.from_bytes(head, "little")
        whole = len(head) == 8 and length <= min(size - 8, _LONGEST_HEAD)
        header = file.read(length) if whole else b""
    try:
        tensors = json.loads(header)
        end = max(int(t["data_offsets"][1]) for n, t in tensors.items() if n != "__metadata__")
    except (
        *(ValueError, TypeError, KeyError, IndexError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise OperationalError(f"'{path}' is no safetensors file: it was not read") from error
    if end != size - 8 - length:
        raise OperationalError(f"'{path}' is not whole: it should be {8 + length + end:,} bytes")


def _require_shards(source: Path, folder: Path, weights: Mapping[str, Path]) -> None:
    """Refuse an index that names other files than the weights that were taken."""
    index = folder / "model.safetensors.index.json"
    if "model.safetensors" in weights:
        index.unlink(missing_ok=True)
        return
    named = _object(index).get("weight_map") if index.exists() else None
    if not isinstance(named, dict):
        raise OperationalError(
            f"{source} has weights in several files and no model.safetensors.index.json for them"
        )
    missing = sorted({str(name) for name in named.values()} - set(weights))
    if missing:
        raise OperationalError(f"{source} lacks {', '.join(missing)}, which its index names")


def _harmless(path: Path) -> str:
    """Return a JSON file's text without what would have code run.

    Raises:
        NotSupportedError: it says that the weights are quantised.
        OperationalError: it is no JSON.
    """
    value = _json(path)
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if path.name in ("vocab.json", "added_tokens.json"):
        return json.dumps(value, ensure_ascii=False)  # the keys are tokens, whatever they are
    if value.get("quantization_config"):
        raise NotSupportedError(
            f"{path.name} says that the weights are quantised: save the model unquantised;"
            " PREDICT's precision='int8' quantises while it runs"
        )
    named = sorted(_CODE & value.keys())
    if named:
        warnings.warn(
            f"{path.name} names code of its own ({', '.join(named)}): it is left out, and the"
            " model is read by the code of transformers alone",
            stacklevel=callers_level(),
        )
    try:
        return json.dumps(_without(value, _CODE | _QUIETLY_DROPPED), ensure_ascii=False, indent=2)
    except RecursionError as error:
        raise OperationalError(f"'{path}' is nested too deeply") from error


def _without(value: Any, keys: frozenset[str]) -> Any:
    """Return a JSON value without these keys, at any depth."""
    if isinstance(value, dict):
        return {k: _without(item, keys) for k, item in value.items() if k not in keys}
    if isinstance(value, list):
        return [_without(item, keys) for item in value]
    return value


def _link_or_copy(path: Path, target: Path) -> None:
    # Weights may be gigabytes; the family reads them from here and writes its own.
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, target)


def _require_kind(kind: str, base_model: str, known: tuple[str, ...]) -> None:
    if base_model not in known:
        fitting = f"base_model='{known[0]}' fits it" if known else "no family has such models"
        raise NotSupportedError(
            f"config.json says model_type '{kind}', and '{base_model}' is another kind: {fitting}"
        )


def _vocabulary(folder: Path) -> Mapping[str, Any]:
    path = folder / "vocab.json"
    return _object(path) if path.exists() else {}


def _facts(folder: Path) -> Mapping[str, Any]:
    """Return the facts of an export of ours; nothing where the folder is none."""
    path = folder / FACTS
    return _object(path) if path.exists() else {}


def _object(path: Path) -> Mapping[str, Any]:
    value = _json(path)
    if not isinstance(value, dict):
        raise OperationalError(f"'{path.name}' should hold a JSON object")
    return value


def _json(path: Path) -> Any:
    if path.stat().st_size > _LONGEST_JSON:
        raise OperationalError(f"'{path}' is too large: no model has so much JSON")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise OperationalError(f"'{path}' is no JSON: {error}") from error
