"""LIST: in every spelling, wherever a relation may stand, and where there is nothing to list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy
from conftest import publish_echo
from echo import Echo

import thanosql_dbapi
from thanosql_dbapi import Connection, ThanoSQLSyntaxError
from thanosql_dbapi.assets import CATALOGUE, DATASETS

TABLE = {"table_name": "VARCHAR"}
CATALOGUED = {"name": "VARCHAR", "class_name": "VARCHAR", "last_updated_utc": "TIMESTAMP"}
KEPT = {**CATALOGUED, "published": "BOOLEAN"}
DATASET = {"name": "VARCHAR", "data_type": "VARCHAR"}

SPELLINGS = {
    "LIST TABLE": TABLE,
    "LIST TABLES": TABLE,
    "LIST MODEL": KEPT,
    "LIST MODELS": KEPT,
    "LIST THANOSQL MODEL": CATALOGUED,
    "LIST THANOSQL MODELS": CATALOGUED,
    "LIST THANOSQL_MODEL": CATALOGUED,
    "LIST THANOSQL DATASET": DATASET,
    "LIST THANOSQL DATASETS": DATASET,
    "LIST THANOSQL_DATASET": DATASET,
}

PLACES = (
    *("{}", "{};", "({})", "SELECT * FROM ({})", "SELECT l.* FROM ({}) AS l", "FROM ({})"),
    *("WITH l AS ({}) SELECT * FROM l", "SELECT * FROM ({}) WHERE true ORDER BY 1 LIMIT 1000"),
    "SELECT l.* FROM ({}) l JOIN (SELECT 1 AS one) ON one = 1",
)


@pytest.fixture
def connection(echo: Echo, tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        yield opened


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Connection:
    """A database where there is nothing at all to list."""
    monkeypatch.setattr("thanosql_dbapi.functions.listed.CATALOGUE", {})
    monkeypatch.setattr("thanosql_dbapi.functions.listed.DATASETS", {})
    return connection


def columns(connection: Connection, sql: str) -> dict[str, str]:
    return {each[0]: str(each[1]) for each in connection.execute(sql).description or ()}


def spelled(sql: str) -> list[str]:
    noisy = sql.replace(" ", "\n/* all */\t-- of them\n")
    return [sql, sql.lower(), sql.title(), f"  {noisy}\n", f"-- first\n{sql} -- last"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sql", SPELLINGS)
def test_every_spelling_lists_the_same(connection: Connection, sql: str, place: str) -> None:
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    publish_echo(connection, "m")
    expected = sorted(connection.execute(sql).fetchall())
    assert expected
    for written in spelled(sql):
        found = place.format(f"{written}\n")
        assert sorted(connection.execute(found).fetchall()) == expected
        assert columns(connection, found) == SPELLINGS[sql]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sql", SPELLINGS)
def test_an_empty_list_is_an_empty_result(empty: Connection, sql: str, place: str) -> None:
    assert empty.execute(place.format(sql)).fetchall() == []
    assert columns(empty, place.format(sql)) == SPELLINGS[sql]
    assert empty.execute(f"SELECT count(*) FROM ({sql})").fetchall() == [(0,)]


def test_what_is_listed(connection: Connection) -> None:
    connection.execute("CREATE TABLE b AS SELECT 1 AS a; CREATE VIEW a AS FROM b")
    connection.execute("CREATE TEMP TABLE c AS SELECT 1 AS a; CREATE SCHEMA s")
    connection.execute("CREATE TABLE s.elsewhere AS SELECT 1 AS a")
    assert connection.execute("LIST TABLE").fetchall() == [("a",), ("b",), ("c",)]
    publish_echo(connection, "My Model")
    ((name, base, when, published),) = connection.execute("LIST MODEL").fetchall()
    assert (name, base, published) == ("My Model", "Echo", True)
    age = dt.datetime.now(dt.UTC).replace(tzinfo=None) - when
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=5)
    names = {row[0] for row in connection.execute("LIST THANOSQL MODEL").fetchall()}
    assert names == {entry.name for entry in CATALOGUE.values()}
    rows = connection.execute("LIST THANOSQL DATASET").fetchall()
    assert sorted(rows) == sorted((d.name, d.data_type) for d in DATASETS.values())


def test_a_list_is_a_relation_like_any_other(connection: Connection) -> None:
    connection.execute("CREATE VIEW offered AS LIST THANOSQL MODEL")
    connection.execute("CREATE TABLE kept AS SELECT name FROM (LIST THANOSQL MODELS)")
    connection.execute("INSERT INTO kept SELECT name FROM (LIST THANOSQL DATASETS)")
    expected = len(CATALOGUE) + len(DATASETS)
    assert connection.execute("SELECT count(*) FROM kept").fetchall() == [(expected,)]
    counted = connection.execute(
        "SELECT count(*) FROM offered JOIN (LIST THANOSQL MODEL) AS l USING (name)"
        " WHERE EXISTS (LIST TABLE) AND name IN (SELECT name FROM (LIST THANOSQL MODEL))"
    )
    assert counted.fetchall() == [(len(CATALOGUE),)]
    whisper = "SELECT name FROM (LIST THANOSQL MODEL) WHERE class_name = ? ORDER BY name"
    assert connection.execute(whisper, ["Whisper"]).fetchall() == [("whisper_l",), ("whisper_s",)]
    assert ("offered",) in connection.execute("(LIST TABLE) UNION (LIST TABLES)").fetchall()


def test_a_view_over_a_list_stays_current(connection: Connection) -> None:
    connection.execute("CREATE VIEW mine AS SELECT name FROM (LIST MODEL)")
    assert connection.execute("FROM mine").fetchall() == []
    publish_echo(connection, "m")
    assert connection.execute("FROM mine").fetchall() == [("m",)]


@pytest.mark.parametrize(
    "sql", ["LIST MODEL x", "LIST", "LIST THANOSQL", "LIST THANOSQL TABLE", "LIST MODEL OPTIONS ()"]
)
def test_what_is_no_list_is_told(connection: Connection, sql: str) -> None:
    with pytest.raises(ThanoSQLSyntaxError):
        connection.execute(sql)


def test_lists_reach_sqlalchemy_and_pandas(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"thanosql:///{tmp_path / 'x.db'}")
    with engine.connect() as opened:
        assert opened.execute(sqlalchemy.text("LIST MODEL")).fetchall() == []
        frame = pd.read_sql("SELECT * FROM (LIST THANOSQL MODEL)", opened)
        assert list(frame.columns) == list(CATALOGUED)
        assert set(frame["name"]) == {entry.name for entry in CATALOGUE.values()}
        assert pd.read_sql("LIST TABLES", opened).shape == (0, 1)
    engine.dispose()
