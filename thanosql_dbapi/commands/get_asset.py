"""GET THANOSQL MODEL: bring a model of the catalogue into the workspace."""

from __future__ import annotations

import time

from ..assets import CATALOGUE
from ..exceptions import ModelNotFound, NotSupportedError, OptionError, nearest
from ..language.statements import GetAsset, GetKind
from ..models import families
from ..models.checkpoints import checkpoint_folder
from ..options import OptionSpec, read_options
from .base import Answer, Surroundings
from .training import describe

OPTIONS = (
    OptionSpec("model_name", str, "", "the name it gets here; AS says the same"),
    OptionSpec("overwrite", bool, False, "make a new version of a model that exists"),
)


def get_asset(statement: GetAsset, around: Surroundings) -> Answer:
    """Bring a model into the workspace; answer what it is.

    Raises:
        ModelNotFound: the catalogue has no such model.
        ModelExists: the name is taken and `overwrite` is not set.
        CheckpointUnavailable: its weights cannot be had.
    """
    if statement.kind is GetKind.DATASET:
        raise NotSupportedError(
            "GET THANOSQL DATASET is not supported yet; COPY reads csv, parquet and audio folders"
        )
    entry = CATALOGUE.get(statement.name.text.casefold())
    if entry is None:
        raise ModelNotFound(
            f"the catalogue has no model '{statement.name.text}'."
            f"{nearest(statement.name.text, CATALOGUE)} LIST THANOSQL MODEL shows it."
        )
    options = read_options(
        around.scope.option_values(statement.options), OPTIONS, statement="GET THANOSQL MODEL"
    )
    if statement.new_name and options["model_name"]:
        raise OptionError("AS and model_name both name the model: give one of them")
    name = options["model_name"] or statement.name.text
    if statement.new_name:
        name = statement.new_name.text
    family = families.family(entry.base)
    registry = around.session.workspace.registry
    registry.require_free(name, options["overwrite"])
    started = time.monotonic()
    checkpoint = checkpoint_folder(
        family, around.session.checkpoints, around.session.root, default=entry.checkpoint
    )
    with registry.staging() as staged:
        facts = {"base": family.name, "catalogue": entry.name, **family.adopt(checkpoint, staged)}
        version = registry.publish(name, staged, facts, overwrite=options["overwrite"])
    return describe(version, None, time.monotonic() - started)
