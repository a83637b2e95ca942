"""Names of models: as folders, and told from those of versions."""

from __future__ import annotations

import re
import urllib.parse

from ..exceptions import ProgrammingError

#: File systems take 255 bytes, and the lock's name is longer than the folder's.
LONGEST_NAME = 240
_VERSIONED = re.compile(r"(.+)@(\d+)\Z", re.DOTALL)


def folder_name(name: str) -> str:
    """Return the name of a model's folder; the name is folded, and safe as a file name.

    That of a name that is too long is cut where no model's can be, so it is found nowhere.
    """
    quoted = urllib.parse.quote(name.casefold(), safe="").replace(".", "%2E")
    return quoted[: LONGEST_NAME + 1]


def name_of_folder(folder: str) -> str:
    """Return the name, folded, that a folder stands for."""
    return urllib.parse.unquote(folder)


def versioned(name: str) -> tuple[str, int] | None:
    """Return model and number of a name such as `m@3`; None for any other."""
    found = _VERSIONED.match(name)
    return (found[1], int(found[2])) if found else None


def require_name(name: str) -> None:
    """Refuse what cannot name a model.

    Raises:
        ProgrammingError: the name is too long, empty, or ends like a version.
    """
    if len(folder_name(name)) > LONGEST_NAME:
        raise ProgrammingError(f"the name '{name[:20]}…' is too long for a file system")
    if not name.strip() or versioned(name) is not None:
        raise ProgrammingError(
            f"'{name}' cannot name a model: a name is not empty and does not end in @<number>"
        )
