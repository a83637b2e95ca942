"""A hub of models on loopback, as huggingface_hub's real client asks it.

It has repositories of several revisions, says their trees, resolves files at a revision, sends
what Git LFS would store from an address of its own, and knows Range, gates and tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_LARGE = (".safetensors", ".bin", ".pt", ".msgpack")


@dataclass
class Hub:
    """The repositories, how the hub behaves, and what it was asked."""

    url: str = ""
    #: Folders by repository and commit; commits by repository and the revision's name.
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    #: Repositories that want consent, and those that only the token may see.
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    token: str = "hf_tokenThatNobodyMayPrint"
    #: It breaks off after so many bytes of a large file, for so many requests.
    breaks: int = 0
    breaks_after: int = 0
    pause_s: float = 0.0
    #: Method, path and Range of each request.
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def add(self, repository: str, folder: Path, commit: str, *names: str) -> None:
        """Let a folder be a commit of a repository, under names of revisions such as `main`."""
        self.folders[repository, commit] = folder
        for name in (commit, *names):
            self.names[repository, name] = commit

    def paths(self) -> list[str]:
        """Return the paths that were asked for."""
        return [path for _, path, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if match := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            return self._stored(match[1])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            return self._described(match[1], match[2], match[3])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolved(match[1], match[2], match[3])
        return self._send(404, b"")

    def _folder(self, repository: str, revision: str) -> tuple[str, Path] | None:
        hub = self.hub
        known = self.headers.get("Authorization") == f"Bearer {hub.token}"
        if repository in hub.private and not known:
            return self._send(401, b'{"error": "Invalid username or password."}')
        if not any(name == repository for name, _ in hub.folders):
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        commit = hub.names.get((repository, revision))
        if commit is None:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return commit, hub.folders[repository, commit]

    def _described(self, repository: str, what: str, revision: str) -> None:
        found = self._folder(repository, revision)
        if found is None:
            return None
        commit, folder = found
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if what == "tree":
            return self._json([_listed(path) for path in files])
        siblings = [{"rfilename": path.name} for path in files]
        return self._json({"id": repository, "sha": commit, "siblings": siblings})

    def _resolved(self, repository: str, revision: str, name: str) -> None:
        found = self._folder(repository, revision)
        if found is None:
            return None
        commit, folder = found
        if repository in self.hub.gated:
            return self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        if not (folder / name).is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        path, headers = folder / name, {"X-Repo-Commit": commit}
        if name.endswith(_LARGE):
            headers["X-Linked-ETag"] = f'"{digest(path)}"'
            headers["X-Linked-Size"] = str(path.stat().st_size)
            # On another host, as the real one's: the client leaves such an answer to itself.
            storage = self.hub.url.replace("127.0.0.1", "localhost")
            headers["Location"] = f"{storage}/cdn/{digest(path)}"
            return self._send(302, b"", headers)
        headers["ETag"] = f'"{_blob(path)}"'
        return self._send(200, path.read_bytes(), headers)

    def _stored(self, wanted: str) -> None:
        files = (path for folder in self.hub.folders.values() for path in folder.glob("*"))
        data = next(p for p in files if p.is_file() and digest(p) == wanted).read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        headers = {"ETag": f'"{wanted}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if self.hub.breaks and self.command == "GET":
            self.hub.breaks -= 1
            self._send(206 if start else 200, body, headers, self.hub.breaks_after)
            self.close_connection = True
            return None
        return self._send(206 if start else 200, body, headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        most: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        shown = body[:most]
        for at in range(0, len(shown), 1 << 16):
            with contextlib.suppress(OSError):
                self.wfile.write(shown[at : at + (1 << 16)])
            if "/cdn/" in self.path and self.hub.stopping.wait(self.hub.pause_s):
                return

    def log_message(self, *args: object) -> None: ...


class _Loopback(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: object) -> None: ...


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Serve an empty hub; `Hub.add` fills it."""
    hub = Hub()
    loopback = _Loopback(("127.0.0.1", 0), type("OneHandler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{loopback.server_port}"
    threading.Thread(target=loopback.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.stopping.set()
        loopback.shutdown()
        loopback.server_close()


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process whose client asks the hub at `url`."""
    own = ("HF_", "HTTP", "http", "THANOSQL")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(own)},
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "NO_PROXY": "127.0.0.1,localhost",
        # The protocol of Xet storage is its own, and needs a server of its own.
        "HF_HUB_DISABLE_XET": "1",
        **more,
    }


@contextlib.contextmanager
def client(url: str, home: Path, *, token: str = "", offline: bool = False) -> Iterator[None]:
    """Let the client in this process be as the environment makes it in one of its own.

    It reads `HF_ENDPOINT`, `HF_HOME` and `HF_HUB_OFFLINE` when it is imported, and a process of its
    own for each test would import torch again.
    """
    import huggingface_hub
    from huggingface_hub import constants

    huggingface_hub.close_session()  # it read the environment's proxies
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("HF_", "HTTP", "http", "THANOSQL"))]:
            patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        if token:
            patch.setenv("HF_TOKEN", token)
        files = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "ENDPOINT", url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / ".agent_harnesses.json"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield
    huggingface_hub.close_session()


def digest(path: Path) -> str:
    """Return the name that Git LFS has for a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _blob(path: Path) -> str:
    """Return the name that git has for a file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _listed(path: Path) -> dict[str, Any]:
    listed = {
        "type": "file",
        "path": path.name,
        "size": path.stat().st_size,
        "oid": _blob(path),
    }
    if path.name.endswith(_LARGE):
        listed["lfs"] = {"oid": digest(path), "size": path.stat().st_size, "pointerSize": 134}
    return listed
