"""COPY: tables from files and folders."""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import thanosql_dbapi
from thanosql_dbapi import (
    Connection,
    DataError,
    Error,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    OptionError,
    ProgrammingError,
    QueryInterrupted,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    (tmp_path / "calls.csv").write_text("audio_path,text\na.wav,hello\nb.wav,안녕\n", "utf-8")
    (tmp_path / "more.csv").write_text("text,audio_path\nbye,c.wav\n")
    (tmp_path / "other.csv").write_text("x;y\n1;2.5\n")
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        opened.execute(f"COPY (SELECT 7 AS n) TO '{tmp_path / 'n.parquet'}'")
        yield opened


def test_a_csv_becomes_a_table_once(connection: Connection) -> None:
    cursor = connection.execute("COPY calls FROM 'calls.csv'")
    assert cursor.fetchall() == [("calls", 2)]
    assert connection.execute("FROM calls").fetchall() == [("a.wav", "hello"), ("b.wav", "안녕")]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("COPY calls OPTIONS (if_exists='replace') FROM 'more.csv'", [("bye", "c.wav")]),
        ('COPY calls OPTIONS(overwrite =True) FROM "more.csv"', [("bye", "c.wav")]),
        ("COPY calls OPTIONS (if_exists='append') FROM 'more.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕"), ("c.wav", "bye")]),
        ("COPY other OPTIONS (if_exists='append') FROM 'other.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕")]),
        ("COPY calls FROM 'calls.csv'",
         [("a.wav", "hello"), ("b.wav", "안녕"), ("a.wav", "hello"), ("b.wav", "안녕")]),
    ],
)  # fmt: skip
def test_what_happens_where_the_table_exists(
    connection: Connection, sql: str, rows: list[tuple[str, str]]
) -> None:
    connection.execute("COPY calls FROM 'calls.csv'")
    connection.execute(sql)
    assert connection.execute("FROM calls").fetchall() == rows


def test_other_delimiters_parquet_and_parameters(connection: Connection) -> None:
    connection.execute("COPY other OPTIONS (if_exists=?) FROM ?", ["fail", "other.csv"])
    assert connection.execute("FROM other").fetchall() == [(1, 2.5)]
    connection.execute("COPY main.n FROM 'n.parquet'")
    assert connection.execute("FROM n").fetchall() == [(7,)]
    connection.execute('COPY "odd ""name" FROM \'n.parquet\'')
    assert connection.execute('FROM "odd ""name"').fetchall() == [(7,)]


def write_bad_sources(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("a,b\n1,ok\n2,caf\xe9\n".encode("latin-1"))
    (folder / "broken.csv").write_text('a,b\n1,"never closed\n2,3\n' * 3)
    (folder / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (folder / "nothing").mkdir()
    (folder / "notes.md").write_text("# hello")
    (folder / "fake.parquet").write_text("no parquet")


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("COPY calls OPTIONS () FROM 'more.csv'", ProgrammingError, "if_exists='replace'"),
        ("COPY calls OPTIONS (if_exists='fail') FROM 'more.csv'", ProgrammingError, "exists"),
        ("COPY calls OPTIONS (if_exists='drop') FROM 'more.csv'", OptionError,
         "'fail' or 'replace' or 'append'"),
        ("COPY calls OPTIONS (overwrite='yes') FROM 'more.csv'", OptionError, "True or False"),
        ("COPY calls OPTIONS (ifexists='append') FROM 'more.csv'", OptionError,
         "Did you mean 'if_exists'"),
        ("COPY calls OPTIONS (overwrite=True, if_exists='fail') FROM 'more.csv'", OptionError,
         "one option"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'gone.csv'", OperationalError,
         "no file or folder 'gone.csv' .*start from"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'latin.csv'", DataError,
         "'latin.csv' is not UTF-8: line 3 holds the byte 0xe9"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'fake.parquet'", Error, "parquet"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'model.pkl'", NotSupportedError, "pickle"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'nothing'", DataError,
         "the folder 'nothing' holds no audio, image or video file$"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'notes.md'", NotSupportedError, "notes.md"),
        ("COPY calls OPTIONS (overwrite=True) FROM '[{\"a\": 1]'", DataError,
         "Malformed JSON in the JSON in the statement"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'nosuch://bucket/x.csv'", OperationalError,
         "no file system is known for nosuch"),
        ("COPY calls OPTIONS (overwrite=True) FROM 'none*.csv'", OperationalError,
         r"no file fits the pattern 'none\*.csv'"),
        ("COPY calls OPTIONS (overwrite=True) FROM '*.*'", NotSupportedError,
         "'model.pkl' is a pickle"),
        ("COPY calls OPTIONS (overwrite=True) FROM '[cf]*.*'", OptionError,
         "several kinds, csv, parquet: write the suffix in the pattern"),
        ("COPY calls OPTIONS (overwrite=True, sheet=2) FROM 'more.csv'", OptionError,
         "the option sheet is for a spreadsheet, and 'more.csv' is none"),
        ("COPY calls OPTIONS (if_exists='append') FROM 'other.csv'", ProgrammingError,
         "'other.csv' has columns that calls has not: x, y; the table has audio_path, text"),
    ],
)  # fmt: skip
def test_a_failure_leaves_the_table_as_it_was(
    connection: Connection, tmp_path: Path, sql: str, error: type[Exception], message: str
) -> None:
    write_bad_sources(tmp_path)
    connection.execute("COPY calls FROM 'calls.csv'")
    with pytest.raises(error, match=message):
        connection.execute(sql)
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(2,)]


