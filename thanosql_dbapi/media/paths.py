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
    where there is none of its own name. `..` has no such meaning: it could lead elsewhere.
    """
    older = _OLDER.match(text)
    if older is None or ".." in re.split(r"[/\\]", text) or _is_there(root, text):
        return root / text
    moved = DATASETS + older[1].removeprefix("tutorial_data")
    return root / next((each for each in (older[1], moved) if _is_there(root, each)), text)


def _is_there(root: Path, text: str) -> bool:
    """Return whether a path, or for a pattern the folder that it looks in, exists."""
    path = root / text
    names = Path(text).parts
    fixed = next((n for n, name in enumerate(names) if _PATTERN.search(name)), len(names))
    try:
        # The root's own name may look like a pattern.
        return path.exists() or (fixed < len(names) and root.joinpath(*names[:fixed]).exists())
    except (OSError, ValueError):  # a name that is too long, or holds NUL
        return False
