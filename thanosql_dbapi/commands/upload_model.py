"""UPLOAD MODEL: a folder in the layout of transformers becomes a version of a model."""

from __future__ import annotations

import time

from ..language.statements import UploadModel
from ..models import incoming
from ..options import OptionSpec, read_options
from .base import Answer, Surroundings
from .training import describe

OPTIONS = (
    OptionSpec(
        "framework",
        str,
        "transformers",
        "whose layout the folder has; all these words mean transformers' with safetensors",
        choices=("transformers", "huggingface", "pytorch", "torch"),
    ),
    OptionSpec("base_model", str, "", "its family; told from config.json and vocabulary if not"),
    OptionSpec("overwrite", bool, False, "make a new version of a model that exists"),
)


def upload_model(statement: UploadModel, around: Surroundings) -> Answer:
    """Bring a model's folder into the workspace; answer what it is.

    Raises:
        ModelExists: the name is taken and `overwrite` is not set.
        NotSupportedError: the weights are pickled or quantised, or of no family that there is.
        OperationalError: there is no such folder, or it is not all of a model.
    """
    given = around.scope.option_values(statement.options)
    options = read_options(given, OPTIONS, statement="UPLOAD MODEL")
    text = around.text(statement.source)
    source = around.existing_path(text)
    incoming.require_folder(source, text)
    registry = around.session.workspace.registry
    registry.require_free(statement.name.text, options["overwrite"])
    started = time.monotonic()
    with registry.staging() as taken, registry.staging() as staged:
        incoming.take(source, taken)
        family = incoming.family_of(taken, options["base_model"])
        facts = incoming.adopt(family, taken, staged)
        around.execution.check()
        version = registry.publish(
            statement.name.text, staged, facts, overwrite=options["overwrite"]
        )
    return describe(version, None, time.monotonic() - started)
