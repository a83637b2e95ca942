"""COPY from JSON, parquet, Arrow and spreadsheets."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import xlwt

import thanosql_dbapi
from thanosql_dbapi import Connection, DataError, OptionError, ProgrammingError

ROWS = [{"id": 1, "who": {"name": "Kim", "tags": ["a", "b"]}}, {"id": 2, "late": "2026-01-02"}]
READ = [(1, {"name": "Kim", "tags": ["a", "b"]}, None), (2, None, dt.date(2026, 1, 2))]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with thanosql_dbapi.connect(root=tmp_path) as opened:
        yield opened


def copied(connection: Connection, source: str, options: str = "") -> list[tuple[object, ...]]:
    connection.execute(f"COPY copied OPTIONS ({options}) FROM ?", [source])
    return connection.execute("FROM copied").fetchall()


def described(connection: Connection) -> dict[str, str]:
    description = connection.execute("FROM copied").description or ()
    return {column[0]: str(column[1]) for column in description}


# --- JSON -----------------------------------------------------------------------------------

LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
ARRAY = json.dumps(ROWS, indent=1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("x.jsonl", LINES), ("x.ndjson", LINES), ("x.json", LINES), ("x.json", ARRAY)),
        *(("x.jsonl.gz", LINES), ("x.json.gz", ARRAY), ("X.JSON", f"\n {ARRAY} \n")),
    ],
)
def test_json_is_lines_or_an_array(
    connection: Connection, tmp_path: Path, name: str, content: str
) -> None:
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
    (tmp_path / name).write_bytes(packed)
    assert copied(connection, name) == READ


def test_json_may_stand_in_the_statement(connection: Connection) -> None:
    assert copied(connection, ARRAY) == READ
    assert copied(connection, f"  {ARRAY}\n", "if_exists='append'") == READ * 2
    connection.execute("""COPY quoted FROM '[{"a": "it''s"}, {"a": null}]'""")
    connection.execute("""COPY one FROM '{"a": "안녕"}'""")
    found = connection.execute("FROM quoted UNION ALL FROM one").fetchall()
    assert found == [("it's",), (None,), ("안녕",)]


def test_a_key_that_comes_late_is_a_column(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 30_000 + '{"b": "x"}\n')
    assert copied(connection, "x.jsonl")[-1] == (None, "x")


@pytest.mark.parametrize(("last", "read"), [("1.5", 1.5), ('"x"', '"x"'), ("[2]", "[2]")])
def test_a_value_of_another_type_that_comes_late_is_kept(
    connection: Connection, tmp_path: Path, last: str, read: object
) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 30_000 + f'{{"a": {last}}}\n')
    assert copied(connection, "x.jsonl")[-1] == (read,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("[]", "the JSON in the statement holds no objects"),
        ("[1, 2]", "the JSON in the statement holds no objects"),
        ('[{"a": 1}, {"a": ]', "Malformed JSON in the JSON in the statement"),
        ("bad.jsonl", r"Malformed JSON in 'bad.jsonl', at byte \d+ in line 3"),
        ("empty.json", "'empty.json' holds no objects"),
    ],
)
def test_what_is_no_json_is_told(
    connection: Connection, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a": \n')
    (tmp_path / "empty.json").write_text("")
    with pytest.raises(DataError, match=message) as caught:
        copied(connection, source)
    assert "thanosql-" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "json"])
def test_an_empty_array_adds_nothing(connection: Connection, name: str) -> None:
    connection.execute(f"CREATE TABLE copied AS SELECT 1 AS {name}")
    assert copied(connection, "[]", "if_exists='append'") == [(1,)]


def test_any_key_is_a_column(connection: Connection) -> None:
    assert copied(connection, '[{"json": 1}]') == [(1,)]
    assert copied(connection, '[{"json": 2}]', "if_exists='append'") == [(1,), (2,)]
    many = json.dumps([{f"k{i}": i} for i in range(300)])
    assert copied(connection, many, "if_exists='replace'")[7][:9] == (*[None] * 7, 7, None)
    assert list(described(connection)) == [f"k{i}" for i in range(300)]


def test_keys_that_differ_by_case_keep_their_values(connection: Connection) -> None:
    assert copied(connection, '[{"a": 1, "A": 2}, {"A": 3}]') == [(1, 2), (None, 3)]
    assert list(described(connection)) == ["a", "A_1"]


def test_a_column_without_a_value_takes_any_later(connection: Connection, tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "x.arrow", pa.schema([("a", pa.null())])) as writer:
        writer.write_table(pa.table({"a": pa.nulls(1)}))
    pyarrow.parquet.write_table(pa.table({"a": pa.nulls(1)}), tmp_path / "x.parquet")
    for source in ('[{"a": null}]', "x.arrow", "x.parquet"):
        copied(connection, source, "if_exists='replace'")
        assert copied(connection, '[{"a": "x"}]', "if_exists='append'") == [(None,), ("x",)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.jsonl.gz"])
def test_json_may_have_a_mark(
    connection: Connection, tmp_path: Path, name: str, encoding: str
) -> None:
    content = LINES.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert copied(connection, name) == READ
    assert copied(connection, f"\ufeff{ARRAY}", "if_exists='replace'") == READ


def test_text_that_utf_8_cannot_hold_is_told(connection: Connection) -> None:
    with pytest.raises(DataError, match="the JSON in the statement is no text"):
        copied(connection, '[{"a": "\ud800"}]')


# --- parquet and Arrow ----------------------------------------------------------------------


def test_parquets_go_together_by_name(connection: Connection, tmp_path: Path) -> None:
    connection.execute(f"COPY (SELECT 1 AS a, [1.5] AS b) TO '{tmp_path}/1.parquet'")
    connection.execute(f"COPY (SELECT 'x' AS c, 2 AS a) TO '{tmp_path}/2.pqt' (FORMAT parquet)")
    (tmp_path / "2.pqt").rename(tmp_path / "2.parquet")
    assert copied(connection, "*.parquet") == [(1, [1.5], None), (2, None, "x")]


def test_arrow_that_cannot_be_a_table_is_told(connection: Connection, tmp_path: Path) -> None:
    cut = pa.py_buffer(b"\xff\xfe")
    offsets = pa.py_buffer(b"\0\0\0\0\x02\0\0\0")
    tables = {
        "1": pa.table({"a": [1]}),
        "2": pa.table({"a": ["x"]}),
        "bad": pa.table({"a": pa.Array.from_buffers(pa.string(), 1, [None, offsets, cut])}),
        "empty": pa.table({}),
        "twice": pa.table([pa.array([1]), pa.array([2])], ["a", "a"]),
    }
    for name, table in tables.items():
        with pa.ipc.new_file(tmp_path / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table)
    assert copied(connection, "twice.arrow") == [(1, 2)]
    for source, message in (
        ("[12].arrow", "do not go together"),
        ("bad.arrow", "'bad.arrow' is no Arrow file, or not whole .*UTF8"),
        ("empty.arrow", "'empty.arrow' has no columns"),
    ):
        with pytest.raises(DataError, match=message):
            copied(connection, source, "if_exists='replace'")


@pytest.mark.parametrize("form", ["feather", "file", "stream"])
def test_arrow_comes_as_it_is(connection: Connection, tmp_path: Path, form: str) -> None:
    table = pa.table({"n": pa.array([1, None], pa.int16()), "t": ["x", "y"], "l": [[1], []]})
    path = tmp_path / ("x.feather" if form == "feather" else "x.arrow")
    if form == "feather":
        pyarrow.feather.write_feather(table, path)
    else:
        new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table)
    assert copied(connection, path.name) == [(1, "x", [1]), (None, "y", [])]
    assert described(connection) == {"n": "SMALLINT", "t": "VARCHAR", "l": "BIGINT[]"}
    (tmp_path / f"bad{path.suffix}").write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"'bad{path.suffix}' is no Arrow file, or not whole"):
        copied(connection, f"bad{path.suffix}", "if_exists='replace'")


# --- spreadsheets ---------------------------------------------------------------------------

DAY, TIME = dt.date(2026, 1, 2), dt.time(6, 7, 8)
MOMENT = dt.datetime.combine(DAY, dt.time(3, 4, 5))
HEAD = ["whole", "number", "text", "day", "moment", "time", "flag", "mixed", "none"]
FIRST = [1, 1.5, "안녕", DAY, MOMENT, TIME, True, 1, None]
SECOND = [2, 2, "007", None, DAY, None, False, "x", None]


def write_xlsx(path: Path, rows: Sequence[Sequence[Any]], sheet: str = "Sheet1") -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(list(row))
    book.save(path)


def write_xls(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    book = xlwt.Workbook(encoding="utf-8")
    page = book.add_sheet("Sheet1")
    styles = {
        dt.date: xlwt.easyxf(num_format_str="YYYY-MM-DD"),
        dt.datetime: xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS"),
        dt.time: xlwt.easyxf(num_format_str="HH:MM:SS"),
    }
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if value is not None:
                page.write(i, j, value, styles.get(type(value), xlwt.Style.default_style))
    book.save(str(path))


@pytest.mark.parametrize("suffix", [".xlsx", ".xlsm", ".xls"])
def test_cells_keep_their_types(connection: Connection, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write = write_xls if suffix == ".xls" else write_xlsx
    write(path, [HEAD, FIRST, SECOND])
    midnight = dt.datetime.combine(DAY, dt.time())
    assert copied(connection, path.name) == [
        (1, 1.5, "안녕", DAY, MOMENT, TIME, True, "1", None),
        (2, 2.0, "007", None, midnight, None, False, "x", None),
    ]
    kinds = ["BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP", "TIME", "BOOLEAN"]
    assert list(described(connection).values()) == [*kinds, "VARCHAR", "VARCHAR"]


def test_names_are_made_as_in_a_csv(connection: Connection, tmp_path: Path) -> None:
    rows = [["a", "A", None, "a", " b "], [1, 2, 3, 4, 5], [None] * 5, [6, None, None, None, None]]
    write_xlsx(tmp_path / "x.xlsx", [*rows, [None] * 5, ["", None]])
    found = copied(connection, "x.xlsx")
    assert found == [(1, 2, 3, 4, 5), (None,) * 5, (6, None, None, None, None)]
    assert list(described(connection)) == ["a", "A_1", "column2", "a_2", "b"]
    assert copied(connection, "x.xlsx", "header=False, if_exists='replace'")[0] == (
        *("a", "A", None, "a", " b "),
    )


def test_an_error_in_a_cell_is_null(connection: Connection, tmp_path: Path) -> None:
    span = dt.timedelta(hours=30)
    rows = [["n", "span", 2024], [1, span, 0.5], ["#N/A", span, "#DIV/0!"]]
    write_xlsx(tmp_path / "x.xlsx", rows)
    assert copied(connection, "x.xlsx") == [(1, span, 0.5), (None, span, None)]
    assert described(connection) == {"n": "BIGINT", "span": "INTERVAL", "2024": "DOUBLE"}


def test_an_open_document_is_a_spreadsheet(connection: Connection, tmp_path: Path) -> None:
    cells = (
        '<table:table-cell office:value-type="string"><text:p>이름</text:p></table:table-cell>'
        '<table:table-cell office:value-type="float" office:value="2"/>'
    )
    names = ("office", "table", "text")
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names
    )
    with zipfile.ZipFile(tmp_path / "x.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0"?><manifest:manifest'
            ' xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        file.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content {spaces}><office:body>'
            '<office:spreadsheet><table:table table:name="S">'
            f"<table:table-row>{cells}</table:table-row>"
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    assert copied(connection, "x.ods", "header=False") == [("이름", 2)]


def test_merged_cells_have_their_value_once(connection: Connection, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for row in (["region", "calls"], ["north", 1], [None, 2], ["south", 3]):
        page.append(row)
    page.merge_cells("A2:A3")
    book.save(tmp_path / "x.xlsx")
    assert copied(connection, "x.xlsx") == [("north", 1), (None, 2), ("south", 3)]


def test_a_sheet_is_chosen_by_name_or_number(connection: Connection, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name in ("두번째", "empty"):
        book.create_sheet(name)
    book["Sheet"].append(["a"])
    book["두번째"].append(["b"])
    book["두번째"].append([2])
    book.save(tmp_path / "x.xlsx")
    assert copied(connection, "x.xlsx") == []
    assert described(connection) == {"a": "VARCHAR"}
    for sheet in ("'두번째'", "2"):
        assert copied(connection, "x.xlsx", f"if_exists='replace', sheet={sheet}") == [(2,)]
    for sheet, hint in (("'Shet'", "Did you mean 'Sheet'"), ("4", "'Sheet', '두번째', 'empty'")):
        with pytest.raises(OptionError, match=f"'x.xlsx' has no such sheet.*{hint}"):
            copied(connection, "x.xlsx", f"if_exists='replace', sheet={sheet}")
    with pytest.raises(DataError, match="'x.xlsx': the sheet 'empty' is empty"):
        copied(connection, "x.xlsx", "if_exists='replace', sheet='empty'")


def test_a_workbook_is_appended_by_name(connection: Connection, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "1.xlsx", [["code", "n"], [7, 1], [8.5, 2]])
    write_xlsx(tmp_path / "2.xlsx", [["n", "more"], [3, "x"]])
    connection.execute("CREATE TABLE copied (n INTEGER, code VARCHAR)")
    assert copied(connection, "1.xlsx", "if_exists='append'") == [(1, "7.0"), (2, "8.5")]
    with pytest.raises(ProgrammingError, match="'2.xlsx' has a column that copied has not: more"):
        copied(connection, "2.xlsx", "if_exists='append'")
    assert copied(connection, "?.xlsx", "if_exists='replace'") == [
        *((7.0, 1, None), (8.5, 2, None), (None, 3, "x")),
    ]


@pytest.mark.parametrize("begun", [False, True])
def test_a_broken_workbook_is_told(connection: Connection, tmp_path: Path, begun: bool) -> None:
    write_xlsx(tmp_path / "x.xlsx", [["a"], [1]])
    content = (tmp_path / "x.xlsx").read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.xls").write_text("a,b\n1,2\n")
    copied(connection, "x.xlsx")
    if begun:
        connection.begin()
    for name in ("cut.xlsx", "text.xls"):
        with pytest.raises(DataError, match=f"'{name}' is no workbook, or not whole"):
            copied(connection, name, "if_exists='replace'")
    assert copied(connection, "x.xlsx", "if_exists='append'") == [(1,), (1,)]


def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "x.xlsx", [["a"], [1]])
    shutil.copy(tmp_path / "x.xlsx", tmp_path / "y.xlsx")
    code = f"""
import sys
sys.modules["python_calamine"] = None
import thanosql_dbapi
with thanosql_dbapi.connect(root={str(tmp_path)!r}) as connection:
    try:
        connection.execute("COPY t FROM 'x.xlsx'")
    except thanosql_dbapi.MissingExtra as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'thanosql-dbapi[excel]'" in done.stdout, done.stderr
