"""Versions, lineage and trainings in SQL: what is listed, and what changes names' meaning."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    Error,
    ModelExists,
    ModelNotFound,
    NotSupportedError,
    ProgrammingError,
)
from thanosql_dbapi.cache import PredictionCache, version_digest
from thanosql_dbapi.exceptions import ModelRefused
from thanosql_dbapi.functions import trainings, versions
from thanosql_dbapi.functions.base import Function
from thanosql_dbapi.journal import Journal, RunState, Step
from thanosql_dbapi.registry import Registry, Version

BUILD = "BUILD MODEL m USING Echo OPTIONS (overwrite=True) AS SELECT 'a' AS audio_path, 'x' AS text"


def publish(
    connection: Connection,
    name: str,
    prefix: str = "",
    facts: Mapping[str, Any] | None = None,
    *,
    in_force: bool = True,
) -> Version:
    registry = connection._session.workspace.registry
    with registry.staging() as staged:
        (staged / "echo.json").write_text(json.dumps({"prefix": prefix}))
        complete = {"base": "Echo", **(facts or {})}
        return registry.publish(name, staged, complete, overwrite=True, in_force=in_force)


@pytest.fixture
def opened(echo: Echo, tmp_path: Path) -> Iterator[Connection]:
    """A database file with the versions one and two of `m`, and two in force."""
    with thanosql_dbapi.connect(tmp_path / "calls.db") as connection:
        publish(connection, "m", "one:")
        publish(connection, "m", "two:")
        yield connection


def rows(connection: Connection, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()


def dicts(connection: Connection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def says(connection: Connection, model: str = "m") -> str:
    return str(rows(connection, f"SELECT thanosql_predict('{model}', 'a')")[0][0])


def facts(**lineage: Any) -> dict[str, Any]:
    return {"lineage": lineage}


# --- lists ----------------------------------------------------------------------------------

LINEAGE = {
    "parent": "voice_tiny@1",
    "options": {"max_epochs": 3},
    "seed": 7,
    "query": "SELECT * FROM calls",
    "data_digest": "d" * 64,
    "rows": 50,
    "held_out_rows": 5,
    "audio_seconds": 120,
    "metrics": {"wer": 0.25, "base_wer": 0.5},
    "libraries": {"torch": "2"},
    "device": "cpu",
    "seconds": 9.5,
    "weights_digest": "w" * 64,
    "decoder": "beam",
    "refusal": None,
}


def test_models_are_told(opened: Connection) -> None:
    publish(opened, "My Model", facts={"lineage": LINEAGE})
    publish(opened, "refused", facts=facts(refusal="only blanks"), in_force=False)
    told = {row["name"]: row for row in dicts(opened, "SELECT * FROM thanosql_models()")}
    assert list(told) == ["m", "My Model", "refused"]
    mine = told["My Model"]
    assert mine.pop("size_bytes") > 0
    assert isinstance(mine.pop("created_utc"), dt.datetime)
    assert mine == {
        "name": "My Model", "version": 1, "versions": 1, "published": True, "base": "Echo",
        "rows": 50, "audio_seconds": 120.0, "wer": 0.25, "decoder": "beam",
    }  # fmt: skip
    assert (told["m"]["version"], told["m"]["versions"], told["m"]["wer"]) == (2, 2, None)
    assert (told["refused"]["version"], told["refused"]["published"]) == (None, False)
    assert rows(opened, "SELECT name FROM thanosql_models('MY MODEL')") == [("My Model",)]
    assert rows(opened, "SELECT name FROM thanosql_models(model := 'no')") == []


def test_a_model_that_goes_while_models_are_told_is_left_out(
    opened: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(opened, "a")
    registry = opened._session.workspace.registry
    listed = registry.listed()
    monkeypatch.setattr(registry, "listed", lambda: listed)
    registry.delete("a")
    assert rows(opened, "SELECT name FROM thanosql_models()") == [("m",)]
    monkeypatch.setattr(registry, "versions", lambda name: [each.version for each in listed])
    assert rows(opened, "SELECT versions, size_bytes > 0 FROM thanosql_models('m')") == [(2, True)]


def test_versions_are_told_newest_first(opened: Connection) -> None:
    publish(opened, "m", facts={"lineage": {**LINEAGE, "refusal": "worse"}}, in_force=False)
    third, second, _ = dicts(opened, "SELECT * FROM thanosql_versions('M')")
    assert third.pop("size_bytes") > second.pop("size_bytes") > 0
    assert third.pop("created_utc") > second.pop("created_utc")
    assert third == {
        "version": 3, "in_force": False, "parent": "voice_tiny@1", "base": "Echo", "rows": 50,
        "audio_seconds": 120.0, "wer": 0.25, "base_wer": 0.5, "refusal": "worse", "seconds": 9.5,
        "device": "cpu",
    }  # fmt: skip
    assert {name for name, value in second.items() if value is not None} == {
        "version", "in_force", "base",
    }  # fmt: skip
    assert second["in_force"] is True


def test_versions_of_what_comes_with_the_package(opened: Connection) -> None:
    sql = "SELECT version, in_force, base FROM thanosql_versions('voice_tiny')"
    assert rows(opened, sql) == [(1, True, "Wav2Vec2Tiny")]
    publish(opened, "voice_tiny", in_force=False)
    assert rows(opened, sql) == [(2, False, "Echo")]
    opened.execute("SELECT thanosql_rollback('voice_tiny', 2)")
    # What was written of the package's stays true.
    publish(opened, "m", facts=facts(parent="voice_tiny@1"))
    lineage = "SELECT version, base FROM thanosql_lineage('m')"
    assert rows(opened, lineage) == [("m@3", "Echo"), ("voice_tiny@1", "Wav2Vec2Tiny")]
    assert rows(opened, "SELECT version, base FROM thanosql_lineage('voice_tiny')") == [
        ("voice_tiny@2", "Echo")
    ]


def test_the_lineage_is_told_back_to_the_first(opened: Connection) -> None:
    publish(opened, "a", facts={"lineage": LINEAGE})
    # Before versions had a lineage, parent and options were facts like others.
    older = {"options": {"seed": 1}, "audio_seconds": 3.5, "data_digest": "d", "rows": 2}
    made = {"device": "cpu", "seconds": 1.5, "libraries": {"torch": "1"}}
    publish(opened, "m", facts={"parent": "a@1", **older, **made})
    child, parent, first = dicts(opened, "SELECT * FROM thanosql_lineage('m')")
    assert [row["depth"] for row in (child, parent, first)] == [0, 1, 2]
    assert [row["version"] for row in (child, parent, first)] == ["m@3", "a@1", "voice_tiny@1"]
    assert (child["parent"], child["options"], child["audio_seconds"], child["seed"]) == (
        "a@1", '{"seed": 1}', 3.5, None,
    )  # fmt: skip
    assert {name: child[name] for name in ("data_digest", "rows", "device", "seconds")} == {
        "data_digest": "d", "rows": 2, "device": "cpu", "seconds": 1.5,
    }  # fmt: skip
    assert child["libraries"] == '{"torch": "1"}'
    told = {name: parent[name] for name in LINEAGE}
    assert told == {
        **LINEAGE,
        "options": '{"max_epochs": 3}',
        "metrics": '{"wer": 0.25, "base_wer": 0.5}',
        "libraries": '{"torch": "2"}',
    }
    assert (first["base"], first["parent"]) == ("Wav2Vec2Tiny", None)
    assert rows(opened, "SELECT version FROM thanosql_lineage('m@1')") == [("m@1",)]


def test_an_ancestor_that_is_gone_is_named(opened: Connection) -> None:
    publish(opened, "a")
    publish(opened, "m", facts=facts(parent="a@1"))
    opened.execute("DELETE MODEL a")
    child, gone = dicts(opened, "SELECT * FROM thanosql_lineage('m')")
    assert child["parent"] == gone["version"] == "a@1"
    assert {name for name, value in gone.items() if value is not None} == {"depth", "version"}


def test_findings_are_told(opened: Connection) -> None:
    found = [
        {"kind": "silent audio", "severity": "warning", "row": 2, "name": "b.wav",
         "detail": "nothing is louder than 0.001", "held_out": False},
        {"kind": "durations", "severity": "note", "row": None, "name": None, "detail": "1 to 2 s",
         "held_out": True},
    ]  # fmt: skip
    version = publish(opened, "m")
    about = version.folder / "about"
    about.mkdir()
    (about / "findings.json").write_text(json.dumps(found))
    assert dicts(opened, "SELECT * FROM thanosql_findings('m')") == found
    assert dicts(opened, "SELECT * FROM thanosql_findings('m@1')") == []
    described = rows(opened, "DESCRIBE SELECT * FROM thanosql_findings('m')")
    assert [name for name, *_ in described] == list(versions.FINDINGS)
    (about / "findings.json").write_text("[")
    with pytest.raises(Error, match="damaged"):
        rows(opened, "SELECT * FROM thanosql_findings('m')")


LISTS = ("thanosql_versions", "thanosql_lineage", "thanosql_findings", "thanosql_training")


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_a_model_that_is_not_there(opened: Connection, name: str) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean 'm'"):
        rows(opened, f"SELECT * FROM {name}('mm')")
    if name != "thanosql_training":
        assert rows(opened, f"SELECT * FROM {name}(NULL)") == []


def test_a_list_is_a_relation(opened: Connection) -> None:
    sql = "SELECT max(version) FROM thanosql_versions('m') WHERE NOT in_force"
    assert rows(opened, sql) == [(1,)]
    sql = "SELECT v.name FROM (LIST MODEL) v JOIN thanosql_models() USING (name)"
    assert rows(opened, sql) == [("m",)]


def test_list_model_shows_what_is_not_published(opened: Connection) -> None:
    publish(opened, "refused", in_force=False)
    cursor = opened.execute("LIST MODEL")
    assert [column[0] for column in cursor.description or ()] == [
        "name", "class_name", "last_updated_utc", "published",
    ]  # fmt: skip
    assert [(name, shown) for name, _, _, shown in cursor.fetchall()] == [
        ("m", True), ("refused", False),
    ]  # fmt: skip
    assert len(opened.execute("LIST THANOSQL MODEL").description or ()) == 3


# --- what changes something -----------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The rollbacks that were made."""
    made: list[tuple[Any, ...]] = []
    real = Registry.roll_back

    def roll_back(self: Registry, name: str, number: int) -> Version:
        made.append((name, number))
        return real(self, name, number)

    monkeypatch.setattr(Registry, "roll_back", roll_back)
    return made


