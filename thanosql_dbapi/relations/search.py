"""SEARCH: of the language, for families that compare inputs; none is here yet."""

from __future__ import annotations

from typing import NoReturn

from ..language.statements import Search
from ..lowering import Scope
from ..models import families
from ..models.base import Verb


def search_sql(statement: Search, scope: Scope) -> NoReturn:
    """Refuse a SEARCH.

    Raises:
        NotSupportedError: the model's family has no SEARCH.
    """
    family = families.family(scope.resolve(statement.model.text).base)
    families.refuse(family, Verb.SEARCH)
