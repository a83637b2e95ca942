"""The registry: versions that never change, one rename to publish, and death at any moment."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
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
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from thanosql_dbapi.journal import Journal, RunState, Step
from thanosql_dbapi.registry import FACTS, Registry, Version, files, read_version
from thanosql_dbapi.registry import registry as registry_module


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


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\xff"])
def test_damaged_facts_are_said(registry: Registry, text: str) -> None:
    version = publish(registry, "m")
    (version.folder / FACTS).write_text(text, "latin-1")
    with pytest.raises(OperationalError, match="damaged"):
        registry.resolve("m")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "x"}', "\xff"])
def test_a_damaged_pointer_is_said_and_written_anew(registry: Registry, text: str) -> None:
    version = publish(registry, "m")
    (version.folder.parents[1] / "current").write_text(text, "latin-1")
    for look in (lambda: registry.resolve("m"), registry.listed):
        with pytest.raises(OperationalError, match="damaged: .* thanosql_rollback writes it anew"):
            look()
    registry.roll_back("m", 1)
    assert registry.resolve("m").number == 1


def test_files_that_are_not_ours_lie_about(registry: Registry, tmp_path: Path) -> None:
    for name in ("m", "gone"):
        publish(registry, name)
    registry.delete("gone")
    for folder in ("models", "models/m", "models/m/versions", "trash", "trash/gone"):
        (tmp_path / "w" / folder / ".DS_Store").write_text("x")
    assert registry.names() == ["m"]
    with pytest.raises(ModelNotFound, match="Did you mean 'm'"):
        registry.resolve("mm")
    with pytest.raises(ModelNotFound, match="no deleted model has the name 'n'"):
        registry.undelete("n")
    assert [one.name for one in registry.collect(keep=1, days=0)] == ["gone"]


def test_a_name_that_is_too_long_is_no_models(registry: Registry) -> None:
    for name in ("x" * 300, "한" * 300):
        with pytest.raises(ModelNotFound, match="there is no model"):
            registry.resolve(name)
        with pytest.raises(ModelNotFound, match="there is no model"):
            registry.delete(name)
        assert not registry.is_known(name)


def test_a_name_means_what_came_into_force_while_the_old_was_collected(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, "m", "old")

    def replaced(folder: Path) -> Version:
        monkeypatch.undo()
        publish(registry, "m", "new")
        assert [one.name for one in registry.collect(keep=1, days=30)] == ["m@1"]
        return read_version(folder)

    monkeypatch.setattr(registry_module, "read_version", replaced)
    assert weights(registry.resolve("m")) == "new"


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
    from pathlib import Path
    from thanosql_dbapi.registry import files
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
        for folder in Path(database + ".thanosql", "staging").iterdir():
            if folder.is_dir():
                (folder / "model.safetensors").write_bytes(bytes(1000))
        die()

    if stage == "training":
        family.on_train = half_written
    elif stage == "facts":
        dies_after(files, "write_json")
    elif stage == "sync":
        dies_before(files, "sync_tree")
    elif stage == "before rename":
        dies_before(os, "rename")
    elif stage == "after rename":
        dies_after(os, "rename")
    elif stage == "before pointer":
        dies_before(files, "replace_json")
    elif stage == "after pointer":
        dies_after(files, "replace_json")
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


# --- in force or not ------------------------------------------------------------------------


def keep(
    registry: Registry, name: str, weights: str = "w", refusal: str | None = "it writes nothing"
) -> Version:
    """Publish a version that is not to be in force."""
    facts = {"base": "Echo", "lineage": {"refusal": refusal}}
    with registry.staging() as staged:
        (staged / "weights").write_text(weights)
        return registry.publish(name, staged, facts, overwrite=True, in_force=False)


def test_a_refused_version_is_kept_and_the_name_stays(registry: Registry) -> None:
    publish(registry, "m", "good")
    refused = keep(registry, "m", "bad")
    assert (str(refused), registry.in_force_number("M")) == ("m@2", 1)
    assert weights(registry.resolve("m")) == "good"
    assert weights(registry.resolve("m@2")) == "bad"
    (listed,) = registry.listed()
    assert (listed.published, listed.version.number) == (True, 1)
    with pytest.raises(ModelExists):
        registry.require_free("m", overwrite=False)


def test_of_a_first_version_that_is_refused_the_name_stays_unresolved(registry: Registry) -> None:
    keep(registry, "My Model")
    with pytest.raises(ModelNotFound) as raised:
        registry.resolve("my model")
    said = str(raised.value)
    assert "'my model' has no version in force" in said
    assert '"My Model@1" was kept, but it writes nothing.' in said
    assert 'PREDICT USING "My Model@1"' in said
    assert "thanosql_rollback('My Model', 1)" in said
    assert "publish='always'" in said
    assert (registry.exists("My Model"), registry.is_kept("my model")) == (False, True)
    assert registry.in_force_number("My Model") is None
    assert registry.resolve("my model@1").number == 1
    (listed,) = registry.listed()
    assert (listed.name, listed.class_name, listed.published) == ("My Model", "Echo", False)
    # The next BUILD needs no overwrite, and may be refused too.
    registry.require_free("My Model", overwrite=False)
    keep(registry, "My Model", refusal=None)
    with pytest.raises(ModelNotFound, match='"My Model@2" was kept. PREDICT'):
        registry.resolve("My Model")
    assert publish(registry, "my model", overwrite=False).number == 3
    assert registry.resolve("MY MODEL").number == 3
    with pytest.raises(ModelExists):
        registry.require_free("My Model", overwrite=False)


def test_a_refused_model_does_not_hide_the_one_that_comes_with_the_package(
    registry: Registry,
) -> None:
    keep(registry, "voice", "bad")
    assert registry.resolve("voice").folder.name == "bundled"
    assert registry.resolve("voice@1").folder.name == "bundled"
    assert weights(registry.resolve("voice@2")) == "bad"


# --- rolling back ---------------------------------------------------------------------------


def test_any_version_can_come_into_force(registry: Registry) -> None:
    for number in (1, 2):
        publish(registry, "M", str(number))
    keep(registry, "M", "3")
    for number in (1, 3, 2, 2):
        assert str(registry.roll_back("m", number)) == f"M@{number}"
        assert weights(registry.resolve("M")) == str(number)
        assert registry.in_force_number("M") == number
    assert [version.number for version in registry.versions("m")] == [1, 2, 3]
    # What comes next has the next number, whichever was in force.
    registry.roll_back("M", 1)
    assert publish(registry, "M").number == 4


def test_a_first_version_that_was_refused_can_come_into_force(registry: Registry) -> None:
    keep(registry, "m", "bad")
    registry.roll_back("m", 1)
    assert weights(registry.resolve("m")) == "bad"
    assert registry.listed()[0].published


def test_rolling_back_to_what_is_not_there(registry: Registry) -> None:
    publish(registry, "model")
    with pytest.raises(ModelNotFound, match="no version 2; it has 1"):
        registry.roll_back("model", 2)
    with pytest.raises(ModelNotFound, match="Did you mean 'model'"):
        registry.roll_back("modle", 1)
    with pytest.raises(NotSupportedError, match="comes with the package"):
        registry.roll_back("Voice", 1)
    with pytest.raises(ModelNotFound):
        registry.versions("modle")
    assert registry.in_force_number("model") == 1
    assert [version.number for version in registry.versions("voice")] == [1]
    assert not registry.exists("voice")


@pytest.mark.parametrize("name", ["", "m@1@1", "x" * 300])
def test_what_names_no_model_is_neither_rolled_back_nor_brought_back(
    registry: Registry, name: str
) -> None:
    publish(registry, "versions")
    for change in (lambda: registry.roll_back(name, 1), lambda: registry.undelete(name)):
        with pytest.raises(ProgrammingError, match="cannot name a model|too long"):
            change()


# --- deleted, and brought back --------------------------------------------------------------


def test_what_was_deleted_comes_back_as_it_was(registry: Registry, tmp_path: Path) -> None:
    publish(registry, "My Model", "one")
    publish(registry, "My Model", "two")
    registry.roll_back("My Model", 1)
    registry.delete("MY MODEL")
    assert registry.listed() == []
    assert list((tmp_path / "w" / "models").iterdir()) == []
    with pytest.raises(ModelNotFound, match=r"It was deleted; thanosql_undelete\('my model'\)"):
        registry.resolve("my model")
    with pytest.raises(ModelNotFound, match="It was deleted"):
        registry.resolve("my model@1")
    assert registry.undelete("my model") == "My Model"
    assert weights(registry.resolve("my model")) == "one"
    assert weights(registry.resolve("my model@2")) == "two"
    with pytest.raises(ModelExists, match="^the model 'My Model' exists$"):
        registry.undelete("My Model")


def test_numbers_are_not_given_twice_after_a_delete(registry: Registry) -> None:
    for text in ("one", "two"):
        publish(registry, "m", text)
    registry.delete("m")
    assert publish(registry, "m", "three").number == 3
    with pytest.raises(ModelExists):
        registry.undelete("m")
    registry.delete("m")
    assert registry.undelete("m") == "m"  # the last deleted one
    assert weights(registry.resolve("m")) == "three"
    registry.delete("m")
    assert len(registry.collect(keep=1, days=0)) == 2
    assert publish(registry, "m").number == 4


def test_what_was_deleted_before_comes_back_by_a_version_that_it_had(registry: Registry) -> None:
    for text in ("one", "two"):
        publish(registry, "It's", text)
    registry.delete("It's")
    publish(registry, "It's", "three")
    with pytest.raises(ModelExists, match=r"MODEL \"It's\", thanosql_undelete\('It''s@2'\) brings"):
        registry.undelete("It's")
    registry.delete("It's")
    for name in ("it's@4", "it's@99"):
        with pytest.raises(ModelNotFound, match=f"no deleted model has the name '{name}'"):
            registry.undelete(name)
    assert registry.undelete("it's@2") == "It's"
    assert [version.number for version in registry.versions("It's")] == [1, 2]
    assert weights(registry.resolve("It's")) == "two"
    assert publish(registry, "It's").number == 4


def test_a_model_without_a_version_in_force_is_deleted_and_comes_back(registry: Registry) -> None:
    keep(registry, "m")
    registry.delete("m")
    assert registry.listed() == []
    registry.undelete("m")
    assert [listed.published for listed in registry.listed()] == [False]


def test_undeleting_what_was_not_deleted(registry: Registry) -> None:
    publish(registry, "model")
    with pytest.raises(ModelNotFound, match=r"no deleted model has the name 'modle'\.$"):
        registry.undelete("modle")
    registry.delete("model")
    with pytest.raises(ModelNotFound, match="Did you mean 'model'"):
        registry.undelete("modle")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_come_back(registry: Registry, tmp_path: Path, name: str) -> None:
    publish(registry, name, "odd")
    registry.delete(name)
    assert registry.undelete(name) == name
    assert weights(registry.resolve(name)) == "odd"
    assert {path.name for path in tmp_path.iterdir()} == {"w"}


# --- what goes for good ---------------------------------------------------------------------


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_old_versions_go_and_what_is_in_force_stays(registry: Registry, tmp_path: Path) -> None:
    for number in range(1, 7):
        publish(registry, "m", "x" * 1000 * number)
    publish(registry, "n")
    registry.roll_back("m", 2)
    collected = registry.collect(keep=2, days=30)
    assert [(one.what, one.name) for one in collected] == [
        ("version", "m@1"), ("version", "m@3"), ("version", "m@4"),
    ]  # fmt: skip
    assert all(one.size_bytes > 1000 for one in collected)
    assert [version.number for version in registry.versions("m")] == [2, 5, 6]
    assert weights(registry.resolve("m")) == "x" * 2000
    assert publish(registry, "m").number == 7
    assert registry.collect(keep=9, days=30) == []
    assert staged(registry) == []


def test_versions_that_are_kept_unpublished_are_collected_alike(registry: Registry) -> None:
    for _ in range(3):
        keep(registry, "m")
    assert [one.name for one in registry.collect(keep=1, days=30)] == ["m@1", "m@2"]
    assert registry.resolve("m@3").number == 3


@pytest.mark.parametrize("days", [1e4, 1e6, 1e300, float("inf")])
def test_days_may_be_many(registry: Registry, days: float) -> None:
    publish(registry, "m")
    registry.delete("m")
    assert registry.collect(keep=1, days=days) == []
    for wrong in (-1, float("nan")):
        with pytest.raises(ProgrammingError, match="days is"):
            registry.collect(keep=1, days=wrong)


def test_the_deleted_go_when_they_are_old(registry: Registry, tmp_path: Path) -> None:
    publish(registry, "Old Model")
    registry.delete("Old Model")
    assert registry.collect(keep=1, days=1) == []
    (gone,) = registry.collect(keep=1, days=0)
    assert (gone.what, gone.name) == ("deleted model", "old model")
    assert gone.size_bytes > 0
    with pytest.raises(ModelNotFound, match="no deleted model"):
        registry.undelete("Old Model")


def test_what_trainings_left_goes_when_they_are_old_and_at_no_time_when_they_live(
    registry: Registry, tmp_path: Path
) -> None:
    training = tmp_path / "w" / "training"
    with Journal(training / "m" / "done", {"model": "m"}):
        pass
    with (
        pytest.raises(ValueError, match="x"),
        Journal(training / "m" / "failed", {"model": "m"}),
    ):
        raise ValueError("x")
    (training / "m" / "strange").mkdir()
    with Journal(training / "m" / "alive", {"model": "m"}):
        assert [one.name for one in registry.collect(keep=1, days=1)] == ["m/done"]
        collected = registry.collect(keep=1, days=0)
        assert [(one.what, one.name) for one in collected] == [
            ("training run", "m/failed"), ("training run", "m/strange"),
        ]  # fmt: skip
        assert contents(training / "m") == ["alive"]
    registry.sweep_runs()
    assert contents(training) == []


def test_a_run_that_can_be_gone_on_with_keeps_what_it_began_from(
    registry: Registry, tmp_path: Path
) -> None:
    for _ in range(3):
        publish(registry, "m")
    folder = tmp_path / "w" / "training" / "n" / "key"
    with Journal(folder, {"model": "n", "parent": "M@1"}) as opened:
        opened.finish(RunState.INTERRUPTED)
    assert [one.name for one in registry.collect(keep=1, days=1)] == ["m@2"]
    assert [one.name for one in registry.collect(keep=1, days=0)] == ["n/key", "m@1"]


def test_a_training_that_begins_while_its_folder_is_taken_away_has_one(
    registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "w" / "training" / "m" / "key"
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            registry.collect(keep=1, days=0)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(1, 30):
            with Journal(folder, {"model": "m"}) as opened:
                opened.step(Step(number, 9, 1.0, 1.0, 0.5, 0.1, 1.0))
                assert opened.points[-1].step == number
                assert (folder / "state.json").is_file()
    finally:
        stop.set()
        collector.join()


@pytest.mark.parametrize(("keep", "days"), [(0, 1), (-1, 1), (1, -1)])
def test_garbage_needs_sense(registry: Registry, keep: int, days: float) -> None:
    with pytest.raises(ProgrammingError, match="keep is|days is"):
        registry.collect(keep=keep, days=days)


# --- ancestors ------------------------------------------------------------------------------


def descend(registry: Registry, name: str, parent: str | None, *, older: bool = False) -> Version:
    facts = {"parent": parent} if older else {"lineage": {"parent": parent}}
    with registry.staging() as staged:
        (staged / "weights").write_text("w")
        return registry.publish(name, staged, {"base": "Echo", **facts}, overwrite=True)


def test_ancestors_are_told_by_new_versions_and_by_old_ones(registry: Registry) -> None:
    descend(registry, "a", "voice@1", older=True)
    descend(registry, "b", "A@1")
    last = descend(registry, "b", "b@1", older=True)
    line = registry.ancestors(last)
    assert [one.name for one in line] == ["b@2", "b@1", "A@1", "voice@1"]
    assert [one.version is not None for one in line] == [True] * 4


def test_an_ancestor_that_is_gone_is_named_and_ends_the_line(registry: Registry) -> None:
    descend(registry, "a", "voice@1")
    last = descend(registry, "b", "a@1")
    registry.delete("a")
    assert [(one.name, one.version) for one in registry.ancestors(last)] == [
        ("b@1", last), ("a@1", None),
    ]  # fmt: skip
    registry.undelete("a")
    assert [one.name for one in registry.ancestors(last)] == ["b@1", "a@1", "voice@1"]


def test_ancestors_that_go_round_end(registry: Registry) -> None:
    descend(registry, "m", "m@2")
    last = descend(registry, "m", "M@1")
    assert [one.name for one in registry.ancestors(last)] == ["m@2", "M@1"]


# --- death in the middle --------------------------------------------------------------------


class Died(BaseException):
    """What stands for a death: nothing catches it."""


def dies_at(monkeypatch: pytest.MonkeyPatch, call: int, work: Callable[[], object]) -> bool:
    """Do some work, which dies before the given rename or replacement; tell whether it did."""
    left = call

    def dying(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if not left:
                raise Died
            left -= 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, step)

    with monkeypatch.context():
        dying(Path, "rename")
        dying(Path, "replace")
        dying(files, "replace_json")
        try:
            work()
        except Died:
            return True
        finally:
            monkeypatch.undo()
    return False


def meaning(registry: Registry) -> tuple[Any, ...]:
    try:
        return ("means", weights(registry.resolve("m")))
    except ModelNotFound:
        return ("nothing",)


WORK: dict[str, Callable[[Registry], object]] = {
    "publish": lambda registry: publish(registry, "m", "new"),
    "keep": lambda registry: keep(registry, "m", "bad"),
    "roll back": lambda registry: registry.roll_back("m", 1),
    "delete": lambda registry: registry.delete("m"),
    "undelete": lambda registry: registry.undelete("m"),
    "collect": lambda registry: registry.collect(keep=1, days=0),
}


@pytest.mark.parametrize("what", WORK)
def test_a_death_between_two_steps_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    died = 0
    for call in range(20):
        folder = tmp_path / str(call)
        registry = Registry(folder, {})
        publish(registry, "m", "old")
        publish(registry, "m", "now")
        if what == "undelete":
            registry.delete("m")
        work = WORK[what]
        after = {
            "publish": ("means", "new"),
            "roll back": ("means", "old"),
            "delete": ("nothing",),
        }.get(what, ("means", "now"))
        before = ("nothing",) if what == "undelete" else ("means", "now")
        if not dies_at(monkeypatch, call, functools.partial(work, Registry(folder, {}))):
            assert meaning(registry) == after
            break
        died += 1
        assert meaning(registry) in (before, after)
        for version in registry.versions("m") if meaning(registry) != ("nothing",) else []:
            assert weights(version) in ("old", "now", "new", "bad")
        # Nothing is in the way of doing it again, and nothing is lost.
        if not (what in ("delete", "undelete") and meaning(registry) == after):
            work(registry)
        assert meaning(registry) == after
        if what == "delete":
            registry.undelete("m")
            assert meaning(registry) == ("means", "now")
    assert died


def test_a_death_in_the_middle_of_removing_for_good_leaves_no_half_of_a_model(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, "m")
    registry.delete("m")

    def half(folder: Path, **_: Any) -> None:
        raise Died

    monkeypatch.setattr("shutil.rmtree", half)
    with pytest.raises(Died):
        registry.collect(keep=1, days=0)
    monkeypatch.undo()
    with pytest.raises(ModelNotFound):
        registry.undelete("m")
    assert publish(registry, "m").number == 2
    assert staged(registry) == []


def test_what_a_killed_first_build_left_does_not_stand_in_the_way(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, "m", "deleted")
    registry.delete("m")
    # Its version is there, and no pointer.
    assert dies_at(monkeypatch, 1, lambda: publish(registry, "m", "killed"))
    assert registry.listed() == []
    assert weights(registry.resolve("m@2")) == "killed"
    assert registry.undelete("m") == "m"
    assert weights(registry.resolve("m")) == "deleted"
    assert publish(registry, "m").number == 3


def test_all_at_once_lose_no_version_and_give_no_number_twice(tmp_path: Path) -> None:
    registry = Registry(tmp_path, {})
    publish(registry, "m", "0")
    numbers: list[int] = []
    wrong: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(15):
                try:
                    work()
                except (ModelNotFound, ModelExists):
                    time.sleep(0.001)
                except BaseException as error:  # noqa: BLE001
                    wrong.append(error)

        return run

    work = [
        lambda: numbers.append(publish(Registry(tmp_path, {}), "m", "x").number),
        lambda: numbers.append(keep(Registry(tmp_path, {}), "m", "x").number),
        lambda: Registry(tmp_path, {}).roll_back("m", random.choice(numbers or [1])),
        lambda: Registry(tmp_path, {}).delete("m"),
        lambda: Registry(tmp_path, {}).undelete("m"),
        lambda: Registry(tmp_path, {}).collect(keep=3, days=1),
    ]
    threads = [threading.Thread(target=guarded(one)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(numbers) == len(set(numbers)) == 30
    if not registry.is_kept("m"):
        registry.undelete("m")
    for version in registry.versions("m"):
        assert weights(version) in ("0", "x")
