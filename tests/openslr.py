"""A small mirror in OpenSLR's layout, made of the bundled recordings, and a server for it.

`make_mirror` writes `resources/31/dev-clean-2.tar.gz` (mini LibriSpeech) and
`resources/40/zeroth_korean.tar.gz` with the checksums beside them; `serve` serves a folder from
loopback as OpenSLR does, and misbehaves where a test asks for it.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

from thanosql_dbapi.assets import RECORDINGS
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import LocalFile

LIBRISPEECH = "resources/31/dev-clean-2.tar.gz"
ZEROTH = "resources/40/zeroth_korean.tar.gz"

#: Sentences of our own, as a Korean corpus would have them.
KOREAN = (
    "오늘은 날씨가 아주 맑습니다",
    "내일 아침 여덟 시에 만나요",
    "이 기차는 부산까지 갑니다",
    "커피 두 잔 주세요",
    "도서관은 강 건너편에 있어요",
)

#: A member of an archive, or its name and content.
Member = tuple[str, bytes] | tarfile.TarInfo


def make_mirror(
    folder: Path,
    utterances: int = 120,
    speakers: int = 10,
    korean: int = 120,
    transcripts: str = "after",
) -> Path:
    """Write both corpora below `folder`, with at least so many utterances; return it.

    `transcripts` says where the Korean ones stand: `before` or `after` their recordings.
    """
    write_archive(folder / LIBRISPEECH, librispeech(utterances, speakers))
    write_archive(folder / ZEROTH, zeroth(korean, transcripts=transcripts), "checksum.md5")
    return folder


def write_archive(path: Path, members: Iterable[Member], checksums: str = "md5sum.txt") -> Path:
    """Write a .tar.gz of members, and its MD5 beside it as OpenSLR does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(b"\0" * member.size))
                continue
            name, content = member
            described = tarfile.TarInfo(name)
            described.size = len(content)
            archive.addfile(described, io.BytesIO(content))
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    (path.parent / checksums).write_text(f"{digest}  {path.name}\n")
    return path


