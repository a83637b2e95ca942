"""Where archives come from: OpenSLR, or the folder or server that stands in for it.

`THANOSQL_MIRROR` names either; the same paths lie below it. An archive is taken if its MD5 is the
published one. A mirror may have an archive of its own, if it says that one's MD5 in an `md5sum.txt`
(or `checksum.md5`) beside it. It knows no dataset.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ..exceptions import OperationalError, ProgrammingError
from .datasets import OPENSLR
from .transfers import Dropped, Transfer

ENVIRONMENT: Final = "THANOSQL_MIRROR"

#: What OpenSLR calls the files of checksums.
_SUMS: Final = ("md5sum.txt", "checksum.md5")
_MOST_SUMS_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 22
_LINE = re.compile(r"([0-9a-fA-F]{32})[ \t]+\*?(?:.*/)?([^/]+)")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder, or the URL of a server; one of them."""

    folder: Path | None
    url: str

    @property
    def is_official(self) -> bool:
        """Whether it is OpenSLR itself."""
        return self.url == OPENSLR

    def where(self, path: str) -> str:
        """Return how messages name a file of it."""
        return str(self.folder / path) if self.folder else f"{self.url}/{path}"

    def text(self, path: str, check: Callable[[], None]) -> str:
        """Return a small file's text; an empty one where there is no such file.

        Raises:
            Dropped: the server cannot be reached.
        """
        if self.folder is not None:
            file = self.folder / path
            return file.read_text("utf-8", "replace") if file.is_file() else ""
        transfer = Transfer(self.where(path))
        try:
            transfer.head(check)
            data = b""
            while (chunk := transfer.chunk(check)) and len(data) < _MOST_SUMS_BYTES:
                data += chunk
        except OperationalError:
            check()
            return ""
        finally:
            transfer.close()
        return data.decode("utf-8", "replace")


def mirror(root: Path) -> Mirror:
    """Return what stands in for OpenSLR; a relative folder starts from the root.

    Raises:
        ProgrammingError: `THANOSQL_MIRROR` is neither a folder nor the URL of one.
    """
    given = os.environ.get(ENVIRONMENT, "").strip() or OPENSLR
    if given.lower().startswith(("http://", "https://")):
        _require_plain(given)
        return Mirror(None, given.rstrip("/"))
    try:
        folder = root / Path(given).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):  # a name that is too long; the home of nobody
        is_folder = False
    if not is_folder:
        raise ProgrammingError(
            f"{ENVIRONMENT} is '{given}', which is neither a folder nor an http(s) URL"
        )
    return Mirror(folder, "")


def _require_plain(url: str) -> None:
    """Refuse a URL that paths cannot be put after, or that says a secret."""
    try:
        parts = urlsplit(url)
        is_url = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url or not url.isascii() or not url.isprintable() or " " in url:
        raise ProgrammingError(
            f"{ENVIRONMENT} holds no URL with a host, in ASCII (xn--… and %20 for the rest)"
        )
    if "@" in parts.netloc:
        raise ProgrammingError(f"{ENVIRONMENT} holds a user or password: leave them out")
    if "?" in url or "#" in url:
        raise ProgrammingError(f"{ENVIRONMENT} holds a ? or #: paths are put after it")


def verify(
    archive: Path, path: str, published: str | None, source: Mirror, check: Callable[[], None]
) -> str:
    """Hold an archive against what is published of it; say against what.

    Raises:
        OperationalError: it is another one, or nobody says what it should be.
    """
    found = _md5(archive, check)
    if found == published:
        return "the published MD5"
    where = source.where(path)
    if source.is_official:
        raise OperationalError(
            f"{where} was damaged or changed on its way: its MD5 is {found}, and {published} is"
            " published. What was fetched is removed: run the statement again."
        )
    said = _said(source, path, check)
    if said is None:
        raise OperationalError(
            f"{where} is not the archive that OpenSLR publishes, and no {' or '.join(_SUMS)} beside"
            " it says its MD5: it was not used"
        )
    if found != said:
        raise OperationalError(
            f"{where} was not used: its MD5 is {found}, and the mirror says {said}"
        )
    return "the mirror's own MD5"


def _said(source: Mirror, path: str, check: Callable[[], None]) -> str | None:
    """Return the MD5 that a mirror says of an archive."""
    folder, _, name = path.rpartition("/")
    for sums in _SUMS:
        try:
            text = source.text(f"{folder}/{sums}", check)
        except Dropped as error:
            where = source.where(f"{folder}/{sums}")
            raise OperationalError(f"{where} cannot be fetched: {error}") from error
        for line in text.splitlines():
            match = _LINE.fullmatch(line.strip())
            if match and match[2] == name:
                return match[1].lower()
    return None


def _md5(path: Path, check: Callable[[], None]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            check()
            digest.update(piece)
    return digest.hexdigest()
