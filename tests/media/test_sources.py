"""Where media come from: files, URLs on a loopback server, bytes."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from thanosql_dbapi.exceptions import MediaError, MediaReason
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import Media, media_of

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def content_of(media: Media) -> bytes:
    with media.open() as file:
        return file.read()


def reason_of(media: Media) -> MediaReason:
    with pytest.raises(MediaError) as caught:
        media.digest()
    return caught.value.reason


def age(path: Path, seconds: float = 10.0) -> None:
    """Let a file's times lie back; a change of them itself is recent, so wait for the clock."""
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that were written just now count as old."""
    monkeypatch.setattr("thanosql_dbapi.media.sources._RACY_NS", 0)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- files ----------------------------------------------------------------------------------


def test_a_path_is_absolute_or_below_the_root_or_a_url(tmp_path: Path) -> None:
    (tmp_path / "a b#c?d").mkdir()
    path = tmp_path / "a b#c?d" / "x.wav"
    path.write_bytes(CONTENT)
    for text in ("a b#c?d/x.wav", str(path), path.as_uri()):
        media = media_of(text, tmp_path)
        assert media.name == text
        assert media.path == path
        assert content_of(media) == CONTENT
        assert media.digest() == DIGEST


@pytest.mark.parametrize("text", ["C:/x.wav", "C:\\x.wav", "c://x.wav", "a:b/x.wav", "://x.wav"])
def test_a_drive_letter_is_no_protocol(text: str, tmp_path: Path) -> None:
    assert media_of(text, tmp_path).path is not None


def test_bytes_are_the_medium_itself(tmp_path: Path) -> None:
    media = media_of(CONTENT, tmp_path)
    assert (media.name, media.path, media.identity()) == ("<10240 bytes>", None, None)
    assert media.digest() == DIGEST
    assert content_of(media) == content_of(media) == CONTENT
    assert not media.changed()


@pytest.mark.usefixtures("settled")
def test_an_identity_lasts_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(CONTENT)
    identity = media_of("x.wav", tmp_path).identity()
    assert identity is not None
    assert media_of(str(path), Path("/")).identity() == identity
    (tmp_path / "link.wav").symlink_to(path)
    assert media_of("link.wav", tmp_path).identity() == identity
    before = path.stat()
    time.sleep(0.02)  # the clock of file systems ticks every 4 ms or so
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert media_of("x.wav", tmp_path).identity() != identity


def test_a_file_that_changed_just_now_has_no_identity(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(CONTENT)
    media = media_of("x.wav", tmp_path)
    assert media.identity() is None
    age(path)  # the content's time is old, but the file's entry changed just now
    assert media.identity() is None
    time.sleep(2.2)
    assert media.identity() is not None


def test_an_identity_reads_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.wav").write_bytes(CONTENT)
    media = media_of("x.wav", tmp_path)
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("the file was opened"))
    media.identity()


@pytest.mark.parametrize("wait_s", [0.0, 0.02])
def test_a_file_that_changes_behind_its_digest_is_seen(wait_s: float, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(CONTENT)
    media = media_of("x.wav", tmp_path)
    assert not media.changed()
    assert media.digest() == DIGEST
    assert not media.changed()
    time.sleep(wait_s)
    path.write_bytes(CONTENT[::-1])
    assert media.changed()
    path.unlink()
    assert media.changed()


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_behind_its_identity_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(CONTENT)
    media = media_of("x.wav", tmp_path)
    assert media.identity() is not None
    assert not media.changed()
    time.sleep(0.02)
    path.write_bytes(CONTENT[::-1])
    assert media.changed()
    media.digest()
    assert not media.changed()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("pipe.wav", "."):
        media = media_of(name, tmp_path)
        assert media.identity() is None
        assert reason_of(media) is MediaReason.MISSING


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_missing(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(CONTENT)
    (tmp_path / "x.wav").chmod(0)
    assert reason_of(media_of("x.wav", tmp_path)) is MediaReason.MISSING


# --- URLs -----------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """A server on the loopback: files by path, and ways to fail."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.finished = threading.Event()
        self.tags: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, self.path))
        if path == "/moved.wav":
            self.send_response(302)
            self.send_header("Location", "/x.wav")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path.startswith("/status/") or path not in self.server.files:
            status = int(path.rpartition("/")[2]) if path.startswith("/status/") else 404
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.server.files[path]
        if path == "/silent.wav":
            self.server.finished.wait(20)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Mon, 05 Jan 2026 10:00:00 GMT")
        if path in self.server.tags:
            self.send_header("ETag", self.server.tags[path])
        self.end_headers()
        if body:
            cut = len(content) // 2 if path == "/cut.wav" else len(content)
            self.wfile.write(content[:cut])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as opened:
        opened.files["/x.wav"] = CONTENT
        threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
        yield opened
        opened.finished.set()
        opened.shutdown()


