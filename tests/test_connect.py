"""Opening and closing: databases, workspaces, threads, processes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, InterfaceError, OperationalError, ProgrammingError


def rows(connection: Connection, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()


def models(connection: Connection) -> list[str]:
    return [name for (name,) in rows(connection, "SELECT name FROM (LIST MODEL)")]


def predicted(connection: Connection) -> list[tuple[Any, ...]]:
    return rows(connection, "SELECT predicted FROM (PREDICT USING m AS SELECT 'a' AS audio_path)")


# --- what is opened -------------------------------------------------------------------------


def test_memory_is_ones_own(echo: Echo) -> None:
    with thanosql_dbapi.connect() as one, thanosql_dbapi.connect(":memory:") as two:
        one.execute("CREATE TABLE t (a INT)")
        publish_echo(one, "m")
        assert (rows(two, "LIST TABLE"), models(two)) == ([], [])
        assert one.workspace != two.workspace


def test_named_memory_is_shared_with_its_workspace(echo: Echo) -> None:
    with thanosql_dbapi.connect(":memory:calls") as one:
        one.execute("CREATE TABLE t AS SELECT 7 AS a")
        publish_echo(one, "m")
        with thanosql_dbapi.connect(":memory:calls") as two:
            assert rows(two, "FROM t") == [(7,)]
            assert two.workspace == one.workspace
            assert predicted(two) == [("A",)]
        assert predicted(one) == [("A",)]
        with thanosql_dbapi.connect(":memory:other") as three:
            assert rows(three, "LIST TABLE") == []
    with thanosql_dbapi.connect(":memory:calls") as again:
        assert (rows(again, "LIST TABLE"), models(again)) == ([], [])


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_file_keeps_tables_and_models(tmp_path: Path, echo: Echo, as_type: type) -> None:
    database = as_type(tmp_path / "calls.db")
    with thanosql_dbapi.connect(database) as first:
        assert first.workspace == tmp_path / "calls.db.thanosql"
        assert not first.workspace.exists()
        first.execute("CREATE TABLE t AS SELECT 1 AS a")
        publish_echo(first, "m")
    with thanosql_dbapi.connect(database) as second:
        assert rows(second, "FROM t") == [(1,)]
        assert predicted(second) == [("A",)]


def test_the_home_folder_is_meant_by_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with thanosql_dbapi.connect("~/calls.db", root="~") as opened:
        assert opened.workspace == tmp_path / "calls.db.thanosql"
        assert opened.root == tmp_path
    assert (tmp_path / "calls.db").exists()


def test_a_relative_file_is_one_with_its_absolute_and_linked_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        thanosql_dbapi.connect("calls.db") as one,
        thanosql_dbapi.connect(tmp_path / "link" / "calls.db") as two,
    ):
        one.execute("CREATE TABLE t (a INT)")
        assert rows(two, "LIST TABLE") == [("t",)]
        assert one.workspace == two.workspace


def test_read_only(tmp_path: Path, echo: Echo) -> None:
    with thanosql_dbapi.connect(tmp_path / "calls.db") as first:
        first.execute("CREATE TABLE t AS SELECT 'a' AS audio_path")
        publish_echo(first, "m")
    with thanosql_dbapi.connect(tmp_path / "calls.db", read_only=True) as second:
        assert rows(second, "PREDICT USING m AS FROM t") == [("a", "A")]
        with pytest.raises(thanosql_dbapi.Error, match="read-only"):
            second.execute("CREATE TABLE u (a INT)")
    with pytest.raises(OperationalError):
        thanosql_dbapi.connect(tmp_path / "none.db", read_only=True)


def test_paths_start_from_the_root_and_models_from_the_workspace(
    tmp_path: Path, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(echo, "on_predict", seen.extend)
    (tmp_path / "calls").mkdir()
    with thanosql_dbapi.connect(root=tmp_path / "calls", workspace=tmp_path / "w") as opened:
        assert (opened.root, opened.workspace) == (tmp_path / "calls", tmp_path / "w")
        publish_echo(opened, "m")
        assert (tmp_path / "w" / "models").is_dir()
        assert opened._session.path("x.wav") == tmp_path / "calls" / "x.wav"
        assert opened._session.path("/x.wav") == Path("/x.wav")
    assert (tmp_path / "w").is_dir()


# --- bad input ------------------------------------------------------------------------------


def test_a_root_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ProgrammingError, match="root: there is no folder"):
            thanosql_dbapi.connect(tmp_path / "calls.db", root=root)
    assert not (tmp_path / "calls.db").exists()


def test_one_database_has_one_workspace(tmp_path: Path) -> None:
    database = tmp_path / "calls.db"
    with thanosql_dbapi.connect(database, workspace=tmp_path / "a") as one:
        with pytest.raises(ProgrammingError, match="workspace=.*share it"):
            thanosql_dbapi.connect(database, workspace=tmp_path / "b")
        with thanosql_dbapi.connect(database) as two:
            assert two.workspace == tmp_path / "a"
        with thanosql_dbapi.connect(database, workspace=tmp_path / "." / "a"):
            pass
        assert rows(one, "SELECT 1") == [(1,)]
    with thanosql_dbapi.connect(database, workspace=tmp_path / "b") as later:
        assert later.workspace == tmp_path / "b"


@pytest.mark.parametrize(
    "config", [{"nonsense": 1}, {"threads": "x"}, {"threads": object()}, {1: 2}]
)
def test_a_bad_setting_is_said_by_an_error_of_ours(config: Any) -> None:
    with pytest.raises(ProgrammingError):
        thanosql_dbapi.connect(config=config)


def test_settings_reach_duckdb(connection: Connection) -> None:
    with thanosql_dbapi.connect(config={"threads": 3, "memory_limit": "1GB"}) as opened:
        assert rows(opened, "SELECT current_setting('threads')") == [(3,)]


def test_a_locked_configuration_works(echo: Echo) -> None:
    config = {"lock_configuration": True, "enable_external_access": False}
    with thanosql_dbapi.connect(config=config) as opened:
        publish_echo(opened, "m")
        assert predicted(opened) == [("A",)]


def test_what_cannot_be_opened_is_an_operational_error(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    for database in (tmp_path / "no" / "folder" / "x.db", tmp_path, tmp_path / "text.db"):
        with pytest.raises(OperationalError):
            thanosql_dbapi.connect(database)


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **options,
    )  # fmt: skip


def test_a_file_that_another_process_holds(tmp_path: Path) -> None:
    holder = python(
        """
        import sys, thanosql_dbapi
        connection = thanosql_dbapi.connect(sys.argv[1])
        print("open", flush=True)
        sys.stdin.read()
        """,
        str(tmp_path / "calls.db"),
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(OperationalError, match="lock"):
        thanosql_dbapi.connect(tmp_path / "calls.db")
    holder.communicate("", timeout=30)
    with thanosql_dbapi.connect(tmp_path / "calls.db") as opened:
        assert rows(opened, "SELECT 1") == [(1,)]


# --- closing --------------------------------------------------------------------------------


def test_closing_twice_is_harmless_and_closed_is_closed(tmp_path: Path) -> None:
    with thanosql_dbapi.connect() as opened:
        assert not opened.closed
        opened.close()
        opened.close()
    assert opened.closed
    for use in (
        opened.cursor, opened.commit, opened.rollback, opened.begin, opened.interrupt,
        lambda: opened.execute("SELECT 1"),
    ):  # fmt: skip
        with pytest.raises(InterfaceError, match="closed"):
            use()


def test_the_context_commits_or_rolls_back(tmp_path: Path) -> None:
    database = tmp_path / "calls.db"
    with thanosql_dbapi.connect(database) as first:
        first.begin()
        first.execute("CREATE TABLE kept (a INT)")
    with pytest.raises(ZeroDivisionError), thanosql_dbapi.connect(database) as second:  # noqa: PT012
        second.begin()
        second.execute("CREATE TABLE gone (a INT)")
        raise ZeroDivisionError
    third = thanosql_dbapi.connect(database)
    third.begin()
    third.execute("CREATE TABLE lost (a INT)")
    third.close()
    with thanosql_dbapi.connect(database) as last:
        assert rows(last, "LIST TABLE") == [("kept",)]


def test_a_temporary_workspace_goes_with_its_database(echo: Echo) -> None:
    opened = thanosql_dbapi.connect()
    publish_echo(opened, "m")
    workspace = opened.workspace
    cursor = opened.execute("PREDICT USING m AS SELECT 'a' AS audio_path")
    assert workspace.is_dir()
    opened.close()
    del opened, cursor
    gc.collect()
    assert not workspace.exists()


def test_a_temporary_workspace_goes_with_a_connection_that_is_forgotten(echo: Echo) -> None:
    opened = thanosql_dbapi.connect()
    publish_echo(opened, "m")
    predicted(opened)
    workspace = opened.workspace
    del opened
    gc.collect()
    assert not workspace.exists()


def test_a_named_memorys_workspace_lives_as_long_as_one_connection(echo: Echo) -> None:
    one = thanosql_dbapi.connect(":memory:shared")
    two = thanosql_dbapi.connect(":memory:shared")
    publish_echo(one, "m")
    workspace = one.workspace
    one.close()
    del one
    gc.collect()
    # DuckDB 2.0 forgets functions with the connection that registered them, and crashes.
    assert predicted(two) == [("A",)]
    assert models(two) == ["m"]
    two.close()
    del two
    gc.collect()
    assert not workspace.exists()


# --- functions and neighbours ---------------------------------------------------------------


def test_functions_survive_a_rollback(echo: Echo) -> None:
    with thanosql_dbapi.connect() as opened:
        publish_echo(opened, "m")
        opened.begin()
        assert predicted(opened) == [("A",)]
        opened.rollback()
        assert predicted(opened) == [("A",)]


def test_connections_to_one_file_have_their_own_root(
    tmp_path: Path, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import soundfile

    for folder, rate in (("a", 8000), ("b", 16000)):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "x.wav", np.zeros(800, np.float32), rate)
    sql = "SELECT (thanosql_audio_facts('x.wav')).sampling_rate"
    database = tmp_path / "calls.db"
    one = thanosql_dbapi.connect(database, root=tmp_path / "a")
    two = thanosql_dbapi.connect(database, root=tmp_path / "b")
    publish_echo(one, "m")
    assert (rows(one, sql), rows(two, sql)) == ([(8000,)], [(16000,)])
    assert predicted(one) == predicted(two) == [("A",)]
    one.execute("CREATE VIEW v AS SELECT 1 AS a")
    one.close()
    assert rows(two, sql) == [(16000,)]
    assert predicted(two) == [("A",)]
    three = thanosql_dbapi.connect(database, root=tmp_path / "a")
    assert (rows(three, sql), rows(two, sql)) == ([(8000,)], [(16000,)])
    two.close()
    three.close()
    with thanosql_dbapi.connect(database, root=tmp_path / "b") as again:
        assert rows(again, sql) == [(16000,)]
        assert predicted(again) == [("A",)]


def test_a_second_connection_during_the_firsts_transaction(tmp_path: Path, echo: Echo) -> None:
    database = tmp_path / "calls.db"
    with thanosql_dbapi.connect(database) as one:
        publish_echo(one, "m")
        one.begin()
        one.execute("CREATE TABLE t (a INT)")
        with thanosql_dbapi.connect(database) as two:
            assert predicted(two) == [("A",)]
            assert rows(two, "LIST TABLE") == []
        one.rollback()
        assert predicted(one) == [("A",)]


# --- threads --------------------------------------------------------------------------------

THREADS, QUERIES = 8, 200


def ask(connection: Connection, thread: int) -> int:
    cursor, wrong = connection.cursor(), 0
    for query in range(QUERIES):
        cursor.execute("SELECT ?::INT * 1000 + i FROM range(3000) r(i)", [query])
        first = cursor.fetchmany(2)
        rest = cursor.fetchall()
        numbers = [i for (i,) in first + rest]
        wrong += numbers != list(range(query * 1000, query * 1000 + 3000))
    return wrong


def test_threads_share_a_connection_by_cursors_of_their_own() -> None:
    with thanosql_dbapi.connect() as opened, ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(lambda k: ask(opened, k), range(THREADS))) == [0] * THREADS


def test_threads_have_connections_of_their_own(tmp_path: Path, echo: Echo) -> None:
    database = tmp_path / "calls.db"

    def own(thread: int) -> int:
        with thanosql_dbapi.connect(database) as opened:
            assert predicted(opened) == [("A",)]
            return ask(opened, thread)

    with thanosql_dbapi.connect(database) as first, ThreadPoolExecutor(THREADS) as pool:
        publish_echo(first, "m")
        assert list(pool.map(own, range(THREADS))) == [0] * THREADS


def test_threads_open_and_close_at_once(tmp_path: Path, echo: Echo) -> None:
    with thanosql_dbapi.connect(tmp_path / "calls.db") as first:
        publish_echo(first, "m")

    def visit(thread: int) -> list[tuple[Any, ...]]:
        for _ in range(5):
            with thanosql_dbapi.connect(tmp_path / "calls.db") as opened:
                found = predicted(opened)
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(visit, range(THREADS))) == [[("A",)]] * THREADS


# --- the end of the process -----------------------------------------------------------------

LEFT_OPEN = {
    "a database": "connection.execute('SELECT 1')",
    "unread rows": "cursor = connection.execute('FROM range(100000000)'); cursor.fetchone()",
    "a reader": "reader = connection.execute('FROM range(100000000)').fetch_record_batch(9);"
    " reader.read_next_batch()",
    "Arrow": "table = connection.execute('SELECT uuid() FROM range(9)').fetch_arrow_table()",
    "a transaction": "connection.begin(); connection.execute('CREATE TABLE t (a INT)')",
    "a relation": "cursor = connection.execute('LIST MODEL')",
    "an error": "\ntry: connection.execute('FROM nowhere')\nexcept Exception as e: error = e",
    "a second connection": "second = thanosql_dbapi.connect(sys.argv[1]);"
    " second.execute('LIST MODEL').fetchall()",
    "a thread": "import threading;"
    " t = threading.Thread(target=lambda: connection.execute('SELECT 1').fetchall()); t.start()",
    "a cycle": "cycle = [connection]; cycle.append(cycle); del connection",
}


@pytest.mark.parametrize("left", LEFT_OPEN)
@pytest.mark.parametrize("database", [":memory:", "calls.db"])
def test_what_is_left_open_at_exit_prints_nothing(tmp_path: Path, left: str, database: str) -> None:
    code = "import sys, thanosql_dbapi\nconnection = thanosql_dbapi.connect(sys.argv[1])\n"
    found = python(code + LEFT_OPEN[left], database, cwd=tmp_path)
    printed, complained = found.communicate(timeout=60)
    assert (found.returncode, printed, complained) == (0, "", "")
    if database == "calls.db":
        assert not (tmp_path / "calls.db.wal").exists() or left == "a transaction"


def test_a_temporary_workspace_goes_with_the_process(tmp_path: Path) -> None:
    code = """
        import thanosql_dbapi
        connection = thanosql_dbapi.connect()
        with connection._session.workspace.registry.staging():
            print(connection.workspace)
        """
    found = python(code, env={**os.environ, "TMPDIR": str(tmp_path)})
    printed, complained = found.communicate(timeout=60)
    assert complained == ""
    assert Path(printed.strip()).parent == tmp_path
    assert not Path(printed.strip()).exists()


def test_a_commit_after_an_error_that_ended_the_transaction_says_so() -> None:
    with thanosql_dbapi.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        connection.begin()
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(thanosql_dbapi.IntegrityError):
            connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(thanosql_dbapi.OperationalError, match="nothing of it was committed"):
            connection.commit()
        connection.begin()
        connection.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(thanosql_dbapi.ProgrammingError):
            connection.execute("SELECT * FROM nowhere")
        connection.commit()
        assert connection.execute("FROM t").fetchall() == [(2,)]


def test_what_ran_before_a_constant_in_a_values_list_runs_once(echo: object) -> None:
    with thanosql_dbapi.connect() as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
        with pytest.raises(thanosql_dbapi.ModelNotFound):
            connection.execute("INSERT INTO t VALUES (1); VALUES (thanosql_predict('m', 'a'))")
        assert connection.execute("FROM t").fetchall() == [(1,)]
