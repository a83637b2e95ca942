"""COPY from folders and patterns of media: a row a file, with what its header says."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi import Connection, DataError, OptionError, ProgrammingError
from thanosql_dbapi.commands.copying import SUFFIXES
from thanosql_dbapi.commands.copying.kinds import MEDIA


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, progress=False) as opened:
        yield opened


def write_wav(path: Path, seconds: float = 0.5, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * round(8000 * seconds) * channels)


def write_image(path: Path, size: tuple[int, int] = (4, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def write_video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def copied(connection: Connection, source: str, options: str = "") -> list[tuple[object, ...]]:
    connection.execute(f"COPY copied OPTIONS ({options}) FROM ?", [source])
    return connection.execute("FROM copied").fetchall()


def columns(connection: Connection) -> dict[str, str]:
    description = connection.execute("FROM copied").description or ()
    return {column[0]: str(column[1]) for column in description}


def test_a_folder_of_audio_is_a_row_a_file(connection: Connection, tmp_path: Path) -> None:
    write_tones(tmp_path / "audio" / "b.wav", 0.5)
    write_tones(tmp_path / "audio" / "a.flac", 0.25)
    write_wav(tmp_path / "audio" / "c.WAV", 1.0, channels=2)
    for name in ("notes.txt", ".hidden.wav", "._a.flac", "README"):
        (tmp_path / "audio" / name).write_text("no audio")
    (tmp_path / "audio" / "folder.wav").mkdir()
    cursor = connection.execute("COPY copied FROM 'audio'")
    assert cursor.fetchall() == [("copied", 3)]
    rate = connection.execute("FROM copied").fetchone()[2]
    assert connection.execute("FROM copied").fetchall() == [
        ("audio/a.flac", 0.25, rate, 1),
        ("audio/b.wav", 0.5, rate, 1),
        ("audio/c.WAV", 1.0, 8000, 2),
    ]
    assert columns(connection) == {
        "audio_path": "VARCHAR",
        "duration_s": "DOUBLE",
        "sampling_rate": "BIGINT",
        "channels": "BIGINT",
    }
    seconds = connection.execute("PRINT AUDIO AS FROM copied").fetchall()
    assert [row[1] for row in seconds] == [0.25, 0.5, 1.0]


@pytest.mark.parametrize("written", ["./audio/", "audio//", "{}/audio", "file://{}/audio"])
def test_paths_are_written_as_the_folder_was(
    connection: Connection, tmp_path: Path, written: str
) -> None:
    write_wav(tmp_path / "audio" / "a.wav")
    found = copied(connection, written.format(tmp_path))
    folder = str(tmp_path / "audio") if "{}" in written else "audio"
    assert found == [(f"{folder}/a.wav", 0.5, 8000, 1)]


def test_images_and_videos_have_their_own_facts(connection: Connection, tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "b.png", (5, 6))
    write_image(tmp_path / "images" / "a.jpg")
    write_video(tmp_path / "videos" / "a.mp4")
    assert copied(connection, "images") == [
        ("images/a.jpg", 4, 3, "JPEG"),
        ("images/b.png", 5, 6, "PNG"),
    ]
    assert list(columns(connection)) == ["image_path", "width", "height", "format"]
    assert copied(connection, "videos", "if_exists='replace'") == [
        ("videos/a.mp4", 2.0, 64, 48, 10.0)
    ]
    names = ["video_path", "duration_s", "width", "height", "frame_rate"]
    assert list(columns(connection)) == names


def test_one_file_is_one_row(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav")
    assert copied(connection, "a.wav") == [("a.wav", 0.5, 8000, 1)]


def test_several_kinds_are_asked_about(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "mixed" / "a.wav")
    write_image(tmp_path / "mixed" / "a.png")
    with pytest.raises(OptionError, match=r"several kinds, audio, image: .*media='audio'"):
        copied(connection, "mixed")
    assert copied(connection, "mixed", "media='image'") == [("mixed/a.png", 4, 3, "PNG")]
    replace = "if_exists='replace', media="
    assert copied(connection, "mixed/*", f"{replace}'audio'")[0][0] == "mixed/a.wav"
    with pytest.raises(DataError, match="the folder 'mixed' holds no video file"):
        copied(connection, "mixed", f"{replace}'video'")
    with pytest.raises(DataError, match=r"the pattern 'mixed/\*' fits no video file"):
        copied(connection, "mixed/*", f"{replace}'video'")


def test_folders_below_are_taken_by_option(connection: Connection, tmp_path: Path) -> None:
    for name in ("b.wav", "a/2.wav", "a/1.wav", "a/deep/3.wav", "a.b/4.wav", ".x/5.wav"):
        write_wav(tmp_path / "audio" / name)
    (tmp_path / "audio" / "a" / "loop").symlink_to(tmp_path / "audio")
    (tmp_path / "audio" / "a" / "again").symlink_to(tmp_path / "audio" / "a")
    (tmp_path / "elsewhere").mkdir()
    write_wav(tmp_path / "elsewhere" / "6.wav")
    (tmp_path / "audio" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "audio" / "broken.wav").symlink_to(tmp_path / "none.wav")
    assert [row[0] for row in copied(connection, "audio")] == ["audio/b.wav"]
    replace = "if_exists='replace'"
    below = ["a/1.wav", "a/2.wav", "a/deep/3.wav", "a.b/4.wav", "b.wav", "linked/6.wav"]
    for source, options in (("audio", f"{replace}, recursive=True"), ("audio/**/*.wav", replace)):
        found = [row[0] for row in copied(connection, source, options)]
        assert found == [f"audio/{name}" for name in below]
    with pytest.raises(OptionError, match="the option recursive is for a folder of media"):
        copied(connection, '[{"a": 1}]', f"{replace}, recursive=True")


def test_what_cannot_be_read_stays(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "audio" / "a.wav")
    (tmp_path / "audio" / "b.wav").write_bytes(b"")
    (tmp_path / "audio" / "c.wav").write_text("no audio at all")
    with pytest.warns(
        UserWarning, match=r"^2 of 3 files could not .* the first is 'audio/b.wav': "
    ):
        found = copied(connection, "audio")
    assert found == [
        ("audio/a.wav", 0.5, 8000, 1),
        ("audio/b.wav", None, None, None),
        ("audio/c.wav", None, None, None),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", "the folder 'empty' holds no audio, image or video file$"),
        ("tables", r"its tables are copied by a pattern: 'tables/\*.csv'$"),
        ("deep", r"those below it are taken with OPTIONS \(recursive=True\)$"),
    ],
)
def test_a_folder_without_media_is_told(
    connection: Connection, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("a\n1\n")
    write_wav(tmp_path / "deep" / "down" / "a.wav")
    with pytest.raises(DataError, match=message):
        copied(connection, source)


def test_a_folder_is_not_appended_by_accident(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "audio" / "a.wav")
    (tmp_path / "x.csv").write_text("audio_path\nb.wav\n")
    connection.execute("COPY files FROM 'audio'")
    for source in ("audio", "audio/a.wav"):
        with pytest.raises(ProgrammingError, match="exists already"):
            connection.execute("COPY files FROM ?", [source])
    connection.execute("COPY files OPTIONS (if_exists='append') FROM 'audio'")
    connection.execute("COPY files OPTIONS (if_exists='append') FROM 'x.csv'")
    row = ("audio/a.wav", 0.5, 8000, 1)
    assert connection.execute("FROM files").fetchall() == [row, row, ("b.wav", None, None, None)]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_followed_where_they_lead(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "far" / "up.wav")
    write_wav(tmp_path / "far" / "below" / "a.wav")
    (tmp_path / "near").symlink_to(tmp_path / "far" / "below")
    (tmp_path / "far" / "itself.wav").symlink_to("itself.wav")
    assert copied(connection, "near/..") == [("near/../up.wav", 0.5, 8000, 1)]


def test_files_below_are_only_told_of_where_they_help(
    connection: Connection, tmp_path: Path
) -> None:
    write_wav(tmp_path / "audio" / "a.wav")
    write_image(tmp_path / "audio" / "below" / "a.png")
    with pytest.raises(DataError, match="holds no video file$"):
        copied(connection, "audio", "media='video'")
    with pytest.raises(DataError, match="holds no image file; .*recursive=True"):
        copied(connection, "audio", "media='image'")


def test_names_may_be_odd(connection: Connection, tmp_path: Path) -> None:
    names = ["a b'c\"d.wav", "안녕.wav", "é.wav", "e\u0301.wav", "[1].wav", "100%.wav", "a;--.wav"]
    for name in names:
        write_wav(tmp_path / "audio" / name)
    found = [str(row[0]).removeprefix("audio/") for row in copied(connection, "audio")]
    assert found == sorted(names)
    seconds = connection.execute("PRINT AUDIO AS FROM copied").fetchall()
    assert [row[1] for row in seconds] == [0.5] * len(names)


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_name_that_is_no_text_is_told(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "audio" / "a.wav")
    try:
        os.rename(  # noqa: PTH104 - Path takes no bytes
            tmp_path / "audio" / "a.wav", os.fsencode(tmp_path / "audio") + b"/\xff.wav"
        )
    except OSError:
        pytest.skip("SKIPPED, the file system takes no such name")
    with pytest.raises(DataError, match=r"'audio/\\xff.wav' is no UTF-8"):
        copied(connection, "audio")


def test_many_files_come_in_order(connection: Connection, tmp_path: Path) -> None:
    write_wav(tmp_path / "audio" / "0000.wav", 0.01)
    for number in range(1, 1500):
        os.link(tmp_path / "audio" / "0000.wav", tmp_path / "audio" / f"{number:04}.wav")
    expected = [(f"audio/{number:04}.wav", 0.01, 8000, 1) for number in range(1500)]
    assert copied(connection, "audio") == expected


def test_each_kind_has_its_suffixes() -> None:
    assert {SUFFIXES[s] for s in (".wav", ".mp3", ".png", ".jpg", ".mp4")} == MEDIA
