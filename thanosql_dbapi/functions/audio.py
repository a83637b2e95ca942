"""What the headers of audio files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import MediaError
from ..media.audio import probe_audio
from ..media.sources import media_of
from ..session import Execution
from .base import Function, struct

if TYPE_CHECKING:
    import pyarrow as pa


def audio_facts(execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray) -> pa.Array:
    """Read the header of each audio file, or of the bytes beside it; a NULL gives NULL."""
    import pyarrow as pa

    pairs = list(zip(path.to_pylist(), data.to_pylist(), strict=True))
    first_row = execution.number_rows(len(pairs))
    facts: list[dict[str, Any] | None] = []
    for row, (file, content) in enumerate(pairs, first_row):
        execution.check()
        value = file if file is not None else content
        if value is None:
            facts.append(None)
            continue
        media = media_of(value, execution.session.root)
        try:
            probed = probe_audio(media)
        except MediaError as error:
            raise MediaError(f"row {row}: '{media.name}': {error}", error.reason) from error
        facts.append({name: getattr(probed, name) for name in AUDIO_FACTS})
    return pa.array(facts)


AUDIO_FACTS: Mapping[str, str] = {
    "duration_s": "DOUBLE",
    "sampling_rate": "BIGINT",
    "channels": "BIGINT",
    "format": "VARCHAR",
    "encoding": "VARCHAR",
    "frames": "BIGINT",
    "size_bytes": "BIGINT",
}


FUNCTIONS = (
    Function(
        "thanosql_audio_facts",
        audio_facts,
        {"path": "VARCHAR"},
        {"data": "BLOB"},
        struct(AUDIO_FACTS),
    ),
)
