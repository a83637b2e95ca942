"""The prediction cache: exact, bounded, shared, and never in the way of a statement."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from thanosql_dbapi.cache import (
    PredictionCache,
    Settings,
    canonical,
    rows,
    schema,
    store,
    version_digest,
)
from thanosql_dbapi.cache import file as file_module
from thanosql_dbapi.models.base import Prediction, Timed
from thanosql_dbapi.registry import FACTS, Version

MEGABYTE = 1_000_000
SETTINGS = Settings("model", canonical({"language": "en"}), "full", 1)


def digest_of(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()


def digests(numbers: range) -> list[str]:
    return [digest_of(number) for number in numbers]


def predictions(numbers: range, text: str = "said") -> dict[str, Prediction]:
    return {digest_of(n): Prediction(f"{text} {n}", n / 7, float(n)) for n in numbers}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PredictionCache]:
    made = PredictionCache(tmp_path, 100 * MEGABYTE)
    yield made
    made.close()


def database(workspace: Path) -> Path:
    return workspace / "cache" / "predictions.sqlite"


def size_on_disk(workspace: Path) -> int:
    return sum(path.stat().st_size for path in database(workspace).parent.glob("*.sqlite*"))


def texts(cache: PredictionCache) -> list[str]:
    return [entry["text"] for entry in cache.entries()]


# --- what is kept ---------------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters())  # NUL and halves of characters among them
TIMED = st.builds(Timed, TEXTS, NUMBERS, NUMBERS, st.none() | NUMBERS)
LISTS = st.none() | st.lists(TIMED, max_size=3).map(tuple)
PREDICTIONS = st.builds(Prediction, TEXTS, st.none() | NUMBERS, st.none() | NUMBERS, LISTS, LISTS)


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.lists(PREDICTIONS, min_size=1, max_size=5))
def test_predictions_come_back_exactly(made: list[Prediction]) -> None:
    given_ = {digest_of(number): prediction for number, prediction in enumerate(made)}
    with tempfile.TemporaryDirectory() as folder:
        cache = PredictionCache(Path(folder), MEGABYTE)
        cache.remember(SETTINGS, given_, "m")
        cache.close()
        found = cache.known(SETTINGS, given_)
        cache.close()
    assert found == given_
    # 0.0 == -0.0: what is equal may still differ.
    assert repr(found[digest_of(0)]) == repr(given_[digest_of(0)])


@pytest.mark.parametrize(
    "other",
    [
        Settings("other", SETTINGS.options, "full", 1),
        Settings("model", "{}", "full", 1),
        Settings("model", SETTINGS.options, "int8", 1),
        Settings("model", SETTINGS.options, "full", 2),
    ],
)
def test_each_setting_decides(cache: PredictionCache, other: Settings) -> None:
    cache.remember(SETTINGS, predictions(range(3), "ours"), "m")
    assert cache.known(other, [digest_of(1)]) == {}
    cache.remember(other, predictions(range(1, 3), "theirs"), "m")
    assert cache.known(other, digests(range(3))) == predictions(range(1, 3), "theirs")
    assert cache.known(SETTINGS, digests(range(3))) == predictions(range(3), "ours")


def test_equal_options_have_one_text() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1})
    assert canonical({"a": 1}) != canonical({"a": 1.0})


def test_more_than_a_statement_takes_parameters(cache: PredictionCache) -> None:
    made = predictions(range(2500))
    cache.remember(SETTINGS, made, "m")
    assert cache.known(SETTINGS, digests(range(5000))) == made
    assert cache.count(SETTINGS, digests(range(1000, 5000))) == 1500


def test_what_is_asked_twice_counts_once(cache: PredictionCache) -> None:
    cache.remember(SETTINGS, predictions(range(1)), "m")
    assert cache.count(SETTINGS, [digest_of(0)] * 1200) == 1


def test_a_later_prediction_replaces_the_earlier(cache: PredictionCache) -> None:
    cache.remember(SETTINGS, {"d": Prediction("old", words=(Timed("old", 0, 1, None),))}, "m")
    cache.remember(SETTINGS, {"d": Prediction("new")}, "n")
    assert cache.known(SETTINGS, ["d"]) == {"d": Prediction("new")}
    assert [entry["model"] for entry in cache.entries()] == ["n"]


def test_reading_creates_nothing(cache: PredictionCache, tmp_path: Path) -> None:
    assert cache.known(SETTINGS, ["d"]) == {}
    assert cache.count(SETTINGS, ["d"]) == 0
    assert cache.digests(["i"]) == {}
    assert cache.entries() == []
    assert cache.clear() == 0
    assert cache.speed("m", "cpu", "full") is None
    cache.remember(SETTINGS, {}, "m")
    cache.note_digests({})
    assert list(tmp_path.iterdir()) == []


def test_a_rerun_only_reads(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(50)), "m")
    watcher = sqlite3.connect(database(tmp_path))
    before = watcher.execute("PRAGMA data_version").fetchone()
    assert len(cache.known(SETTINGS, digests(range(50)))) == 50
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    cache.remember(SETTINGS, predictions(range(1)), "m")
    assert watcher.execute("PRAGMA data_version").fetchone() != before
    watcher.close()


def test_entries_say_what_is_there(cache: PredictionCache) -> None:
    started = time.time()
    words = (Timed("a", 0.0, 0.5, 0.25),)
    cache.remember(SETTINGS, {"d": Prediction("a é", 0.5, 1.5, words)}, "Voice")
    (entry,) = cache.entries()
    for name in ("created_utc", "used_utc"):
        assert started - 1 < entry.pop(name).timestamp() < time.time() + 1
    stored = len('["a é",0.5,1.5]'.encode()) + len('[[["a",0.0,0.5,0.25]],null]')
    assert entry == {
        "model": "Voice",
        "model_digest": "model",
        "audio_digest": "d",
        "precision": "full",
        "options": '{"language":"en"}',
        "revision": 1,
        "text": "a é",
        "score": 0.5,
        "seconds": 1.5,
        "size_bytes": stored,
    }


# --- what goes --------------------------------------------------------------------------------


class Clock:
    """A clock that goes on by an hour at each look."""

    def __init__(self) -> None:
        self.microseconds = 0

    def __call__(self) -> int:
        self.microseconds += 3_600_000_001
        return self.microseconds


def test_the_least_recently_used_goes_first(
    cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_now", Clock())
    for number in range(4):
        cache.remember(SETTINGS, predictions(range(number, number + 1)), "m")
    assert texts(cache) == ["said 3", "said 2", "said 1", "said 0"]
    cache.count(SETTINGS, [digest_of(1)])  # no use
    cache.known(SETTINGS, [digest_of(0)])
    assert texts(cache) == ["said 0", "said 3", "said 2", "said 1"]


def test_what_is_used_outlives_what_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_now", Clock())
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, {"loved": Prediction("loved")}, "m")
    for start in range(0, 2000, 100):
        cache.remember(SETTINGS, predictions(range(start, start + 100), "x" * 1000), "m")
        assert cache.known(SETTINGS, ["loved"])
    assert 500 < len(texts(cache)) < 1000
    cache.close()


def test_a_hundred_thousand_entries_stay_within_the_limit(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path, MEGABYTE)
    largest = 0
    for start in range(0, 100_000, 500):
        made = {digest_of(n): Prediction("x" * 900) for n in range(start, start + 500)}
        cache.remember(SETTINGS, made, "m")
        largest = max(largest, database(tmp_path).stat().st_size)
    kept = [entry["audio_digest"] for entry in cache.entries()]
    assert len(kept) > 600
    assert set(kept) == {digest_of(n) for n in range(100_000 - len(kept), 100_000)}
    assert size_on_disk(tmp_path) < 2.2 * MEGABYTE  # with the log of the last transaction
    cache.close()
    assert size_on_disk(tmp_path) <= 1.05 * MEGABYTE
    assert largest < 2 * MEGABYTE


def test_a_lower_limit_is_reached_in_steps(tmp_path: Path) -> None:
    large = PredictionCache(tmp_path, 100 * MEGABYTE)
    large.remember(SETTINGS, predictions(range(30_000), "x" * 300), "m")
    large.close()
    small = PredictionCache(tmp_path, MEGABYTE)
    for number in range(8):
        small.remember(SETTINGS, predictions(range(-number - 1, -number)), "m")
    assert small.count(SETTINGS, digests(range(-8, 0))) == 8
    small.close()
    assert size_on_disk(tmp_path) <= 1.05 * MEGABYTE


def test_a_prediction_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, {"d": Prediction("x" * 3 * MEGABYTE)}, "m")
    assert cache.known(SETTINGS, ["d"]) == {}
    cache.close()
    assert size_on_disk(tmp_path) <= MEGABYTE


def test_clear_forgets_all_and_the_file_shrinks(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(5000), "x" * 300), "m")
    cache.note_digests({str(n): digest_of(n) for n in range(1000)})
    cache.note_speed("model", "cpu", "full", 100, 10)
    assert cache.clear() == 5000
    assert cache.entries() == []
    assert cache.digests(["1"]) == {}
    assert cache.speed("model", "cpu", "full") == 10
    assert size_on_disk(tmp_path) < 200_000
    assert cache.clear() == 0


def test_clear_by_name_leaves_other_models(cache: PredictionCache) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "Straße")
    other = Settings("other", "{}", "full", 1)
    cache.remember(other, predictions(range(2)), "other")
    assert cache.clear("nobody") == 0
    assert cache.clear("STRASSE") == 3
    assert cache.count(SETTINGS, digests(range(3))) == 0
    assert cache.count(other, digests(range(3))) == 2


# --- digests and speeds -----------------------------------------------------------------------


def test_digests_are_found_by_identity(cache: PredictionCache) -> None:
    noted = {f"/a/{n}\0é\ud800": digest_of(n) for n in range(1500)}
    cache.note_digests(noted)
    cache.note_digests({"/a/changed": "one"})
    cache.note_digests({"/a/changed": "two"})
    assert cache.digests([*noted, "/b"]) == noted
    assert cache.digests(["/a/changed"]) == {"/a/changed": "two"}


def test_digests_are_bounded_and_the_latest_stay(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, predictions(range(1000)), "m")
    for start in range(0, 20_000, 1000):
        cache.note_digests({str(n): digest_of(n) for n in range(start, start + 1000)})
    kept = cache.digests([str(n) for n in range(20_000)])
    assert set(kept) == {str(n) for n in range(20_000 - len(kept), 20_000)}
    assert 1000 <= len(kept) <= MEGABYTE // 4 // store.DIGEST_BYTES
    assert cache.count(SETTINGS, digests(range(1000))) == 1000
    cache.close()
    assert size_on_disk(tmp_path) < MEGABYTE


def test_speed_weighs_later_runs_more(cache: PredictionCache) -> None:
    assert cache.speed("m", "cpu", "full") is None
    cache.note_speed("m", "cpu", "full", 100, 10)
    assert cache.speed("m", "cpu", "full") == 10
    cache.note_speed("m", "cpu", "full", 300, 10)
    assert cache.speed("m", "cpu", "full") == pytest.approx((300 + 50) / (10 + 5))
    cache.note_speed("m", "cpu", "full", 0, 10)  # nothing was heard: it tells nothing
    cache.note_speed("m", "cpu", "int8", 7, 1)
    assert cache.speed("m", "cpu", "full") == pytest.approx(350 / 15)
    assert cache.speed("m", "cuda", "full") is None


def test_speeds_are_bounded(cache: PredictionCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SPEEDS", 3)
    for number in range(5):
        cache.note_speed(str(number), "cpu", "full", 1, 1)
    known = [cache.speed(str(number), "cpu", "full") for number in range(5)]
    assert known == [None, None, 1, 1, 1]


# --- several at once --------------------------------------------------------------------------

WRITER = """
    import filelock, hashlib, sqlite3, sys
    from pathlib import Path
    from thanosql_dbapi.cache import PredictionCache, Settings
    from thanosql_dbapi.models.base import Prediction

    def digest_of(value):
        return hashlib.sha256(str(value).encode()).hexdigest()

    settings = Settings("model", '{"language":"en"}', "full", 1)
    folder, first, last, step = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    cache = PredictionCache(folder, 100_000_000)
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(first, last, step):
        numbers = range(start, start + step)
        cache.remember(
            settings, {digest_of(n): Prediction(f"said {n}", n / 7, float(n)) for n in numbers}, "m"
        )
        print(start + step, flush=True)
        if len(sys.argv) > 5:
            cache.close()
