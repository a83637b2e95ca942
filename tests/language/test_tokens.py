"""Offsets of tokens, and what the tokenizer marks as a verb."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.language.tokens import VERB, Unreadable, tokenise
from thanosql_dbapi.language.verbs import FOLLOWERS


def slices(sql: str) -> list[str]:
    return [sql[token.start : token.end] for token in tokenise(sql)]


@pytest.mark.parametrize(
    "written",
    [
        ["SELECT", "'한국'", ",", "é", ",", "'👍'", "FROM", "표"],
        ["SELECT", "'it''s'", ",", '"quoted "" name"', ",", "E'a\\'b'", ",", "'c:\\'"],
        [
            "SELECT",
            "$$ a ; 'b $$",
            ",",
            "$tag$ x $$ y $tag$",
            ",",
            "$",
            "1",
            ",",
            "$",
            "name",
        ],
        ["SELECT", "1_000", ",", "1e-4", ",", "?", "::", "INT", ",", "?"],
        ["a", ":=", "3", ",", "x", "->", "y", ",", "a", "@>", "b", ",", "c", "//", "2"],
        ["SELECT", "{", "'a'", ":", "{", "'b'", ":", "1", "}", "}"],
    ],
)
def test_tokens_slice_back_to_the_written_text(written: list[str]) -> None:
    assert slices(" ".join(written)) == written


@pytest.mark.parametrize("gap", [" ", "\n", "\t", "-- x\n", "/* a /* b */ c */", "\u00a0"])
def test_comments_and_white_space_are_no_tokens(gap: str) -> None:
    sql = f"PREDICT{gap}USING{gap}m"
    assert slices(sql) == ["PREDICT", "USING", "m"]


def test_multi_byte_characters_count_as_one() -> None:
    sql = "SELECT '👍한é', predict"
    assert sql[tokenise(sql)[-1].start :] == "predict"


@pytest.mark.parametrize("verb", [*FOLLOWERS, "COPY", "predict", "Build"])
def test_verb_is_one_token_that_swallows_nothing(verb: str) -> None:
    tokens = tokenise(f"{verb} a b; c")
    assert [t.text for t in tokens] == [verb, "a", "b", ";", "c"]
    assert tokens[0].kind is VERB
    assert tokens[0].word == verb.upper()


@pytest.mark.parametrize("sql", ['"PREDICT"', "t.predict", "t . list", "'BUILD'", "predicts"])
def test_quoted_or_qualified_word_is_no_verb(sql: str) -> None:
    assert tokenise(sql)[-1].kind is not VERB
    assert tokenise(sql)[-1].word not in FOLLOWERS


def test_symbol_after_a_dot_keeps_its_meaning() -> None:
    assert [t.word for t in tokenise("t.*, (.5)")][-3:] == [".", "5", ")"]


@pytest.mark.parametrize("statement", ["SHOW TABLES", "EXECUTE p", "CALL f()", "FETCH x"])
def test_no_word_swallows_the_rest_of_a_statement(statement: str) -> None:
    assert tokenise(f"{statement}; PREDICT")[-1].word == "PREDICT"


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("SELECT 'a", 7),
        ("SELECT 'a', \"b", 12),
        ("SELECT /* 'a'", 7),
        ("'a' -- 'b'\n $x$ c", 12),
    ],
)
def test_unclosed_text_tells_where_it_begins(sql: str, position: int) -> None:
    with pytest.raises(Unreadable) as caught:
        tokenise(sql)
    assert caught.value.position == position


@given(st.text())
def test_offsets_are_ordered_whatever_the_text(sql: str) -> None:
    try:
        tokens = tokenise(sql)
    except Unreadable:
        return
    ends = [0]
    for token in tokens:
        assert ends[-1] <= token.start < token.end <= len(sql)
        ends.append(token.end)
