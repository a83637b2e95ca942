"""BUILD and FIT: checked first, resumed after a crash, refused when they made garbage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from echo import Echo
from speech_fixtures import make_checkpoint, write_tones

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    DataError,
    ModelExists,
    ModelNotFound,
    OperationalError,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
)
from thanosql_dbapi.assets import RECORDINGS
from thanosql_dbapi.exceptions import ColumnNotFound, ModelRefused
from thanosql_dbapi.options import OptionSpec
from thanosql_dbapi.progress import ProgressEvent

#: A random model hears nothing.
pytestmark = pytest.mark.filterwarnings(
    "ignore:texts of other recordings", "ignore:texts and recordings may not"
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
ROWS = 12
#: A random model learns nothing in these few steps: it is brought into force all the same.
OPTIONS = "max_epochs=3, batch_size=4, learning_rate=0.001, publish='always'"
BUILD = f"BUILD MODEL m USING Wav2Vec2En OPTIONS ({OPTIONS}) AS SELECT * FROM calls"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint, and twelve files of tones."""
    folder = tmp_path_factory.mktemp("speech")
    make_checkpoint(folder / "random", group_norm=False, letters=LETTERS)
    for index in range(ROWS):
        write_tones(folder / f"{index}.wav", 0.8 + index / 20, seed=index)
    return folder


@pytest.fixture
def spoken(speech: Path, tmp_path: Path) -> Iterator[Connection]:
    with connect(speech, tmp_path / "calls.db") as opened:
        yield opened


def connect(speech: Path, database: Path, progress: Any = False) -> Connection:
    opened = thanosql_dbapi.connect(
        database, root=speech, checkpoints={"Wav2Vec2En": "random"}, progress=progress
    )
    opened.execute(
        "CREATE TABLE IF NOT EXISTS calls AS SELECT i || '.wav' AS audio_path,"
        f" 'hello number ' || chr(97 + i::INTEGER) AS text FROM range({ROWS}) r(i)"
    )
    return opened


