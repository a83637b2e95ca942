"""DuckDB's lists, arrays, records, maps and unions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import cast, exc, func, literal, literal_column, util
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.type_api import TypeEngine, UserDefinedType, to_instance

from .literals import Processor, list_literal, python_literal, quoted
from .numeric import BIGNUM

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

AnyType: TypeAlias = TypeEngine[Any]
Fields: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]


class _Cast(TypeEngine[Any]):
    """A type whose parameters are cast: by their values alone DuckDB takes them for others."""

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        return cast(bindvalue, self)


def _needs_cast(kind: AnyType) -> bool:
    if isinstance(kind, LIST) and not isinstance(kind, _Cast):
        return _needs_cast(kind.item_type)
    return isinstance(kind, (_Cast, BIGNUM)) or getattr(kind, "timezone", False)


class LIST(sqltypes.ARRAY[Any]):
    """A list of any length. SQLAlchemy's ARRAY becomes this one.

    Lists of lists are `dimensions=2`, or a LIST of a LIST. Positions count from 1.

    Args:
        item_type: the type of the items.
        as_tuple: whether rows hold tuples instead of lists.
        dimensions: how many lists lie in one another; 1 unless told.
        zero_indexes: whether positions count from 0 in Python.
    """

    __visit_name__ = "LIST"

    class Comparator(sqltypes.ARRAY.Comparator[Any]):
        """What can be asked of a list."""

        __slots__ = ()

        def contains(self, other: Any, **kw: Any) -> ColumnElement[bool]:
            """Say whether all items of the list `other` are in this one."""
            return func.list_has_all(self.expr, self._list(other), type_=sqltypes.BOOLEANTYPE)

        def contained_by(self, other: Any) -> ColumnElement[bool]:
            """Say whether all items of this list are in the list `other`."""
            return func.list_has_all(self._list(other), self.expr, type_=sqltypes.BOOLEANTYPE)

        def overlap(self, other: Any) -> ColumnElement[bool]:
            """Say whether any item of the list `other` is in this one."""
            return func.list_has_any(self.expr, self._list(other), type_=sqltypes.BOOLEANTYPE)

        def _list(self, other: Any) -> ColumnElement[Any]:
            return _operand(other, self.type)

    comparator_factory = Comparator

    def __init__(
        self,
        item_type: Any,
        as_tuple: bool = False,
        dimensions: int | None = None,
        zero_indexes: bool = False,
    ) -> None:
        # Not by ARRAY's own, which refuses lists of lists.
        self.item_type = to_instance(item_type)
        self.as_tuple = as_tuple
        self.dimensions = dimensions
        self.zero_indexes = zero_indexes

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        # DuckDB finds the type of a plain list by itself, and so its fast way for many rows.
        return cast(bindvalue, self) if _needs_cast(self.item_type) else bindvalue

    @property
    def depth(self) -> int:
        """Return how many lists lie around an item."""
        return self.dimensions or 1

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        item = _bind(self.item_type, dialect)
        return None if item is None else _each(item, list, self.depth)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        item = _result(self.item_type, dialect)
        kind = tuple if self.as_tuple else list
        if item is None and kind is list:
            return None
        return _each(item or _same, kind, self.depth)

    def literal_processor(self, dialect: Dialect) -> Processor:
        items = _each(_literal(self.item_type, dialect), list_literal, self.depth)
        return _cast_to(items, self, dialect)


class ARRAY(_Cast, LIST):
    """An array of fixed size, `INTEGER[3]`; its values are returned as tuples.

    Args:
        item_type: the type of the items; another ARRAY for an array of arrays.
        size: the number of items.
    """

    __visit_name__ = "FIXED_ARRAY"

    def __init__(self, item_type: Any, size: int) -> None:
        super().__init__(item_type, as_tuple=True)
        self.size = size

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        item = _result(self.item_type, dialect)
        return None if item is None else _each(item, tuple, 1)

    @property
    def python_type(self) -> type[Any]:
        """Return tuple."""
        return tuple


class Composite(UserDefinedType[Any]):
    """What STRUCT and UNION share: types by name."""

    fields: tuple[tuple[str, AnyType], ...]

    def __init__(self, fields: Fields) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self.fields = tuple((str(name), to_instance(kind)) for name, kind in pairs)

    def field(self, name: str) -> AnyType:
        """Return a field's type.

        Raises:
            sqlalchemy.exc.ArgumentError: there is no such field.
        """
        for known, kind in self.fields:
            if known.lower() == name.lower():
                return kind
        known_names = ", ".join(known for known, _ in self.fields)
        raise exc.ArgumentError(f"no field {name!r} among {known_names}")

    @util.memoized_property
    def _static_cache_key(self) -> Any:
        """Make equal types equal keys; SQLAlchemy's own would compare the fields by identity."""
        return _cache_key(self.__class__, *((name, kind) for name, kind in self.fields))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.fields)!r})"