def test_a_rollback_holds_for_the_statements_that_follow(opened: Connection) -> None:
    opened.execute("CREATE VIEW v AS PREDICT USING m AS SELECT 'z' AS audio_path")
    assert (says(opened), rows(opened, "FROM v")) == ("two:A", [("z", "two:Z")])
    assert rows(opened, "SELECT thanosql_rollback('m', 1)") == [("m@1",)]
    assert (says(opened), rows(opened, "FROM v")) == ("one:A", [("z", "one:Z")])
    assert rows(opened, "SELECT thanosql_rollback('M', ?)", [2]) == [("m@2",)]
    assert (says(opened), rows(opened, "FROM v")) == ("two:A", [("z", "two:Z")])
    with thanosql_dbapi.connect(Path(opened.workspace).with_name("calls.db")) as other:
        other.execute("SELECT thanosql_rollback('m', 1)")
        assert (says(other), says(opened)) == ("one:A", "one:A")


def test_a_rollback_holds_within_one_script(opened: Connection) -> None:
    predict = "SELECT thanosql_predict('m', 'a')"
    script = f"{predict}; SELECT thanosql_rollback('M', 1); {predict}"
    assert rows(opened, script) == [("one:A",)]


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize(
    ("sql", "times"),
    [
        ("SELECT {}", 1),
        ("SELECT {}, {}", 2),
        ("SELECT {} UNION ALL SELECT {}", 2),
        ("SELECT {} FROM range(1000)", 1),
        ("SELECT r || r FROM (SELECT {} AS r) WHERE r = 'm@1'", 1),
        ("WITH a AS (SELECT {} AS r) FROM a, a b", 1),
        ("SELECT (SELECT {})", 1),
        ("VALUES ({})", 1),
        ("CREATE OR REPLACE TABLE made AS SELECT {}", 1),
        ("INSERT INTO t VALUES ({})", 1),
        ("EXPLAIN ANALYZE SELECT {}", 1),
        ("EXPLAIN SELECT {}", 0),
        ("EXPLAIN VALUES ({})", 0),
        ("DESCRIBE SELECT {}", 0),
        ("PREPARE s AS SELECT {}", 0),
        ("PREPARE s AS VALUES ({})", 0),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT {} AS r", 0),
        ("SELECT thanosql_rollback('m', NULL)", 0),
        ("SELECT thanosql_rollback(NULL, 1)", 0),
    ],
)
def test_a_rollback_is_made_as_often_as_it_is_written_and_run(
    opened: Connection, calls: list[tuple[Any, ...]], sql: str, times: int, in_transaction: bool
) -> None:
    opened.execute("CREATE TABLE t (r VARCHAR)")
    if in_transaction:
        opened.begin()
    cursor = opened.execute(sql.replace("{}", "thanosql_rollback('m', 1)"))
    if cursor.description is not None:
        cursor.fetchall()
    assert calls == [("m", 1)] * times


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_prepared_rollback_is_made_each_time(
    opened: Connection, calls: list[tuple[Any, ...]], in_transaction: bool
) -> None:
    if in_transaction:
        opened.begin()
    opened.execute("PREPARE s AS SELECT thanosql_rollback('m', 1)")
    assert rows(opened, "EXECUTE s") == rows(opened, "EXECUTE s") == [("m@1",)]
    assert len(calls) == 2


