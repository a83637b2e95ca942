"""What the headers of videos say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..media.video import probe_video
from ..session import Execution
from .base import Function, struct
from .facts import errors, read_each, structs

if TYPE_CHECKING:
    import pyarrow as pa

VIDEO_FACTS: Mapping[str, str] = {
    "duration_s": "DOUBLE",
    "width": "BIGINT",
    "height": "BIGINT",
    "frame_rate": "DOUBLE",
    "frames": "BIGINT",
    "codec": "VARCHAR",
    "has_audio": "BOOLEAN",
    "size_bytes": "BIGINT",
}


def video_facts(
    execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray, on_error: pa.ChunkedArray
) -> pa.Array:
    """Read the header of each video, or of the bytes beside it; a NULL gives NULL."""
    asker = "thanosql_video_facts"
    return structs(read_each(execution, asker, probe_video, path, data, on_error), VIDEO_FACTS)


def video_error(execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray) -> pa.Array:
    """Say why each file cannot be read as a video; NULL where it can."""
    return errors(execution, "thanosql_video_error", probe_video, path, data)


FUNCTIONS = (
    Function(
        "thanosql_video_facts",
        video_facts,
        {"path": "VARCHAR"},
        {"data": "BLOB", "on_error": "VARCHAR"},
        struct(VIDEO_FACTS),
    ),
    Function("thanosql_video_error", video_error, {"path": "VARCHAR"}, {"data": "BLOB"}, "VARCHAR"),
)
