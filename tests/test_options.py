"""What an option takes, and what it says of what it does not take."""

from __future__ import annotations

import pytest

from thanosql_dbapi.exceptions import OptionError
from thanosql_dbapi.options import OptionSpec

PART = OptionSpec("validation", (float, str), "auto", "", minimum=0, maximum=0.9)
KINDS = OptionSpec("kinds", (str, tuple), "all", "", choices=("all", "speed", "noise"))
COUNT = OptionSpec("count", int, 1, "", minimum=1)
RATE = OptionSpec("rate", float, 1.0, "", minimum=0, above=True)


@pytest.mark.parametrize(
    ("spec", "given", "read"),
    [
        (PART, 0.1, 0.1),
        (PART, 0, 0.0),
        (PART, "SELECT 1", "SELECT 1"),
        (KINDS, "all", "all"),
        (KINDS, ["speed", "noise"], ("speed", "noise")),
        (KINDS, (), ()),
        (COUNT, 3, 3),
        (RATE, 2, 2.0),
    ],
)
def test_a_value_that_fits_is_read(spec: OptionSpec, given: object, read: object) -> None:
    assert spec.read(given) == read
    assert type(spec.read(given)) is type(read)


@pytest.mark.parametrize(
    ("spec", "given", "accepts"),
    [
        (PART, 0.95, "a number of at least 0 and at most 0.9 or a text"),
        (PART, -1, "a number of at least 0"),
        (PART, True, "a number"),
        (PART, float("nan"), "a number"),
        (KINDS, "nosie", "'all' or 'speed' or 'noise' or a list of such texts"),
        (KINDS, ["speed", "nosie"], "a list of such texts"),
        (KINDS, 1, "'all'"),
        (RATE, float("inf"), "a number above 0"),
        (COUNT, True, "a whole number of at least 1"),
        (COUNT, 1.0, "a whole number"),
        (RATE, 0, "a number above 0"),
    ],
)
def test_another_is_refused_with_what_fits(spec: OptionSpec, given: object, accepts: str) -> None:
    with pytest.raises(OptionError, match=f"{spec.name}=.*takes .*{accepts}"):
        spec.read(given)
