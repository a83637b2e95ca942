"""What PREDICT gives beside the text, what failing rows do, and what is never computed twice."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    MediaError,
    ModelNotFound,
    OptionError,
    ProgrammingError,
)
from thanosql_dbapi.models.base import Prediction

FILES = 200


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of files, each with its own content."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"f{number:03}").write_bytes(b"%d" % number * 7)
    return folder


@pytest.fixture
def filled(connection: Connection, files: Path) -> Connection:
    """The connection of the other tests, with a table `calls` of those files."""
    connection.execute(
        "CREATE TABLE calls AS SELECT i AS id, 'files/f' || format('{:03d}', i) AS audio_path,"
        f" i % 10 AS region FROM range({FILES}) r(i)"
    )
    return connection


def rows(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


# More columns


def test_score_words_and_chunks_are_typed_columns(connection: Connection) -> None:
    cursor = connection.execute(
        "PREDICT USING m OPTIONS (score_col='score', words_col='words') AS"
        " SELECT 'a b' AS audio_path"
    )
    word = "STRUCT(word VARCHAR, start_s DOUBLE, end_s DOUBLE, score DOUBLE)[]"
    assert [(c.name, c.type_code) for c in cursor.description] == [
        ("audio_path", "VARCHAR"),
        ("predicted", "VARCHAR"),
        ("score", "DOUBLE"),
        ("words", word),
    ]
    spoken = [
        {"word": "A", "start_s": 0.0, "end_s": 1.0, "score": 0.5},
        {"word": "B", "start_s": 0.0, "end_s": 1.0, "score": 0.5},
    ]
    assert cursor.fetchall() == [("a b", "A B", 0.5, spoken)]
    ((chunks,),) = rows(
        connection,
        "SELECT predicted FROM (PREDICT USING m OPTIONS (return='chunks') AS"
        " SELECT 'a' AS audio_path)",
    )
    assert chunks == [{"text": "A", "start_s": 0.0, "end_s": 1.0, "score": 0.5}]


def test_several_columns_of_one_prediction_cost_one(connection: Connection, echo: Echo) -> None:
    sql = (
        "SELECT predicted, score, len(words) FROM (PREDICT USING m OPTIONS (score_col='score',"
        " words_col='words', cache=False) AS SELECT * FROM t WHERE id < 3000)"
        " WHERE score > 0.1 ORDER BY score, id LIMIT 7"
    )
    assert rows(connection, sql) == [(f"P{i}", 0.5, 1) for i in range(7)]
    assert len(echo.asked) == 3000 == len(set(echo.asked))


def test_a_view_keeps_all_columns(connection: Connection, echo: Echo) -> None:
    connection.execute(
        "CREATE VIEW heard AS PREDICT USING m OPTIONS (score_col='score', words_col='words',"
        " on_error='null', error_col='why') AS SELECT * FROM t"
    )
    shown = rows(connection, "SELECT column_name, column_type FROM (DESCRIBE heard)")
    assert [name for name, _ in shown[-4:]] == ["predicted", "score", "words", "why"]
    assert echo.asked == []
    found = rows(connection, "SELECT predicted, score, words[1].word, why FROM heard WHERE id = 9")
    assert found == [("P9", 0.5, "P9", None)]
    assert echo.asked == ["p9"]


def test_what_nobody_reads_is_not_computed(connection: Connection, echo: Echo) -> None:
    sql = "SELECT count(*) FROM (PREDICT USING m OPTIONS (score_col='s') AS SELECT * FROM t)"
    assert rows(connection, sql) == [(20000,)]
    assert echo.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("score_col='id'", "the query has a column 'id' already; .*score_col"),
        ("score_col='Predicted'", "result_col names a column 'predicted' already; .*score_col"),
        ("score_col='x', words_col='X'", "score_col names a column 'x' already; .*words_col"),
    ],
)
def test_a_name_stands_once(connection: Connection, options: str, message: str) -> None:
    with pytest.raises(ProgrammingError, match=message):
        connection.execute(f"PREDICT USING m OPTIONS ({options}) AS SELECT * FROM t")


def test_a_blob_holds_the_medium_itself(connection: Connection, echo: Echo) -> None:
    sql = "SELECT id, predicted FROM (PREDICT USING m OPTIONS (audio_col='b') AS"
    found = rows(connection, f"{sql} SELECT 1 AS id, 'abc'::BLOB AS b UNION ALL SELECT 2, NULL)")
    assert [identity for identity, _ in found] == [1, 2]
    assert found[1] == (2, None)
    assert len(echo.asked) == 1


# Rows that fail


def test_null_costs_the_failing_row_alone(connection: Connection) -> None:
    cursor = connection.execute(
        "SELECT id, predicted, why FROM (PREDICT USING m OPTIONS (on_error='null',"
        " error_col='why') AS SELECT id, CASE WHEN id IN (7, 500) THEN 'bad' || id"
        " ELSE audio_path END AS audio_path FROM t WHERE id < 1000) ORDER BY id"
    )
    with pytest.warns(UserWarning, match="2 of 1000 files gave no prediction: 2 not audio"):
        found = cursor.fetchall()
    assert found == [
        (i, None, "not audio") if i in (7, 500) else (i, f"P{i}", None) for i in range(1000)
    ]
    ((kind, value),) = cursor.messages
    assert issubclass(kind, thanosql_dbapi.Warning)
    assert "2 of 1000 files" in str(value)


def test_a_table_of_failing_rows_warns_too(connection: Connection) -> None:
    cursor = connection.cursor()
    with pytest.warns(UserWarning, match="1 of 1 files"):
        cursor.execute(
            "CREATE TABLE kept AS PREDICT USING m OPTIONS (on_error='null') AS"
            " SELECT 'bad' AS audio_path"
        )
    assert len(cursor.messages) == 1
    assert rows(connection, "FROM kept") == [("bad", None)]


def test_raise_names_row_file_and_reason(connection: Connection) -> None:
    with pytest.raises(MediaError, match="^row 3: 'bad': bad on purpose\n") as caught:
        rows(connection, "PREDICT USING m AS FROM (VALUES ('a'), ('b'), ('bad')) v(audio_path)")
    assert caught.value.reason == "not audio"


def test_raise_keeps_what_was_done(filled: Connection, echo: Echo, files: Path) -> None:
    (files / "bad").write_bytes(b"x")
    sql = "PREDICT USING m AS SELECT * FROM calls UNION ALL SELECT 1000, 'files/bad', 0"
    with pytest.raises(MediaError, match="row 201: 'files/bad'"):
        rows(filled, sql)
    assert len(echo.asked) == FILES + 1
    rows(filled, "PREDICT USING m AS SELECT * FROM calls")
    assert len(echo.asked) == FILES + 1


def test_a_filter_on_the_prediction_does_not_number_rows_twice(connection: Connection) -> None:
    connection.execute("SET threads = 1")
    sql = (
        "SELECT predicted FROM (PREDICT USING m AS SELECT CASE WHEN id = 5000 THEN 'bad'"
        " ELSE audio_path END AS audio_path FROM t) WHERE predicted LIKE 'P%'"
    )
    with pytest.raises(MediaError, match="^row 5001: 'bad'"):
        rows(connection, sql)
    with pytest.raises(MediaError, match="^row 5001: 'bad'"):
        connection.execute(f"CREATE TABLE kept AS {sql}")


def test_null_in_one_predict_does_not_silence_another(connection: Connection) -> None:
    options = '{"on_error": "null"}'
    with pytest.raises(MediaError, match="'bad': bad on purpose"):
        rows(
            connection,
            f"SELECT thanosql_predict('m', p, options := '{options}'), thanosql_predict('m', p)"
            " FROM (SELECT 'bad' AS p FROM range(3))",
        )


BAD = "PREDICT USING m OPTIONS (on_error='null') AS SELECT 'bad' AS audio_path"


def test_each_statement_of_a_script_tells(connection: Connection) -> None:
    cursor = connection.cursor()
    with pytest.warns(UserWarning, match="1 of 1 files"):
        cursor.execute(f"CREATE TABLE one AS {BAD}; CREATE TABLE two AS {BAD}; SELECT 1")
    assert len(cursor.messages) == 2
    with pytest.raises(ProgrammingError), pytest.warns(UserWarning, match="1 of 1 files"):
        cursor.execute(f"CREATE TABLE three AS {BAD}; SELECT * FROM nowhere")
    assert len(cursor.messages) == 1


def test_a_statement_does_not_tell_what_the_last_one_had_to(connection: Connection) -> None:
    cursor = connection.execute(f"{BAD} UNION ALL SELECT audio_path FROM t")
    cursor.fetchone()
    with pytest.warns(UserWarning, match="gave no prediction"):
        cursor.execute("SELECT 1")
    assert cursor.messages == []


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_loses_no_rows(connection: Connection) -> None:
    cursor = connection.execute(f"{BAD} UNION ALL SELECT audio_path FROM t LIMIT 100")
    with pytest.raises(UserWarning, match="1 of 100 files"):
        cursor.fetchall()
    assert len(cursor.fetchall()) == 100
    cursor = connection.execute(f"{BAD} UNION ALL SELECT audio_path FROM t LIMIT 100")
    cursor.fetchone()
    assert rows(connection, "SELECT 1") == [(1,)]  # the rest is buffered
    assert len(cursor.fetchall()) == 99
    with pytest.raises(UserWarning, match="1 of 100 files"):
        cursor.fetchone()
    assert cursor.fetchone() is None


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_does_not_hide_another(connection: Connection) -> None:
    sql = "SELECT predicted::INTEGER FROM (" + BAD + " UNION ALL SELECT 'p1')"
    with pytest.raises(thanosql_dbapi.DataError):
        rows(connection, sql)
    assert rows(connection, "SELECT current_setting('streaming_buffer_size')") == [("10.0 MiB",)]


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_lets_a_connection_close(echo: Echo, tmp_path: Path) -> None:
    opened = thanosql_dbapi.connect(tmp_path / "d.db", root=tmp_path)
    publish_echo(opened, "m")
    cursor = opened.execute(f"{BAD} UNION ALL SELECT 'p' || i FROM range(5000) r(i)")
    cursor.fetchone()
    with pytest.raises(UserWarning):
        opened.close()
    # DuckDB refuses a second way to open a file that is still open.
    thanosql_dbapi.connect(tmp_path / "d.db", read_only=True).close()


def test_a_name_that_no_file_can_have_costs_its_row_alone(connection: Connection) -> None:
    sql = (
        "PREDICT USING voice_tiny OPTIONS (on_error='null', error_col='why') AS"
        " SELECT unnest([repeat('a', 5000), 'a' || chr(0), '']) AS audio_path"
    )
    with pytest.warns(UserWarning, match="3 of 3 files gave no prediction"):
        assert [row[1:] for row in rows(connection, sql)] == [(None, "missing")] * 3


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("PREDICT USING m AS SELECT 42 AS audio_path", ProgrammingError, "'audio_path' .* INTEGER"),
        ("EVALUATE USING m AS SELECT [1] AS audio_path, 'x' AS text", ProgrammingError, "INTEGER"),
        ("PREDICT USING Echo AS SELECT * FROM t", ModelNotFound, "BUILD MODEL m USING Echo"),
        ("PREDICT USING Whisper AS SELECT * FROM t", ModelNotFound, "GET THANOSQL MODEL whisper_l"),
    ],
)
def test_a_mistake_is_told_in_words(
    connection: Connection, sql: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        connection.execute(sql)


def test_a_warning_names_the_callers_line(connection: Connection) -> None:
    cursor = connection.execute("PREDICT USING m OPTIONS (on_error='null') AS SELECT 'bad' audio")
    with pytest.warns(UserWarning, match="1 of 1 files") as caught:
        cursor.fetchall()
    assert caught[0].filename == __file__


def test_error_col_needs_null(connection: Connection) -> None:
    with pytest.raises(OptionError, match="error_col .* needs on_error='null'"):
        connection.execute("PREDICT USING m OPTIONS (error_col='e') AS SELECT * FROM t")
    with pytest.raises(OptionError, match="on_error='ignore': the option takes 'raise' or 'null'"):
        connection.execute("PREDICT USING m OPTIONS (on_error='ignore') AS SELECT * FROM t")


def test_evaluate_leaves_failing_rows_out(connection: Connection) -> None:
    with pytest.warns(UserWarning, match="1 of 3 files"):
        scores = dict(
            rows(
                connection,
                "EVALUATE USING m OPTIONS (on_error='null') AS FROM (VALUES ('p1', 'P1'),"
                " ('bad', 'x'), ('p2', 'nothing')) v(audio_path, text)",
            )
        )
    assert (scores["utterances"], scores["audio_seconds"], scores["wer"]) == (2, 2.0, 0.5)


# The cache


def predict_all(connection: Connection, options: str = "") -> list[tuple[object, ...]]:
    return rows(
        connection,
        f"SELECT id, predicted FROM (PREDICT USING m {options} AS SELECT * FROM calls) ORDER BY id",
    )


def test_a_rerun_computes_nothing(filled: Connection, echo: Echo) -> None:
    first = predict_all(filled)
    assert len(echo.asked) == FILES
    assert predict_all(filled) == first
    assert len(echo.asked) == FILES


def test_new_rows_and_changed_files_cost_themselves(
    filled: Connection, echo: Echo, files: Path
) -> None:
    predict_all(filled)
    for number in range(10):
        (files / f"new{number}").write_bytes(b"new %d" % number)
    filled.execute("INSERT INTO calls SELECT 1000 + i, 'files/new' || i, 0 FROM range(10) r(i)")
    (files / "f007").write_bytes(b"another content")
    predict_all(filled)
    assert sorted(echo.asked[FILES:]) == ["f007", *(f"new{number}" for number in range(10))]


def test_a_renamed_copy_costs_nothing(filled: Connection, echo: Echo, files: Path) -> None:
    predict_all(filled)
    (files / "f003").rename(files / "moved")
    (files / "copy").write_bytes((files / "f004").read_bytes())
    found = rows(
        filled,
        "PREDICT USING m AS SELECT 'files/moved' AS audio_path UNION ALL SELECT 'files/copy'",
    )
    # The echo model says the name it was asked for: it was not asked again.
    assert found == [("files/moved", "F003"), ("files/copy", "F004")]
    assert len(echo.asked) == FILES


def test_copies_within_a_statement_cost_one(filled: Connection, echo: Echo, files: Path) -> None:
    for number in range(5):
        (files / f"copy{number}").write_bytes(b"one content")
    rows(
        filled,
        "PREDICT USING m AS SELECT 'files/copy' || i AS audio_path FROM range(5) r(i)",
    )
    assert len(echo.asked) == 1


def test_a_file_that_changes_meanwhile_leaves_its_copies_alone(
    connection: Connection, echo: Echo, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(names: list[str]) -> None:
        if "f000" in names:
            (files / "f000").write_bytes(b"replaced")

    def read(self, inputs, options, watch):
        names = [Path(media.name).name for media in inputs]
        echo.asked += names
        replace(names)
        for index, media in enumerate(inputs):
            with media.open() as file:
                yield index, Prediction(file.read().decode(), 1.0, 1.0)

    monkeypatch.setattr("echo.EchoModel.predict", read)
    for name in ("copy1", "copy2"):
        (files / name).write_bytes((files / "f000").read_bytes())
    sql = (
        "PREDICT USING m AS FROM (VALUES ('files/f000'), ('files/copy1'), ('files/copy2'))"
        " v(audio_path)"
    )
    found = [("files/f000", "replaced"), ("files/copy1", "0" * 7), ("files/copy2", "0" * 7)]
    assert rows(connection, sql) == found
    assert echo.asked == ["f000", "copy1"]
    assert rows(connection, sql) == found
    assert echo.asked == ["f000", "copy1", "f000"]


def test_a_retrained_model_costs_all_and_a_copied_one_nothing(
    filled: Connection, echo: Echo
) -> None:
    predict_all(filled)
    publish_echo(filled, "n")
    rows(filled, "PREDICT USING n AS SELECT * FROM calls")
    assert len(echo.asked) == FILES
    publish_echo(filled, "m", prefix="again ")
    assert predict_all(filled)[5] == (5, "again F005")
    assert len(echo.asked) == 2 * FILES


def test_a_model_deleted_and_made_again_is_another(connection: Connection) -> None:
    sql = "PREDICT USING m AS SELECT 'p1' AS audio_path"
    assert rows(connection, sql) == [("p1", "P1")]
    connection.execute("DELETE MODEL m")
    publish_echo(connection, "m", prefix="new ")
    assert rows(connection, sql) == [("p1", "new P1")]


def test_a_model_deleted_while_it_runs_keeps_what_it_says_under_its_digest(
    filled: Connection, echo: Echo
) -> None:
    registry = filled._session.workspace.registry
    echo.on_predict = lambda names: registry.exists("m") and registry.delete("m")
    assert len(rows(filled, "PREDICT USING m AS SELECT * FROM calls")) == FILES
    sql = "SELECT count(*), count(DISTINCT model_digest) FROM thanosql_cache()"
    assert rows(filled, sql) == [(FILES, 1)]


def test_options_that_decide_nothing_share_predictions(filled: Connection, echo: Echo) -> None:
    predict_all(filled)
    predict_all(filled, "OPTIONS (batch_size=3)")
    rows(filled, "PREDICT USING m OPTIONS (score_col='s', words_col='w') AS SELECT * FROM calls")
    rows(filled, "EVALUATE USING m AS SELECT *, 'F001' AS text FROM calls")
    assert len(echo.asked) == FILES


def test_what_a_lack_of_memory_had_a_part_in_is_not_kept(
    connection: Connection, echo: Echo, files: Path
) -> None:
    for name in ("split", "whole"):
        (files / name).write_text(name)
        for _ in range(2):
            rows(connection, f"PREDICT USING m AS SELECT 'files/{name}' AS audio_path")
    assert echo.asked == ["split", "split", "whole"]


def test_without_the_cache_everything_is_computed(filled: Connection, echo: Echo) -> None:
    predict_all(filled)
    predict_all(filled, "OPTIONS (cache=False)")
    assert len(echo.asked) == 2 * FILES


@pytest.mark.parametrize("cached", [True, False])
def test_a_filter_on_the_prediction_costs_one_evaluation(
    filled: Connection, echo: Echo, cached: bool
) -> None:
    sql = (
        f"SELECT count(predicted) FROM (PREDICT USING m OPTIONS (cache={cached}) AS"
        " SELECT * FROM calls) WHERE predicted LIKE 'F%' AND predicted <> 'F001'"
    )
    assert rows(filled, sql) == [(FILES - 1,)]
    assert len(echo.asked) == FILES


def test_the_cache_can_be_read_and_cleared(filled: Connection, echo: Echo) -> None:
    predict_all(filled)
    ((count, models, seconds),) = rows(
        filled,
        "SELECT count(*), list(DISTINCT model), sum(seconds) FROM thanosql_cache()",
    )
    assert (count, models, seconds) == (FILES, ["m"], float(FILES))
    assert rows(filled, "SELECT text FROM thanosql_cache() WHERE text = 'F042'") == [("F042",)]
    assert rows(filled, "SELECT thanosql_clear_cache(model := 'other')") == [(0,)]
    assert rows(filled, "SELECT thanosql_clear_cache()") == [(FILES,)]
    assert rows(filled, "SELECT count(*) FROM thanosql_cache()") == [(0,)]
    predict_all(filled)
    assert len(echo.asked) == 2 * FILES


def test_looking_at_a_clearing_clears_nothing(filled: Connection) -> None:
    predict_all(filled)
    rows(filled, "DESCRIBE SELECT thanosql_clear_cache()")
    rows(filled, "EXPLAIN SELECT thanosql_clear_cache()")
    assert rows(filled, "SELECT count(*) FROM thanosql_cache()") == [(FILES,)]


def test_no_room_means_no_cache(echo: Echo, files: Path, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(root=tmp_path, cache_limit=0) as opened:
        publish_echo(opened, "m")
        for _ in range(2):
            rows(opened, "PREDICT USING m AS SELECT 'files/f001' AS audio_path")
        assert rows(opened, "SELECT count(*) FROM thanosql_cache()") == [(0,)]
    assert len(echo.asked) == 2
    with pytest.raises(ProgrammingError, match="cache_limit=-1"):
        thanosql_dbapi.connect(cache_limit=-1)


def wait_until_kept(file: Path, count: int) -> None:
    """Wait until another process has kept so many predictions."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.02)
        if file.is_file():
            with contextlib.closing(sqlite3.connect(file)) as cache:
                with contextlib.suppress(sqlite3.OperationalError):  # its tables are not made yet
                    if cache.execute("SELECT count(*) FROM predictions").fetchone()[0] >= count:
                        return
    raise TimeoutError(f"{file} does not hold {count} predictions")


_KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
import pytest
import echo as echo_module
import thanosql_dbapi
from conftest import publish_echo
from thanosql_dbapi.models import families

family = echo_module.Echo()
sys.modules["echo_family"] = type(sys)("echo_family")
sys.modules["echo_family"].ECHO = family
families.BUILT_IN = {{**families.BUILT_IN, "Echo": "echo_family:ECHO"}}
predict = echo_module.EchoModel.predict

def slowly(self, inputs, options, watch):
    for done in predict(self, inputs, options, watch):
        time.sleep(0.03)
        yield done

echo_module.EchoModel.predict = slowly
connection = thanosql_dbapi.connect({database!r}, root={root!r})
print("ready", flush=True)
connection.execute({sql!r}).fetchall()
"""


@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT * FROM calls",
        "SELECT region, max(predicted) FROM (PREDICT USING m AS SELECT * FROM calls) GROUP BY 1",
        "SELECT * FROM calls c JOIN (PREDICT USING m AS SELECT * FROM calls) p USING (id)"
        " WHERE p.predicted <> '' LIMIT 1000",
    ],
)
def test_a_killed_predict_goes_on_where_it_was(
    sql: str, echo: Echo, files: Path, tmp_path: Path
) -> None:
    database = str(tmp_path / "calls.db")
    with thanosql_dbapi.connect(database, root=tmp_path) as opened:
        publish_echo(opened, "m")
        opened.execute(
            "CREATE TABLE calls AS SELECT i AS id, 'files/f' || format('{:03d}', i)"
            f" AS audio_path, i % 10 AS region FROM range({FILES}) r(i)"
        )
    tests = str(Path(__file__).parent)
    script = textwrap.dedent(_KILLED).format(
        tests=tests, database=database, root=str(tmp_path), sql=sql
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    wait_until_kept(tmp_path / "calls.db.thanosql" / "cache" / "predictions.sqlite", 20)
    child.kill()
    child.wait()
    child.stdout.close()
    with thanosql_dbapi.connect(database, root=tmp_path) as opened:
        ((done,),) = rows(opened, "SELECT count(*) FROM thanosql_cache()")
        assert 0 < done < FILES
        rows(opened, sql)
    assert len(echo.asked) == FILES - done
