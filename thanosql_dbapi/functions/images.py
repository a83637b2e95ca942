"""What the headers of images say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..media.image import probe_image
from ..session import Execution
from .base import Function, struct
from .facts import errors, read_each, structs

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_FACTS: Mapping[str, str] = {
    "width": "BIGINT",
    "height": "BIGINT",
    "format": "VARCHAR",
    "mode": "VARCHAR",
    "channels": "BIGINT",
    "size_bytes": "BIGINT",
}


def image_facts(
    execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray, on_error: pa.ChunkedArray
) -> pa.Array:
    """Read the header of each image, or of the bytes beside it; a NULL gives NULL."""
    asker = "thanosql_image_facts"
    return structs(read_each(execution, asker, probe_image, path, data, on_error), IMAGE_FACTS)


def image_error(execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray) -> pa.Array:
    """Say why each file cannot be read as an image; NULL where it can."""
    return errors(execution, "thanosql_image_error", probe_image, path, data)


FUNCTIONS = (
    Function(
        "thanosql_image_facts",
        image_facts,
        {"path": "VARCHAR"},
        {"data": "BLOB", "on_error": "VARCHAR"},
        struct(IMAGE_FACTS),
    ),
    Function("thanosql_image_error", image_error, {"path": "VARCHAR"}, {"data": "BLOB"}, "VARCHAR"),
)
