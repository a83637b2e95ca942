"""The ORM: sessions, relationships, bulk inserts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, ForeignKey, String, create_engine, event, exc, func, insert, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    selectinload,
)

from thanosql_dbapi import Cursor


class Base(DeclarativeBase):
    pass


class Region(Base):
    __tablename__ = "regions"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    calls: Mapped[list[Call]] = relationship(back_populates="region")


class Call(Base):
    __tablename__ = "calls"
    id: Mapped[int] = mapped_column(primary_key=True)
    region_id: Mapped[int] = mapped_column(ForeignKey("regions.id"))
    seconds: Mapped[float]
    at: Mapped[dt.datetime | None]
    region: Mapped[Region] = relationship(back_populates="calls")


class Word(Base):
    __tablename__ = "words"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("words.id"))
    children: Mapped[list[Word]] = relationship()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("thanosql://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def test_objects_come_back_with_what_they_refer_to(session: Session) -> None:
    north = Region(name="north", calls=[Call(seconds=1.5), Call(seconds=2.5)])
    session.add_all([north, Region(name="south")])
    session.commit()
    assert north.id == 1
    found = session.scalars(
        select(Region).options(selectinload(Region.calls)).order_by(Region.name)
    ).all()
    assert [(r.name, [c.seconds for c in r.calls]) for r in found] == [
        ("north", [1.5, 2.5]),
        ("south", []),
    ]
    north.calls[0].seconds = 9.0
    session.commit()
    assert session.scalar(select(func.sum(Call.seconds))) == 11.5
    session.delete(north.calls[0])
    session.commit()
    assert session.scalar(select(func.count()).select_from(Call)) == 1


def test_many_objects_get_their_own_keys(session: Session) -> None:
    session.add(Region(name="north"))
    session.flush()
    calls = [Call(region_id=1, seconds=float(i * 7919 % 20_000)) for i in range(20_000)]
    session.add_all(calls)
    session.flush()
    kept = {call.id: call.seconds for call in calls}
    assert len(kept) == 20_000
    assert dict(session.execute(select(Call.id, Call.seconds)).all()) == kept  # type: ignore[arg-type]


def test_a_tree_is_written_parents_first(session: Session) -> None:
    session.add(
        Word(text="a", children=[Word(text="b", children=[Word(text="c")]), Word(text="d")])
    )
    session.commit()
    session.expunge_all()
    root = session.scalars(select(Word).where(Word.parent_id.is_(None))).one()
    assert [(w.text, [c.text for c in w.children]) for w in root.children] == [
        ("b", ["c"]),
        ("d", []),
    ]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each executemany of the driver got."""
    sizes: list[int] = []
    executemany = Cursor.executemany

    def note(self: Cursor, operation: str, rows: object) -> Cursor:
        sizes.append(len(rows))  # type: ignore[arg-type]
        return executemany(self, operation, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Cursor, "executemany", note)
    return sizes


ROWS = [{"name": f"r{i * 7919 % 5000}"} for i in range(5000)]


def test_many_rows_go_at_once(session: Session, batches: list[int]) -> None:
    session.execute(insert(Region), ROWS)
    assert batches == [5000]
    assert session.scalar(select(func.count(Region.name.distinct()))) == 5000


def test_many_rows_return_in_their_order(session: Session, batches: list[int]) -> None:
    returning = insert(Region).returning(Region, sort_by_parameter_order=True)
    found = session.scalars(returning, ROWS).all()
    assert [region.name for region in found] == [row["name"] for row in ROWS]
    assert [region.id for region in found] == list(range(1, 5001))
    assert batches == [5000]


def test_a_page_size_is_kept_to(session: Session, batches: list[int]) -> None:
    returning = insert(Region).returning(Region.id)
    options = {"insertmanyvalues_page_size": 2000}
    assert len(session.scalars(returning, ROWS, execution_options=options).all()) == 5000
    assert batches == [2000, 2000, 1000]


def test_a_batch_that_fails_names_the_statement_and_leaves_nothing(session: Session) -> None:
    with pytest.raises(exc.IntegrityError, match="INSERT INTO regions"):
        session.scalars(insert(Region).returning(Region.id), [*ROWS, ROWS[0]])
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Region)) == 0


def test_rows_go_into_a_translated_schema(engine: Engine, batches: list[int]) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
    translated = engine.execution_options(schema_translate_map={None: "other"})
    Base.metadata.create_all(translated)
    with Session(translated) as session:
        assert len(session.scalars(insert(Region).returning(Region.id), ROWS).all()) == 5000
        session.commit()
    with engine.connect() as connection:
        counted = "SELECT (SELECT count(*) FROM other.regions), (SELECT count(*) FROM main.regions)"
        assert connection.exec_driver_sql(counted).one() == (5000, 0)
    assert batches == [5000]


def test_events_see_the_batch(engine: Engine) -> None:
    seen = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(conn, cursor, statement, parameters, context, executemany):  # type: ignore[no-untyped-def]
        seen.append((statement.split()[0], len(parameters)))

    with Session(engine) as session:
        session.scalars(insert(Region).returning(Region.id), ROWS)
    assert ("INSERT", 5000) in seen
