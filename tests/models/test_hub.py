"""Weights from a hub and to it: the real client, against loopback servers of its protocol."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import hub as hubs
import pytest
from hub import Hub
from speech_fixtures import make_checkpoint, write_tones

import thanosql_dbapi

# The client gives httpx the content of a file in a way that httpx would have otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPOSITORY = "acme/tones"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = make_checkpoint(tmp_path / "tones", group_norm=False, letters="abc")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that nobody asks for")
    with hubs.serve() as served:
        served.add(REPOSITORY, folder, REVISION, "main")
        yield served


#: It loads no torch.
PROGRAM = """
import sys, thanosql_dbapi
from thanosql_dbapi.models.checkpoints import find_checkpoint
from thanosql_dbapi.models import families
from pathlib import Path
print(find_checkpoint(families.family("Wav2Vec2En"), {}, Path(sys.argv[1])).folder)
"""


def run(tmp_path: Path, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    more["THANOSQL_CHECKPOINTS"] = f"Wav2Vec2En={REPOSITORY}"
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=hubs.environment(url, tmp_path / "hf", **more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_weights_are_fetched_once_and_then_come_from_the_users_cache(
    hub: Hub, tmp_path: Path
) -> None:
    write_tones(tmp_path / "a.wav", 1.0)
    first = run(tmp_path, hub.url)
    folder = Path(first.stdout.strip())
    assert folder.is_relative_to(tmp_path / "hf"), first.stderr
    assert folder.name == REVISION
    assert any(path.endswith("model.safetensors") for path in hub.paths())
    assert not any(path.endswith(".bin") for path in hub.paths())
    offline = run(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert offline.stdout == first.stdout, offline.stderr
    with (
        hubs.client("http://127.0.0.1:9", tmp_path / "hf", offline=True),
        thanosql_dbapi.connect(root=tmp_path, checkpoints={"Wav2Vec2En": REPOSITORY}) as c,
    ):
        got = c.execute("GET THANOSQL MODEL wav2vec2 AS m").fetchone()
        assert got[:3] == ("m", 1, "Wav2Vec2En")
        assert len(c.execute("PREDICT USING m AS SELECT 'a.wav' AS audio_path").fetchall()) == 1


def test_an_unreachable_hub_is_said_so(tmp_path: Path) -> None:
    failed = run(tmp_path, "http://127.0.0.1:9")
    assert "CheckpointUnavailable: the weights of Wav2Vec2En ('acme/tones'" in failed.stderr
    assert "Wav2Vec2Tiny" in failed.stderr


# --- pushing: the real client, against a loopback server that takes what it sends ------------

TOKEN = "hf_tokenThatNobodyMayPrint0123456789"


class Shelf(BaseHTTPRequestHandler):
    """A hub with one user, whose repositories are dictionaries of files; see `docs/hub/api`.

    It knows repos/create, branch, tree, preupload, the Git LFS batch and its upload, and commit.
    """

    repositories: dict[str, dict[str, object]]
    files: dict[tuple[str, str], dict[str, bytes]]
    stored: dict[str, bytes]
    commits: list[dict[str, object]]
    asked: list[str]
    #: What a path is answered with instead: the beginning of the path, and the status.
    refuses: dict[str, int]

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self._path())
        if self._is_refused():
            return None
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/tree/([^/]+)|/revision/([^/]+))?", path)
        if match is None or match[1] not in self.repositories:
            return self._answer({"error": "Repository not found"}, 404)
        files = self.files.get((match[1], match[3] or match[4] or "main"), {})
        if match[3]:
            listed = [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                for name, data in files.items()
            ]
            return self._answer(listed)
        private = self.repositories[match[1]]["private"]
        siblings = [{"rfilename": name} for name in files]
        info = {"id": match[1], "sha": "0" * 40, "siblings": siblings, "private": private}
        return self._answer(info)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.unquote(self._path())
        if self._is_refused():
            return None
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            self.files.setdefault((match[1], match[2]), dict(self.files[match[1], "main"]))
            return self._answer({})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        if path.endswith(".git/info/lfs/objects/batch"):
            asked = json.loads(body)["objects"]
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.url}/lfs/{each['oid']}"}}}
                for each in asked
            ]
            return self._answer({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            return self._commit(match[1], match[2], body)
        return self._answer({"error": "not found"}, 404)

    def do_PUT(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        self._path()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == oid
        self.stored[oid] = data
        self._answer({})

    def _create(self, wanted: dict[str, str]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.repositories:
            there = {"error": "You already created this model repo", "url": f"{self.url}/{name}"}
            return self._answer(there, 409)
        self.repositories[name] = {"private": wanted.get("visibility") == "private"}
        self.files[name, "main"] = {}
        return self._answer({"url": f"{self.url}/{name}"})

    def _commit(self, name: str, branch: str, body: bytes) -> None:
        files = self.files[name, branch]
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.commits.append({"branch": branch, **lines[0]["value"]})
        oid = f"{len(self.commits):040x}"
        self._answer({"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid})

    def _path(self) -> str:
        path = self.path.partition("?")[0]
        self.asked.append(f"{self.command} {path}")
        return path

    def _is_refused(self) -> bool:
        path = self.path.partition("?")[0]
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not known and path != "/api/validate-yaml":
            self._answer({"error": "Invalid username or password."}, 401)
            return True
        for begin, status in self.refuses.items():
            if path.startswith(begin):
                self._answer({"error": f"You may not: {status}"}, status)
                return True
        return False

    def _answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def shelf() -> Iterator[type[Shelf]]:
    state = {"repositories": {}, "files": {}, "stored": {}, "commits": [], "asked": []}
    handler = type("OneShelf", (Shelf,), {**state, "refuses": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


MINE = "SELECT thanosql_push('m', 'me/mine')"


class Done(NamedTuple):
    """What a statement answered, and all that its error would print."""

    stdout: str
    stderr: str


def push(tmp_path: Path, url: str, sql: str = MINE, *, token: str = TOKEN) -> Done:
    rows: list[tuple[object, ...]] = []
    errors = ""
    with (
        hubs.client(url, tmp_path / "hf", token=token),
        thanosql_dbapi.connect(workspace=make_model(tmp_path)) as connection,
        contextlib.redirect_stderr(io.StringIO()) as printed,
    ):
        try:
            connection.execute(f"EXPLAIN {sql}").fetchall()
            rows = connection.execute(sql).fetchall()
        except thanosql_dbapi.Error as error:
            errors = "".join(traceback.format_exception(error))
    done = Done("".join(f"{' '.join(map(str, row))}\n" for row in rows), errors)
    assert TOKEN not in f"{done}{printed.getvalue()}"
    assert printed.getvalue() == ""
    return done


def make_model(tmp_path: Path) -> Path:
    """Make a model `m` in a workspace, unless it is there; return that."""
    if not (tmp_path / "w").exists():
        make_checkpoint(tmp_path / "tones", group_norm=False, letters="abc")
        with thanosql_dbapi.connect(root=tmp_path, workspace=tmp_path / "w") as connection:
            connection.execute("UPLOAD MODEL m FROM 'tones'")
    return tmp_path / "w"


def said(done: Done) -> str:
    assert done.stdout == ""
    return done.stderr.strip().splitlines()[-1]


def test_a_model_is_pushed_once_and_is_private(shelf: type[Shelf], tmp_path: Path) -> None:
    done = push(tmp_path, shelf.url)
    assert done.stdout == f"{shelf.url}/me/mine/commit/{1:040x}\n", done.stderr
    assert done.stderr == ""
    assert shelf.repositories == {"me/mine": {"private": True}}
    files = shelf.files["me/mine", "main"]
    assert {"README.md", "config.json", "model.safetensors", "thanosql.json"} <= files.keys()
    assert digest(tmp_path / "tones" / "model.safetensors") in shelf.stored
    assert [commit["summary"] for commit in shelf.commits] == ["Push m@1 from ThanoSQL"]
    assert [path for path in shelf.asked if "/commit/" in path] == [
        "POST /api/models/me/mine/commit/main"
    ]
    # What was pushed is a model again.
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    for name, data in files.items():
        (pulled / name).write_bytes(data)
    with thanosql_dbapi.connect(root=tmp_path) as connection:
        assert connection.execute("UPLOAD MODEL m FROM 'pulled'").fetchone()[2] == "Wav2Vec2En"


def test_options_name_the_branch_and_what_is_said(shelf: type[Shelf], tmp_path: Path) -> None:
    options = "private := false, branch := 'next', message := 'A better one'"
    done = push(tmp_path, shelf.url, f"SELECT thanosql_push('m', 'me/mine', {options})")
    assert done.stdout, done.stderr
    assert shelf.repositories == {"me/mine": {"private": False}}
    assert shelf.files["me/mine", "main"] == {}
    assert "model.safetensors" in shelf.files["me/mine", "next"]
    assert [(c["branch"], c["summary"]) for c in shelf.commits] == [("next", "A better one")]


def test_a_push_leaves_nothing_of_the_version_before(shelf: type[Shelf], tmp_path: Path) -> None:
    shelf.repositories["me/mine"] = {"private": True}
    before = {"language_model.arpa": b"old", "decoder.json": b"{}", "LICENSE": b"mine"}
    shelf.files["me/mine", "main"] = dict(before)
    assert push(tmp_path, shelf.url).stderr == ""
    files = shelf.files["me/mine", "main"]
    assert files["LICENSE"] == b"mine"
    assert not {"language_model.arpa", "decoder.json"} & files.keys()


def test_a_repository_that_all_can_read_must_be_meant(shelf: type[Shelf], tmp_path: Path) -> None:
    shelf.repositories["me/mine"] = {"private": False}
    shelf.files["me/mine", "main"] = {}
    assert "all can read it: nothing was pushed. private := false" in said(
        push(tmp_path, shelf.url)
    )
    assert shelf.commits == []
    meant = push(tmp_path, shelf.url, "SELECT thanosql_push('m', 'me/mine', private := false)")
    assert meant.stderr == ""
    assert len(shelf.commits) == 1


def test_without_a_token_nothing_is_asked(shelf: type[Shelf], tmp_path: Path) -> None:
    line = said(push(tmp_path, shelf.url, token=""))
    assert "OperationalError: there is no token for the hub: set HF_TOKEN" in line
    assert shelf.asked == []


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/repos/create", 403, "this token may not write to 'me/mine'"),
        ("/api/models/me/mine/commit", 403, "this token may not write to 'me/mine'"),
        ("/api/models/me/mine/preupload", 400, "refused to take 'me/mine'"),
        ("/me/mine.git/info/lfs", 413, "refused to take 'me/mine'"),
    ],
)
def test_what_a_hub_refuses_is_said_in_a_sentence(
    shelf: type[Shelf], tmp_path: Path, path: str, status: int, sentence: str
) -> None:
    shelf.refuses[path] = status
    if "create" not in path:
        shelf.repositories["me/mine"] = {"private": True}
        shelf.files["me/mine", "main"] = {}
    line = said(push(tmp_path, shelf.url))
    assert "OperationalError: " in line
    assert sentence in line
    assert shelf.commits == []


def test_a_wrong_token_is_said_and_not_shown(shelf: type[Shelf], tmp_path: Path) -> None:
    done = push(tmp_path, shelf.url, token="hf_wrongTokenOfSomebody")
    assert "does not know this token: set HF_TOKEN" in said(done)
    assert "hf_wrong" not in done.stdout + done.stderr


def test_a_name_that_is_no_repository(shelf: type[Shelf], tmp_path: Path) -> None:
    line = said(push(tmp_path, shelf.url, "SELECT thanosql_push('m', 'a/b/c')"))
    assert "ProgrammingError: 'a/b/c' names no repository" in line
    assert shelf.asked == []


def test_a_hub_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    line = said(push(tmp_path, "http://127.0.0.1:9"))
    assert "OperationalError: the hub at http://127.0.0.1:9 cannot be reached" in line


def test_a_password_in_the_hubs_address_is_not_shown(tmp_path: Path) -> None:
    done = push(tmp_path, "http://somebody:geheim@127.0.0.1:9")
    assert "the hub at http://127.0.0.1:9 cannot be reached" in said(done)
    assert "geheim" not in done.stdout + done.stderr


CLI = """
import sys
from thanosql_dbapi.cli import main
sys.exit(main(["push", "m", "me/mine", "--workspace", sys.argv[1], *sys.argv[2].split()]))
"""


def test_the_command_line_pushes(shelf: type[Shelf], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLI, str(make_model(tmp_path)), "--public --message First"],
        env=hubs.environment(shelf.url, tmp_path / "hf", HF_TOKEN=TOKEN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert done.stdout == f"{shelf.url}/me/mine/commit/{1:040x}\n", done.stderr
    assert shelf.repositories == {"me/mine": {"private": False}}
