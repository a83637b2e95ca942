"""Types read from the texts that DuckDB's catalogue gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import util
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.type_api import TypeEngine

from .binary import BIT, GEOMETRY
from .json import JSON
from .nested import ARRAY, LIST, MAP, STRUCT, TUPLE, UNION, VARIANT
from .numeric import BIGNUM, HUGEINT, TINYINT, UBIGINT, UHUGEINT, UINTEGER, USMALLINT, UTINYINT
from .temporal import INTERVAL, TIME_NS, TIMESTAMP_MS, TIMESTAMP_NS, TIMESTAMP_S, TIMESTAMPTZ_NS

AnyType: TypeAlias = TypeEngine[Any]


#: What makes a type of each of DuckDB's names; called with the numbers and texts in parentheses.
ischema_names: dict[str, Callable[..., AnyType]] = {
    "BIGINT": sqltypes.BIGINT,
    "BIGNUM": BIGNUM,
    "BIT": BIT,
    "BLOB": sqltypes.BLOB,
    "BOOLEAN": sqltypes.BOOLEAN,
    "DATE": sqltypes.DATE,
    "DECIMAL": sqltypes.DECIMAL,
    "DOUBLE": sqltypes.DOUBLE,
    "ENUM": sqltypes.Enum,
    "FLOAT": sqltypes.FLOAT,
    "GEOMETRY": GEOMETRY,
    "HUGEINT": HUGEINT,
    "INTEGER": sqltypes.INTEGER,
    "INTERVAL": INTERVAL,
    "JSON": JSON,
    "SMALLINT": sqltypes.SMALLINT,
    "TIME": sqltypes.TIME,
    "TIME WITH TIME ZONE": partial(sqltypes.TIME, timezone=True),
    "TIMESTAMP": sqltypes.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": partial(sqltypes.TIMESTAMP, timezone=True),
    "TIMESTAMPTZ_NS": TIMESTAMPTZ_NS,
    "TIMESTAMP_MS": TIMESTAMP_MS,
    "TIMESTAMP_NS": TIMESTAMP_NS,
    "TIMESTAMP_S": TIMESTAMP_S,
    "TIME_NS": TIME_NS,
    "TINYINT": TINYINT,
    "UBIGINT": UBIGINT,
    "UHUGEINT": UHUGEINT,
    "UINTEGER": UINTEGER,
    "USMALLINT": USMALLINT,
    "UTINYINT": UTINYINT,
    "UUID": sqltypes.UUID,
    "VARCHAR": sqltypes.VARCHAR,
    "VARIANT": VARIANT,
}


def parse_type(text: str) -> AnyType:
    """Return the type that DuckDB writes as `text`.

    One that is not known is a NullType, with SQLAlchemy's warning.
    """
    try:
        return _TypeText(text).parse()
    except _UnknownTypeError:
        util.warn(f"Did not recognize type {text!r}")
        return sqltypes.NULLTYPE


class _UnknownTypeError(Exception):
    pass


_TOKEN = re.compile(
    r"""\s*(?:
        "(?P<name>(?:[^"]|"")*)"
      | '(?P<text>(?:[^']|'')*)'
      | (?P<number>\d+)
      | (?P<word>\w+)
      | (?P<mark>[(),\[\]])
    )""",
    re.VERBOSE,
)


class _TypeText:
    """A type's text, read from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None or token.lastgroup is None:
                raise _UnknownTypeError(text)
            self._tokens.append((token.lastgroup, token[token.lastgroup]))
            position = token.end()
        self._next = 0

    def parse(self) -> AnyType:
        kind = self._type()
        self._expect("end", "")
        return kind

    def _type(self) -> AnyType:
        kind = self._base()
        while self._accept("mark", "["):
            if self._accept("mark", "]"):
                # Lists of lists have dimensions, as SQLAlchemy's ARRAY has them.
                plain = type(kind) is LIST
                depth = kind.depth + 1 if plain else None  # type: ignore[attr-defined]
                item = kind.item_type if plain else kind  # type: ignore[attr-defined]
                kind = LIST(item, dimensions=depth)
            else:
                size = int(self._take("number"))
                self._expect("mark", "]")
                kind = ARRAY(kind, size)
        return kind

    def _base(self) -> AnyType:
        name = self._take("word").upper()
        while self._peek()[0] == "word":
            name += " " + self._take("word").upper()
        if name in {"STRUCT", "UNION"}:
            return {"STRUCT": STRUCT, "UNION": UNION}[name](self._in_parentheses(self._field))
        if name == "TUPLE":
            return TUPLE(self._in_parentheses(self._type))
        if name == "MAP":
            types = self._in_parentheses(self._type)
            return MAP(*types)
        arguments = self._in_parentheses(self._argument) if self._peek() == ("mark", "(") else []
        if name not in ischema_names:
            raise _UnknownTypeError(name)
        return ischema_names[name](*arguments)

    def _field(self) -> tuple[str, AnyType]:
        kind, text = self._peek()
        name = self._take("name" if kind == "name" else "word")
        return (text.replace('""', '"') if kind == "name" else name), self._type()

    def _argument(self) -> int | str:
        kind, text = self._peek()
        self._next += 1
        if kind == "number":
            return int(text)
        if kind == "text":
            return text.replace("''", "'")
        raise _UnknownTypeError(text)

    def _in_parentheses(self, read: Callable[[], Any]) -> list[Any]:
        self._expect("mark", "(")
        items = [read()]
        while self._accept("mark", ","):
            items.append(read())
        self._expect("mark", ")")
        return items

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, kind: str) -> str:
        found, text = self._peek()
        if found != kind:
            raise _UnknownTypeError(text)
        self._next += 1
        return text

    def _accept(self, kind: str, text: str) -> bool:
        if self._peek() != (kind, text):
            return False
        self._next += 1
        return True

    def _expect(self, kind: str, text: str) -> None:
        if not self._accept(kind, text):
            raise _UnknownTypeError(text)