# --- the table ------------------------------------------------------------------------------


def test_a_table_is_found_under_any_of_its_names(connection: Connection, tmp_path: Path) -> None:
    connection.execute("CREATE SCHEMA s")
    connection.execute(f"ATTACH '{tmp_path / 'other.db'}' AS o")
    connection.execute("CREATE TEMP TABLE scratch (audio_path VARCHAR, text VARCHAR)")
    for name in ("s.calls", 's."two words"', "o.calls", "o.main.more", '"Calls"'):
        assert connection.execute(f"COPY {name} FROM 'calls.csv'").fetchall() == [(name, 2)]
        with pytest.raises(ProgrammingError, match="exists already"):
            connection.execute(f"COPY {name} OPTIONS () FROM 'calls.csv'")
        for mode, count in (("append", 4), ("replace", 2)):
            connection.execute(f"COPY {name} OPTIONS (if_exists='{mode}') FROM 'calls.csv'")
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchall() == [(count,)]
    with pytest.raises(ProgrammingError, match="exists already"):
        connection.execute("COPY scratch OPTIONS () FROM 'calls.csv'")
    connection.execute("COPY scratch OPTIONS (if_exists='append') FROM 'calls.csv'")
    assert connection.execute("SELECT count(*) FROM scratch").fetchall() == [(2,)]
    with pytest.raises(ProgrammingError, match="none"):
        connection.execute("COPY none.calls FROM 'calls.csv'")


def test_a_table_is_no_file_and_no_variable(connection: Connection) -> None:
    calls = [(1,)]  # DuckDB would read a variable of this name, and a file
    connection.execute("COPY \"calls.csv\" FROM 'calls.csv'")
    assert connection.execute("LIST TABLE").fetchall() == [("calls.csv",)]
    connection.execute("COPY calls FROM 'calls.csv'")
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["calls", "temp.calls", '"CALLS"'])
def test_a_temporary_table_is_replaced_by_one(connection: Connection, name: str) -> None:
    connection.execute("CREATE TEMP TABLE calls AS SELECT 1 AS n")
    connection.execute(f"COPY {name} OPTIONS (if_exists='replace') FROM 'n.parquet'")
    assert connection.execute("FROM calls").fetchall() == [(7,)]
    connection.execute("COPY temp.fresh FROM 'n.parquet'")
    temporary = "SELECT lower(table_name) FROM duckdb_tables() WHERE temporary ORDER BY ALL"
    assert connection.execute(temporary).fetchall() == [("calls",), ("fresh",)]
    connection.execute("COPY memory.main.calls FROM 'calls.csv'")
    assert connection.execute("SELECT count(*) FROM memory.main.calls").fetchall() == [(2,)]


@pytest.mark.parametrize("name", ["n[1].csv", "n*.csv", "n?.csv", "n[1].jsonl", "n[1].parquet"])
def test_a_file_called_like_a_pattern_is_that_file(tmp_path: Path, name: str) -> None:
    root = tmp_path / "a[b]*"
    root.mkdir()
    with thanosql_dbapi.connect(root=root) as connection:
        for each, n in (("n.csv", 0), (name.replace("[1]", "1"), 2), (name, 1)):
            kind = "json" if each.endswith("jsonl") else each.rpartition(".")[2]
            connection.execute(f"COPY (SELECT {n} AS n) TO '{root / each}' (FORMAT {kind})")
        for how in ("", "", "OPTIONS (if_exists='append')"):  # the second one is DuckDB's append
            connection.execute(f"COPY kept {how} FROM ?", [name])
        assert connection.execute("FROM kept").fetchall() == [(1,)] * 3
        connection.execute("COPY kept FROM 'n.cs?'")
        assert connection.execute("FROM kept OFFSET 3").fetchall() == [(0,)]


