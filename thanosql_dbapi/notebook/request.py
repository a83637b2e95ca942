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
_TOKEN = re.compile(r"\s*API[_ -]?TOKEN\b[^\n]*", re.IGNORECASE)
_TARGET = re.compile(r"([^\W\d]\w*)\s*<<\s*")


@dataclass(frozen=True, slots=True)
class Request:
    """What a line says, in its order: `[URL] [NAME=value | [variable <<] [SQL]]`."""

    url: str | None = None
    setting: tuple[str, str] | None = None
    target: str | None = None
    sql: str = ""


def read_request(line: str) -> Request:
    """Read the line behind the magic's name."""
    rest = line.strip()
    found = _URL.match(rest)
    url = next(filter(None, found.groups())) if found else None
    if found is not None:
        rest = rest[found.end() :]
    setting = _SETTING.match(rest)
    if setting is not None:
        return Request(url, setting=(setting[1], setting[2].strip().strip("'\"")))
    target = _TARGET.match(rest)
    if target is not None:
        rest = rest[target.end() :]
    return Request(url, target=target[1] if target else None, sql=rest)


def without_token(text: str) -> str | None:
    """Return SQL without the token in its first line, which is no SQL; None where there is none.

    An error would show that line. The others keep their numbers.
    """
    token = _TOKEN.match(text)
    return None if token is None else "\n" * token[0].count("\n") + text[token.end() :]
