"""What is DuckDB's own is never touched, and mostly not even read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from thanosql_dbapi.exceptions import ThanoSQLSyntaxError
from thanosql_dbapi.language import find, parse
from thanosql_dbapi.language.tokens import Tokenizer
from thanosql_dbapi.language.verbs import FOLLOWERS

CORPUS = Path(__file__).parent / "corpus"
SHAPES = (CORPUS / "duckdb.sql").read_text(encoding="utf-8").removesuffix(";\n").split(";\n")
TRICKY = (CORPUS / "lookalikes.sql").read_text(encoding="utf-8").removesuffix(";\n").split(";\n")
PLAIN = (CORPUS / "plain.sql").read_text(encoding="utf-8").removesuffix(";\n").split(";\n")
NAMES = [
    *(
        "predict",
        "evaluate",
        "convert",
        "search",
        "list",
        "print",
        "build",
        "fit",
        "upload",
        "get",
    ),
    *(
        "model",
        "models",
        "thanosql",
        "thanosql_model",
        "audio",
        "image",
        "video",
        "text",
        "keyword",
    ),
    *("options", "dataset", "sample", "a", '"build model"', "copy"),
]


@pytest.mark.parametrize("sql", [*SHAPES, *TRICKY, *PLAIN])
def test_statement_of_duckdb_stays_duckdbs(sql: str) -> None:
    assert parse(sql) is None
    assert parse(f"\n-- BUILD MODEL\n{sql};\n") is None


@pytest.mark.parametrize("sql", SHAPES)
def test_typical_statement_is_not_cut_into_tokens(
    sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("tokenised")

    monkeypatch.setattr(Tokenizer, "tokenize", refuse)
    assert not find(sql)
    assert parse(sql) is None


def test_plain_sql_does_not_even_load_the_tokenizer() -> None:
    program = (
        "import sys, thanosql_dbapi.language as language\n"
        "assert language.parse('SELECT predict, list FROM build') is None\n"
        "assert 'sqlglot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "template",
    [
        "SELECT {0} {1} FROM {2} {3}",
        "SELECT {0} AS {1}, {2}.{3} FROM {0} {2}",
        "SELECT {0}({1}, {2} := {3})",
        "SELECT * FROM {0} {1} JOIN {2} USING ({3})",
        "SELECT * FROM {0} JOIN {1} AS {2} USING ({3})",
        "SELECT * FROM {0} AS {1} USING SAMPLE 10%",
        "SELECT '{0} {1}', $${0} {1} using {2}$$, \"{0}\"",
        "SELECT 1 -- {0} {1} {2}\nUNION SELECT 2",
        "/* {0} {1} /* {2} */ {3} */ FROM {0}",
        "SELECT x::STRUCT({0} {1}), CAST(y AS UNION({2} {3}))",
        "FROM {0} SELECT {1} {2}",
        "WITH {0} AS (SELECT {1} {2}), {3} AS (FROM {0}) FROM {3} {2}",
        "CREATE TABLE {0} ({1} {2}, {3} TEXT USING COMPRESSION fsst)",
        "CREATE TABLE {0} ({1} {2} PRIMARY KEY)",
        "CREATE VIEW {0} ({1}) AS FROM {2} {3}",
        "CREATE MACRO {0}({1}) AS {2}",
        "CREATE INDEX {0} ON {1} USING art ({2})",
        "CREATE TYPE {0} AS ENUM ('{1} {2}')",
        "ALTER TABLE {0} ADD COLUMN {1} {2}",
        "INSERT INTO {0} ({1}) SELECT {2} {3}",
        "UPDATE {0} SET {1} = {2} FROM {3}",
        "DELETE FROM {0} AS {1} USING {2} {3}",
        "DELETE FROM {0} USING {1}",
        "MERGE INTO {0} USING {1} ON {2} WHEN MATCHED THEN DELETE",
        "PIVOT {0} ON {1} USING sum({2})",
        "PIVOT {0} USING sum({1})",
        "PREPARE {0} AS SELECT {1} {2}",
        "EXPLAIN FROM {0} {1}",
        "DESCRIBE {0}",
        "COPY {0} TO '{1}.csv'",
        "COPY {0} ({1}) FROM '{2}.csv'",
        "COPY {0} FROM '{1}.csv' (FORMAT csv)",
        "COPY (SELECT {0} {1} FROM {2}) TO 'x'",
        "ATTACH 'x' AS {0}; USE {0}",
        "SET VARIABLE {0} = (SELECT {1} {2})",
        "SELECT {{'{0}': {1}}}.{2}, [{0} for {0} in {1}]",
    ],
)
@given(words=st.lists(st.sampled_from(NAMES), min_size=4, max_size=4), upper=st.booleans())
@settings(max_examples=15)
def test_our_words_are_free_names_elsewhere(template: str, words: list[str], upper: bool) -> None:
    assume(words[0] != "copy" or "COPY" not in template)
    sql = template.format(*words)
    assert parse(sql.upper() if upper else sql) is None


@st.composite
def sql_of_our_words(draw: st.DrawFn) -> str:
    """Draw a statement of DuckDB's grammar (or nearly) in which every name is a word of ours."""

    def pick(*forms: str) -> str:
        return draw(st.sampled_from(forms))

    def fill(form: str, depth: int) -> str:
        """Replace n by a name, e, s and q by an expression, a source and a query."""
        words = []
        for word in form.split():
            if word == "n":
                words.append(draw(st.sampled_from(NAMES)))
            elif word in "esq" and depth > 3:
                words.append("FROM a" if word == "q" else "a")
            else:
                words.append(fill(pick(*PARTS[word]), depth + 1) if word in PARTS else word)
        return " ".join(words)

    return fill(pick(*STATEMENTS), 0)