def test_what_the_system_refuses_is_told(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OperationalError, match="COPY calls: .*No such file or directory"):
        connection.execute("COPY calls FROM 'calls.csv'")


@pytest.mark.parametrize("mode", ["fail", "replace", "append"])
def test_a_view_is_no_table(connection: Connection, mode: str) -> None:
    connection.execute("CREATE VIEW calls AS SELECT 1 AS audio_path")
    with pytest.raises(ProgrammingError, match="calls is a view"):
        connection.execute(f"COPY calls OPTIONS (if_exists='{mode}') FROM 'calls.csv'")


def test_a_database_that_is_only_read_is_no_fault_of_the_data(tmp_path: Path) -> None:
    thanosql_dbapi.connect(tmp_path / "x.db").close()
    (tmp_path / "x.csv").write_text("a\n1\n")
    with thanosql_dbapi.connect(tmp_path / "x.db", root=tmp_path, read_only=True) as connection:
        with pytest.raises(ProgrammingError, match="read-only"):
            connection.execute("COPY x FROM 'x.csv'")


def test_a_view_over_a_table_reads_what_replaced_it(connection: Connection) -> None:
    connection.execute("COPY calls FROM 'calls.csv'")
    connection.execute("CREATE VIEW texts AS SELECT text FROM calls")
    connection.execute("COPY calls OPTIONS (if_exists='replace') FROM 'more.csv'")
    assert connection.execute("FROM texts").fetchall() == [("bye",)]


def test_appending_goes_by_name_and_into_the_tables_types(
    connection: Connection, tmp_path: Path
) -> None:
    connection.execute(
        "CREATE TABLE kept (code VARCHAR, n DECIMAL(6, 2), told VARCHAR DEFAULT '-')"
    )
    (tmp_path / "codes.csv").write_text("N,code\n1,007\n2.25,08\n")
    (tmp_path / "codes.jsonl").write_text('{"code": "2026-01-02"}\n{"n": 3}\n')
    for source in ("codes.csv", "codes.jsonl", '[{"told": null, "n": "4.5"}]'):
        connection.execute("COPY kept OPTIONS (if_exists='append') FROM ?", [source])
    found = connection.execute("SELECT code, n::VARCHAR, told FROM kept").fetchall()
    assert found == [
        *(("007", "1.00", "-"), ("08", "2.25", "-")),
        *(("2026-01-02", None, "-"), (None, "3.00", "-")),
        (None, "4.50", None),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bad.csv", "'bad.csv', line 3, column n: 'many' is no INTEGER$"),
        ("bad.parquet", "'bad.parquet': column n: 'many' is no INTEGER, which kept has there$"),
        ("two.parquet", "column n: 'many' is no INTEGER, which kept has there, as 2 rows"),
        ('[{"n": "many"}]', "the JSON in the statement"),
    ],
)
def test_what_does_not_become_the_tables_type_is_named(
    connection: Connection, tmp_path: Path, source: str, message: str
) -> None:
    connection.execute("CREATE TABLE kept AS SELECT 1::INTEGER AS n")
    (tmp_path / "bad.csv").write_text("n\n2\nmany\n")
    rows = "SELECT unnest(['2', 'many', 'more']) AS n LIMIT"
    connection.execute(f"COPY ({rows} 2) TO '{tmp_path}/bad.parquet'")
    connection.execute(f"COPY ({rows} 3) TO '{tmp_path}/two.parquet'")
    with pytest.raises(DataError, match=message):
        connection.execute("COPY kept OPTIONS (if_exists='append') FROM ?", [source])
    assert connection.execute("FROM kept").fetchall() == [(1,)]


