"""The sqlglot dialect: what tools that parse SQL before the driver find in a model statement.

Where sqlglot is compiled, the dialect says why it cannot be, and harms nothing; that is all that
is tested there.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import sqlglot
import sqlglot.parser
from parsing import script
from sqlglot import exp, serde
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.optimizer import optimize
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from thanosql_dbapi import Connection
from thanosql_dbapi.language import parse
from thanosql_dbapi.language.statements import (
    CommonTable,
    Name,
    Option,
    Query,
    Relation,
    Span,
)
from thanosql_dbapi.models import families
from thanosql_dbapi.models.base import Verb

COMPILED = not str(sqlglot.parser.__file__).endswith(".py")
pure = pytest.mark.skipif(COMPILED, reason="SKIPPED, sqlglot is compiled: it takes no dialect")
compiled = pytest.mark.skipif(not COMPILED, reason="SKIPPED, sqlglot is not compiled")

CORPUS = Path(__file__).parent / "corpus"


def statements(pattern: str) -> list[str]:
    return [
        statement
        for path in sorted(CORPUS.glob(pattern))
        for statement in path.read_text("utf-8").strip().removesuffix(";").split(";\n")
    ]


# One statement was copied with the first line of its notebook's cell, which is no SQL.
CELL = "%%thanosql "
OURS = [sql for sql in statements("[A-Z]*.sql") if not sql.startswith(CELL)]
DUCKDB = statements("duckdb.sql") + statements("lookalikes.sql") + statements("plain.sql")


@pytest.fixture(autouse=True)
def no_warnings_about_commands(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="sqlglot")


def printed(sql: str, **options: object) -> str:
    return ";\n".join(sqlglot.transpile(sql, read="thanosql", write="thanosql", **options))


def tables(tree: exp.Expression) -> list[str]:
    return sorted({table.name for table in tree.find_all(exp.Table)})


# --- the corpus, unchanged in meaning -------------------------------------------------------


def said(value: object, text: str) -> object:
    """Return what a parsed statement says, without the places where it says it."""
    if isinstance(value, Query):
        plain, relations = _apart(value, text)
        return (_in_duckdb(plain), [said(relation, text) for relation in relations])
    if isinstance(value, CommonTable):
        return value.recursive
    if isinstance(value, Name):
        return value.text.replace('"', "")
    if isinstance(value, Option):
        return (value.name, said(value.value, text))
    if isinstance(value, tuple):
        return [said(item, text) for item in value]
    if is_dataclass(value):
        parts = [getattr(value, f.name) for f in fields(value)]
        return (type(value).__name__, [said(p, text) for p in parts if not isinstance(p, Span)])
    return value


def _apart(query: Query, text: str) -> tuple[str, tuple[Relation, ...]]:
    """Return a query's text with a plain query in each relation's place, and the relations."""
    parts, position = [], query.span.start
    for relation in query.relations:
        parts += [text[position : relation.span.start], "(SELECT 'ours')"]
        position = relation.span.end
    return "".join([*parts, text[position : query.span.end]]), query.relations


def _in_duckdb(sql: str) -> str:
    """Return DuckDB's own SQL as sqlglot's DuckDB dialect writes it, bare of extra parentheses."""
    normal = sqlglot.transpile(sql, read="duckdb", write="duckdb", comments=False)
    assert len(normal) == 1
    # What only opens and closes around a whole relation says nothing.
    return re.sub(r"\(+SELECT 'ours'\)+", "ours", normal[0])


@pure
@pytest.mark.parametrize("sql", OURS)
def test_corpus_statement_is_printed_unchanged_in_meaning(sql: str) -> None:
    again = printed(sql)
    before, after = script(sql), script(again)
    assert said(after.statements, again) == said(before.statements, sql)


@pure
@pytest.mark.parametrize("sql", OURS)
def test_what_is_printed_is_printed_the_same_again(sql: str) -> None:
    once = printed(sql)
    assert printed(once) == once
    assert printed(printed(sql, pretty=True)) == once


@pure
@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT * FROM t",
        "PREDICT USING 'm@3' OPTIONS (audio_col='a', batch_size = 4) AS (SELECT a FROM t LIMIT 5)",
        "WITH a AS (SELECT 1) EVALUATE USING m AS SELECT * FROM a",
        'SEARCH IMAGE text="a cat" USING m OPTIONS (top_k=[1, 2]) AS SELECT * FROM t',
        "CONVERT USING m AS PREDICT USING n AS SELECT * FROM t",
        "LIST THANOSQL DATASET ORDER BY name LIMIT 1 OFFSET 2",
        "SELECT * FROM (LIST TABLE) AS l WHERE table_name IN (LIST TABLE)",
        "SELECT 1 UNION ALL (PREDICT USING m AS SELECT * FROM t)",
        "CREATE OR REPLACE VIEW s.v AS PREDICT USING m AS SELECT * FROM t",
        "CREATE TABLE x AS PREDICT USING m AS SELECT * FROM t",
        "BUILD MODEL m USING Wav2Vec2En OPTIONS (epochs=1, cols=['a', ?]) AS SELECT * FROM t",
        'FIT MODEL m USING "m@3" OPTIONS (overwrite=True) AS SELECT * FROM t',
        "COPY a.t FROM 'x.csv'",
        "COPY t OPTIONS () FROM ?",
        "COPY t OPTIONS (if_exists='replace') FROM 'it''s/'",
        "UPLOAD MODEL m OPTIONS (framework='x') FROM 'a/b'",
        "GET THANOSQL MODEL x OPTIONS (overwrite=True) AS y",
        "GET THANOSQL DATASET x",
        "DELETE MODEL 모델",
        "PRINT AUDIO OPTIONS (audio_col='a') AS SELECT a FROM t",
    ],
)
def test_what_is_in_the_printed_form_comes_back_as_it_is(sql: str) -> None:
    assert printed(sql) == sql


@pure
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("(", ")"),
        ("SELECT * FROM (", ") WHERE a"),
        ("SELECT * FROM a JOIN (", ") p USING (id)"),
        ("SELECT * FROM a, LATERAL (", ")"),
        ("WITH p AS (", ") FROM p"),
        ("WITH p(a) AS NOT MATERIALIZED (", ") FROM p"),
        ("WITH p AS (FROM t) ", ""),
        ("CREATE OR REPLACE TEMP TABLE x AS (", ")"),
        ("CREATE VIEW x(a, b) AS ", ""),
        ("CREATE MACRO x(a, b) AS TABLE ", ""),
        ("PREPARE x AS ", ""),
        ("INSERT INTO x ", ""),
        ("INSERT OR IGNORE INTO a.x (b, c) ", ""),
        ("INSERT INTO x AS y BY NAME ", ""),
        ("INSERT INTO x (", ")"),
        ("WITH a AS (FROM t) INSERT INTO x ", ""),
        ("COPY (", ") TO 'x'"),
        ("SELECT 1 UNION ", ""),
        ("SELECT 1 EXCEPT DISTINCT ", ""),
        ("SELECT 1 INTERSECT (", ") ORDER BY 1"),
        ("SELECT EXISTS (", ")"),
        ("SELECT a IN (", ")"),
        ("SELECT 1 + (", ")"),
        ("SELECT ARRAY(", ")"),
        ("SELECT f(1, (", "))"),
        ("SELECT CASE WHEN a THEN (", ") END"),
        ("EXPLAIN ANALYZE ", ""),
        ("EXPLAIN (FORMAT json) ", ""),
        ("EXPLAIN CREATE TABLE x AS ", ""),
        ("DESCRIBE ", ""),
        ("SUMMARIZE (", ")"),
        ("PIVOT (", ") ON a"),
        ("MERGE INTO t USING (", ") s ON true WHEN MATCHED THEN DELETE"),
        ("SET VARIABLE x = (", ")"),
    ],
)
@pytest.mark.parametrize(
    "relation",
    [
        "PREDICT USING m OPTIONS (a=')') AS SELECT * FROM t",
        "EVALUATE USING m AS (FROM t)",
        "SEARCH TEXT USING m AS FROM t",
        "LIST THANOSQL DATASET",
    ],
)
def test_a_relation_is_parsed_wherever_the_language_lets_it_stand(
    before: str, after: str, relation: str
) -> None:
    sql = f"{before}{relation}{after}"
    again = printed(sql)
    assert said(script(again).statements, again) == said(script(sql).statements, sql)
    assert printed(again) == again


@pure
@pytest.mark.parametrize("path", sorted((CORPUS / "tutorials").glob("*.sql")), ids=lambda p: p.stem)
def test_a_tutorial_is_split_and_printed_statement_by_statement(path: Path) -> None:
    sql = path.read_text("utf-8")
    parts = sqlglot.transpile(sql, read="thanosql", write="thanosql")
    whole = script(sql)
    assert len(parts) == len(whole.statements)
    again = ";\n".join(parts)
    assert said(script(again).statements, again) == said(whole.statements, sql)


@pure
@pytest.mark.parametrize("sql", DUCKDB)
def test_plain_sql_goes_through_as_in_sqlglots_duckdb_dialect(sql: str) -> None:
    try:
        expected = sqlglot.parse(sql, read="duckdb")
    except SqlglotError as error:
        with pytest.raises(type(error)):
            sqlglot.parse(sql, read="thanosql")
        return
    assert sqlglot.parse(sql, read="thanosql") == expected
    assert [tree and tree.sql("thanosql") for tree in expected] == [
        tree and tree.sql("duckdb") for tree in expected
    ]


@pure
def test_the_copied_cell_is_no_sql_to_sqlglot_either() -> None:
    (cell,) = (sql for sql in statements("[A-Z]*.sql") if sql.startswith(CELL))
    with pytest.raises(ParseError):
        printed(cell)
    assert printed(cell.removeprefix(CELL)).startswith("SELECT * FROM (PREDICT USING ")


@pure
def test_a_script_is_split_where_the_language_splits_it() -> None:
    sql = "-- first\nLIST MODEL; PREDICT USING m AS SELECT ';' FROM t -- ;\n; SELECT 1;"
    trees = [tree for tree in sqlglot.parse(sql, read="thanosql") if tree]
    assert [tree.sql("thanosql", comments=False) for tree in trees] == [
        "LIST MODEL",
        "PREDICT USING m AS SELECT ';' FROM t",
        "SELECT 1",
    ]
    assert trees[0].sql("thanosql").startswith("/* first */ LIST MODEL")


@pure
def test_comments_are_kept() -> None:
    sql = "PREDICT /* a */ USING m OPTIONS (x=/* b */ 1) /* c */ AS SELECT /* d */ a FROM t -- e"
    again = printed(sql)
    assert [again.count(f"/* {letter} */") for letter in "abcde"] == [1] * 5
    assert said(script(again).statements, again) == said(script(sql).statements, sql)


# --- what tools find ------------------------------------------------------------------------

PREDICTION = "(PREDICT USING m AS SELECT * FROM t)"


@pure
@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("PREDICT USING m AS SELECT * FROM a.t JOIN u USING (id)", ["t", "u"]),
        (f"SELECT * FROM {PREDICTION} p JOIN u USING (id)", ["t", "u"]),
        ("CREATE VIEW s.v AS PREDICT USING m AS SELECT * FROM t", ["t", "v"]),
        ("SELECT id FROM u WHERE id IN (PREDICT USING m AS SELECT id FROM t)", ["t", "u"]),
        ("EVALUATE USING m AS PIVOT t ON a USING sum(b)", ["t"]),
        ("BUILD MODEL m USING b AS SELECT * FROM t", ["t"]),
        ("PRINT AUDIO AS SELECT * FROM t", ["t"]),
        ("COPY s.t OPTIONS (overwrite=True) FROM 'x.csv'", ["t"]),
        ("LIST TABLE", []),
        ("DELETE MODEL m", []),
    ],
)
def test_tables_are_found(sql: str, found: list[str]) -> None:
    assert tables(sqlglot.parse_one(sql, read="thanosql")) == found


@pure
@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT * FROM t",
        f"SELECT * FROM {PREDICTION}",
        "WITH a AS (FROM t) PREDICT USING m AS FROM a",
        "EVALUATE USING m AS (SELECT * FROM t)",
        "LIST MODEL",
    ],
)
def test_a_relation_is_a_select_that_only_reads(sql: str) -> None:
    tree = sqlglot.parse_one(sql, read="thanosql")
    assert isinstance(tree, exp.Select)
    assert not changes(tree)


@pure
@pytest.mark.parametrize(
    "sql",
    [
        "BUILD MODEL m USING b AS SELECT * FROM t",
        "FIT MODEL m USING m AS SELECT * FROM t",
        "COPY t FROM 'x.csv'",
        "GET THANOSQL MODEL x",
        "UPLOAD MODEL m FROM 'x'",
        "DELETE MODEL m",
        "PREDICT USING m OPTIONS (table_name='kept') AS SELECT * FROM t",
        "PREDICT USING m OPTIONS (table_name=?) AS SELECT * FROM t",
    ],
)
def test_a_command_is_taken_for_one_that_changes_something(sql: str) -> None:
    tree = sqlglot.parse_one(sql, read="thanosql")
    assert changes(tree)
    assert not isinstance(tree, exp.Query)


@pure
def test_a_prediction_that_is_stored_too_names_its_table() -> None:
    sql = "PREDICT USING m OPTIONS (table_name='kept') AS SELECT * FROM t"
    tree = sqlglot.parse_one(sql, read="thanosql")
    assert tables(tree) == ["kept", "t"]
    assert tree.sql("thanosql") == sql
    # Within another statement the option is an error, so nothing is stored.
    assert not changes(sqlglot.parse_one(f"SELECT * FROM ({sql})", read="thanosql"))


@pure
def test_print_only_reads_and_is_no_query() -> None:
    tree = sqlglot.parse_one("PRINT AUDIO AS SELECT * FROM t", read="thanosql")
    assert isinstance(tree, exp.Describe)
    assert not changes(tree)


def changes(tree: exp.Expression) -> bool:
    """Tell what BI tools tell by: whether a node that changes something stands in the tree."""
    kinds = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter)
    return tree.find(*kinds) is not None


@pure
@pytest.mark.parametrize(
    "sql",
    ["PREDICT USING m AS SELECT * FROM t", f"SELECT * FROM {PREDICTION}", "LIST MODEL"],
)
def test_scopes_are_traversed_down_to_the_tables(sql: str) -> None:
    scopes = traverse_scope(sqlglot.parse_one(sql, read="thanosql"))
    sources = [source for scope in scopes for source in scope.sources.values()]
    found = [source.name for source in sources if isinstance(source, exp.Table)]
    assert found == ([] if sql.startswith("LIST") else ["t"])


@pure
def test_what_a_tool_puts_on_a_relation_stands_around_it() -> None:
    sql = "PREDICT USING m AS SELECT * FROM t LIMIT 9"
    predict = sqlglot.parse_one(sql, read="thanosql")
    around = f"SELECT * FROM ({sql})"
    built = {
        f"{around} LIMIT 5": predict.limit(5),
        f"{around} WHERE predicted = 'x'": predict.where("predicted = 'x'"),
        f"{around} ORDER BY id": predict.order_by("id", dialect="thanosql"),
        f"SELECT id FROM ({sql})": predict.select("id", append=False),
        f"SELECT *, id FROM ({sql})": predict.select("id"),
        f"SELECT q.id FROM ({sql}) AS q": exp.select("q.id").from_(predict.subquery("q")),
        f"({sql}) UNION SELECT 1 LIMIT 3": exp.union(predict, "SELECT 1").limit(3),
        f"WITH c AS ({sql}) SELECT 1 FROM c": exp.select("1").from_("c").with_("c", as_=predict),
        f"WITH c AS (SELECT 1) {sql}": predict.with_("c", as_="SELECT 1"),
        f"WITH c AS (SELECT 1) {around} LIMIT 5": predict.with_("c", as_="SELECT 1").limit(5),
        f"CREATE TABLE x AS {sql}": predict.ctas("x", dialect="thanosql"),
        f"{around} JOIN u USING (id)": predict.join("u", using="id"),
    }
    for expected, tree in built.items():
        assert tree.sql("thanosql") == expected
        assert printed(expected) == expected
    assert predict.sql("thanosql") == sql


@pure
def test_a_limit_set_as_an_argument_stands_around_it_too() -> None:
    predict = sqlglot.parse_one("PREDICT USING m AS SELECT * FROM t", read="thanosql")
    predict.args["limit"] = exp.Limit(expression=exp.Literal.number(7))
    assert predict.sql("thanosql") == f"SELECT * FROM {PREDICTION} LIMIT 7"
    listed = sqlglot.parse_one("LIST MODEL", read="thanosql").limit(7)
    assert listed.sql("thanosql") == "LIST MODEL LIMIT 7"
    assert listed.where("name = 'm'").sql("thanosql") == (
        "SELECT * FROM (LIST MODEL) WHERE name = 'm' LIMIT 7"
    )


@pure
def test_row_level_security_reaches_the_tables_within() -> None:
    def restrict(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Table):
            return node
        return exp.select("*").from_(node.copy()).where("region = 3").subquery(node.name)

    tree = sqlglot.parse_one(f"SELECT id FROM {PREDICTION}", read="thanosql").transform(restrict)
    assert tree.sql("thanosql") == (
        "SELECT id FROM (PREDICT USING m AS SELECT * FROM (SELECT * FROM t WHERE region = 3) AS t)"
    )


@pure
def test_statements_are_compared_copied_and_stored() -> None:
    one, other = (
        sqlglot.parse_one(
            f"PREDICT USING m OPTIONS (audio_col='{name}') AS FROM t", read="thanosql"
        )
        for name in ("a", "A")
    )
    assert one == one.copy()
    assert one != other
    assert serde.load(serde.dump(one)) == one
    for sql in OURS:
        for tree in sqlglot.parse(sql, read="thanosql"):
            assert tree is not None
            assert serde.load(serde.dump(tree)).sql("thanosql") == tree.sql("thanosql")


@pure
def test_no_other_dialect_prints_a_model_statement() -> None:
    tree = sqlglot.parse_one("PREDICT USING m AS SELECT * FROM t", read="thanosql")
    with pytest.raises(ValueError, match="ModelQuery"):
        tree.sql("duckdb")
    assert str(tree) == "PREDICT USING m AS SELECT * FROM t"


# --- what does not fit ----------------------------------------------------------------------


@pure
@pytest.mark.parametrize(
    ("sql", "message", "place"),
    [
        ("PREDICT USNG m AS SELECT 1", "USING expected .* Did you mean 'USING'", (1, 9)),
        ("SELECT 1;\nBUILD MODEL x USNG y AS SELECT 1", "USING expected", (2, 15)),
        ("SELECT * FROM (DELETE MODEL m)", "may only stand at top level", (1, 16)),
        ("PREDICT USING m AS SELECT 'a", "tokenizing", None),
        ("DELETE MODLE m", "MODEL expected", (1, 8)),
    ],
)
def test_what_does_not_fit_is_said_in_the_language_s_words(
    sql: str, message: str, place: tuple[int, int] | None
) -> None:
    with pytest.raises(SqlglotError, match=message) as raised:
        sqlglot.parse(sql, read="thanosql")
    if place:
        assert isinstance(raised.value, ParseError)
        (error,) = raised.value.errors
        assert (error["line"], error["col"]) == place
        shown = error["start_context"] + error["highlight"] + error["end_context"]
        assert shown == sql.split("\n")[place[0] - 1]
        assert error["highlight"] in ("USNG", "DELETE", "MODLE")


@pure
def test_what_does_not_fit_within_the_query_is_an_error_too() -> None:
    with pytest.raises(ParseError, match="Unexpected token"):
        printed("INSERT INTO x PREDICT USING m AS SELECT * FROM t RETURNING *")


@pure
def test_our_words_are_free_names_in_fragments() -> None:
    assert exp.condition("list = 3 AND search LIKE 'x'", dialect="thanosql").sql("thanosql")
    assert sqlglot.parse_one("search LIKE 'a%'", read="thanosql").sql("thanosql") == (
        "search LIKE 'a%'"
    )
    assert sqlglot.parse_one("predict", read="thanosql") == exp.column("predict")
    assert exp.to_table("predict", dialect="thanosql").name == "predict"
    assert exp.select("list").from_("build", dialect="thanosql").sql("thanosql") == (
        "SELECT list FROM build"
    )


# --- optimisers -----------------------------------------------------------------------------

SCHEMA = {
    "t": {"id": "BIGINT", "audio_path": "VARCHAR", "region": "BIGINT", "text": "VARCHAR"},
    "few": {"sound": "VARCHAR", "n": "BIGINT"},
}
TOOLS = {
    "printed": lambda tree: tree,
    "pretty": lambda tree: sqlglot.parse_one(tree.sql("thanosql", pretty=True), read="thanosql"),
    "qualified": lambda tree: qualify(tree, schema=SCHEMA, dialect="thanosql"),
    "predicates": lambda tree: pushdown_predicates(tree, dialect="thanosql"),
    "optimized": lambda tree: optimize(tree, schema=SCHEMA, dialect="thanosql"),
}
NARROW = "(PREDICT USING m AS SELECT id, sound AS audio_path FROM few JOIN t ON t.id = few.n)"


@pure
@pytest.mark.parametrize(
    "sql",
    [
        "PREDICT USING m AS SELECT * FROM t",
        "PREDICT USING m OPTIONS (audio_col='text', result_col='Heard it') AS SELECT text FROM t",
        "PREDICT USING m AS SELECT sound AS audio_path FROM few WHERE n > 1",
        f"SELECT id, predicted FROM {PREDICTION} WHERE predicted LIKE '%9' AND region = 9",
        f"SELECT p.id FROM {PREDICTION} AS p WHERE p.id < 5",
        f"SELECT count(*) AS n FROM {PREDICTION} AS p",
        f"SELECT predicted FROM {NARROW} AS p WHERE predicted = 'S1'",
        f"SELECT id FROM {NARROW} AS p",
        f"SELECT p.id, q.predicted AS b FROM {PREDICTION} AS p JOIN {PREDICTION} AS q"
        " ON p.id = q.id WHERE p.id < 5",
        f"SELECT t.id, p.predicted FROM t LEFT JOIN {PREDICTION} AS p ON p.id = t.id + 1",
        f"WITH c AS {PREDICTION}, d AS (SELECT * FROM c WHERE id < 3) SELECT id, predicted FROM d",
        f"SELECT predicted FROM (SELECT id, predicted, region FROM {PREDICTION} AS x) AS v"
        " WHERE region = 3 GROUP BY predicted ORDER BY predicted LIMIT 3",
        "SELECT id FROM (SELECT id, audio_path, region, text, text AS predicted FROM t"
        " UNION ALL PREDICT USING m AS SELECT * FROM t) AS u",
        "SELECT score FROM (EVALUATE USING m AS SELECT audio_path, text FROM t WHERE id < 0)"
        " WHERE metric = 'utterances'",
        "SELECT 1 AS one FROM (EVALUATE USING m AS SELECT * FROM t WHERE id < 0) AS e",
        "SELECT region, score FROM (EVALUATE USING m OPTIONS (by='Region') AS SELECT * FROM t)"
        " WHERE metric = 'wer' AND region < 4",
        "SELECT p_value FROM (EVALUATE USING m OPTIONS (against='m', by=['region', 'id']) AS"
        " SELECT * FROM t) WHERE metric = 'wer' AND id = 4",
        "SELECT id, errors FROM (EVALUATE USING m OPTIONS (detail=True) AS SELECT * FROM t) AS e"
        " WHERE errors = 0 AND id < 4",
        "EVALUATE USING m OPTIONS (detail=True) AS SELECT id, audio_path, text FROM t",
        "SELECT * FROM (EVALUATE USING m OPTIONS (detail=True) AS SELECT id, audio_path, text"
        " FROM t) AS e WHERE id < 3",
        "SELECT name FROM (LIST MODEL) AS l WHERE class_name = 'Echo'",
        "LIST TABLE ORDER BY table_name LIMIT 1",
        "SELECT id FROM t WHERE EXISTS (PREDICT USING m AS SELECT * FROM t WHERE id < 3)",
        "SELECT id FROM t WHERE text IN (SELECT predicted FROM"
        " (PREDICT USING m AS SELECT * FROM t WHERE id < 3))",
        "PREDICT USING m OPTIONS (result_col='b') AS PREDICT USING m OPTIONS (column_name='a') AS"
        " SELECT * FROM t ORDER BY id LIMIT 2",
        "WITH first AS (SELECT * FROM t WHERE id < 3) PREDICT USING m AS SELECT * FROM first",
        f"SELECT * EXCLUDE (audio_path) FROM {PREDICTION} ORDER BY id LIMIT 2",
        f"SELECT region, max(predicted) AS m FROM {PREDICTION} GROUP BY region HAVING count(*) > 1",
        "(PREDICT USING m AS SELECT * FROM t WHERE id < 2) UNION ALL"
        " SELECT 1, 'a', 2, 'b', 'c' ORDER BY 1 LIMIT 3",
    ],
)
def test_rewritten_by_a_tool_a_query_returns_the_same(connection: Connection, sql: str) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE t AS SELECT * FROM t WHERE id < 50;"
        "CREATE TABLE few AS SELECT 's' || i AS sound, i AS n FROM range(3) r(i)"
    )
    expected = sorted(connection.execute(sql).fetchall())
    assert expected
    for tool, rewrite in TOOLS.items():
        rewritten = rewrite(sqlglot.parse_one(sql, read="thanosql")).sql("thanosql")
        assert printed(rewritten) == rewritten, tool
        assert parse(rewritten) is not None, tool
        assert sorted(connection.execute(rewritten).fetchall()) == expected, tool


@pure
def test_the_columns_that_a_listing_is_said_to_have_are_its_columns(
    connection: Connection,
) -> None:
    for sql in statements("ListObjects.sql"):
        tree = sqlglot.parse_one(sql, read="thanosql")
        cursor = connection.execute(sql)
        assert tree.named_selects == [column.name for column in cursor.description]


@pure
@pytest.mark.parametrize(
    "options",
    [
        "detail=False",
        "detail=True",
        "by='region'",
        "by=['region', 'id', 'region', '']",
        "by=[], against='m'",
        "against='m', by='text'",
        "against=''",
    ],
)
def test_the_columns_that_an_evaluate_is_said_to_have_are_its_columns(
    connection: Connection, options: str
) -> None:
    sql = f"EVALUATE USING m OPTIONS ({options}) AS SELECT * FROM t WHERE id < 0"
    described = [column.name for column in connection.execute(sql).description]
    tree = sqlglot.parse_one(sql, read="thanosql")
    if tree.named_selects[0] == "*":
        described[:4] = ["*"]
    assert tree.named_selects == described


@pure
def test_the_result_of_a_prediction_has_the_families_default_name() -> None:
    tree = sqlglot.parse_one("PREDICT USING m AS SELECT a FROM t", read="thanosql")
    for name in families.names():
        options = {o.name: o.default for o in families.family(name).options(Verb.PREDICT)}
        assert tree.named_selects == ["*", options["result_col"]]


@pure
def test_the_columns_that_options_add_are_named_in_order(connection: Connection) -> None:
    sql = (
        "PREDICT USING m OPTIONS (error_col='why', words_col='w', score_col='s', on_error='null',"
        " result_col='r') AS SELECT 'a' AS audio_path"
    )
    tree = sqlglot.parse_one(sql, read="thanosql")
    described = [column.name for column in connection.execute(sql).description]
    assert tree.named_selects == ["*", *described[1:]] == ["*", "r", "s", "w", "why"]


# --- loading --------------------------------------------------------------------------------


def fresh(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pure
def test_sqlglot_finds_the_dialect_by_its_name() -> None:
    program = (
        "import sqlglot; print(sqlglot.transpile('LIST MODEL', read='thanosql', write='thanosql'))"
    )
    assert fresh(program) == "['LIST MODEL']"


def test_the_driver_never_loads_the_dialect() -> None:
    program = (
        "import sys, thanosql_dbapi\n"
        "with thanosql_dbapi.connect() as connection:\n"
        "    connection.execute('LIST MODEL').fetchall()\n"
        "print([m for m in sys.modules if m in ('thanosql_dbapi.language.dialect', 'sqlglot')])"
    )
    assert fresh(program) == "['sqlglot']"


def test_sqlglot_alone_loads_nothing_of_ours() -> None:
    program = (
        "import sys, sqlglot\n"
        "from sqlglot.dialects.dialect import Dialect\n"
        "Dialect.classes\n"
        "print(sqlglot.transpile('SELECT 1 ORDER BY 1', read='duckdb', write='snowflake'))\n"
        "print([m for m in sys.modules if m.startswith('thanosql')])"
    )
    assert fresh(program) == "['SELECT 1 ORDER BY 1']\n[]"


@compiled
def test_the_compiled_build_is_refused_in_one_sentence() -> None:
    for _ in range(2):
        with pytest.raises(SqlglotError) as refused:
            sqlglot.parse("SELECT 1", read="thanosql")
        assert str(refused.value) == (
            "The sqlglot dialect 'thanosql' needs sqlglot's build in pure Python, because the"
            " parser of the compiled build allows no subclass: pip uninstall sqlglotc."
        )
    assert "thanosql" not in Dialect._classes


@compiled
def test_the_refusal_harms_nothing_else() -> None:
    with pytest.raises(SqlglotError):
        sqlglot.parse("SELECT 1", read="thanosql")
    assert sqlglot.transpile("FROM t", read="duckdb", write="snowflake") == ["SELECT * FROM t"]
    assert parse("PREDICT USING m AS SELECT 1") is not None
