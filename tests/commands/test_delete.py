"""DELETE MODEL: in every spelling; what is gone, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    ModelNotFound,
    NotSupportedError,
    ProgrammingError,
    ThanoSQLSyntaxError,
)


@pytest.fixture
def connection(echo: Echo, tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        yield opened


def models(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM (LIST MODEL)").fetchall()]


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("mymodel", "DELETE MODEL mymodel"),
        ("mymodel", "delete model MyModel;"),
        ("mymodel", "Delete\n\tModel /* the old one */ mymodel -- gone"),
        ("mymodel", "-- first\nDELETE MODEL 'mymodel'"),
        ("my model", 'DELETE MODEL "my model"'),
        ("my model", "DELETE MODEL 'MY MODEL' ;"),
        ("it's", 'DELETE MODEL "it\'s"'),
        ("모델", "DELETE MODEL 모델"),
        ("model", "DELETE MODEL model"),
    ],
)
def test_every_spelling_deletes(connection: Connection, name: str, sql: str) -> None:
    publish_echo(connection, name)
    publish_echo(connection, "other")
    assert [each.casefold() for (each,) in connection.execute(sql).fetchall()] == [name]
    assert models(connection) == ["other"]
    with pytest.raises(ModelNotFound, match="no model"):
        connection.execute(sql)


def test_a_deleted_model_is_gone_for_views_and_comes_back(connection: Connection) -> None:
    publish_echo(connection, "m")
    connection.execute("CREATE TABLE t AS SELECT 'a.wav' AS audio_path")
    connection.execute("CREATE VIEW heard AS PREDICT USING m AS FROM t")
    connection.execute("DELETE MODEL m")
    assert connection.execute("LIST TABLE").fetchall() == [("heard",), ("t",)]
    with pytest.raises(ModelNotFound):
        connection.execute("FROM heard").fetchall()
    connection.execute("SELECT thanosql_undelete('m')").fetchall()
    assert len(connection.execute("FROM heard").fetchall()) == 1


def test_a_script_goes_on_after_a_delete(connection: Connection) -> None:
    for name in ("a", "b"):
        publish_echo(connection, name)
    found = connection.execute("DELETE MODEL a; DELETE MODEL b; SELECT count(*) FROM (LIST MODEL)")
    assert found.fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("DELETE MODEL none", ModelNotFound, "'none'"),
        ("DELETE MODEL mymodle", ModelNotFound, "Did you mean 'mymodel'"),
        ('DELETE MODEL "mymodel@1"', ModelNotFound, "takes a model with all its versions"),
        ("DELETE MODEL voice_tiny", NotSupportedError, "comes with the package"),
        ("DELETE MODEL", ThanoSQLSyntaxError, "name of a model"),
        ("DELETE MODELS mymodel", ThanoSQLSyntaxError, "Did you mean 'MODEL'"),
        ("DELETE MODEL mymodel other", ThanoSQLSyntaxError, "end"),
        ("DELETE MODEL my-model", ThanoSQLSyntaxError, "needs quotes"),
        ("DELETE MODEL mymodel OPTIONS (overwrite=True)", ThanoSQLSyntaxError, "end"),
        ("SELECT * FROM (DELETE MODEL mymodel)", ThanoSQLSyntaxError, "only stand at top level"),
        ("DELETE FROM mymodel", ProgrammingError, "mymodel"),
    ],
)
def test_what_cannot_be_deleted_is_told(
    connection: Connection, sql: str, error: type[Exception], message: str
) -> None:
    publish_echo(connection, "mymodel")
    with pytest.raises(error, match=message):
        connection.execute(sql)
    assert models(connection) == ["mymodel"]


def test_a_table_called_model_is_still_a_table(connection: Connection) -> None:
    connection.execute("CREATE TABLE model AS SELECT 1 AS a")
    publish_echo(connection, "m")
    connection.execute("DELETE FROM model WHERE a = 1")
    assert connection.execute("SELECT count(*) FROM model").fetchall() == [(0,)]
    assert models(connection) == ["m"]


def test_a_model_is_deleted_through_sqlalchemy(echo: Echo, tmp_path: Path) -> None:
    with thanosql_dbapi.connect(tmp_path / "x.db") as connection:
        publish_echo(connection, "m")
    engine = sqlalchemy.create_engine(f"thanosql:///{tmp_path / 'x.db'}")
    with engine.begin() as opened:
        assert opened.execute(sqlalchemy.text("DELETE MODEL m")).fetchall() == [("m",)]
        assert opened.execute(sqlalchemy.text("LIST MODEL")).fetchall() == []
    engine.dispose()
