"""Stopping what runs: Ctrl-C in the main thread, `Connection.interrupt` from any other.

Python gives signals to the main thread, so Ctrl-C stops the statement that the main thread waits
for. A statement of another thread goes on: `interrupt` is for those.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, QueryInterrupted

#: Minutes of work, in one row.
LONG = "SELECT sum(sqrt(a.i * b.i)) FROM range(1000000) a(i), range(100000) b(i)"
#: Endless rows.
STREAM = "SELECT sqrt(i) FROM range(1000000000000) r(i)"
#: No statement takes longer than this to stop: a guard against hanging, no measure.
GUARD_S = 30


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own handler for Ctrl-C, whatever the test runner set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def stopped_by(action: Callable[[], object], error: type[BaseException]) -> Iterator[None]:
    """Expect `error`, because `action` is done in another thread a moment from now."""
    timer = threading.Timer(0.25, action)
    started = time.monotonic()
    timer.start()
    try:
        with pytest.raises(error):
            yield
    finally:
        timer.cancel()
        timer.join()
    assert time.monotonic() - started < GUARD_S


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def slowly(names: list[str]) -> None:
    time.sleep(0.01)


def train_forever(training: Any) -> None:
    while True:
        training.check()
        time.sleep(0.01)


def plain_query(connection: Connection) -> None:
    connection.execute(LONG).fetchall()


def fetching(connection: Connection) -> None:
    cursor = connection.execute(STREAM)
    while cursor.fetchmany(10_000):
        pass


def fetching_arrow(connection: Connection) -> None:
    for _ in connection.execute(STREAM).fetch_record_batch(10_000):
        pass


def fetching_arrow_at_once(connection: Connection) -> None:
    connection.execute(LONG).fetch_arrow_table()


def inserting(connection: Connection) -> None:
    connection.execute(f"CREATE TABLE long AS {LONG}")


def inserting_many(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TABLE many (a DOUBLE)")
    sql = f"UPDATE many SET a = ? WHERE a < ({LONG})"
    connection.execute("INSERT INTO many VALUES (1)")
    connection.cursor().executemany(sql, [(1,), (2,)])


def predicting(connection: Connection) -> None:
    sql = "PREDICT USING m AS SELECT * FROM t UNION ALL SELECT * FROM t"
    connection.execute(f"SELECT max(predicted) FROM ({sql})").fetchall()


def building(connection: Connection) -> None:
    connection.execute("BUILD MODEL b USING Echo AS SELECT * FROM t LIMIT 3")


def building_from_a_long_query(connection: Connection) -> None:
    rows = f"SELECT 'a' AS audio_path, ({LONG})::VARCHAR AS text"
    connection.execute(f"BUILD MODEL b USING Echo AS {rows}")


def scripting(connection: Connection) -> None:
    connection.execute(f"SELECT 1; {LONG}; CREATE TABLE after_it (a INT)")


WORK = [
    plain_query, fetching, fetching_arrow, fetching_arrow_at_once, inserting, inserting_many,
    predicting, building, building_from_a_long_query, scripting,
]  # fmt: skip


@pytest.fixture
def slow(connection: Connection, echo: Echo) -> Connection:
    """A connection whose model takes its time, in steps that can be stopped."""

    def predict(names: list[str]) -> None:
        for _ in names:
            time.sleep(0.001)
            connection._engine.execution.check()

    echo.on_predict = predict
    echo.on_train = train_forever
    return connection


def assert_works(connection: Connection, echo: Echo) -> None:
    echo.on_predict, echo.on_train = lambda names: None, lambda training: None
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert not connection._engine.running
    sql = "SELECT predicted FROM (PREDICT USING m AS SELECT * FROM t LIMIT 1)"
    assert connection.execute(sql).fetchall() == [("P0",)]
    tables = [name for (name,) in connection.execute("LIST TABLE").fetchall()]
    assert tables in (["t"], ["many", "t"])
    assert connection.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("m",)]
    staging = connection.workspace / "staging"
    assert list(staging.iterdir()) == []
    connection.execute("BUILD MODEL b USING Echo AS SELECT * FROM t LIMIT 1")


@pytest.mark.parametrize("work", WORK)
def test_ctrl_c_stops_it(slow: Connection, echo: Echo, work: Callable[[Connection], None]) -> None:
    with stopped_by(press_ctrl_c, KeyboardInterrupt):
        work(slow)
    assert_works(slow, echo)


@pytest.mark.parametrize("work", WORK)
def test_interrupt_from_another_thread_stops_it(
    slow: Connection, echo: Echo, work: Callable[[Connection], None]
) -> None:
    with stopped_by(slow.interrupt, QueryInterrupted):
        work(slow)
    assert_works(slow, echo)


@pytest.mark.parametrize("work", [plain_query, fetching, predicting, building])
def test_the_main_thread_stops_a_statement_of_another(
    slow: Connection, echo: Echo, work: Callable[[Connection], None]
) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work(slow)
        except thanosql_dbapi.Error as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.4)
    slow.interrupt()
    thread.join(GUARD_S)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [QueryInterrupted]
    assert_works(slow, echo)


def test_interrupting_an_idle_connection_harms_nothing(connection: Connection, echo: Echo) -> None:
    connection.interrupt()
    assert_works(connection, echo)
    connection.interrupt()
    connection.interrupt()
    sql = "PREDICT USING m AS SELECT * FROM t"
    assert len(connection.execute(sql).fetchall()) == 20_000


def test_an_unread_stream_is_stopped_and_nothing_else(connection: Connection) -> None:
    cursor = connection.execute(STREAM)
    cursor.fetchone()
    connection.interrupt()
    with pytest.raises(QueryInterrupted):
        cursor.fetchall()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_only_the_connection_that_is_named_stops(connection: Connection) -> None:
    with thanosql_dbapi.connect() as other:
        thread = threading.Thread(target=lambda: other.execute("SELECT 1").fetchall())
        with stopped_by(connection.interrupt, QueryInterrupted):
            plain_query(connection)
        thread.start()
        thread.join(GUARD_S)
        assert other.execute("SELECT count(*) FROM range(1000000)").fetchall() == [(1_000_000,)]


def test_other_cursors_go_on_while_a_model_is_built(connection: Connection, echo: Echo) -> None:
    echo.on_train = train_forever
    raised: list[BaseException] = []

    def build() -> None:
        try:
            building(connection)
        except QueryInterrupted as error:
            raised.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    while not connection._engine.running:
        time.sleep(0.01)
    time.sleep(0.3)
    publish_echo(connection, "meanwhile", "x")
    sql = "SELECT predicted FROM (PREDICT USING meanwhile AS SELECT * FROM t LIMIT 1)"
    assert connection.execute(sql).fetchall() == [("xP0",)]
    assert thread.is_alive()
    connection.interrupt()
    thread.join(GUARD_S)
    assert len(raised) == 1


def test_a_transaction_that_was_interrupted_waits_for_its_rollback(connection: Connection) -> None:
    connection.begin()
    connection.execute("CREATE TABLE gone (a INT)")
    with stopped_by(press_ctrl_c, KeyboardInterrupt):
        plain_query(connection)
    connection.rollback()
    assert connection.execute("LIST TABLE").fetchall() == [("t",)]


def test_a_closed_connection_cannot_be_interrupted() -> None:
    connection = thanosql_dbapi.connect()
    connection.close()
    with pytest.raises(thanosql_dbapi.InterfaceError):
        connection.interrupt()


def test_connections_that_the_collector_closes_meanwhile_do_no_harm() -> None:
    """A rollback in a finalizer, in the middle of handing work over, once waited for ever."""
    code = """
import gc, threading, thanosql_dbapi

class Cycle:
    def __init__(self):
        self.me, self.connection = self, thanosql_dbapi.connect()
        self.connection.begin()
    def __del__(self):
        self.connection.rollback()
        self.connection.close()

gc.set_threshold(5)
with thanosql_dbapi.connect() as db:
    for _ in range(150):
        Cycle()
        db.execute("SELECT 1").fetchall()
print("through")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "through\n"


@pytest.mark.parametrize("package", ["polars", "adbc_driver_manager.dbapi"])
def test_ctrl_c_is_seen_beside_packages_that_handle_it_too(package: str) -> None:
    code = f"""
import os, signal, threading, {package}, thanosql_dbapi

threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    thanosql_dbapi.connect().execute({LONG!r}).fetchall()
except (KeyboardInterrupt, thanosql_dbapi.QueryInterrupted):
    print("stopped")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "stopped\n"
