"""UPLOAD MODEL: of the language; it comes with the work on training."""

from __future__ import annotations

from typing import NoReturn

from ..exceptions import NotSupportedError
from ..language.statements import UploadModel
from .base import Surroundings


def upload_model(statement: UploadModel, _around: Surroundings) -> NoReturn:
    """Refuse an UPLOAD.

    Raises:
        NotSupportedError: always, in this version.
    """
    raise NotSupportedError(
        "UPLOAD MODEL is not supported yet; name a folder with safetensors weights by"
        " connect(checkpoints={'Wav2Vec2En': '<folder>'}) and GET THANOSQL MODEL wav2vec2"
        f" AS {statement.name.text}"
    )
