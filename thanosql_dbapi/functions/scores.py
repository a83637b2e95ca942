"""Scoring predictions against what was said: of a corpus, of two models' on one, of one utterance.

What makes the metrics is imported when first called: it needs numpy and jiwer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..models.metrics import align, rate
from ..predicting import knows_training, real_time_factor, trained_on
from ..session import Execution
from .base import Function, struct

if TYPE_CHECKING:
    import pyarrow as pa

#: What `score` returns of a metric, in DuckDB's types.
METRIC: Mapping[str, str] = {"metric": "VARCHAR", "score": "DOUBLE"}

#: What `score_against` returns of a metric.
COMPARISON: Mapping[str, str] = {
    **METRIC,
    "against": "DOUBLE",
    "difference": "DOUBLE",
    "difference_low": "DOUBLE",
    "difference_high": "DOUBLE",
    "p_value": "DOUBLE",
}

#: What `compare` returns of an utterance.
ERRORS: Mapping[str, str] = {
    "words": "BIGINT",
    "substitutions": "BIGINT",
    "insertions": "BIGINT",
    "deletions": "BIGINT",
    "errors": "BIGINT",
    "wer": "DOUBLE",
    "alignment": "STRUCT(op VARCHAR, reference VARCHAR, hypothesis VARCHAR)[]",
}


def score(
    execution: Execution,
    rows: pa.ChunkedArray,
    model: pa.ChunkedArray,
    options: pa.ChunkedArray,
    seen: pa.ChunkedArray,
) -> pa.Array:
    """Score each list of rows (reference, hypothesis, seconds); one with a NULL does not count.

    `model` and `options` are those of the predictions, for the real-time factor; NULL has none.
    `seen` is how many of the rows the model was trained on: the run warns of them.
    """
    import pyarrow as pa

    from ..models.scoring import score_corpus

    kind = pa.list_(pa.struct([("metric", pa.string()), ("score", pa.float64())]))
    models = _models(execution, model, options, seen)
    scored = []
    for (said, heard), each in zip(_corpora(rows, "hypothesis"), models, strict=True):
        each.tell(len(heard))
        scores = score_corpus(said, heard, each.real_time_factor(), execution.check)
        scored.append([{"metric": name, "score": value} for name, value in scores.items()])
    return pa.array(scored, kind)


def score_against(
    execution: Execution,
    rows: pa.ChunkedArray,
    model: pa.ChunkedArray,
    options: pa.ChunkedArray,
    seen: pa.ChunkedArray,
    against: pa.ChunkedArray,
    against_options: pa.ChunkedArray,
    against_seen: pa.ChunkedArray,
) -> pa.Array:
    """Score each list of rows (reference, hypothesis, other, seconds) as `score`, for two models.

    `other` is what the other model heard; a row counts where both heard something.
    """
    import pyarrow as pa

    from ..models.scoring import compare_models

    numbers = [(name, pa.float64()) for name in COMPARISON if name != "metric"]
    kind = pa.list_(pa.struct([("metric", pa.string()), *numbers]))
    first = _models(execution, model, options, seen)
    second = _models(execution, against, against_options, against_seen)
    compared = []
    for (said, heard, others), one, other in zip(
        _corpora(rows, "hypothesis", "other"), first, second, strict=True
    ):
        for each in {one.version: one, other.version: other}.values():
            each.tell(len(heard))
        speeds = one.real_time_factor(), other.real_time_factor()
        found = compare_models(said, (heard, others), speeds, execution.check)
        compared.append([asdict(comparison) for comparison in found])
    return pa.array(compared, kind)


def seen(
    execution: Execution,
    model: pa.ChunkedArray,
    path: pa.ChunkedArray,
    data: pa.ChunkedArray,
) -> pa.Array:
    """Tell of each path, or the bytes beside it, whether its content was in the model's training.

    As far as that was noted; a NULL gives NULL.
    """
    import pyarrow as pa

    names = model.to_pylist()
    versions = [execution.version(name) for name in set(names) if name is not None]
    if not any(knows_training(execution, version) for version in versions):
        # The media, which may be the bytes themselves, are not looked at.
        absent = zip(names, path.is_null().to_pylist(), data.is_null().to_pylist(), strict=True)
        told = [
            None if name is None or (no_path and no_data) else False
            for name, no_path, no_data in absent
        ]
        return pa.array(told, pa.bool_())
    pairs = zip(path.to_pylist(), data.to_pylist(), strict=True)
    values = [file if file is not None else content for file, content in pairs]
    return pa.array(trained_on(execution, names, values), pa.bool_())


def _corpora(rows: pa.ChunkedArray, *heard: str) -> Iterator[tuple[Any, ...]]:
    """Yield each list of rows as a corpus and the texts in the fields `heard`, of whole rows."""
    from ..models.scoring import Corpus

    wanted = ("reference", *heard)
    for corpus in rows:
        values = corpus.values
        fields = dict.fromkeys((*wanted, "seconds"), ())
        if values is not None:
            names = [field.name for field in values.type]
            fields = dict(zip(names, (each.to_pylist() for each in values.flatten()), strict=True))
        columns = zip(*(fields[name] for name in (*wanted, "seconds")), strict=True)
        whole = [row for row in columns if None not in row[:-1]]
        said, *texts, seconds = zip(*whole, strict=True) if whole else ((),) * (len(wanted) + 1)
        yield Corpus(said, seconds), *texts


@dataclass(frozen=True, slots=True)
class _Model:
    """What scored a list of rows, of which it was trained on some; None where it is not told."""

    execution: Execution
    name: str | None
    options: str | None
    seen: int | None

    @property
    def version(self) -> str | None:
        return None if self.name is None else str(self.execution.version(self.name))

    def tell(self, rows: int) -> None:
        """Note how many rows are scored, so that those of the training are told."""
        if self.version is not None:
            self.execution.score(self.version, "rows", rows, self.seen or 0)

    def real_time_factor(self) -> float | None:
        if self.name is None:
            return None
        return real_time_factor(self.execution, self.execution.version(self.name), self.options)


def _models(execution: Execution, *columns: pa.ChunkedArray) -> Iterator[_Model]:
    for row in zip(*(each.to_pylist() for each in columns), strict=True):
        yield _Model(execution, *row)


def compare(
    execution: Execution, reference: pa.ChunkedArray, hypothesis: pa.ChunkedArray
) -> pa.Array:
    """Compare what was said with what was heard, of each utterance: see `ERRORS`.

    A NULL gives NULL.
    """
    import pyarrow as pa

    word = pa.struct([("op", pa.string()), ("reference", pa.string()), ("hypothesis", pa.string())])
    types = {"DOUBLE": pa.float64(), "BIGINT": pa.int64()}
    kind = pa.struct([(name, types.get(each, pa.list_(word))) for name, each in ERRORS.items()])
    pairs = zip(reference.to_pylist(), hypothesis.to_pylist(), strict=True)
    compared = []
    for said, heard in pairs:
        execution.check()
        compared.append(None if said is None or heard is None else _errors(said, heard))
    return pa.array(compared, kind)


def _errors(reference: str, hypothesis: str) -> dict[str, Any]:
    aligned = align(reference, hypothesis)
    ops = [word.op for word in aligned]
    words, errors = len(ops) - ops.count("insert"), len(ops) - ops.count("equal")
    return {
        "words": words,
        "substitutions": ops.count("substitute"),
        "insertions": ops.count("insert"),
        "deletions": ops.count("delete"),
        "errors": errors,
        "wer": rate(errors, words),
        "alignment": [asdict(word) for word in aligned],
    }


FUNCTIONS = (
    Function(
        "thanosql_score",
        score,
        {"rows": "STRUCT(reference VARCHAR, hypothesis VARCHAR, seconds DOUBLE)[]"},
        {"model": "VARCHAR", "options": "VARCHAR", "seen": "BIGINT"},
        f"{struct(METRIC)}[]",
    ),
    Function(
        "thanosql_score_against",
        score_against,
        {"rows": "STRUCT(reference VARCHAR, hypothesis VARCHAR, other VARCHAR, seconds DOUBLE)[]"},
        {
            "model": "VARCHAR",
            "options": "VARCHAR",
            "seen": "BIGINT",
            "against": "VARCHAR",
            "against_options": "VARCHAR",
            "against_seen": "BIGINT",
        },
        f"{struct(COMPARISON)}[]",
    ),
    Function(
        "thanosql_compare",
        compare,
        {"reference": "VARCHAR", "hypothesis": "VARCHAR"},
        {},
        struct(ERRORS),
    ),
    Function(
        "thanosql_seen",
        seen,
        {"model": "VARCHAR", "path": "VARCHAR"},
        {"data": "BLOB"},
        "BOOLEAN",
        runs_model=True,
    ),
)
