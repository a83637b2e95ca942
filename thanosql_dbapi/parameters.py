"""The parameters of a statement: from the places in the text to the values given.

DuckDB binds what stands in queries; what stands in OPTIONS is taken out here. It knows values
and places, and nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from .exceptions import ProgrammingError
from .language.statements import OptionValue, Placeholder, Script


class Parameters:
    """The values given with a script."""

    def __init__(self, given: Sequence[Any] | Mapping[str, Any] | None) -> None:
        self._given = given if given is not None else ()

    def value(self, placeholder: Placeholder) -> Any:
        """Return a placeholder's value.

        Raises:
            ProgrammingError: none was given.
        """
        key = placeholder.key
        if isinstance(self._given, Mapping):
            if str(key) in self._given:
                return self._given[str(key)]
            raise ProgrammingError(f"no value was given for the parameter ${key}")
        if isinstance(key, str):
            raise ProgrammingError(f"the parameter ${key} needs a mapping of names to values")
        if key <= len(self._given):
            return self._given[key - 1]
        raise ProgrammingError(
            f"the statement needs at least {key} parameters, {len(self._given)} were given"
        )

    def literal(self, value: OptionValue) -> Any:
        """Return an option's value, with its placeholders replaced."""
        if isinstance(value, Placeholder):
            return self.value(value)
        if isinstance(value, tuple):
            return [self.literal(item) for item in value]
        return value

    def bind(self, placeholders: Sequence[Placeholder]) -> list[Any] | dict[str, Any] | None:
        """Return what DuckDB needs for a text with these placeholders, in the text's order.

        Raises:
            ProgrammingError: a value is missing.
        """
        if not placeholders:
            return None
        if all(p.positional for p in placeholders):
            return [self.value(p) for p in placeholders]
        return {str(p.key): self.value(p) for p in placeholders}

    def require_all_used(self, placeholders: Iterable[Placeholder]) -> None:
        """Refuse more values than the script has places.

        Raises:
            ProgrammingError: naming how many, or which, are left over.
        """
        keys = {str(p.key) for p in placeholders}
        if isinstance(self._given, Mapping):
            unused = [name for name in self._given if name not in keys]
            if unused:
                raise ProgrammingError(f"the statement has no parameter ${unused[0]}")
        elif len(self._given) > len(keys) and len(self._given) > max(
            (int(k) for k in keys if k.isdigit()), default=0
        ):
            raise ProgrammingError(
                f"the statement has {len(keys)} parameters, {len(self._given)} were given"
            )


def script_placeholders(script: Script) -> list[Placeholder]:
    """Return all placeholders of a script, those in OPTIONS too."""
    return list(_walk(script.statements))


def _walk(value: object) -> Iterator[Placeholder]:
    if isinstance(value, Placeholder):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _walk(item)
    elif is_dataclass(value):
        for field in fields(value):
            # What a relation can see stands elsewhere in the script, and is counted there.
            if field.name != "visible":
                yield from _walk(getattr(value, field.name))
