"""Between Python's rows and Arrow's columns, where nothing is lost on the way.

Types here are DuckDB's names. What has no exact counterpart is refused by None, and DuckDB
itself then does the conversion: this module does not know DuckDB.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from .types import Column

if TYPE_CHECKING:
    import pyarrow as pa

Values: TypeAlias = Sequence[Any]

_WIDEST_DECIMAL = 38  # digits, of both DuckDB and Arrow
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)\Z")


# --- results: rows of known types -----------------------------------------------------------


def exact_schema(columns: Sequence[Column]) -> pa.Schema | None:
    """Return the Arrow schema of result columns; None where a type would lose on the way.

    An INTERVAL of months and a TIMESTAMP_NS do not survive as Python objects, nested types can
    hold them, and the Arrow types of UUID, HUGEINT and others are for DuckDB to choose.
    """
    import pyarrow as pa

    types = [_exact_type(column.type_code) for column in columns]
    if None in types:
        return None
    return pa.schema([(column.name, t) for column, t in zip(columns, types, strict=True)])


def _exact_type(type_code: str) -> pa.DataType | None:
    import pyarrow as pa

    if decimal := _DECIMAL.match(type_code):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return {
        "BOOLEAN": pa.bool_(),
        "TINYINT": pa.int8(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "UTINYINT": pa.uint8(),
        "USMALLINT": pa.uint16(),
        "UINTEGER": pa.uint32(),
        "UBIGINT": pa.uint64(),
        "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(),
        "VARCHAR": pa.string(),
        "BLOB": pa.binary(),
        "DATE": pa.date32(),
        "TIME": pa.time64("us"),
        "TIMESTAMP": pa.timestamp("us"),
    }.get(type_code)


def record_batch(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch | None:
    """Turn rows into a batch of `schema`; None where a value is out of Arrow's range."""
    import pyarrow as pa

    try:
        arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(schema)]
        return pa.record_batch(arrays, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None


def with_pandas_types(schema: pa.Schema) -> pa.Schema:
    """Note in the schema's metadata that pandas shall take decimals for floating point numbers.

    Left alone, `to_pandas` makes objects of them, of every `sum()` of integers too, as DuckDB
    gives a HUGEINT out as a decimal. The Arrow types stay exact, and other readers do not look
    at pandas' metadata (https://pandas.pydata.org/docs/development/developer.html), which goes
    by names: two columns of one name are left alone. pandas' own Float64 does not read decimals.
    """
    import pyarrow as pa

    names = [
        field.name
        for field in schema
        if pa.types.is_decimal(field.type) and schema.names.count(field.name) == 1
    ]
    if not names:
        return schema
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": "decimal",
            "numpy_type": "double[pyarrow]",
            "metadata": None,
        }
        for name in names
    ]
    noted = {"index_columns": [], "column_indexes": [], "columns": columns}
    return schema.with_metadata({**(schema.metadata or {}), b"pandas": json.dumps(noted).encode()})


# --- parameters: values of whatever types ---------------------------------------------------


def parameter_columns(
    columns: Sequence[Values], targets: Sequence[str] | None = None
) -> tuple[pa.Table, list[str | None]] | None:
    """Turn columns of parameters into an Arrow table of c0, c1, … and the types to cast them to.

    None where DuckDB, given the values one by one, might take them for something else: a column
    of mixed types, say, whose texts in a VARCHAR would come out otherwise. With the types that
    they are to become, numbers of different kinds may stand beside each other.
    """
    import pyarrow as pa

    arrays, casts = [], []
    for index, values in enumerate(columns):
        found = _parameters(values)
        if found is None and targets is not None:
            found = _numbers(values, targets[index])
        if found is None:
            return None
        arrays.append(found[0])
        casts.append(found[1])
    return pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))]), casts


def _parameters(values: Values) -> tuple[pa.Array, str | None] | None:
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values)), None
    convert = _CONVERTERS.get(kinds.pop())
    if kinds or convert is None:
        return None
    try:
        return convert(values)
    # A key that cannot be hashed is a TypeError.
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError, TypeError):
        return None


def _simple(type_name: str) -> Callable[[Values], tuple[pa.Array, None]]:
    def convert(values: Values) -> tuple[pa.Array, None]:
        import pyarrow as pa

        return pa.array(values, pa.type_for_alias(type_name)), None

    return convert


def _integers(values: Values) -> tuple[pa.Array, str | None] | None:
    import pyarrow as pa

    present = [v for v in values if v is not None]
    low, high = min(present), max(present)
    # As DuckDB types them, one by one: INTEGER, then BIGINT, then HUGEINT.
    for bits, kind in ((31, pa.int32()), (63, pa.int64())):
        if -(1 << bits) <= low and high < 1 << bits:
            return pa.array(values, kind), None
    if low > -(1 << 127) and high < 1 << 127:
        return pa.array([None if v is None else str(v) for v in values]), "HUGEINT"
    return None


def _decimals(values: Values) -> tuple[pa.Array, None] | None:
    import pyarrow as pa

    scales = {v.as_tuple().exponent for v in values if v is not None}
    # DuckDB gives each its own scale; 1.5 beside 2.25 would become 1.50. NaN's is a letter.
    scale = scales.pop()
    if scales or not isinstance(scale, int) or scale > 0:
        return None
    found = pa.array(values)
    if found.type.precision > _WIDEST_DECIMAL:
        return None
    if found.type.precision > found.type.scale:
        return found, None
    # A type without a digit before the point writes 0.25 as .25. DuckDB 2.0 does so itself, one by
    # one, and not for 0.05: as texts alone such values come out otherwise, as numbers never.
    if found.type.scale >= _WIDEST_DECIMAL:
        return None
    return pa.array(values, pa.decimal128(found.type.scale + 1, found.type.scale)), None