PARTS = {
    "e": (
        *(
            "n",
            "n . n",
            "n ( n )",
            "( q )",
            "EXISTS ( q )",
            "x :: STRUCT ( n n )",
            "' n using '",
            "?",
        ),
        *("x :: UNION ( n n , n n )", "sum ( n ) OVER ( PARTITION BY ( n ) ORDER BY ( n ) )"),
        *("n IN ( n , n )", "[ n FOR n IN n ]", "CAST ( n AS n )", "$$ n n $$", "n /* n n */"),
    ),
    "s": (
        *("n", "n n", "n AS n", "( q )", "( n n )", "( n )", "s JOIN n n USING ( n )", "n ( e )"),
        *("( n JOIN n USING ( n ) )", "n JOIN n USING ( n )", "s AS n USING SAMPLE 3"),
    ),
    "q": (
        *("SELECT e n FROM s", "FROM s", "SELECT e", "WITH n AS ( q ) q", "( q )", "VALUES ( e )"),
        *("q UNION q", "q INTERSECT ALL q", "q UNION ALL BY NAME q", "TABLE n", "DESCRIBE n"),
        *("PIVOT n USING sum ( n )", "FROM s ORDER BY n DESC LIMIT 3", "FROM s SELECT n n"),
    ),
}
STATEMENTS = (
    *(
        "q",
        "EXPLAIN q",
        "CREATE TABLE n ( n n , n TEXT USING COMPRESSION n )",
        "CREATE VIEW n AS q",
    ),
    *("CREATE TABLE n AS q", "INSERT INTO n ( n ) q", "INSERT INTO n AS n BY NAME q"),
    *("DELETE FROM n AS n USING s", "UPDATE n SET n = e FROM s", "COPY ( q ) TO 'x'"),
    *("MERGE INTO n n USING s ON e WHEN MATCHED THEN DELETE", "CREATE MACRO n ( n ) AS TABLE q"),
    *("CREATE MACRO n ( n ) AS e", "ALTER TABLE n ADD COLUMN n n", "PREPARE n AS q", "n n n"),
    *("CREATE INDEX n ON n USING art ( n )", "COPY n FROM 'x' ( FORMAT csv )", "CALL n ( e )"),
)


@given(sql_of_our_words())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_duckdb_accepts_is_taken_from_it(sql: str) -> None:
    try:
        duckdb.extract_statements(sql)
    except duckdb.Error:
        return
    # Ours by decision: (list model) is what it says, not a table called list.
    assume("( list model )" not in sql and "( list thanosql_model )" not in sql)
    assert parse(sql) is None


@given(st.text())
def test_text_without_a_verb_is_left_alone(sql: str) -> None:
    assume(not any(verb in sql.upper() for verb in (*FOLLOWERS, "COPY")))
    assert parse(sql) is None


@given(st.text(alphabet="PREDICT USINGmodelASfrom(){}[]'\"$;?.,-*/\n 1é한", max_size=60))
def test_noise_never_fails_otherwise_than_by_a_syntax_error(sql: str) -> None:
    try:
        parse(f"PREDICT USING m AS FROM {sql}")
    except ThanoSQLSyntaxError:
        return


@given(st.text(alphabet=st.characters(exclude_characters="'")))
def test_string_may_hold_anything(value: str) -> None:
    assert parse(f"SELECT 'BUILD MODEL m {value} PREDICT USING m AS' FROM t") is None
