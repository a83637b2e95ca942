"""One request for a file over HTTP, and the answer to it as it comes in.

A thread reads what the server sends, so that whoever waits for it can be stopped at any time.
Proxies are those of the environment, as urllib reads them. It knows nothing of what is fetched,
and asks once: `downloading` asks again.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ..exceptions import OperationalError

#: Seconds that a server may be silent.
SILENCE_S: Final = 30.0
#: Seconds between two looks at whether to stop.
POLL_S: Final = 0.1
_CHUNK_BYTES: Final = 1 << 16
#: Chunks that wait to be taken: 2 MiB.
_WAITING: Final = 32

#: What a server answers that may answer otherwise another time.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Dropped(Exception):
    """The connection could not be made, or broke off: another one may do better."""


class RangeRefused(Exception):
    """There is nothing from the asked place on, or not surely: the file is asked for anew."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a server says of its answer: where it starts, and how long the whole file is.

    `tag` changes when the file does: the strong ETag, or else Last-Modified.
    """

    start: int
    total: int | None
    tag: str | None


class Transfer:
    """A file from its byte `start` on, if it is still the one of `tag`, else from its beginning."""

    def __init__(self, url: str, start: int = 0, tag: str | None = None) -> None:
        self._url = url
        self._items: queue.Queue[Head | bytes | BaseException | None] = queue.Queue(_WAITING)
        self._stopped = threading.Event()
        headers = {"Accept-Encoding": "identity", "User-Agent": "thanosql-dbapi"}
        if start and tag:
            headers |= {"Range": f"bytes={start}-", "If-Range": tag}
        # Its scheme is http or https: `mirrors` sees to that.
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        threading.Thread(target=self._read, args=(request,), daemon=True).start()

    def head(self, check: Callable[[], None]) -> Head:
        """Wait for the server's answer.

        Raises:
            Dropped: there was none.
            RangeRefused: the file has no such place, or the server does not say which it sends.
            OperationalError: the server refuses the file.
        """
        item = self._next(check)
        assert isinstance(item, Head)
        return item

    def chunk(self, check: Callable[[], None]) -> bytes:
        """Wait for the next bytes; none are left where it returns none.

        Raises:
            Dropped: the connection broke off.
        """
        item = self._next(check)
        assert not isinstance(item, Head)
        return item or b""

    def close(self) -> None:
        """Read no more."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._items.get_nowait()

    def _next(self, check: Callable[[], None]) -> Head | bytes | None:
        while True:
            check()
            try:
                item = self._items.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                self._raise(item)
            return item

    def _raise(self, error: BaseException) -> NoReturn:
        """Raise what a failure of the thread means here."""
        if isinstance(error, urllib.error.HTTPError):
            status = error.code
            if status == 416:
                raise RangeRefused from error
            if status in _PASSING:
                raise Dropped(f"the server answers {status}") from error
            said = one_line(str(error.reason))
            raise OperationalError(
                f"{self._url} cannot be fetched: the server answers {status} ({said})"
            ) from error
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise OperationalError(
                f"{self._url} cannot be fetched: its certificate is not trusted"
                f" ({reason.verify_message})"
            ) from error
        if isinstance(error, OSError | http.client.HTTPException):
            raise Dropped(one_line(str(reason)) or type(error).__name__) from error
        if isinstance(error, ValueError):
            raise OperationalError(f"'{self._url}' is no URL to fetch from: {error}") from error
        raise error

    # --- the thread

    def _read(self, request: urllib.request.Request) -> None:
        try:
            # An opener of its own: proxies are those of the environment as it is now.
            opener = urllib.request.build_opener(_WithinHttp)
            with opener.open(request, timeout=SILENCE_S) as response:
                self._read_body(response)
        except urllib.error.HTTPError as error:
            error.close()
            self._put(error)
        except BaseException as error:  # noqa: BLE001 - it is raised where the bytes are awaited
            self._put(error)

    def _read_body(self, response: Any) -> None:
        head, left = _head_of(response)
        self._put(head)
        while (left is None or left > 0) and not self._stopped.is_set():
            chunk = response.read1(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            self._put(chunk)
        self._put(None)

    def _put(self, item: Head | bytes | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._items.put(item, timeout=POLL_S)
                break
            except queue.Full:
                continue


class _WithinHttp(urllib.request.HTTPRedirectHandler):
    """Follows a server to http and https alone; urllib would to ftp too."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            said = f"{msg} - Redirection to url '{newurl}' is not allowed"  # as urllib says it
            raise urllib.error.HTTPError(newurl, code, said, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def one_line(text: str) -> str:
    """Return what a server says as a message may show it: printable, in one line, not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _head_of(response: Any) -> tuple[Head, int | None]:
    """Return the head of an answer, and how many bytes are to come."""
    headers = response.headers
    length = headers.get("Content-Length", "")
    left = int(length) if length.isascii() and length.isdigit() else None
    tag = headers.get("ETag") or ""
    if not tag.startswith('"'):  # a weak one says little of the bytes
        tag = headers.get("Last-Modified")
    start, total = 0, left
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None:  # it does not say which part of the file it sends
            raise RangeRefused
        start = int(found[1])
        total = None if found[2] == "*" else int(found[2])
    return Head(start, total, tag), left
