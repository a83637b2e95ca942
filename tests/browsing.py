"""Pages in a real browser, where there is one: Chromium without a window, and what it says.

A page tells what its players did by a request to a server of ours on loopback. Run as a script it
takes pictures: `python tests/browsing.py page.html picture.png [dark]`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

#: What Chromium is called, by Debian and by others.
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

#: Seconds until a page must have answered.
PATIENCE_S = 90

#: A notebook's page: the colours of JupyterLab's light and dark themes.
_PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>page</title></head>
<body style="margin:24px;font-family:system-ui,sans-serif;font-size:14px;%s">%s</body></html>"""
_LIGHT = "background:#fff;color:#1f1f1f"
_DARK = "background:#111;color:#dfdfdf"

#: Plays each player, and tells its duration in seconds, how far it got, and what went wrong.
_PLAY = """<script>
addEventListener("load", async () => {
  const ask = (player) => new Promise((resolve) => {
    const tell = (error) => resolve({
      kind: player.tagName, label: player.getAttribute("aria-label"), error: error,
      duration: player.duration, played: player.currentTime, width: player.videoWidth || 0,
      painted: player.getBoundingClientRect().width * player.getBoundingClientRect().height});
    const failed = () => tell(player.error ? player.error.message || "error" : "not played");
    player.addEventListener("error", failed);
    player.addEventListener("timeupdate", () => { if (player.currentTime > 0.02) tell(null); });
    setTimeout(failed, 20000);
    player.muted = false;
    player.play().catch((error) => tell(String(error)));
  });
  const told = [];
  for (const player of document.querySelectorAll("audio, video")) {
    told.push(await ask(player));
    player.pause();
  }
  const pictures = [...document.images].map((image) => ({
    label: image.alt, width: image.naturalWidth, height: image.naturalHeight,
    shown: image.getBoundingClientRect().height}));
  const wide = document.documentElement.scrollWidth > innerWidth;
  await fetch("/told", {method: "POST", body: JSON.stringify({
    players: told, pictures: pictures, scrolls: wide, hacked: Boolean(window.hacked)})});
});
</script>"""


def chromium() -> str:
    """Return the browser's program; skip the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"SKIPPED, no browser: none of {', '.join(NAMES)} is installed")
    return found


def as_page(content: str, *, dark: bool = False) -> str:
    """Return an output as a page of its own, in the colours of a notebook."""
    return _PAGE % (_DARK if dark else _LIGHT, content)


def play(content: str) -> dict[str, Any]:
    """Load an output in a browser, play all that it has, and return what the page tells."""
    told: list[dict[str, Any]] = []
    done = threading.Event()
    page = as_page(content + _PLAY).encode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            if self.path == "/":
                self.wfile.write(page)

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with _browser("--window-size=1280,900", f"http://127.0.0.1:{server.server_port}/"):
            assert done.wait(PATIENCE_S), "the page has not answered"
        server.shutdown()
    return told[0]


def take_picture(page: Path, picture: Path, width: int = 1280, height: int = 900) -> None:
    """Take a picture of a page."""
    size = f"--window-size={width},{height}"
    waits = "--virtual-time-budget=4000"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [*_command(profile), f"--screenshot={picture}", size, waits, page.absolute().as_uri()],
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
        )


def _command(profile: str) -> list[str]:
    return [
        chromium(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
    ]


@contextlib.contextmanager
def _browser(*arguments: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [*_command(profile), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


if __name__ == "__main__":
    content = Path(sys.argv[1]).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(as_page(content, dark=sys.argv[3:] == ["dark"]), "utf-8")
        take_picture(page, Path(sys.argv[2]).absolute())