def librispeech(utterances: int = 120, speakers: int = 10) -> Iterator[tuple[str, bytes]]:
    """Yield mini LibriSpeech's members: one chapter a speaker, upper-case transcripts."""
    top = "LibriSpeech/dev-clean-2"
    yield "LibriSpeech/README.TXT", b"A corpus in the layout of LibriSpeech.\n"
    each = -(-utterances // speakers)
    for speaker in range(speakers):
        number, chapter = 84 + 17 * speaker, 1000 + speaker
        lines = []
        for index in range(each):
            content, text = recording(speaker * each + index)
            name = f"{number}-{chapter}-{index:04d}"
            lines.append(f"{name} {text.upper()}\n")
            yield f"{top}/{number}/{chapter}/{name}.flac", content
        transcript = "".join(lines).encode()
        yield f"{top}/{number}/{chapter}/{number}-{chapter}.trans.txt", transcript


def zeroth(
    utterances: int = 120, speakers: int = 3, transcripts: str = "after"
) -> Iterator[tuple[str, bytes]]:
    """Yield Zeroth-Korean's members, with transcripts before or after their recordings."""
    yield "AUDIO_INFO", b"SPEAKERID|NAME|SEX|SCRIPTID|DATASET\n"
    each = -(-utterances // speakers)
    for speaker in range(106, 106 + speakers):
        folder = f"train_data_01/003/{speaker}"
        names = [f"{speaker}_003_{index:04d}" for index in range(each)]
        lines = [f"{name} {KOREAN[i % len(KOREAN)]}\n" for i, name in enumerate(names)]
        transcript = f"{folder}/{speaker}_003.trans.txt", "".join(lines).encode()
        if transcripts == "before":
            yield transcript
        for index, name in enumerate(names):
            yield f"{folder}/{name}.flac", recording((speaker - 106) * each + index)[0]
        if transcripts == "after":
            yield transcript
    yield "zeroth_lexicon", b"a lexicon that nobody reads\n"


@functools.cache
def recording(index: int) -> tuple[bytes, str]:
    """Return a FLAC of one mono channel at 16 kHz and what is said in it.

    They are the bundled recordings, over and over; each round is a little quieter, so that no two
    are the same.
    """
    rows = _rows()
    path, text = rows[index % len(rows)]
    waveform = _waveform(path) * 0.95 ** (index // len(rows))
    flac = io.BytesIO()
    samples = np.round(waveform * 32767).astype(np.int16)
    soundfile.write(flac, samples, 16_000, format="FLAC", subtype="PCM_16")
    return flac.getvalue(), text


@functools.cache
def _waveform(path: Path) -> Any:
    return decode_audio(LocalFile(path.name, path), 16_000)


@functools.cache
def _rows() -> list[tuple[Path, str]]:
    found = []
    for name in ("calls_train.csv", "calls_test.csv"):
        with (RECORDINGS / name).open(encoding="utf-8", newline="") as file:
            found += [(RECORDINGS / row["audio_path"], row["text"]) for row in csv.DictReader(file)]
    return found


# --- the server -----------------------------------------------------------------------------


@dataclass
class Server:
    """A server of a folder; its fields say how it behaves, and what it was asked."""

    folder: Path
    url: str = ""
    #: Each request for a file: its path, and its Range header.
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    #: Whether it knows Range, and whether it sends ETag and Last-Modified.
    ranges: bool = True
    tags: bool = True
    #: Whether it says which part of a file it sends; where it sends to for an archive.
    says_part: bool = True
    redirects: str = ""
    #: It breaks off after so many bytes of a body, for so many requests of an archive.
    breaks_after: int = 0
    breaks: int = 0
    #: It answers with these statuses first, one a request of an archive.
    statuses: list[int] = field(default_factory=list)
    #: Seconds between two pieces of 64 KiB of a body; seconds before it answers.
    pause_s: float = 0.0
    silent_s: float = 0.0
    #: Bytes of bodies that were sent.
    sent: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    server_of: Server

    def do_GET(self) -> None:
        server = self.server_of
        # A proxy is asked for the whole address.
        path = server.folder / urlsplit(self.path).path.lstrip("/")
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        if not path.is_file():
            return self._refuse(404)
        is_archive = path.name.endswith(".tar.gz")
        if is_archive and server.statuses:
            return self._refuse(server.statuses.pop(0))
        if is_archive and server.redirects:
            return self._refuse(302, server.redirects)
        server.stopping.wait(server.silent_s)
        data = path.read_bytes()
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        start = self._start(asked, tag) if server.ranges else 0
        if start >= len(data) > 0:
            return self._refuse(416)
        self.send_response(206 if start else 200)
        if start and server.says_part:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if server.tags:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if is_archive and server.breaks > 0:
            server.breaks -= 1
            body = body[: server.breaks_after]
        return self._send(body)

    def _start(self, asked: str | None, tag: str) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if match is None or self.headers.get("If-Range", tag) != tag:
            return 0
        return int(match[1])

    def _send(self, body: bytes) -> None:
        for at in range(0, len(body), 1 << 16):
            piece = body[at : at + (1 << 16)]
            with contextlib.suppress(OSError):  # the client has had enough
                self.wfile.write(piece)
                self.server_of.sent += len(piece)
            if self.server_of.pause_s and self.server_of.stopping.wait(self.server_of.pause_s):
                return

    def _refuse(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: object) -> None: ...


@contextlib.contextmanager
def serve(folder: Path, **behaviour: Any) -> Iterator[Server]:
    """Serve a folder from loopback; `behaviour` sets fields of `Server`."""
    server = Server(folder, **behaviour)
    handler = type("OneHandler", (_Handler,), {"server_of": server})
    loopback = _Loopback(("127.0.0.1", 0), handler)
    server.url = f"http://127.0.0.1:{loopback.server_port}"
    thread = threading.Thread(target=loopback.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        loopback.shutdown()
        loopback.server_close()
        thread.join(5)
