"""COPY: tables from files and folders."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    DataError,
    Error,
    NotSupportedError,
    OperationalError,
    OptionError,
    ProgrammingError,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    (tmp_path / "calls.csv").write_text("audio_path,text\na.wav,hello\nb.wav,안녕\n", "utf-8")
    (tmp_path / "more.csv").write_text("text,audio_path\nbye,c.wav\n")
    (tmp_path / "other.csv").write_text("x;y\n1;2.5\n")
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        opened.execute(f"COPY (SELECT 7 AS n) TO '{tmp_path / 'n.parquet'}'")
        yield opened


def test_a_csv_becomes_a_table_once(connection: Connection) -> None:
    cursor = connection.execute("COPY calls FROM 'calls.csv'")
    assert cursor.fetchall() == [("calls", 2)]
    assert connection.execute("FROM calls").fetchall() == [("a.wav", "hello"), ("b.wav", "안녕")]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("COPY calls OPTIONS (if_exists='replace') FROM 'more.csv'", [("bye", "c.wav")]),
        ('COPY calls OPTIONS(overwrite =True) FROM "more.csv"', [("bye", "c.wav")]),
        ("COPY calls OPTIONS (if_exists='append') FROM 'more.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕"), ("c.wav", "bye")]),
        ("COPY other OPTIONS (if_exists='append') FROM 'other.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕")]),
        ("COPY calls FROM 'calls.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕"), ("a.wav", "hello"), ("b.wav", "안녕")]),
    ],
)  # fmt: skip
def test_what_happens_where_the_table_exists(
    connection: Connection, sql: str, rows: list[tuple[str, str]]
) -> None:
    connection.execute("COPY calls FROM 'calls.csv'")
    connection.execute(sql)
    assert connection.execute("FROM calls").fetchall() == rows


def test_other_delimiters_parquet_and_parameters(connection: Connection) -> None:
    connection.execute("COPY other OPTIONS (if_exists=?) FROM ?", ["fail", "other.csv"])
    assert connection.execute("FROM other").fetchall() == [(1, 2.5)]
    connection.execute("COPY main.n FROM 'n.parquet'")
    assert connection.execute("FROM n").fetchall() == [(7,)]
    connection.execute('COPY "odd ""name" FROM \'n.parquet\'')
    assert connection.execute('FROM "odd ""name"').fetchall() == [(7,)]


def test_a_folder_of_audio_is_a_row_a_file(connection: Connection, tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / "audio" / name).write_text("no audio")
        else:
            write_tones(tmp_path / "audio" / name, 0.5)
    assert connection.execute("COPY files FROM 'audio'").fetchall() == [("files", 2)]
    files = connection.execute("FROM files").fetchall()
    assert files == [("audio/a.flac",), ("audio/b.wav",)]
    seconds = connection.execute("PRINT AUDIO AS FROM files")
    assert [row[1] for row in seconds.fetchall()] == [0.5, 0.5]
    connection.execute(f"COPY absolute FROM '{tmp_path / 'audio'}'")
    assert connection.execute("FROM absolute").fetchone() == (f"{tmp_path}/audio/a.flac",)


def test_a_folder_is_not_appended_by_accident(connection: Connection, tmp_path: Path) -> None:
    write_tones(tmp_path / "audio" / "a.wav", 0.5)
    (tmp_path / "audio" / "x.csv").write_text("audio_path\nb.wav\n")
    connection.execute("COPY files FROM 'audio'")
    with pytest.raises(ProgrammingError, match="exists already"):
        connection.execute("COPY files FROM 'audio'")
    connection.execute("COPY files OPTIONS (if_exists='append') FROM 'audio'")
    assert connection.execute("FROM files").fetchall() == [("audio/a.wav",)] * 2
    connection.execute(f"COPY files FROM '{tmp_path}/audio/*.csv'")
    assert connection.execute("SELECT count(*) FROM files").fetchall() == [(3,)]


def write_bad_sources(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("a,b\n1,ok\n2,caf\xe9\n".encode("latin-1"))
    (folder / "broken.csv").write_text('a,b\n1,"never closed\n2,3\n' * 3)
    (folder / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (folder / "nothing").mkdir()
    (folder / "notes.md").write_text("# hello")
    (folder / "fake.parquet").write_text("no parquet")


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("COPY calls OPTIONS () FROM 'more.csv'", ProgrammingError, "if_exists='replace'"),
        ("COPY calls OPTIONS (if_exists='fail') FROM 'more.csv'", ProgrammingError, "exists"),
        ("COPY calls OPTIONS (if_exists='drop') FROM 'more.csv'", OptionError,
         "'fail' or 'replace' or 'append'"),
        ("COPY calls OPTIONS (overwrite='yes') FROM 'more.csv'", OptionError, "True or False"),
        ("COPY calls OPTIONS (ifexists='append') FROM 'more.csv'", OptionError,
         "Did you mean 'if_exists'"),
        ("COPY calls OPTIONS (overwrite=True, if_exists='fail') FROM 'more.csv'", OptionError,
         "one option"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'gone.csv'", OperationalError,
         "no file or folder 'gone.csv' .*start from"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'latin.csv'", DataError,
         "'latin.csv' is not UTF-8: line 3 holds the byte 0xe9"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'fake.parquet'", Error, "parquet"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'model.pkl'", NotSupportedError, "pickle"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'nothing'", DataError, "holds no audio file"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'notes.md'", NotSupportedError, "notes.md"),
        ("COPY calls OPTIONS (overwrite=True) FROM '[{\"a\": 1}]'", NotSupportedError, "JSON"),
        ("COPY calls OPTIONS (overwrite=True) FROM 's3://bucket/x.csv'", NotSupportedError, "URL"),
        ("COPY calls OPTIONS (overwrite=True) FROM '*.csv'", NotSupportedError, "pattern"),
        ("COPY calls OPTIONS (if_exists='append') FROM 'other.csv'", ProgrammingError, "column"),
    ],
)  # fmt: skip
def test_a_failure_leaves_the_table_as_it_was(
    connection: Connection, tmp_path: Path, sql: str, error: type[Exception], message: str
) -> None:
    write_bad_sources(tmp_path)
    connection.execute("COPY calls FROM 'calls.csv'")
    with pytest.raises(error, match=message):
        connection.execute(sql)
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(2,)]


def test_a_copy_is_part_of_the_transaction(connection: Connection) -> None:
    connection.begin()
    connection.execute("COPY calls FROM 'calls.csv'")
    connection.rollback()
    assert connection.execute("LIST TABLE").fetchall() == []
