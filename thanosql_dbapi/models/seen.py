"""Which recordings a version was trained on: the digests of their content, beside its weights.

    <version>/about/rows.txt      SHA-256 in hexadecimal, one a line, sorted

A training that goes on from another version writes that one's recordings too, so one file says all
that the weights have heard. The base model's own training data are not known. Nothing in `about`
decides what a version predicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ROWS: Final = Path("about", "rows.txt")


def write_seen(folder: Path, digests: Iterable[str]) -> None:
    """Note in a version's folder the recordings that it was trained on, by SHA-256."""
    file = folder / _ROWS
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{digest}\n" for digest in sorted(set(digests))), "ascii")


def read_seen(folder: Path) -> frozenset[str]:
    """Return the recordings that a version was trained on; none where that was not noted."""
    try:
        return frozenset((folder / _ROWS).read_text("ascii").split())
    except FileNotFoundError:
        return frozenset()