def rows(cursor: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def lineage(connection: Connection, name: str = "m") -> dict[str, Any]:
    return rows(connection.execute(f"SELECT * FROM thanosql_lineage('{name}')"))[0]


# --- before ---------------------------------------------------------------------------------


def test_check_only_returns_what_is_found_and_trains_nothing(spoken: Connection) -> None:
    spoken.execute("INSERT INTO calls VALUES ('gone.wav', 'hello'), ('0.wav', 'other 5')")
    asked = BUILD.replace("OPTIONS (", "OPTIONS (check_only=True, ")
    found = rows(spoken.execute(asked))
    assert list(found[0]) == [
        "kind", "severity", "row", "name", "detail", "held_out"
    ]  # fmt: skip
    errors = [each for each in found if each["severity"] == "error"]
    assert [(each["row"], each["name"]) for each in errors] == [(13, "gone.wav")]
    assert any(each["row"] == 14 and each["severity"] == "warning" for each in found)
    assert any(each["kind"] == "spelled numbers" for each in found)
    assert spoken.execute("LIST MODEL").fetchall() == []
    assert not list((spoken.workspace / "staging").glob("*"))
    assert not list((spoken.workspace / "training").glob("*/*"))


def test_rows_that_cannot_be_trained_on_are_all_named_at_once(spoken: Connection) -> None:
    spoken.execute("INSERT INTO calls VALUES ('gone.wav', 'hello'), ('1.wav', NULL), ('2.wav', '')")
    with pytest.raises(DataError) as caught:
        spoken.execute(BUILD)
    told = str(caught.value)
    assert "row 13 'gone.wav'" in told
    assert "row 14 '1.wav', row 15 '2.wav'" in told
    assert "on_error='skip'" in told
    assert spoken.execute("LIST MODEL").fetchall() == []


def test_on_error_skip_trains_on_the_others_and_warns(spoken: Connection) -> None:
    spoken.execute("INSERT INTO calls VALUES ('gone.wav', 'hello')")
    asked = BUILD.replace("OPTIONS (", "OPTIONS (on_error='skip', validation=0, ")
    with pytest.warns(UserWarning, match="missing audio in 1 row .row 13 'gone.wav'"):
        spoken.execute(asked)
    assert lineage(spoken)["rows"] == ROWS
    found = rows(spoken.execute("SELECT * FROM thanosql_findings('m') WHERE severity = 'error'"))
    assert [each["name"] for each in found] == ["gone.wav"]


def test_where_no_row_is_left_nothing_is_trained_whatever_is_skipped(spoken: Connection) -> None:
    spoken.execute("CREATE TABLE gone AS SELECT 'gone.wav' AS audio_path, 'five' AS text")
    asked = BUILD.replace("OPTIONS (", "OPTIONS (on_error='skip', {}")
    for option, source, why in (
        ("", "gone", "no row is left"),
        ("max_duration_s=0.1, ", "calls", "no row is left"),
        ("validation='FROM gone', ", "calls", "no row of the validation query"),
    ):
        with pytest.raises(DataError, match=why):
            spoken.execute(asked.format(option).replace("FROM calls", f"FROM {source}"))
    assert spoken.execute("LIST MODEL").fetchall() == []


def test_rows_that_cannot_be_trained_on_leave_no_waveforms(spoken: Connection) -> None:
    spoken.execute("INSERT INTO calls VALUES ('gone.wav', 'hello')")
    with pytest.raises(DataError):
        spoken.execute(BUILD)
    assert not list((spoken.workspace / "training").glob("*"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_null_path_is_a_row_without_audio(spoken: Connection) -> None:
    spoken.execute("INSERT INTO calls VALUES (NULL, 'hello'), ('gone.wav', 'hello')")
    with pytest.raises(DataError, match="in 2 rows .row 13 'NULL', row 14 'gone.wav'"):
        spoken.execute(BUILD)
    spoken.execute(BUILD.replace("OPTIONS (", "OPTIONS (on_error='skip', validation=0, "))
    assert lineage(spoken)["rows"] == ROWS


@pytest.mark.parametrize(
    ("validation", "held_out"),
    [
        ("0.25", 3),
        ("0", 0),
        ("'auto'", 1),
        ("'SELECT * FROM calls LIMIT 4; '", 4),
        ("'SELECT * FROM (PREDICT USING voice_tiny AS FROM calls LIMIT 2)'", 2),
    ],
)
@pytest.mark.filterwarnings("ignore:held-out audio in training", "ignore:the model is worse")
def test_validation_is_a_part_or_a_query(
    spoken: Connection, validation: str, held_out: int
) -> None:
    asked = BUILD.replace("OPTIONS (", f"OPTIONS (validation={validation}, ")
    spoken.execute(asked.replace("max_epochs=3", "max_epochs=1"))
    facts = lineage(spoken)
    assert facts["held_out_rows"] == held_out
    given = ROWS if "SELECT" in validation else ROWS - held_out
    assert facts["rows"] == given


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("validation='SELECT 1; SELECT 2'", ProgrammingError, "syntax"),
        ("validation='LIST MODEL; LIST MODEL'", OptionError, "one query"),
        ("validation='DELETE MODEL m'", OptionError, "one query"),
        ("validation='SELECT audio_path FROM calls'", ColumnNotFound, "^validation=.*text_col"),
        ("validation='20%'", ProgrammingError, "validation='20%': "),
        ("validation='FROM calls LIMIT 0'", ProgrammingError, "query of validation returns no"),
        ("validation=1.5", OptionError, "at most 0.9"),
        ("augmentation='loud'", OptionError, "'speed'"),
        ("augmentation=['speed', 'loud']", OptionError, "list of such texts"),
        ("warmup_ratio=2", OptionError, "at most 1"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_read(
    spoken: Connection, options: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        spoken.execute(f"BUILD MODEL m USING Wav2Vec2En OPTIONS ({options}) AS FROM calls")


# --- a crash --------------------------------------------------------------------------------


def at_step(step: int, act: Any) -> Any:
    def tell(event: ProgressEvent) -> None:
        if event.activity == "train" and event.done == step:
            act()

    return tell


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(speech: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with connect(speech, tmp_path / "whole.db") as whole:
        whole.execute(BUILD)
        wanted = lineage(whole)["weights_digest"]
    with connect(speech, tmp_path / "cut.db", at_step(5, interrupt)) as cut:
        with pytest.raises(KeyboardInterrupt) as caught:
            cut.execute(BUILD)
        assert "after step 5 of 9; the same statement goes on" in caught.value.__notes__[0]
        seen = rows(cut.execute("SELECT * FROM thanosql_training('m')"))
        assert {each["state"] for each in seen} == {"interrupted"}
        assert [each["step"] for each in seen] == [1, 2, 3, 4, 5]
        assert cut.execute("LIST MODEL").fetchall() == []
    steps: list[float] = []
    note = lambda event: steps.append(event.done) if event.activity == "train" else None  # noqa: E731
    with connect(speech, tmp_path / "cut.db", note) as again:
        again.execute(BUILD)
        assert min(steps) > 1
        assert lineage(again)["weights_digest"] == wanted
        seen = rows(again.execute("SELECT * FROM thanosql_training('m')"))
        assert [each["step"] for each in seen] == list(range(1, 10))
        assert not list((again.workspace / "training").glob("*/*"))


PROGRAM = """
import os, signal, sys, thanosql_dbapi
step, database, root, sql = int(sys.argv[1]), *sys.argv[2:]
def tell(event):
    if event.activity == "train" and event.done == step:
        os.kill(os.getpid(), signal.SIGKILL)
with thanosql_dbapi.connect(
    database, root=root, checkpoints={"Wav2Vec2En": "random"}, progress=tell
) as connection:
    connection.execute(sql)
"""


def test_a_killed_build_is_dead_at_once_and_ends_as_if_it_had_not_been(
    speech: Path, tmp_path: Path
) -> None:
    with connect(speech, tmp_path / "whole.db") as whole:
        whole.execute(BUILD)
        wanted = lineage(whole)["weights_digest"]
    connect(speech, tmp_path / "cut.db").close()
    for step in (4, 7):
        command = [sys.executable, "-c", PROGRAM, str(step), str(tmp_path / "cut.db"), str(speech)]
        killed = subprocess.run([*command, BUILD], capture_output=True, timeout=120)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    with connect(speech, tmp_path / "cut.db") as again:
        seen = rows(again.execute("SELECT * FROM thanosql_training('m')"))
        assert {each["state"] for each in seen} == {"dead"}
        again.execute(BUILD)
        assert lineage(again)["weights_digest"] == wanted


def test_several_processes_train_one_model(spoken: Connection) -> None:
    asked = BUILD.replace("OPTIONS (", "OPTIONS (devices=2, ").replace("max_epochs=3", "epochs=1")
    assert spoken.execute(asked).fetchone()[:4] == ("m", 1, "Wav2Vec2En", ROWS)
    seen = rows(spoken.execute("SELECT * FROM thanosql_training('m')"))
    assert [each["step"] for each in seen] == [1, 2, 3]


def test_several_processes_that_diverge_are_refused(speech: Path, tmp_path: Path) -> None:
    with connect(speech, tmp_path / "calls.db") as opened:
        asked = BUILD.replace("learning_rate=0.001, publish='always'", "learning_rate=1e30")
        with pytest.raises(ModelRefused, match="diverged"):
            opened.execute(asked.replace("OPTIONS (", "OPTIONS (devices=2, "))


def test_resume_false_starts_over(speech: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with connect(speech, tmp_path / "cut.db", at_step(5, interrupt)) as cut:
        with pytest.raises(KeyboardInterrupt):
            cut.execute(BUILD)
    steps: list[float] = []
    note = lambda event: steps.append(event.done) if event.activity == "train" else None  # noqa: E731
    with connect(speech, tmp_path / "cut.db", note) as again:
        again.execute(BUILD.replace("OPTIONS (", "OPTIONS (resume=False, "))
    assert min(steps) == 1


def test_resume_false_does_not_disturb_the_same_training(
    connection: Connection, echo: Echo
) -> None:
    resume = OptionSpec("resume", bool, True, "go on")
    options = echo.options
    echo.options = lambda verb: (*options(verb), resume)  # type: ignore[method-assign]
    build = "BUILD MODEL slow USING Echo OPTIONS (resume=False) AS FROM t LIMIT 3"

    def again(training: Any) -> None:
        with pytest.raises(OperationalError, match="'slow' is being trained already"):
            connection.cursor().execute(build)

    echo.on_train = again
    connection.execute(build)
    echo.on_train = lambda training: training.check()
    connection.execute(build.replace("resume=False", "resume=False, overwrite=True"))


def test_other_rows_or_options_are_another_training(speech: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with connect(speech, tmp_path / "cut.db", at_step(5, interrupt)) as cut:
        with pytest.raises(KeyboardInterrupt):
            cut.execute(BUILD)
    steps: list[float] = []
    note = lambda event: steps.append(event.done) if event.activity == "train" else None  # noqa: E731
    with connect(speech, tmp_path / "cut.db", note) as again:
        again.execute(f"{BUILD} WHERE audio_path <> '3.wav'")
    assert min(steps) == 1


# --- meanwhile ------------------------------------------------------------------------------


def test_others_go_on_and_see_how_far_it_is(
    connection: Connection, echo: Echo, tmp_path: Path
) -> None:
    on, done = threading.Event(), threading.Event()

    def wait(training: Any) -> None:
        on.set()
        assert done.wait(20)

    echo.on_train = wait
    building = threading.Thread(
        target=connection.execute, args=("BUILD MODEL slow USING Echo AS FROM t LIMIT 3",)
    )
    building.start()
    try:
        assert on.wait(20)
        other = thanosql_dbapi.connect(workspace=connection.workspace)
        seen = rows(other.execute("SELECT * FROM thanosql_training('slow')"))
        assert [(each["state"], each["step"]) for each in seen] == [("training", None)]
        with pytest.raises(OperationalError, match="trained already"):
            # The very rows and options, in the same workspace.
            connection.cursor().execute("BUILD MODEL slow USING Echo AS FROM t LIMIT 3")
        other.close()
    finally:
        done.set()
        building.join(20)
    assert connection.execute("SELECT name FROM (LIST MODEL)").fetchall() == [("m",), ("slow",)]


def test_an_interrupt_from_another_thread_says_how_to_go_on(
    connection: Connection, echo: Echo
) -> None:
    echo.on_train = lambda training: connection.interrupt()
    with pytest.raises(QueryInterrupted, match="training of 'slow' was interrupted"):
        connection.execute("BUILD MODEL slow USING Echo AS FROM t LIMIT 3")


# --- the gate -------------------------------------------------------------------------------

GARBAGE = "the model writes nothing at all"


def test_a_refused_first_model_is_kept_and_does_not_take_the_name(
    connection: Connection, echo: Echo
) -> None:
    echo.refusal = GARBAGE
    build = "BUILD MODEL n USING Echo AS FROM t LIMIT 3"
    with pytest.raises(ModelRefused, match=GARBAGE) as caught:
        connection.execute(build)
    assert caught.value.version == "n@1"
    for way in ('PREDICT USING "n@1"', "thanosql_rollback('n', 1)", "publish='always'"):
        assert way in str(caught.value)
    with pytest.raises(ModelNotFound, match="no version in force.*n@1"):
        connection.execute("PREDICT USING n AS FROM t LIMIT 1")
    listed = rows(connection.execute("LIST MODEL"))
    assert [(each["name"], each["published"]) for each in listed] == [("m", True), ("n", False)]
    assert connection.execute('PREDICT USING "n@1" AS FROM t LIMIT 1').fetchall()
    echo.refusal = None
    assert connection.execute(build).fetchone()[:2] == ("n", 2)


def test_a_refused_next_version_leaves_the_name_where_it_was(
    connection: Connection, echo: Echo
) -> None:
    build = "BUILD MODEL n USING Echo OPTIONS ({}) AS FROM t LIMIT 3"
    connection.execute(build.format("overwrite=False"))
    echo.refusal = GARBAGE
    with pytest.raises(ModelExists):
        connection.execute(build.format("overwrite=False"))
    with pytest.raises(ModelRefused, match="'n' still means version 1"):
        connection.execute(build.format("overwrite=True"))
    assert rows(connection.execute("SELECT * FROM thanosql_versions('n')"))
    current = "SELECT version FROM thanosql_versions('n') WHERE in_force"
    assert connection.execute(current).fetchall() == [(1,)]
    with pytest.warns(UserWarning, match=f"{GARBAGE}; it is in force all the same"):
        connection.execute(build.format("overwrite=True, publish='always'"))
    assert connection.execute(current).fetchall() == [(3,)]


POISON = {
    "a wild learning rate": ("learning_rate=1", "text", "diverged"),
    "a wilder one": ("learning_rate=1e30", "text", "diverged"),
    "texts of other rows": ("learning_rate=0.001", "lead(text, 7, text) OVER ()", "worse than"),
}


def test_texts_that_slipped_are_refused_though_those_held_out_slipped_too() -> None:
    with thanosql_dbapi.connect(root=RECORDINGS, progress=False) as opened:
        opened.execute("COPY calls FROM 'calls_train.csv'")
        slipped = "SELECT audio_path, lead(text, 7, text) OVER () AS text FROM calls"
        build = f"BUILD MODEL m USING Wav2Vec2Tiny OPTIONS (epochs=2, batch_size=4) AS {slipped}"
        with pytest.warns(UserWarning, match="texts of other recordings"):
            with pytest.raises(ModelRefused, match="may not belong together"):
                opened.execute(build)


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_training_is_refused(poison: str) -> None:
    options, text, why = POISON[poison]
    with thanosql_dbapi.connect(root=RECORDINGS, progress=False) as opened:
        opened.execute("COPY calls FROM 'calls_train.csv'; COPY calls_test FROM 'calls_test.csv'")
        build = (
            f"BUILD MODEL m USING Wav2Vec2Tiny OPTIONS ({options}, epochs=4, batch_size=4,"
            " validation='SELECT * FROM calls_test')"
            f" AS SELECT audio_path, {text} AS text FROM calls"
        )
        with warnings.catch_warnings(action="ignore"), pytest.raises(ModelRefused, match=why):
            opened.execute(build)
        assert rows(opened.execute("LIST MODEL"))[0]["published"] is False


def test_empty_texts_are_refused_before_any_training(spoken: Connection) -> None:
    with pytest.raises(DataError, match="no text in 12 rows"):
        spoken.execute(
            "BUILD MODEL m USING Wav2Vec2En AS SELECT audio_path, ' ' AS text FROM calls"
        )


# --- afterwards -----------------------------------------------------------------------------


def test_a_version_tells_what_it_was_made_from(spoken: Connection) -> None:
    spoken.execute(BUILD)
    facts = lineage(spoken)
    assert facts["query"] == "SELECT * FROM calls"
    assert json.loads(facts["options"])["batch_size"] == 4
    assert (facts["parent"], facts["base"], facts["seed"]) == (None, "Wav2Vec2En", 0)
    assert len(facts["data_digest"]) == len(facts["weights_digest"]) == 64
    assert set(json.loads(facts["metrics"])) >= {"wer", "base_wer", "greedy_wer"}
    assert facts["decoder"] in ("greedy", "beam")
    assert facts["device"] == "cpu"


@pytest.mark.filterwarnings("ignore:few rows")
def test_fit_goes_on_from_a_version_and_remembers_all_rows(spoken: Connection) -> None:
    few = "SELECT * FROM calls WHERE audio_path < '4'"
    spoken.execute(BUILD.replace("OPTIONS (", "OPTIONS (validation=0, "))
    spoken.execute(f"FIT MODEL n USING m OPTIONS ({OPTIONS}, validation=0) AS {few}")
    generations = rows(spoken.execute("SELECT * FROM thanosql_lineage('n')"))
    assert [each["version"] for each in generations] == ["n@1", "m@1"]
    assert generations[0]["parent"] == "m@1"
    seen = spoken._session.workspace.registry.resolve("n").folder / "about" / "rows.txt"
    assert len(seen.read_text().split()) == ROWS


def test_the_same_data_options_and_seed_give_the_same_weights(
    spoken: Connection, speech: Path
) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        asked = BUILD.replace("MODEL m", f"MODEL {name}").replace("(", f"(seed={seed}, ", 1)
        spoken.execute(asked)
        digests.append(lineage(spoken, name)["weights_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_a_failed_build_says_so_in_its_journal(connection: Connection, echo: Echo) -> None:
    def fail(training: Any) -> None:
        raise OperationalError("the disk is on fire")

    echo.on_train = fail
    with pytest.raises(OperationalError, match="on fire"):
        connection.execute("BUILD MODEL n USING Echo AS FROM t LIMIT 3")
    seen = rows(connection.execute("SELECT * FROM thanosql_training('n')"))
    assert [(each["state"], each["message"]) for each in seen] == [
        ("failed", "the disk is on fire")
    ]
