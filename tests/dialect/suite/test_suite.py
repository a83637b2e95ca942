"""SQLAlchemy's compliance suite, on the dialect."""

from typing import Any
from unittest import mock

from sqlalchemy.testing.suite import *  # noqa: F403
from sqlalchemy.testing.suite import ComponentReflectionTest as _ComponentReflectionTest


class ComponentReflectionTest(_ComponentReflectionTest):
    """The suite's class, but for the names of constraints, of which DuckDB 2.0 keeps none.

    It wants constraints in the order of their names; here they may come in any, under any name.
    """

    def exp_ucs(self, *arguments: Any, **kw: Any) -> Any:
        return nameless(super().exp_ucs(*arguments, **kw))

    def exp_ccs(self, *arguments: Any, **kw: Any) -> Any:
        return nameless(super().exp_ccs(*arguments, **kw))

    def _check_list(
        self, result: list[Any], exp: list[Any], req_keys: Any = None, msg: Any = None
    ) -> None:
        constraints = (
            self._required_fk_keys,
            self._required_unique_cst_keys,
            self._required_cc_keys,
        )
        if req_keys in constraints:
            result = in_order_of(exp, result, req_keys)
        super()._check_list(result, exp, req_keys, msg)


def nameless(expected: dict[Any, list[dict[str, Any]]]) -> dict[Any, list[dict[str, Any]]]:
    """Expect constraints of any name."""
    for constraints in expected.values():
        for constraint in constraints:
            constraint["name"] = mock.ANY
    return expected


def in_order_of(expected: list[Any], found: list[Any], keys: set[str]) -> list[Any]:
    """Return what was found beside what is equal to it; what has no equal comes last."""
    rest, ordered = list(found), []
    for wanted in expected:
        for item in rest:
            if all(item.get(key) == wanted.get(key) for key in keys):
                ordered.append(item)
                rest.remove(item)
                break
    return ordered + rest
