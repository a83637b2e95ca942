"""What DuckDB calls while a query runs: pure functions over Arrow columns.

Each gets the execution that it is called in, and one Arrow column a parameter. They turn to the
workspace for models and to the media modules for files; they know no SQL text and no DuckDB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .assets import CATALOGUE, DATASETS
from .exceptions import DataError, MediaError, OptionError
from .media.audio import probe_audio
from .models import families
from .models.base import InputError, Verb
from .models.metrics import error_rates
from .session import Execution

if TYPE_CHECKING:
    import pyarrow as pa


def predict(
    execution: Execution, model: pa.ChunkedArray, path: pa.ChunkedArray, options: pa.ChunkedArray
) -> pa.Array:
    """Predict each path by the model named beside it; a NULL model or path gives NULL."""
    import pyarrow as pa

    rows = list(zip(model.to_pylist(), options.to_pylist(), path.to_pylist(), strict=True))
    first_row = execution.number_rows(len(rows))
    wanted: dict[tuple[str, str | None], dict[str, int]] = {}
    for index, (name, option_text, file) in enumerate(rows):
        if name is not None and file is not None:
            wanted.setdefault((name, option_text), {}).setdefault(file, first_row + index)
    results = {
        (name, option_text): _predict_files(execution, name, option_text, files)
        for (name, option_text), files in wanted.items()
    }
    return pa.array(
        [
            None if name is None or file is None else results[name, option_text][file]
            for name, option_text, file in rows
        ],
        pa.string(),
    )


def _predict_files(
    execution: Execution, name: str, option_text: str | None, files: Mapping[str, int]
) -> Mapping[str, object]:
    """Predict files, given with the number of the row that first names each."""
    import pyarrow as pa

    session = execution.session
    version = execution.version(name)
    options = _model_options(version.base, option_text)
    key = (str(version.folder), json.dumps(options, sort_keys=True))
    # One thread at a time: what another one has just predicted is then in the memo.
    with execution.lock:
        known = execution.memo.known(*key, files)
        unknown = [file for file in files if file not in known]
        if unknown:
            execution.expect(len(unknown))
            model = session.workspace.load(version, session.device)
            inputs = pa.array([str(session.path(file)) for file in unknown], pa.string())
            try:
                predicted = model.predict(inputs, options, execution)
            except InputError as error:
                file = unknown[error.index]
                raise MediaError(f"row {files[file]}: '{file}': {error.reason}") from error
            fresh = dict(zip(unknown, predicted.to_pylist(), strict=True))
            execution.memo.remember(*key, fresh)
            known.update(fresh)
    return known


def _model_options(base: str, option_text: str | None) -> dict[str, Any]:
    """Complete the options that reach a model, given as a JSON object."""
    try:
        given = json.loads(option_text) if option_text is not None else {}
    except json.JSONDecodeError as error:
        raise OptionError(f"the options {option_text!r} are no JSON object: {error}") from error
    if not isinstance(given, dict):
        raise OptionError(f"the options {option_text!r} are no JSON object")
    found = families.family(base)
    complete = families.read_verb_options(found, Verb.PREDICT, given.items())
    to_model = {spec.name for spec in found.options(Verb.PREDICT) if spec.to_model}
    return {name: value for name, value in complete.items() if name in to_model}


def score(execution: Execution, rows: pa.ChunkedArray) -> pa.Array:
    """Score each list of rows (path, reference, hypothesis); rows with a NULL do not count."""
    import pyarrow as pa

    kind = pa.list_(pa.struct([("metric", pa.string()), ("score", pa.float64())]))
    scored = [_score_corpus(execution, corpus or []) for corpus in rows.to_pylist()]
    return pa.array(scored, kind)


def _score_corpus(execution: Execution, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    whole = [row for row in rows if None not in row.values()]
    scores: dict[str, float | None] = {
        **error_rates([r["reference"] for r in whole], [r["hypothesis"] for r in whole]),
        "utterances": len(whole),
        "audio_seconds": round(sum(_duration(execution, row["path"]) for row in whole), 3),
    }
    return [{"metric": name, "score": value} for name, value in scores.items()]


def _duration(execution: Execution, path: str) -> float:
    return probe_audio(execution.session.path(path)).duration_s


def audio_facts(execution: Execution, path: pa.ChunkedArray) -> pa.Array:
    """Read the header of each audio file; a NULL path gives NULL."""
    import pyarrow as pa

    paths = path.to_pylist()
    first_row = execution.number_rows(len(paths))
    facts: list[dict[str, Any] | None] = []
    for row, file in enumerate(paths, first_row):
        execution.check()
        if file is None:
            facts.append(None)
            continue
        try:
            probed = probe_audio(execution.session.path(file))
        except MediaError as error:
            raise MediaError(f"row {row}: '{file}': {error}") from error
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
