"""Sources on other machines: fetched through fsspec, then read as files here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ...exceptions import MediaError, NotSupportedError, OperationalError
from ...media.fetching import fetch, fitting_urls, lists_files, urls_in
from ...media.sources import media_of
from ...progress import Bar
from ..base import Surroundings
from .choosing import chosen
from .files import File, Found
from .kinds import MEDIA, SUFFIXES, Kind, is_pickle, kind_of, pickle_refused

#: A protocol has two letters or more: `C://x` is a Windows drive.
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=://)")

_MAGIC: Final = re.compile(r"[*?\[]")

#: How files begin, for a URL that does not tell; the suffix is what DuckDB would go by.
_BEGINNINGS: Final = (
    (b"PAR1", ".parquet"),
    (b"ARROW1", ".arrow"),
    (b"PK\x03\x04", ".xlsx"),
    (b"\xd0\xcf\x11\xe0", ".xls"),
    (b"\x1f\x8b", ".csv.gz"),
    (b"\x28\xb5\x2f\xfd", ".csv.zst"),
    (b"fLaC", ".flac"),
    (b"RIFF", ".wav"),
    (b"ID3", ".mp3"),
    (b"OggS", ".ogg"),
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"[", ".json"),
    (b"{", ".json"),
)


def is_remote(source: str) -> bool:
    """Tell whether a source is the URL of something that is not a file of this machine."""
    protocol = _PROTOCOL.match(source)
    return protocol is not None and protocol.group().lower() != "file"


def local_path(source: str) -> str:
    """Return the path of a `file://` URL; any other text is one already."""
    if source.lower().startswith("file://"):
        return url2pathname(urlsplit(source).path)
    return source


def remote_kind(url: str) -> Kind | None:
    """Return the kind of a URL's files by its name; None where that does not tell."""
    return kind_of(_last_part(url))


def find_remote(
    source: str, options: Mapping[str, Any], around: Surroundings, folder: Path
) -> Found:
    """Return the files that a URL means, fetched into `folder`, except media.

    Raises:
        OperationalError: there are none, or the server does not give them.
        DataError: they are of several kinds.
        NotSupportedError: what they are is not to be read.
        MissingExtra: the package for the protocol is not installed.
    """
    name = _name(source, around)
    with _as_operational():
        urls = _urls(source, options)
    if urls is not None:
        found = chosen([File(url, _name(url, around)) for url in urls], name, options)
    elif (kind := kind_of(_last_part(source))) is not None:
        found = Found(kind, (File(source, name),), f"'{name}'")
    elif is_pickle(_last_part(source)):
        raise pickle_refused(name)
    else:
        return _guessed(File(source, name), around, folder)
    if found.kind in MEDIA:
        return found
    return Found(found.kind, tuple(_fetched(found.files, around, folder)), found.name)


def _urls(source: str, options: Mapping[str, Any]) -> list[str] | None:
    """Return the URLs of a pattern or a folder; None for the URL of one file."""
    if not lists_files(source):
        return None
    if _MAGIC.search(source):
        return fitting_urls(source)
    if kind_of(_last_part(source)) is not None:
        return None
    return urls_in(source, recursive=options["recursive"])


def _last_part(url: str) -> str:
    parts = urlsplit(url)
    return unquote(PurePosixPath(parts.path).name)


def _suffixes(url: str) -> str:
    """Return how a file's name ends, if that tells its kind."""
    path = PurePosixPath(_last_part(url).lower())
    if kind_of(path.name) is None:
        return ""
    return path.suffix if path.suffix in SUFFIXES else PurePosixPath(path.stem).suffix + path.suffix


def _name(url: str, around: Surroundings) -> str:
    return media_of(url, around.session.root).name


def _fetched(files: tuple[File, ...], around: Surroundings, folder: Path) -> Iterator[File]:
    bar = around.session.progress.bar("fetch", "bytes")
    before = 0
    try:
        for number, file in enumerate(files):
            # By the end of its name DuckDB knows a packed file; the rest of it is the server's.
            place = folder / str(number)
            place.mkdir()
            path = place / f"file{_suffixes(file.text)}"
            _fetch(file, path, bar, before, around)
            before += path.stat().st_size
            yield File(file.text, file.name, path)
    finally:
        bar.close()


def _fetch(file: File, path: Path, bar: Bar, before: int, around: Surroundings) -> None:
    def advance(done: int, total: int | None) -> None:
        around.execution.check()
        bar.update(before + done, None if total is None else before + total)

    try:
        with _as_operational():
            fetch(file.text, path, advance)
    except KeyboardInterrupt:
        around.execution.stop()  # the transfer goes on in fsspec's thread until it looks
        raise


@contextlib.contextmanager
def _as_operational() -> Iterator[None]:
    """Raise what cannot be had as PEP 249's class for that: it is no fault of the data."""
    try:
        yield
    except MediaError as error:
        raise OperationalError(str(error)) from error


def _guessed(file: File, around: Surroundings, folder: Path) -> Found:
    """Return a file whose URL does not tell its kind, by how it begins."""
    name = f"'{file.name}'"
    (file,) = _fetched((file,), around, folder)
    with file.local.open("rb") as opened:
        begins = opened.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins[:1] == b"<":
        raise NotSupportedError(f"{name} is a page, and no file of a table: give its address")
    if begins[:1] == b"\x80":
        raise pickle_refused(file.name)
    suffix = next((end for start, end in _BEGINNINGS if begins.startswith(start)), ".csv")
    kind = kind_of(f"x{suffix}") or Kind.CSV
    if kind in MEDIA:
        return Found(kind, (File(file.text, file.name),), name)
    path = file.local.rename(file.local.with_name(f"told{suffix}"))
    return Found(kind, (File(file.text, file.name, path),), name)
