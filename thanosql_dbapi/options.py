"""The options of a statement: what is known, what was given, and what is wrong with it.

An option is described once, as an `OptionSpec`; the checks here and the reference in docs/ both
read that description. This module knows no statement.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .exceptions import OptionError, callers_level, nearest

#: `type` is the name of a field below, and no type there.
_Type: TypeAlias = type


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option: its name, type, default and meaning.

    `type` is one type, or several. `minimum` bounds numbers from below (exclusive where `above` is
    set) and `maximum` from above; `choices` are the only values of a text, or of a list's items;
    `aliases` are older spellings. `to_model` tells what the model itself is
    given from what names columns and tables, and `decides` what the prediction depends on from
    what only changes how it is reached.
    """

    name: str
    type: _Type | tuple[_Type, ...]
    default: Any
    help: str
    minimum: float | None = None
    above: bool = False
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    to_model: bool = True
    decides: bool = True

    @property
    def types(self) -> tuple[_Type, ...]:
        """The types that a value may have."""
        return self.type if isinstance(self.type, tuple) else (self.type,)

    def accepts(self) -> str:
        """Say in words which values are accepted."""
        return " or ".join(self._accepts(kind) for kind in self.types)

    def _accepts(self, kind: _Type) -> str:
        if self.choices and kind is str:
            return " or ".join(repr(choice) for choice in self.choices)
        bound = ""
        if kind in (int, float) and self.minimum is not None:
            bound = f" {'above' if self.above else 'of at least'} {self.minimum:g}"
        if kind in (int, float) and self.maximum is not None:
            bound += f" and at most {self.maximum:g}"
        return _KINDS[kind] + bound

    def read(self, value: Any) -> Any:
        """Return `value` in the option's type.

        Raises:
            OptionError: it is not one that the option takes.
        """
        if float in self.types and int not in self.types and type(value) is int:
            value = float(value)
        if isinstance(value, list):
            value = tuple(value)
        if type(value) in self.types and self._is_allowed(value):
            return value
        raise OptionError(f"{self.name}={value!r}: the option takes {self.accepts()}")

    def _is_allowed(self, value: Any) -> bool:
        if isinstance(value, tuple):
            return all(
                isinstance(item, str) and (not self.choices or item in self.choices)
                for item in value
            )
        if isinstance(value, str):
            return not self.choices or value in self.choices
        if isinstance(value, bool):
            return True
        return self._in_bounds(value)

    def _in_bounds(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.maximum is not None and not value <= self.maximum:
            return False
        if self.minimum is None:
            return True
        return bool(value > self.minimum) if self.above else bool(value >= self.minimum)


_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    tuple: "a list of such texts",
    type(None): "None",
}


def read_options(
    given: Iterable[tuple[str, Any]],
    specs: Sequence[OptionSpec],
    *,
    statement: str,
    elsewhere: Collection[str] = (),
) -> dict[str, Any]:
    """Check the options of a statement and complete them by their defaults.

    `elsewhere` are options of other verbs of the family: they pass with a warning, because the
    tutorials give PREDICT the options of BUILD.

    Raises:
        OptionError: an option is unknown, given under two names, or has a value of another type.
    """
    by_name = {name: spec for spec in specs for name in (spec.name, *spec.aliases)}
    values = {spec.name: spec.default for spec in specs}
    spelled: dict[str, str] = {}
    ignored = []
    for name, value in given:
        spec = by_name.get(name)
        if spec is None:
            _require_known(name, by_name, statement, elsewhere)
            ignored.append(name)
            continue
        if spec.name in spelled:
            raise OptionError(f"{name} and {spelled[spec.name]} are one option: give one of them")
        spelled[spec.name] = name
        values[spec.name] = spec.read(value)
    if ignored:
        listed = ", ".join(ignored)
        text = f"{statement} ignores options of other verbs: {listed}"
        warnings.warn(text, stacklevel=callers_level())
    return values


def _require_known(
    name: str, known: Iterable[str], statement: str, elsewhere: Collection[str]
) -> None:
    if name not in elsewhere:
        listed = ", ".join(sorted(known)) or "none"
        raise OptionError(
            f"{statement} has no option '{name}'.{nearest(name, known)} Its options: {listed}."
        )
