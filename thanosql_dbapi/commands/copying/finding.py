"""Which files a source means: one, those of a folder, those that a pattern fits, or JSON itself.

Nothing is read of the files but their names. URLs are `remote`'s.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

from ...exceptions import DataError, OperationalError
from ..base import Surroundings
from .choosing import chosen, one_kind, taken
from .documents import is_document
from .files import File, Found
from .kinds import MEDIA, Kind, kind_of, required_kind
from .remote import find_remote, is_remote, local_path

_MAGIC: Final = re.compile(r"[*?\[]")


def find(source: str, options: Mapping[str, Any], around: Surroundings, folder: Path) -> Found:
    """Return the files that a source means; what is elsewhere is fetched into `folder`.

    Raises:
        OperationalError: there are none.
        DataError: a folder or a pattern has none that COPY reads, or has several kinds.
        NotSupportedError: what they are is not to be read.
    """
    if not source.strip():
        raise OperationalError("COPY needs a file or a folder after FROM, and there is no text")
    if is_remote(source):
        return find_remote(source, options, around, folder)
    source = local_path(source)
    path = around.session.path(source)
    if _exists(path, source):
        if path.is_dir():
            return _of_folder(path, source, options)
        kind = required_kind(path.name, source)
        return Found(kind, (File(source, source, path),), f"'{source}'")
    if is_document(source):
        kept = folder / "statement.json"
        name = "the JSON in the statement"
        try:
            kept.write_text(source, "utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"{name} is no text that UTF-8 can hold ({error})") from error
        return Found(Kind.JSON, (File("", name, kept),), name)
    if _MAGIC.search(source):
        return _of_pattern(source, options, around)
    around.existing_path(source)
    raise OperationalError(f"'{source}' is no file and no folder")


def _exists(path: Path, source: str) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, say, as JSON would be
        if is_document(source) or _MAGIC.search(source):
            return False
        shown = source if len(source) <= 60 else f"{source[:60]}…"
        raise OperationalError(f"'{shown}' is no path of a file") from None


# Folders


def _of_folder(folder: Path, source: str, options: Mapping[str, Any]) -> Found:
    below = _walk(folder) if options["recursive"] else _entries(folder)
    parts = sorted(path.relative_to(folder).parts for path in below)
    # Written as the user wrote the folder: relative to the root, or absolute.
    files = [
        File(text, text, folder.joinpath(*part))
        for part in parts
        if kind_of(part[-1]) in MEDIA
        for text in (_storable(PurePath(source, *part).as_posix()),)
    ]
    name = f"the folder '{source}'"
    kind = one_kind(files, name, options)
    if kind is None:
        raise DataError(_no_media(folder, source, options, [part[-1] for part in parts]))
    return taken(kind, files, name)


def _no_media(folder: Path, source: str, options: Mapping[str, Any], names: list[str]) -> str:
    what = options["media"] or "audio, image or video"
    problem = f"the folder '{source}' holds no {what} file"
    tables = {PurePath(name).suffix for name in names if kind_of(name) not in (*MEDIA, None)}
    if tables:
        pattern = f"{source.rstrip('/')}/*{min(tables)}"
        return f"{problem}; its tables are copied by a pattern: '{pattern}'"
    wanted = {Kind(options["media"])} if options["media"] else MEDIA
    below = not options["recursive"] and any(
        kind_of(path.name) in wanted and path.parent != folder for path in _walk(folder)
    )
    return (
        f"{problem}; those below it are taken with OPTIONS (recursive=True)" if below else problem
    )


def _entries(folder: Path) -> Iterator[Path]:
    """Yield a folder's own files; hidden ones are not meant."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)  # of a link to itself, entry.is_file would raise
            if not entry.name.startswith(".") and path.is_file():
                yield path


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, through links too, each folder once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116 - os.walk's own kind of path
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _storable(text: str) -> str:
    """Return a path that a table can hold.

    Raises:
        DataError: its name is no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise DataError(f"the name of the file '{shown}' is no UTF-8: rename it") from error
    return text


# Patterns


def _of_pattern(source: str, options: Mapping[str, Any], around: Surroundings) -> Found:
    fixed, pattern = _split(source)
    start = around.session.path(fixed) if fixed else around.session.root
    if not start.is_dir():
        raise OperationalError(f"no file fits the pattern '{source}': there is no folder '{fixed}'")
    names = sorted(_fitting(start, pattern), key=lambda name: PurePath(name).parts)
    files = []
    for name in names:
        text = _storable(PurePath(fixed, name).as_posix())
        files.append(File(text, text, start / name))
    if not files:
        raise OperationalError(
            f"no file fits the pattern '{source}' (relative paths start from {around.session.root})"
        )
    return chosen(files, source, options)


def _split(source: str) -> tuple[str, str]:
    """Return the folder that a pattern begins with, and the rest."""
    parts = PurePath(source).parts
    fixed = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    return (PurePath(*parts[:fixed]).as_posix() if fixed else ""), "/".join(parts[fixed:])


def _fitting(start: Path, pattern: str) -> Iterator[str]:
    """Yield the files that fit, relative to `start`; `**` is any number of folders."""
    if "**" not in pattern:
        for name in glob.glob(pattern, root_dir=start):  # noqa: PTH207 - Path.glob takes hidden ones
            if (start / name).is_file():
                yield name
        return
    parts = ["(?:[^/]+/)*" if part == "**" else _part(part) for part in pattern.split("/")]
    if parts[-1] == "(?:[^/]+/)*":
        parts.append("[^/]+")
    fits = re.compile("".join(parts).removesuffix("/"), re.DOTALL)
    for path in _walk(start):
        name = path.relative_to(start).as_posix()
        if fits.fullmatch(name):
            yield name


def _part(pattern: str) -> str:
    """Return the regular expression of one part of a pattern, and of the slash behind it."""
    wild = {"*": "[^/]*", "?": "[^/]"}
    written = []
    for piece in re.split(r"(\*|\?|\[!?\]?[^\]]*\])", pattern):
        if piece.startswith("[") and piece.endswith("]"):
            inside = piece[1:-1].replace("\\", "\\\\")
            written.append(f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]")
        else:
            written.append(wild.get(piece, re.escape(piece)))
    return "".join([*written, "/"])
