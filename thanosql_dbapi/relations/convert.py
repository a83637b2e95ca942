"""CONVERT: of the language, for families that turn inputs into vectors; none is here yet."""

from __future__ import annotations

from typing import NoReturn

from ..language.statements import Convert
from ..lowering import Scope
from ..models import families
from ..models.base import Verb


def convert_sql(statement: Convert, scope: Scope) -> NoReturn:
    """Refuse a CONVERT.

    Raises:
        NotSupportedError: the model's family has no CONVERT.
    """
    family = families.family(scope.resolve(statement.model.text).base)
    families.refuse(family, Verb.CONVERT)
