"""BUILD MODEL: train a model from a base model.

The query is read to its end first; then the training runs without DuckDB and without a lock,
so other cursors, threads and processes go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..exceptions import DataError, MediaError, ModelNotFound, ProgrammingError
from ..language.statements import BuildModel, Query
from ..lowering import pick_column
from ..media.sources import media_of
from ..models import families
from ..models.base import Family, InputError, Training, Verb
from ..models.checkpoints import checkpoint_folder
from ..registry import Version
from .base import Answer, Surroundings, one_row


def build_model(statement: BuildModel, around: Surroundings) -> Answer:
    """Train a new model from a base model's weights, and answer what it is.

    Raises:
        ModelExists: the name is taken and `overwrite` is not set.
        DataError: a row cannot be trained on; nothing is saved.
        MediaError: a row's file is missing or cannot be read; nothing is saved.
    """
    family = _base_family(statement.base.text, around)
    given = around.scope.option_values(statement.options)
    options = families.read_verb_options(family, Verb.BUILD, given)
    registry = around.session.workspace.registry
    registry.require_free(statement.name.text, options["overwrite"])
    rows = training_rows(statement.query, options, around)
    base = checkpoint_folder(family, around.session.checkpoints, around.session.root)
    return train_and_publish(
        statement.name.text, family, base, rows, options, around, {"parent": None}
    )


def _base_family(name: str, around: Surroundings) -> Family:
    try:
        return families.family(name)
    except ModelNotFound as error:
        if around.session.workspace.registry.is_known(name):
            raise ModelNotFound(
                f"'{name}' is a model, not a base model: FIT MODEL … USING {name} trains on from it"
            ) from error
        raise


def training_rows(
    query: Query, options: Mapping[str, Any], around: Surroundings
) -> list[tuple[str | bytes, str]]:
    """Read the rows to train on: path, or the bytes themselves, and text.

    Raises:
        ColumnNotFound: the query lacks a column.
        ProgrammingError: there is no row.
        DataError: a path is NULL or neither text nor BLOB, or a text is none; with the row.
    """
    columns = around.query_columns(query)
    audio = pick_column(columns, options["audio_col"], "audio_col", fallback="audio")
    text = pick_column(columns, options["text_col"], "text_col")
    rows = around.rows(query, (audio, text))
    if not rows:
        raise ProgrammingError("there is nothing to train on: the query returns no rows")
    for number, row in enumerate(rows, 1):
        medium, said = row
        if not isinstance(medium, str | bytes):
            raise DataError(
                f"row {number}: the column '{audio}' is {medium!r}, no path and no BLOB"
            )
        if not isinstance(said, str):
            raise DataError(f"row {number}: the column '{text}' is {said!r}, not a text")
    return [(medium, said) for medium, said in rows]


def train_and_publish(
    name: str,
    family: Family,
    base: Path,
    rows: Sequence[tuple[str | bytes, str]],
    options: Mapping[str, Any],
    around: Surroundings,
    lineage: Mapping[str, Any],
) -> Answer:
    """Train on rows of path or bytes and text, and bring the model into force."""
    registry = around.session.workspace.registry
    training = Training(
        base=base,
        inputs=[media_of(medium, around.session.root) for medium, _ in rows],
        labels=[text for _, text in rows],
        options=options,
        device=around.session.device,
        check=around.execution.check,
        progress=around.session.progress,
    )
    started = time.monotonic()
    with registry.staging() as staged:
        try:
            facts = family.train(training, staged)
        except InputError as error:
            name = training.inputs[error.index].name
            message = f"row {error.index + 1}: '{name}': {error.reason}"
            if isinstance(error.__cause__, MediaError):
                raise MediaError(message, error.__cause__.reason) from error
            raise DataError(message) from error
        facts = {"base": family.name, "options": dict(options), **lineage, **facts}
        around.execution.check()
        version = registry.publish(name, staged, facts, overwrite=options["overwrite"])
    return describe(version, len(rows), time.monotonic() - started)


def describe(version: Version, rows: int | None, seconds: float) -> Answer:
    """Answer one row that describes a new version."""
    return one_row(
        {
            "name": ("VARCHAR", version.name),
            "version": ("INTEGER", version.number),
            "class_name": ("VARCHAR", version.base),
            "rows": ("BIGINT", rows),
            "audio_seconds": ("DOUBLE", version.facts.get("audio_seconds")),
            "seconds": ("DOUBLE", round(seconds, 3)),
        }
    )