def test_a_rollback_by_rows(opened: Connection, calls: list[tuple[Any, ...]]) -> None:
    opened.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1), (2), (NULL), (1)) v(n)")
    asked = rows(opened, "SELECT thanosql_rollback('m', n) FROM t")
    assert asked == [("m@1",), ("m@2",), (None,), ("m@1",)]
    assert calls == [("m", 1), ("m", 2)]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        ("thanosql_rollback('m', 3)", ModelNotFound, "no version 3; it has 1, 2"),
        ("thanosql_rollback('mm', 1)", ModelNotFound, "Did you mean 'm'"),
        ("thanosql_rollback('voice_tiny', 1)", NotSupportedError, "comes with the package"),
        ("thanosql_undelete('m')", ModelExists, "the model 'm' exists"),
        ("thanosql_undelete('n')", ModelNotFound, "no deleted model"),
    ],
)
def test_what_cannot_be_done_is_said(
    opened: Connection, call: str, error: type[Error], text: str
) -> None:
    with pytest.raises(error, match=text):
        rows(opened, f"SELECT {call}")
    assert says(opened) == "two:A"


def test_a_deleted_model_comes_back(opened: Connection) -> None:
    opened.execute("SELECT thanosql_rollback('m', 1)")
    opened.execute("DELETE MODEL m")
    with pytest.raises(ModelNotFound, match=r"It was deleted; thanosql_undelete\('m'\)"):
        says(opened)
    assert rows(opened, "SELECT thanosql_undelete('M')") == [("m",)]
    assert says(opened) == "one:A"


