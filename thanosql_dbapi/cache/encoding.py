"""A prediction as bytes, and back: JSON, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..models.base import Prediction, Timed
from .schema import Damage


def encode(prediction: Prediction) -> tuple[bytes, bytes | None]:
    """Write a prediction, and its words and chunks where it has any."""
    said = [prediction.text, prediction.score, prediction.seconds]
    timings = [_untimed(prediction.words), _untimed(prediction.chunks)]
    return _json(said), None if timings == [None, None] else _json(timings)


def decode(said: Sequence[bytes], timings: Sequence[bytes | None]) -> list[Prediction]:
    """Read predictions from what `encode` wrote of each.

    Raises:
        Damage: something else wrote it.
    """
    try:
        return [
            Prediction(text, score, seconds, _timed(words), _timed(chunks))
            for (text, score, seconds), (words, chunks) in zip(
                _values(said), _values([t or b"[null,null]" for t in timings]), strict=True
            )
        ]
    except (ValueError, TypeError) as error:
        raise Damage(f"a prediction in it cannot be read: {error}") from error


def _json(values: list[Any]) -> bytes:
    """Write values exactly: Python reads back the very floats, and NaN.

    `surrogatepass`: a tokenizer can write half a character, which UTF-8 does not have.
    """
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _untimed(timed: tuple[Timed, ...] | None) -> list[list[Any]] | None:
    return None if timed is None else [[t.text, t.start_s, t.end_s, t.score] for t in timed]


def _values(encoded: Sequence[bytes]) -> list[Any]:
    """Read many JSON texts at once, which takes less time than one by one."""
    together = b"[" + b",".join(encoded) + b"]"
    values: list[Any] = json.loads(together.decode("utf-8", "surrogatepass"))
    return values


def _timed(rows: list[list[Any]] | None) -> tuple[Timed, ...] | None:
    return None if rows is None else tuple([Timed(*row) for row in rows])
