"""Inspection of what DuckDB holds, by its catalogue alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import publish_echo
from echo import Echo
from sqlalchemy import Engine, Inspector, MetaData, create_engine, event, inspect
from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.pool import StaticPool

from sqlalchemy_dialect.types import BIGNUM, LIST, MAP, STRUCT, UNION
from thanosql_dbapi import Connection

SCRIPT = """
CREATE TABLE "Parent" ("Id" INTEGER, "B c" VARCHAR, PRIMARY KEY (iD), UNIQUE ("b C", ID));
CREATE TABLE child (
    x INTEGER, y VARCHAR, parent INTEGER REFERENCES PARENT (id), self INTEGER UNIQUE,
    FOREIGN KEY (Y, X) REFERENCES pArEnT ("b c", id), FOREIGN KEY (self) REFERENCES child (SELF)
);
COMMENT ON TABLE child IS 'it''s a child';
COMMENT ON COLUMN child.x IS 'ex';
CREATE TABLE facts (
    a INTEGER NOT NULL DEFAULT 5 + 3,
    t TIMESTAMP DEFAULT current_timestamp,
    v VARCHAR(20) DEFAULT 'x''y',
    n INTEGER DEFAULT NULL,
    i INTEGER AS (CAST(a AS INTEGER)),
    g VARCHAR GENERATED ALWAYS AS (v || 'x') VIRTUAL,
    h DOUBLE AS (a / 2),
    CHECK (length(v) > 3 AND (a = 1 OR v <> ')')),
    CHECK (a > 0)
);
CREATE TABLE nested (
    s STRUCT(a INTEGER, "b c" VARCHAR[])[], m MAP(VARCHAR, INTEGER), u UNION(a INTEGER, b VARCHAR),
    e ENUM('x', 'it''s'), d DECIMAL(18,3), h HUGEINT, b BIGNUM, f INTEGER[3], i INTERVAL,
    j JSON, k UUID, z TIMESTAMPTZ
);
CREATE INDEX lower_b ON "Parent" (ID, (lower("b c")), "b c");
CREATE UNIQUE INDEX odd ON "Parent" (("B c" || 'x,\\y'' ]['));
CREATE INDEX plain ON child (y);
CREATE SEQUENCE counted_id_seq; CREATE TABLE counted (id INTEGER DEFAULT nextval('counted_id_seq')
    PRIMARY KEY, other INTEGER DEFAULT nextval('counted_id_seq'));
