"""GET THANOSQL DATASET: whole or not at all, from a loopback server in OpenSLR's layout."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import wave
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import openslr
import pytest
import soundfile
from openslr import LIBRISPEECH, ZEROTH, Member, Server, serve

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    NotSupportedError,
    OperationalError,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
)
from thanosql_dbapi.assets import (
    DATASETS,
    RECORDINGS,
    archives,
    downloading,
    librispeech,
    placing,
    transfers,
)
from thanosql_dbapi.media.paths import local_path
from thanosql_dbapi.progress import ProgressEvent

LIBRI = "GET THANOSQL DATASET librispeech_data"
KOREAN = "GET THANOSQL DATASET korean_voice_data"


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: it takes most of a fetch, and no test cuts the power."""
    monkeypatch.setattr(placing, "sync_tree", lambda _: None)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return openslr.make_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def server(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the mirror, which stands in for OpenSLR."""
    with serve(mirror) as served:
        monkeypatch.setenv("THANOSQL_MIRROR", served.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(downloading, "BACKOFF_S", 0.01)
        yield served


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, progress=False) as opened:
        yield opened


def answer(connection: Connection, sql: str) -> dict[str, Any]:
    cursor = connection.execute(sql)
    assert cursor.description is not None
    (row,) = cursor.fetchall()
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


def table(root: Path, file: str) -> list[dict[str, str]]:
    with (root / "thanosql-dataset" / file).open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def part(root: Path, name: str = "librispeech_data") -> Path:
    return root / "thanosql-dataset" / ".fetching" / f"{name}.part"


# --- what there is afterwards ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["server", "folder"])
def test_librispeech_is_laid_out_as_the_tutorials_expect(
    kind: str,
    server: Server,
    mirror: Path,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "folder":
        monkeypatch.setenv("THANOSQL_MIRROR", str(mirror))
    told = answer(connection, LIBRI)
    train = table(tmp_path, "librispeech_data/librispeech_train.csv")
    test = table(tmp_path, "librispeech_data/librispeech_test.csv")
    place = "thanosql-dataset/librispeech_data"
    assert [row["audio_path"] for row in train] == [f"{place}/{n:03}.wav" for n in range(80)]
    assert [row["audio_path"] for row in test] == [f"{place}/{n:03}.wav" for n in range(80, 100)]
    assert train[0].keys() == {"audio_path", "text"}
    assert all(row["text"] and row["text"] == row["text"].lower() for row in [*train, *test])
    for row in [*train, *test]:
        facts = soundfile.info(tmp_path / row["audio_path"])
        assert (facts.format, facts.subtype, facts.samplerate, facts.channels) == (
            *("WAV", "PCM_16", 16_000, 1),
        )
        assert 1 <= facts.duration <= 15
    assert told["folder"] == place
    assert told["tables"] == [f"{place}/librispeech_train.csv", f"{place}/librispeech_test.csv"]
    assert (told["rows"], told["files"]) == (100, 100)
    assert told["verified"] == "the mirror's own MD5"
    assert "CC BY 4.0" in told["licence"]
    size = sum(p.stat().st_size for p in (tmp_path / place).iterdir())
    assert told["size_bytes"] == size
    assert server.asked == [] if kind == "folder" else server.asked[0] == (f"/{LIBRISPEECH}", None)


def test_a_recording_has_the_samples_of_its_flac_and_no_speaker_is_in_both_tables(
    server: Server, mirror: Path, connection: Connection, tmp_path: Path
) -> None:
    answer(connection, LIBRI)
    readme = (tmp_path / "thanosql-dataset/librispeech_data/README.md").read_text("utf-8")
    assert "CC BY 4.0" in readme
    assert "https://www.openslr.org/31/" in readme
    lines = [line.split(" | ") for line in readme.splitlines() if ".wav |" in line]
    origins = {file.strip("| "): name.strip("| ") for file, name in lines}
    assert len(origins) == 100
    speakers = [origins[f"{n:03}.wav"].partition("-")[0] for n in range(100)]
    assert set(speakers[:80]).isdisjoint(speakers[80:])
    assert len(set(speakers[:8])) == 8
    with tarfile.open(mirror / LIBRISPEECH) as archive:
        flacs = {
            Path(m.name).stem: archive.extractfile(m).read()
            for m in archive
            if m.name.endswith(".flac")
        }
    for file in ("000.wav", "079.wav", "080.wav", "099.wav"):
        decoded, _ = soundfile.read(io.BytesIO(flacs[origins[file]]), dtype="int16")
        with wave.open(str(tmp_path / "thanosql-dataset/librispeech_data" / file)) as sound:
            assert sound.readframes(sound.getnframes()) == decoded.tobytes()


def test_the_choice_does_not_depend_on_the_order_in_the_archive(
    connection: Connection, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_MIRROR", str(mirror))
    answer(connection, LIBRI)
    one = content(tmp_path / "thanosql-dataset/librispeech_data")
    turned = list(openslr.librispeech())[::-1]
    openslr.write_archive(tmp_path / "turned" / LIBRISPEECH, turned)
    monkeypatch.setenv("THANOSQL_MIRROR", "turned")
    answer(connection, f"{LIBRI} OPTIONS (overwrite=True)")
    assert content(tmp_path / "thanosql-dataset/librispeech_data") == one


def test_apostrophes_stay_and_what_is_no_transcript_goes(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def members() -> Iterator[Member]:
        for name, data in openslr.librispeech():
            changed = data.replace(b"84-1000-0000 ", b"84-1000-0000 DON'T ")
            changed = changed.replace(b"84-1000-0001 ", b"84-1000-0001 1, ")
            yield name, changed if name.endswith("84-1000.trans.txt") else data

    openslr.write_archive(tmp_path / "m" / LIBRISPEECH, members())
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    answer(connection, LIBRI)
    texts = [row["text"] for row in table(tmp_path, "librispeech_data/librispeech_train.csv")]
    assert texts[0].startswith("don't ")
    assert not any("1" in text for text in texts)


def test_a_table_of_a_dataset_can_be_copied_and_predicted_as_it_is(
    server: Server, connection: Connection
) -> None:
    path = answer(connection, LIBRI)["tables"][1]
    assert answer(connection, f"COPY test FROM '{path}'")["rows"] == 20
    said = connection.execute("PREDICT USING voice_tiny AS SELECT * FROM test LIMIT 2").fetchall()
    assert len(said) == 2
    assert all(row[-1] for row in said)


@pytest.mark.parametrize("transcripts", ["before", "after"])
def test_the_korean_data_have_one_transcript_in_both_columns(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transcripts: str
) -> None:
    members = openslr.zeroth(240, transcripts=transcripts)
    openslr.write_archive(tmp_path / "m" / ZEROTH, members, "checksum.md5")
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    told = answer(connection, KOREAN)
    rows = table(tmp_path, "korean_voice_data/korean_voice.csv")
    assert list(rows[0]) == [
        *("audio_path", "sampling_rate", "transcript_phonetic", "transcript_spelling", "duration"),
    ]
    assert (len(rows), told["rows"], told["files"]) == (100, 100, 100)
    folder = tmp_path / "thanosql-dataset/korean_voice_data"
    assert len(list(folder.glob("*.flac"))) == 100
    # A speaker has 80 utterances, so the rest are of the next.
    assert {row["audio_path"].split("/")[-1][:3] for row in rows} == {"106", "107"}
    for index, row in enumerate(rows[:7]):
        assert row["transcript_phonetic"] == row["transcript_spelling"]
        assert row["transcript_spelling"] == openslr.KOREAN[index % 5]
        facts = soundfile.info(tmp_path / row["audio_path"])
        assert int(row["sampling_rate"]) == facts.samplerate == 16_000
        assert float(row["duration"]) == pytest.approx(facts.duration, abs=0.001)
    assert told["verified"] == "the MD5 of its samples in each FLAC file"


def test_no_more_of_the_korean_archive_is_read_than_needed(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = openslr.write_archive(tmp_path / "m" / ZEROTH, openslr.zeroth(600, speakers=12))
    with serve(tmp_path / "m", pause_s=0.005) as server:
        monkeypatch.setenv("THANOSQL_MIRROR", server.url)
        answer(connection, KOREAN)
        assert len(server.asked) == 1
        assert server.sent < archive.stat().st_size * 0.7
    assert not part(tmp_path, "korean_voice_data").exists()


def test_utterances_without_a_transcript_are_left_out(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def members(transcripts: str) -> Iterator[Member]:
        for name, data in openslr.zeroth(240, transcripts=transcripts):
            rest = b"".join(data.splitlines(keepends=True)[1:])
            yield name, rest if name.endswith("106_003.trans.txt") else data

    for transcripts in ("before", "after"):
        openslr.write_archive(tmp_path / "m" / ZEROTH, members(transcripts))
        monkeypatch.setenv("THANOSQL_MIRROR", "m")
        answer(connection, f"{KOREAN} OPTIONS (overwrite=True)")
        folder = tmp_path / "thanosql-dataset/korean_voice_data"
        assert len(list(folder.glob("*.flac"))) == 100
        assert not (folder / "106_003_0000.flac").exists()
        assert (folder / "106_003_0001.flac").exists()


def test_a_transcript_is_no_formula_of_a_spreadsheet(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def members() -> Iterator[Member]:
        for name, data in openslr.zeroth(240):
            changed = data.replace(b"106_003_0000 ", b"106_003_0000 =1+1 ")
            changed = changed.replace(b"106_003_0001 ", b"106_003_0001 a\0b ")
            yield name, changed if name.endswith("106_003.trans.txt") else data

    openslr.write_archive(tmp_path / "m" / ZEROTH, members())
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    answer(connection, KOREAN)
    rows = table(tmp_path, "korean_voice_data/korean_voice.csv")
    assert len(rows) == 100
    assert rows[0]["audio_path"].endswith("106_003_0002.flac")


def test_the_bundled_recordings_need_no_network(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_MIRROR", "http://127.0.0.1:9")
    told = answer(connection, "GET THANOSQL DATASET calls_data")
    assert (told["rows"], told["files"], told["licence"]) == (80, 80, "Apache-2.0")
    folder = tmp_path / "thanosql-dataset/calls_data"
    assert {p.name for p in folder.iterdir()} == {p.name for p in RECORDINGS.iterdir()} | {
        "README.md"
    }
    connection.execute(f"COPY calls FROM '{told['tables'][0]}'")
    facts = "SELECT sum(thanosql_audio_facts(audio_path).duration_s), count(region) FROM calls"
    seconds, rows = connection.execute(facts).fetchone()
    assert rows == 60
    assert 60 < seconds < told["audio_seconds"]
    assert ("calls_data", "audio") in connection.execute("LIST THANOSQL DATASET").fetchall()


# --- names and options ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "error", "sentence"),
    [
        ("librispeech_dat", ProgrammingError, "Did you mean 'librispeech_data'?"),
        ("zzz", ProgrammingError, "It has calls_data, korean_voice_data, librispeech_data"),
        ("mnist_data", NotSupportedError, "'mnist_data' (images) is not supported yet; these are:"),
        ("calls_data AS mine", OptionError, "AS names a model; a dataset keeps its name"),
        ("calls_data OPTIONS (model_name='m')", OptionError, "no option 'model_name'"),
        ("calls_data OPTIONS (overwrit=True)", OptionError, "Did you mean 'overwrite'?"),
    ],
)
def test_what_is_wrong_is_said(
    connection: Connection, tmp_path: Path, sql: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        connection.execute(f"GET THANOSQL DATASET {sql}")
    assert sentence in str(raised.value)
    assert not (tmp_path / "thanosql-dataset").exists()


def test_a_name_in_capitals_is_the_same(connection: Connection) -> None:
    assert answer(connection, "GET THANOSQL DATASET CALLS_DATA")["name"] == "calls_data"


def test_a_dataset_that_is_there_stays_unless_overwrite_says_so(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    answer(connection, LIBRI)
    folder = tmp_path / "thanosql-dataset/librispeech_data"
    (folder / "000.wav").write_bytes(b"mine")
    asked = len(server.asked)
    with pytest.raises(ProgrammingError, match=r"is there already, in .*OPTIONS \(overwrite=True"):
        connection.execute(LIBRI)
    assert len(server.asked) == asked
    assert (folder / "000.wav").read_bytes() == b"mine"
    answer(connection, f"{LIBRI} OPTIONS (overwrite=True)")
    assert (folder / "000.wav").read_bytes() != b"mine"


@pytest.mark.parametrize(
    "given",
    [
        *("nowhere", "ftp://host/x", "http://me:secret@host", "~nobody-of-this-name/x", "x" * 5000),
        *("http://", "http://[::1", "http://host:99999", "http://a b", "http://하나.kr"),
        *("https://host/x?token=secret", "https://host/x#y"),
    ],
)
def test_a_mirror_that_is_none(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("THANOSQL_MIRROR", given)
    with pytest.raises(ProgrammingError, match="THANOSQL_MIRROR") as raised:
        connection.execute(LIBRI)
    assert "secret" not in str(raised.value)


def test_older_paths_mean_the_same_files(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    answer(connection, LIBRI)
    copy = "COPY older FROM 'tutorial_data/librispeech_data/librispeech_test.csv'"
    assert answer(connection, copy)["rows"] == 20
    copy = "COPY oldest FROM '/tutorial_data/librispeech_data/librispeech_test.csv'"
    assert answer(connection, copy)["rows"] == 20
    for path in (
        "/tutorial_data/librispeech_data/080.wav",
        "tutorial_data/librispeech_data/080.wav",
    ):
        sql = f"SELECT thanosql_audio_facts('{path}').sampling_rate"
        assert connection.execute(sql).fetchone() == (16_000,)
    # What has the very name goes first, and what is nowhere keeps its name.
    own = tmp_path / "tutorial_data" / "librispeech_data" / "080.wav"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"")
    assert local_path("tutorial_data/librispeech_data/080.wav", tmp_path) == own
    assert local_path("/tutorial_data/librispeech_data/080.wav", tmp_path) == own
    # Nothing leads out of the datasets by such a name.
    for path in ("tutorial_data/../own.csv", "/tutorial_data/calls_data/../../../own.csv"):
        (tmp_path / "own.csv").write_text("a\n")
        assert local_path(path, tmp_path) == tmp_path / path
    pattern = "tutorial_data/korean_voice_data/*.flac"
    assert local_path(pattern, tmp_path) == tmp_path / pattern
    assert local_path("tutorial_data/none.wav", tmp_path) == tmp_path / "tutorial_data/none.wav"
    assert local_path("my/tutorial_data/x", tmp_path) == tmp_path / "my/tutorial_data/x"


def test_a_pattern_of_an_older_path_looks_in_the_dataset(
    connection: Connection, tmp_path: Path
) -> None:
    answer(connection, "GET THANOSQL DATASET calls_data")
    found = local_path("/tutorial_data/calls_data/test_*.flac", tmp_path)
    assert found == tmp_path / "thanosql-dataset/calls_data/test_*.flac"
    # A root whose own name looks like a pattern is none.
    root = tmp_path / "a[1]"
    shutil.copytree(tmp_path / "thanosql-dataset", root / "thanosql-dataset")
    found = local_path("/tutorial_data/calls_data/calls_test.csv", root)
    assert found == root / "thanosql-dataset/calls_data/calls_test.csv"


# --- networks -------------------------------------------------------------------------------


def test_a_connection_that_breaks_off_goes_on_where_it_was(
    server: Server, mirror: Path, connection: Connection, tmp_path: Path
) -> None:
    server.breaks, server.breaks_after = 3, 700_000
    answer(connection, LIBRI)
    size = (mirror / LIBRISPEECH).stat().st_size
    ranges = [asked for path, asked in server.asked if path.endswith(".gz")]
    assert ranges == [None, "bytes=700000-", "bytes=1400000-", "bytes=2100000-"]
    assert server.sent < size + 1000
    assert not part(tmp_path).exists()


def test_the_korean_stream_goes_on_too(server: Server, connection: Connection) -> None:
    server.breaks, server.breaks_after = 2, 500_000
    assert answer(connection, KOREAN)["files"] == 100
    assert [asked for _, asked in server.asked] == [None, "bytes=500000-", "bytes=1000000-"]


def test_a_server_without_ranges_sends_it_again(server: Server, connection: Connection) -> None:
    server.ranges, server.breaks, server.breaks_after = False, 2, 700_000
    answer(connection, LIBRI)
    assert answer(connection, KOREAN)["files"] == 100


def test_a_server_that_says_nothing_of_the_file_is_asked_for_all_of_it_again(
    server: Server, connection: Connection
) -> None:
    server.tags, server.breaks, server.breaks_after = False, 1, 700_000
    answer(connection, LIBRI)
    assert [asked for path, asked in server.asked if path.endswith(".gz")] == [None, None]


def test_a_stopped_download_is_gone_on_with(
    server: Server, mirror: Path, connection: Connection, tmp_path: Path
) -> None:
    server.pause_s = 0.05
    started = time.monotonic()
    threading.Timer(0.4, connection.interrupt).start()
    with pytest.raises(QueryInterrupted):
        connection.execute(LIBRI)
    assert time.monotonic() - started < 1.4
    kept = part(tmp_path).stat().st_size
    assert 0 < kept < (mirror / LIBRISPEECH).stat().st_size
    assert not (tmp_path / "thanosql-dataset/librispeech_data").exists()
    server.pause_s = 0
    answer(connection, LIBRI)
    assert f"bytes={kept}-" in [asked for _, asked in server.asked]


def test_a_stopped_stream_is_gone_on_with(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    server.pause_s = 0.05
    threading.Timer(0.5, connection.interrupt).start()
    with pytest.raises(QueryInterrupted):
        connection.execute(KOREAN)
    kept = part(tmp_path, "korean_voice_data").stat().st_size
    assert kept
    server.pause_s = 0
    assert answer(connection, KOREAN)["files"] == 100
    assert [asked for _, asked in server.asked] == [None, f"bytes={kept}-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    server: Server, connection: Connection, tmp_path: Path, mirror: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(mirror, other)
    server.folder = other
    server.breaks, server.breaks_after = 100, 300_000
    server.pause_s = 0.05
    threading.Timer(0.3, connection.interrupt).start()
    with pytest.raises(QueryInterrupted):
        connection.execute(LIBRI)
    assert part(tmp_path).stat().st_size > 0
    server.breaks, server.pause_s = 0, 0
    openslr.write_archive(other / LIBRISPEECH, openslr.librispeech(150))
    assert answer(connection, LIBRI)["rows"] == 100


def test_a_file_that_changes_while_it_is_streamed_is_said_so(
    server: Server, connection: Connection, tmp_path: Path, mirror: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(mirror, other)
    server.folder = other
    server.breaks, server.breaks_after, server.silent_s = 1, 400_000, 0.3

    def change() -> None:
        while not server.asked:
            time.sleep(0.01)
        time.sleep(0.45)
        openslr.write_archive(other / ZEROTH, openslr.zeroth(130))

    changing = threading.Thread(target=change)
    changing.start()
    with pytest.raises(OperationalError, match="changed"):
        connection.execute(KOREAN)
    changing.join()
    server.silent_s = 0
    assert answer(connection, KOREAN)["files"] == 100


def test_a_server_that_is_busy_is_asked_again(server: Server, connection: Connection) -> None:
    server.statuses = [503, 429, 500]
    assert answer(connection, LIBRI)["rows"] == 100


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [([404], "the server answers 404"), ([403], "answers 403"), ([503] * 9, "answers 503")],
)
def test_what_a_server_refuses_is_said_with_its_address(
    server: Server, connection: Connection, tmp_path: Path, statuses: list[int], sentence: str
) -> None:
    server.statuses = statuses
    with pytest.raises(OperationalError) as raised:
        connection.execute(LIBRI)
    assert sentence in str(raised.value)
    assert f"{server.url}/{LIBRISPEECH}" in str(raised.value)
    assert [p.name for p in (tmp_path / "thanosql-dataset").iterdir()] == [".fetching"]


def test_without_a_network_a_mirror_is_offered(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr(downloading, "BACKOFF_S", 0.01)
    with pytest.raises(OperationalError) as raised:
        connection.execute(LIBRI)
    assert f"http://127.0.0.1:9/{LIBRISPEECH} cannot be fetched" in str(raised.value)
    assert "THANOSQL_MIRROR names a folder or a server" in str(raised.value)


def test_a_connection_that_never_lasts_is_given_up_and_what_came_is_kept(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    server.breaks, server.breaks_after = 99, 0
    part(tmp_path).parent.mkdir(parents=True)
    with pytest.raises(OperationalError, match="the connection broke off"):
        connection.execute(LIBRI)
    assert len(server.asked) == downloading.TRIES


@pytest.mark.parametrize("silent", ["before its answer", "in the middle"])
def test_a_silent_server_is_left_within_a_second(
    server: Server, connection: Connection, silent: str
) -> None:
    if silent == "in the middle":
        server.pause_s = 60
    else:
        server.silent_s = 60
    threading.Timer(0.5, connection.interrupt).start()
    started = time.monotonic()
    with pytest.raises(QueryInterrupted):
        connection.execute(LIBRI)
    assert time.monotonic() - started < 1.5


def test_a_server_that_does_not_say_which_part_it_sends_is_asked_for_all(
    server: Server, connection: Connection
) -> None:
    server.says_part = False
    server.breaks, server.breaks_after = 1, 700_000
    assert answer(connection, LIBRI)["rows"] == 100
    asked = [asked for path, asked in server.asked if path.endswith(".gz")]
    assert asked == [None, "bytes=700000-", None]


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_server_that_sends_elsewhere_than_to_http_is_not_followed(
    server: Server, connection: Connection, place: str
) -> None:
    server.redirects = place
    with pytest.raises(OperationalError, match="is not allowed") as raised:
        connection.execute(LIBRI)
    assert place in str(raised.value)
    assert len(server.asked) == 1


def test_what_a_server_says_is_shown_in_one_plain_line() -> None:
    said = "Not\r\nFound \x1b[31m" + "x" * 999
    assert transfers.one_line(said) == ("Not Found [31m" + "x" * 999)[:300]


@pytest.mark.parametrize(
    "facts",
    [
        *("", "[]", '{"url": 1}', '{"url": "{url}", "tag": 5, "total": null}'),
        *('{"url": "{url}", "tag": "a", "total": "9"}', '{"url": "{url}", "tag": "a\\r\\nX: y"}'),
        '{"url": "{url}", "tag": "\\ud55c", "total": null}',
    ],
)
def test_what_was_kept_of_a_download_and_makes_no_sense_is_dropped(
    server: Server, connection: Connection, tmp_path: Path, facts: str
) -> None:
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(b"what is no archive")
    kept = facts.replace("{url}", f"{server.url}/{LIBRISPEECH}")
    part(tmp_path).with_name("librispeech_data.part.json").write_text(kept)
    assert answer(connection, LIBRI)["rows"] == 100
    assert server.asked[0] == (f"/{LIBRISPEECH}", None)


def test_proxies_are_those_of_the_environment(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("THANOSQL_MIRROR", "http://openslr.invalid")
    assert answer(connection, LIBRI)["rows"] == 100
    assert server.asked[0][0] == f"http://openslr.invalid/{LIBRISPEECH}"


def test_progress_is_told_in_megabytes_and_then_in_recordings(
    server: Server, mirror: Path, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    server.pause_s = 0.002
    with thanosql_dbapi.connect(root=tmp_path, progress=events.append) as connection:
        connection.execute(LIBRI)
    megabytes = round((mirror / LIBRISPEECH).stat().st_size / 1e6, 1)
    fetched = [event for event in events if event.total == megabytes]
    assert fetched[-1].done == megabytes
    assert fetched[-2].facts["remaining_s"] >= 0
    assert [event.done for event in events if event.total == 100] == list(range(1, 101))
    assert {event.activity for event in events} == {"librispeech_data"}


# --- what is verified -----------------------------------------------------------------------


def test_openslr_itself_must_have_the_published_archive(
    connection: Connection, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thanosql_dbapi.assets import mirrors

    monkeypatch.delenv("THANOSQL_MIRROR", raising=False)
    with serve(mirror) as server:
        monkeypatch.setattr(mirrors, "OPENSLR", server.url)
        with pytest.raises(OperationalError, match="6d7ab67ac6a1d2c993d050e16d61080d is published"):
            connection.execute(LIBRI)
    assert not part(tmp_path).exists()


def test_the_published_archive_needs_no_other_word_for_it(
    server: Server, mirror: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from thanosql_dbapi.commands import get_dataset

    said = (mirror / LIBRISPEECH).with_name("md5sum.txt").read_text().split()[0]
    known = {"librispeech_data": replace(DATASETS["librispeech_data"], md5=said)}
    monkeypatch.setattr(get_dataset, "DATASETS", known)
    assert answer(connection, LIBRI)["verified"] == "the published MD5"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("sums", "sentence"),
    [
        (None, "no md5sum.txt or checksum.md5 beside it says its MD5"),
        ("0" * 32 + "  train-clean-5.tar.gz\n", "no md5sum.txt or checksum.md5"),
        ("0" * 32 + "  dev-clean-2.tar.gz\n", f"and the mirror says {'0' * 32}"),
    ],
)
def test_an_archive_that_is_another_one_is_not_used(
    server: Server,
    mirror: Path,
    connection: Connection,
    tmp_path: Path,
    sums: str | None,
    sentence: str,
) -> None:
    server.folder = tmp_path / "m"
    shutil.copytree(mirror, server.folder)
    file = (server.folder / LIBRISPEECH).with_name("md5sum.txt")
    file.unlink()
    if sums is not None:
        file.write_text(sums)
    with pytest.raises(OperationalError) as raised:
        connection.execute(LIBRI)
    assert sentence in str(raised.value)
    assert not part(tmp_path).exists()
    assert not (tmp_path / "thanosql-dataset/librispeech_data").exists()


@pytest.mark.parametrize(("sql", "path"), [(LIBRI, LIBRISPEECH), (KOREAN, ZEROTH)])
@pytest.mark.parametrize("harm", ["digest", "data", "cut"])
def test_a_recording_that_is_damaged_is_said_by_its_name(
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    path: str,
    harm: str,
) -> None:
    def harmed(data: bytes) -> bytes:
        if harm == "digest":
            return data[:30] + bytes([data[30] ^ 1]) + data[31:]
        if harm == "cut":
            return data[:60]
        middle = len(data) // 2
        return data[:middle] + bytes(64) + data[middle + 64 :]

    made = openslr.librispeech() if sql == LIBRI else openslr.zeroth()
    members = [(n, harmed(d) if n.endswith("0000.flac") else d) for n, d in made]
    openslr.write_archive(tmp_path / "m" / path, members)
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    with pytest.raises(OperationalError, match=r"0000\.flac: "):
        connection.execute(sql)
    assert [p.name for p in (tmp_path / "thanosql-dataset").iterdir()] == [".fetching"]


@pytest.mark.parametrize(("sql", "path"), [(LIBRI, LIBRISPEECH), (KOREAN, ZEROTH)])
def test_an_archive_that_is_cut_off_or_none_or_too_small(
    connection: Connection,
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    path: str,
) -> None:
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    archive = tmp_path / "m" / path

    def refuse(data: bytes, sentence: str) -> None:
        import hashlib

        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(data)
        digest = hashlib.md5(data).hexdigest()
        archive.with_name("md5sum.txt").write_text(f"{digest}  {archive.name}\n")
        with pytest.raises(OperationalError, match=sentence):
            connection.execute(sql)

    whole = (mirror / path).read_bytes()
    refuse(whole[: len(whole) // 4], "is cut off or damaged")
    refuse(b"<html>no such page</html>", "is cut off or damaged")
    few = openslr.librispeech(40) if sql == LIBRI else openslr.zeroth(60)
    openslr.write_archive(archive, few)
    refuse(archive.read_bytes(), r"has \d+ utterances .* 100 are needed")


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> Member:
    described = tarfile.TarInfo(name)
    described.type, described.linkname, described.size = kind, link, size
    return described


def long_name() -> Iterable[Member]:
    yield entry("x" * 3_000_000)


TRAPS: dict[str, Callable[[], Iterable[Member]]] = {
    "parent": lambda: [("../outside.txt", b"x")],
    "deep parent": lambda: [("LibriSpeech/dev-clean-2/84/../../../../outside.txt", b"x")],
    "absolute": lambda: [("/tmp/outside.txt", b"x")],
    "windows": lambda: [("C:\\outside.txt", b"x")],
    "windows parent": lambda: [("a\\..\\..\\outside.txt", b"x")],
    "symlink": lambda: [entry("LibriSpeech/out", tarfile.SYMTYPE, "/tmp")],
    "symlink up": lambda: [entry("LibriSpeech/out", tarfile.SYMTYPE, "../../..")],
    "hardlink": lambda: [entry("LibriSpeech/out", tarfile.LNKTYPE, "../../etc/passwd")],
    "device": lambda: [entry("LibriSpeech/null", tarfile.CHRTYPE)],
    "pipe": lambda: [entry("LibriSpeech/pipe", tarfile.FIFOTYPE)],
    "long name": long_name,
    "large transcript": lambda: [
        entry("LibriSpeech/dev-clean-2/84/1/84-1.trans.txt", size=2_000_000),
        entry("train_data_01/003/105/105_003.trans.txt", size=2_000_000),
    ],
    "large recording": lambda: [
        entry("LibriSpeech/dev-clean-2/84/1/84-1-0000.flac", size=2_000_000),
        entry("train_data_01/003/105/105_003_0001.flac", size=2_000_000),
    ],
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize(("sql", "path"), [(LIBRI, LIBRISPEECH), (KOREAN, ZEROTH)])
def test_a_malicious_archive_writes_nothing(
    server: Server,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    path: str,
    trap: str,
) -> None:
    monkeypatch.setattr(archives, "_MOST_MEMBER_BYTES", 1_000_000)
    server.folder = tmp_path / "m"
    members = openslr.librispeech() if sql == LIBRI else openslr.zeroth()
    openslr.write_archive(server.folder / path, [*TRAPS[trap](), *members])
    before = {p for p in tmp_path.rglob("*") if "m" not in p.relative_to(tmp_path).parts}
    with pytest.raises(OperationalError) as raised:
        connection.execute(sql)
    assert "not used" in str(raised.value) or "not a FLAC file" in str(raised.value)
    assert len(str(raised.value)) < 500
    name = sql.rpartition(" ")[2]
    left = {p for p in tmp_path.rglob("*") if "m" not in p.relative_to(tmp_path).parts} - before
    hidden = tmp_path / "thanosql-dataset" / ".fetching"
    assert left == {hidden.parent, hidden, hidden / f"{name}.lock", hidden / "staging"}
    assert not Path("/tmp/outside.txt").exists()


def test_a_bomb_is_left_when_it_has_unpacked_too_much(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librispeech, "_MOST_BYTES", 60_000_000)
    bomb = [entry(f"LibriSpeech/{n}", size=10_000_000) for n in range(10)]
    openslr.write_archive(tmp_path / "m" / LIBRISPEECH, bomb)
    monkeypatch.setenv("THANOSQL_MIRROR", "m")
    started = time.monotonic()
    with pytest.raises(OperationalError, match=r"holds more than 0\.1 GB"):
        connection.execute(LIBRI)
    assert time.monotonic() - started < 5


def test_an_archive_of_endlessly_many_members_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 5)
    path = openslr.write_archive(tmp_path / "a.tar.gz", [(str(n), b"") for n in range(6)])
    with (
        path.open("rb") as file,
        pytest.raises(OperationalError, match="more than 5 members"),
    ):
        list(archives.members(file, "it", 1 << 30))


def test_a_download_that_is_longer_than_any_of_it_is_left(
    server: Server, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from thanosql_dbapi.commands import get_dataset

    known = {"librispeech_data": replace(DATASETS["librispeech_data"], most_bytes=1_000_000)}
    monkeypatch.setattr(get_dataset, "DATASETS", known)
    with pytest.raises(OperationalError, match=r"is longer than the 0\.0 GB"):
        connection.execute(LIBRI)


# --- whole, or not at all -------------------------------------------------------------------


def test_a_failure_leaves_the_dataset_that_was_there(
    server: Server, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(connection, LIBRI)
    before = content(tmp_path / "thanosql-dataset/librispeech_data")
    server.statuses = [404]
    with pytest.raises(OperationalError):
        connection.execute(f"{LIBRI} OPTIONS (overwrite=True)")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(librispeech, "write_wav", full)
    with pytest.raises(OperationalError, match="No space left on device"):
        connection.execute(f"{LIBRI} OPTIONS (overwrite=True)")
    assert content(tmp_path / "thanosql-dataset/librispeech_data") == before
    assert list((tmp_path / "thanosql-dataset/.fetching/staging").iterdir()) == []


def test_a_disk_that_is_too_full_is_said_before_anything_is_fetched(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")._replace(free=1_000_000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OperationalError, match=r"needs \d+ MB on the disk .* 1 MB are free"):
        connection.execute(LIBRI)


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_overwrite_leaves_the_new_one_alone(
    server: Server,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchanges: bool,
) -> None:
    if not exchanges:
        monkeypatch.setattr(placing, "_exchange", lambda *_: False)
    answer(connection, LIBRI)
    folder = tmp_path / "thanosql-dataset/librispeech_data"
    (folder / "mine.txt").write_text("mine")
    answer(connection, f"{LIBRI} OPTIONS (overwrite=True)")
    assert not (folder / "mine.txt").exists()
    assert len(list(folder.glob("*.wav"))) == 100
    hidden = tmp_path / "thanosql-dataset/.fetching"
    assert sorted(p.name for p in hidden.rglob("*")) == ["librispeech_data.lock", "staging"]


def test_an_overwrite_takes_a_link_and_not_what_it_points_to(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.txt").write_text("mine")
    place = tmp_path / "thanosql-dataset/librispeech_data"
    place.parent.mkdir()
    place.symlink_to(mine)
    answer(connection, f"{LIBRI} OPTIONS (overwrite=True)")
    assert not place.is_symlink()
    assert [p.name for p in mine.iterdir()] == ["a.txt"]
    assert list((tmp_path / "thanosql-dataset/.fetching/staging").iterdir()) == []


def test_a_dataset_is_on_the_disk_before_it_is_in_its_place(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "thanosql-dataset/calls_data"
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        placing, "sync_tree", lambda f: seen.append((len(list(f.iterdir())), place.exists()))
    )
    answer(connection, "GET THANOSQL DATASET calls_data")
    assert seen == [(83, False)]


def test_a_crash_between_two_renames_is_mended(
    server: Server, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(connection, LIBRI)
    folder = tmp_path / "thanosql-dataset/librispeech_data"
    (folder / "mine.txt").write_text("mine")
    # As two renames leave it when the process dies after the first.
    folder.rename(tmp_path / "thanosql-dataset/.fetching/librispeech_data.before")
    with pytest.raises(ProgrammingError, match="is there already"):
        connection.execute(LIBRI)
    assert (folder / "mine.txt").read_text() == "mine"


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    server.pause_s = 0.005
    results: list[object] = []

    def get() -> None:
        with thanosql_dbapi.connect(root=tmp_path, progress=False) as connection:
            try:
                results.append(answer(connection, LIBRI)["rows"])
            except ProgrammingError as error:
                results.append(str(error))

    threads = [threading.Thread(target=get) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.count(100) == 1
    assert sum("is there already" in str(result) for result in results) == 2
    assert len([path for path, _ in server.asked if path.endswith(".gz")]) == 1


def test_who_waits_for_another_can_be_stopped(
    server: Server, connection: Connection, tmp_path: Path
) -> None:
    hidden = tmp_path / "thanosql-dataset/.fetching"
    hidden.mkdir(parents=True)
    started = time.monotonic()
    with placing.alone(hidden / "librispeech_data.lock", lambda: None):
        threading.Timer(0.3, connection.interrupt).start()
        with pytest.raises(QueryInterrupted):
            connection.execute(LIBRI)
    assert time.monotonic() - started < 1.3


PROGRAM = """
import sys, thanosql_dbapi
with thanosql_dbapi.connect(root=sys.argv[1], progress=False) as connection:
    print("begun", flush=True)
    connection.execute(sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_ended_leaves_no_half_dataset(
    server: Server, connection: Connection, tmp_path: Path, number: signal.Signals
) -> None:
    server.pause_s = 0.05
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), LIBRI],
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (part(tmp_path).exists() and part(tmp_path).stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 2
    if number is signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    assert not (tmp_path / "thanosql-dataset/librispeech_data").exists()
    kept = part(tmp_path).stat().st_size
    assert kept
    server.pause_s = 0
    answer(connection, LIBRI)
    assert f"bytes={kept}-" in [asked for _, asked in server.asked]
    assert list((tmp_path / "thanosql-dataset/.fetching/staging").iterdir()) == []
