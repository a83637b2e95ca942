"""How results look: tables for pages and terminals, DataFrames, errors of three lines."""

from __future__ import annotations

import html.parser
import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi import Connection, Error, ThanoSQLSyntaxError
from thanosql_dbapi.notebook.failures import interrupted, lines_of, show_briefly
from thanosql_dbapi.notebook.frames import READ, ResultFrame, read_all, read_some
from thanosql_dbapi.notebook.tables import Table, written
from thanosql_dbapi.notebook.tables import cells as table_cells


class Page(html.parser.HTMLParser):
    """The cells of a table, the attributes of each, and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.attributes: list[dict[str, str]] = []
        self.tags: set[str] = set()
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "td":
            self._inside = True
            self.cells.append("")
            self.attributes.append({name: value or "" for name, value in attributes})

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def shown(connection: Connection, sql: str, rows: int = 20) -> dict[str, str]:
    with connection.execute(sql) as cursor:
        return read_some(cursor, rows)._repr_mimebundle_()


def page(connection: Connection, sql: str) -> Page:
    return Page(shown(connection, sql)["text/html"])


# --- tables ---------------------------------------------------------------------------------


def test_a_table_has_names_types_and_the_number_of_rows(connection: Connection) -> None:
    lines = shown(connection, "SELECT 1::SMALLINT AS a, 'x' AS b")["text/plain"].splitlines()
    assert lines[0].split() == ["a", "b"]
    assert lines[1].split() == ["SMALLINT", "VARCHAR"]
    assert lines[3].split() == ["1", "x"]
    assert lines[4] == "1 row"
    assert len(lines) == 5


def test_null_is_told_from_the_empty_text_and_the_word(connection: Connection) -> None:
    read = page(connection, "SELECT NULL::VARCHAR, '', 'NULL'")
    assert read.cells == ["NULL", "", "NULL"]
    looks = [each["style"] for each in read.attributes]
    assert "italic" in looks[0]
    assert "italic" not in looks[1] + looks[2]


def test_numbers_stand_at_the_right_and_texts_at_the_left(connection: Connection) -> None:
    read = page(connection, "SELECT 1, 2.5::DECIMAL(9,2), 1e3, 'x', DATE '2026-01-02', NULL::INT")
    sides = [re.search(r"text-align:(\w+)", each["style"])[1] for each in read.attributes]  # type: ignore[index]
    assert sides == ["right", "right", "right", "left", "left", "right"]


def test_html_in_values_and_names_is_text(connection: Connection) -> None:
    evil = "<script>alert(1)</script>\" onmouseover='x' <img src=x>"
    sql = f"""SELECT '{evil.replace("'", "''")}' AS "{evil.replace('"', '""')}" """
    text = shown(connection, sql)["text/html"]
    read = Page(text)
    assert read.cells == [evil]
    assert read.tags == {"div", "table", "thead", "tbody", "tr", "th", "td"}


def test_a_long_text_is_cut_and_whole_in_the_title(connection: Connection) -> None:
    read = page(connection, "SELECT repeat('long ', 100)")
    assert len(read.cells[0]) == 240
    assert read.cells[0].endswith("…")
    assert read.attributes[0]["title"] == "long " * 100


def test_a_huge_text_does_not_fill_the_page(connection: Connection) -> None:
    assert len(shown(connection, "SELECT repeat('x', 1000000)")["text/html"]) < 20_000


def test_of_a_long_list_no_more_is_written_than_is_shown() -> None:
    for value in ([1] * 10**6, {i: i for i in range(10**5)}, [[[1] * 10**6]]):
        assert 4000 < len(written(value)) < 10_000


def test_bytes_and_line_breaks_are_short(connection: Connection) -> None:
    read = page(
        connection, "SELECT repeat('x', 12345)::BLOB, E'a\\nb', [1, NULL], {'k': 'v'}, true"
    )
    assert read.cells == ["<12,345 bytes>", "a\\nb", "[1, NULL]", "{k: v}", "true"]


def test_a_value_is_shown_exactly_that_pandas_would_round(connection: Connection) -> None:
    read = page(
        connection,
        "SELECT unnest([9007199254740993, NULL]), 0.1::DECIMAL(38,1) + 12345678901234567890123",
    )
    assert read.cells[:3] == ["9007199254740993", "12345678901234567890123.1", "NULL"]


def test_of_many_rows_the_first_and_last_are_shown(connection: Connection) -> None:
    read = page(connection, "SELECT range AS a FROM range(100)")
    numbers = [*map(str, range(10)), "⋮", *map(str, range(90, 100))]
    assert read.cells == numbers
    assert "100 rows" in shown(connection, "FROM range(100)")["text/html"]


