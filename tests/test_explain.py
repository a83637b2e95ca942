"""EXPLAIN of a PREDICT: DuckDB's plan, then what the model has before it, and no model at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import publish_echo
from echo import Echo

from thanosql_dbapi import Connection, ModelNotFound, OptionError


@pytest.fixture
def recordings(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Connection:
    """A table `calls`: five recordings of 1 s, a copy, one twice, and three rows without any."""
    for index in range(5):
        noise = np.random.default_rng(index).normal(0, 0.1, 16_000).astype(np.float32)
        soundfile.write(tmp_path / f"a{index}.wav", noise, 16_000)
    shutil.copy(tmp_path / "a0.wav", tmp_path / "copy.wav")
    (tmp_path / "junk.wav").write_bytes(b"junk" * 99)
    # A file that changed a moment ago may change again, and is not recognised by its times.
    monkeypatch.setattr("thanosql_dbapi.media.sources._RACY_NS", 0)
    connection.execute(
        "CREATE TABLE calls AS SELECT 'a' || i || '.wav' AS audio_path FROM range(5) r(i)"
        " UNION ALL VALUES ('copy.wav'), ('a1.wav'), ('junk.wav'), ('gone.wav'), (NULL)"
    )
    return connection


def explain(connection: Connection, sql: str) -> dict[str, dict[str, str]]:
    """Return our rows of an EXPLAIN, by key, each as its lines."""
    cursor = connection.execute(sql)
    assert [column.name for column in cursor.description] == ["explain_key", "explain_value"]
    (_, plan), *ours = cursor.fetchall()
    assert "PROJECTION" in plan or "Projection" in plan
    return {
        key: dict(line.split("  ", 1) for line in value.splitlines() if "  " in line)
        for key, value in ours
    }


def shown(found: dict[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in found.items()}


def test_what_is_there_before_anything_ran(echo: Echo, recordings: Connection) -> None:
    (found,) = explain(recordings, "EXPLAIN PREDICT USING m AS FROM calls").values()
    assert shown(found) == {
        "rows": "10",
        "files": "8 (and 1 NULL)",
        "distinct": "8 (8 never read: copies among them count apart)",
        "cached": "0",
        "to compute": "6",
        "unusable": "2: 1 not audio, 1 missing",
        "audio": "6.0 s to compute",
        "expected": "unknown: this model has not run here yet",
        "rows come": "in small batches, from 16 rows to 2,048",
        "device": shown(found)["device"],
        "precision": "full",
    }
    assert echo.asked == []


def test_what_is_left_after_a_run(echo: Echo, recordings: Connection) -> None:
    recordings.execute("PREDICT USING m AS FROM calls WHERE audio_path LIKE 'a%'").fetchall()
    echo.asked.clear()
    found = explain(recordings, "EXPLAIN PREDICT USING m AS FROM calls")["predict m@1"]
    wanted = {
        "distinct": "8 (3 never read: copies among them count apart)",
        "cached": "5",
        "to compute": "1",
        "audio": "1.0 s to compute",
    }
    assert shown(found).items() >= wanted.items()
    assert "x real time as here before" in found["expected"]
    recordings.execute("PREDICT USING m AS FROM calls WHERE audio_path = 'copy.wav'").fetchall()
    found = explain(recordings, "EXPLAIN PREDICT USING m AS FROM calls")["predict m@1"]
    wanted = {
        "distinct": "7 (2 never read: copies among them count apart)",
        "cached": "5",
        "to compute": "0",
        "expected": "0.0 s",
    }
    assert shown(found).items() >= wanted.items()
    uncached = "EXPLAIN PREDICT USING m OPTIONS (cache=False) AS FROM calls"
    assert shown(explain(recordings, uncached)["predict m@1"])["to compute"] == "5"
    assert echo.asked == []


def test_media_in_the_table_itself(recordings: Connection) -> None:
    sql = f"SELECT content AS audio_path FROM read_blob('{recordings.root}/a*.wav')"
    (found,) = explain(recordings, f"EXPLAIN PREDICT USING m AS {sql}").values()
    wanted = {"rows": "5", "files": "5", "distinct": "5", "audio": "5.0 s to compute"}
    assert shown(found).items() >= wanted.items()
    assert shown(found)["rows come"].startswith("by vectors")


@pytest.mark.parametrize(
    ("sql", "way"),
    [
        ("PREDICT USING m AS FROM calls", "in small batches"),
        ("WITH c AS (FROM calls) PREDICT USING m AS FROM c", "in small batches"),
        ("SELECT predicted FROM (PREDICT USING m AS FROM calls)", "in small batches"),
        ("SELECT * FROM (PREDICT USING m AS FROM calls) ORDER BY 1", "by vectors"),
        ("CREATE TABLE kept AS PREDICT USING m AS FROM calls", "by vectors"),
        ("PREDICT USING m AS SELECT *, INTERVAL 1 DAY AS i FROM calls", "by vectors"),
    ],
)
@pytest.mark.parametrize("opening", ["EXPLAIN", "EXPLAIN (FORMAT json)", "explain /* ( */"])
def test_how_the_rows_come(recordings: Connection, opening: str, sql: str, way: str) -> None:
    cursor = recordings.execute(f"{opening} {sql}")
    _, (_, text) = cursor.fetchall()
    line = next(line for line in text.splitlines() if line.startswith("rows come"))
    assert line.split("  ", 1)[1].strip().startswith(way)


def test_parameters_and_several_predictions(echo: Echo, recordings: Connection) -> None:
    publish_echo(recordings, "other", prefix="x")
    sql = (
        "EXPLAIN SELECT * FROM (PREDICT USING m AS FROM calls WHERE audio_path < ?)"
        " UNION ALL FROM (PREDICT USING other AS FROM calls WHERE audio_path = ?)"
    )
    rows = recordings.execute(sql, ["a3", "a1.wav"]).fetchall()[1:]
    assert [key for key, _ in rows] == ["predict m@1", "predict other@1"]
    assert [text.splitlines()[0].split()[1] for _, text in rows] == ["4", "2"]
    assert echo.asked == []


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("PREDICT USING m OPTIONS (result_col='b') AS PREDICT USING m AS FROM calls",
         "a model runs"),
        ("PREDICT USING m OPTIONS (audio_col='predicted', result_col='b') AS FROM said",
         "in a view"),
        ("PREDICT USING m AS SELECT *, nextval('counted') AS n FROM calls", "a sequence"),
        ("SELECT * FROM (VALUES ('a')) v(x), LATERAL (PREDICT USING m AS SELECT x AS audio_path)",
         "the row beside it"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_run_to_explain_says_so(
    echo: Echo, recordings: Connection, sql: str, reason: str
) -> None:
    recordings.execute("CREATE VIEW said AS PREDICT USING m AS FROM calls")
    recordings.execute("CREATE SEQUENCE counted")
    text = recordings.execute(f"EXPLAIN {sql}").fetchall()[1][1]
    assert reason in text
    assert echo.asked == []
    assert recordings.execute("SELECT nextval('counted')").fetchall() == [(1,)]


def test_a_long_query_is_read_so_far(
    recordings: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thanosql_dbapi.explaining._MOST_ROWS", 4096)
    (found,) = explain(recordings, "EXPLAIN PREDICT USING m AS FROM t").values()
    assert shown(found)["rows"] == "4,096 or more; the rest was not read"
    assert recordings.execute("SELECT 1").fetchall() == [(1,)]


def test_it_fails_as_the_statement_does(recordings: Connection) -> None:
    with pytest.raises(ModelNotFound):
        recordings.execute("EXPLAIN PREDICT USING nobody AS FROM calls")
    with pytest.raises(OptionError):
        recordings.execute("EXPLAIN PREDICT USING m OPTIONS (batchsize=1) AS FROM calls")


def test_a_list_has_no_prediction(recordings: Connection) -> None:
    assert len(recordings.execute("EXPLAIN LIST MODEL").fetchall()) == 1
    assert len(recordings.execute("EXPLAIN ANALYZE LIST MODEL").fetchall()) == 1


def test_within_a_transaction(recordings: Connection) -> None:
    recordings.begin()
    recordings.execute("CREATE VIEW said AS PREDICT USING m AS FROM calls")
    recordings.execute("INSERT INTO calls VALUES ('a2.wav')")
    sql = "EXPLAIN PREDICT USING m OPTIONS (audio_col='predicted', result_col='b') AS FROM said"
    assert "in a view" in recordings.execute(sql).fetchall()[1][1]
    (found,) = explain(recordings, "EXPLAIN PREDICT USING m AS FROM calls").values()
    assert shown(found)["rows"] == "11"
    recordings.commit()
    assert recordings.execute("SELECT count(*) FROM calls").fetchall() == [(11,)]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT 'a1.wav' AS audio_path",
        "PREDICT USING m OPTIONS (words_col='w') AS SELECT 'a1.wav' AS audio_path",
        "SELECT thanosql_predict('m', 'a1.wav')",
        "FROM (VALUES (thanosql_predict('m', 'a1.wav'))) v(said)",
        "SELECT thanosql_clear_cache()",
    ],
)
def test_constants_are_not_predicted(
    echo: Echo, recordings: Connection, sql: str, begun: bool
) -> None:
    recordings.execute("PREDICT USING m AS SELECT 'a2.wav' AS audio_path").fetchall()
    echo.asked.clear()
    if begun:
        recordings.begin()
    assert recordings.execute(f"EXPLAIN {sql}").fetchall()
    assert echo.asked == []
    assert recordings.execute("SELECT count(*) FROM thanosql_cache()").fetchall() == [(1,)]


@pytest.mark.parametrize("analyse", ["EXPLAIN ANALYZE", "EXPLAIN (ANALYZE, FORMAT json)"])
def test_analyse_runs_the_model_and_tells_where_the_time_went(
    echo: Echo, recordings: Connection, monkeypatch: pytest.MonkeyPatch, analyse: str
) -> None:
    import echo as module

    predict = module.EchoModel.predict

    def timed(self, inputs, options, watch):
        for step, seconds in (("decode", 1.0), ("wait", 0.5), ("forward", 6.0), ("text", 0.5)):
            watch.spend(step, seconds)
        return predict(self, inputs, options, watch)

    monkeypatch.setattr(module.EchoModel, "predict", timed)
    sql = "PREDICT USING m AS FROM calls WHERE audio_path LIKE 'a%'"
    (plan, _), (key, split) = recordings.execute(f"{analyse} {sql}").fetchall()
    assert (plan, key) == ("analyzed_plan", "predict")
    lines = {
        name: value.strip() for name, value in (line.split("  ", 1) for line in split.splitlines())
    }
    assert lines == {
        "computed": "5",
        "cached": "0",
        "decode audio": "1.000 s  12.5%",
        "wait for audio": "0.500 s   6.2%",
        "model forward": "6.000 s  75.0%",
        "decode to text": "0.500 s   6.2%",
    }
    assert len(echo.asked) == 5
    again = recordings.execute(f"{analyse} {sql}").fetchall()[1][1].splitlines()
    assert [line.split()[1] for line in again[:2]] == ["0", "5"]
