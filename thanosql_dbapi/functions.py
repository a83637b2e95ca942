"""What DuckDB calls while a query runs: pure functions over Arrow columns.

Each gets the execution that it is called in, and one Arrow column a parameter. They turn to the
workspace for models and to the media modules for files; they know no SQL text and no DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .assets import CATALOGUE, DATASETS
from .exceptions import DataError, MediaError
from .media.audio import probe_audio
from .media.sources import media_of
from .models.metrics import error_rates
from .predicting import predict_rows
from .session import Execution

if TYPE_CHECKING:
    import pyarrow as pa

    from .models.base import Outcome, Timed


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


def audio_facts(execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray) -> pa.Array:
    """Read the header of each audio file, or of the bytes beside it; a NULL gives NULL."""
    import pyarrow as pa

    pairs = list(zip(path.to_pylist(), data.to_pylist(), strict=True))
    first_row = execution.number_rows(len(pairs))
    facts: list[dict[str, Any] | None] = []
    for row, (file, content) in enumerate(pairs, first_row):
        execution.check()
        value = file if file is not None else content
        if value is None:
            facts.append(None)
            continue
        media = media_of(value, execution.session.root)
        try:
            probed = probe_audio(media)
        except MediaError as error:
            raise MediaError(f"row {row}: '{media.name}': {error}", error.reason) from error
        facts.append({name: getattr(probed, name) for name in AUDIO_FACTS})
    return pa.array(facts)


AUDIO_FACTS: Mapping[str, str] = {
    "duration_s": "DOUBLE",
    "sampling_rate": "BIGINT",
    "channels": "BIGINT",
    "format": "VARCHAR",
    "encoding": "VARCHAR",
    "frames": "BIGINT",
    "size_bytes": "BIGINT",
}


def list_models(execution: Execution, kind: pa.ChunkedArray) -> pa.Array:
    """List models: those of the workspace (`model`), or of the catalogue (`thanosql_model`)."""
    import pyarrow as pa

    fields = [
        ("name", pa.string()),
        ("class_name", pa.string()),
        ("last_updated_utc", pa.timestamp("us")),
    ]
    listed = [list(_models(execution, text)) for text in kind.to_pylist()]
    return pa.array(listed, pa.list_(pa.struct(fields)))


def _models(execution: Execution, kind: str) -> Iterator[dict[str, Any]]:
    if kind == "model":
        for model in execution.session.workspace.registry.listed():
            yield {
                "name": model.name,
                "class_name": model.class_name,
                "last_updated_utc": model.updated.replace(tzinfo=None),
            }
    elif kind == "thanosql_model":
        for entry in CATALOGUE.values():
            yield {
                "name": entry.name,
                "class_name": entry.base,
                "last_updated_utc": entry.updated.replace(tzinfo=None),
            }
    else:
        raise DataError(f"there is no list of models '{kind}'")


def list_datasets(_execution: Execution, kind: pa.ChunkedArray) -> pa.Array:
    """List the datasets of the catalogue."""
    import pyarrow as pa

    fields = [("name", pa.string()), ("data_type", pa.string())]
    listed = [{"name": d.name, "data_type": d.data_type} for d in DATASETS.values()]
    return pa.array([listed] * len(kind), pa.list_(pa.struct(fields)))


#: What `list_cache` returns, in DuckDB's types.
CACHE: Mapping[str, str] = {
    "model": "VARCHAR",
    "text": "VARCHAR",
    "score": "DOUBLE",
    "seconds": "DOUBLE",
    "precision": "VARCHAR",
    "options": "VARCHAR",
    "audio_digest": "VARCHAR",
    "model_digest": "VARCHAR",
    "created_utc": "TIMESTAMP",
    "used_utc": "TIMESTAMP",
    "size_bytes": "BIGINT",
}


def list_cache(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """List the predictions kept of a model of this name, of all for NULL: see `CACHE`."""
    import pyarrow as pa

    types = {"DOUBLE": pa.float64(), "TIMESTAMP": pa.timestamp("us"), "BIGINT": pa.int64()}
    fields = [(name, types.get(duckdb_type, pa.string())) for name, duckdb_type in CACHE.items()]
    entries = execution.session.workspace.cache.entries()
    listed = [
        [entry for entry in entries if name in (None, entry["model"])] for name in model.to_pylist()
    ]
    return pa.array(listed, pa.list_(pa.struct(fields)))


def clear_cache(execution: Execution, model: pa.ChunkedArray) -> pa.Array:
    """Forget what was predicted by a model of this name, by all for NULL; return how much went."""
    import pyarrow as pa

    cache = execution.session.workspace.cache
    return pa.array([cache.clear(name) for name in model.to_pylist()], pa.int64())