def test_a_model_that_is_not_published_can_be_deleted(opened: Connection) -> None:
    publish(opened, "voice_tiny", in_force=False)
    opened.execute("DELETE MODEL voice_tiny")
    assert rows(opened, "SELECT name FROM (LIST MODEL)") == [("m",)]
    with pytest.raises(NotSupportedError, match="comes with the package"):
        opened.execute("DELETE MODEL voice_tiny")


def test_garbage_is_collected_in_sql(opened: Connection) -> None:
    assert rows(opened, "SELECT * FROM thanosql_collect_garbage()") == []
    publish(opened, "gone")
    opened.execute("DELETE MODEL gone")
    opened.execute("EXPLAIN SELECT * FROM thanosql_collect_garbage(keep := 1, days := 0)")
    sql = (
        "SELECT what, name FROM thanosql_collect_garbage(keep := 1, days := 0) WHERE size_bytes > 0"
    )
    assert rows(opened, sql) == [("deleted model", "gone"), ("version", "m@1")]
    assert rows(opened, sql) == []
    with pytest.raises(ModelNotFound, match="no version 1; it has 2"):
        says(opened, "m@1")
    with pytest.raises(ProgrammingError, match="keep is 0"):
        rows(opened, "SELECT * FROM thanosql_collect_garbage(keep := 0)")