def test_the_one_wrong_column_of_thousands_is_found_soon(
    connection: Connection, tmp_path: Path
) -> None:
    numbers = [f"{i} AS c{i}" for i in range(2000)]
    connection.execute(f"CREATE TABLE kept AS SELECT {', '.join(numbers)}")
    wrong = ", ".join([*numbers[:-1], "'many' AS c1999"])
    connection.execute(f"COPY (SELECT {wrong}) TO '{tmp_path}/x.parquet'")
    started = time.perf_counter()
    with pytest.raises(DataError, match="column c1999: 'many' is no INTEGER"):
        connection.execute("COPY kept OPTIONS (if_exists='append') FROM 'x.parquet'")
    assert time.perf_counter() - started < 10


def test_a_parameter_alone_is_a_source(connection: Connection) -> None:
    assert connection.execute("COPY calls FROM ?", ["calls.csv"]).fetchall() == [("calls", 2)]
    connection.execute("COPY calls FROM $path", {"path": "calls.csv"})  # DuckDB's append
    connection.execute("COPY listed FROM ?; COPY listed FROM ?", ['[{"a": 1}]', "n.parquet"])
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(4,)]
    assert connection.execute("FROM listed").fetchall() == [(1,), (7,)]


# --- transactions ---------------------------------------------------------------------------


def test_a_copy_is_part_of_the_transaction(connection: Connection) -> None:
    connection.begin()
    connection.execute("COPY calls FROM 'calls.csv'")
    connection.rollback()
    assert connection.execute("LIST TABLE").fetchall() == []


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_copy_sees_and_keeps_the_rest_of_its_transaction(
    connection: Connection, mode: str
) -> None:
    connection.begin()
    connection.execute("CREATE TABLE calls AS SELECT 'x' AS audio_path, 'y' AS text")
    connection.execute("COPY calls OPTIONS (if_exists=?) FROM 'calls.csv'", [mode])
    connection.execute("INSERT INTO calls VALUES ('c', 'd')")
    connection.commit()
    expected = 4 if mode == "append" else 3
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(expected,)]
    databases = "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
    assert connection.execute(databases).fetchall() == [("memory",)]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("how", ["", "OPTIONS (if_exists='append')"])
def test_times_are_those_of_the_connections_time_zone(
    connection: Connection, tmp_path: Path, how: str, begun: bool
) -> None:
    (tmp_path / "times.csv").write_text("heard\n2026-01-05 10:00:00\n")
    connection.execute("SET TimeZone='Asia/Seoul'; CREATE TABLE kept (heard TIMESTAMPTZ)")
    if begun:
        connection.begin()
    connection.execute(f"COPY kept {how} FROM 'times.csv'")
    assert connection.execute("SELECT epoch(heard) FROM kept").fetchall() == [(1767574800,)]


def test_a_database_that_is_only_read_says_so_within_a_transaction(tmp_path: Path) -> None:
    thanosql_dbapi.connect(tmp_path / "x.db").close()
    with thanosql_dbapi.connect(tmp_path / "x.db", read_only=True) as connection:
        connection.begin()
        connection.execute("COPY temp.kept FROM '[{\"a\": 1}]'")
        assert connection.execute("FROM kept").fetchall() == [(1,)]
        with pytest.raises(ProgrammingError, match='CREATE.* on database "x"'):
            connection.execute("COPY kept_on FROM '[{\"a\": 1}]'")
        connection.rollback()


def test_each_copy_of_a_transaction_has_its_own_rows(connection: Connection) -> None:
    connection.begin()
    for source in ("calls.csv", "more.csv", '[{"text": "x"}]', "more.csv"):
        connection.execute("COPY calls OPTIONS (if_exists='append') FROM ?", [source])
    texts = connection.execute("SELECT text FROM calls").fetchall()
    assert texts == [("hello",), ("안녕",), ("bye",), ("x",), ("bye",)]
    connection.execute("COPY calls OPTIONS (if_exists='replace') FROM 'n.parquet'")
    connection.execute("COPY calls FROM 'n.parquet'")
    connection.commit()
    assert connection.execute("FROM calls").fetchall() == [(7,), (7,)]