def gets(server: Server) -> int:
    return sum(command == "GET" for command, _ in server.asked)


def test_a_url_is_fetched_once(server: Server, tmp_path: Path, temporary: Path) -> None:
    media = media_of(f"{server.url}/x.wav", tmp_path)
    assert media.path is None
    assert list(temporary.iterdir()) == []
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: content_of(media), range(16))) == {CONTENT}
    assert media.digest() == DIGEST
    assert not media.changed()
    assert gets(server) == 1
    assert len(list(temporary.iterdir())) == 1
    with media.open() as file:
        assert file.seek(-16, os.SEEK_END) == len(CONTENT) - 16


def test_what_was_fetched_goes_with_its_medium(
    server: Server, tmp_path: Path, temporary: Path
) -> None:
    media = media_of(f"{server.url}/x.wav", tmp_path)
    media.digest()
    media.release()
    assert list(temporary.iterdir()) == []
    assert not media.changed()
    server.files["/x.wav"] = CONTENT[::-1]
    assert content_of(media) == CONTENT[::-1]
    assert media.changed()
    assert media.digest() == DIGEST
    assert len(list(temporary.iterdir())) == 1
    del media
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    assert media_of(f"{server.url}/moved.wav", tmp_path).digest() == DIGEST


def test_audio_is_decoded_from_a_url(server: Server, tmp_path: Path) -> None:
    frames = np.stack([np.full(8000, 0.5), np.full(8000, -0.25)], axis=1).astype(np.float32)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, frames, 8000)
        server.files[f"/{name}"] = (tmp_path / name).read_bytes()
        waveform = decode_audio(media_of(f"{server.url}/{name}?v=1", tmp_path), 8000)
        np.testing.assert_allclose(waveform, np.full(8000, 0.125), atol=1e-4)


@pytest.mark.parametrize(
    ("path", "reason", "message"),
    [
        ("/none.wav", MediaReason.MISSING, "no such file"),
        ("/status/410", MediaReason.MISSING, "410"),
        ("/status/403", MediaReason.UNREACHABLE, "403"),
        ("/status/500", MediaReason.UNREACHABLE, "500"),
        ("/cut.wav", MediaReason.TRUNCATED, "broke off"),
    ],
)
def test_what_cannot_be_fetched_says_why(
    path: str,
    reason: MediaReason,
    message: str,
    server: Server,
    tmp_path: Path,
    temporary: Path,
) -> None:
    server.files["/cut.wav"] = CONTENT
    media = media_of(server.url.replace("//", "//me:secret@") + path + "?sig=secret", tmp_path)
    with pytest.raises(MediaError, match=message) as caught:
        media.digest()
    assert caught.value.reason is reason
    assert f"{server.url}{path}?…" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in media.name
    assert list(temporary.iterdir()) == []


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    media = media_of("http://127.0.0.1:9/x.wav", tmp_path)
    assert media.identity() is None
    assert reason_of(media) is MediaReason.UNREACHABLE


