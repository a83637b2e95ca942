"""The registry: versions that never change, one rename to publish, and death at any moment."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from echo import Echo
from filelock import FileLock

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    ModelExists,
    ModelNotFound,
    OperationalError,
    ProgrammingError,
)
from thanosql_dbapi.registry import FACTS, Registry, Version


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    bundled = Version("voice", 1, tmp_path / "bundled", {"base": "Echo"})
    return Registry(tmp_path / "w", {"voice": bundled})


def publish(
    registry: Registry, name: str, weights: str = "w", *, overwrite: bool = True
) -> Version:
    with registry.staging() as staged:
        (staged / "weights").write_text(weights)
        return registry.publish(name, staged, {"base": "Echo", "rows": 3}, overwrite=overwrite)


def weights(version: Version) -> str:
    return (version.folder / "weights").read_text()


def staged(registry: Registry) -> list[str]:
    return [path.name for path in registry._staging.iterdir()]


# --- versions -------------------------------------------------------------------------------


def test_versions_are_numbered_and_stay(registry: Registry) -> None:
    first = publish(registry, "m", "one")
    assert (str(first), first.number, first.base) == ("m@1", 1, "Echo")
    second = publish(registry, "m", "two")
    assert (str(second), registry.resolve("m")) == ("m@2", second)
    assert weights(registry.resolve("m")) == "two"
    assert weights(registry.resolve("m@1")) == "one"
    assert registry.resolve("m@1").facts == first.facts
    assert (registry.resolve("M@2"), registry.resolve("m@02")) == (second, second)


def test_facts_are_json_with_name_version_and_time(registry: Registry) -> None:
    version = publish(registry, "Mixed Case")
    facts = json.loads((version.folder / FACTS).read_text("utf-8"))
    assert facts == version.facts
    assert (facts["name"], facts["version"], facts["rows"]) == ("Mixed Case", 1, 3)
    assert dt.datetime.fromisoformat(facts["created_utc"]).utcoffset() == dt.timedelta(0)
    (listed,) = registry.listed()
    assert (listed.name, listed.class_name) == ("Mixed Case", "Echo")


def test_names_fold_case_and_keep_their_spelling(registry: Registry) -> None:
    publish(registry, "Straße")
    assert registry.exists("STRASSE")
    assert registry.resolve("STRASSE").name == "Straße"
    with pytest.raises(ModelExists, match="exists already"):
        publish(registry, "strasse", overwrite=False)
    assert publish(registry, "strasse").number == 2
    assert registry.names() == ["strasse"]


ODD = [
    "a b", "a.b", "..", ".", "../../escape", "a/b", "a\\b", "/etc/passwd", "C:\\x", "한국어", "🙂",
    "a%2Fb", "%", "nul", "con", "a@b", "@", "@1x", "m@1.5", "a\nb", "'; DROP TABLE t; --", '"',
    "-x", "current", "versions", "x" * 60,
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names_and_stay_in_the_workspace(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    version = publish(registry, name, "odd")
    assert version.folder.resolve().is_relative_to((tmp_path / "w" / "models").resolve())
    assert weights(registry.resolve(name)) == "odd"
    assert registry.resolve(f"{name}@1").number == 1
    assert registry.names() == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"w"}
    assert len(list((tmp_path / "w" / "models").iterdir())) == 1
    registry.delete(name)
    assert not registry.exists(name)
    assert registry.names() == []


def test_odd_names_are_all_different_models(registry: Registry) -> None:
    for name in ODD:
        publish(registry, name, name)
    assert [weights(registry.resolve(name)) for name in ODD] == ODD


@pytest.mark.parametrize("name", ["", " ", "m@1", "m@007", "@@2"])
def test_what_could_not_be_told_from_a_version_is_no_name(registry: Registry, name: str) -> None:
    with pytest.raises(ProgrammingError, match="cannot name a model"):
        publish(registry, name)
    assert registry.names() == []


def test_a_name_too_long_for_a_file_is_refused_clearly(registry: Registry) -> None:
    with pytest.raises(thanosql_dbapi.Error):
        publish(registry, "한" * 100)
    assert registry.names() == []


def test_a_taken_name_needs_overwrite(registry: Registry) -> None:
    publish(registry, "m", "one")
    with pytest.raises(ModelExists, match="overwrite=True"):
        registry.require_free("M", overwrite=False)
    with pytest.raises(ModelExists):
        publish(registry, "m", "two", overwrite=False)
    assert (weights(registry.resolve("m")), staged(registry)) == ("one", [])


def test_bundled_models_stand_behind_the_workspaces_own(registry: Registry) -> None:
    assert registry.resolve("VOICE").folder.name == "bundled"
    assert (registry.is_bundled("Voice"), registry.exists("voice")) == (True, False)
    publish(registry, "voice", "mine")
    assert weights(registry.resolve("voice")) == "mine"
    registry.delete("voice")
    assert registry.resolve("voice").folder.name == "bundled"
    with pytest.raises(ModelNotFound):
        registry.delete("voice")


def test_the_bundled_models_first_version_has_its_number(registry: Registry) -> None:
    assert registry.resolve("voice@1").folder.name == "bundled"


def test_unknown_names_and_versions(registry: Registry) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean 'voice'"):
        registry.resolve("voise")
    publish(registry, "model")
    with pytest.raises(ModelNotFound, match="Did you mean 'model'"):
        registry.resolve("modle")
    with pytest.raises(ModelNotFound, match="no version 2; it has 1"):
        registry.resolve("model@2")
    with pytest.raises(ModelNotFound, match="no model"):
        registry.resolve("other@1")
    with pytest.raises(ModelNotFound):
        registry.delete("modle")


def test_damaged_facts_are_said(registry: Registry) -> None:
    version = publish(registry, "m")
    (version.folder / FACTS).write_text("{")
    with pytest.raises(OperationalError, match="damaged"):
        registry.resolve("m")


def test_a_deleted_model_starts_anew(registry: Registry) -> None:
    publish(registry, "m", "one")
    publish(registry, "m", "two")
    registry.delete("M")
    with pytest.raises(ModelNotFound):
        registry.resolve("m@1")
    assert (registry.names(), staged(registry)) == ([], [])
    assert publish(registry, "m", "three").number >= 1
    assert weights(registry.resolve("m")) == "three"


# --- races ----------------------------------------------------------------------------------


def test_threads_that_publish_one_name_get_a_version_each(tmp_path: Path) -> None:
    def write(k: int) -> int:
        return publish(Registry(tmp_path, {}), "m", str(k)).number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(24))) == list(range(1, 25))
    registry = Registry(tmp_path, {})
    assert registry.resolve("m").number == 24
    assert sorted(weights(registry.resolve(f"m@{k}")) for k in range(1, 25)) == sorted(
        map(str, range(24))
    )
    assert staged(registry) == []


def test_of_threads_without_overwrite_one_wins(tmp_path: Path) -> None:
    def write(k: int) -> int:
        try:
            return publish(Registry(tmp_path, {}), "m", str(k), overwrite=False).number
        except ModelExists:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(16))) == [0] * 15 + [1]


def test_readers_see_a_whole_version_while_others_publish_and_delete(tmp_path: Path) -> None:
    registry = Registry(tmp_path, {})
    publish(registry, "m", "0")
    stop = threading.Event()
    wrong: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                assert weights(registry.resolve("m")).isdigit()
                registry.listed()
            except (ModelNotFound, FileNotFoundError):
                pass  # deleted just now
            except Exception as error:  # noqa: BLE001
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for k in range(30):
        publish(registry, "m", str(k))
        if k % 7 == 6:
            registry.delete("m")
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []


def test_publishing_while_another_deletes_loses_no_model(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def write() -> None:
        for k in range(40):
            try:
                publish(Registry(tmp_path, {}), "m", str(k))
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    def delete() -> None:
        for _ in range(200):
            try:
                Registry(tmp_path, {}).delete("m")
            except ModelNotFound:
                time.sleep(0.001)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=delete)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert publish(Registry(tmp_path, {}), "m", "last").number >= 1
    assert weights(Registry(tmp_path, {}).resolve("m")) == "last"


# --- what the dead leave --------------------------------------------------------------------


def test_the_dead_are_swept_and_the_living_are_not(registry: Registry, tmp_path: Path) -> None:
    publish(registry, "m")
    (registry._staging / "dead").mkdir()
    (registry._staging / "dead" / "weights").write_text("half")
    (registry._staging / "new.lock").touch()
    (registry._staging / "old.lock").touch()
    os.utime(registry._staging / "old.lock", (0, 0))
    with registry.staging() as living:
        (living / "weights").write_text("half")
        with Registry(tmp_path / "w", {}).staging() as other:
            assert living.is_dir()
            assert other.is_dir()
            assert not (registry._staging / "dead").exists()
        assert (living / "weights").read_text() == "half"
    # It may be another's, in the instant before it is held.
    assert staged(registry) == ["new.lock"]


def test_the_living_of_another_process_are_not_swept(registry: Registry, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from thanosql_dbapi.registry import Registry
        with Registry(Path(sys.argv[1]), {}).staging() as staged:
            print(staged, flush=True)
            sys.stdin.read()
        """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "w")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    folder = Path(writer.stdout.readline().strip())
    publish(registry, "m")
    assert folder.is_dir()
    writer.kill()
    writer.communicate()
    assert folder.is_dir()
    publish(registry, "m")
    assert staged(registry) == []


