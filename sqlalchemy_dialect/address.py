"""What an engine's URL and `connect_args` say: the database, options, DuckDB's settings.

It knows the driver's options by name, and leaves DuckDB's settings to DuckDB.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import exc
from sqlalchemy.engine import URL

_TRUTHS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError("it is true or false")
    return _TRUTHS[text.lower()]


def _checkpoints(text: str | tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in (text,) if isinstance(text, str) else text:
        name, colon, source = pair.partition(":")
        if not (name and colon and source):
            raise ValueError("it is a base model, a colon, and a folder or hub id")
        found[name] = source
    return found


#: The driver's own options, and how each is read from a URL.
DRIVER_OPTIONS: Mapping[str, Callable[[Any], Any]] = {
    "root": str,
    "workspace": str,
    "read_only": _truth,
    "checkpoints": _checkpoints,
    "device": str,
    "progress": _truth,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, and how it is opened."""

    database: str
    options: dict[str, Any]

    @classmethod
    def of(cls, url: URL) -> Self:
        """Read `thanosql:///file.db?root=…&threads=4`; without a file, a database in memory.

        Each engine of `thanosql://` has a database of its own, that its connections share.

        Raises:
            ArgumentError: the URL names a host, a port or a user, or an option cannot be read.
        """
        if url.host or url.port or url.username or url.password:
            raise exc.ArgumentError(
                f"'{url.render_as_string()}': a database in this process has no host and no user."
                " A file takes three slashes, thanosql:///file.db; an absolute path four"
            )
        database = url.database or ":memory:"
        if database == ":memory:":
            database = f":memory:thanosql-{uuid.uuid4().hex}"
        return cls(database, {name: _read(name, text) for name, text in url.query.items()})


def _read(name: str, text: Any) -> Any:
    if isinstance(text, tuple) and name != "checkpoints":
        raise exc.ArgumentError(f"the URL gives {name} {len(text)} times")
    try:
        return DRIVER_OPTIONS.get(name, str)(text)
    except ValueError as error:
        raise exc.ArgumentError(f"{name}={text!r} in the URL: {error}") from None


def connect_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the driver's keywords: its own options, and all else as DuckDB's settings."""
    options = {name: value for name, value in given.items() if name in DRIVER_OPTIONS}
    settings = {n: v for n, v in given.items() if n not in DRIVER_OPTIONS and n != "config"}
    return {**options, "config": {**settings, **(given.get("config") or {})}}


def refusal(name: str, value: Any, why: object, settings: Iterable[str]) -> exc.ArgumentError:
    """Return an error about a name that is no option, or a value that DuckDB refuses."""
    known = [*DRIVER_OPTIONS, *settings]
    if name in known:
        return exc.ArgumentError(f"{name}={value!r}: {why}")
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return exc.ArgumentError(
        f"'{name}' is no option of a thanosql:// engine and no setting of DuckDB.{hint}"
    )
