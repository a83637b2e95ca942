"""One file a command: a statement that changes something, run once, at top level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..language.statements import (
    BuildModel,
    CopyTable,
    DeleteModel,
    FitModel,
    GetAsset,
    PrintMedia,
    UploadModel,
)
from .base import Answer, Surroundings
from .build_model import build_model
from .copying import copy_table
from .delete_model import delete_model
from .fit_model import fit_model
from .get_asset import get_asset
from .print_media import print_media
from .upload_model import upload_model

__all__ = ["COMMANDS", "Answer", "Surroundings"]

#: One line a command.
COMMANDS: Mapping[type, Callable[[Any, Surroundings], Answer]] = {
    BuildModel: build_model,
    FitModel: fit_model,
    CopyTable: copy_table,
    GetAsset: get_asset,
    UploadModel: upload_model,
    DeleteModel: delete_model,
    PrintMedia: print_media,
}
