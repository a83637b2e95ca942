"""Predicting a column: the text alone, or all that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import MediaError
from ..predicting import predict_rows
from ..session import Execution
from .base import Function, struct

if TYPE_CHECKING:
    import pyarrow as pa

    from ..models.base import Outcome, Timed


def predict(
    execution: Execution,
    model: pa.ChunkedArray,
    path: pa.ChunkedArray,
    options: pa.ChunkedArray,
    data: pa.ChunkedArray,
) -> pa.Array:
    """Predict each path, or the bytes beside it; a NULL gives NULL, and so does what failed."""
    import pyarrow as pa

    outcomes = _predict(execution, model, path, options, data, details=False)
    return pa.array([getattr(outcome, "text", None) for outcome in outcomes], pa.string())


def prediction(
    execution: Execution,
    model: pa.ChunkedArray,
    path: pa.ChunkedArray,
    options: pa.ChunkedArray,
    data: pa.ChunkedArray,
) -> pa.Array:
    """Predict as `predict` does, and return all that is known: see `PREDICTION`."""
    import pyarrow as pa

    outcomes = _predict(execution, model, path, options, data, details=True)
    timed = [("start_s", pa.float64()), ("end_s", pa.float64()), ("score", pa.float64())]
    kind = pa.struct(
        [
            ("text", pa.string()),
            ("score", pa.float64()),
            ("seconds", pa.float64()),
            ("words", pa.list_(pa.struct([("word", pa.string()), *timed]))),
            ("chunks", pa.list_(pa.struct([("text", pa.string()), *timed]))),
            ("reason", pa.string()),
        ]
    )
    return pa.array([_as_struct(outcome) for outcome in outcomes], kind)


#: What `prediction` returns, in DuckDB's types.
PREDICTION: Mapping[str, str] = {
    "text": "VARCHAR",
    "score": "DOUBLE",
    "seconds": "DOUBLE",
    "words": "STRUCT(word VARCHAR, start_s DOUBLE, end_s DOUBLE, score DOUBLE)[]",
    "chunks": "STRUCT(text VARCHAR, start_s DOUBLE, end_s DOUBLE, score DOUBLE)[]",
    "reason": "VARCHAR",
}


def _predict(
    execution: Execution,
    model: pa.ChunkedArray,
    path: pa.ChunkedArray,
    options: pa.ChunkedArray,
    data: pa.ChunkedArray,
    *,
    details: bool,
) -> list[Outcome | None]:
    names = zip(model.to_pylist(), options.to_pylist(), strict=True)
    calls = [None if name is None else (name, text) for name, text in names]
    pairs = zip(path.to_pylist(), data.to_pylist(), strict=True)
    values = [file if file is not None else content for file, content in pairs]
    return predict_rows(execution, calls, values, details=details)


def _as_struct(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    if isinstance(outcome, MediaError):
        return {"reason": outcome.reason}
    return {
        "text": outcome.text,
        "score": outcome.score,
        "seconds": outcome.seconds,
        "words": _timed(outcome.words, "word"),
        "chunks": _timed(outcome.chunks, "text"),
    }


def _timed(stretches: Iterable[Timed] | None, name: str) -> list[dict[str, Any]] | None:
    if stretches is None:
        return None
    return [
        {name: each.text, "start_s": each.start_s, "end_s": each.end_s, "score": each.score}
        for each in stretches
    ]


FUNCTIONS = (
    Function(
        "thanosql_predict",
        predict,
        {"model": "VARCHAR", "path": "VARCHAR"},
        {"options": "VARCHAR", "data": "BLOB"},
        "VARCHAR",
        runs_model=True,
    ),
    Function(
        "thanosql_prediction",
        prediction,
        {"model": "VARCHAR", "path": "VARCHAR"},
        {"options": "VARCHAR", "data": "BLOB"},
        struct(PREDICTION),
        runs_model=True,
    ),
)
