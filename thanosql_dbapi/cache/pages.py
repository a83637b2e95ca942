"""How much of the file is in use, and how it stays within its limit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from .schema import pragma

if TYPE_CHECKING:
    import sqlite3

#: Eviction makes so much room at once, or a tenth of the limit.
SLACK_BYTES = 4 << 20
#: At most so many rounds of eviction, of so many rows, and pages given back, for one call: a limit
#: that was lowered by gigabytes is reached in several steps.
ROUNDS, ROWS, PAGES = 20, 500, 4096


def evict(connection: sqlite3.Connection, limit: int) -> None:
    """Delete the least recently used predictions if the pages in use take more than `limit` bytes.

    It makes more room than that, so as not to be called for each row.
    """
    if _used_bytes(connection) <= limit:
        return
    target = limit - min(limit // 10, SLACK_BYTES)
    for _ in range(ROUNDS):
        excess = _used_bytes(connection) - target
        if excess <= 0 or not _delete_oldest(connection, excess):
            break
    drop_settings(connection)


def _delete_oldest(connection: sqlite3.Connection, excess: int) -> bool:
    """Delete some predictions, of not much more than `excess` bytes; tell whether there were any.

    A page is free when all its rows are gone: how much came of it, the next look at the pages says.
    """
    oldest = connection.execute(
        "SELECT id, length(prediction) + ifnull(length(timings), 0) + 2 * length(audio)"
        f" FROM predictions ORDER BY used, id LIMIT {ROWS}"
    ).fetchall()
    before = itertools.accumulate((size for _, size in oldest), initial=0)
    doomed = [(number,) for (number, _), gone in zip(oldest, before, strict=False) if gone < excess]
    connection.executemany("DELETE FROM predictions WHERE id = ?", doomed)
    return bool(doomed)


def drop_settings(connection: sqlite3.Connection) -> None:
    """Drop settings that no prediction is left of."""
    connection.execute(
        "DELETE FROM settings"
        " WHERE NOT EXISTS (SELECT 1 FROM predictions WHERE setting = settings.id)"
    )


def shrink(connection: sqlite3.Connection, *, pages: int) -> None:
    """Give so many free pages back to the file system."""
    if pages:
        # As a script: `execute` stops at the first step, which gives back one page.
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")


def surplus(connection: sqlite3.Connection, limit: int) -> int:
    """Return how many free pages the file should give back, to be no larger than the limit."""
    over = pragma(connection, "page_count") - limit // pragma(connection, "page_size")
    return max(0, min(over, pragma(connection, "freelist_count"), PAGES))


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    return pages * pragma(connection, "page_size")
