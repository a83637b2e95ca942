"""EVALUATE as a relation: metrics of all rows, of groups, of utterances, and of two models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jiwer
import pytest
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import (
    ColumnNotFound,
    Connection,
    ModelNotFound,
    NotSupportedError,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
)
from thanosql_dbapi.media.sources import Media
from thanosql_dbapi.models import metrics
from thanosql_dbapi.models.base import Outcome, Prediction, Watch
from thanosql_dbapi.models.seen import read_seen, write_seen
from thanosql_dbapi.predicting import real_time_factor

METRICS = [
    "wer",
    "wer_low",
    "wer_high",
    "cer",
    "substitutions",
    "insertions",
    "deletions",
    "words",
    "utterances",
    "audio_seconds",
    "real_time_factor",
]


def rows(connection: Connection, sql: str, parameters: Any = None) -> list[tuple]:
    return connection.execute(sql, parameters).fetchall()


@pytest.fixture
def said(connection: Connection) -> Connection:
    """A table of utterances by three speakers, one of them unknown, heard in capitals."""
    connection.execute(
        "CREATE TABLE said AS SELECT * FROM (VALUES"
        " (1, 'one two', 'one too', 'b', 2), (2, 'three', 'three', 'a', 1),"
        " (3, 'four five', 'four', 'b', 2), (4, 'six', 'six seven', NULL, NULL),"
        " (5, NULL, 'x', 'a', 1), (6, 'eight', NULL, 'a', 1))"
        " v(id, audio_path, text, speaker, room)"
    )
    return connection


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have echo models hear what a file holds, so that a test decides what is heard."""

    def read(
        self: Any, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        self._family.asked += [media.name for media in inputs]
        for index, media in enumerate(inputs):
            with media.open() as file:
                yield index, Prediction(self._prefix + file.read().decode(), 1.0, 1.0)

    monkeypatch.setattr("echo.EchoModel.predict", read)


# --- one row a metric -----------------------------------------------------------------------


def test_metrics_of_a_corpus(said: Connection, echo: Echo) -> None:
    cursor = said.execute("EVALUATE USING m AS SELECT * FROM said")
    assert [(each.name, each.type_code) for each in cursor.description] == [
        ("metric", "VARCHAR"),
        ("score", "DOUBLE"),
    ]
    found = cursor.fetchall()
    assert [metric for metric, _ in found] == METRICS
    scores = dict(found)
    # Row 5 has no path and row 6 no text: neither counts, and no model hears row 6.
    assert sorted(echo.asked) == ["four five", "one two", "six", "three"]
    assert scores["wer"] == pytest.approx(3 / 6)
    assert scores["wer_low"] < 3 / 6 < scores["wer_high"]
    counted = ("substitutions", "insertions", "deletions", "words", "utterances", "audio_seconds")
    assert [scores[name] for name in counted] == [1, 1, 1, 6, 4, 4.0]


def test_with_nothing_to_score_rates_are_null(said: Connection) -> None:
    scores = dict(rows(said, "EVALUATE USING m AS SELECT * FROM said WHERE false"))
    assert [name for name, score in scores.items() if score is None] == [
        "wer",
        "wer_low",
        "wer_high",
        "cer",
        "real_time_factor",
    ]
    assert scores["utterances"] == scores["audio_seconds"] == 0


EDGES: list[tuple[str | None, str | None]] = [
    ("one two three", "one too three four"),
    ("", "one"),
    ("one two", ""),
    ("", ""),
    ("  ", "heard in silence"),
    ("said in silence", " \n"),
    (None, "one"),
    ("one", None),
    ("안녕하세요 반갑습니다", "안녕 하세요 반갑습니다"),
    ("caf\u00e9", "cafe\u0301"),
    ("👍🏽 one", "👍 one"),
]


@pytest.mark.usefixtures("reads")
def test_edge_cases_are_jiwers(connection: Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE edges (id INT, audio_path VARCHAR, text VARCHAR)")
    for number, (said, heard) in enumerate(EDGES):
        if heard is not None:
            (tmp_path / f"{number}.wav").write_bytes(heard.encode())
        path = None if heard is None else f"{number}.wav"
        connection.execute("INSERT INTO edges VALUES (?, ?, ?)", [number, path, said])
    counting = [(number, pair) for number, pair in enumerate(EDGES) if None not in pair]

    def check(where: str, references: list[str], hypotheses: list[str]) -> None:
        scores = dict(rows(connection, f"EVALUATE USING m AS SELECT * FROM edges WHERE {where}"))
        words = jiwer.process_words(references, hypotheses)
        assert scores["wer"] == pytest.approx(words.wer)
        assert scores["cer"] == pytest.approx(jiwer.cer(references, hypotheses))
        assert scores["substitutions"] == words.substitutions
        assert scores["insertions"] == words.insertions
        assert scores["deletions"] == words.deletions
        assert scores["words"] == words.hits + words.substitutions + words.deletions
        assert scores["utterances"] == len(references)

    check("true", [said for _, (said, _) in counting], [heard for _, (_, heard) in counting])
    for number, (said, heard) in counting:
        check(f"id = {number}", [said], [heard])


def test_the_real_time_factor_is_of_what_was_computed(
    said: Connection, echo: Echo, tmp_path: Path
) -> None:
    for name in ("one two", "three", "four five", "six"):
        (tmp_path / name).write_text(name)

    def factor(options: str = "") -> float | None:
        sql = f"EVALUATE USING m {options} AS SELECT * FROM said"
        return dict(rows(said, sql))["real_time_factor"]

    echo.on_predict = lambda names: time.sleep(0.2)
    first = factor()
    assert first is not None
    assert 0.2 / 4 <= first < 2
    assert factor() is None  # it all came from the cache
    again = factor("OPTIONS (cache=False)")
    assert again is not None
    assert again >= 0.2 / 4
    (tmp_path / "six").write_text("another six")
    newer = factor()
    assert newer is not None
    assert newer >= 0.2 / 1  # one second was computed


def test_loading_the_model_is_no_speed(said: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Echo.load

    def slowly(self: Echo, version: Any, device: str) -> Any:
        time.sleep(0.5)
        return load(self, version, device)

    monkeypatch.setattr(Echo, "load", slowly)
    assert dict(rows(said, "EVALUATE USING m AS FROM said"))["real_time_factor"] < 0.1


# --- groups ---------------------------------------------------------------------------------


def test_groups_have_a_set_of_metrics_each(said: Connection) -> None:
    cursor = said.execute("EVALUATE USING m OPTIONS (by='Room') AS SELECT * FROM said")
    assert [(each.name, each.type_code) for each in cursor.description] == [
        ("room", "INTEGER"),
        ("metric", "VARCHAR"),
        ("score", "DOUBLE"),
    ]
    found = cursor.fetchall()
    assert [(room, metric) for room, metric, _ in found] == [
        (room, metric) for room in (1, 2, None) for metric in METRICS
    ]
    alone = rows(said, "EVALUATE USING m AS SELECT * FROM said WHERE room = 2")
    of_two = [(metric, score) for room, metric, score in found if room == 2]
    assert of_two[:-1] == alone[:-1]
    assert [s for r, m, s in found if m == "utterances"] == [1, 2, 1]


def test_groups_of_several_columns(said: Connection) -> None:
    sql = "EVALUATE USING m OPTIONS (by=['speaker', 'room']) AS SELECT * FROM said"
    cursor = said.execute(sql)
    assert [each.name for each in cursor.description] == ["speaker", "room", "metric", "score"]
    groups = list(dict.fromkeys(row[:2] for row in cursor.fetchall()))
    assert groups == [("a", 1), ("b", 2), (None, None)]


def test_groups_stay_in_order_whatever_their_columns_are_called(said: Connection) -> None:
    sql = "EVALUATE USING m OPTIONS (by=['room', '__by0']) AS SELECT *, -id AS __by0 FROM said"
    groups = list(dict.fromkeys(row[:2] for row in rows(said, sql)))
    assert groups == [(1, -6), (1, -5), (1, -2), (2, -3), (2, -1), (None, -4)]


def test_many_groups(connection: Connection) -> None:
    found = rows(
        connection,
        "SELECT id, score FROM (EVALUATE USING m OPTIONS (by='id') AS FROM t) WHERE metric = 'wer'",
    )
    assert found == [(number, 0.0) for number in range(20000)]


def test_a_group_alone_costs_its_rows(connection: Connection, echo: Echo) -> None:
    sql = "SELECT * FROM (EVALUATE USING m OPTIONS (by='region') AS FROM t) WHERE region = 3"
    assert len(rows(connection, sql)) == len(METRICS)
    assert len(echo.asked) == 2000


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("by='speakr'", ColumnNotFound, r"'speakr' \(by\). Did you mean 'speaker'"),
        ("by=3", OptionError, "by=3: the option takes a text or a list"),
        ("detail='x'", OptionError, "detail='x': the option takes True or False"),
        ("against=3", OptionError, "against=3: the option takes a text"),
        ("against='mm'", ModelNotFound, "Did you mean 'm'"),
        ("against='m@7'", ModelNotFound, "no version 7"),
        ("against='Echo'", ModelNotFound, "'Echo' is a base model"),
        ("detail=True, by='speaker'", OptionError, "detail=True .* by .* give one"),
        ("detail=True, against='m'", OptionError, "detail=True .* against .* give one"),
        ("text_col='txt'", ColumnNotFound, "Did you mean 'text'"),
        ("agains='m'", OptionError, "Did you mean 'against'"),
    ],
)
def test_options_that_do_not_fit(
    said: Connection, echo: Echo, options: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rows(said, f"EVALUATE USING m OPTIONS ({options}) AS SELECT * FROM said")
    assert echo.asked == []


def test_columns_that_the_result_has_too(said: Connection) -> None:
    with pytest.raises(ProgrammingError, match="by='Score': EVALUATE makes a column of that"):
        rows(said, "EVALUATE USING m OPTIONS (by='score') AS SELECT *, 1 AS Score FROM said")
    with pytest.raises(ProgrammingError, match="a column 'WER' already, and detail=True"):
        rows(said, "EVALUATE USING m OPTIONS (detail=True) AS SELECT *, 1 AS WER FROM said")


# --- one row an utterance -------------------------------------------------------------------

DETAIL = "EVALUATE USING m OPTIONS (detail=True) AS SELECT"


def test_details_of_utterances(said: Connection) -> None:
    cursor = said.execute(f"{DETAIL} id, audio_path, text FROM said")
    assert [(each.name, each.type_code) for each in cursor.description] == [
        ("id", "INTEGER"),
        ("audio_path", "VARCHAR"),
        ("text", "VARCHAR"),
        ("reference", "VARCHAR"),
        ("hypothesis", "VARCHAR"),
        ("words", "BIGINT"),
        ("substitutions", "BIGINT"),
        ("insertions", "BIGINT"),
        ("deletions", "BIGINT"),
        ("errors", "BIGINT"),
        ("wer", "DOUBLE"),
        ("alignment", "STRUCT(op VARCHAR, reference VARCHAR, hypothesis VARCHAR)[]"),
    ]
    found = cursor.fetchall()
    assert [row[3:-1] for row in found] == [
        ("one too", "ONE TWO", 2, 1, 0, 0, 1, 0.5),
        ("three", "THREE", 1, 0, 0, 0, 0, 0.0),
        ("four", "FOUR FIVE", 1, 0, 1, 0, 1, 1.0),
        ("six seven", "SIX", 2, 0, 0, 1, 1, 0.5),
        ("x", None, None, None, None, None, None, None),
        (None, "EIGHT", None, None, None, None, None, None),
    ]
    assert found[0][-1] == [
        {"op": "equal", "reference": "one", "hypothesis": "ONE"},
        {"op": "substitute", "reference": "too", "hypothesis": "TWO"},
    ]
    assert found[2][-1][1] == {"op": "insert", "reference": None, "hypothesis": "FIVE"}
    assert found[3][-1][1] == {"op": "delete", "reference": "seven", "hypothesis": None}
    assert found[4][-1] is None


def test_details_and_metrics_agree(said: Connection) -> None:
    scores = dict(rows(said, "EVALUATE USING m AS SELECT * FROM said"))
    sums = rows(
        said,
        "SELECT sum(errors) / sum(words), sum(substitutions), sum(insertions), sum(deletions)"
        f" FROM ({DETAIL} * FROM said)",
    )
    names = ("wer", "substitutions", "insertions", "deletions")
    assert sums == [tuple(scores[name] for name in names)]


ALL = f"({DETAIL} * FROM t)"


@pytest.mark.parametrize(
    ("sql", "returned", "seen"),
    [
        (f"SELECT * FROM {ALL} LIMIT 5", 5, 5),
        (f"{DETAIL} * FROM t LIMIT 5", 5, 5),
        (f"SELECT * FROM {ALL} WHERE region = 3", 2000, 2000),
        (f"SELECT * FROM {ALL} ORDER BY id LIMIT 5", 5, 5),
        (f"SELECT count(*) FROM {ALL}", 1, 0),
        (f"SELECT id, reference FROM {ALL}", 20000, 0),
        (f"DESCRIBE SELECT * FROM {ALL}", 13, 0),
        (f"SELECT id, alignment FROM {ALL} WHERE errors > 0", 0, 20000),
        (f"SELECT * FROM {ALL} WHERE errors = 0 AND region = 3", 2000, 2000),
    ],
)
def test_details_cost_the_rows_that_matter(
    connection: Connection, echo: Echo, sql: str, returned: int, seen: int
) -> None:
    assert len(rows(connection, sql)) == returned
    assert len(echo.asked) == seen


def test_details_keep_the_order_of_the_rows(connection: Connection) -> None:
    found = rows(connection, f"SELECT id FROM {ALL}")
    assert found == [(number,) for number in range(20000)]


def test_a_failing_file_has_no_details(connection: Connection) -> None:
    with pytest.warns(UserWarning, match="1 of 2 files"):
        found = rows(
            connection,
            "EVALUATE USING m OPTIONS (detail=True, on_error='null') AS"
            " FROM (VALUES ('bad', 'one'), ('two', 'two')) v(audio_path, text)",
        )
    assert [row[2:7] for row in found] == [
        ("one", None, None, None, None),
        ("two", "TWO", 1, 0, 0),
    ]


# --- two models -----------------------------------------------------------------------------


@pytest.mark.usefixtures("reads")
def test_two_models_are_compared(connection: Connection, echo: Echo, tmp_path: Path) -> None:
    publish_echo(connection, "other", prefix="well ")
    for number in range(12):
        (tmp_path / f"{number}").write_text(f"one two {number}")
    connection.execute(
        "CREATE TABLE calls AS SELECT i || '' AS audio_path, 'one two ' || i AS text, i % 2 AS half"
        " FROM range(12) r(i)"
    )
    cursor = connection.execute("EVALUATE USING m OPTIONS (against='other') AS FROM calls")
    assert [each.name for each in cursor.description] == [
        "metric",
        "score",
        "against",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
    ]
    found = {row[0]: row[1:] for row in cursor.fetchall()}
    assert list(found) == METRICS
    # Each row was given to each model once.
    assert sorted(echo.asked) == sorted([f"{number}" for number in range(12)] * 2)
    assert found["wer"] == pytest.approx((0.0, 1 / 3, -1 / 3, -1 / 3, -1 / 3, 2 / 2**12))
    assert found["insertions"] == (0, 12, -12, None, None, None)
    assert found["words"][:2] == (36, 36)
    for option, name in (("m", "score"), ("other", "against")):
        alone = dict(rows(connection, f"EVALUATE USING {option} AS FROM calls"))
        column = 0 if name == "score" else 1
        compared = {metric: values[column] for metric, values in found.items()}
        assert {**compared, "real_time_factor": None} == {**alone, "real_time_factor": None}
    halves = rows(
        connection,
        "SELECT half, p_value FROM (EVALUATE USING m OPTIONS (against='other', by='half') AS"
        " FROM calls) WHERE metric = 'wer'",
    )
    assert halves == [(0, pytest.approx(2 / 2**6)), (1, pytest.approx(2 / 2**6))]


def test_a_row_counts_where_both_models_heard_something(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_echo(connection, "other", prefix="bad ")
    from echo import EchoModel

    predict = EchoModel.predict

    def half(self: Any, inputs: Sequence[Media], options: Any, watch: Watch) -> Iterator[Any]:
        for index, outcome in predict(self, inputs, options, watch):
            fails = self._prefix and inputs[index].name == "p1"
            yield index, thanosql_dbapi.MediaError("no", "not-audio") if fails else outcome

    monkeypatch.setattr(EchoModel, "predict", half)
    with pytest.warns(UserWarning, match="gave no prediction"):
        found = rows(
            connection,
            "SELECT score, against FROM (EVALUATE USING m OPTIONS (against='other',"
            " on_error='null') AS FROM t WHERE id < 4) WHERE metric = 'utterances'",
        )
    assert found == [(3, 3)]


def test_a_row_that_fails_for_the_other_model_has_its_number(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_echo(connection, "other", prefix="other ")
    from echo import EchoModel

    predict = EchoModel.predict

    def fail(self: Any, inputs: Sequence[Media], options: Any, watch: Watch) -> Iterator[Any]:
        for index, outcome in predict(self, inputs, options, watch):
            fails = self._prefix and inputs[index].name == "p3500"
            yield index, thanosql_dbapi.MediaError("no", "not-audio") if fails else outcome

    monkeypatch.setattr(EchoModel, "predict", fail)
    connection.execute("SET threads = 1")
    for first, second in (("m", "other"), ("other", "m")):
        with pytest.raises(thanosql_dbapi.MediaError, match="^row 3501: 'p3500'"):
            rows(connection, f"EVALUATE USING {first} OPTIONS (against='{second}') AS FROM t")


def test_a_model_against_itself_is_no_better(said: Connection) -> None:
    found = {
        row[0]: row[1:]
        for row in rows(said, "EVALUATE USING m OPTIONS (against='m@1') AS FROM said")
    }
    assert found["wer"] == (0.5, 0.5, 0.0, 0.0, 0.0, 1.0)


def test_each_name_is_resolved_once(said: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_echo(said, "other")
    registry = said._session.workspace.registry
    resolved: list[str] = []
    resolve = registry.resolve
    monkeypatch.setattr(
        registry, "resolve", lambda name: resolved.append(name) or resolve(name), raising=True
    )
    rows(said, "EVALUATE USING m OPTIONS (against='other', by='speaker') AS FROM said")
    assert sorted(resolved) == ["m", "other"]


def test_families_of_two_kinds_are_compared(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from speech_fixtures import make_checkpoint, make_whisper_checkpoint, write_tones

    checkpoints = {
        "Wav2Vec2En": str(make_checkpoint(tmp_path / "a", group_norm=True, letters="ABC'")),
        "Whisper": str(make_whisper_checkpoint(tmp_path / "b", max_target_positions=32)),
    }
    for number in range(3):
        write_tones(tmp_path / f"{number}.wav", 1.0 + number / 4, seed=number)
    with thanosql_dbapi.connect(root=tmp_path, checkpoints=checkpoints, progress=False) as opened:
        opened.execute("GET THANOSQL MODEL wav2vec2 AS w")
        opened.execute("GET THANOSQL MODEL whisper_s AS h")
        query = "SELECT i || '.wav' AS audio_path, 'abc ab' AS text FROM range(3) r(i)"
        # `language` is the other family's, `batch_size` both families'.
        options = "against='h', language='ko', batch_size=2, precision='full'"
        found = {
            row[0]: row[1:]
            for row in rows(opened, f"EVALUATE USING w OPTIONS ({options}) AS {query}")
        }
        alone = dict(rows(opened, f"EVALUATE USING h OPTIONS (language='ko') AS {query}"))
        assert found["utterances"][:2] == (3, 3)
        assert found["audio_seconds"][:2] == (3.75, 3.75)
        assert found["wer"][1] == alone["wer"]
        assert 0 < found["real_time_factor"][0] < 60
        assert alone["real_time_factor"] is None  # known by now
        with pytest.raises(OptionError, match="no option 'language'"):
            rows(opened, f"EVALUATE USING w OPTIONS (language='ko') AS {query}")
        with pytest.raises(OptionError, match="koreen"):
            rows(opened, f"EVALUATE USING w OPTIONS (against='h', language='koreen') AS {query}")


# --- a relation everywhere ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "column"),
    [("", "score"), ("OPTIONS (by='speaker')", "score"), ("OPTIONS (against='m')", "p_value")],
)
def test_it_stands_wherever_a_subquery_stands(said: Connection, options: str, column: str) -> None:
    evaluate = f"EVALUATE USING m {options} AS SELECT * FROM said WHERE speaker = 'b'"
    direct = rows(said, f"SELECT {column} FROM ({evaluate}) WHERE metric = 'wer'")
    assert len(direct) == 1
    assert direct == rows(
        said, f"WITH e AS ({evaluate}) SELECT {column} FROM e WHERE metric = 'wer'"
    )
    said.execute(f"CREATE TABLE kept AS {evaluate}")
    said.execute(f"CREATE VIEW viewed AS {evaluate}")
    for name in ("kept", "viewed"):
        assert direct == rows(said, f"SELECT {column} FROM {name} WHERE metric = 'wer'")


def test_details_in_a_view(said: Connection) -> None:
    said.execute(f"CREATE VIEW mistakes AS {DETAIL} id, audio_path, text FROM said")
    assert rows(said, "SELECT id FROM mistakes WHERE errors > 0 ORDER BY id") == [(1,), (3,), (4,)]


def test_parameters_in_options(said: Connection) -> None:
    sql = "EVALUATE USING m OPTIONS (by=$by) AS SELECT * FROM said WHERE id < $id"
    found = rows(said, sql, {"by": "speaker", "id": 3})
    assert {row[0] for row in found} == {"a", "b"}


@pytest.mark.parametrize("options", ["", "OPTIONS (against='m')"])
def test_scoring_is_interrupted(
    said: Connection, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    monkeypatch.setattr(metrics, "_AT_ONCE", 1)
    process_words, calls = jiwer.process_words, []

    def interrupting(*arguments: Any) -> Any:
        calls.append(arguments)
        said.interrupt()
        return process_words(*arguments)

    monkeypatch.setattr(jiwer, "process_words", interrupting)
    with pytest.raises(QueryInterrupted):
        rows(said, f"EVALUATE USING m {options} AS FROM said")
    assert len(calls) == 1


def test_explaining_asks_no_model(said: Connection, echo: Echo) -> None:
    rows(said, "EXPLAIN EVALUATE USING m OPTIONS (by='speaker') AS SELECT * FROM said")
    rows(said, "DESCRIBE EVALUATE USING m OPTIONS (against='m') AS SELECT * FROM said")
    assert echo.asked == []


def test_the_functions_need_no_grammar(connection: Connection) -> None:
    compared = "SELECT thanosql_compare('one two', 'one').wer, thanosql_compare(NULL, 'one')"
    assert rows(connection, compared) == [(0.5, None)]
    row = "{'reference': 'one two', 'hypothesis': 'one', 'seconds': 1.5}"
    scores = rows(connection, f"SELECT unnest(thanosql_score([{row}]), recursive := true)")
    assert ("wer", 0.5) in scores
    assert ("real_time_factor", None) in scores
    row = "{'reference': 'a b', 'hypothesis': 'a', 'other': 'a b', 'seconds': 1.5}"
    found = rows(connection, f"SELECT thanosql_score_against([{row}])[1]")
    assert found[0][0]["metric"] == "wer"
    assert (found[0][0]["difference"], found[0][0]["p_value"]) == pytest.approx((0.5, 1.0))


# --- rows of the training -------------------------------------------------------------------

TRAINED, FILES = 12, 60


@pytest.fixture
def trained(connection: Connection, tmp_path: Path) -> Connection:
    """Sixty files, of which a model `m` was trained on twelve."""
    for number in range(FILES):
        (tmp_path / f"f{number}").write_text(f"content {number}")
    version = connection._session.workspace.registry.resolve("m")
    heard = [f"content {number}".encode() for number in range(TRAINED)]
    write_seen(version.folder, [hashlib.sha256(content).hexdigest() for content in heard])
    connection.execute(
        "CREATE TABLE files AS SELECT i AS id, 'f' || i AS audio_path, 'F' || i AS text,"
        " i % 3 AS third FROM range(60) r(i)"
    )
    return connection


def warning(seen: int, scored: int, model: str = "m@1", kind: str = "rows") -> str:
    return (
        f"{seen} of {scored} {kind} were in the training of '{model}': its error rate on them says"
        " little about new recordings."
    )


def warned(connection: Connection, sql: str) -> list[str]:
    """Run a statement and return what it warned of, which its messages say too."""
    cursor = connection.cursor()
    with pytest.warns(UserWarning, match="were in the training of") as caught:
        cursor.execute(sql).fetchall()
    messages = [str(message) for _, message in cursor.messages]
    assert [str(each.message) for each in caught] == messages
    assert {each.filename for each in caught} == {__file__}
    return messages


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("options", ["", ", by='third'", ", detail=True", ", against='m@1'"])
def test_rows_of_the_training_are_told(trained: Connection, options: str, cached: bool) -> None:
    sql = f"EVALUATE USING m OPTIONS (cache={cached}{options}) AS SELECT * FROM files"
    kind = "files" if "detail" in options else "rows"
    for _ in range(2):  # computed, and out of the cache
        assert warned(trained, sql) == [warning(TRAINED, FILES, kind=kind)]


@pytest.mark.parametrize(
    ("sql", "seen", "scored"),
    [
        ("EVALUATE USING m AS SELECT * FROM files WHERE id BETWEEN 10 AND 14", 2, 5),
        # A row counts as often as it is there, and so does a copy.
        ("EVALUATE USING m AS FROM files WHERE id = 3 UNION ALL FROM files WHERE id IN (3, 50)",
         2, 3),
        ("EVALUATE USING m AS SELECT f.* FROM files f, range(100)", 1200, 6000),
        ("EVALUATE USING m AS SELECT * REPLACE (CASE WHEN id > 2 THEN text END AS text)"
         " FROM files", 9, 57),
        ("EVALUATE USING m AS SELECT encode('content ' || id) AS audio, text FROM files", 12, 60),
        ("EVALUATE USING m AS PREDICT USING m AS SELECT * FROM files", 12, 60),
        ("WITH e AS (EVALUATE USING m AS FROM files) FROM e a JOIN e b USING (metric)", 12, 60),
    ],
)  # fmt: skip
def test_rows_are_counted_as_they_are_scored(
    trained: Connection, sql: str, seen: int, scored: int
) -> None:
    assert warned(trained, sql) == [warning(seen, scored)]


@pytest.mark.parametrize("options", ["", ", against='m@1'", ", detail=True"])
def test_rows_of_the_training_that_fail_are_not_told(trained: Connection, options: str) -> None:
    bad = Path(trained._session.root) / "bad"
    bad.write_text("content 2")
    sql = (
        f"EVALUATE USING m OPTIONS (on_error='null'{options}) AS SELECT * REPLACE"
        " (if(id < 10, 'bad', audio_path) AS audio_path) FROM files"
    )
    kind = "files" if "detail" in options else "rows"
    cursor = trained.cursor()
    with pytest.warns(UserWarning, match="in the training|gave no prediction"):
        cursor.execute(sql).fetchall()
    assert str(cursor.messages[-1][1]) == warning(2, 50, kind=kind)


@pytest.mark.parametrize(
    ("sql", "seen", "scored"),
    [
        # What a filter asks for a second time is counted once.
        ("SELECT * FROM {} WHERE errors = 0 AND hypothesis <> 'F1'", 12, 60),
        ("SELECT * FROM {} WHERE id < 20 AND errors = 0", 12, 20),
        ("SELECT * FROM {} LIMIT 5", 5, 5),
        ("SELECT f.* FROM {} f, range(100)", 12, 60),
    ],
)
def test_details_count_each_file_once(
    trained: Connection, sql: str, seen: int, scored: int
) -> None:
    sql = sql.format(f"({DETAIL} * FROM files)")
    assert warned(trained, sql) == [warning(seen, scored, kind="files")]


def test_rows_of_the_training_can_be_left_out(trained: Connection) -> None:
    where = "NOT thanosql_seen('m', audio_path)"
    found = rows(trained, f"EVALUATE USING m AS SELECT * FROM files WHERE {where}")
    assert dict(found)["utterances"] == FILES - TRAINED
    told = "SELECT thanosql_seen('m', NULL), thanosql_seen('m', 'nowhere'), thanosql_seen('m',"
    assert rows(trained, f"{told} NULL, data := encode('content 3'))") == [(None, False, True)]
    publish_echo(trained, "untold")
    told = "SELECT thanosql_seen('untold', 'f1'), thanosql_seen('untold', NULL)"
    assert rows(trained, told) == [(False, None)]
    assert rows(trained, "SELECT thanosql_seen(NULL, 'f1')") == [(None,)]


def test_each_model_has_its_own_training(trained: Connection) -> None:
    publish_echo(trained, "other")
    version = trained._session.workspace.registry.resolve("other")
    write_seen(version.folder, [hashlib.sha256(b"content 59").hexdigest()])
    assert warned(trained, "EVALUATE USING m OPTIONS (against='other') AS FROM files") == [
        warning(TRAINED, FILES),
        warning(1, FILES, "other@1"),
    ]


def test_what_is_not_scored_is_not_told(trained: Connection) -> None:
    rows(trained, "PREDICT USING m AS FROM files")
    rows(trained, "EVALUATE USING m AS FROM files WHERE id >= 12")
    rows(trained, f"SELECT count(*) FROM ({DETAIL} * FROM files)")
    publish_echo(trained, "untold")
    rows(trained, "EVALUATE USING untold AS FROM files")


def test_it_is_told_without_a_cache(echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(root=tmp_path, cache_limit=0) as opened:
        publish_echo(opened, "m")
        (tmp_path / "a").write_text("a")
        write_seen(
            opened._session.workspace.registry.resolve("m").folder,
            [hashlib.sha256(b"a").hexdigest()],
        )
        sql = "EVALUATE USING m AS FROM (VALUES ('a', 'a'), ('b', 'b')) v(audio_path, text)"
        assert warned(opened, sql) == [warning(1, 2)]


def test_the_rows_of_a_training_are_read_as_written(tmp_path: Path) -> None:
    assert read_seen(tmp_path) == frozenset()
    write_seen(tmp_path, ["b" * 64, "a" * 64, "b" * 64])
    assert (tmp_path / "about" / "rows.txt").read_text() == "a" * 64 + "\n" + "b" * 64 + "\n"
    assert read_seen(tmp_path) == {"a" * 64, "b" * 64}


def test_no_option_of_the_users_is_called_scored(connection: Connection) -> None:
    with pytest.raises(OptionError, match="no option 'scored'"):
        rows(connection, "EVALUATE USING m OPTIONS (scored='all') AS FROM t")
    given = json.dumps({"scored": "otherwise"})
    with pytest.raises(OptionError, match="no option 'scored'"):
        rows(connection, f"SELECT thanosql_predict('m', 'a', options := '{given}')")


def test_a_family_without_evaluate_cannot_be_compared_with(
    said: Connection, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "verbs", echo.verbs - {"EVALUATE"}, raising=False)
    with pytest.raises(NotSupportedError, match="Echo has no EVALUATE"):
        rows(said, "EVALUATE USING m OPTIONS (against='m') AS FROM said")


def test_a_call_that_did_nothing_has_no_real_time_factor(connection: Connection) -> None:
    execution = connection._engine.new_execution()
    assert real_time_factor(execution, execution.version("m"), None) is None
