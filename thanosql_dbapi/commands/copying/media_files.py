"""Media files as rows: where each is, and what its header says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from ...exceptions import MediaError
from ...media.audio import probe_audio
from ...media.image import probe_image
from ...media.sources import Media, media_of
from ...media.video import probe_video
from ..base import Surroundings
from .files import Found, Reading, Rows, arrow_rows
from .kinds import Kind
from .messages import warn

#: Threads that read headers: on a disk they wait for it, on a network much longer.
_THREADS: Final = 8

#: How many files are asked at a time, between two looks whether to go on.
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class _Columns:
    """A kind's columns: the one with the paths, and the facts with Arrow's names of their types."""

    path: str
    facts: Mapping[str, str]
    probe: Callable[[Media], object]


_COLUMNS: Final[Mapping[Kind, _Columns]] = {
    Kind.AUDIO: _Columns(
        "audio_path",
        {"duration_s": "float64", "sampling_rate": "int64", "channels": "int64"},
        probe_audio,
    ),
    Kind.IMAGE: _Columns(
        "image_path", {"width": "int64", "height": "int64", "format": "string"}, probe_image
    ),
    Kind.VIDEO: _Columns(
        "video_path",
        {"duration_s": "float64", "width": "int64", "height": "int64", "frame_rate": "float64"},
        probe_video,
    ),
}


def media_files(found: Found, reading: Reading) -> Rows:
    """Make a row of each file. What cannot be read stays, with NULL facts, and is warned of.

    Raises:
        MissingExtra: the package that reads this kind is not installed.
    """
    import pyarrow as pa

    columns = _COLUMNS[found.kind]
    around = reading.around
    texts = [file.text for file in found.files]
    facts: list[dict[str, Any]] = []
    failed: list[str] = []
    for fact in _facts(texts, columns, around):
        if isinstance(fact, MediaError):
            failed.append(f"'{found.files[len(facts)].name}': {fact}")
            facts.append(dict.fromkeys(columns.facts))
        else:
            facts.append({name: getattr(fact, name) for name in columns.facts})
    if failed:
        of_them = f"{len(failed)} of {len(texts)} files" if len(texts) > 1 else "the file"
        first = ", the first is " if len(failed) > 1 else ": "
        have = "have" if len(failed) > 1 else "has"
        warn(f"{of_them} could not be read, and {have} no facts{first}{failed[0]}", around)
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.facts.items()])
    table = pa.Table.from_pylist(facts, schema)
    return arrow_rows(table.add_column(0, columns.path, pa.array(texts, pa.string())))


def _facts(
    texts: Sequence[str], columns: _Columns, around: Surroundings
) -> Iterator[object | MediaError]:
    root = around.session.root

    def probed(text: str) -> object | MediaError:
        around.execution.check()
        media = media_of(_located(text, around), root)
        try:
            return columns.probe(media)
        except MediaError as error:
            return error
        finally:
            media.release()

    bar = around.session.progress.bar("read headers", "files")
    threads = ThreadPoolExecutor(_THREADS)
    try:
        for start in range(0, len(texts), _AT_ONCE):
            yield from threads.map(probed, texts[start : start + _AT_ONCE])
            bar.update(min(start + _AT_ONCE, len(texts)), len(texts))
    except BaseException:
        around.execution.stop()  # a transfer that has begun need not end
        raise
    finally:
        threads.shutdown(cancel_futures=True)
        bar.close()


def _located(text: str, around: Surroundings) -> str:
    return text if "://" in text else str(around.session.path(text))
