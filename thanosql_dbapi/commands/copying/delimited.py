"""Text with delimiters: csv and its kin, as DuckDB's reader finds them.

DuckDB reads UTF-8; other encodings are turned into it first, by Python's codecs.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ...exceptions import DatabaseError, DataError, Error
from ...quoting import quote_name, quote_text
from .files import File, Found, Reading, Rows, pattern_of
from .messages import warn

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How much is read at once, in bytes.
_BLOCK: Final = 1 << 20

#: How much of a file is looked at to guess its encoding, in bytes.
_SAMPLE: Final = 1 << 16

#: The rows that DuckDB looks at to guess types.
_SAMPLED: Final = 20_480

#: Beyond so many casts planning them takes longer than a look at all rows.
_MOST_CASTS: Final = 200

_PACKED: Final = (".gz", ".zst")

#: What DuckDB says where a value would lose something.
_LOSS: Final = "the type guessed by the first rows has no room for a value"

#: Types that lose something of a text that they take, and the sign that such a text has.
_SIGNS: Final = {"BIGINT": b".", "DATE": b":"}

#: How such a text is cast instead.
_CASTS: Final = {
    "BIGINT": f"WHEN contains({{0}}, '.') THEN error('{_LOSS}') ELSE CAST({{0}} AS BIGINT)",
    # A cast reads 01-02-20 as of the year 1.
    "DATE": f"WHEN contains({{0}}, ':') THEN error('{_LOSS}')"
    " WHEN length({0}) = 10 THEN CAST({0} AS DATE)"
    " WHEN {0} IS NOT NULL THEN CAST('no date' AS DATE)",
}

#: How the syllables in use begin in CP949, as in EUC-KR; the rest of it is seldom met.
_HANGUL_LEADS: Final = range(0xB0, 0xC9)


def delimited(found: Found, reading: Reading) -> Rows:
    """Read csv files; several of them by the names of their columns.

    Raises:
        DataError: a file is empty, or not in the encoding.
    """
    for file in found.files:
        if _is_empty(file):
            raise DataError(f"'{file.name}' is empty: it has not even a row of names")
    if reading.options["encoding"] != "utf-8" or any(map(_begins_quoted, found.files)):
        found = _recoded(found, reading)
    arguments = f"{found.paths}{_settings(found, reading)}"
    sql = f"SELECT * FROM read_csv({arguments})"
    if reading.types is None:
        return _doubted(found, reading, sql)
    # Read as what the table has: so 007 stays 007 in a column of text, and an error has its line.
    wanted = reading.wanted(reading.staging.columns_of(sql))
    return Rows(f"SELECT * FROM read_csv({arguments}{_types(wanted)})")


def _doubted(found: Found, reading: Reading, sql: str) -> Rows:
    """Read so that no value loses what the type guessed for its column has no room for.

    DuckDB guesses by its sample, and 2.0 then reads a later 1.5 as the whole number 2, and a later
    time as a date. So these columns are read as text and cast here: it costs less than a look at
    all rows, which is only taken where there is such a value.
    """
    if reading.options["all_varchar"] or all(map(_is_sampled, found.files)):
        return Rows(sql)
    held = {
        kind for kind, sign in _SIGNS.items() if any(_holds(f, sign, reading) for f in found.files)
    }
    columns = reading.staging.columns_of(sql) if held else {}
    doubted = {name: kind for name, kind in columns.items() if kind in held}
    casts = ", ".join(
        f"CASE {_CASTS[kind].format(quote_name(name))} END AS {quote_name(name)}"
        for name, kind in doubted.items()
    )
    if not casts:
        return Rows(sql)
    if len(doubted) > _MOST_CASTS:
        return _wholly_sampled(found, reading)
    types = _types(dict.fromkeys(doubted, "VARCHAR"))
    settings = f"{found.paths}{_settings(found, reading)}"

    def again(error: Error) -> Rows | None:
        if _LOSS in str(error):
            return _wholly_sampled(found, reading)
        # It tells the line, or the reader knows the column's format better than a cast.
        binds = type(error.__cause__).__name__ != "BinderException"
        return None if binds and not isinstance(error, DataError) else Rows(sql)

    return Rows(f"SELECT * REPLACE ({casts}) FROM read_csv({settings}{types})", again=again)


def _holds(file: File, sign: bytes, reading: Reading) -> bool:
    """Tell whether a byte is anywhere in a file, which is known much sooner than where."""
    if file.local.suffix.lower() in _PACKED:
        return True
    with file.local.open("rb") as opened:
        for block in _blocks(opened):
            reading.around.execution.check()
            if sign in block:
                return True
    return False


def _wholly_sampled(found: Found, reading: Reading) -> Rows:
    settings = f"{found.paths}{_settings(found, reading)}"
    return Rows(f"SELECT * FROM read_csv({settings}, sample_size=-1)")


def _is_sampled(file: File) -> bool:
    """Tell whether all rows of a file are among those that DuckDB looks at."""
    lines = 0
    with contextlib.suppress(OSError), unpacked(file.local) as opened:  # DuckDB tells what is wrong
        for block in _blocks(opened):
            lines += block.count(b"\n") + block.count(b"\r")
            if lines > _SAMPLED:
                return False
    return True


def _settings(found: Found, reading: Reading) -> str:
    options = reading.options
    settings = []
    if len(found.files) > 1:
        settings.append("union_by_name=true")
    if options["header"] is not None:
        settings.append(f"header={str(options['header']).lower()}")
    if options["delimiter"] is not None:
        settings.append(f"delim={quote_text(options['delimiter'])}")
    if options["all_varchar"]:
        settings.append("all_varchar=true")
    return "".join(f", {setting}" for setting in settings)


def _types(wanted: Mapping[str, str]) -> str:
    if not wanted:
        return ""
    typed = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in wanted.items())
    return f", types={{{typed}}}"


def _is_empty(file: File) -> bool:
    return not _beginning(file).removeprefix(codecs.BOM_UTF8).strip()


def _begins_quoted(file: File) -> bool:
    """Tell whether a quote follows the mark of UTF-8: DuckDB 2.0 keeps the quotes then."""
    return _beginning(file).startswith(codecs.BOM_UTF8 + b'"')


def _beginning(file: File) -> bytes:
    with unpacked(file.local) as opened:
        try:
            return opened.read(_SAMPLE)
        except OSError as error:
            raise DataError(f"'{file.name}' is not packed as its name says ({error})") from error


def unpacked(path: Path) -> BinaryIO:
    """Open a file; what is packed gives what is in it."""
    if path.suffix.lower() not in _PACKED:
        return path.open("rb")
    import pyarrow as pa

    opened: BinaryIO = pa.input_stream(str(path), compression="detect")
    return opened


def _recoded(found: Found, reading: Reading) -> Found:
    files = []
    encoding = reading.options["encoding"]
    for number, file in enumerate(found.files):
        path = reading.folder / f"{number}.csv"
        recode(file, path, "utf-8-sig" if encoding == "utf-8" else encoding, reading)
        files.append(File(file.text, file.name, path))
    return Found(found.kind, tuple(files), found.name)


def recode(file: File, path: Path, encoding: str, reading: Reading) -> None:
    """Write a file in UTF-8 without a mark.

    Raises:
        DataError: it is not in the encoding.
    """
    line = 1
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("w", encoding="utf-8", newline="") as written, unpacked(file.local) as opened:
        try:
            for block in _blocks(opened):
                reading.around.execution.check()
                text = decoder.decode(block)
                line += text.count("\n")
                written.write(text)
            written.write(decoder.decode(b"", final=True))
        except UnicodeDecodeError as error:
            raise DataError(
                f"'{file.name}' is not {encoding}, or not alone: at or after line {line} it holds"
                f" the byte 0x{bytes(error.object)[error.start]:02x}"
            ) from error
        except UnicodeError as error:  # as some codecs say it
            raise DataError(f"'{file.name}' is not {encoding} ({error})") from error


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    while block := opened.read(_BLOCK):
        yield block


def explained(error: Error, found: Found) -> Error:
    """Return a better error where a file of a csv that failed is not UTF-8; else the same."""
    for file in found.files:
        try:
            place = _not_utf8(file.local)
        except OSError:  # it is packed, and not whole: that was told
            return error
        if place is not None:
            line, byte = place
            return DataError(
                f"'{file.name}' is not UTF-8: line {line} holds the byte 0x{byte:02x}."
                f" {_advice(file.local)}"
            )
    return error


def _not_utf8(path: Path) -> tuple[int, int] | None:
    """Return line and value of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with unpacked(path) as opened:
        for block in _blocks(opened):
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                data = bytes(error.object)
                return line + data[: error.start].count(b"\n"), data[error.start]
    return None


