"""Where media come from: a file, a URL, or the bytes themselves.

A `Media` can be opened, names itself in messages, and tells by a cheap token whether it is still
the same. Files on other machines come through fsspec. This module knows no format of media.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import tempfile
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..exceptions import MediaError, MediaReason, MissingExtra
from .paths import local_path

#: A protocol has two letters or more: `C://x` is a Windows drive.
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=://)")

#: A file that changed so short a time ago, in ns, may change again within the clock's tick (2 s on
#: FAT), and its times would be the same. git calls this racy.
_RACY_NS: Final = 2_100_000_000

#: How long a server may take to let us in, and to send something more, in seconds.
_CONNECT_S: Final = 15.0
_SILENCE_S: Final = 60.0

#: What HTTP answers of a file that is not there, 404 apart, which is a FileNotFoundError to fsspec.
_GONE: Final = (404, 410)

#: What file systems of fsspec call an entity tag: it changes when the content does.
_TAGS: Final = ("ETag", "etag", "generation", "sha256")


class Media(ABC):
    """A medium that can be read, as often as wanted and from several threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it: the text of the table, without a URL's credentials."""

    @property
    def path(self) -> Path | None:
        """The local file; None for a URL and for bytes."""
        return None

    @abstractmethod
    def identity(self) -> str | None:
        """Return a token that changes when the content does, without reading it.

        None when there is none to be trusted, or the medium is not to be had.
        """

    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal digits, as of the first call.

        Raises:
            MediaError: the content is not to be had.
        """

    @abstractmethod
    def open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open the content for reading: a seekable file at its start.

        Raises:
            MediaError: the content is not to be had.
        """

    def changed(self) -> bool:
        """Return whether the content may be another than `digest`, or else `identity`, saw.

        What was computed from it meanwhile belongs to that digest only while this is False.
        """
        return False

    def release(self) -> None:  # noqa: B027 - most have nothing to drop
        """Drop what was fetched; another `open` fetches again."""


def media_of(value: str | bytes, root: Path) -> Media:
    """Return the medium that a value names, or is.

    Text is a path, absolute or relative to `root`, or the URL of a protocol that fsspec knows;
    bytes are the medium itself. Nothing is opened yet.
    """
    if not isinstance(value, str):
        return Blob(bytes(value))
    protocol = _PROTOCOL.match(value)
    if protocol is None:
        return LocalFile(value, local_path(value, root))
    if protocol.group().lower() == "file":
        return LocalFile(value, Path(url2pathname(urlsplit(value).path)))
    return RemoteFile(value)


class Blob(Media):
    """The bytes themselves."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def name(self) -> str:
        """How many bytes they are."""
        return f"<{len(self._content)} bytes>"

    def identity(self) -> None:
        """Return None: a digest is as cheap."""

    def digest(self) -> str:
        """Return the SHA-256 of the bytes."""
        return hashlib.sha256(self._content).hexdigest()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the bytes."""
        yield io.BytesIO(self._content)


