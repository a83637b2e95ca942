"""GET THANOSQL MODEL: bring a model of the catalogue into the workspace."""

from __future__ import annotations

import time

from ..assets import CATALOGUE
from ..exceptions import ModelNotFound, OptionError, nearest
from ..language.statements import GetAsset
from ..models import families
from ..models.checkpoints import find_checkpoint
from ..options import OptionSpec, read_options
from .base import Answer, Surroundings
from .training import describe

OPTIONS = (
    OptionSpec("model_name", str, "", "the name it gets here; AS says the same"),
    OptionSpec("overwrite", bool, False, "make a new version of a model that exists"),
)


def get_model(statement: GetAsset, around: Surroundings) -> Answer:
    """Bring a model into the workspace; answer what it is.

    Raises:
        ModelNotFound: the catalogue has no such model.
        ModelExists: the name is taken and `overwrite` is not set.
        CheckpointUnavailable: its weights cannot be had.
    """
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
    session = around.session
    registry = session.workspace.registry
    registry.require_free(name, options["overwrite"])
    started = time.monotonic()
    checkpoint = find_checkpoint(
        family,
        session.checkpoints,
        session.root,
        default=entry.checkpoint,
        progress=session.progress,
        check=around.execution.check,
    )
    with registry.staging() as staged:
        adopted = family.adopt(checkpoint.folder, staged)
        facts = {"base": family.name, "catalogue": entry.name, **checkpoint.facts(), **adopted}
        around.execution.check()
        version = registry.publish(name, staged, facts, overwrite=options["overwrite"])
    return describe(version, None, time.monotonic() - started)
