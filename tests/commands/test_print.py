"""PRINT through `execute` and SQLAlchemy: one row a file, with typed facts."""

from __future__ import annotations

import datetime
import errno
import functools
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy
from conftest import publish_echo
from echo import Echo
from media_fixtures import write_picture, write_video
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi import Connection
from thanosql_dbapi.commands.print_media import FACTS
from thanosql_dbapi.exceptions import (
    ColumnNotFound,
    MediaError,
    MissingExtra,
    OptionError,
    ProgrammingError,
)
from thanosql_dbapi.language.statements import MediaKind
from thanosql_dbapi.media import audio, waveform


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of all kinds, and some that are broken."""
    write_tones(tmp_path / "a.wav", 1.0, 16_000)
    write_tones(tmp_path / "b.flac", 0.5, 8000, channels=2)
    write_picture(tmp_path / "a.jpg", 64, 48)
    write_picture(tmp_path / "b.png", 10, 20, "RGBA")
    write_video(tmp_path / "a.webm", sound=True)
    write_video(tmp_path / "b.mp4", "libx264", seconds=2)
    (tmp_path / "broken.wav").write_bytes(b"no audio in here")
    return tmp_path


@pytest.fixture
def connection(folder: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=folder, progress=False) as opened:
        opened.execute(
            "CREATE TABLE sounds AS FROM (VALUES ('a.wav', 'one', 1), ('b.flac', 'two', 2))"
            " t(audio_path, text, id)"
        )
        yield opened


def columns(cursor: thanosql_dbapi.Cursor) -> list[tuple[str, str]]:
    return [(column.name, column.type_code) for column in cursor.description or ()]


def test_audio_has_typed_facts_and_then_the_query_s_columns(
    connection: Connection, folder: Path
) -> None:
    cursor = connection.execute("PRINT AUDIO AS SELECT * FROM sounds ORDER BY id DESC")
    assert columns(cursor) == [
        ("audio_path", "VARCHAR"),
        *FACTS[MediaKind.AUDIO].items(),
        ("text", "VARCHAR"),
        ("id", "INTEGER"),
    ]
    size = (folder / "b.flac").stat().st_size
    assert cursor.fetchall() == [
        ("b.flac", 0.5, 8000, 2, "FLAC", "PCM_16", 4000, size, "two", 2),
        ("a.wav", 1.0, 16_000, 1, "WAV", "PCM_16", 16_000, 32_044, "one", 1),
    ]


def test_images(connection: Connection, folder: Path) -> None:
    with pytest.raises(ColumnNotFound):
        connection.execute("PRINT IMAGE AS SELECT 'a.jpg' AS file, true AS kept")
    cursor = connection.execute(
        "PRINT IMAGE AS SELECT unnest(['a.jpg', 'b.png']) AS image, true AS kept"
    )
    assert columns(cursor) == [
        ("image_path", "VARCHAR"),
        *FACTS[MediaKind.IMAGE].items(),
        ("kept", "BOOLEAN"),
    ]
    sizes = [(folder / name).stat().st_size for name in ("a.jpg", "b.png")]
    assert cursor.fetchall() == [
        ("a.jpg", 64, 48, "JPEG", "RGB", 3, sizes[0], True),
        ("b.png", 10, 20, "PNG", "RGBA", 4, sizes[1], True),
    ]


def test_videos(connection: Connection, folder: Path) -> None:
    cursor = connection.execute("PRINT VIDEO AS SELECT unnest(['a.webm', 'b.mp4'])")
    assert columns(cursor) == [("video_path", "VARCHAR"), *FACTS[MediaKind.VIDEO].items()]
    rows = cursor.fetchall()
    sizes = [(folder / name).stat().st_size for name in ("a.webm", "b.mp4")]
    assert [row[2:] for row in rows] == [
        (160, 120, 25.0, None, "vp9", True, sizes[0]),
        (160, 120, 25.0, 50, "h264", False, sizes[1]),
    ]
    assert [row[1] for row in rows] == pytest.approx([1.0, 2.0], abs=0.05)


@pytest.mark.parametrize(
    "sql",
    [
        "PRINT AUDIO AS SELECT audio_path AS anything FROM sounds WHERE id = 1",
        "PRINT AUDIO AS SELECT audio_path AS audio, id FROM sounds WHERE id = 1",
        "PRINT AUDIO OPTIONS (audio_col='f') AS (SELECT id, audio_path AS F FROM sounds)",
        "PRINT AUDIO OPTIONS (audio_column='f') AS SELECT audio_path AS f, id FROM sounds",
        "PRINT AUDIO AS FROM sounds WHERE id = 1 -- the first",
    ],
)  # fmt: skip
def test_the_column_is_found(connection: Connection, sql: str) -> None:
    row = connection.execute(sql).fetchall()[0]
    assert row[:2] == ("a.wav", 1.0)


def test_columns_that_repeat_a_fact_are_read_anew(connection: Connection) -> None:
    cursor = connection.execute(
        "PRINT AUDIO AS SELECT 'a.wav' AS audio_path, 99.0 AS Duration_S, 7 AS facts, 8 AS __q"
    )
    assert [name for name, _ in columns(cursor)][8:] == ["facts", "__q"]
    assert cursor.fetchall()[0][1] == 1.0


def test_a_missing_column_says_what_there_is(connection: Connection) -> None:
    with pytest.raises(ColumnNotFound) as caught:
        connection.execute("PRINT VIDEO AS SELECT * FROM sounds")
    assert "no column 'video_path' (video_col)" in str(caught.value)
    assert "Its columns: audio_path, text, id." in str(caught.value)
    with pytest.raises(ProgrammingError, match=r"'id' \(audio_col\) is INTEGER"):
        connection.execute("PRINT AUDIO OPTIONS (audio_col='id') AS FROM sounds")


@pytest.mark.parametrize(
    ("kind", "name", "problem"),
    [
        ("AUDIO", "gone.wav", "no such file"),
        ("AUDIO", "broken.wav", "not audio"),
        ("AUDIO", "a.jpg", "not audio"),
        ("IMAGE", "a.wav", "not an image"),
        ("VIDEO", "a.wav", "not a video"),
        ("VIDEO", "a.jpg", "not a video"),
    ],
)
def test_a_file_that_cannot_be_read_names_row_and_file(
    connection: Connection, kind: str, name: str, problem: str
) -> None:
    good = {"AUDIO": "a.wav", "IMAGE": "a.jpg", "VIDEO": "b.mp4"}[kind]
    with pytest.raises(MediaError, match=f"row 2: '{name}': {problem}"):
        connection.execute(f"PRINT {kind} AS SELECT unnest(['{good}', '{name}'])").fetchall()


def test_a_disk_that_fails_is_an_error_of_the_file(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("thanosql_dbapi.functions.audio.probe_audio", fail)
    with pytest.raises(MediaError, match=r"row 1: 'a\.wav': the file cannot be read \(Input"):
        connection.execute("PRINT AUDIO AS SELECT 'a.wav'").fetchall()
    rows = connection.execute("PRINT AUDIO OPTIONS (on_error='null') AS SELECT 'a.wav'").fetchall()
    assert rows[0][-1] == "the file cannot be read (Input/output error)"


def test_a_text_that_is_no_path_is_cut_in_the_error(connection: Connection) -> None:
    with pytest.raises(MediaError, match="…x+'") as raised:
        connection.execute("PRINT AUDIO AS SELECT repeat('x', 100000)").fetchall()
    assert len(str(raised.value)) < 2000


def test_on_error_null_goes_on_and_says_why(connection: Connection) -> None:
    cursor = connection.execute(
        "PRINT AUDIO OPTIONS (on_error='null', waveform_col='wave') AS"
        " SELECT unnest(['broken.wav', 'a.wav', NULL, 'gone.wav']) AS audio_path, 5 AS five"
    )
    assert [name for name, _ in columns(cursor)][8:] == ["error", "wave", "five"]
    broken, good, null, gone = cursor.fetchall()
    unknown = (None,) * 7
    assert broken == ("broken.wav", *unknown, "not audio in a format that can be read", None, 5)
    assert good[1] == 1.0
    assert good[8] is None
    assert len(good[9]) == 48
    assert null == (None, *unknown, None, None, 5)
    assert gone == ("gone.wav", *unknown, "no such file", None, 5)


def test_a_column_that_an_option_adds_hides_none(connection: Connection) -> None:
    query = "SELECT 'a.wav' AS audio_path, 'x' AS error, 'y' AS wave"
    with pytest.raises(ProgrammingError, match="'error' already.*error_col"):
        connection.execute(f"PRINT AUDIO OPTIONS (on_error='null') AS {query}")
    with pytest.raises(ProgrammingError, match="'wave' already.*waveform_col"):
        connection.execute(f"PRINT AUDIO OPTIONS (waveform_col='wave') AS {query}")
    with pytest.raises(ProgrammingError, match="'FRAMES' already"):
        connection.execute(f"PRINT AUDIO OPTIONS (waveform_col='FRAMES') AS {query}")
    cursor = connection.execute(
        f"PRINT AUDIO OPTIONS (on_error='null', error_col='why') AS {query}"
    )
    assert [name for name, _ in columns(cursor)][8:] == ["why", "error", "wave"]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("PRINT AUDIO OPTIONS (on_error='skip') AS FROM sounds", "on_error='skip'"),
        ("PRINT IMAGE OPTIONS (audio_col='a') AS FROM sounds", "Its options: error_col, image_col"),
        ("PRINT IMAGE OPTIONS (waveform_col='a') AS FROM sounds", "no option 'waveform_col'"),
        ("PRINT AUDIO OPTIONS (audio_col='a', audio_column='b') AS FROM sounds", "are one option"),
    ],
)
def test_options_that_do_not_fit(connection: Connection, sql: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        connection.execute(sql)


@pytest.mark.parametrize(
    ("kind", "name"), [("AUDIO", "a.wav"), ("IMAGE", "b.png"), ("VIDEO", "a.webm")]
)
def test_the_table_may_hold_the_files_themselves(
    connection: Connection, folder: Path, kind: str, name: str
) -> None:
    content = (folder / name).read_bytes()
    from_path = connection.execute(f"PRINT {kind} AS SELECT ?", [name]).fetchall()
    from_bytes = connection.execute(f"PRINT {kind} AS SELECT ?", [content]).fetchall()
    assert from_bytes[0][0] == f"<{len(content)} bytes>"
    assert from_bytes[0][1:] == from_path[0][1:]


def test_a_url_names_a_file(connection: Connection, folder: Path) -> None:
    (row,) = connection.execute("PRINT IMAGE AS SELECT ?", [(folder / "a.jpg").as_uri()]).fetchall()
    assert row[1:3] == (64, 48)


def test_a_file_of_a_server(connection: Connection, folder: Path) -> None:
    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serve = functools.partial(Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        (row,) = connection.execute("PRINT AUDIO AS SELECT ?", [f"{address}/a.wav"]).fetchall()
        (film,) = connection.execute("PRINT VIDEO AS SELECT ?", [f"{address}/b.mp4"]).fetchall()
        with pytest.raises(MediaError, match="row 1: .*/gone.png': no such file"):
            connection.execute("PRINT IMAGE AS SELECT ?", [f"{address}/gone.png"]).fetchall()
        server.shutdown()
    assert row[:3] == (f"{address}/a.wav", 1.0, 16_000)
    assert film[2:4] == (160, 120)


def test_a_relation_stands_in_the_query(echo: Echo, folder: Path) -> None:
    with thanosql_dbapi.connect(root=folder, progress=False) as opened:
        publish_echo(opened, "m")
        rows = opened.execute(
            "PRINT AUDIO AS SELECT audio_path, predicted FROM"
            " (PREDICT USING m AS SELECT unnest(['a.wav', 'b.flac']) AS audio_path)"
        ).fetchall()
        assert [(row[0], row[2], row[8]) for row in rows] == [
            ("a.wav", 16_000, "A.WAV"),
            ("b.flac", 8000, "B.FLAC"),
        ]


def test_types_of_other_columns_stay(connection: Connection) -> None:
    (row,) = connection.execute(
        "PRINT AUDIO AS SELECT 'a.wav' AS audio_path, DATE '2024-02-29' AS day, [1, 2] AS list"
    ).fetchall()
    assert row[8:] == (datetime.date(2024, 2, 29), [1, 2])


def test_each_header_is_read_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    probe = audio._opened
    monkeypatch.setattr(audio, "_opened", lambda media: read.append(media.name) or probe(media))
    connection.execute("PRINT AUDIO OPTIONS (on_error='null') AS FROM sounds").fetchall()
    assert sorted(read) == ["a.wav", "b.flac"]


def test_pandas_reads_it_through_sqlalchemy(folder: Path) -> None:
    engine = sqlalchemy.create_engine(f"thanosql:///:memory:?root={folder}")
    with engine.connect() as opened:
        frame = pd.read_sql(
            sqlalchemy.text("PRINT AUDIO AS SELECT unnest(['a.wav', 'b.flac']) AS audio_path"),
            opened,
        )
    engine.dispose()
    assert list(frame.columns) == ["audio_path", *FACTS[MediaKind.AUDIO]]
    assert frame["duration_s"].tolist() == [1.0, 0.5]
    assert frame["sampling_rate"].dtype == "int64"


def test_without_its_package_the_extra_is_named(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"thanosql-dbapi\[video\]"):
        connection.execute("PRINT VIDEO AS SELECT 'a.webm'").fetchall()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"thanosql-dbapi\[images\]"):
        connection.execute("PRINT IMAGE AS SELECT 'a.jpg'").fetchall()


# The functions


def test_the_waveform_is_a_function(connection: Connection, folder: Path) -> None:
    content = (folder / "a.wav").read_bytes()
    ((drawn, short, of_bytes, null),) = connection.execute(
        "SELECT thanosql_waveform('a.wav'), thanosql_waveform('a.wav', width := 12),"
        " thanosql_waveform(NULL, data := ?, width := 12), thanosql_waveform(NULL)",
        [content],
    ).fetchall()
    assert len(drawn) == 48
    assert len(short) == 12
    assert set(drawn) <= set(waveform.BLOCKS)
    assert short == of_bytes
    assert waveform.narrower(drawn, 12) == short
    assert null is None
    with pytest.raises(OptionError, match="width=0"):
        connection.execute("SELECT thanosql_waveform('a.wav', width := 0)").fetchall()
    with pytest.raises(MediaError, match="row 1: 'gone.wav': no such file"):
        connection.execute("SELECT thanosql_waveform('gone.wav')").fetchall()


def test_broken_files_are_found(connection: Connection) -> None:
    found = connection.execute(
        "SELECT f, thanosql_audio_error(f) FROM (SELECT unnest(['a.wav', 'broken.wav', NULL]) AS f)"
        " WHERE thanosql_audio_error(f) IS NOT NULL"
    ).fetchall()
    assert found == [("broken.wav", "not audio in a format that can be read")]
    ((image, video),) = connection.execute(
        "SELECT thanosql_image_error('a.wav'), thanosql_video_error('b.mp4')"
    ).fetchall()
    assert image == "not an image in a format that can be read"
    assert video is None


def test_facts_forgive_where_they_are_asked_to(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT thanosql_image_facts(f, on_error := 'null').width"
        " FROM (SELECT unnest(['a.jpg', 'a.wav', NULL]) AS f)"
    ).fetchall()
    assert rows == [(64,), (None,), (None,)]
    with pytest.raises(OptionError, match="on_error='no'"):
        connection.execute("SELECT thanosql_image_facts('a.jpg', on_error := 'no')").fetchall()


def test_facts_stand_in_a_view(connection: Connection) -> None:
    connection.execute("CREATE VIEW seen AS SELECT thanosql_video_facts('b.mp4').frames AS frames")
    assert connection.execute("FROM seen").fetchall() == [(50,)]