def test_a_server_that_falls_silent_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thanosql_dbapi.media.sources._SILENCE_S", 0.2)
    server.files["/silent.wav"] = CONTENT
    start = time.perf_counter()
    assert reason_of(media_of(f"{server.url}/silent.wav", tmp_path)) is MediaReason.UNREACHABLE
    assert time.perf_counter() - start < 5


def test_a_protocol_that_nobody_knows_is_told(tmp_path: Path) -> None:
    media = media_of("nosuch://x.wav", tmp_path)
    assert media.identity() is None
    with pytest.raises(MediaError, match="no file system is known for nosuch://") as caught:
        media.digest()
    assert caught.value.reason is MediaReason.UNREACHABLE


def test_an_identity_is_the_servers_entity_tag(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/x.wav?sig=secret"
    assert media_of(url, tmp_path).identity() is None  # a date alone is no proof
    server.tags["/x.wav"] = 'W/"1"'
    assert media_of(url, tmp_path).identity() is None  # what is much the same neither
    server.tags["/x.wav"] = '"1"'
    identity = media_of(url, tmp_path).identity()
    assert identity is not None
    assert "secret" not in identity
    assert media_of(url, tmp_path).identity() == identity
    server.tags["/x.wav"] = '"2"'
    assert media_of(url, tmp_path).identity() not in (None, identity)
    assert media_of(f"{server.url}/none.wav", tmp_path).identity() is None
    assert gets(server) == 0 or all(
        path.startswith("/none") for c, path in server.asked if c == "GET"
    )


def test_a_url_that_changes_behind_its_identity_is_seen(server: Server, tmp_path: Path) -> None:
    server.tags["/x.wav"] = '"1"'
    media = media_of(f"{server.url}/x.wav", tmp_path)
    assert media.identity() is not None
    assert content_of(media) == CONTENT
    assert not media.changed()
    server.tags["/x.wav"] = '"2"'
    assert media.changed()


def test_an_s3_url_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server.files["/bucket/folder/x.wav"] = CONTENT
    server.tags["/bucket/folder/x.wav"] = '"abc"'
    media = media_of("s3://bucket/folder/x.wav", tmp_path)
    assert media.digest() == DIGEST
    identity = media.identity()
    assert identity is not None
    server.tags["/bucket/folder/x.wav"] = '"def"'
    assert media_of("s3://bucket/folder/x.wav", tmp_path).identity() not in (None, identity)
    assert reason_of(media_of("s3://bucket/none.wav", tmp_path)) is MediaReason.MISSING


def test_any_file_system_of_fsspec_will_do(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/media/x.wav", CONTENT)
    media = media_of("memory://media/x.wav", tmp_path)
    assert (media.digest(), media.identity()) == (DIGEST, None)
    assert reason_of(media_of("memory://media/none.wav", tmp_path)) is MediaReason.MISSING


@pytest.mark.parametrize(
    ("package", "url"),
    [("fsspec", "http://x/y.wav"), ("aiohttp", "http://x/y.wav"), ("s3fs", "s3://x/y.wav")],
)
def test_a_package_that_is_not_there_names_the_extra(package: str, url: str) -> None:
    code = f"""
import sys
from pathlib import Path
sys.modules[{package!r}] = None
from thanosql_dbapi import MissingExtra
from thanosql_dbapi.media.sources import media_of
media = media_of({url!r}, Path("."))
try:
    media.digest()
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "thanosql-dbapi[remote]" in done.stdout, done.stderr


def test_plain_files_need_no_fsspec(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(CONTENT)
    code = (
        "import sys; from pathlib import Path; import thanosql_dbapi.media.audio;"
        " from thanosql_dbapi.media.sources import media_of;"
        f" media_of('x.wav', Path({str(tmp_path)!r})).digest();"
        " print([m for m in ('fsspec', 'soundfile', 'numpy', 'soxr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