_WHOLE_IN_A_DOUBLE = 1 << 53
_DIGITS_OF_A_DOUBLE = 15
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_INTEGERS = frozenset(
    f"{sign}{width}INT" for sign in ("", "U") for width in ("TINY", "SMALL", "BIG", "HUGE")
) | {"INTEGER", "UINTEGER"}


def _numbers(values: Values, target: str) -> tuple[pa.Array, None] | None:
    """Convert numbers of several kinds or scales, where `target` is one of numbers.

    Each has to become what it would become alone, down to the last bit of a DOUBLE.
    """
    import pyarrow as pa

    if target not in _FLOATS and target not in _INTEGERS and not _DECIMAL.match(target):
        return None
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {int, float}:
        whole = all(abs(v) <= _WHOLE_IN_A_DOUBLE for v in values if type(v) is int)
        return (pa.array(values, pa.float64()), None) if whole else None
    if not kinds <= {int, Decimal}:
        return None
    numbers = [None if v is None else Decimal(v) for v in values]
    if not all(n is None or n.is_finite() for n in numbers):
        return None
    found = pa.array(numbers)
    widest = _DIGITS_OF_A_DOUBLE if target in _FLOATS else _WIDEST_DECIMAL
    return (found, None) if found.type.precision <= widest else None


def _timestamps(values: Values) -> tuple[pa.Array, None] | None:
    import pyarrow as pa

    aware = {v.tzinfo is not None for v in values if v is not None}
    if len(aware) > 1:
        return None
    return pa.array(values, pa.timestamp("us", "UTC" if aware.pop() else None)), None


def _times(values: Values) -> tuple[pa.Array, None] | None:
    import pyarrow as pa

    if any(v is not None and v.tzinfo is not None for v in values):
        return None
    return pa.array(values, pa.time64("us")), None


def _intervals(values: Values) -> tuple[pa.Array, None]:
    import pyarrow as pa

    parts = [
        None if v is None else (0, v.days, (v.seconds * 1_000_000 + v.microseconds) * 1000)
        for v in values
    ]
    return pa.array(parts, pa.month_day_nano_interval()), None


def _uuids(values: Values) -> tuple[pa.Array, str]:
    import pyarrow as pa

    return pa.array([None if v is None else str(v) for v in values]), "UUID"


def _lists(values: Values) -> tuple[pa.Array, str | None] | None:
    """Convert lists of one type: embeddings, lists of lists, of structs."""
    import pyarrow as pa

    items = list(chain.from_iterable(value for value in values if value is not None))
    kinds = set(map(type, items)) - {type(None)}
    if not kinds:
        return None
    if kinds <= {int, float, str, bool}:
        return (pa.array(values), None) if len(kinds) == 1 else None
    found = _parameters(items)
    if found is None:
        return None
    array, cast = found
    return pa.ListArray.from_arrays(_offsets(values), array), cast and f"{cast}[]"


def _structs(values: Values) -> tuple[pa.Array, None] | None:
    """Convert dicts of the same names in the same order."""
    import pyarrow as pa

    names = list(next(value for value in values if value is not None))
    if not names or any(value is not None and list(value) != names for value in values):
        return None
    if len({name.lower() for name in names if isinstance(name, str)}) < len(names):
        return None
    if {*names} == {"key", "value"}:
        # In the other order DuckDB takes the values for the keys.
        return _maps(values) if names == ["key", "value"] else None
    fields = []
    for name in names:
        found = _parameters([None if value is None else value[name] for value in values])
        if found is None or found[1] is not None:
            return None
        fields.append(found[0])
    absent = pa.array([value is None for value in values])
    return pa.StructArray.from_arrays(fields, names, mask=absent), None


def _maps(values: Values) -> tuple[pa.Array, None] | None:
    """Convert what DuckDB takes for a MAP: dicts of a list of keys and a list of values."""
    import pyarrow as pa

    present = [value for value in values if value is not None]
    for value in present:
        keys, items = value["key"], value["value"]
        if not (isinstance(keys, list) and isinstance(items, list) and len(keys) == len(items)):
            return None
        # Only what can be hashed can be told apart here; DuckDB refuses a key that is there twice.
        if None in keys or len(set(keys)) < len(keys):
            return None
    keys = _parameters(list(chain.from_iterable(value["key"] for value in present)))
    items = _parameters(list(chain.from_iterable(value["value"] for value in present)))
    if keys is None or items is None or keys[1] is not None or items[1] is not None:
        return None
    offsets = _offsets([None if value is None else value["key"] for value in values])
    return pa.MapArray.from_arrays(offsets, keys[0], items[0]), None


def _offsets(values: Values) -> pa.Array:
    """Return where each list begins among the items of all; None where there is none."""
    import pyarrow as pa

    begins, total = [], 0
    for value in values:
        begins.append(None if value is None else total)
        total += 0 if value is None else len(value)
    return pa.array([*begins, total], pa.int32())


_CONVERTERS: dict[type, Callable[[Values], tuple[pa.Array, str | None] | None]] = {
    bool: _simple("bool"),
    int: _integers,
    float: _simple("float64"),
    str: _simple("string"),
    bytes: _simple("binary"),
    dt.date: _simple("date32"),
    dt.datetime: _timestamps,
    dt.time: _times,
    dt.timedelta: _intervals,
    Decimal: _decimals,
    UUID: _uuids,
    list: _lists,
    dict: _structs,
}
