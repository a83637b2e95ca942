"""The example family of docs/extending.md, as pip would have installed it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent / "examples" / "extending"


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put its module, and what its pyproject.toml says of entry points, on Python's path."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    about = folder / f"thanosql_timbre-{project['version']}.dist-info"
    about.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(head)
    points = project["entry-points"]["thanosql.models"].items()
    listed = "".join(f"{name} = {place}\n" for name, place in points)
    (about / "entry_points.txt").write_text(f"[thanosql.models]\n{listed}")
    monkeypatch.syspath_prepend(str(PROJECT))
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("thanosql_timbre", None)
