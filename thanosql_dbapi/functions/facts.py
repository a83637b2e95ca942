"""What functions over media files share: a row a file, its errors with row and name.

It knows no kind of media.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..exceptions import MediaError, OptionError
from ..media.sources import Media, media_of
from ..predicting import looked_for
from ..session import Execution

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

#: The most characters of a file's name in an error: what is no path at all may be a whole text.
_LONGEST: Final = 1000


def read_each(
    execution: Execution,
    asker: str,
    read: Callable[[Media], T],
    path: pa.ChunkedArray,
    data: pa.ChunkedArray,
    on_error: pa.ChunkedArray | None = None,
) -> list[T | None]:
    """Read each file, or the bytes beside it; a NULL gives None.

    So does a file that cannot be read where `on_error` is 'null'. `asker` is the function's name:
    each counts its own rows.

    Raises:
        MediaError: a file cannot be read; the message names its row.
    """
    forgiving = on_error is not None and _forgives(on_error)
    found: list[T | None] = []
    for row, media in _media(execution, asker, path, data):
        try:
            found.append(None if media is None else _read(read, media))
        except MediaError as error:
            assert media is not None
            if not forgiving:
                name = media.name if len(media.name) <= _LONGEST else f"…{media.name[-_LONGEST:]}"
                where = looked_for(execution, media, error)
                raise MediaError(f"row {row}: '{name}': {error}{where}", error.reason) from error
            found.append(None)
    return found


def errors(
    execution: Execution,
    asker: str,
    probe: Callable[[Media], object],
    path: pa.ChunkedArray,
    data: pa.ChunkedArray,
) -> pa.Array:
    """Return why each file cannot be read; NULL where it can, or where there is none."""
    import pyarrow as pa

    def error_of(media: Media) -> str | None:
        try:
            _read(probe, media)
        except MediaError as error:
            return str(error)
        return None

    return pa.array(read_each(execution, asker, error_of, path, data), pa.string())


def structs(found: list[Any], fields: Mapping[str, str]) -> pa.Array:
    """Return facts as structs of these fields, by their names; None is NULL."""
    import pyarrow as pa

    kinds = {
        "BIGINT": pa.int64(),
        "BOOLEAN": pa.bool_(),
        "DOUBLE": pa.float64(),
        "VARCHAR": pa.string(),
    }
    rows = [None if one is None else {name: getattr(one, name) for name in fields} for one in found]
    return pa.array(rows, pa.struct([(name, kinds[kind]) for name, kind in fields.items()]))


def _read(read: Callable[[Media], T], media: Media) -> T:
    """Read a file; a disk that fails meanwhile is an error of the file."""
    try:
        return read(media)
    except OSError as error:
        raise MediaError(f"the file cannot be read ({error.strerror or error})") from error


def _media(
    execution: Execution, asker: str, path: pa.ChunkedArray, data: pa.ChunkedArray
) -> Iterator[tuple[int, Media | None]]:
    pairs = list(zip(path.to_pylist(), data.to_pylist(), strict=True))
    first_row = execution.number_rows(len(pairs), asker)
    for row, (file, content) in enumerate(pairs, first_row):
        execution.check()
        value = file if file is not None else content
        yield row, None if value is None else media_of(value, execution.session.root)


def _forgives(on_error: pa.ChunkedArray) -> bool:
    given = {value for value in on_error.unique().to_pylist() if value is not None}
    if not given <= {"fail", "null"}:
        raise OptionError(f"on_error={given.pop()!r}: the parameter takes 'fail' or 'null'")
    return given == {"null"}
