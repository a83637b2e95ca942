"""The example family of docs/extending.md: found by its entry point, as good as the page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from timbre import installed

import thanosql_dbapi
from thanosql_dbapi import Connection, DataError, NotSupportedError, OptionError, assets

BUILD = "BUILD MODEL who USING Timbre OPTIONS (text_col='voice') AS SELECT * FROM calls"


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The bundled recordings, with the package `thanosql-timbre`."""
    with (
        installed(tmp_path / "site", monkeypatch),
        thanosql_dbapi.connect(root=assets.RECORDINGS, progress=False) as opened,
    ):
        opened.execute("COPY calls FROM 'calls_train.csv'; COPY calls_test FROM 'calls_test.csv'")
        yield opened


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def test_it_names_most_voices_that_it_was_built_on(connection: Connection) -> None:
    [(name, version, base, count, seconds, *_)] = rows(connection, BUILD)
    assert (name, version, base, count) == ("who", 1, "Timbre", 60)
    assert seconds == pytest.approx(101.93, abs=0.1)
    found = rows(connection, "SELECT voice, predicted FROM (PREDICT USING who AS FROM calls_test)")
    assert sum(voice == predicted for voice, predicted in found) >= 16  # the page says 17 of 20
    [(wer,)] = rows(
        connection,
        "SELECT score FROM (EVALUATE USING who OPTIONS (text_col='voice') AS FROM calls_test)"
        " WHERE metric = 'wer'",
    )
    assert wer == pytest.approx(sum(voice != predicted for voice, predicted in found) / 20)


def test_its_scores_and_options_are_options_like_any_other(connection: Connection) -> None:
    rows(connection, BUILD)
    found = rows(
        connection,
        "PREDICT USING who OPTIONS (at_least=0.9, score_col='score') AS"
        " SELECT audio_path FROM calls_test",
    )
    assert {predicted == "unknown" for *_, predicted, score in found if score < 0.9} == {True}
    assert all(predicted != "unknown" for *_, predicted, score in found if score >= 0.9)
    with pytest.raises(OptionError, match="Did you mean 'at_least'"):
        rows(connection, "PREDICT USING who OPTIONS (atleast=1) AS FROM calls_test")
    with pytest.raises(OptionError, match="at least 0 and at most 1"):
        rows(connection, "PREDICT USING who OPTIONS (at_least=2) AS FROM calls_test")
    with pytest.raises(NotSupportedError, match="Timbre has no FIT"):
        rows(connection, "FIT MODEL w USING who AS FROM calls")


def test_rows_that_it_cannot_learn_from_are_named_together(
    connection: Connection, tmp_path: Path
) -> None:
    silent, short = tmp_path / "silent.wav", tmp_path / "short.wav"
    soundfile.write(silent, np.zeros(16000), 16000)
    soundfile.write(short, np.ones(100), 16000)
    bad = f"VALUES ('{silent}', 'a'), ('{short}', 'b'), ('train_00.flac', ' ')"
    with pytest.raises(DataError, match="silent.wav") as caught:
        rows(
            connection, f"BUILD MODEL m USING Timbre AS SELECT * FROM ({bad}) t(audio_path, label)"
        )
    assert "short.wav" in str(caught.value)
    assert "train_00.flac" in str(caught.value)
    with pytest.raises(DataError, match="nothing to tell apart"):
        rows(connection, BUILD + " WHERE voice = 'flite-slt'")


def test_a_louder_recording_sounds_the_same(connection: Connection, tmp_path: Path) -> None:
    rows(connection, BUILD)
    waveform, rate = soundfile.read(assets.RECORDINGS / "test_03.flac")
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, waveform * 0.1, rate, subtype="FLOAT")
    sql = "PREDICT USING who OPTIONS (score_col='score') AS SELECT '{}' AS audio_path"
    [(_, first, sure)] = rows(connection, sql.format("test_03.flac"))
    [(_, second, as_sure)] = rows(connection, sql.format(quiet))
    assert first == second
    assert sure == pytest.approx(as_sure, abs=1e-3)
