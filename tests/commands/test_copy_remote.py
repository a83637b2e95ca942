"""COPY from URLs: over HTTP and S3, from servers on the loopback."""

from __future__ import annotations

import errno
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from speech_fixtures import write_tones

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    ProgressEvent,
    QueryInterrupted,
)

CALLS = b"audio_path,text\na.wav,hello\nb.wav,bye\n"
READ = [("a.wav", "hello"), ("b.wav", "bye")]


class Server(ThreadingHTTPServer):
    """Files by path over HTTP; below /bucket also what S3 answers to a listing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.slow = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.server.asked.append(f"{self.command} {path}")
        asked = parse_qs(parts.query)
        if "list-type" in asked:
            self.send(200, self.listing(asked), body=True)
        elif path.startswith("/status/"):
            self.send(int(path.rpartition("/")[2]), b"", body=body)
        elif path in self.server.files:
            self.send(200, self.server.files[path], body=body)
        else:
            self.send(404, b"", body=body)

    def send(self, status: int, content: bytes, *, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Mon, 05 Jan 2026 10:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if not body:
            return
        if "slow" in self.path:
            for start in range(0, len(content), 1 << 16):
                if self.server.slow.wait(0.02):
                    break
                self.wfile.write(content[start : start + (1 << 16)])
        else:
            self.wfile.write(content)
        self.close_connection = True

    def listing(self, asked: dict[str, list[str]]) -> bytes:
        prefix, delimiter = asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
        keys = sorted(path.removeprefix("/bucket/") for path in self.server.files)
        found = [key for key in keys if key.startswith(prefix)]
        rests = {key: key.removeprefix(prefix).partition(delimiter or "\0") for key in found}
        folders = sorted({prefix + rest[0] + rest[1] for rest in rests.values() if rest[1]})
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.files['/bucket/' + key])}"
            '</Size><ETag>"1"</ETag><LastModified>2026-01-05T10:00:00.000Z</LastModified>'
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in found
            if not rests[key][1]
        )
        below = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders
        )
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>bucket</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
            f"{contents}{below}</ListBucketResult>"
        ).encode()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as opened:
        threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", opened.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield opened
        opened.slow.set()
        opened.shutdown()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def events() -> list[ProgressEvent]:
    return []


@pytest.fixture
def connection(tmp_path: Path, events: list[ProgressEvent]) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path, progress=events.append) as opened:
        yield opened


def copied(connection: Connection, source: str, options: str = "") -> list[tuple[object, ...]]:
    connection.execute(f"COPY copied OPTIONS ({options}) FROM ?", [source])
    return connection.execute("FROM copied").fetchall()


def content_of(connection: Connection, folder: Path, name: str, query: str) -> bytes:
    connection.execute(f"COPY ({query}) TO '{folder / name}'")
    return (folder / name).read_bytes()


def test_a_file_comes_over_http(
    connection: Connection, server: Server, temporary: Path, events: list[ProgressEvent]
) -> None:
    server.files["/data/통화 calls.csv"] = CALLS
    url = f"{server.url}/data/{'통화 calls.csv'}"
    assert connection.execute(f"COPY calls FROM '{url}'").fetchall() == [("calls", 2)]
    assert connection.execute("FROM calls").fetchall() == READ
    assert server.asked.count("GET /data/통화 calls.csv") == 1
    assert {event.activity for event in events} == {"fetch"}
    assert (events[-1].done, events[-1].total) == (len(CALLS), len(CALLS))
    assert list(temporary.iterdir()) == []


def test_a_url_tells_the_kind_by_its_path(
    connection: Connection, server: Server, tmp_path: Path
) -> None:
    parquet = content_of(connection, tmp_path, "x.parquet", "SELECT 7 AS n")
    packed = content_of(connection, tmp_path, "x.csv.gz", "SELECT 7 AS n")
    json = b'[{"n": 7}]'
    server.files |= {"/x.parquet": parquet, "/x.csv.gz": packed, "/x.json": json}
    server.files |= {"/parquet": parquet, "/json": json, "/csv": b"n\n7\n", "/packed": packed}
    for path in ("x.parquet?name=x.csv", "x.csv.gz#x", "x.json", *("parquet", "json", "csv")):
        options = "if_exists='replace'"
        assert copied(connection, f"{server.url}/{path}", options) == [(7,)]
    assert copied(connection, f"{server.url}/packed?sig=1", options) == [(7,)]


def test_what_is_no_table_is_told(connection: Connection, server: Server) -> None:
    server.files |= {"/page": b"\n<!doctype html><p>hello", "/x": b"\x80\x04\x95", "/m.pkl": b"a"}
    for path, message in (("page", "is a page"), ("x", "is a pickle"), ("m.pkl", "is a pickle")):
        with pytest.raises(NotSupportedError, match=message):
            copied(connection, f"{server.url}/{path}")
    assert "GET /m.pkl" not in server.asked


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.csv", "no such file"),
        ("status/403.csv", "the server answers 403"),
        ("status/500.csv", "the server answers 500"),
        ("none", "no such file"),
    ],
)
def test_no_credential_is_shown(
    connection: Connection, server: Server, temporary: Path, path: str, message: str
) -> None:
    path = path.removesuffix(".csv") if path.startswith("status") else path
    url = server.url.replace("//", "//me:secret@") + f"/{path}?sig=secret"
    with pytest.raises(OperationalError, match=message) as caught:
        copied(connection, url)
    assert f"{server.url}/{path}?…" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert list(temporary.iterdir()) == []


def test_a_broken_file_is_named_without_credentials(connection: Connection, server: Server) -> None:
    server.files["/x.csv"] = b"a,b\n1,caf\xe9\n"
    with pytest.raises(thanosql_dbapi.DataError, match="is not UTF-8: line 2") as caught:
        copied(connection, f"{server.url}/x.csv?sig=secret")
    assert "secret" not in str(caught.value)
    assert f"'{server.url}/x.csv?…'" in str(caught.value)


def test_audio_behind_a_url_is_a_row(
    connection: Connection, server: Server, tmp_path: Path, temporary: Path
) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    server.files["/a.wav"] = server.files["/audio"] = (tmp_path / "a.wav").read_bytes()
    for path in ("a.wav?v=1", "audio"):
        url = f"{server.url}/{path}"
        assert copied(connection, url, "if_exists='replace'")[0][:2] == (url, 0.5)
    assert list(temporary.iterdir()) == []


def test_s3_has_patterns_and_folders(
    connection: Connection, server: Server, tmp_path: Path
) -> None:
    write_tones(tmp_path / "a.wav", 0.5)
    sound = (tmp_path / "a.wav").read_bytes()
    server.files |= {
        "/bucket/calls/1.csv": CALLS,
        "/bucket/calls/2.csv": b"text,more\nlate,1\n",
        "/bucket/calls/deep/3.csv": CALLS,
        "/bucket/audio/b.wav": sound,
        "/bucket/audio/a.wav": sound,
        "/bucket/audio/deep/c.wav": sound,
        "/bucket/audio/notes.md": b"",
    }
    replace = "if_exists='replace'"
    assert copied(connection, "s3://bucket/calls/1.csv") == READ
    found = copied(connection, "s3://bucket/calls/*.csv", replace)
    assert found == [("a.wav", "hello", None), ("b.wav", "bye", None), (None, "late", 1)]
    assert len(copied(connection, "s3://bucket/**/*.csv", replace)) == 5
    for source, names in (
        ("s3://bucket/audio", ["a.wav", "b.wav"]),
        ("s3://bucket/audio/", ["a.wav", "b.wav"]),
        ("s3://bucket/audio/*.wav", ["a.wav", "b.wav"]),
    ):
        rows = copied(connection, source, replace)
        assert [row[:2] for row in rows] == [(f"s3://bucket/audio/{name}", 0.5) for name in names]
    below = copied(connection, "s3://bucket/audio", f"{replace}, recursive=True")
    assert [str(row[0]).rpartition("audio/")[2] for row in below] == [
        "a.wav",
        "b.wav",
        "deep/c.wav",
    ]
    with pytest.raises(OperationalError, match=r"no file fits 's3://bucket/\*.parquet'"):
        copied(connection, "s3://bucket/*.parquet", replace)
    with pytest.raises(OperationalError, match="no such file"):
        copied(connection, "s3://bucket/none.csv", replace)


def test_any_file_system_of_fsspec_will_do(connection: Connection) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/copy/x.csv", CALLS)
    memory.pipe_file("/copy/y.csv", CALLS)
    assert copied(connection, "memory://copy/x.csv") == READ
    assert copied(connection, "memory://copy/*.csv", "if_exists='append'") == READ * 3


def test_a_servers_names_lead_nowhere(connection: Connection, temporary: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("%2e%2e%2f%2e%2e%2f..%2fescaped.csv", "b[1].csv", f"{'long' * 80}.csv"):
        memory.pipe_file(f"/names/{name}", CALLS)
    assert copied(connection, "memory://names/*.csv") == READ * 3
    found = [path.name for path in temporary.parent.parent.rglob("*escaped.csv")]
    assert found == []


def test_a_full_disk_is_told(
    connection: Connection, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fsspec.filesystem("memory").pipe_file("/full/x.csv", CALLS)
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "get_file", full)
    with pytest.raises(OperationalError, match="no room here: No space left"):
        copied(connection, "memory://full/x.csv")


@pytest.mark.parametrize("url", ["memory://x/a.csv", "https://127.0.0.1:1/a.xlsx", "s3://b/audio"])
def test_what_duckdb_cannot_append_asks_what_to_do(connection: Connection, url: str) -> None:
    connection.execute("CREATE TABLE copied AS SELECT 1 AS a")
    with pytest.raises(ProgrammingError, match=r"OPTIONS .*if_exists='append'"):
        connection.execute("COPY copied FROM ?", [url])


@pytest.mark.parametrize("begun", [False, True])
def test_a_transfer_can_be_stopped(
    connection: Connection, server: Server, temporary: Path, begun: bool
) -> None:
    server.files["/slow.csv"] = CALLS * 500_000
    connection.execute("CREATE TABLE copied AS SELECT 1 AS a")
    if begun:
        connection.begin()
    timer = threading.Timer(0.5, connection.interrupt)
    timer.start()
    started = time.perf_counter()
    with pytest.raises(QueryInterrupted):
        copied(connection, f"{server.url}/slow.csv", "if_exists='replace'")
    assert time.perf_counter() - started < 20
    timer.join()
    assert list(temporary.iterdir()) == []
    assert connection.execute("FROM copied").fetchall() == [(1,)]
