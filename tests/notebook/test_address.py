"""Database URLs, the line behind the magic's name, and which database a notebook uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import thanosql_dbapi
from sqlalchemy_dialect.address import DRIVER_OPTIONS
from thanosql_dbapi import OperationalError, ProgrammingError
from thanosql_dbapi.notebook.address import OPTIONS, Address, read_address
from thanosql_dbapi.notebook.current import Current
from thanosql_dbapi.notebook.request import Request, read_request


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("thanosql://", ":memory:"),
        ("thanosql:///", ":memory:"),
        ("thanosql:///:memory:", ":memory:"),
        ("thanosql:///calls.db", "calls.db"),
        ("thanosql:///my calls.db", "my calls.db"),
        ("thanosql:////data/calls.db", "/data/calls.db"),
        ("thanosql:///~/calls.db?threads=2", "~/calls.db"),
        ("THANOSQL+duckdb:///a/b.db", "a/b.db"),
    ],
)
def test_a_url_names_a_database(url: str, database: str) -> None:
    assert read_address(url).database == database


def test_a_url_gives_options_and_settings() -> None:
    read = read_address(
        "thanosql:///a.db?root=demo&read_only=true&checkpoints=A:/a&checkpoints=B:b/c&threads=2"
    )
    assert read.options == {
        "root": "demo",
        "read_only": True,
        "checkpoints": {"A": "/a", "B": "b/c"},
    }
    assert read.settings == {"threads": "2"}


def test_the_options_are_those_of_the_dialect() -> None:
    assert set(OPTIONS) == set(DRIVER_OPTIONS)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ws://10.0.0.1/ws/v1/query?api_token=s3cret", "ws:// is the address of a server"),
        ("https://user:s3cret@host/", "https:// is the address of a server"),
        ("postgresql://user:s3cret@host/db", "'postgresql://' is no database URL"),
        ("thanosql://user:s3cret@host/a.db", "no host and no user"),
        ("thanosql:///a.db?read_only=s3cret", "read_only is true or false"),
        ("thanosql:///a.db?root=s3cret&root=b", "root more than once"),
        ("calls.db", "thanosql:///file.db"),
    ],
)
def test_a_wrong_url_is_told_and_not_repeated(url: str, told: str) -> None:
    with pytest.raises(ProgrammingError) as raised:
        read_address(url)
    assert told in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("name", ["TimeZone", "timezone"])
def test_a_setting_is_known_in_any_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, str]] = []
    address = read_address(f"thanosql://?{name}=Asia/Seoul")
    connect = thanosql_dbapi.connect

    def without_settings(*_: object, config: dict[str, str] | None = None, **__: object) -> Any:
        opened.append(dict(config or {}))  # DuckDB's extension icu may be missing
        return connect()

    monkeypatch.setattr("thanosql_dbapi.notebook.address.connect", without_settings)
    address.open(None).close()
    assert opened[-1] == {name: "Asia/Seoul"}


@pytest.mark.parametrize(("name", "near"), [("rot", "root"), ("thraeds", "threads")])
def test_an_unknown_option_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(
        ProgrammingError, match=f"'{name}' is no option.*Did you mean '{near}'"
    ) as e:
        read_address(f"thanosql://?{name}=s3cret").open(None)
    assert "s3cret" not in str(e.value)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("", Request()),
        ("SELECT 1", Request(sql="SELECT 1")),
        ("API_TOKEN=abc=d", Request(setting=("API_TOKEN", "abc=d"))),
        ("rows = 50", Request(setting=("rows", "50"))),
        ("thanosql:// ROWS=5", Request(url="thanosql://", setting=("ROWS", "5"))),
        ("thanosql:///a.db", Request(url="thanosql:///a.db")),
        ('"thanosql:///a b.db" SELECT 1', Request(url="thanosql:///a b.db", sql="SELECT 1")),
        ("thanosql:// df << SELECT 1", Request(url="thanosql://", target="df", sql="SELECT 1")),
        ("df <<", Request(target="df")),
        ("df<< SELECT 1 << 2", Request(target="df", sql="SELECT 1 << 2")),
        ("SELECT 1 << 2", Request(sql="SELECT 1 << 2")),
        ("SELECT a='x://y'", Request(sql="SELECT a='x://y'")),
    ],
)
def test_a_line_says_where_what_and_sql(line: str, request_: Request) -> None:
    assert read_request(line) == request_


# --- which database -------------------------------------------------------------------------


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Current]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THANOSQL_URL", raising=False)
    made = Current(None)
    yield made
    made.close()


def test_the_default_is_a_file_in_the_current_folder(current: Current, tmp_path: Path) -> None:
    assert not current.is_open
    assert not (tmp_path / "thanosql.db").exists()
    current.connection().execute("CREATE TABLE t AS SELECT 1 AS a")
    current.close()
    assert (tmp_path / "thanosql.db").is_file()
    assert current.connection().execute("SELECT a FROM t").fetchall() == [(1,)]


def test_the_environment_goes_before_the_default(
    current: Current, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_URL", "thanosql:///env.db")
    current.connection()
    assert (tmp_path / "env.db").is_file()


def test_a_wrong_url_of_the_environment_is_told_as_such(
    current: Current, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THANOSQL_URL", "http://host?token=s3cret")
    with pytest.raises(ProgrammingError, match="the environment's THANOSQL_URL: http://") as raised:
        current.connection()
    assert "s3cret" not in str(raised.value)


def test_another_url_closes_the_former_database(current: Current) -> None:
    former = current.connection()
    assert current.switch(Address("other.db")) == ""
    assert former.closed
    assert not current.connection().closed
    assert current.switch(Address(":memory:")) == ""
    assert "in memory was closed" in current.switch(Address("thanosql.db"))


def test_the_same_file_is_opened_anew_with_other_options(current: Current) -> None:
    current.connection().execute("CREATE TABLE t AS SELECT 1 AS a")
    current.switch(Address("thanosql.db", {"read_only": True}))
    with pytest.raises(ProgrammingError, match="read-only"):
        current.connection().execute("INSERT INTO t VALUES (2)")


def test_where_another_cannot_be_opened_the_former_stays(current: Current, tmp_path: Path) -> None:
    current.switch(Address(":memory:"))
    current.connection().execute("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(OperationalError) as raised:
        current.switch(Address("nowhere/a.db"))
    assert "No such file" in str(raised.value)
    assert "another notebook" not in str(raised.value)
    assert current.connection().execute("SELECT a FROM t").fetchall() == [(1,)]
