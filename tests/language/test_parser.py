"""Every statement of the language, in every spelling, becomes the statement it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsing import only, predict, relations, script, text

from thanosql_dbapi.language.statements import (
    BuildModel,
    CopyTable,
    DeleteModel,
    FitModel,
    GetAsset,
    GetKind,
    ListKind,
    ListObjects,
    MediaKind,
    Placeholder,
    Predict,
    PrintMedia,
    Query,
    Search,
    SearchKind,
    Span,
    Sql,
    Statement,
    UploadModel,
)

CORPUS = Path(__file__).parent / "corpus"
RELATIONS = ("Predict", "Evaluate", "Convert", "Search", "ListObjects")


def corpus() -> list[tuple[str, str]]:
    return [
        (path.stem, statement)
        for path in sorted(CORPUS.glob("[A-Z]*.sql"))
        for statement in path.read_text(encoding="utf-8").removesuffix(";\n").split(";\n")
    ]


def class_name(statement: Statement) -> str:
    if isinstance(statement, Sql) and statement.query.relations:
        first = statement.query.relations[0]
        return type(first).__name__ if first.span == statement.query.span else "Sql"
    return type(statement).__name__


@pytest.mark.parametrize(("name", "statement"), corpus())
def test_corpus_statement_is_of_the_class_its_file_is_named_after(
    name: str, statement: str
) -> None:
    assert class_name(only(statement)) == name


@pytest.mark.parametrize(("name", "statement"), corpus())
def test_white_space_and_comments_between_words_change_nothing(name: str, statement: str) -> None:
    if "'" in statement or '"' in statement or "$" in statement:
        spread = re.sub(r"^(\w+) (\w+)", r"\1 /* a /* USING */ ' */ -- MODEL\n \2", statement)
    else:
        spread = statement.replace(" ", "\n/* x */\t-- y\r\n")
    spread = f"-- PREDICT\n{spread} -- z"
    assert class_name(only(spread)) == name


@pytest.mark.parametrize("path", sorted((CORPUS / "tutorials").glob("*.sql")), ids=lambda p: p.stem)
def test_tutorial_is_a_script_whose_statements_all_parse(path: Path) -> None:
    sql = path.read_text(encoding="utf-8")
    parsed = script(sql)
    written = sql.removesuffix(";\n").split(";\n")
    assert [text(sql, span_of(s)) for s in parsed.statements] == written
    plain = [w for s, w in zip(parsed.statements, written, strict=True) if class_name(s) == "Sql"]
    assert all(w.upper().startswith(("SELECT", "DROP")) for w in plain)


def span_of(statement: Statement) -> Span:
    return statement.query.span if isinstance(statement, Sql) else statement.span


# One statement after another


def test_build_model_keeps_every_part() -> None:
    sql = "BUILD MODEL m USING Wav2Vec2En OPTIONS (Audio_Col='a b', epochs=1) AS SELECT * FROM t"
    built = only(sql)
    assert isinstance(built, BuildModel)
    assert (built.name.text, built.base.text) == ("m", "Wav2Vec2En")
    assert [(o.name, o.value) for o in built.options] == [
        ("audio_col", "a b"),
        ("epochs", 1),
    ]
    assert text(sql, built.options[0].span) == "Audio_Col='a b'"
    assert text(sql, built.query.span) == "SELECT * FROM t"


def test_fit_model_names_both_models() -> None:
    fitted = only('FIT MODEL n USING "m@3" AS FROM t')
    assert isinstance(fitted, FitModel)
    assert (fitted.name.text, fitted.model.text) == ("n", "m@3")


@pytest.mark.parametrize(
    "sql", ["LIST THANOSQL_MODEL", "LIST THANOSQL MODEL", "list Thanosql\nmodel"]
)
def test_list_thanosql_model_has_two_spellings(sql: str) -> None:
    listed = relations(sql)[0]
    assert isinstance(listed, ListObjects)
    assert listed.kind is ListKind.THANOSQL_MODEL


def test_get_takes_its_new_name_from_as() -> None:
    got = only("GET THANOSQL MODEL x OPTIONS (overwrite =True) AS y")
    assert isinstance(got, GetAsset)
    assert (got.kind, got.name.text) == (GetKind.MODEL, "x")
    assert got.new_name is not None
    assert got.new_name.text == "y"


def test_upload_and_delete() -> None:
    uploaded = only("UPLOAD MODEL m OPTIONS (framework='x') FROM \"a/b\"")
    assert isinstance(uploaded, UploadModel)
    assert uploaded.source == "a/b"
    deleted = only("DELETE MODEL m")
    assert isinstance(deleted, DeleteModel)
    assert deleted.name.text == "m"


def test_print_takes_a_query_of_any_kind() -> None:
    printed = only("PRINT AUDIO AS PREDICT USING m AS FROM t")
    assert isinstance(printed, PrintMedia)
    assert printed.kind is MediaKind.AUDIO
    assert [type(r) for r in printed.query.relations] == [Predict]


def test_what_the_oldest_search_looks_for_becomes_its_first_option() -> None:
    found = relations('SEARCH IMAGE text="a cat" USING m OPTIONS (top_k=3) AS FROM t')[0]
    assert isinstance(found, Search)
    assert found.kind is SearchKind.IMAGE
    assert [(o.name, o.value) for o in found.options] == [
        ("text", "a cat"),
        ("top_k", 3),
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'a'", "a"),
        ('"a"', "a"),
        ("''", ""),
        ("'it''s'", "it's"),
        ("$$it's$$", "it's"),
        ("audio_path", "audio_path"),
        ("모델", "모델"),
        ("1", 1),
        ("-1", -1),
        ("+ 1", 1),
        ("1_000", 1000),
        ("1e-4", 1e-4),
        ("-1.5E+3", -1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("True", True),
        ("FALSE", False),
        ("none", None),
        ("NULL", None),
        ("[]", ()),
        ("[a, 'b', 3, [-1, None]]", ("a", "b", 3, (-1, None))),
    ],
)
def test_option_values(written: str, value: object) -> None:
    found = predict(f"PREDICT USING m OPTIONS(x ={written}) AS FROM t").options[0].value
    assert found == value
    assert type(found) is type(value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive(number: float) -> None:
    found = predict(f"PREDICT USING m OPTIONS (x={number!r}) AS FROM t").options[0].value
    assert found == number
    assert type(found) is type(number)


@given(st.text(), st.sampled_from("'\""))
def test_strings_survive_in_either_quote(value: str, quote: str) -> None:
    written = quote + value.replace(quote, quote * 2) + quote
    found = predict(f"PREDICT USING m OPTIONS (x={written}) AS FROM t").options[0].value
    assert found == value


@pytest.mark.parametrize(
    "written", ["m", "모델", '"m@3"', "'m@3'", '"a b"', "model", '"as"', "a$1"]
)
@pytest.mark.parametrize("after", [" ", "\n", "/* c */", "--c\n"])
def test_names_of_models(written: str, after: str) -> None:
    found = predict(f"PREDICT USING {written}{after}OPTIONS(a=1)AS FROM t").model
    assert found.text == written.strip("\"'")


# COPY, which DuckDB has too


@pytest.mark.parametrize(
    ("sql", "table", "source", "has_options"),
    [
        ("COPY t FROM 'a.csv'", "t", "a.csv", False),
        ('COPY t FROM "a/"', "t", "a/", False),
        ("COPY a.\"b c\".t OPTIONS () FROM 'x'", 'a."b c".t', "x", True),
        ('COPY t OPTIONS(overwrite =True) FROM "a.csv"', "t", "a.csv", True),
        ("COPY options OPTIONS (a=1) FROM 'x'", "options", "x", True),
        ("COPY t FROM '[{\"a\": 1}]'", "t", '[{"a": 1}]', False),
    ],
)
def test_copy_is_ours(sql: str, table: str, source: str, has_options: bool) -> None:
    copied = only(sql)
    assert isinstance(copied, CopyTable)
    assert (copied.table.text, copied.source, copied.has_options) == (
        table,
        source,
        has_options,
    )


# Placeholders


def test_question_marks_count_across_the_script() -> None:
    sql = (
        "SELECT ?; BUILD MODEL m USING b OPTIONS (x=?, y=[?, 1]) AS SELECT ? FROM "
        "(PREDICT USING n OPTIONS (z=?) AS SELECT ?) WHERE a = ?; COPY t OPTIONS (a=1) FROM ?"
    )
    plain, built, copied = script(sql).statements
    assert isinstance(plain, Sql)
    assert isinstance(built, BuildModel)
    assert isinstance(copied, CopyTable)
    assert keys(plain.query) == [1]
    assert isinstance(built.options[0].value, Placeholder)
    assert built.options[0].value.key == 2
    assert isinstance(built.options[1].value, tuple)
    assert isinstance(built.options[1].value[0], Placeholder)
    assert built.options[1].value[0].key == 3
    assert keys(built.query) == [4, 7]
    inner = built.query.relations[0]
    assert isinstance(inner, Predict)
    assert isinstance(inner.options[0].value, Placeholder)
    assert inner.options[0].value.key == 5
    assert keys(inner.query) == [6]
    assert isinstance(copied.source, Placeholder)
    assert copied.source.key == 8


def keys(query: Query) -> list[int | str]:
    return [placeholder.key for placeholder in query.placeholders]


def test_placeholders_with_a_number_or_a_name() -> None:
    sql = "PREDICT USING m OPTIONS (a=$limit) AS SELECT $2, ?3, $이름, ?::INT, [1][?:?] FROM t"
    found = predict(sql)
    assert isinstance(found.options[0].value, Placeholder)
    assert found.options[0].value.key == "limit"
    assert keys(found.query) == [2, 3, "이름", 1, 2, 3]
    assert [p.positional for p in found.query.placeholders] == [False] * 3 + [True] * 3
    written = [text(sql, p.span) for p in found.query.placeholders]
    assert written == ["$2", "?3", "$이름", "?", "?", "?"]


def test_what_looks_like_a_placeholder_is_none() -> None:
    sql = "PREDICT USING m AS SELECT '?', \"?\", $$ ? $1 $$, a$b, x::STRUCT(a INT) /* ? */ -- $1"
    assert predict(sql).query.placeholders == ()


# Scripts


def test_script_drops_what_is_empty_and_keeps_the_rest() -> None:
    sql = ";; SELECT 'a;b' ;\n-- only a comment;\n; DELETE MODEL m ;; "
    assert [text(sql, span_of(s)) for s in script(sql).statements] == [
        "SELECT 'a;b'",
        "DELETE MODEL m",
    ]
    assert script(sql).text is sql


@given(
    st.lists(st.sampled_from([s for _, s in corpus()]), min_size=1, max_size=4),
    st.sampled_from([";", " ;\n", "; -- 한국 👍 ;\n", ";/* ; */;"]),
)
def test_spans_of_any_script_slice_back(statements: list[str], between: str) -> None:
    sql = between.join(statements)
    parsed = script(sql)
    assert [text(sql, span_of(s)) for s in parsed.statements] == statements
    alone = [only(statement) for statement in statements]
    assert [class_name(s) for s in parsed.statements] == [class_name(s) for s in alone]
