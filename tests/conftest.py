"""Fixtures that all tests share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection
from thanosql_dbapi.models import families

# Speed is measured in benchmarks: a busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

#: SQLAlchemy's suite has a plugin of its own; tests/dialect/test_compliance.py runs it apart.
collect_ignore = ["dialect/suite"]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    """The echo family, under its name for the length of a test."""
    family = Echo()
    monkeypatch.setitem(sys.modules, "echo_family", type(sys)("echo_family"))
    monkeypatch.setattr(sys.modules["echo_family"], "ECHO", family, raising=False)
    monkeypatch.setattr(families, "BUILT_IN", {**families.BUILT_IN, "Echo": "echo_family:ECHO"})
    return family


def publish_echo(connection: Connection, name: str, prefix: str = "") -> None:
    """Make an echo model in the connection's workspace."""
    registry = connection._session.workspace.registry
    with registry.staging() as staged:
        (staged / "echo.json").write_text(json.dumps({"prefix": prefix}))
        registry.publish(name, staged, {"base": "Echo"}, overwrite=True)


@pytest.fixture
def connection(echo: Echo, tmp_path: Path) -> Iterator[Connection]:
    """A database in memory with an echo model `m`, and a table `t` of 20,000 paths."""
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        publish_echo(opened, "m")
        opened.execute(
            "CREATE TABLE t AS SELECT i AS id, 'p' || i AS audio_path, i % 10 AS region,"
            " 'P' || i AS text FROM range(20000) r(i)"
        )
        yield opened


@pytest.fixture(scope="session")
def speech_folder() -> Path:
    """Recorded speech, where `THANOSQL_SPEECH` names a folder with it."""
    folder = os.environ.get("THANOSQL_SPEECH")
    if not folder:
        pytest.skip("SKIPPED, no recorded speech: set THANOSQL_SPEECH to the folder that has it")
    return Path(folder)


@pytest.fixture(autouse=True)
def _no_file_system_of_an_earlier_test() -> Iterator[None]:
    """Forget the file systems that fsspec keeps: they have the addresses of servers that ended."""
    yield
    if "s3fs" in sys.modules:
        sys.modules["s3fs"].S3FileSystem.clear_instance_cache()
