"""FIT MODEL: train on from a model already built."""

from __future__ import annotations

from ..language.statements import FitModel
from ..models import families
from ..models.base import Verb
from .base import Answer, Surroundings
from .training import Order, require_free, train


def fit_model(statement: FitModel, around: Surroundings) -> Answer:
    """Train a new model, or a new version, from an existing model; answer what it is.

    Raises:
        ModelNotFound: there is no model to go on from.
        ModelExists: the new name is taken and `overwrite` is not set.
        DataError: a row cannot be trained on; nothing is saved.
        ModelRefused: the new model is worse than its parent; it is kept, and not in force.
    """
    parent = around.execution.version(statement.model.text)
    family = families.family(parent.base)
    given = around.scope.option_values(statement.options)
    options = families.read_verb_options(family, Verb.FIT, given)
    require_free(statement.name.text, options, around)
    return train(
        Order(statement.name.text, family, parent.folder, parent, options, statement.query), around
    )
