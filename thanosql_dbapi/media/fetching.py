"""Files behind URLs, fetched for their content: which there are, and one of them, step by step.

The file systems are fsspec's. This module knows no format.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..exceptions import Error, MediaError, MediaReason
from .sources import file_system, transport_error, without_credentials

#: What the operating system says where this machine has no room for a file.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: What lists no files: a page of links is no folder.
_UNLISTED = ("http", "https")


def lists_files(url: str) -> bool:
    """Tell whether files behind such URLs can be listed, so that patterns and folders mean some."""
    return url.partition("://")[0].lower() not in _UNLISTED


def fitting_urls(pattern: str) -> list[str]:
    """Return the URLs of the files that a pattern fits, in order.

    Raises:
        MediaError: the server cannot be asked.
        MissingExtra: the package for its protocol is not installed.
    """
    return _listed(pattern, lambda system, path: system.glob(path, detail=True))


def urls_in(folder: str, *, recursive: bool) -> list[str] | None:
    """Return the URLs of a folder's files, in order; None where the URL names no folder.

    Raises:
        MediaError: the server cannot be asked.
        MissingExtra: the package for its protocol is not installed.
    """
    system, path = file_system(folder)
    try:
        if system.isfile(path) or not system.isdir(path):
            return None
    except Exception as error:
        raise transport_error(error, without_credentials(folder)) from error
    depth = None if recursive else 1
    return _listed(folder, lambda system, path: system.find(path, maxdepth=depth, detail=True))


def _listed(url: str, ask: Callable[[Any, str], dict[str, dict[str, Any]]]) -> list[str]:
    system, path = file_system(url)
    try:
        found = ask(system, path)
    except FileNotFoundError:
        return []
    except Exception as error:
        raise transport_error(error, without_credentials(url)) from error
    files = sorted(name for name, facts in found.items() if facts.get("type") == "file")
    return [str(system.unstrip_protocol(name)) for name in files]


def fetch(url: str, to: Path, advance: Callable[[int, int | None], None]) -> None:
    """Fetch a file. `advance` is told how many bytes there are by now, and in all if that is known.

    What `advance` raises ends the transfer, and is raised.

    Raises:
        MediaError: the file is not to be had.
        MissingExtra: the package for its protocol is not installed.
    """
    system, path = file_system(url)
    raised: list[BaseException] = []
    try:
        system.get_file(path, str(to), callback=_callback(advance, raised))
    except Error:
        raise
    except Exception as error:
        if raised:
            raise raised[0] from error
        if isinstance(error, OSError) and error.errno in _FULL:
            problem = f"{without_credentials(url)} finds no room here: {error.strerror}"
            raise MediaError(problem, MediaReason.UNREACHABLE) from error
        raise transport_error(error, without_credentials(url)) from error
    if not to.is_file():  # s3fs makes a folder of what is none
        raise MediaError(f"no such file: {without_credentials(url)}", MediaReason.MISSING)


def _callback(advance: Callable[[int, int | None], None], raised: list[BaseException]) -> Any:
    from fsspec.callbacks import Callback

    class Told(Callback):  # type: ignore[misc,unused-ignore]
        """Hands on what fsspec tells; it is called in fsspec's own thread."""

        def call(self, *_: Any, **__: Any) -> None:
            try:
                advance(self.value, self.size)
            except BaseException as error:
                raised.append(error)
                raise

    return Told()