def test_a_flood_is_read_to_a_bound_and_told(connection: Connection) -> None:
    with connection.execute("SELECT range AS a FROM range(1000000)") as cursor:
        frame = read_some(cursor, 20)
    assert len(frame) == READ
    text = frame._repr_mimebundle_()["text/plain"]
    assert "the first 20 rows; 10,000 were read, more follow" in text
    assert len(text.splitlines()) == 24


def test_exactly_as_many_rows_as_are_read_are_all(connection: Connection) -> None:
    with connection.execute(f"SELECT range AS a FROM range({READ})") as cursor:
        text = read_some(cursor, 20)._repr_mimebundle_()["text/plain"]
    assert text.endswith("10,000 rows")


def test_an_empty_result_has_its_names(connection: Connection) -> None:
    text = shown(connection, "SELECT 1 AS a, 2 AS b WHERE false")["text/plain"]
    assert text.splitlines()[0].split() == ["a", "b"]
    assert text.endswith("0 rows")


def test_korean_texts_take_two_cells_a_syllable(connection: Connection) -> None:
    text = shown(connection, "SELECT '환불 요청' AS a, 1 AS b UNION ALL SELECT 'abc', 2")[
        "text/plain"
    ]
    rows = text.splitlines()[3:5]
    assert {table_cells(row) for row in rows} == {table_cells(text.splitlines()[2])}


def test_a_wide_table_leaves_columns_out(connection: Connection) -> None:
    columns = ", ".join(f"{i} AS c{i}" for i in range(300))
    read = shown(connection, f"SELECT {columns}")
    assert len(Page(read["text/html"]).cells) == 51
    assert "columns fit here" in read["text/plain"]


def test_nothing_has_a_colour_of_its_own(connection: Connection) -> None:
    """A page may be dark: only the page's own colours, made fainter, are used."""
    text = shown(connection, "SELECT 1, NULL, 'x'")["text/html"]
    assert re.findall(r"(?<!-)\bcolor:(?!inherit)|background|#[0-9a-f]{3,6}\b", text) == []
    assert set(re.findall(r"rgba?\([^)]*\)", text)) == {"rgba(128,128,128,.35)"}


cells = st.one_of(st.none(), st.text(max_size=100), st.integers(), st.floats(), st.binary())


@given(st.integers(1, 6), st.data(), st.integers(1, 120))
def test_a_terminals_lines_fit(count: int, data: st.DataObject, width: int) -> None:
    columns = data.draw(
        st.lists(
            st.tuples(st.text(max_size=30), st.just("VARCHAR")), min_size=count, max_size=count
        )
    )
    rows = data.draw(st.lists(st.lists(cells, min_size=count, max_size=count), max_size=4))
    said = "n rows"
    lines = Table(columns, rows, [], said).text(width).split("\n")
    body = [line for line in lines if line != said and "fit here" not in line]
    assert max(map(table_cells, body)) <= max(width, 4)


# --- DataFrames -----------------------------------------------------------------------------

TYPES = (
    "SELECT i AS whole, CASE WHEN i > 0 THEN i END AS missing, i / 2 AS double, 'x' || i AS text,"
    " DATE '2026-01-01' + i::INT AS day, now()::TIMESTAMP AS moment, i % 2 = 0 AS truth,"
    " [i] AS list, {'a': i} AS struct, i::DECIMAL(9,2) AS decimal, 'a'::ENUM('a', 'b') AS choice,"
    " i::VARCHAR::BLOB AS bytes FROM range(30) r(i)"
)


@pytest.mark.parametrize("read", [read_all, read_some])
def test_a_frame_is_what_fetch_df_gives(connection: Connection, read: Any) -> None:
    expected = connection.execute(TYPES).fetch_df()
    frame = read(connection.execute(TYPES), 20)
    assert isinstance(frame, ResultFrame)
    assert frame.dtypes.to_dict() == expected.dtypes.to_dict()
    moment = {"moment"}  # it is now
    left = [name for name in expected.columns if name not in moment]
    pd.testing.assert_frame_equal(pd.DataFrame(frame)[left], expected[left])


def test_what_is_computed_is_an_ordinary_frame(connection: Connection) -> None:
    frame = read_all(connection.execute(TYPES), 20)
    made = [frame[frame.whole > 3], frame.head(), frame.copy(), frame[["whole"]], frame.assign(a=1)]
    assert [type(each) for each in made] == [pd.DataFrame] * 5
    assert type(frame.whole) is pd.Series