# --- kill -9 --------------------------------------------------------------------------------

BUILDER = """
    import os, signal, sys, time
    sys.path.insert(0, {tests!r})
    from echo import Echo
    import thanosql_dbapi
    from thanosql_dbapi import registry
    from thanosql_dbapi.models import families

    stage, database = sys.argv[1:]
    family = Echo()
    sys.modules["echo_family"] = type(sys)("echo_family")
    sys.modules["echo_family"].ECHO = family
    families.BUILT_IN = {{**families.BUILT_IN, "Echo": "echo_family:ECHO"}}

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def dies_before(owner, name):
        setattr(owner, name, die)

    def dies_after(owner, name):
        real = getattr(owner, name)
        def call(*arguments, **options):
            real(*arguments, **options)
            die()
        setattr(owner, name, call)

    def half_written(training):
        for folder in registry.Path(database + ".thanosql", "staging").iterdir():
            if folder.is_dir():
                (folder / "model.safetensors").write_bytes(bytes(1000))
        die()

    if stage == "training":
        family.on_train = half_written
    elif stage == "facts":
        dies_after(registry, "_write_json")
    elif stage == "sync":
        dies_before(registry, "_sync_tree")
    elif stage == "before rename":
        dies_before(os, "rename")
    elif stage == "after rename":
        dies_after(os, "rename")
    elif stage == "before pointer":
        dies_before(os, "replace")
    elif stage == "after pointer":
        dies_after(os, "replace")
    elif stage == "random":
        family.on_train = lambda training: time.sleep(0.05)
    connection = thanosql_dbapi.connect(database)
    print("open", flush=True)
    while True:
        connection.execute(
            "BUILD MODEL m USING Echo OPTIONS (overwrite=True) AS"
            " SELECT 'a' AS audio_path, 'new' AS text"
        )
        if stage != "random":
            break
    print("built", flush=True)
    """


