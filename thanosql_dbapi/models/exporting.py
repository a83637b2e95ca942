"""A version of a model as a folder that transformers loads, for others to use.

`transformers.pipeline` reads it as it is and writes what greedy decoding writes here. What is
private stays behind, unless it is asked for: the queries and the names in them, the rows, what was
found about them, and paths. This module copies files, and loads no torch.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from ..exceptions import OperationalError
from ..registry import ABOUT, FACTS, Version
from . import families
from .base import Verb
from .card import model_card

CARD: Final = "README.md"

_PLAIN_FACTS: Final = ("name", "version", "base", "created_utc", "text_case", "libraries")
_PLAIN_LINEAGE: Final = (
    *("parent", "base", "seed", "data_digest", "rows", "held_out_rows", "audio_seconds", "metrics"),
    *("libraries", "device", "seconds", "steps", "weights_digest", "decoder", "refusal"),
)
#: Options that say how a BUILD was run, and nothing of what came of it.
_DECIDE_NOTHING: Final = frozenset({"overwrite", "resume", "publish", "check_only", "on_error"})
#: What transformers notes of where a file came from.
_ORIGINS: Final = frozenset({"_name_or_path", "name_or_path", "_commit_hash", "tokenizer_file"})


def export(
    version: Version, folder: Path, workspace: Path, *, overwrite: bool = False, full: bool = False
) -> Path:
    """Write a version as the folder `folder`, whole or not at all; return the folder.

    `overwrite` replaces an earlier export, and nothing else; `full` keeps all that is known of how
    the model was made.

    Raises:
        OperationalError: the folder holds something else, lies in the workspace, or cannot be
            written.
    """
    try:
        _require_room(folder, workspace, overwrite=overwrite)
        beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        beside.mkdir(parents=True)
        try:
            write(version, beside, full=full)
            _put(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except (OSError, ValueError) as error:  # the latter of a name that is none
        raise OperationalError(f"'{folder}' cannot be written: {error}") from error
    return folder


def write(version: Version, folder: Path, *, full: bool = False) -> None:
    """Write a version's files, its facts and a model card into the empty `folder`.

    Raises:
        OSError: a file cannot be read or written.
    """
    facts = dict(version.facts) if full else public_facts(version)
    facts |= {"name": version.name, "version": version.number, "base": version.base}
    notes = ""
    for path in sorted(version.folder.iterdir()):
        if path.name == CARD:
            notes = path.read_text("utf-8")
        elif path.suffix == ".json" and path.name != FACTS:
            (folder / path.name).write_text(_json(path, version.facts.get("text_case")), "utf-8")
        elif path.is_file() and path.name != FACTS:
            shutil.copyfile(path, folder / path.name)
    if full and (version.folder / ABOUT).is_dir():
        shutil.copytree(version.folder / ABOUT, folder / ABOUT)
    (folder / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    has_language_model = (folder / "language_model.arpa").exists()
    card = model_card(facts, has_language_model=has_language_model, notes=notes)
    (folder / CARD).write_text(card, "utf-8")


def public_facts(version: Version) -> dict[str, Any]:
    """Return the facts of a version that name no query, no row, no file and no path."""
    facts = {name: version.facts[name] for name in _PLAIN_FACTS if name in version.facts}
    lineage = version.facts.get("lineage")
    if isinstance(lineage, Mapping):
        shown = {name: lineage[name] for name in _PLAIN_LINEAGE if lineage.get(name) is not None}
        shown["options"] = _public_options(version.base, lineage.get("options") or {})
        facts["lineage"] = shown
    without_paths = _without_paths(facts)
    assert isinstance(without_paths, dict)
    return without_paths


def _public_options(base: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are numbers, or one of an option's own words."""
    family = families.family(base)
    specs = [
        s for verb in (Verb.BUILD, Verb.FIT) if verb in family.verbs for s in family.options(verb)
    ]
    words = {
        spec.name: {*spec.choices, spec.default}
        for spec in specs
        if spec.to_model and spec.name not in _DECIDE_NOTHING
    }
    return {
        name: value
        for name, value in options.items()
        if name in words
        and all(
            not isinstance(item, str) or item in words[name]
            for item in (value if isinstance(value, list | tuple) else [value])
        )
    }


def _without_paths(value: Any) -> Any:
    """Return a JSON value without texts that are absolute paths or name a home."""
    if isinstance(value, dict):
        kept = {name: _without_paths(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not _PATH}
    if isinstance(value, list | tuple):
        return [item for item in map(_without_paths, value) if item is not _PATH]
    return _PATH if isinstance(value, str) and _is_path(value) else value


_PATH: Final = object()
_PATH_WITHIN = re.compile(r"(^|[\s'\"(=:])(~?/[^\s/]+/|[A-Za-z]:[\\/]|\\\\|file:)")


def _is_path(text: str) -> bool:
    absolute = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return len(text) > 1 and (absolute or _PATH_WITHIN.search(text) is not None)


def _json(path: Path, text_case: str | None) -> str:
    """Return a JSON file of transformers' as it should be read elsewhere."""
    text = path.read_text("utf-8")
    value = json.loads(text)
    if not isinstance(value, dict) or not path.name.endswith("config.json"):
        return text
    value = {
        name: item
        for name, item in value.items()
        if name not in _ORIGINS and not (isinstance(item, str) and _is_path(item))
    }
    if path.name == "config.json":
        # Models run in full precision here, whatever their files hold; elsewhere this decides.
        value["dtype"] = "float32"
    if path.name == "tokenizer_config.json" and _writes_lower(path.parent, text_case):
        value["do_lower_case"] = True
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _writes_lower(folder: Path, text_case: str | None) -> bool:
    """Tell whether answers are in lower case though the vocabulary has capitals.

    The flag that says so to transformers is the CTC tokenizers' alone.
    """
    vocabulary = folder / "vocab.json"
    if text_case != "lower" or not vocabulary.exists():
        return False
    letters = [token for token in json.loads(vocabulary.read_text("utf-8")) if len(token) == 1]
    return any(letter != letter.lower() for letter in letters)


def _require_room(folder: Path, workspace: Path, *, overwrite: bool) -> None:
    real = folder.resolve()
    if real.is_relative_to(workspace.resolve()):
        raise OperationalError(
            f"'{folder}' lies in the workspace, whose folders are the registry's: export elsewhere"
        )
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or folder.is_symlink():
        raise OperationalError(f"'{folder}' exists, and is no folder to export into")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise OperationalError(
            f"the folder '{folder}' is not empty; overwrite := true replaces an earlier export"
        )
    if not (folder / FACTS).is_file() or workspace.resolve().is_relative_to(real):
        raise OperationalError(
            f"the folder '{folder}' holds something that no export wrote: it is not overwritten"
        )


def _put(written: Path, folder: Path) -> None:
    """Rename `written` to `folder`, in the place of what is there."""
    if not folder.exists():
        written.rename(folder)
        return
    before = written.with_name(f"{written.name}.before")
    folder.rename(before)
    try:
        written.rename(folder)
    except OSError:
        before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)
