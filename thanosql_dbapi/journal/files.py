"""The files of a run: JSON that is replaced as a whole, so that a reader never sees half of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN, STATE, STEPS, LOCK = "run.json", "state.json", "steps.jsonl", "lock"


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file says; nothing where it is missing or damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def replace_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values; what JSON does not know becomes text."""
    replace(path, json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n")


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def now() -> str:
    """Return the time, in UTC, as it is written."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