def _advice(path: Path) -> str:
    encoding, name = _likely_encoding(path)
    return (
        f"It looks like {name}: say OPTIONS (encoding='{encoding}'), or save it as UTF-8 and copy"
        " it again."
    )


def _likely_encoding(path: Path) -> tuple[str, str]:
    """Guess by what the text would be: Excel writes CP949 in Korea, and CP1252 in the West."""
    with unpacked(path) as opened:
        if opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", "UTF-16"
    sample = _beyond_ascii(path)
    korean = _whole(sample, "cp949")
    if korean is not None and _is_mostly_hangul(korean):
        return "cp949", "Korean text in CP949 (EUC-KR)"
    if _whole(sample, "cp1252") is not None:
        return "cp1252", "CP1252 (Latin-1)"
    return "latin-1", "Latin-1"


def _beyond_ascii(path: Path) -> bytes:
    """Return lines with bytes that ASCII has not, from the first on."""
    sample = b""
    with unpacked(path) as opened:
        for block in _blocks(opened):
            for line in block.splitlines(keepends=True):
                sample += b"" if line.isascii() else line
            if len(sample) > _SAMPLE:
                break
    return sample


def _whole(sample: bytes, encoding: str) -> str | None:
    """Decode a sample, whose last character may be cut."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None


def _is_mostly_hangul(text: str) -> bool:
    """Tell Korean from Western text, whose accents CP949 reads as rare syllables or Chinese."""
    beyond = [c.encode("cp949") for c in text if c > "\x7f"]
    common = sum(c[0] in _HANGUL_LEADS and c[-1] > 0xA0 for c in beyond)
    return common * 2 > len(beyond)


def warn_of_left_out(found: Found, columns: list[str], reading: Reading) -> None:
    """Warn of first lines that DuckDB's reader took for no part of the table.

    Where the names of the columns stand in the first line, that was read; only else is it asked.
    """
    for file in found.files:
        if reading.options["encoding"] != "utf-8" or _begins_with(file.local, columns):
            continue
        settings = _settings(Found(found.kind, (file,), found.name), reading)
        left_out = _left_out(f"{quote_text(pattern_of(file.local))}{settings}", reading)
        if left_out:
            lines = "the first line" if left_out == 1 else f"the first {left_out} lines"
            warn(
                f"'{file.name}': {lines} do not have the columns of the others, and were left out",
                reading.around,
            )


def _left_out(arguments: str, reading: Reading) -> int:
    try:
        ((count,),) = reading.staging.fetch_all(f"SELECT SkipRows FROM sniff_csv({arguments})")
    except DatabaseError:  # the table is made: what only a warning is for must not fail it
        return 0
    return int(str(count))


def _begins_with(path: Path, columns: list[str]) -> bool:
    with unpacked(path) as opened:
        first = opened.read(_SAMPLE).partition(b"\n")[0].decode("utf-8", "replace")
    return all(name in first for name in columns)
