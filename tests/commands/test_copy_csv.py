"""COPY from text with delimiters: what is found out, what is said, and what is wrong where."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import thanosql_dbapi
from thanosql_dbapi import Connection, DataError, Error, OptionError

KOREAN = "이름,인사\n홍길동,안녕하세요\n김철수,반갑습니다\n"
LATE = dt.datetime.fromisoformat("2026-01-05 10:00:00")
GERMAN = "name,text\nJürgen,schöne Grüße\nÄrger,Äpfel\n"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        yield opened


def copied(connection: Connection, source: str, options: str = "") -> list[tuple[object, ...]]:
    connection.execute(f"COPY copied OPTIONS ({options}) FROM ?", [source])
    return connection.execute("FROM copied").fetchall()


def names(connection: Connection) -> list[str]:
    return [column[0] for column in connection.execute("FROM copied").description or ()]


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        ("a,b\n1,x\n", ["a", "b"], [(1, "x")]),
        ("a;b\n1;x\n", ["a", "b"], [(1, "x")]),
        ("a|b\n1|x\n", ["a", "b"], [(1, "x")]),
        ("a\tb\r\n1\tx\r\n", ["a", "b"], [(1, "x")]),
        ('a,b\n1,"two\nlines, ""quoted"""\n', ["a", "b"], [(1, 'two\nlines, "quoted"')]),
        ("1,2\n3,4\n", ["column0", "column1"], [(1, 2), (3, 4)]),
        ("\ufeffa,b\n1,x", ["a", "b"], [(1, "x")]),
        ("only\n1\n2\n", ["only"], [(1,), (2,)]),
        ("a,b\n", ["a", "b"], []),
        ("a,A,,b\n1,2,3,4\n", ["a", "A_1", "column2", "b"], [(1, 2, 3, 4)]),
        (KOREAN, ["이름", "인사"], [("홍길동", "안녕하세요"), ("김철수", "반갑습니다")]),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_a_csv_is_found_out(
    connection: Connection,
    tmp_path: Path,
    content: str,
    columns: list[str],
    rows: list[tuple[object, ...]],
    packing: str,
) -> None:
    path = tmp_path / f"x.csv{packing}"
    if packing == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    elif packing == ".zst":
        path.write_bytes(pa.compress(content.encode(), codec="zstd", asbytes=True))
    else:
        path.write_bytes(content.encode())
    assert copied(connection, path.name) == rows
    assert names(connection) == columns


