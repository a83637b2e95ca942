"""What the dialect's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine on a database in memory."""
    made = create_engine("thanosql://")
    yield made
    made.dispose()