class STRUCT(_Cast, Composite):
    """A record: `STRUCT({"name": String, "age": Integer})`; its values are dicts.

    `column["name"]` is the field of that name.

    Args:
        fields: the types of the fields by name, or pairs of both.
    """

    __visit_name__ = "STRUCT"
    cache_ok = True
    hashable = False

    class Comparator(TypeEngine.Comparator[Any]):
        """What can be asked of a record."""

        __slots__ = ()

        def __getitem__(self, index: Any) -> ColumnElement[Any]:
            return _member(func.struct_extract, self.expr, index)

    comparator_factory = Comparator

    @property
    def python_type(self) -> type[dict[str, Any]]:
        """Return dict."""
        return dict

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        found = {name: _bind(kind, dialect) for name, kind in self.fields}
        processors = {name: process for name, process in found.items() if process}
        # DuckDB takes a dict of a `key` and a `value` list for a MAP. With a third field it is a
        # STRUCT, and the cast leaves that field out.
        like_map = {"": None} if {"key", "value"} == {name for name, _ in self.fields} else {}
        if not processors and not like_map:
            return None

        def process(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {
                name: processors[name](item) if name in processors else item
                for name, item in value.items()
            } | like_map

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        found = {name: _result(kind, dialect) for name, kind in self.fields}
        processors = {name: process for name, process in found.items() if process}
        if not processors:
            return None

        def process(value: dict[str, Any] | None) -> dict[str, Any] | None:
            if value is not None:
                for name, convert in processors.items():
                    value[name] = convert(value[name])
            return value

        return process

    def literal_processor(self, dialect: Dialect) -> Processor:
        processors = {name: _literal(kind, dialect) for name, kind in self.fields}

        def process(value: Mapping[str, Any]) -> str:
            given = {name.lower(): item for name, item in value.items()}
            items = (
                f"{quoted(name)}: {literal_of(given.get(name.lower()))}"
                for name, literal_of in processors.items()
            )
            return "{" + ", ".join(items) + "}"

        return _cast_to(process, self, dialect)


class UNION(Composite):
    """One of several types, each with a tag: `UNION({"number": Integer, "text": String})`.

    DuckDB chooses the tag by the value's type. `column["number"]` is the value if it has that
    tag, otherwise NULL.

    Args:
        fields: the types by tag, or pairs of both.
    """

    __visit_name__ = "UNION"
    cache_ok = True
    hashable = False

    class Comparator(TypeEngine.Comparator[Any]):
        """What can be asked of a union."""

        __slots__ = ()

        def __getitem__(self, index: Any) -> ColumnElement[Any]:
            return _member(func.union_extract, self.expr, index)

    comparator_factory = Comparator

    def literal_processor(self, dialect: Dialect) -> Processor:
        return _cast_to(python_literal, self, dialect)


class MAP(_Cast, UserDefinedType[dict[Any, Any]]):
    """Values by keys of one type: `MAP(String, Integer)`; its values are dicts.

    `column[key]` is the value of that key, NULL if there is none.

    Args:
        key_type: the type of the keys.
        value_type: the type of the values.
    """

    __visit_name__ = "MAP"
    cache_ok = True
    hashable = False

    class Comparator(TypeEngine.Comparator[dict[Any, Any]]):
        """What can be asked of a map."""

        __slots__ = ()
        type: MAP

        def __getitem__(self, index: Any) -> ColumnElement[Any]:
            key = _operand(index, self.type.key_type)
            return func.map_extract_value(self.expr, key, type_=self.type.value_type)

    comparator_factory = Comparator

    def __init__(self, key_type: Any, value_type: Any) -> None:
        self.key_type: AnyType = to_instance(key_type)
        self.value_type: AnyType = to_instance(value_type)

    @property
    def python_type(self) -> type[dict[Any, Any]]:
        """Return dict."""
        return dict

    def bind_processor(self, dialect: Dialect) -> Processor:
        keys = _bind(self.key_type, dialect) or _same
        values = _bind(self.value_type, dialect) or _same

        def process(value: Mapping[Any, Any] | None) -> dict[str, list[Any]] | None:
            # A plain dict would be taken for a STRUCT, and one of two lists for a MAP of them.
            if value is None:
                return None
            return {"key": [*map(keys, value)], "value": [*map(values, value.values())]}

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        keys, values = _result(self.key_type, dialect), _result(self.value_type, dialect)
        if keys is None and values is None:
            return None
        key_of, value_of = keys or _same, values or _same
        return lambda value: (
            None if value is None else {key_of(k): value_of(v) for k, v in value.items()}
        )

    def literal_processor(self, dialect: Dialect) -> Processor:
        keys, values = _literal(self.key_type, dialect), _literal(self.value_type, dialect)

        def process(value: Mapping[Any, Any]) -> str:
            items = (f"{keys(key)}: {values(item)}" for key, item in value.items())
            return "MAP {" + ", ".join(items) + "}"

        return _cast_to(process, self, dialect)


class TUPLE(_Cast, UserDefinedType[tuple[Any, ...]]):
    """A record without names, as `row(1, 'a')` makes it: `TUPLE([Integer, String])`.

    Its values are tuples.

    Args:
        types: the types of its members, in order.
    """

    __visit_name__ = "TUPLE"
    cache_ok = True

    def __init__(self, types: Iterable[Any]) -> None:
        self.types: tuple[AnyType, ...] = tuple(to_instance(kind) for kind in types)

    @util.memoized_property
    def _static_cache_key(self) -> Any:
        return _cache_key(self.__class__, *(("", kind) for kind in self.types))

    def __repr__(self) -> str:
        return f"TUPLE({list(self.types)!r})"

    @property
    def python_type(self) -> type[tuple[Any, ...]]:
        """Return tuple."""
        return tuple

    def bind_processor(self, dialect: Dialect) -> Processor:
        processors = [_bind(kind, dialect) or _same for kind in self.types]

        def process(value: Sequence[Any] | None) -> dict[str, Any] | None:
            # DuckDB takes a tuple for a list, and casts a STRUCT by position.
            if value is None:
                return None
            pairs = zip(processors, value, strict=True)
            return {f"v{i}": convert(item) for i, (convert, item) in enumerate(pairs)}

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        found = [_result(kind, dialect) for kind in self.types]
        if not any(found):
            return None
        processors = [process or _same for process in found]
        return lambda value: (
            None
            if value is None
            else tuple(convert(v) for convert, v in zip(processors, value, strict=True))
        )

    def literal_processor(self, dialect: Dialect) -> Processor:
        processors = [_literal(kind, dialect) for kind in self.types]

        def process(value: Sequence[Any]) -> str:
            items = (convert(v) for convert, v in zip(processors, value, strict=True))
            return f"row({', '.join(items)})"

        return _cast_to(process, self, dialect)


class VARIANT(UserDefinedType[Any]):
    """A value of any type, which remembers which."""

    __visit_name__ = "VARIANT"
    cache_ok = True
    hashable = False

    def literal_processor(self, dialect: Dialect) -> Processor:
        return _cast_to(python_literal, self, dialect)


def _cache_key(cls: type[Any], *members: tuple[str, AnyType]) -> Any:
    keys = [(name, kind._static_cache_key) for name, kind in members]
    refused = [key for _, key in keys if not isinstance(key, tuple)]
    return refused[0] if refused else (cls, *keys)


def _member(function: Any, expression: Any, name: Any) -> ColumnElement[Any]:
    # The name is written out: DuckDB must know the result's type when it plans.
    member: ColumnElement[Any] = function(
        expression, literal_column(quoted(name)), type_=expression.type.field(name)
    )
    return member


def _operand(value: Any, kind: AnyType) -> ColumnElement[Any]:
    return value if isinstance(value, ColumnElement) else literal(value, kind)


def _same(value: Any) -> Any:
    return value


def _bind(kind: AnyType, dialect: Dialect) -> Processor | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: AnyType, dialect: Dialect) -> Processor | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _literal(kind: AnyType, dialect: Dialect) -> Processor:
    impl = kind.dialect_impl(dialect)
    process = impl.literal_processor(dialect) or python_literal
    # JSON alone makes a value of None.
    evaluates_none = impl.should_evaluate_none
    return lambda value: "NULL" if value is None and not evaluates_none else process(value)


def _each(process: Processor, collect: Callable[[Iterable[Any]], Any], depth: int) -> Processor:
    """Return a processor of lists, `depth` of them in one another."""
    inner = process if depth == 1 else _each(process, collect, depth - 1)
    null = "NULL" if collect is list_literal else None
    return lambda value: null if value is None else collect(map(inner, value))


def _cast_to(process: Processor, kind: AnyType, dialect: Dialect) -> Processor:
    """Return a literal processor that casts: a list may be empty, a map's values all NULL."""
    return lambda value: f"CAST({process(value)} AS {_compiled(kind, dialect)})"


def _compiled(kind: AnyType, dialect: Dialect) -> str:
    return dialect.type_compiler_instance.process(kind)