"""


def start_writer(folder: Path, first: int, last: int, step: int, *more: str) -> subprocess.Popen:
    arguments = [str(folder), str(first), str(last), str(step), *more]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WRITER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def release(*writers: subprocess.Popen) -> None:
    """Let writers go, all at one moment."""
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()


@pytest.mark.parametrize("closing", [[], ["closing"]])
def test_processes_write_at_once(
    cache: PredictionCache, tmp_path: Path, closing: list[str]
) -> None:
    """All of them begin with no file; some let go of it after each transaction."""
    writers = [start_writer(tmp_path, n * 1000, n * 1000 + 200, 10, *closing) for n in range(6)]
    release(*writers)
    for writer in writers:
        _, complaints = writer.communicate(timeout=60)
        assert (writer.returncode, complaints) == (0, "")
    made = {}
    for number in range(6):
        made |= predictions(range(number * 1000, number * 1000 + 200))
    assert cache.known(SETTINGS, digests(range(6000))) == made


def test_threads_write_and_read_at_once(cache: PredictionCache) -> None:
    def work(thread: int) -> int:
        for start in range(thread * 1000, thread * 1000 + 200, 20):
            made = predictions(range(start, start + 20))
            cache.remember(SETTINGS, made, "m")
            assert cache.known(SETTINGS, made) == made
        return thread

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
    assert len(cache.entries()) == 800


def test_kill_9_loses_nothing_that_was_remembered(tmp_path: Path) -> None:
    chance = random.Random(4)
    promised = 0
    for _ in range(8):
        writer = start_writer(tmp_path, promised, promised + 10**6, 100)
        release(writer)
        promised = int(writer.stdout.readline())
        time.sleep(chance.uniform(0, 0.1))
        writer.kill()
        said, complaints = writer.communicate(timeout=30)
        assert (writer.returncode, complaints) == (-signal.SIGKILL, "")
        promised = int(said.split("\n")[-2]) if "\n" in said else promised
        cache = PredictionCache(tmp_path, 100 * MEGABYTE)
        found = cache.known(SETTINGS, digests(range(promised + 100)))
        # The last transaction may have been committed and not yet told of; half of it never is.
        assert len(found) in (promised, promised + 100)
        assert found == predictions(range(len(found)))
        cache.close()
        with_sqlite = sqlite3.connect(database(tmp_path))
        assert with_sqlite.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with_sqlite.close()
    assert promised >= 800


def test_kill_9_while_the_file_is_made_leaves_one_to_use(tmp_path: Path) -> None:
    for number in range(4):
        workspace = tmp_path / str(number)
        writer = start_writer(workspace, 0, 10**6, 100)
        release(writer)
        while not database(workspace).exists():
            assert writer.poll() is None
        time.sleep(number * 0.002)
        writer.kill()
        _, complaints = writer.communicate(timeout=30)
        assert complaints == ""
        cache = PredictionCache(workspace, 100 * MEGABYTE)
        cache.remember(SETTINGS, predictions(range(3)), "m")
        assert cache.known(SETTINGS, digests(range(3))) == predictions(range(3))
        cache.close()


def test_a_failure_within_remember_keeps_none_of_it(
    cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.remember(SETTINGS, predictions(range(5)), "m")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "evict", stop)
        with pytest.raises(KeyboardInterrupt):
            cache.remember(SETTINGS, predictions(range(5, 10)), "m")
    assert cache.known(SETTINGS, digests(range(10))) == predictions(range(5))
    cache.remember(SETTINGS, predictions(range(5, 10)), "m")
    assert cache.known(SETTINGS, digests(range(10))) == predictions(range(10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_opens_the_file_anew(tmp_path: Path) -> None:
    code = """
        import os, sys, threading
        from pathlib import Path
        from thanosql_dbapi.cache import PredictionCache, Settings
        from thanosql_dbapi.models.base import Prediction

        settings = Settings("model", "{}", "full", 1)
        cache = PredictionCache(Path(sys.argv[1]), 10**8)
        cache.remember(settings, {"parent": Prediction("parent")}, "m")
        theirs = cache._file._connection
        held = threading.Event()

        def hold():
            with cache._file._lock:
                held.set()
                done.wait()

        done = threading.Event()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if child == 0:
            threading.Timer(20, os._exit, [9]).start()
            assert list(cache.known(settings, ["parent", "child"])) == ["parent"]
            assert cache._file._connection is not theirs
            cache.remember(settings, {"child": Prediction("child")}, "m")
            cache.close()
            os._exit(0)
        done.set()
        assert os.waitpid(child, 0)[1] == 0
        cache.remember(settings, {"after": Prediction("after")}, "m")
        print(sorted(cache.known(settings, ["parent", "child", "after"])))
    """
    done = subprocess.run(
        # Python 3.12 and later warn of a fork beside threads: that is what is tested.
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("['after', 'child', 'parent']\n", "")


# --- a file that cannot be used ---------------------------------------------------------------


def spoil_all(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def spoil_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(content)


def write_sql(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def spoil_version(path: Path) -> None:
    write_sql(path, "PRAGMA user_version = 999")


def spoil_owner(path: Path) -> None:
    path.unlink()
    write_sql(path, "CREATE TABLE predictions (theirs)")


def spoil_prediction(path: Path) -> None:
    write_sql(path, "UPDATE predictions SET prediction = CAST('[1' AS BLOB)")


def spoil_prediction_shape(path: Path) -> None:
    write_sql(path, "UPDATE predictions SET prediction = CAST('[1]' AS BLOB)")


def spoil_prediction_type(path: Path) -> None:
    write_sql(path, "UPDATE predictions SET prediction = 'text'")


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_all,
        spoil_pages,
        spoil_version,
        spoil_owner,
        spoil_prediction,
        spoil_prediction_shape,
        spoil_prediction_type,
    ],
)
def test_a_damaged_file_is_put_aside(cache: PredictionCache, tmp_path: Path, spoil: Any) -> None:
    cache.remember(SETTINGS, predictions(range(500)), "m")
    cache.close()
    spoil(database(tmp_path))
    damaged = database(tmp_path).read_bytes()
    with pytest.warns(RuntimeWarning, match="is damaged .* and a new one begins") as caught:
        assert cache.known(SETTINGS, digests(range(500))) == {}
    assert len(caught) == 1
    aside = tmp_path / "cache" / "predictions.damaged.sqlite"
    assert aside.read_bytes() == damaged
    cache.remember(SETTINGS, predictions(range(3)), "m")
    assert cache.known(SETTINGS, digests(range(500))) == predictions(range(3))
    cache.close()
    names = {path.name for path in database(tmp_path).parent.iterdir()}
    assert names <= {"predictions.sqlite", "predictions.damaged.sqlite", "predictions.lock"}


def test_the_log_of_a_damaged_file_goes_with_it(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "m")
    log = database(tmp_path).with_name("predictions.sqlite-wal")
    cache.close()
    cache._file._inode = database(tmp_path).stat().st_ino
    log.write_bytes(b"left by a process that was killed")
    with pytest.warns(RuntimeWarning, match="is damaged"):
        cache._file._put_aside(OSError("as seen while reading"))
    assert not log.exists()
    assert (tmp_path / "cache" / "predictions.damaged.sqlite-wal").exists()


def test_a_file_that_is_completed_at_this_moment_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    looking = sqlite3.connect(path, isolation_level=None)
    making = sqlite3.connect(path, isolation_level=None)
    seen: list[str] = []

    def complete_before_the_second_look(statement: str) -> None:
        seen.append(statement)
        if len(seen) == 2:
            schema.create(making)

    looking.set_trace_callback(complete_before_the_second_look)
    assert schema.is_complete(looking)
    assert len(seen) == 3
    looking.close()
    making.close()


def test_a_file_that_another_one_replaced_is_left(cache: PredictionCache, tmp_path: Path) -> None:
    """Two find the damage; the second one does not put the first one's new file aside."""
    cache.remember(SETTINGS, predictions(range(3)), "m")
    other = PredictionCache(tmp_path, MEGABYTE)
    assert other.count(SETTINGS, [digest_of(1)]) == 1
    database(tmp_path).rename(tmp_path / "aside")
    cache.remember(SETTINGS, predictions(range(7, 9)), "m")
    other._file._put_aside(OSError("as seen before the other one repaired it"))
    assert other.known(SETTINGS, digests(range(10))) == predictions(range(7, 9))
    other.close()


