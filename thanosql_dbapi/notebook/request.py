"""What stands behind `%thanosql`: a URL, a setting, a variable for the result, SQL.

It reads one line, and knows nothing of what is done with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_URL = re.compile(
    r"""(?:"(\w[\w+.-]*://[^"]*)"|'(\w[\w+.-]*://[^']*)'|(\w[\w+.-]*://\S*))(?:\s+|\Z)"""
)
_SETTING = re.compile(r"([^\W\d]\w*)\s*=(.*)", re.DOTALL)
_TARGET = re.compile(r"([^\W\d]\w*)\s*<<\s*")


@dataclass(frozen=True, slots=True)
class Request:
    """What a line says, in its order: `[URL | NAME=value] [variable <<] [SQL]`."""

    url: str | None = None
    setting: tuple[str, str] | None = None
    target: str | None = None
    sql: str = ""


def read_request(line: str) -> Request:
    """Read the line behind the magic's name."""
    rest = line.strip()
    setting = _SETTING.match(rest)
    if setting is not None:
        return Request(setting=(setting[1], setting[2].strip().strip("'\"")))
    url = _URL.match(rest)
    if url is not None:
        rest = rest[url.end() :]
    target = _TARGET.match(rest)
    if target is not None:
        rest = rest[target.end() :]
    return Request(
        url=next(filter(None, url.groups())) if url else None,
        target=target[1] if target else None,
        sql=rest,
    )
