"""BUILD MODEL: train a model from a base model."""

from __future__ import annotations

from ..exceptions import ModelNotFound
from ..language.statements import BuildModel
from ..models import families
from ..models.base import Family, Verb
from ..models.checkpoints import find_checkpoint
from .base import Answer, Surroundings
from .training import Order, require_free, train


def build_model(statement: BuildModel, around: Surroundings) -> Answer:
    """Train a new model from a base model's weights, and answer what it is.

    Raises:
        ModelExists: the name is taken and `overwrite` is not set.
        DataError: a row cannot be trained on; nothing is saved.
        ModelRefused: the new model is worse than the base; it is kept, and not in force.
    """
    family = _base_family(statement.base.text, around)
    given = around.scope.option_values(statement.options)
    options = families.read_verb_options(family, Verb.BUILD, given)
    require_free(statement.name.text, options, around)
    session = around.session
    base = find_checkpoint(
        family,
        session.checkpoints,
        session.root,
        progress=session.progress,
        check=around.execution.check,
    )
    order = Order(
        statement.name.text, family, base.folder, None, options, statement.query, base.facts()
    )
    return train(order, around)


def _base_family(name: str, around: Surroundings) -> Family:
    try:
        return families.family(name)
    except ModelNotFound as error:
        if around.session.workspace.registry.is_known(name):
            raise ModelNotFound(
                f"'{name}' is a model, not a base model: FIT MODEL … USING {name} trains on from it"
            ) from error
        raise
