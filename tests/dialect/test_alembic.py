"""Alembic: autogenerate finds what changed and nothing else, and its migrations run."""

from __future__ import annotations

import enum
import importlib.metadata
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import Column, Engine, ForeignKey, Index, MetaData, Table, create_engine, func

from sqlalchemy_dialect import types as thanosql

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine

config = context.config
options = config.attributes["options"]
if context.is_offline_mode():
    context.configure(dialect_name="thanosql", literal_binds=True, output_buffer=config.stdout)
    with context.begin_transaction():
        context.run_migrations()
else:
    with config.attributes["engine"].connect() as connection:
        context.configure(
            connection=connection, target_metadata=config.attributes["metadata"], **options
        )
        with context.begin_transaction():
            context.run_migrations()
"""
OPTIONS = {"compare_type": True, "compare_server_default": True, "include_schemas": True}


class Colour(enum.Enum):
    red = 1
    blue = 2


def rich() -> MetaData:
    """A schema of everything that is compared."""
    metadata = MetaData()
    Table(
        "parent",
        metadata,
        Column("id", sa.Integer, primary_key=True),
        Column("name", sa.String(50), nullable=False, unique=True, comment="it's"),
        Column("kind", sa.Enum(Colour)),
        Column("code", sa.String(5)),
        sa.CheckConstraint("length(name) > 2 AND name <> 'x'", name="named_check"),
        sa.CheckConstraint("code <> ')'"),
        sa.UniqueConstraint("code", "name", name="uq_code_name"),
        Index("ix_lower", func.lower(sa.text("name"))),
        comment="a table",
    )
    child = Table(
        "child",
        metadata,
        Column("id", sa.BigInteger, primary_key=True),
        Column("parent_id", ForeignKey("parent.id", name="fk_parent"), index=True),
        Column("self_id", ForeignKey("child.id")),
        Column("d", sa.Numeric(10, 2), server_default="5"),
        Column("ts", sa.DateTime, server_default=func.now()),
        Column("tz", sa.DateTime(timezone=True), server_default=sa.text("CURRENT_TIMESTAMP")),
        Column("b", sa.Boolean, server_default=sa.false()),
        Column("s", sa.String, server_default="it's"),
        Column("e", sa.Integer, server_default=sa.text("5+3")),
        Column("l", thanosql.LIST(sa.String), server_default=sa.text("['a']")),
        Column("x", sa.Integer),
        Column("c", sa.Integer, sa.Computed("x * 2 + 1")),
    )
    Index("ix_two", child.c.x, child.c.s)
    Index("ix_expression", func.lower(child.c.s), child.c.x.desc(), unique=True)
    Table("every", metadata, *(Column(f"c{i}", kind) for i, kind in enumerate(TYPES)))
    Table(
        "inner",
        metadata,
        Column("id", sa.Integer, sa.Identity(start=5), primary_key=True),
        Column("outer", sa.Integer, ForeignKey("s.outer.id")),
        schema="s",
    )
    Table(
        "outer",
        metadata,
        Column("id", sa.Integer, primary_key=True),
        Column("v", sa.String(collation="nocase"), comment="there"),
        schema="s",
        comment="elsewhere",
    )
    counter = sa.Sequence("counter", metadata=metadata)
    Table(
        "counted",
        metadata,
        Column("id", sa.Integer, counter, server_default=counter.next_value(), primary_key=True),
        Column("key", sa.String, nullable=False),
    )
    Table(
        "composite",
        metadata,
        Column("a", sa.Integer, primary_key=True),
        Column("b", sa.Integer, primary_key=True),
    )
    return metadata


TYPES: list[Any] = [
    *(thanosql.TINYINT(), thanosql.UHUGEINT(), thanosql.BIGNUM(), thanosql.BIT()),
    *(sa.Float(), sa.Float(10), sa.REAL(), sa.Numeric(), sa.Numeric(5), sa.SmallInteger()),
    *(sa.String(), sa.Text(), sa.Unicode(3), sa.CHAR(3), sa.LargeBinary(), sa.BINARY(3)),
    *(sa.Uuid(), sa.Uuid(native_uuid=False), sa.Boolean(), sa.JSON(), thanosql.JSON()),
    *(sa.Date(), sa.Time(), sa.Time(timezone=True), sa.DateTime(), sa.Interval()),
    *(thanosql.TIMESTAMP_NS(), thanosql.TIME_NS(), thanosql.VARIANT(), thanosql.GEOMETRY()),
    sa.ARRAY(sa.Integer, dimensions=2),
    sa.ARRAY(thanosql.STRUCT({"a": thanosql.JSON})),
    thanosql.LIST(sa.String(5)),
    thanosql.ARRAY(sa.Float, 3),
    thanosql.STRUCT({"a": sa.Integer, "b c": thanosql.LIST(sa.String(3))}),
    thanosql.MAP(sa.String, thanosql.STRUCT({"z": sa.Uuid})),
    thanosql.UNION({"a": sa.Integer, "b": sa.String}),
    thanosql.TUPLE([sa.Integer, sa.String]),
    sa.Enum("x", "it's", name="letters"),
    sa.Enum("a", "b", native_enum=False, name="ab"),
    sa.PickleType(),
]


def differences(engine: Engine, metadata: MetaData) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS)
        return list(compare_metadata(context, metadata))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"thanosql:///{tmp_path / 'a.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA s; CREATE SEQUENCE counter")
    yield engine
    engine.dispose()


@pytest.fixture
def project(tmp_path: Path, database: Engine) -> Config:
    """An Alembic project, as `alembic init` makes it."""
    config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(tmp_path / "scripts"))
    config.set_main_option("path_separator", "os")
    config.config_file_name = str(tmp_path / "alembic.ini")
    command.init(config, str(tmp_path / "scripts"))
    (tmp_path / "scripts" / "env.py").write_text(ENVIRONMENT)
    config.attributes.update(engine=database, metadata=MetaData(), options=OPTIONS)
    return config


def migrate(config: Config, metadata: MetaData, message: str) -> str:
    """Let autogenerate write a migration to a schema, run it, and return its text."""
    config.attributes["metadata"] = metadata
    script = command.revision(config, message, autogenerate=True)
    command.upgrade(config, "head")
    return Path(script.path).read_text()  # type: ignore[union-attr]


# --- nothing found where nothing changed ----------------------------------------------------


def test_created_schema_shows_no_difference(database: Engine) -> None:
    rich().create_all(database, checkfirst=True)
    assert differences(database, rich()) == []


def test_migrated_schema_shows_no_difference_up_and_down(project: Config, database: Engine) -> None:
    migrate(project, rich(), "all")
    assert differences(database, rich()) == []
    command.downgrade(project, "base")
    assert sa.inspect(database).get_table_names() == ["alembic_version"]
    assert sa.inspect(database).get_table_names("s") == []
    assert sa.inspect(database).get_sequence_names() == ["counter"]
    command.upgrade(project, "head")
    assert differences(database, rich()) == []
    command.check(project)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (sa.Integer(), sa.BigInteger()),
        (sa.String(), thanosql.LIST(sa.String)),
        (thanosql.STRUCT({"a": sa.Integer}), thanosql.STRUCT({"a": sa.BigInteger})),
        (sa.Enum("a", "b", name="e"), sa.Enum("a", "b", "c", name="e")),
        (sa.DateTime(), sa.DateTime(timezone=True)),
        (sa.Numeric(10, 2), sa.Numeric(10, 3)),
        (thanosql.ARRAY(sa.Float, 3), thanosql.ARRAY(sa.Float, 4)),
    ],
    ids=repr,
)
def test_changed_type_is_found(database: Engine, before: Any, after: Any) -> None:
    Table("t", MetaData(), Column("v", before)).create(database)
    new = MetaData()
    Table("t", new, Column("v", after))
    (((kind, *_),),) = differences(database, new)
    assert kind == "modify_type"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"server_default": "5"}, {"server_default": "6"}),
        ({"server_default": "5"}, {}),
        ({}, {"server_default": sa.text("upper('x')")}),
        ({"nullable": False}, {}),
        ({"comment": "a"}, {"comment": "b"}),
    ],
    ids=repr,
)
def test_changed_column_is_found(
    database: Engine, before: dict[str, Any], after: dict[str, Any]
) -> None:
    Table("t", MetaData(), Column("v", sa.String, **before)).create(database)
    new = MetaData()
    Table("t", new, Column("v", sa.String, **after))
    assert len(differences(database, new)) == 1


def test_changed_index_and_constraint_are_found(database: Engine) -> None:
    def schema(*items: Any) -> MetaData:
        metadata = MetaData()
        Table("t", metadata, Column("a", sa.String), Column("b", sa.String), *items)
        return metadata

    schema(Index("i", func.lower(sa.text("a"))), sa.UniqueConstraint("a", name="u")).create_all(
        database
    )
    same = schema(Index("i", sa.text("LOWER( a )")), sa.UniqueConstraint("a", name="renamed"))
    assert differences(database, same) == []
    other = schema(Index("i", func.upper(sa.text("a"))), sa.UniqueConstraint("b", name="u"))
    found = [change for change, *_ in differences(database, other)]
    assert sorted(found) == ["add_constraint", "add_index", "remove_constraint", "remove_index"]


# --- migrations that run --------------------------------------------------------------------


def key() -> Column[Any]:
    return Column("id", sa.Integer, primary_key=True)


#: Columns and constraints of a table before and after, given what stands before a table's name.
CHANGES: dict[str, Callable[[str], tuple[list[Any], list[Any]]]] = {
    "add a column": lambda p: ([key()], [key(), Column("v", sa.String, server_default="x")]),
    "add a column with a foreign key": lambda p: (
        [key()],
        [key(), Column("o", ForeignKey(f"{p}other.id", name="fk"))],
    ),
    "add a computed column": lambda p: (
        [key(), Column("a", sa.Integer)],
        [key(), Column("a", sa.Integer), Column("c", sa.Integer, sa.Computed("a + 1"))],
    ),
    "drop a column before a unique one": lambda p: (
        [key(), Column("a", sa.Integer), Column("b", sa.Integer, unique=True)],
        [key(), Column("b", sa.Integer, unique=True)],
    ),
    "drop an indexed column": lambda p: (
        [key(), Column("a", sa.Integer, index=True), Column("b", sa.String, index=True)],
        [key(), Column("b", sa.String, index=True)],
    ),
    "change the type of an indexed column": lambda p: (
        [key(), Column("a", sa.Integer, index=True, comment="kept")],
        [key(), Column("a", sa.String, index=True, comment="kept")],
    ),
    "change what is null": lambda p: (
        [key(), Column("a", sa.Integer), Column("b", sa.Integer, nullable=False)],
        [key(), Column("a", sa.Integer, nullable=False), Column("b", sa.Integer)],
    ),
    "change a default": lambda p: (
        [key(), Column("a", sa.Integer, server_default="1", index=True)],
        [key(), Column("a", sa.Integer, server_default="2", index=True)],
    ),
    "add and drop unique": lambda p: (
        [key(), Column("a", sa.Integer), Column("b", sa.Integer), sa.UniqueConstraint("a")],
        [
            *(key(), Column("a", sa.Integer), Column("b", sa.Integer)),
            sa.UniqueConstraint("b", name="uq_b"),
        ],
    ),
    "drop a foreign key": lambda p: (
        [key(), Column("o", ForeignKey(f"{p}other.id")), sa.CheckConstraint("o > 0")],
        [key(), Column("o", sa.Integer), sa.CheckConstraint("o > 0")],
    ),
    "change an index": lambda p: (
        [key(), Column("a", sa.String), Index("i", "a")],
        [key(), Column("a", sa.String), Index("i", func.lower(sa.text("a")), unique=True)],
    ),
    "change comments": lambda p: (
        [key(), Column("a", sa.Integer, comment="one")],
        [key(), Column("a", sa.Integer, comment="two")],
    ),
    "to nested types": lambda p: (
        [key(), Column("a", thanosql.STRUCT({"x": sa.Integer}))],
        [
            *(key(), Column("a", thanosql.STRUCT({"x": sa.BigInteger, "y": sa.String}))),
            Column("m", thanosql.MAP(sa.String, thanosql.LIST(sa.Integer))),
        ],
    ),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("schema", [None, "s"])
def test_change_is_migrated_up_and_down_with_its_rows(
    project: Config, database: Engine, change: str, schema: str | None
) -> None:
    prefix = f"{schema}." if schema else ""
    old, new = (schema_of(contents, schema) for contents in CHANGES[change](prefix))
    migrate(project, old, "old")
    table = old.tables[f"{prefix}t"]
    row = {c.name: 1 for c in table.c if c.name != "id" and isinstance(c.type, PLAIN)}
    with database.begin() as connection:
        connection.execute(old.tables[f"{prefix}other"].insert())
        connection.execute(table.insert().values(row))
        connection.execute(table.insert().values({n: 2 for n in row if n != "o"}))
    migrate(project, new, "new")
    assert differences(database, new) == []
    assert rows(database, schema) == [1, 2]
    command.downgrade(project, "-1")
    assert differences(database, old) == []
    assert rows(database, schema) == [1, 2]
    command.upgrade(project, "head")
    assert differences(database, new) == []
    with database.begin() as connection:
        # The key counts on, though its table was made anew.
        values = {"a": 3} if change == "change what is null" else {}
        inserted = connection.execute(new.tables[f"{prefix}t"].insert().values(values))
        assert inserted.inserted_primary_key == (3,)


PLAIN = (sa.Integer, sa.String)


def schema_of(contents: list[Any], schema: str | None) -> MetaData:
    metadata = MetaData(schema=schema)
    Table("other", metadata, Column("id", sa.Integer, primary_key=True), comment="other")
    Table("t", metadata, *contents, comment="the table")
    return metadata


def rows(engine: Engine, schema: str | None) -> list[int]:
    table = sa.table("t", sa.column("id"), schema=schema)
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(table.c.id).order_by(table.c.id)))


def test_backfill_and_not_null_in_one_migration(project: Config, database: Engine) -> None:
    migrate(project, schema_of([key()], None), "old")
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t DEFAULT VALUES")
    script = command.revision(project, "backfill")
    path = Path(script.path)  # type: ignore[union-attr]
    path.write_text(
        path.read_text().replace(
            "    pass",
            """    op.add_column("t", sa.Column("v", sa.Integer))
    op.execute("UPDATE t SET v = id * 10")
    with op.batch_alter_table("t") as batch:
        batch.alter_column("v", nullable=False)