def test_a_file_that_was_deleted_is_begun_anew(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "m")
    for path in database(tmp_path).parent.iterdir():
        path.unlink()
    assert cache.known(SETTINGS, digests(range(3))) == {}
    cache.remember(SETTINGS, predictions(range(2)), "m")
    cache.close()
    assert len(cache.entries()) == 2


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = PredictionCache(tmp_path, MEGABYTE)
    assert cache.known(SETTINGS, ["d"]) == {}
    with pytest.warns(RuntimeWarning, match="predictions are made without the cache") as caught:
        cache.remember(SETTINGS, predictions(range(3)), "m")
    assert len(caught) == 1
    cache.note_digests({"i": "d"})
    cache.note_speed("m", "cpu", "full", 1, 1)
    assert cache.known(SETTINGS, digests(range(3))) == {}
    assert cache.clear() == 0
    cache._file._silent_until = 0.0  # tried again, and not told again
    cache.remember(SETTINGS, predictions(range(3)), "m")
    assert cache.known(SETTINGS, digests(range(3))) == {}


def test_a_lock_that_is_not_given_back_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "TIMEOUT_S", 0.05)
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, predictions(range(3)), "m")
    holder = sqlite3.connect(database(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert len(cache.known(SETTINGS, digests(range(3)))) == 3
    with pytest.warns(RuntimeWarning, match="database is locked") as caught:
        cache.remember(SETTINGS, predictions(range(3, 6)), "m")
    assert len(caught) == 1
    cache.remember(SETTINGS, predictions(range(3, 6)), "m")
    holder.execute("ROLLBACK")
    holder.close()
    assert cache.known(SETTINGS, digests(range(3))) == {}  # still left alone
    monkeypatch.setattr(cache._file, "_silent_until", 0.0)
    assert len(cache.known(SETTINGS, digests(range(3)))) == 3
    cache.close()


def test_a_use_that_cannot_be_noted_is_still_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(rows, "TOUCH_AFTER_S", -1)
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, predictions(range(3)), "m")
    holder = sqlite3.connect(database(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert len(cache.known(SETTINGS, digests(range(3)))) == 3
    holder.close()
    cache.close()


def test_a_full_disk_costs_one_warning_and_no_entry(cache: PredictionCache) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "m")
    assert cache._file._connection is not None
    cache._file._connection.execute("PRAGMA max_page_count = 30").fetchall()
    with pytest.warns(RuntimeWarning, match="disk is full") as caught:
        cache.remember(SETTINGS, predictions(range(3, 1000), "x" * 500), "m")
    assert len(caught) == 1
    cache.close()
    assert cache.count(SETTINGS, digests(range(1000))) == 3


def test_a_mistake_of_a_program_is_not_hidden(cache: PredictionCache) -> None:
    with pytest.raises(TypeError):
        cache.remember(SETTINGS, {"d": Prediction(b"bytes")}, "m")  # type: ignore[arg-type]
    cache.remember(SETTINGS, predictions(range(1)), "m")
    with pytest.raises(sqlite3.Error, match="type 'tuple' is not supported"):
        cache.known(SETTINGS, [("d",)])  # type: ignore[list-item]


# --- letting go -------------------------------------------------------------------------------


def open_files(workspace: Path) -> list[str]:
    here = [Path(found.path) for found in psutil.Process().open_files()]
    return [path.name for path in here if path.is_relative_to(workspace)]


def test_close_lets_go_of_the_file(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "m")
    assert open_files(tmp_path) != []
    cache.close()
    cache.close()
    assert open_files(tmp_path) == []
    assert len(cache.known(SETTINGS, digests(range(3)))) == 3


def test_a_cache_that_nobody_closed_lets_go_too(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path, MEGABYTE)
    cache.remember(SETTINGS, predictions(range(3)), "m")
    del cache
    assert open_files(tmp_path) == []


def test_another_thread_may_close(cache: PredictionCache, tmp_path: Path) -> None:
    cache.remember(SETTINGS, predictions(range(3)), "m")
    closing = threading.Thread(target=cache.close)
    closing.start()
    closing.join()
    assert open_files(tmp_path) == []


def test_sqlite_is_loaded_when_it_is_needed() -> None:
    code = "import sys, thanosql_dbapi.cache; print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"


# --- the digest of a version ------------------------------------------------------------------

FACTS_OF_M: dict[str, Any] = {
    "name": "m",
    "version": 1,
    "created_utc": "2026-01-01T00:00:00+00:00",
    "base": "Echo",
    "text_case": "lower",
    "seconds": 1.5,
    "epoch_losses": [2.0, 1.0],
}


def make_version(folder: Path, weights: bytes = b"weights", **facts: Any) -> Version:
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    (folder / FACTS).write_text("whatever")
    settle(folder)
    return Version("m", 1, folder, FACTS_OF_M | facts)


def settle(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rely on files at once, although they are new."""
    monkeypatch.setattr(store, "SETTLED_AFTER_S", -1)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tell which files are read."""
    names: list[str] = []
    real = hashlib.file_digest

    def file_digest(file: Any, algorithm: str) -> Any:
        names.append(Path(file.name).name)
        return real(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return names


@pytest.mark.usefixtures("settled")
def test_a_copy_and_another_name_have_the_same_digest(
    cache: PredictionCache, tmp_path: Path
) -> None:
    first = version_digest(cache, make_version(tmp_path / "1"))
    measured = {"seconds": 9, "epoch_losses": [3.0], "audio_seconds": 5}
    named = {"name": "n", "version": 7, "created_utc": "2027-01-01T00:00:00+00:00"}
    assert version_digest(cache, make_version(tmp_path / "2", **named, **measured)) == first
    (tmp_path / "1").rename(tmp_path / "3")
    (tmp_path / "3" / FACTS).write_text("something else")
    assert version_digest(cache, Version("x", 2, tmp_path / "3", FACTS_OF_M)) == first


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "facts",
    [{"base": "Other"}, {"text_case": None}, {"options": {"max_epochs": 6}}, {"unheard_of": 1}],
)
def test_a_fact_that_may_decide_makes_another_digest(
    cache: PredictionCache, tmp_path: Path, facts: dict[str, Any]
) -> None:
    first = version_digest(cache, make_version(tmp_path / "1"))
    assert version_digest(cache, make_version(tmp_path / "2", **facts)) != first


@pytest.mark.usefixtures("settled")
def test_a_byte_of_the_weights_makes_another_digest(cache: PredictionCache, tmp_path: Path) -> None:
    version = make_version(tmp_path / "1")
    first = version_digest(cache, version)
    time.sleep(0.02)  # two ticks of a file system's clock
    (version.folder / "model.safetensors").write_bytes(b"weighty")
    changed = version_digest(cache, version)
    assert changed != first
    (version.folder / "tokenizer" / "vocab.json").rename(version.folder / "vocab.json")
    assert version_digest(cache, version) not in (first, changed)
    assert len(first) == 64


@pytest.mark.usefixtures("settled")
def test_a_version_is_read_once(cache: PredictionCache, tmp_path: Path, hashed: list[str]) -> None:
    version = make_version(tmp_path / "1")
    first = version_digest(cache, version)
    assert sorted(hashed) == ["model.safetensors", "vocab.json"]
    assert version_digest(cache, version) == first
    assert len(hashed) == 2
    cache.close()
    later = PredictionCache(tmp_path, MEGABYTE)  # as another process would
    assert version_digest(later, version) == first
    assert len(hashed) == 2
    later.close()


@pytest.mark.usefixtures("settled")
def test_a_version_is_read_once_without_a_file(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = PredictionCache(tmp_path, MEGABYTE)
    version = make_version(tmp_path / "1")
    with pytest.warns(RuntimeWarning, match="without the cache"):
        first = version_digest(cache, version)
    assert version_digest(cache, version) == first
    assert len(hashed) == 2


def test_a_file_that_just_changed_is_read_again(
    cache: PredictionCache, tmp_path: Path, hashed: list[str]
) -> None:
    """Its times could be the same after the next change."""
    version = make_version(tmp_path / "1")
    version_digest(cache, version)
    version_digest(cache, version)
    assert len(hashed) == 4