CREATE SEQUENCE odd; CREATE TABLE other (id INTEGER DEFAULT nextval('odd') PRIMARY KEY);
CREATE VIEW seen (one, "two three") AS SELECT x, y FROM child;
CREATE VIEW "in between" AS SELECT 'AS; (' AS a;
COMMENT ON VIEW seen IS 'a view'; COMMENT ON COLUMN seen.one IS 'first';
CREATE SCHEMA s; CREATE SCHEMA "dotted.name";
CREATE TABLE s.parent (id INTEGER PRIMARY KEY); CREATE VIEW s.v AS SELECT id FROM s.parent;
CREATE TABLE s.child (id INTEGER REFERENCES s.parent); CREATE INDEX in_s ON s.child (id);
CREATE SEQUENCE s.seq; CREATE TABLE "dotted.name".t (i INTEGER);
CREATE TEMP TABLE short (id INTEGER PRIMARY KEY); CREATE INDEX si ON short (id);
CREATE TEMP TABLE facts (shadow INTEGER); CREATE TEMP VIEW glimpse AS SELECT id FROM short;
ATTACH ':memory:' AS other_db; CREATE TABLE other_db.main.o (i INTEGER UNIQUE);
CREATE SCHEMA other_db.z; CREATE TABLE other_db.z.zz (i INTEGER);
"""


def run(engine: Engine, script: str) -> None:
    # By itself each statement: DuckDB writes to one database in a transaction.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(script)


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    engine = create_engine("thanosql://", poolclass=StaticPool)
    run(engine, SCRIPT)
    yield inspect(engine)
    engine.dispose()


# --- names ----------------------------------------------------------------------------------


def test_names_are_those_of_the_current_schema(inspector: Inspector) -> None:
    assert inspector.get_table_names() == [
        *("Parent", "child", "counted", "facts", "nested", "other")
    ]
    assert inspector.get_view_names() == ["in between", "seen"]
    assert inspector.get_temp_table_names() == ["facts", "short"]
    assert inspector.get_temp_view_names() == ["glimpse"]
    assert inspector.get_sequence_names() == ["counted_id_seq", "odd"]
    assert inspector.get_materialized_view_names() == []


def test_schema_is_a_name_or_two_with_a_dot(inspector: Inspector) -> None:
    names = inspector.get_schema_names()
    assert names == ["dotted.name", "main", "s", "other_db.main", "other_db.z"]
    assert inspector.get_table_names(names[0]) == ["t"]
    assert inspector.get_table_names("S") == ["child", "parent"]
    assert inspector.get_view_names("s") == ["v"]
    assert inspector.get_sequence_names("s") == ["seq"]
    assert inspector.get_table_names("other_db.z") == ["zz"]
    assert inspector.get_table_names("other_db") == inspector.get_table_names("other_db.main")
    assert inspector.get_table_names("nowhere") == []
    assert inspector.get_table_names("no.where") == []


@pytest.mark.parametrize(
    ("name", "schema", "there"),
    [
        ("child", None, True),
        ("CHILD", None, True),
        ("seen", None, True),
        ("short", None, True),
        ("glimpse", None, True),
        ("parent", "s", True),
        ("zz", "other_db.z", True),
        ("o", "other_db", True),
        ("zz", None, False),
        ("short", "main", False),
        ("nothing", None, False),
        ("child", "nowhere", False),
    ],
)
def test_has_table(inspector: Inspector, name: str, schema: str | None, there: bool) -> None:
    assert inspector.has_table(name, schema) is there


def test_has_schema_sequence_and_index(inspector: Inspector) -> None:
    found = [inspector.has_schema(name) for name in ("s", "S", "other_db.z", "other_db", "no")]
    assert found == [True, True, True, True, False]
    assert inspector.has_sequence("odd")
    assert inspector.has_sequence("seq", "s")
    assert not inspector.has_sequence("seq")
    assert inspector.has_index("child", "plain")
    assert not inspector.has_index("child", "in_s")
    assert inspector.has_index("child", "in_s", "s")


@pytest.mark.parametrize(
    "method",
    [
        "get_columns",
        "get_pk_constraint",
        "get_foreign_keys",
        "get_unique_constraints",
        "get_check_constraints",
        "get_indexes",
        "get_table_comment",
        "get_view_definition",
    ],
)
def test_missing_table_is_no_such_table(inspector: Inspector, method: str) -> None:
    with pytest.raises(sa.exc.NoSuchTableError, match="nothing"):
        getattr(inspector, method)("nothing")
    with pytest.raises(sa.exc.NoSuchTableError, match=r"s\.facts"):
        getattr(inspector, method)("facts", schema="s")


# --- columns --------------------------------------------------------------------------------


def columns(inspector: Inspector, table: str, schema: str | None = None) -> dict[str, Any]:
    return {
        column.pop("name"): column for column in map(dict, inspector.get_columns(table, schema))
    }


def test_defaults_are_duckdbs_text(inspector: Inspector) -> None:
    found = columns(inspector, "facts", "main")
    assert {name: column["default"] for name, column in found.items()} == {
        "a": "(5 + 3)",
        "t": "current_timestamp",
        "v": "'x''y'",
        "n": None,
        "i": None,
        "g": None,
        "h": None,
    }
    assert [name for name, column in found.items() if not column["nullable"]] == ["a"]


def test_computed_columns_say_what_they_compute(inspector: Inspector) -> None:
    found = columns(inspector, "facts", "main")
    computed = {name: column.get("computed") for name, column in found.items()}
    assert {name: value for name, value in computed.items() if value} == {
        "i": {"sqltext": "CAST(a AS INTEGER)", "persisted": False},
        "g": {"sqltext": "v || 'x'", "persisted": False},
        "h": {"sqltext": "a / 2", "persisted": False},
    }


def test_nested_types_are_whole(inspector: Inspector) -> None:
    kinds = {name: column["type"] for name, column in columns(inspector, "nested").items()}
    assert repr(kinds["s"]) == "LIST(STRUCT({'a': INTEGER(), 'b c': LIST(VARCHAR())}))"
    assert isinstance(kinds["s"], LIST)
    assert isinstance(kinds["s"].item_type, STRUCT)
    assert isinstance(kinds["m"], MAP)
    assert isinstance(kinds["u"], UNION)
    assert isinstance(kinds["b"], BIGNUM)
    assert kinds["e"].enums == ["x", "it's"]
    assert (kinds["d"].precision, kinds["d"].scale) == (18, 3)
    assert kinds["z"].timezone
    assert kinds["f"].size == 3


def test_only_the_sequence_of_its_own_name_makes_a_key_autoincrement(inspector: Inspector) -> None:
    counted = columns(inspector, "counted")
    assert (counted["id"]["autoincrement"], counted["id"]["default"]) == (True, None)
    assert counted["other"]["autoincrement"] is False
    assert counted["other"]["default"] == "nextval('counted_id_seq')"
    other = columns(inspector, "other")
    assert (other["id"]["autoincrement"], other["id"]["default"]) == (False, "nextval('odd')")


def test_autoincrement_key_of_the_dialect_is_one_when_reflected(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE SCHEMA "a s"')
        made = MetaData()
        sa.Table("Odd t", made, sa.Column("the id", sa.Integer, primary_key=True), schema="a s")
        sa.Table("t", made, sa.Column("id", sa.BigInteger, primary_key=True))
        made.create_all(connection)
        found = inspect(connection)
        assert columns(found, "Odd t", "a s")["the id"]["autoincrement"] is True
        assert columns(found, "t")["id"]["autoincrement"] is True
        reflected = sa.Table("t", MetaData(), autoload_with=connection)
        assert connection.execute(reflected.insert()).inserted_primary_key == (1,)


def test_columns_and_comments_of_views(inspector: Inspector) -> None:
    found = columns(inspector, "seen")
    assert list(found) == ["one", "two three"]
    assert [column["comment"] for column in found.values()] == ["first", None]
    assert inspector.get_table_comment("seen") == {"text": "a view"}
    assert inspector.get_table_comment("child") == {"text": "it's a child"}
    assert columns(inspector, "child")["x"]["comment"] == "ex"
    assert inspector.get_table_comment("other") == {"text": None}


def test_temporary_table_hides_one_of_the_same_name(inspector: Inspector) -> None:
    assert list(columns(inspector, "facts")) == ["shadow"]
    assert len(columns(inspector, "facts", "main")) == 7


# --- constraints and indexes ----------------------------------------------------------------


def test_keys_are_spelled_as_their_table_spells_them(inspector: Inspector) -> None:
    assert inspector.get_pk_constraint("parent") == {
        "name": "Parent_id_pkey",
        "constrained_columns": ["Id"],
    }
    assert inspector.get_unique_constraints("Parent") == [
        {"name": "Parent_b c_id_key", "column_names": ["B c", "Id"]}
    ]
    assert inspector.get_foreign_keys("child") == [
        {
            "name": name,
            "constrained_columns": own,
            "referred_schema": None,
            "referred_table": table,
            "referred_columns": theirs,
            "options": {},
        }
        for name, own, table, theirs in (
            ("child_parent_id_fkey", ["parent"], "Parent", ["Id"]),
            ("child_y_x_b c_id_fkey", ["y", "x"], "Parent", ["B c", "Id"]),
            ("child_self_self_fkey", ["self"], "child", ["self"]),
        )
    ]
    (key,) = inspector.get_foreign_keys("child", "s")
    assert (key["referred_schema"], key["referred_table"]) == ("s", "parent")
    assert inspector.get_pk_constraint("child") == {"name": None, "constrained_columns": []}


def test_checks_are_their_condition(inspector: Inspector) -> None:
    assert [check["sqltext"] for check in inspector.get_check_constraints("facts", "main")] == [
        "(length(v) > 3) AND ((a = 1) OR (v != ')'))",
        "a > 0",
    ]


def test_indexes_tell_columns_from_expressions(inspector: Inspector) -> None:
    assert inspector.get_indexes("Parent") == [
        {
            "name": "lower_b",
            "unique": False,
            "column_names": ["Id", None, "B c"],
            "expressions": ["Id", 'lower("b c")', "B c"],
            "dialect_options": {},
        },
        {
            "name": "odd",
            "unique": True,
            "column_names": [None],
            "expressions": ["\"B c\" || 'x,\\y'' ]['"],
            "dialect_options": {},
        },
    ]
    (plain,) = inspector.get_indexes("child")
    assert plain == {
        "name": "plain",
        "unique": False,
        "column_names": ["y"],
        "dialect_options": {},
    }


# --- views ----------------------------------------------------------------------------------


def test_definition_of_a_view_is_its_query(inspector: Inspector) -> None:
    definition = inspector.get_view_definition
    assert definition("SEEN") == 'SELECT * FROM (SELECT x, y FROM child) AS seen(one, "two three")'
    assert definition("in between") == "SELECT 'AS; (' AS a"
    assert definition("v", "s") == "SELECT id FROM s.parent"
    assert definition("glimpse") == "SELECT id FROM short"
    with pytest.raises(sa.exc.NoSuchTableError, match="child"):
        definition("child")
    with inspector.bind.connect() as connection:  # type: ignore[union-attr]
        for view in ("seen", "in between", "glimpse"):
            query = connection.exec_driver_sql(definition(view))
            assert list(query.keys()) == [c["name"] for c in inspector.get_columns(view)]


def test_view_whose_table_is_gone_breaks_nothing(inspector: Inspector) -> None:
    run(inspector.bind, "CREATE VIEW lost AS SELECT * FROM other; DROP TABLE other")  # type: ignore[arg-type]
    metadata = MetaData()
    metadata.reflect(inspector.bind, views=True)
    assert [c.name for c in metadata.tables["lost"].columns] == ["id"]
    assert "seen" in metadata.tables


def test_reflecting_a_view_of_predictions_runs_no_model(connection: Connection, echo: Echo) -> None:
    connection.execute("CREATE VIEW v AS PREDICT USING m AS SELECT * FROM t")
    publish_echo(connection, "gone")
    connection.execute("CREATE VIEW w AS PREDICT USING gone AS SELECT * FROM t")
    connection.execute("DELETE MODEL gone")
    engine = create_engine("thanosql://", creator=lambda: connection, poolclass=StaticPool)
    metadata = MetaData()
    metadata.reflect(engine, views=True)
    assert [c.name for c in metadata.tables["v"].columns][-1] == "predicted"
    assert [c.name for c in metadata.tables["w"].columns][-1] == "predicted"
    assert "thanosql_predict" in inspect(engine).get_view_definition("v")
    assert echo.asked == []
    with engine.connect() as connected:
        statement = sa.select(metadata.tables["v"].c.predicted).limit(1)
        assert connected.scalar(statement) == "P0"
    assert echo.asked == ["p0"]


# --- many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "scope", "names"),
    [
        (ObjectKind.TABLE, ObjectScope.DEFAULT, {"child", "facts"}),
        (ObjectKind.TABLE, ObjectScope.TEMPORARY, {"short", "facts"}),
        (ObjectKind.VIEW, ObjectScope.DEFAULT, {"seen"}),
        (ObjectKind.ANY_VIEW, ObjectScope.TEMPORARY, {"glimpse"}),
        (ObjectKind.MATERIALIZED_VIEW, ObjectScope.ANY, set()),
        (ObjectKind.ANY, ObjectScope.ANY, {"child", "facts", "short", "seen", "glimpse"}),
    ],
)
def test_every_kind_of_fact_speaks_of_the_same_relations(
    inspector: Inspector, kind: ObjectKind, scope: ObjectScope, names: set[str]
) -> None:
    asked = ["CHILD", "facts", "short", "seen", "glimpse", "nothing"]
    spelled = {name.upper() if name == "child" else name for name in names}
    for method in (
        inspector.get_multi_columns,
        inspector.get_multi_pk_constraint,
        inspector.get_multi_foreign_keys,
        inspector.get_multi_unique_constraints,
        inspector.get_multi_check_constraints,
        inspector.get_multi_indexes,
        inspector.get_multi_table_comment,
    ):
        found = method(filter_names=asked, kind=kind, scope=scope)
        assert set(found) == {(None, name) for name in spelled}, method
        unfiltered = {name for _, name in method(kind=kind, scope=scope)}
        assert names <= unfiltered, method
        assert method(schema="main", scope=ObjectScope.TEMPORARY) == {}


def test_one_table_is_as_in_the_many(inspector: Inspector) -> None:
    many = inspector.get_multi_indexes(kind=ObjectKind.ANY, scope=ObjectScope.ANY)
    assert {name: inspector.get_indexes(name) for _, name in many} == {
        name: facts for (_, name), facts in many.items()
    }


def test_number_of_queries_does_not_grow_with_the_tables(engine: Engine) -> None:
    counts, shapes = [], []
    for last in (3, 300):
        tables = "; ".join(
            f"CREATE TABLE IF NOT EXISTS t{i} (id INTEGER PRIMARY KEY, a VARCHAR UNIQUE,"
            f" b INTEGER CHECK (b > 0), p INTEGER REFERENCES t{i % 2} (id))"
            for i in range(last)
        )
        run(engine, tables)
        queries: list[str] = []

        def note(*args: Any, queries: list[str] = queries) -> None:
            queries.append(args[2])

        event.listen(engine, "before_cursor_execute", note)
        metadata = MetaData()
        metadata.reflect(engine, views=True)
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len(queries))
        shapes.append(len(metadata.tables))
    assert shapes == [3, 300]
    assert counts[0] == counts[1] <= 12


def test_reflected_schema_makes_the_same_schema(inspector: Inspector) -> None:
    """What is reflected, created elsewhere and reflected again is the same."""

    def facts(found: Inspector) -> dict[str, Any]:
        methods = (
            found.get_multi_columns,
            found.get_multi_pk_constraint,
            found.get_multi_foreign_keys,
            found.get_multi_unique_constraints,
            found.get_multi_check_constraints,
            found.get_multi_indexes,
            found.get_multi_table_comment,
        )
        # The texts of types stand for types, which compare by identity.
        return {method.__name__: _sorted(repr(method())) for method in methods}

    run(inspector.bind, "DROP TABLE temp.facts")  # type: ignore[arg-type]
    metadata = MetaData()
    metadata.reflect(inspector.bind)
    copy = create_engine("thanosql://", poolclass=StaticPool)
    with copy.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE odd; CREATE SEQUENCE counted_id_seq")
        metadata.create_all(connection)
    assert facts(inspect(copy)) == facts(inspect(inspector.bind))  # type: ignore[arg-type]
    copy.dispose()


def _sorted(text: str) -> list[str]:
    return sorted(text.split("{"))
