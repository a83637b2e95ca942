"""Which file a path in a table or a statement names.

It knows the folder that relative paths start from, and where the datasets of an older era went;
it opens nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

#: The folder below the root that datasets are fetched into.
DATASETS: Final = "thanosql-dataset"

#: Where the tutorials of an older era have them.
_OLDER: Final = re.compile(r"/?(tutorial_data/.+)", re.DOTALL)
_PATTERN: Final = re.compile(r"[*?\[]")


def local_path(text: str, root: Path) -> Path:
    """Return the file, folder or pattern that `text` names: absolute, or relative to the root.

    `tutorial_data/…`, with or without a slash before it, means the same file of a fetched dataset
    where there is none of its own name.
    """
    path = root / text
    older = _OLDER.match(text)
    if older is None or _is_there(path):
        return path
    moved = DATASETS + older[1].removeprefix("tutorial_data")
    candidates = (root / older[1], root / moved)
    return next((each for each in candidates if _is_there(each)), path)


def _is_there(path: Path) -> bool:
    """Return whether a path, or for a pattern the folder that it looks in, exists."""
    fixed = path
    while _PATTERN.search(str(fixed)):
        fixed = fixed.parent
    try:
        return path.exists() or (fixed != path and fixed.exists())
    except (OSError, ValueError):  # a name that is too long, or holds NUL
        return False