def build_and_die(database: Path, stage: str, after: float | None = None) -> None:
    code = textwrap.dedent(BUILDER).format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", code, stage, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    if after is not None:
        time.sleep(after)
        process.kill()
    printed, _ = process.communicate(timeout=60)
    assert (printed, process.returncode) == ("", -signal.SIGKILL)


def answer(connection: Connection, model: str = "m") -> Any:
    sql = f"PREDICT USING \"{model}\" AS SELECT 'a' AS audio_path"
    return connection.execute(sql).fetchall()[0][-1]


def build(connection: Connection, text: str) -> None:
    connection.execute(
        "BUILD MODEL m USING Echo OPTIONS (overwrite=True) AS"
        f" SELECT 'a' AS audio_path, '{text}' AS text"
    )


@pytest.fixture
def database(echo: Echo, tmp_path: Path) -> Path:
    """A database whose model `m` answers old:A."""
    with thanosql_dbapi.connect(tmp_path / "calls.db") as opened:
        build(opened, "old")
        assert answer(opened) == "old:A"
    return tmp_path / "calls.db"


def assert_sound(database: Path, *allowed: str) -> None:
    workspace = database.with_name("calls.db.thanosql")
    with thanosql_dbapi.connect(database) as opened:
        assert answer(opened) in allowed
        assert answer(opened, "m@1") == "old:A"
        assert opened.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("m",)]
        build(opened, "next")
        assert answer(opened) == "next:A"
        # An empty lock file may stay for a minute.
        assert [p for p in (workspace / "staging").iterdir() if p.suffix != ".lock"] == []
        # Whatever has a number is whole.
        for folder in (workspace / "models" / "m" / "versions").iterdir():
            assert answer(opened, f"m@{folder.name}") in ("old:A", "new:A", "next:A")
        opened.execute("DELETE MODEL m")
        assert list((workspace / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("stage", "in_force"),
    [
        ("training", "old:A"),
        ("facts", "old:A"),
        ("sync", "old:A"),
        ("before rename", "old:A"),
        ("after rename", "old:A"),
        ("before pointer", "old:A"),
        ("after pointer", "new:A"),
    ],
)
def test_a_build_that_is_killed_leaves_the_version_in_force(
    database: Path, stage: str, in_force: str
) -> None:
    build_and_die(database, stage)
    assert_sound(database, in_force)


def test_a_build_that_is_killed_at_any_time(database: Path) -> None:
    for _ in range(4):
        build_and_die(database, "random", after=random.uniform(0, 0.4))
    assert_sound(database, "old:A", "new:A")


def test_a_first_build_that_is_killed_leaves_no_model(echo: Echo, tmp_path: Path) -> None:
    database = tmp_path / "calls.db"
    for stage in ("training", "before rename", "after rename", "before pointer"):
        build_and_die(database, stage)
        with thanosql_dbapi.connect(database) as opened:
            assert opened.execute("LIST MODEL").fetchall() == []
            with pytest.raises(ModelNotFound):
                answer(opened)
    with thanosql_dbapi.connect(database) as opened:
        # The name is free: nothing of it was ever in force.
        opened.execute("BUILD MODEL m USING Echo AS SELECT 'a' AS audio_path, 'new' AS text")
        assert answer(opened) == "new:A"


def test_a_lock_is_no_lock_when_its_holder_is_dead(registry: Registry, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from filelock import FileLock;"
        " FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    publish(registry, "m")
    lock = tmp_path / "w" / "locks" / "m.lock"
    subprocess.run([sys.executable, "-c", code, str(lock)], timeout=60)
    with FileLock(lock, timeout=5):
        pass
    assert publish(registry, "m").number == 2
    assert staged(registry) == []
