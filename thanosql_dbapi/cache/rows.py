"""What is asked of the cache's tables, and written into them."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..models.base import Prediction
from .encoding import decode
from .pages import drop_settings
from .schema import writing
from .settings import Settings

if TYPE_CHECKING:
    import sqlite3

#: A use is written down only if the last one noted is older: a rerun reads and does not write.
TOUCH_AFTER_S = 3600.0
#: SQLite before 3.32 takes at most 999 parameters.
PARAMETERS = 500


def known(
    connection: sqlite3.Connection, settings: Settings, digests: Collection[str]
) -> dict[str, Prediction]:
    """Return predictions by their medium's digest; that is a use of them."""
    setting = _setting(connection, settings)
    select = (
        "SELECT audio, prediction, timings, id, used FROM predictions"
        " WHERE setting = ? AND audio IN"
    )
    rows = list(_select(connection, select, [setting], set(digests)))
    now = _now()
    stale = [number for _, _, _, number, used in rows if now - used > TOUCH_AFTER_S * 1e6]
    if stale:
        _touch(connection, stale, now)
    found = decode([row[1] for row in rows], [row[2] for row in rows])
    return {audio: prediction for (audio, *_), prediction in zip(rows, found, strict=True)}


def _touch(connection: sqlite3.Connection, numbers: list[int], now: int) -> None:
    import sqlite3

    # Where nothing can be written now, what is known is still known.
    with contextlib.suppress(sqlite3.OperationalError), writing(connection):
        rows = [(now, number) for number in numbers]
        connection.executemany("UPDATE predictions SET used = ? WHERE id = ?", rows)


def count(connection: sqlite3.Connection, settings: Settings, digests: Collection[str]) -> int:
    """Count the predictions of media, without that being a use of them."""
    select = "SELECT count(*) FROM predictions WHERE setting = ? AND audio IN"
    found = _select(connection, select, [_setting(connection, settings)], set(digests))
    return sum(number for (number,) in found)


def insert(
    connection: sqlite3.Connection,
    settings: Settings,
    encoded: Mapping[str, tuple[bytes, bytes | None]],
    model_name: str,
) -> None:
    """Insert predictions in bytes, by their medium's digest, or replace those there are."""
    connection.execute(
        "INSERT INTO settings (model, options, precision, revision, model_name)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET model_name = excluded.model_name"
        " WHERE model_name <> excluded.model_name",
        (*_fields(settings), model_name),
    )
    setting, now = _setting(connection, settings), _now()
    connection.executemany(
        "INSERT INTO predictions (setting, audio, created, used, prediction, timings)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (setting, audio) DO UPDATE SET"
        " used = excluded.used, prediction = excluded.prediction, timings = excluded.timings",
        [(setting, audio, now, now, *value) for audio, value in encoded.items()],
    )


def _setting(connection: sqlite3.Connection, settings: Settings) -> int | None:
    row = connection.execute(
        "SELECT id FROM settings"
        " WHERE model = ? AND options = ? AND precision = ? AND revision = ?",
        _fields(settings),
    ).fetchone()
    return None if row is None else int(row[0])


def _fields(settings: Settings) -> tuple[str, str, str, int]:
    return settings.model, settings.options, settings.precision, settings.revision


def forget(connection: sqlite3.Connection, model_name: str | None) -> int:
    """Delete the predictions of a name, or all with the digests; return how many there were."""
    if model_name is None:
        connection.execute("DELETE FROM digests")
        gone = connection.execute("DELETE FROM predictions").rowcount
    else:
        names = connection.execute("SELECT id, model_name FROM settings").fetchall()
        # Folded here: SQLite folds ASCII alone.
        meant = [(n,) for n, name in names if name.casefold() == model_name.casefold()]
        gone = connection.executemany("DELETE FROM predictions WHERE setting = ?", meant).rowcount
    drop_settings(connection)
    return max(gone, 0)


def entries(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return all predictions with their keys, the last used first."""
    rows = connection.execute(
        "SELECT model_name, model, audio, precision, options, revision, created, used,"
        " length(prediction) + ifnull(length(timings), 0), prediction"
        " FROM predictions JOIN settings ON settings.id = setting"
        " ORDER BY used DESC, predictions.id DESC"
    ).fetchall()
    predictions = decode([row[-1] for row in rows], [None] * len(rows))
    return [_entry(row, found) for row, found in zip(rows, predictions, strict=True)]


def _entry(row: tuple[Any, ...], prediction: Prediction) -> dict[str, Any]:
    name, model, audio, precision, options, revision, created, used, size, _ = row
    return {
        "model": name,
        "model_digest": model,
        "audio_digest": audio,
        "precision": precision,
        "options": options,
        "revision": revision,
        "text": prediction.text,
        "score": prediction.score,
        "seconds": prediction.seconds,
        "created_utc": _utc(created),
        "used_utc": _utc(used),
        "size_bytes": size,
    }


def digests_of(connection: sqlite3.Connection, identities: Collection[bytes]) -> dict[bytes, str]:
    """Return the digests noted by identity."""
    return dict(
        _select(
            connection, "SELECT identity, digest FROM digests WHERE identity IN", [], identities
        )
    )


def note_digests(connection: sqlite3.Connection, digests: Mapping[bytes, str], kept: int) -> None:
    """Note digests by identity, and keep the latest `kept` of all."""
    insert = "INSERT OR REPLACE INTO digests (identity, digest) VALUES (?, ?)"
    connection.executemany(insert, digests.items())
    _drop_oldest(connection, "digests", kept)


def speed_of(connection: sqlite3.Connection, key: tuple[str, str, str]) -> tuple[float, float]:
    """Return seconds of audio, and how many seconds they took; zeros before the first run."""
    row = connection.execute(
        "SELECT audio_seconds, wall_seconds FROM speeds"
        " WHERE model = ? AND device = ? AND precision = ?",
        key,
    ).fetchone()
    return (0.0, 0.0) if row is None else (float(row[0]), float(row[1]))


def note_speed(
    connection: sqlite3.Connection, key: tuple[str, str, str], audio: float, wall: float, kept: int
) -> None:
    """Add a run to what is left of the earlier ones, and keep the latest `kept` speeds."""
    before = speed_of(connection, key)
    connection.execute(
        "INSERT OR REPLACE INTO speeds (model, device, precision, audio_seconds, wall_seconds)"
        " VALUES (?, ?, ?, ?, ?)",
        (*key, audio + before[0] / 2, wall + before[1] / 2),
    )
    _drop_oldest(connection, "speeds", kept)


def _drop_oldest(connection: sqlite3.Connection, table: str, kept: int) -> None:
    """Keep the rows that were inserted last; numbers with gaps keep a few rows less."""
    connection.execute(f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - {kept}")


def _select(
    connection: sqlite3.Connection, select: str, first: list[Any], values: Collection[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `select`, which ends in IN, for all values."""
    listed = list(values)
    for start in range(0, len(listed), PARAMETERS):
        some = listed[start : start + PARAMETERS]
        marks = ",".join("?" * len(some))
        yield from connection.execute(f"{select} ({marks})", [*first, *some])


def _now() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def _utc(microseconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
