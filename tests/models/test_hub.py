"""Weights from a hub: the real loader, against a loopback server that speaks its protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from speech_fixtures import make_checkpoint, write_tones

REPOSITORY = "acme/tones"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One repository; `asked` notes the paths of all requests."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        files = {p.name: p for p in self.folder.iterdir()}
        if path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in files]
            body = {"id": REPOSITORY, "sha": REVISION, "siblings": siblings, "private": False}
            if "/tree/" in path:
                listed = [
                    {"type": "file", "path": n, "size": p.stat().st_size, "oid": digest(p)}
                    for n, p in files.items()
                ]
                return self._send(json.dumps(listed).encode(), "application/json", "", with_body)
            return self._send(json.dumps(body).encode(), "application/json", "", with_body)
        name = path.rpartition("/")[2]
        if "/resolve/" in path and name in files:
            data = files[name].read_bytes()
            return self._send(data, "application/octet-stream", digest(files[name]), with_body)
        self.send_response(404)
        self.end_headers()
        return None

    def _send(self, body: bytes, kind: str, etag: str, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[type[Hub]]:
    folder = make_checkpoint(tmp_path / "tones", group_norm=False, letters="abc")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that nobody asks for")
    handler = type("OneHub", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


PROGRAM = """
import sys, thanosql_dbapi
with thanosql_dbapi.connect(root=sys.argv[1]) as connection:
    print(connection.execute("GET THANOSQL MODEL wav2vec2 AS m").fetchone()[:3])
    print(len(connection.execute("PREDICT USING m AS SELECT 'a.wav' AS audio_path").fetchall()))
"""


def run(tmp_path: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HTTP"))}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={
            **inherited,
            "HF_ENDPOINT": url,
            "HF_HOME": str(tmp_path / "hf"),
            "THANOSQL_CHECKPOINTS": f"Wav2Vec2En={REPOSITORY}",
            "NO_PROXY": "127.0.0.1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_weights_are_fetched_once_and_then_come_from_the_users_cache(
    hub: type[Hub], tmp_path: Path
) -> None:
    write_tones(tmp_path / "a.wav", 1.0)
    first = run(tmp_path, hub.url)
    assert first.stdout == "('m', 1, 'Wav2Vec2En')\n1\n", first.stderr
    assert any(path.endswith("model.safetensors") for path in hub.asked)
    assert not any(path.endswith(".bin") for path in hub.asked)
    offline = run(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert offline.stdout == first.stdout, offline.stderr


def test_an_unreachable_hub_is_said_so(tmp_path: Path) -> None:
    failed = run(tmp_path, "http://127.0.0.1:9")
    assert "CheckpointUnavailable: the weights of Wav2Vec2En ('acme/tones'" in failed.stderr
    assert "Wav2Vec2Tiny" in failed.stderr
