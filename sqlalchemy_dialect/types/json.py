"""DuckDB's JSON, and the paths into it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy.sql import sqltypes

from .literals import Processor, quoted

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect


class JSON(sqltypes.JSON):
    """JSON, kept by DuckDB as the text that was stored."""

    def literal_processor(self, dialect: Dialect) -> Processor:
        bind: Processor = self.bind_processor(dialect)

        def process(value: Any) -> str:
            text = bind(value)
            return "NULL" if text is None else f"CAST({quoted(text)} AS JSON)"

        return process


class JSONIndexType(sqltypes.JSON.JSONIndexType):
    """The key or position in `column["key"]`, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        return lambda value: json_path((value,))

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: quoted(json_path((value,)))


class JSONPathType(sqltypes.JSON.JSONPathType):
    """The keys and positions in `column[("key", 1)]`, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        return lambda value: value if isinstance(value, str) else json_path(value)

    def literal_processor(self, dialect: Dialect) -> Processor:
        return lambda value: quoted(value if isinstance(value, str) else json_path(value))


def json_path(steps: Iterable[str | int]) -> str:
    """Write keys and positions as one of DuckDB's two kinds of path.

    A JSONPath, `$."a"[0]`. It cannot say the key that is empty, and takes `*` for all keys, even
    in quotes; for these it is a JSON pointer, `/a/0`.
    """
    steps = list(steps)
    if {"", "*"}.isdisjoint(step for step in steps if isinstance(step, str)):
        return "$" + "".join(map(_json_step, steps))
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _json_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    escaped = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'."{escaped}"'
