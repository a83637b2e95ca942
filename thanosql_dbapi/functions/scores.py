"""Scoring predictions against what was said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..models.metrics import error_rates
from ..session import Execution
from .base import Function

if TYPE_CHECKING:
    import pyarrow as pa


def score(_execution: Execution, rows: pa.ChunkedArray) -> pa.Array:
    """Score each list of rows (reference, hypothesis, seconds); one with a NULL does not count."""
    import pyarrow as pa

    kind = pa.list_(pa.struct([("metric", pa.string()), ("score", pa.float64())]))
    return pa.array([_score_corpus(corpus or []) for corpus in rows.to_pylist()], kind)


def _score_corpus(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    whole = [row for row in rows if None not in (row["reference"], row["hypothesis"])]
    scores: dict[str, float | None] = {
        **error_rates([r["reference"] for r in whole], [r["hypothesis"] for r in whole]),
        "utterances": len(whole),
        "audio_seconds": round(sum(row["seconds"] or 0.0 for row in whole), 3),
    }
    return [{"metric": name, "score": value} for name, value in scores.items()]


FUNCTIONS = (
    Function(
        "thanosql_score",
        score,
        {"rows": "STRUCT(reference VARCHAR, hypothesis VARCHAR, seconds DOUBLE)[]"},
        {},
        "STRUCT(metric VARCHAR, score DOUBLE)[]",
    ),
)