def test_a_frame_shows_what_stands_in_it_by_now(connection: Connection) -> None:
    frame = read_some(connection.execute("SELECT range AS a FROM range(3)"), 20)
    assert "BIGINT" in frame._repr_mimebundle_()["text/plain"]
    frame["b"] = ["x", None, ""]
    frame.loc[0, "a"] = 77
    lines = frame._repr_mimebundle_()["text/plain"].splitlines()
    assert lines[0].split() == ["a", "b"]
    assert lines[3].split() == ["77", "x"]
    assert lines[4].split() == ["1", "NULL"]


def test_values_that_pandas_lacks_are_shown(connection: Connection) -> None:
    frame = read_some(connection.execute("SELECT TIMETZ '01:02:03+09' AS a, 2 AS b"), 20)
    for _ in range(2):
        assert "01:02:03+09:00" in frame._repr_mimebundle_()["text/html"]
    assert frame.b.tolist() == [2]


def test_an_index_that_was_set_is_shown(connection: Connection) -> None:
    frame = read_all(connection.execute("SELECT 'north' AS region, 1 AS n"), 20)
    frame.index = pd.Index(frame["region"])
    del frame["region"]
    assert all("north" in text for text in frame._repr_mimebundle_().values())


def test_print_is_pandas_own(connection: Connection) -> None:
    frame = read_all(connection.execute("SELECT 1 AS a"), 20)
    assert str(frame) == str(pd.DataFrame(frame))


def test_names_that_stand_twice_are_shown(connection: Connection) -> None:
    frame = read_all(connection.execute("SELECT 1 AS a, 2 AS a"), 20)
    for _ in range(2):
        assert frame._repr_mimebundle_()["text/plain"].splitlines()[3].split() == ["1", "2"]


# --- errors ---------------------------------------------------------------------------------


def lines(connection: Connection, sql: str, first: int = 2) -> list[str]:
    with pytest.raises(Error) as raised:
        connection.execute(sql).fetchall()
    return lines_of(raised.value, sql, first)


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("SELECT *\n  FROM nowhere", "nowhere"),
        ("SELECT * FROM t WHERE\n\tnothing = 1", "nothing"),
        ("SELECT 'äöü한국어' = nothing FROM t", "nothing"),
        ("PREDICT USNG m AS SELECT 1", "USNG"),
        (f"SELECT {'1 + ' * 60} nothing {'+ 1' * 60} FROM t", "nothing"),
        ("SELECT * FROM (\nPREDICT USING mm AS FROM t)", "mm"),
        ("PREDICT USING m OPTIONS (\n  audio_cal='a') AS FROM t", "audio_cal"),
        ("PREDICT USING m OPTIONS (audio_col='nothing') AS FROM t", "nothing"),
        ("BUILD MODEL x USING Wav2vec2 AS FROM t", "Wav2vec2"),
    ],
)
def test_an_error_is_three_lines_with_a_caret(connection: Connection, sql: str, at: str) -> None:
    what, line, caret = lines(connection, sql)
    begins = sql.count("\n", 0, sql.index(at)) + 2
    assert what.endswith(f"(line {begins})")
    assert len(caret) - 1 == line.index(at) + sum("가" <= char <= "힣" for char in line)
    assert caret.strip() == "^"
    assert len(line) <= 100


def test_a_line_that_the_user_did_not_write_is_not_shown(connection: Connection) -> None:
    found = lines(connection, "PREDICT USING m AS SELECT nothing, audio_path FROM t")
    assert len(found) <= 3
    assert "thanosql_predict" not in "".join(found)


def test_a_long_message_is_cut_and_says_where_the_rest_is() -> None:
    found = lines_of(Error("\n".join(f"line {i}" for i in range(9))), "", 1)
    assert found == ["Error: line 0", "line 1", "… 7 more lines: %tb shows all"]


def test_an_error_does_not_reach_for_the_terminal(connection: Connection) -> None:
    (line,) = lines(connection, "SELECT error(chr(27) || '[31mred')")
    assert line.endswith(r"\x1b[31mred")


def test_an_error_is_brief_once_and_whole_later() -> None:
    error = ThanoSQLSyntaxError("What expected.", "SELECT", 0)
    show_briefly(error, ["brief"])
    assert error._render_traceback_() == ["brief"]  # type: ignore[attr-defined]
    assert not hasattr(error, "_render_traceback_")


def test_an_interruption_says_how_to_go_on() -> None:
    error = KeyboardInterrupt()
    error.add_note("the same statement goes on")
    assert interrupted(error) == ["interrupted", "the same statement goes on"]
