"""Audio files: what their headers say, and their waveforms as characters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from ..exceptions import OptionError
from ..media.audio import probe_audio
from ..media.sources import Media
from ..media.waveform import read_envelope
from ..session import Execution
from .base import Function, struct
from .facts import errors, read_each, structs

if TYPE_CHECKING:
    import pyarrow as pa

AUDIO_FACTS: Mapping[str, str] = {
    "duration_s": "DOUBLE",
    "sampling_rate": "BIGINT",
    "channels": "BIGINT",
    "format": "VARCHAR",
    "encoding": "VARCHAR",
    "frames": "BIGINT",
    "size_bytes": "BIGINT",
}

#: How many characters a waveform has, and the most that may be asked for.
WAVEFORM_WIDTH: Final = 48
_WIDEST: Final = 10_000


def audio_facts(
    execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray, on_error: pa.ChunkedArray
) -> pa.Array:
    """Read the header of each audio file, or of the bytes beside it; a NULL gives NULL."""
    asker = "thanosql_audio_facts"
    found = read_each(execution, asker, probe_audio, path, data, on_error)
    return structs(found, AUDIO_FACTS)


def audio_error(execution: Execution, path: pa.ChunkedArray, data: pa.ChunkedArray) -> pa.Array:
    """Say why each file cannot be read as audio; NULL where it can."""
    return errors(execution, "thanosql_audio_error", probe_audio, path, data)


def waveform(
    execution: Execution,
    path: pa.ChunkedArray,
    data: pa.ChunkedArray,
    width: pa.ChunkedArray,
    on_error: pa.ChunkedArray,
) -> pa.Array:
    """Draw the waveform of each audio file in a row of `width` block characters."""
    import pyarrow as pa

    found: list[str | None] = []
    for row, columns in enumerate(width.to_pylist()):
        draw = partial(_draw, columns=_width(columns))
        one = (column.slice(row, 1) for column in (path, data, on_error))
        found += read_each(execution, "thanosql_waveform", draw, *one)
    return pa.array(found, pa.string())


def _draw(media: Media, columns: int) -> str:
    return read_envelope(media, columns).blocks()


def _width(value: int | None) -> int:
    if value is None:
        return WAVEFORM_WIDTH
    if not 1 <= value <= _WIDEST:
        raise OptionError(f"width={value}: the parameter takes 1 to {_WIDEST} characters")
    return value


FUNCTIONS = (
    Function(
        "thanosql_audio_facts",
        audio_facts,
        {"path": "VARCHAR"},
        {"data": "BLOB", "on_error": "VARCHAR"},
        struct(AUDIO_FACTS),
    ),
    Function("thanosql_audio_error", audio_error, {"path": "VARCHAR"}, {"data": "BLOB"}, "VARCHAR"),
    Function(
        "thanosql_waveform",
        waveform,
        {"path": "VARCHAR"},
        {"data": "BLOB", "width": "BIGINT", "on_error": "VARCHAR"},
        "VARCHAR",
        runs_model=True,
    ),
)
