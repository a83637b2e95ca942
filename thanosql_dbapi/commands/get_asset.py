"""GET THANOSQL: a model of the catalogue, or a dataset."""

from __future__ import annotations

from ..language.statements import GetAsset, GetKind
from .base import Answer, Surroundings
from .get_dataset import get_dataset
from .get_model import OPTIONS, get_model

__all__ = ["OPTIONS", "get_asset"]


def get_asset(statement: GetAsset, around: Surroundings) -> Answer:
    """Bring what the statement names; see `get_model` and `get_dataset`."""
    if statement.kind is GetKind.DATASET:
        return get_dataset(statement, around)
    return get_model(statement, around)
