"""The public DB-API 2.0 suite, with its documented by-design overrides only."""

from __future__ import annotations

import dbapi20

import thanosql_dbapi


class TestCompliance(dbapi20.DatabaseAPI20Test):
    driver = thanosql_dbapi
    connect_args = (":memory:dbapi20",)

    # DuckDB forgets a named memory with its last connection: the suite closes and comes back.
    def setUp(self) -> None:
        self._kept = thanosql_dbapi.connect(":memory:dbapi20")

    def tearDown(self) -> None:
        super().tearDown()
        self._kept.close()

    def test_nextset(self) -> None:
        """There is none: the attribute is optional, and a script keeps its last result."""
        with thanosql_dbapi.connect() as connection:
            assert not hasattr(connection.cursor(), "nextset")

    def test_setoutputsize(self) -> None:
        """The suite leaves the real test to the driver: whole values come, whatever was asked."""
        with thanosql_dbapi.connect() as connection:
            cursor = connection.cursor()
            cursor.setoutputsize(3)
            cursor.setoutputsize(3, 0)
            assert cursor.execute("SELECT repeat('x', 10000)").fetchone() == ("x" * 10000,)

    def test_non_idempotent_close(self) -> None:
        """ "Reasonable persons differ", says the suite: here closing twice is harmless."""
        connection = thanosql_dbapi.connect()
        connection.close()
        connection.close()
        assert connection.closed


def test_the_suite_is_whole() -> None:
    tests = [name for name in dir(TestCompliance) if name.startswith("test_")]
    assert len(tests) == 36
    ours = {name for name in vars(TestCompliance) if name.startswith("test_")}
    assert ours == {"test_nextset", "test_setoutputsize", "test_non_idempotent_close"}