def write_late_failures(folder: Path) -> None:
    rows = "".join(f"{i},x\n" for i in range(60_000))
    (folder / "late.csv").write_text(f"n,text\n{rows}many,x\n")
    (folder / "late.jsonl").write_text('{"n": 1}\n' * 60_000 + '{"n": \n')
    (folder / "late.bin.csv").write_bytes(f"n,text\n{rows}1,caf".encode() + b"\xe9\n")
    with thanosql_dbapi.connect() as scratch:
        scratch.execute(
            f"COPY (SELECT i AS n, 'x' AS text FROM range(60000) r(i)) TO '{folder}/late.parquet'"
        )
    content = (folder / "late.parquet").read_bytes()
    middle = len(content) // 2
    (folder / "late.parquet").write_bytes(content[:middle] + b"\xff" * 64 + content[middle + 64 :])


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("name", ["late.csv", "late.jsonl", "late.bin.csv", "late.parquet"])
@pytest.mark.parametrize("transaction", ["none", "begun", "implicit"])
def test_a_failure_at_the_end_costs_nothing(
    connection: Connection, tmp_path: Path, transaction: str, name: str, mode: str
) -> None:
    write_late_failures(tmp_path)
    connection.execute("CREATE TABLE kept AS SELECT 1::BIGINT AS n, 'a' AS text")
    if transaction == "begun":
        connection.begin()
    elif transaction == "implicit":
        connection.autocommit = False
    connection.execute("INSERT INTO kept VALUES (2, 'b')")
    with pytest.raises(Error, match=name):
        connection.execute("COPY kept OPTIONS (if_exists=?) FROM ?", [mode, name])
    connection.execute("INSERT INTO kept VALUES (3, 'c')")
    connection.commit()
    assert connection.execute("FROM kept").fetchall() == [(1, "a"), (2, "b"), (3, "c")]


def test_what_the_table_refuses_leaves_it_as_it_was(connection: Connection) -> None:
    connection.execute("CREATE TABLE kept (n INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO kept VALUES (7)")
    with pytest.raises(IntegrityError):
        connection.execute(
            "COPY kept OPTIONS (if_exists='append') FROM ?", ['[{"n": 8}, {"n": 7}]']
        )
    assert connection.execute("FROM kept").fetchall() == [(7,)]


def stopped(connection: Connection, how: str) -> type[BaseException]:
    """Stop what will run in a moment, and return what that raises."""
    if how == "interrupt":
        threading.Timer(0.3, connection.interrupt).start()
        return QueryInterrupted
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    return KeyboardInterrupt


@pytest.mark.parametrize("how", ["interrupt", "ctrl-c"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_that_is_stopped_leaves_the_table(
    connection: Connection,
    tmp_path: Path,
    begun: bool,
    how: str,
) -> None:
    rows = "".join(f"{i},text {i},{i / 3}\n" for i in range(50_000))
    (tmp_path / "part0.csv").write_text(f"a,b,c\n{rows}")
    for number in range(1, 60):
        os.link(tmp_path / "part0.csv", tmp_path / f"part{number}.csv")
    connection.execute("CREATE TABLE kept AS SELECT 1 AS a")
    if begun:
        connection.begin()
        connection.execute("INSERT INTO kept VALUES (2)")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(stopped(connection, how)):
            connection.execute("COPY kept OPTIONS (if_exists='replace') FROM 'part*.csv'")
    finally:
        signal.signal(signal.SIGINT, before)
    connection.commit()
    assert connection.execute("FROM kept").fetchall() == [(1,), (2,)][: 1 + begun]


# --- DuckDB's own append --------------------------------------------------------------------


@pytest.mark.parametrize("transaction", ["none", "begun", "implicit"])
def test_without_options_columns_are_taken_in_their_order(
    connection: Connection, tmp_path: Path, transaction: str
) -> None:
    connection.execute('CREATE TABLE kept (n INTEGER, "odd name" VARCHAR)')
    (tmp_path / "1.csv").write_text("x,y\n1,007\n")
    (tmp_path / "2.csv").write_text("x,y\n2,b\n")
    (tmp_path / "bad.csv").write_text("x,y\n3,c\nmany,d\n")
    if transaction == "begun":
        connection.begin()
    connection.autocommit = transaction != "implicit"
    for source in ("?.csv", str(tmp_path / "1.csv"), f"file://{tmp_path}/2.csv"):
        connection.execute("COPY kept FROM ?", [source])
    with pytest.raises(DataError, match="^'bad.csv', line 3, column n: 'many' is no INTEGER$"):
        connection.execute("COPY kept FROM 'bad.csv'")
    with pytest.raises(OperationalError, match="none.csv"):
        connection.execute("COPY kept FROM 'none.csv'")
    connection.commit()
    expected = [(1, "007"), (2, "b"), (1, "007"), (2, "b")]
    assert connection.execute("FROM kept").fetchall() == expected