def test_all_that_lists_or_changes_is_volatile() -> None:
    functions: list[Function] = [*versions.FUNCTIONS, *trainings.FUNCTIONS]
    assert all(function.volatile for function in functions)


# --- a build that is refused ----------------------------------------------------------------


def test_a_first_build_that_is_refused(echo: Echo, tmp_path: Path) -> None:
    echo.refusal = "the model writes nothing at all"
    build = BUILD.replace("OPTIONS (overwrite=True) ", "")
    with thanosql_dbapi.connect(tmp_path / "calls.db") as connection:
        for number in (1, 2):
            with pytest.raises(ModelRefused) as raised:
                connection.execute(build)
            assert raised.value.version == f"m@{number}"
        with pytest.raises(ModelNotFound, match='no version in force: "m@2" was kept'):
            says(connection)
        assert says(connection, "m@1") == "x:A"
        assert rows(connection, "SELECT name, published FROM (LIST MODEL)") == [("m", False)]
        told = rows(connection, "SELECT version, refusal FROM thanosql_versions('m')")
        assert told == [(2, echo.refusal), (1, echo.refusal)]
        states = rows(connection, "SELECT DISTINCT version, state FROM thanosql_training('m')")
        assert sorted(states) == [(1, "refused"), (2, "refused")]
        connection.execute("SELECT thanosql_rollback('m', 2)")
        assert says(connection) == "x:A"


# --- trainings ------------------------------------------------------------------------------


def step(number: int, loss: float = 0.5) -> Step:
    return Step(number, 10, number / 5, 2.0, loss, 1e-3, number * 3.0)


def test_trainings_are_told_step_by_step(opened: Connection) -> None:
    folder = opened._session.workspace.training_folder("New Model")
    with Journal(folder / "key", {"model": "New Model"}) as journal:
        (row,) = dicts(opened, "SELECT * FROM thanosql_training('new model')")
        assert isinstance(row.pop("run"), dt.datetime)
        assert isinstance(row.pop("heartbeat_utc"), dt.datetime)
        given = {name: value for name, value in row.items() if value is not None}
        assert given == {"model": "New Model", "state": "training"}
        journal.step(step(1, float("nan")))
        journal.step(step(2))
        journal.measured(2, 0.25)
        told = dicts(opened, "SELECT * FROM thanosql_training(model := 'NEW MODEL')")
        assert [(row["step"], row["steps"], row["epoch"]) for row in told] == [
            (1, 10, 0.2), (2, 10, 0.4),
        ]  # fmt: skip
        assert (told[0]["loss"] != told[0]["loss"], told[0]["wer"]) == (True, None)
        assert (told[1]["loss"], told[1]["wer"], told[1]["audio_seconds"]) == (0.5, 0.25, 6.0)
        assert told[1]["learning_rate"] == 1e-3
        assert told[1]["seconds"] >= 0
        assert rows(opened, "SELECT DISTINCT state FROM thanosql_training()") == [("training",)]
        journal.finish(RunState.INTERRUPTED, "how to go on")
    ended = rows(opened, "SELECT DISTINCT state, message FROM thanosql_training('New Model')")
    assert ended == [("interrupted", "how to go on")]


