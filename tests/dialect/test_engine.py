"""URLs, pools, threads and transactions of an engine."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Sequence,
    Table,
    create_engine,
    exc,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.pool import NullPool

import thanosql_dbapi
from sqlalchemy_dialect import ThanoSQLDialect


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


def scalar(engine: Engine, sql: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(sql)).scalar()


# URLs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["thanosql", "thanosql+duckdb"])
def test_both_names_reach_the_dialect(name: str) -> None:
    engine = create_engine(f"{name}://")
    assert isinstance(engine.dialect, ThanoSQLDialect)
    assert scalar(engine, "SELECT 40 + 2") == 42


def test_a_file_keeps_what_was_written(file: Path) -> None:
    engine = create_engine(f"thanosql:///{file}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT 1 AS a"))
    engine.dispose()
    assert file.is_file()
    assert scalar(create_engine(f"thanosql:///{file}"), "SELECT a FROM t") == 1


def test_a_url_gives_the_drivers_options_and_duckdbs_settings(tmp_path: Path, file: Path) -> None:
    models, sounds = tmp_path / "models", tmp_path / "sounds"
    sounds.mkdir()
    engine = create_engine(
        f"thanosql:///{file}?root={sounds}&workspace={models}&device=cpu&threads=1"
        "&checkpoints=Wav2Vec2En:/somewhere"
    )
    with engine.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert driver_connection.root == sounds
        assert driver_connection.workspace == models
        assert connection.execute(text("SELECT current_setting('threads')")).scalar() == 1


def test_connect_args_are_the_same_options(tmp_path: Path, file: Path) -> None:
    engine = create_engine(
        f"thanosql:///{file}?threads=2", connect_args={"root": tmp_path, "threads": 1}
    )
    with engine.connect() as connection:
        assert connection.connection.driver_connection.root == tmp_path
        assert connection.execute(text("SELECT current_setting('threads')")).scalar() == 1


def test_read_only_reads_only(file: Path) -> None:
    thanosql_dbapi.connect(file).close()
    engine = create_engine(f"thanosql:///{file}?read_only=true")
    with engine.connect() as connection, pytest.raises(exc.DBAPIError, match="read-only"):
        connection.execute(text("CREATE TABLE t (a int)"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("thanosql://calls.db", "no host.*three slashes"),
        ("thanosql://user:secret@/calls.db", "no host and no user"),
        ("thanosql://?read_only=maybe", "read_only='maybe' in the URL: it is true or false"),
        ("thanosql://?root=a&root=b", "the URL gives root 2 times"),
        ("thanosql://?checkpoints=Wav2Vec2En", "checkpoints=.* a colon"),
        ("thanosql://?red_only=true", "'red_only' is no option .* Did you mean 'read_only'"),
        ("thanosql://?memory_limitt=1GB", "Did you mean 'memory_limit'"),
        ("thanosql://?memory_limit=two", "memory_limit='two': .*Memory"),
    ],
)
def test_a_wrong_url_is_refused_by_name(url: str, message: str) -> None:
    with pytest.raises(exc.ArgumentError, match=message) as raised:
        create_engine(url).connect()
    assert "secret" not in str(raised.value)


def test_a_file_that_another_process_writes_is_named_with_what_to_do(file: Path) -> None:
    code = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(exc.OperationalError, match="read_only=True") as raised:
            create_engine(f"thanosql:///{file}").connect()
        other.communicate(b"\n")
    assert str(file) in str(raised.value)
    assert "another process" in str(raised.value)
    assert scalar(create_engine(f"thanosql:///{file}"), "SELECT 1") == 1


def test_a_file_of_a_newer_duckdb_is_named_with_what_to_do(file: Path) -> None:
    thanosql_dbapi.connect(file).close()
    header = bytearray(file.read_bytes())
    header[12:20] = struct.pack("<Q", 99)  # the storage version, after checksum and magic
    words = struct.unpack("<511Q", header[8:4096])
    checksum = functools.reduce(
        lambda sum_, word: sum_ ^ (word * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF), words, 5381
    )
    header[:8] = struct.pack("<Q", checksum)
    file.write_bytes(header)
    with pytest.raises(exc.OperationalError, match="newer version of DuckDB") as raised:
        create_engine(f"thanosql:///{file}").connect()
    assert str(file) in str(raised.value)
    assert "upgrade the package duckdb" in str(raised.value)


# Pools --------------------------------------------------------------------------------------------


def test_an_engine_in_memory_has_one_database_and_workspace_for_all_its_connections() -> None:
    engine, other = create_engine("thanosql://"), create_engine("thanosql://")
    with engine.connect() as first, engine.connect() as second:
        first.execute(text("CREATE TABLE t AS SELECT 7 AS a"))
        first.commit()
        assert second.execute(text("SELECT a FROM t")).scalar() == 7
        workspaces = {c.connection.driver_connection.workspace for c in (first, second)}
    assert len(workspaces) == 1
    with other.connect() as stranger, pytest.raises(exc.ProgrammingError, match="t does not exist"):
        stranger.execute(text("SELECT a FROM t"))


@pytest.mark.parametrize("empty", [lambda engine: engine.dispose(), lambda engine: None])
def test_a_database_in_memory_outlives_its_pools_connections(
    empty: Callable[[Engine], None],
) -> None:
    engine = create_engine("thanosql://", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT 7 AS a"))
    empty(engine)
    assert scalar(engine, "SELECT a FROM t") == 7


@pytest.mark.parametrize("place", ["memory", "file"])
def test_eight_threads_lose_and_mix_nothing(place: str, file: Path) -> None:
    engine = create_engine("thanosql://" if place == "memory" else f"thanosql:///{file}")
    table = Table(
        "log",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("thread", Integer),
        Column("step", Integer),
    )
    table.metadata.create_all(engine)

    def work(thread: int) -> list[int]:
        keys = []
        for step in range(100):
            with engine.begin() as connection:
                row = insert(table).values(thread=thread, step=step)
                keys.append(connection.execute(row).inserted_primary_key.id)
            with engine.connect() as connection:
                question = select(table.c.thread, table.c.step).where(table.c.id == keys[-1])
                assert connection.execute(question).one() == (thread, step)
        return keys

    with ThreadPoolExecutor(8) as threads:
        keys = [key for found in threads.map(work, range(8)) for key in found]
    assert len(set(keys)) == 800
    with engine.connect() as connection:
        counts = select(table.c.thread, func.count(), func.sum(table.c.step)).group_by(
            table.c.thread
        )
        assert sorted(connection.execute(counts)) == [(t, 100, 4950) for t in range(8)]
    engine.dispose()


def test_a_connection_closed_beneath_the_pool_is_replaced() -> None:
    engine = create_engine("thanosql://", pool_pre_ping=True)
    with engine.connect() as connection:
        connection.connection.driver_connection.close()
        with pytest.raises(exc.InterfaceError) as raised:
            connection.execute(text("SELECT 1"))
    assert raised.value.connection_invalidated
    assert scalar(engine, "SELECT 1") == 1


# Transactions -------------------------------------------------------------------------------------


@pytest.fixture
def engine() -> Engine:
    engine = create_engine("thanosql://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a int)"))
    return engine


def test_what_is_not_committed_is_rolled_back(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
    assert scalar(engine, "SELECT count(*) FROM t") == 0


def test_autocommit_keeps_each_statement(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.get_isolation_level() == "AUTOCOMMIT"
        connection.execute(text("INSERT INTO t VALUES (1)"))
    assert scalar(engine, "SELECT count(*) FROM t") == 1
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "SNAPSHOT"


def test_a_transaction_sees_the_snapshot_that_it_began_with(engine: Engine) -> None:
    with engine.connect() as reader, engine.begin() as writer:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        writer.execute(text("INSERT INTO t VALUES (1)"))
        writer.commit()
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        reader.commit()
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 1


def test_a_savepoint_is_refused_in_words(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        with pytest.raises(exc.InvalidRequestError, match="DuckDB has no savepoints"):
            connection.begin_nested()
        connection.commit()
    assert scalar(engine, "SELECT count(*) FROM t") == 1


# Statements ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(1,), (1, 2, 3)])
def test_a_wrong_number_of_parameters_is_an_error(engine: Engine, given: tuple[int, ...]) -> None:
    with engine.connect() as connection, pytest.raises(exc.ProgrammingError, match="parameter"):
        connection.exec_driver_sql("SELECT ?, ?", given)


def test_a_table_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(exc.NoSuchTableError, match="nope"):
        Table("nope", MetaData(), autoload_with=engine)


def test_rows_stream(engine: Engine) -> None:
    with engine.connect() as connection:
        streaming = connection.execution_options(stream_results=True)
        result = streaming.execute(text("SELECT i FROM range(100_000_000) r(i)"))
        assert result.fetchmany(3) == [(0,), (1,), (2,)]


@pytest.mark.parametrize(
    "change", ["CREATE TABLE u (a int)", "INSERT INTO t VALUES (1)", "SET threads = 1"]
)
def test_a_streaming_connection_runs_statements_without_rows(engine: Engine, change: str) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        connection.execute(text(change))
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() in {0, 1}


def test_rows_that_nobody_reads_are_dropped(engine: Engine) -> None:
    with engine.connect() as connection:
        first = connection.execute(text("SELECT i FROM range(1_000_000_000) r(i)"))
        assert first.fetchone() == (0,)
        connection.rollback()  # would read a thousand million rows if it kept them
        result = connection.execute(text("SELECT i FROM range(5000) r(i)"))
        connection.commit()
        assert len(result.all()) == 5000


def test_a_sequence_counts(engine: Engine) -> None:
    sequence = Sequence("tickets", start=5, increment=2, schema="main")
    with engine.begin() as connection:
        sequence.create(connection)
        assert [connection.scalar(sequence) for _ in range(3)] == [5, 7, 9]
        assert connection.execute(select(sequence.next_value())).scalar() == 11
