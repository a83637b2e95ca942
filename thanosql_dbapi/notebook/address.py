"""A database URL, `thanosql:///calls.db?root=demo`, as what `connect` takes.

The names are those of the SQLAlchemy dialect's URLs. What stands in a URL is never repeated but
for the database's and an option's name: a secret may stand in the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from ..connection import Connection, connect
from ..exceptions import ProgrammingError, nearest
from ..progress import ProgressEvent

#: How a URL is to be written, for messages.
FORMS: Final = "thanosql:///file.db, or thanosql:// for a database in memory"

_URL = re.compile(
    r"(?P<scheme>\w[\w+.-]*)://(?P<host>[^/?#]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?"
)
_SCHEMES = frozenset({"thanosql", "thanosql+duckdb"})
_SERVERS = frozenset({"ws", "wss", "http", "https"})
_TRUTHS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError("is true or false")
    return _TRUTHS[text.lower()]


def _checkpoint(text: str) -> dict[str, str]:
    name, colon, source = text.partition(":")
    if not (name and colon and source):
        raise ValueError("is a base model, a colon, and a folder or hub id")
    return {name: source}


#: The driver's own options, and how each is read.
OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "root": str,
    "workspace": str,
    "read_only": _truth,
    "checkpoints": _checkpoint,
    "device": str,
    "progress": _truth,
}


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and how it is opened: the driver's options, and DuckDB's settings."""

    database: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "a database in memory" if self.in_memory else f"'{self.database}'"

    @property
    def in_memory(self) -> bool:
        """Whether the database ends with its connection."""
        return self.database == ":memory:"

    def open(self, tell: Callable[[ProgressEvent], None] | None) -> Connection:
        """Connect; progress goes to `tell`, unless the URL says otherwise.

        Raises:
            OperationalError, ProgrammingError: as `connect`; or a setting is unknown.
        """
        options = dict(self.options)
        if options.pop("progress", True) is False:
            options["progress"] = False
        elif tell is not None:
            options["progress"] = tell
        _require_known(self.settings)
        return connect(self.database, config=self.settings, **options)


def read_address(url: str) -> Address:
    """Read a URL.

    Raises:
        ProgrammingError: it is none of ours, names a host, or an option cannot be read.
    """
    match = _URL.fullmatch(url.strip())
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _SCHEMES:
        raise ProgrammingError(_foreign(scheme))
    if match["host"]:
        raise ProgrammingError(
            "a database in this process has no host and no user. A file takes three slashes,"
            " thanosql:///file.db; an absolute path four"
        )
    options: dict[str, Any] = {}
    settings: dict[str, str] = {}
    for name, text in parse_qsl(match["query"] or "", keep_blank_values=True):
        if name == "checkpoints":
            options[name] = {**options.get(name, {}), **_read(name, text)}
        elif name in options or name in settings:
            raise ProgrammingError(f"the URL gives {name} more than once")
        elif name in OPTIONS:
            options[name] = _read(name, text)
        else:
            settings[name] = text
    return Address((match["path"] or "")[1:] or ":memory:", options, settings)


def _foreign(scheme: str) -> str:
    if scheme in _SERVERS:
        return (
            f"{scheme}:// is the address of a server; ThanoSQL runs in this process and needs none."
            f" Say where the database is: {FORMS}"
        )
    return f"'{scheme}://' is no database URL of ThanoSQL. It is {FORMS}"


def _read(name: str, text: str) -> Any:
    try:
        return OPTIONS[name](text)
    except ValueError as error:
        raise ProgrammingError(f"in the URL, {name} {error}") from None


def _require_known(settings: Mapping[str, str]) -> None:
    if not settings:
        return
    with connect() as scratch:
        rows = scratch.execute("SELECT name FROM duckdb_settings()").fetchall()
    known = {name.lower(): name for (name,) in rows}  # one is called TimeZone
    for name in settings:
        if name.lower() not in known:
            raise ProgrammingError(
                f"'{name}' is no option of a thanosql:// URL and no setting of DuckDB."
                f"{nearest(name, [*OPTIONS, *known.values()])}"
            )
