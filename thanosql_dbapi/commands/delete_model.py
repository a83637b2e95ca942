"""DELETE MODEL: take a model away, with all its versions; thanosql_undelete brings it back."""

from __future__ import annotations

from ..exceptions import ModelNotFound, NotSupportedError
from ..language.statements import DeleteModel
from .base import Answer, Surroundings, one_row


def delete_model(statement: DeleteModel, around: Surroundings) -> Answer:
    """Delete a model; answer its name.

    Raises:
        ModelNotFound: there is no such model.
        NotSupportedError: it comes with the package.
    """
    registry = around.session.workspace.registry
    name = statement.name.text
    if not registry.is_kept(name) and "@" in name:
        raise ModelNotFound(
            f"there is no model '{name}'; DELETE MODEL takes a model with all its versions"
        )
    if registry.is_bundled(name) and not registry.is_kept(name):
        raise NotSupportedError(f"'{name}' comes with the package and cannot be deleted")
    registry.delete(name)
    return one_row({"name": ("VARCHAR", name)})