def test_a_poll_sees_news_even_when_prepared_or_in_a_transaction(opened: Connection) -> None:
    count = "SELECT count(step) FROM thanosql_training('m')"
    folder = opened._session.workspace.training_folder("m")
    opened.execute(f"PREPARE poll AS {count}")
    with Journal(folder / "key", {"model": "m"}) as journal:
        for number in range(1, 4):
            journal.step(step(number))
            assert rows(opened, count) == [(number,)]
            assert rows(opened, "EXECUTE poll") == [(number,)]
        opened.begin()
        opened.execute(f"PREPARE again AS {count}")
        for number in range(4, 7):
            journal.step(step(number))
            assert rows(opened, count) == rows(opened, "EXECUTE again") == [(number,)]


def test_a_training_is_seen_from_another_cursor_and_from_another_process(
    echo: Echo, tmp_path: Path
) -> None:
    trained, seen = threading.Event(), threading.Event()

    def on_train(training: Any) -> None:
        training.journal.step(step(1))
        training.journal.measured(1, 0.75)
        trained.set()
        assert seen.wait(60)

    echo.on_train = on_train
    sql = "SELECT state, step, wer, version FROM thanosql_training('m')"
    with thanosql_dbapi.connect(tmp_path / "calls.db") as connection:
        build = threading.Thread(target=connection.execute, args=(BUILD,))
        build.start()
        try:
            assert trained.wait(60)
            assert connection.cursor().execute(sql).fetchall() == [("training", 1, 0.75, None)]
            code = (
                "import sys, thanosql_dbapi\n"
                "c = thanosql_dbapi.connect(workspace=sys.argv[1])\n"
                f'print(c.execute("{sql}").fetchall())'
            )
            other = subprocess.run(
                [sys.executable, "-c", code, str(connection.workspace)],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert other.stdout == "[('training', 1, 0.75, None)]\n"
        finally:
            seen.set()
            build.join()
        assert rows(connection, sql) == [("finished", 1, 0.75, 1)]
        # What a version keeps stays with it.
        echo.on_train = lambda training: training.journal.step(step(7))
        connection.execute(BUILD)
        assert rows(connection, sql) == [("finished", 1, 0.75, 1), ("finished", 7, None, 2)]
        one = "SELECT step FROM thanosql_training('m@1')"
        assert rows(connection, one) == [(1,)]
        assert rows(connection, "SELECT count(*) FROM thanosql_training()") == [(2,)]
        assert list((Path(connection.workspace) / "training").glob("*/*")) == []


def test_a_killed_training_is_dead(opened: Connection, tmp_path: Path) -> None:
    folder = opened._session.workspace.training_folder("m") / "key"
    code = (
        "import os, signal, sys; from pathlib import Path; from thanosql_dbapi.journal import *\n"
        "j = Journal(Path(sys.argv[1]), {'model': 'm'}).__enter__()\n"
        "j.step(Step(1, 2, 0.5, 1.0, 0.5, 0.1, 1.0)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], timeout=60)
    sql = "SELECT state, step FROM thanosql_training('m')"
    assert rows(opened, sql) == [("dead", 1)]
    with Journal(folder, {"model": "m"}):
        assert rows(opened, sql) == [("training", 1)]


def test_a_workspace_in_memory_has_trainings_too(echo: Echo) -> None:
    with thanosql_dbapi.connect() as connection:
        echo.on_train = lambda training: training.journal.step(step(1))
        connection.execute(BUILD)
        assert rows(connection, "SELECT state, step FROM thanosql_training('m')") == [
            ("finished", 1)
        ]


# --- the digest -----------------------------------------------------------------------------


def test_how_a_version_was_made_is_not_in_its_digest(opened: Connection, tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path / "cache", 1 << 20)
    first = version_digest(cache, publish(opened, "a", "same", facts(rows=1)))
    other = publish(opened, "b", "same", facts(rows=2, refusal="x"))
    (other.folder / "about").mkdir()
    (other.folder / "about" / "steps.jsonl").write_text("{}")
    assert version_digest(cache, other) == first
    assert version_digest(cache, publish(opened, "c", "other", facts(rows=1))) != first
    decides = publish(opened, "d", "same", {**facts(rows=1), "text_case": "upper"})
    assert version_digest(cache, decides) != first
    (other.folder / "language_model.arpa").write_text("")
    assert version_digest(cache, other) != first