""",
            1,
        )
    )
    command.upgrade(project, "head")
    with database.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM t").all() == [(1, 10)]
        assert [c["nullable"] for c in sa.inspect(connection).get_columns("t")] == [False, False]


# --- operations -----------------------------------------------------------------------------


@pytest.fixture
def op(engine: Engine) -> Iterator[Operations]:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE SCHEMA s; CREATE TABLE s.t (a INTEGER, b VARCHAR);"
            "INSERT INTO s.t VALUES (1, '2')"
        )
        yield Operations(MigrationContext.configure(connection))


def definition(op: Operations, name: str = "t") -> str:
    sql = "SELECT sql FROM duckdb_tables() WHERE table_name = ?"
    text: str = op.get_bind().exec_driver_sql(sql, (name,)).scalar_one()
    return text


def test_plain_operations_are_duckdbs(op: Operations) -> None:
    op.alter_column("t", "a", type_=sa.BigInteger, schema="s")
    op.alter_column("t", "a", nullable=False, server_default="7", schema="s")
    op.alter_column("t", "b", new_column_name="new b", comment="it's", schema="s")
    op.add_column("t", Column("c", thanosql.LIST(sa.Integer)), schema="s")
    op.rename_table("t", "new t", schema="s")
    op.create_unique_constraint("u", "new t", ["new b"], schema="s")
    op.create_primary_key("p", "new t", ["a"], schema="s")
    op.create_table_comment("new t", "hello", schema="s")
    assert definition(op, "new t") == (
        'CREATE TABLE s."new t"(a BIGINT DEFAULT(\'7\'), "new b" VARCHAR, c INTEGER[],'
        ' UNIQUE("new b"), PRIMARY KEY(a));'
    )
    inspector = sa.inspect(op.get_bind())
    assert inspector.get_table_comment("new t", "s") == {"text": "hello"}
    assert inspector.get_columns("new t", "s")[1]["comment"] == "it's"
    op.drop_table_comment("new t", schema="s")
    op.alter_column("new t", "new b", comment=None, schema="s")
    op.alter_column("new t", "a", server_default=None, schema="s")
    op.create_index("i", "new t", ["new b"], schema="s")
    op.drop_index("i", "new t", schema="s")
    op.drop_column("new t", "c", schema="s")
    op.drop_table("new t", schema="s")
    assert sa.inspect(op.get_bind()).get_table_names("s") == []


def test_constraints_are_not_changed_in_place(op: Operations) -> None:
    with pytest.raises(CommandError, match=r"cannot add a check .* op\.batch_alter_table\('t'\)"):
        op.create_check_constraint("c", "t", "a > 0", schema="s")
    with pytest.raises(CommandError, match="cannot add a foreign key of the table 't'"):
        op.create_foreign_key("f", "t", "t", ["a"], ["a"], source_schema="s")
    with pytest.raises(CommandError, match="cannot drop a constraint of the table 't'"):
        op.drop_constraint("c", "t", schema="s")


def test_batch_alters_in_place_where_duckdb_can(op: Operations) -> None:
    oid = "SELECT table_oid FROM duckdb_tables() WHERE table_name = 't'"
    before = definition(op)
    with op.batch_alter_table("t", schema="s") as batch:
        batch.add_column(Column("c", sa.Integer))
        batch.alter_column("b", new_column_name="bb")
        batch.drop_column("a")
    assert "_alembic_tmp" not in definition(op)
    assert definition(op) == "CREATE TABLE s.t(bb VARCHAR, c INTEGER);" != before
    assert op.get_bind().exec_driver_sql(oid).scalar_one()


def test_batch_makes_the_table_anew_with_all_that_it_had(op: Operations) -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(
        "COMMENT ON TABLE s.t IS 'table'; COMMENT ON COLUMN s.t.b IS 'column';"
        "CREATE INDEX i ON s.t (lower(b), a)"
    )
    with op.batch_alter_table("t", schema="s") as batch:
        batch.alter_column("a", type_=sa.String)
        batch.create_check_constraint("c", "a <> b")
        batch.create_check_constraint("d", "b <> a")
        batch.create_unique_constraint("u", ["a"])
    inspector = sa.inspect(connection)
    assert definition(op) == (
        "CREATE TABLE s.t(a VARCHAR, b VARCHAR, CHECK((a != b)), CHECK((b != a)), UNIQUE(a));"
    )
    assert inspector.get_table_comment("t", "s") == {"text": "table"}
    assert inspector.get_columns("t", "s")[1]["comment"] == "column"
    assert inspector.get_indexes("t", "s")[0]["expressions"] == ["lower(b)", "a"]
    assert connection.exec_driver_sql("FROM s.t").all() == [("1", "2")]
    with op.batch_alter_table("t", schema="s") as batch:
        batch.drop_constraint("t_a_key")
        batch.create_table_comment("new", existing_comment="table")
    assert "UNIQUE" not in definition(op)
    assert sa.inspect(connection).get_table_comment("t", "s") == {"text": "new"}


def test_two_checks_of_one_column_survive_a_new_table(op: Operations) -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("CREATE TABLE checked (a INTEGER CHECK (a > 0), CHECK (a < 9))")
    with op.batch_alter_table("checked") as batch:
        batch.alter_column("a", nullable=False)
    assert definition(op, "checked").count("CHECK") == 2


def test_table_that_others_refer_to_is_not_made_anew(op: Operations) -> None:
    op.get_bind().exec_driver_sql(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, v INTEGER);CREATE TABLE c (p INTEGER REFERENCES p)"
    )
    with pytest.raises(CommandError, match="'p' in this way while a foreign key of c refers to it"):
        with op.batch_alter_table("p") as batch:
            batch.create_check_constraint("c", "v > 0")
    with op.batch_alter_table("p") as batch:
        batch.alter_column("v", server_default="5")
        batch.add_column(Column("w", sa.Integer))
    assert "v INTEGER DEFAULT('5'), w INTEGER" in definition(op, "p")


def test_dropped_table_takes_its_sequence_along(op: Operations) -> None:
    op.create_table("t", Column("id", sa.Integer, primary_key=True))
    inspector = sa.inspect(op.get_bind())
    assert inspector.get_sequence_names() == ["t_id_seq"]
    op.drop_table("t")
    inspector.clear_cache()
    assert inspector.get_sequence_names() == []


def test_offline_mode_writes_sql(project: Config, database: Engine) -> None:
    migrate(project, schema_of([key(), Column("v", thanosql.LIST(sa.Integer))], None), "old")
    project.output_buffer = io.StringIO()
    project.stdout = project.output_buffer
    command.upgrade(project, "base:head", sql=True)
    text = project.stdout.getvalue()
    assert "CREATE SEQUENCE IF NOT EXISTS t_id_seq" in text
    assert "v INTEGER[]" in text
    assert text.index("BEGIN;") < text.index("CREATE TABLE alembic_version")
    elsewhere = create_engine("thanosql://")
    with elsewhere.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(text)
        assert sa.inspect(connection).has_table("t")


# --- how Alembic finds it -------------------------------------------------------------------


def test_alembic_finds_the_dialect_by_its_entry_point() -> None:
    (entry,) = importlib.metadata.entry_points(group="alembic.plugins", name="thanosql")
    assert entry.value == "sqlalchemy_dialect.migration"
    code = (
        "import sys, alembic; from alembic.ddl.impl import _impls; assert 'thanosql' in _impls;"
        "assert 'thanosql_dbapi' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_dialect_alone_does_not_load_alembic() -> None:
    code = (
        "import sys; from sqlalchemy import create_engine;"
        "create_engine('thanosql://').connect(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reflected_models_show_no_difference(database: Engine) -> None:
    rich().create_all(database)
    reflected = MetaData()
    reflected.reflect(database)
    reflected.reflect(database, schema="s")
    assert differences(database, reflected) == []