def test_what_is_said_goes_before_what_is_found(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n7,1\n")
    assert copied(connection, "x.csv", "all_varchar=True") == [("7", "1")]
    replace = "if_exists='replace', "
    assert copied(connection, "x.csv", f"{replace}header=False") == [("a", "b"), ("7", "1")]
    assert copied(connection, "x.csv", f"{replace}delimiter=';'") == [("7,1",)]
    assert copied(connection, "x.csv", f"{replace}header=True, encoding='UTF8'") == [(7, 1)]


@pytest.mark.parametrize(
    ("text", "encoding", "likely", "line"),
    [
        (KOREAN, "cp949", "cp949", 1),
        (KOREAN, "euc-kr", "cp949", 1),
        ("a,b\n" + "1,x\n" * 50_000 + "2,한국어 문장\n", "cp949", "cp949", 50_002),
        (GERMAN, "cp1252", "cp1252", 2),
        (GERMAN, "latin-1", "cp1252", 2),
        ("a,b\n1,\x81é\n", "latin-1", "latin-1", 2),
        (KOREAN, "utf-16", "utf-16", 1),
        (GERMAN, "utf-16", "utf-16", 1),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_another_encoding_is_named_and_then_read(
    connection: Connection,
    tmp_path: Path,
    text: str,
    encoding: str,
    likely: str,
    line: int,
    packing: str,
) -> None:
    content = text.encode(encoding)
    (tmp_path / f"x.csv{packing}").write_bytes(gzip.compress(content) if packing else content)
    (tmp_path / "utf8.csv").write_text(text, "utf-8", newline="")
    with pytest.raises(DataError, match=rf"is not UTF-8: line {line} .*encoding='{likely}'"):
        copied(connection, f"x.csv{packing}")
    found = copied(connection, f"x.csv{packing}", f"encoding='{likely}'")
    assert found == copied(connection, "utf8.csv", "if_exists='replace'")
    assert found


def test_a_wrong_encoding_is_told(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(GERMAN.encode("latin-1"))
    with pytest.raises(DataError, match="'x.csv' is not cp949, or not alone: .* line .* 0xfc"):
        copied(connection, "x.csv", "encoding='cp949'")
    for name in ("no-such", "base64", "undefined"):
        with pytest.raises(OptionError, match=f"encoding='{name}': no such encoding is known"):
            copied(connection, "x.csv", f"encoding='{name}'")


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("many,x", "'x.csv', line 30002, column n: 'many' is no BIGINT, .*all_varchar=True"),
        ("1,x,y", "'x.csv', line 30002: 3 columns, where the rows before have 2$"),
        ('1,"x', "'x.csv', line 30002: a quote is opened and never closed$"),
    ],
)
def test_an_error_has_its_line(
    connection: Connection, tmp_path: Path, last: str, message: str
) -> None:
    rows = "".join(f'{i},"text {i}"\n' for i in range(30_000))
    (tmp_path / "good.csv").write_text("n,text\n1,x\n")
    (tmp_path / "x.csv").write_text(f"n,text\n{rows}{last}\n")
    for source in ("x.csv", "*.csv"):
        with pytest.raises(DataError, match=message) as caught:
            copied(connection, source)
        assert len(str(caught.value)) < 200
    if "BIGINT" in message:
        assert len(copied(connection, "x.csv", "all_varchar=True")) == 30_001


@pytest.mark.parametrize(
    ("last", "kinds", "read"),
    [
        ("1.5,2026-01-05", ["DOUBLE", "DATE"], (1.5, dt.date(2026, 1, 5))),
        ('"1.5",', ["DOUBLE", "DATE"], (1.5, None)),
        ("1,2026-01-05 10:00:00", ["BIGINT", "TIMESTAMP"], (1, LATE)),
        (",2026-01-05", ["BIGINT", "DATE"], (None, dt.date(2026, 1, 5))),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_nothing_of_a_late_value_is_lost(
    connection: Connection,
    tmp_path: Path,
    last: str,
    kinds: list[str],
    read: tuple[object, ...],
    begun: bool,
) -> None:
    rows = "1,2026-01-05\n" * 30_000
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(f"n,day\n{rows}{last}\n".encode()))
    if begun:
        connection.begin()
    assert copied(connection, "x.csv.gz")[30_000] == read
    description = connection.execute("FROM copied").description or ()
    assert [str(column[1]) for column in description] == kinds


@pytest.mark.parametrize("day", ["05-01-26", "31/01/2026", "2026/01/31", "20260131"])
def test_dates_of_a_long_file_are_those_of_a_short_one(
    connection: Connection, tmp_path: Path, day: str
) -> None:
    (tmp_path / "short.csv").write_text(f"day,n\n{day},1\n")
    (tmp_path / "long.csv").write_text("day,n\n" + f"{day},1\n" * 30_000)
    expected = copied(connection, "short.csv")
    assert set(copied(connection, "long.csv", "if_exists='replace'")) == set(expected)


def test_a_mark_goes_before_quotes(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbf"a","b"\n1,x\n')
    assert copied(connection, "x.csv") == [(1, "x")]
    assert names(connection) == ["a", "b"]


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zst"])
def test_what_is_not_packed_is_told(connection: Connection, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=f"'{name}' is not packed as its name says"):
        copied(connection, name)


def test_what_breaks_off_packed_is_told(connection: Connection, tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * 7919 % 10007}\n" for i in range(60_000))
    content = gzip.compress(f"a,b\n{rows}".encode())
    (tmp_path / "x.csv.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(Error, match="x.csv.gz"):
        copied(connection, "x.csv.gz")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told(connection: Connection, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match="'x.csv' is empty"):
        copied(connection, "x.csv")


def test_lines_that_are_left_out_are_warned_of(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("made by a program\n\nname;value\na;1\nb;2\n")
    with pytest.warns(UserWarning, match="'x.csv': the first 2 lines .* were left out"):
        assert copied(connection, "x.csv") == [("a", 1), ("b", 2)]


def test_several_go_together_by_name(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep").mkdir()
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b" / "1.csv").write_text("y,z\n3,c\n")
    (tmp_path / "b" / "deep" / "2.csv").write_text("x\n4\n")
    (tmp_path / "b" / ".hidden.csv").write_text("x\n5\n")
    assert copied(connection, "**/*.csv") == [(1, 2, None), (None, 3, "c"), (4, None, None)]
    assert names(connection) == ["x", "y", "z"]
    replace = "if_exists='replace'"
    assert copied(connection, "b/?.csv", replace) == [(3, "c")]
    assert copied(connection, f"{tmp_path}/b/**/[0-9].csv", replace) == [
        (3, "c", None),
        (None, None, 4),
    ]
    (tmp_path / "q[1].csv").write_text("x\n6\n")
    assert copied(connection, "q[1].csv", replace) == [(6,)]


def test_a_root_with_the_signs_of_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    root = tmp_path / "a[b]*"
    root.mkdir()
    (root / "x.csv").write_text("a\n1\n")
    with thanosql_dbapi.connect(root=root) as connection:
        assert copied(connection, "*.csv") == [(1,)]
        assert copied(connection, "**/x.csv", "if_exists='append'") == [(1,), (1,)]