class LocalFile(Media):
    """A file on this machine."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._digest: str | None = None
        self._seen: tuple[int, ...] | None = None
        self._seen_racy = False

    @property
    def name(self) -> str:
        """The text of the table."""
        return self._name

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def identity(self) -> str | None:
        """Return what the file system knows of the file: device, inode, size and times.

        None for a file that changed in the last two seconds. Windows has no time of change, so a
        program that sets the time of modification back there stays unseen.
        """
        try:
            status = self._path.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or _racy(status):
            return None
        if self._digest is None:
            self._seen = _signature(status)
        return "\0".join(["file", *map(str, _signature(status))])

    def digest(self) -> str:
        """Return the SHA-256 of the file's content."""
        if self._digest is None:
            with self.open() as file:
                status = os.fstat(file.fileno())
                digest = _digest(file)
            self._seen, self._seen_racy = _signature(status), _racy(status)
            self._digest = digest
        return self._digest

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file."""
        path = str(self._path)
        with _local_errors():
            # Looked at first: to open a named pipe waits for a writer.
            if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - half the time
                raise MediaError("not a file", MediaReason.MISSING)
            file = open(path, "rb")  # noqa: PTH123, SIM115 - as above
        with file:
            yield file

    def changed(self) -> bool:
        """Return whether the file is another than the one that was seen."""
        if self._seen is None:
            return False
        try:
            same = _signature(self._path.stat()) == self._seen
        except (OSError, ValueError):
            return True
        if same and self._seen_racy:
            try:
                return LocalFile(self._name, self._path).digest() != self._digest
            except MediaError:
                return True
        return not same


class RemoteFile(Media):
    """A file behind a URL, fetched into a temporary file when it is first read.

    The temporary file goes with the medium, or at `release`; only a killed process leaves it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._digest: str | None = None
        self._identity: str | None = None
        self._lock = threading.Lock()
        self._fetched: Path | None = None
        self._remove: Any = None

    @property
    def name(self) -> str:
        """The URL, without user, password and query: a signed URL's query is a credential."""
        return without_credentials(self._url)

    def identity(self) -> str | None:
        """Return the URL with the server's strong entity tag, hashed; None where it has none."""
        try:
            system, path = file_system(self._url)
            facts = system.info(path)
        except MediaError:
            return None
        except Exception:  # noqa: BLE001 - each file system has its own; fetching will tell
            return None
        tag = next((str(facts[key]) for key in _TAGS if facts.get(key)), None)
        if tag is None or tag.startswith("W/"):
            return None
        # Hashed, because a URL may hold credentials, and identities are kept.
        text = "\0".join([self._url, tag, str(facts.get("size"))])
        found = "url\0" + hashlib.sha256(text.encode()).hexdigest()
        self._identity = self._identity or found
        return found

    def digest(self) -> str:
        """Return the SHA-256 of what was fetched first."""
        if self._digest is None:
            with self.open() as file:
                self._digest = _digest(file)
        return self._digest

    def changed(self) -> bool:
        """Return whether what was fetched last is something else; without a digest, ask again."""
        with self._lock:
            fetched = self._fetched
        if fetched is None:
            return False
        if self._digest is None:
            return self._identity is not None and self.identity() != self._identity
        with fetched.open("rb") as file:
            return _digest(file) != self._digest

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Fetch the file unless it is here, and open it."""
        with self._lock:
            if self._fetched is None:
                self._fetched = self._fetch()
            file = self._fetched.open("rb")
        with file:
            yield file

    def release(self) -> None:
        """Remove the temporary file."""
        with self._lock:
            if self._remove is not None:
                self._remove()
            self._fetched = self._remove = None

    def _fetch(self) -> Path:
        system, path = file_system(self._url)
        handle, temporary = tempfile.mkstemp(prefix="thanosql-")
        os.close(handle)
        remove = weakref.finalize(self, _unlink, temporary)
        try:
            system.get_file(path, temporary)
        except Exception as error:
            remove()
            raise transport_error(error, self.name) from error
        self._remove = remove
        return Path(temporary)


def _digest(file: BinaryIO) -> str:
    return hashlib.file_digest(cast("io.BufferedReader", file), "sha256").hexdigest()


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _racy(status: os.stat_result) -> bool:
    return max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _RACY_NS


@contextlib.contextmanager
def _local_errors() -> Iterator[None]:
    """Say what the operating system refuses: a file that cannot be had is missing."""
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError("no such file", MediaReason.MISSING) from error
    except ValueError as error:  # a NUL in the path
        raise MediaError(f"no path of a file ({error})", MediaReason.MISSING) from error
    except OSError as error:
        problem = f"the file cannot be opened ({error.strerror})"
        raise MediaError(problem, MediaReason.MISSING) from error


def without_credentials(url: str) -> str:
    """Return a URL as a message may show it: without user, password and query."""
    protocol, _, rest = url.partition("://")
    rest, query, _ = rest.partition("?")
    host, slash, path = rest.partition("/")
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{path}{'?…' if query else ''}"


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise _missing_extra(url, error) from error
    try:
        # A listing from before would tell an old entity tag.
        system, path = url_to_fs(url, use_listings_cache=False, **_patience(url))
    except ImportError as error:
        raise _missing_extra(url, error) from error
    except ValueError as error:
        protocol = url.partition("://")[0]
        problem = f"no file system is known for {protocol}://"
        raise MediaError(problem, MediaReason.UNREACHABLE) from error
    return system, path


def _patience(url: str) -> dict[str, Any]:
    """Return for how long HTTP waits: aiohttp gives each transfer five minutes, however large."""
    if not url.lower().startswith(("http://", "https://")):
        return {}
    import aiohttp

    waits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    return {"client_kwargs": {"timeout": waits}}


def _missing_extra(url: str, error: ImportError) -> MissingExtra:
    protocol = url.partition("://")[0]
    return MissingExtra(
        f"{protocol}:// needs a package that is not installed ({error}):"
        " pip install 'thanosql-dbapi[remote]'"
    )


def transport_error(error: Exception, name: str) -> MediaError:
    """Say why a URL could not be fetched, by the classes that fsspec's file systems raise.

    A body that breaks off is truncated, and what a server says it has not is missing; whatever else
    cannot be had may be there another time.
    """
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError):
        return MediaError(f"no such file: {name}", MediaReason.MISSING)
    if type(error).__name__ in ("ClientPayloadError", "IncompleteReadError"):
        return MediaError(f"the transfer of {name} broke off", MediaReason.TRUNCATED)
    if isinstance(status, int):
        reason = MediaReason.MISSING if status in _GONE else MediaReason.UNREACHABLE
        return MediaError(f"{name}: the server answers {status}", reason)
    # By its class alone: texts of errors repeat the URL.
    problem = f"{name} cannot be fetched ({type(error).__name__})"
    return MediaError(problem, MediaReason.UNREACHABLE)
