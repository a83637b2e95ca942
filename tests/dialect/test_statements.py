"""What compiles to DuckDB's SQL and ours, and what it returns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import publish_echo
from echo import Echo
from sqlalchemy import (
    ARRAY,
    Column,
    Computed,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    exc,
    func,
    insert,
    literal,
    select,
    table,
    tablesample,
    text,
    try_cast,
    update,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

import sqlalchemy_dialect
from sqlalchemy_dialect import predict
from sqlalchemy_dialect.compiler import RESERVED_WORDS


@pytest.fixture
def engine(echo: Echo, tmp_path: Path) -> Iterator[Engine]:
    """A database with an echo model `m`, and calls of four regions."""
    engine = create_engine(f"thanosql://?root={tmp_path}")
    with engine.begin() as connection:
        publish_echo(connection.connection.driver_connection, "m")
        publish_echo(connection.connection.driver_connection, "loud one", "!")
        connection.execute(
            text(
                "CREATE TABLE calls AS SELECT i AS id, 'p' || i AS audio_path, i % 4 AS region"
                " FROM range(100) r(i)"
            )
        )
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def calls(engine: Engine) -> Table:
    return Table("calls", MetaData(), autoload_with=engine)


# PREDICT ------------------------------------------------------------------------------------------


def test_predict_compiles_to_the_statement(calls: Table, engine: Engine) -> None:
    spoken = predict(select(calls.c.id, calls.c.audio_path), using="m", batch_size=4)
    lines = str(spoken.element.compile(engine)).split()
    assert " ".join(lines) == (
        "PREDICT USING m OPTIONS (batch_size=4) AS SELECT calls.id, calls.audio_path FROM calls"
    )
    assert " ".join(str(spoken).split()) == " ".join(lines)


def test_predict_has_the_querys_columns_and_the_prediction(
    calls: Table, connection: Connection, echo: Echo
) -> None:
    spoken = predict(select(calls), using="m")
    assert spoken.c.keys() == ["id", "audio_path", "region", "predicted"]
    question = (
        select(spoken.c.region, func.count())
        .where(spoken.c.predicted.like("P1%"), spoken.c.id < 20)
        .group_by(spoken.c.region)
    )
    # P1 and P10 to P19
    assert sorted(connection.execute(question)) == [(0, 2), (1, 3), (2, 3), (3, 3)]
    assert sorted(set(echo.asked)) == sorted(f"p{i}" for i in range(20))


def test_options_add_typed_columns(calls: Table, connection: Connection) -> None:
    options = {"return": "chunks", "on_error": "null"}
    spoken = predict(
        calls, using="m", score_col="sure", words_col="words", error_col="why", **options
    )
    assert spoken.c.keys()[-4:] == ["predicted", "sure", "words", "why"]
    question = select(spoken.c.predicted[1]["text"], spoken.c.sure * 2, spoken.c.words[1]["word"])
    assert connection.execute(question.where(spoken.c.id == 3)).all() == [("P3", 1.0, "P3")]
    (row,) = connection.execute(select(spoken).where(spoken.c.id == 3))
    said = {"start_s": 0.0, "end_s": 1.0, "score": 0.5}
    assert row[-4:] == ([{"text": "P3", **said}], 0.5, [{"word": "P3", **said}], None)


def test_the_statement_by_itself_can_be_executed(calls: Table, connection: Connection) -> None:
    spoken = predict(select(calls).where(calls.c.id == 3), using="m")
    result = connection.execute(spoken.element)
    assert list(result.keys()) == ["id", "audio_path", "region", "predicted"]
    assert result.all() == [(3, "p3", 3, "P3")]


def test_parameters_of_the_query_are_bound(calls: Table, connection: Connection) -> None:
    for wanted in (3, 5):
        spoken = predict(select(calls.c.audio_path).where(calls.c.id == wanted), using="m")
        question = select(spoken.c.predicted).where(spoken.c.predicted != "x")
        assert connection.scalars(question).all() == [f"P{wanted}"]


def test_models_and_options_are_part_of_what_is_cached(
    calls: Table, connection: Connection
) -> None:
    one = select(calls.c.audio_path).where(calls.c.id == 1)
    found = [
        connection.execute(predict(one, using=using, result_col=name).element).mappings().one()
        for using, name in (("m", "a"), ("m", "b"), ("loud one", "b"), ("m@1", "b"))
    ]
    assert [dict(row) for row in found] == [
        {"audio_path": "p1", "a": "P1"},
        {"audio_path": "p1", "b": "P1"},
        {"audio_path": "p1", "b": "!P1"},
        {"audio_path": "p1", "b": "P1"},
    ]


def test_predict_joins_and_stands_in_a_cte(calls: Table, connection: Connection) -> None:
    spoken = predict(select(calls).where(calls.c.id < 3), using="m", name="spoken")
    joined = (
        select(calls.c.id, spoken.c.predicted)
        .join(spoken, spoken.c.id == calls.c.id)
        .order_by(calls.c.id)
    )
    assert connection.execute(joined).all() == [(0, "P0"), (1, "P1"), (2, "P2")]
    said = spoken.element.cte("said")
    assert connection.scalar(select(func.count()).select_from(said)) == 3
    assert connection.execute(select(said.c.predicted).order_by(said.c.id)).first() == ("P0",)


def test_predict_takes_tables_and_columns_of_one_name(calls: Table, connection: Connection) -> None:
    spoken = predict(calls, using="m")
    assert connection.scalar(select(spoken.c.predicted).where(spoken.c.id == 4)) == "P4"
    other = calls.alias()
    pairs = select(calls.c.id, other.c.id, calls.c.audio_path).join(other, other.c.id == calls.c.id)
    spoken = predict(pairs.where(calls.c.id == 5), using="m")
    assert connection.execute(select(spoken)).one() == (5, 5, "p5", "P5")


def test_predict_takes_orm_entities(engine: Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Call(Base):
        __tablename__ = "calls"
        id: Mapped[int] = mapped_column(primary_key=True)
        audio_path: Mapped[str]

    spoken = predict(Call, using="m")
    heard = aliased(Call, spoken)
    with Session(engine) as session:
        joined = select(Call, spoken.c.predicted).join(spoken, spoken.c.id == Call.id)
        for call, predicted in session.execute(joined.limit(2)):
            assert call.audio_path.upper() == predicted
        question = select(heard, spoken.c.predicted).where(heard.id == 7)
        call, predicted = session.execute(question).one()
        assert (call.audio_path, predicted) == ("p7", "P7")


@pytest.mark.parametrize("name", ["a-b", "bat'ch", "x) AS SELECT"])
def test_an_options_name_is_a_name(calls: Table, name: str) -> None:
    with pytest.raises(exc.ArgumentError, match="is no name of an option"):
        predict(select(calls), using="m", **{name: 1})


def test_an_options_value_is_a_literal(calls: Table) -> None:
    with pytest.raises(exc.ArgumentError, match="batch_size=.*neither text nor number"):
        predict(select(calls), using="m", batch_size=select(calls))  # type: ignore[arg-type]


def test_model_statements_run_as_text(connection: Connection) -> None:
    rows = connection.execute(
        text("PREDICT USING m AS SELECT * FROM calls WHERE id < :limit ORDER BY id"), {"limit": 2}
    )
    assert [row.predicted for row in rows] == ["P0", "P1"]
    inside = text("SELECT predicted FROM (PREDICT USING m AS SELECT * FROM calls) WHERE id = :id")
    assert connection.scalar(inside, {"id": 7}) == "P7"
    assert connection.execute(text("LIST MODEL")).keys() >= {"name"}


def test_a_colon_in_a_text_needs_a_backslash(connection: Connection) -> None:
    # SQLAlchemy's text() looks for binds inside quotes too: docs/sqlalchemy.md.
    with pytest.raises(exc.StatementError, match="bind parameter 'x'"):
        connection.execute(text("SELECT ':x'"))
    assert connection.scalar(text(r"SELECT '\:x'")) == ":x"
    assert connection.exec_driver_sql("SELECT ':x'").scalar() == ":x"


# INSERT … ON CONFLICT -----------------------------------------------------------------------------


@pytest.fixture
def people(connection: Connection) -> Table:
    people = Table(
        "people",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("name", String, unique=True),
        Column("seen", Integer, server_default=text("1")),
    )
    people.create(connection)
    connection.execute(insert(people), [{"name": "ann"}, {"name": "bob"}])
    return people


@pytest.mark.parametrize("make", [sqlalchemy_dialect.insert, postgresql.insert])
def test_an_upsert_updates_what_is_there(make, connection: Connection, people: Table) -> None:  # type: ignore[no-untyped-def]
    row = make(people).values(name="ann")
    row = row.on_conflict_do_update(
        index_elements=[people.c.name],
        set_={"seen": people.c.seen + 1, "name": row.excluded.name},
        where=people.c.seen < 10,
    )
    connection.execute(row)
    connection.execute(row)
    assert sorted(connection.execute(select(people.c.name, people.c.seen))) == [
        ("ann", 3),
        ("bob", 1),
    ]
    quiet = make(people).values(name="bob").on_conflict_do_nothing().returning(people.c.id)
    assert connection.execute(quiet).all() == []


def test_many_rows_are_upserted(connection: Connection, people: Table) -> None:
    row = sqlalchemy_dialect.insert(people)
    row = row.on_conflict_do_update(index_elements=["name"], set_={"seen": row.excluded.seen})
    connection.execute(row, [{"name": n, "seen": 9} for n in ("ann", "cy", "bob")])
    assert sorted(connection.execute(select(people.c.name, people.c.seen))) == [
        ("ann", 9),
        ("bob", 9),
        ("cy", 9),
    ]


def test_what_duckdb_lacks_in_on_conflict_is_said(connection: Connection, people: Table) -> None:
    row = postgresql.insert(people).values(name="ann").on_conflict_do_nothing(constraint="u")
    with pytest.raises(exc.CompileError, match="ON CONSTRAINT; name the columns"):
        connection.execute(row)
    row = sqlalchemy_dialect.insert(people).values(name="ann")
    row = row.on_conflict_do_update(index_elements=["name"], set_={"sen": 1})
    with pytest.raises(exc.CompileError, match="people has no column sen"):
        connection.execute(row)


# Keys that count ----------------------------------------------------------------------------------


def keyed(**column: object) -> Table:
    return Table(
        "Odd 'name",
        MetaData(schema=column.pop("schema", None)),  # type: ignore[arg-type]
        Column("the id", Integer, *column.pop("args", ()), primary_key=True, **column),  # type: ignore[misc]
        Column("x", Integer),
        prefixes=column.pop("prefixes", []),
    )


@pytest.mark.parametrize("schema", [None, "s", "other.s", "other.main"])
def test_an_integer_key_counts_in_any_schema(connection: Connection, schema: str | None) -> None:
    connection.execute(text("CREATE SCHEMA s"))
    connection.execute(text("ATTACH ':memory:' AS other"))
    connection.commit()
    connection.execute(text("CREATE SCHEMA other.s"))
    connection.commit()
    things = keyed(schema=schema)
    things.create(connection)
    connection.execute(insert(things), [{"x": 10}, {"x": 11}])
    assert connection.execute(insert(things).values(x=12)).inserted_primary_key == (3,)
    assert connection.execute(select(things).order_by(things.c.x)).all() == [
        (1, 10),
        (2, 11),
        (3, 12),
    ]
    things.drop(connection)
    sequences = "SELECT count(*) FROM duckdb_sequences()"
    assert connection.scalar(text(sequences)) == 0
    connection.rollback()


def test_an_identity_says_where_counting_starts(connection: Connection) -> None:
    things = keyed(args=(Identity(start=100, increment=10),))
    things.create(connection)
    found = [connection.execute(insert(things).values(x=1)).inserted_primary_key[0] for _ in "ab"]
    assert found == [100, 110]


def test_rows_come_back_in_the_order_they_were_given(connection: Connection) -> None:
    things = keyed()
    things.create(connection)
    rows = [{"x": (i * 7919) % 5000} for i in range(5000)]
    returned = insert(things).returning(things.c.x, sort_by_parameter_order=True)
    assert connection.scalars(returned, rows).all() == [row["x"] for row in rows]


# What DuckDB writes its own way -------------------------------------------------------------------


def test_the_reserved_words_are_duckdbs(connection: Connection) -> None:
    found = connection.execute(
        text(
            "SELECT keyword_name FROM duckdb_keywords()"
            " WHERE keyword_category IN ('reserved', 'type_function')"
        )
    )
    assert set(found.scalars()) == RESERVED_WORDS


def test_a_generated_column_is_computed_when_read(connection: Connection) -> None:
    boxes = Table(
        "boxes", MetaData(), Column("side", Integer), Column("area", Integer, Computed("side*side"))
    )
    boxes.create(connection)
    connection.execute(insert(boxes).values(side=3))
    assert connection.execute(select(boxes)).one() == (3, 9)
    stored = Table("b2", MetaData(), Column("a", Integer, Computed("1", persisted=True)))
    with pytest.raises(exc.CompileError, match="only virtual generated columns"):
        stored.create(connection)


def test_samples_and_fetches_take_percentages(connection: Connection, calls: Table) -> None:
    sample = tablesample(calls, func.bernoulli(100), seed=text("1"))
    assert connection.scalar(select(func.count()).select_from(sample)) == 100
    question = select(calls.c.id).order_by(calls.c.id)
    assert connection.scalars(question.fetch(3, percent=True).offset(1)).all() == [1, 2, 3]
    with pytest.raises(exc.CompileError, match="WITH TIES"):
        connection.execute(question.fetch(3, with_ties=True))


def test_an_update_takes_other_tables(connection: Connection, calls: Table) -> None:
    names = values(Column("r", Integer), Column("n", String), name="names").data([(1, "one")])
    change = update(calls).where(calls.c.region == names.c.r).values(audio_path=names.c.n)
    assert connection.execute(change).rowcount == 25
    gone = calls.delete().where(calls.c.region == names.c.r)
    assert connection.execute(gone).rowcount == 25


def test_integers_divide_exactly(connection: Connection) -> None:
    big = 2**62 + 1
    assert connection.scalar(select(func.abs(big, type_=Integer) // 1)) == big


def test_names_differ_only_in_case_as_duckdb_sees_them(connection: Connection) -> None:
    Table("Mixed", MetaData(), Column("Col", Float)).create(connection)
    assert connection.execute(select(table("mixed", Column("col")))).all() == []


def test_a_cascade_that_duckdb_lacks_is_its_own_error(connection: Connection) -> None:
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True))
    Table("b", metadata, Column("a", ForeignKey("a.id", ondelete="CASCADE")))
    with pytest.raises(exc.ProgrammingError, match="cannot use CASCADE"):
        metadata.create_all(connection)


def test_nothing_of_the_dialect_loads_the_models() -> None:
    import subprocess

    code = (
        "import sys, sqlalchemy; sqlalchemy.create_engine('thanosql://').connect();"
        "print([m for m in ('torch', 'transformers', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Where a careless compiler would say something else ---------------------------------------------


def test_two_keys_do_not_share_a_sequence(connection: Connection) -> None:
    metadata = MetaData()
    Table("user", metadata, Column("address_id", Integer, primary_key=True))
    Table("user_address", metadata, Column("id", Integer, primary_key=True))
    with pytest.raises(exc.CompileError, match="share the sequence user_address_id_seq"):
        metadata.create_all(connection)


def test_a_key_counts_wherever_its_file_is_attached(tmp_path: Path) -> None:
    file = tmp_path / "o.db"
    things = keyed(schema="other.main")
    engine = create_engine("thanosql://")
    with engine.connect() as connection:
        connection.execute(text(f"ATTACH '{file}' AS other"))
        connection.commit()
        things.create(connection)
        connection.execute(insert(things).values(x=1))
        connection.commit()
        connection.execute(text("DETACH other"))
    with create_engine(f"thanosql:///{file}").begin() as connection:
        again = Table(things.name, MetaData(), autoload_with=connection)
        assert connection.execute(insert(again).values(x=2)).inserted_primary_key == (2,)


def test_an_identity_is_for_the_key_alone(connection: Connection) -> None:
    wrong = Table("w", MetaData(), Column("n", Integer, Identity()), Column("x", Integer))
    with pytest.raises(exc.CompileError, match=r"w\.n: DuckDB has no identity columns"):
        wrong.create(connection)
    things = keyed(args=(Identity(start=3, cache=10),))
    things.create(connection)
    assert connection.execute(insert(things).values(x=1)).inserted_primary_key == (3,)


def test_returning_takes_values(connection: Connection, people: Table) -> None:
    for wanted in (1, 2):
        row = insert(people).values(name=f"p{wanted}").returning(people.c.seen * wanted)
        assert connection.scalar(row) == wanted
        changed = update(people).values(seen=3).returning(people.c.seen + wanted)
        assert connection.scalars(changed).first() == 3 + wanted
        connection.execute(people.update().values(seen=1))
    gone = people.delete().where(people.c.name == "p1").returning(people.c.name + "!")
    assert connection.scalar(gone) == "p1!"


@pytest.mark.parametrize("count", [3, 150])
@pytest.mark.parametrize("ordered", [False, True])
def test_an_upsert_with_returning_keeps_the_last_of_each_key(
    connection: Connection, people: Table, count: int, ordered: bool
) -> None:
    row = sqlalchemy_dialect.insert(people)
    row = row.on_conflict_do_update(index_elements=["name"], set_={"seen": row.excluded.seen})
    rows = [{"name": "ann" if i % 2 else f"n{i}", "seen": i} for i in range(count)]
    returning = row.returning(people.c.name, people.c.seen, sort_by_parameter_order=ordered)
    found = connection.execute(returning, rows).all()
    assert found == [(row["name"], row["seen"]) for row in rows]
    last = max(i for i in range(count) if i % 2)
    assert connection.scalar(select(people.c.seen).where(people.c.name == "ann")) == last


def test_slices_leave_out_bounds_and_take_steps(connection: Connection) -> None:
    numbers = literal([1, 2, 3, 4, 5, 6], ARRAY(Integer))
    question = select(numbers[2:4], numbers[:3], numbers[4:], numbers[1:5:2], numbers[2::3])
    assert connection.execute(question).one() == (
        [2, 3, 4],
        [1, 2, 3],
        [4, 5, 6],
        [1, 3, 5],
        [2, 5],
    )


def test_large_divisors_and_failing_casts(connection: Connection) -> None:
    assert connection.scalar(select(literal(10**17) / literal(10**16))) == 10.0
    assert connection.scalar(select(try_cast(literal("x"), Integer))) is None


def test_predict_over_expressions_and_its_options_other_names(
    calls: Table, connection: Connection
) -> None:
    question = select(calls.c.id + 1, calls.c.audio_path, literal("x")).where(calls.c.id == 4)
    spoken = predict(question, using="m", Column_Name="said")
    assert connection.execute(select(spoken)).one() == (5, "p4", "x", "P4")
    assert connection.scalar(select(spoken.c.said)) == "P4"


def test_options_that_are_equal_in_python_are_not_in_sql(calls: Table, engine: Engine) -> None:
    texts = [
        str(predict(calls, using="m", batch_size=value).element.compile(engine))
        for value in (1, True, 1.0, "1", [1, 2])
    ]
    assert [t.split("batch_size=")[1].split(")")[0] for t in texts] == [
        "1",
        "true",
        "1.0",
        "'1'",
        "[1, 2]",
    ]
    keys = {str(predict(calls, using="m", batch_size=v)._generate_cache_key()) for v in (1, True)}
    assert len(keys) == 2
