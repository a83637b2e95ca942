"""One run of one workload of `dialects.py`, in the environment of one contestant.

    python dialects_worker.py CONTESTANT WORKLOAD     prints {"seconds": …, "rows": …} as JSON
    python dialects_worker.py CONTESTANT versions     prints its packages and their versions

It knows each contestant's own ways, and imports only what the environment of the one that it is
asked for has. What a workload wrote or read is checked after the clock has stopped, so that no
figure is that of a broken run; a run that fails prints {"error": …}.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Self, TypeAlias

ROWS_WRITTEN = 100_000
#: Fewer, where a peer has DuckDB bind each row by itself: its rate does not depend on how many.
ROWS_BOUND = 10_000
ROWS_READ = 1_000_000
CHUNK = 100_000
TABLES = 2_000
#: Rows in one statement of `to_sql(method="multi")`; what the peers' users are told to take.
MULTI = 1_000

URLS = {
    "thanosql": "thanosql://",
    "bare": "bare://",
    "duckdb_engine": "duckdb:///:memory:",
    "duckdb-sqlalchemy": "duckdb:///:memory:",
}
SQL = "SELECT * FROM numbers"
SOURCE = (
    "CREATE TABLE numbers AS SELECT i, i / 3.0::DOUBLE AS f, 'text ' || i AS s,"
    " TIMESTAMP '2026-01-01' + to_seconds(i) AS t FROM range({}) AS r(i)"
)

#: What a run reports beside its seconds.
Facts: TypeAlias = dict[str, Any]


class Stopwatch:
    """The seconds between entering and leaving."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started


# --- engines --------------------------------------------------------------------------------


def register_bare() -> None:
    """Make `bare://` an SQLAlchemy dialect that adds nothing to its base over our driver."""
    from sqlalchemy.dialects import registry
    from sqlalchemy.engine.default import DefaultDialect

    class Bare(DefaultDialect):
        name = "bare"
        driver = "thanosql_dbapi"
        supports_statement_cache = True

        @classmethod
        def import_dbapi(cls) -> Any:
            import thanosql_dbapi

            return thanosql_dbapi

        def create_connect_args(self, url: object) -> tuple[list[Any], dict[str, Any]]:
            return [], {}

    registry.impls["bare"] = lambda: Bare


def new_engine(contestant: str) -> Any:
    import sqlalchemy as sa

    if contestant == "bare":
        register_bare()
        return sa.create_engine("bare://", poolclass=sa.StaticPool)
    return sa.create_engine(URLS[contestant])


def fill(engine: Any, rows: int) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(SOURCE.format(rows))


# --- writing --------------------------------------------------------------------------------


def records(count: int, *, key: bool) -> list[dict[str, Any]]:
    start = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - the column has no time zone
    rows = [
        {"i": k, "f": k / 3, "s": f"text {k}", "t": start + dt.timedelta(seconds=k)}
        for k in range(count)
    ]
    return [{"id": k, **row} for k, row in enumerate(rows)] if key else rows


def new_model(contestant: str, *, key: bool) -> Any:
    """Return a mapped class, whose key is given or counted up by the database.

    The peers cannot autoincrement, and their documents say to name a sequence.
    """
    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase

    class Base(DeclarativeBase):
        pass

    if key:
        column = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    elif contestant == "thanosql":
        column = sa.Column(sa.Integer, primary_key=True)
    else:
        counter = sa.Sequence("counter")
        default = counter.next_value()
        column = sa.Column(sa.Integer, counter, server_default=default, primary_key=True)
    columns = {
        "id": column,
        "i": sa.Column(sa.Integer),
        "f": sa.Column(sa.Double),
        "s": sa.Column(sa.String),
        "t": sa.Column(sa.DateTime),
    }
    return type("Written", (Base,), {"__tablename__": "written", **columns})


def insert(contestant: str, *, key: bool, returning: bool, rows: int) -> Facts:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    engine = new_engine(contestant)
    model = new_model(contestant, key=key)
    model.metadata.create_all(engine)
    given = records(rows, key=key)
    with Session(engine) as session, Stopwatch() as watch:
        if returning:
            keys = session.scalars(sa.insert(model).returning(model.id), given).all()
        else:
            session.execute(sa.insert(model), given)
        session.commit()
    if returning:
        expect(len(set(keys)), rows)
    check_written(engine, rows)
    return {"seconds": watch.seconds, "rows": rows}


def insert_text(contestant: str, *, rows: int) -> Facts:
    import sqlalchemy as sa

    engine = new_engine(contestant)
    model = new_model(contestant, key=True)
    model.metadata.create_all(engine)
    given = records(rows, key=True)
    statement = sa.text("INSERT INTO written (id, i, f, s, t) VALUES (:id, :i, :f, :s, :t)")
    with Stopwatch() as watch, engine.begin() as connection:
        connection.execute(statement, given)
    check_written(engine, rows)
    return {"seconds": watch.seconds, "rows": rows}


def to_sql(contestant: str, *, rows: int, **options: Any) -> Facts:
    engine = new_engine(contestant)
    frame = new_frame(rows)
    with Stopwatch() as watch:
        frame.to_sql("written", engine, index=False, **options)
    check_written(engine, rows)
    return {"seconds": watch.seconds, "rows": rows}


def to_sql_rows(contestant: str, *, rows: int) -> Facts:
    """Write a DataFrame through an engine, with `insert_rows` where it is ours."""
    if contestant != "thanosql":
        return to_sql(contestant, rows=rows)
    from sqlalchemy_dialect import insert_rows

    return to_sql(contestant, rows=rows, method=insert_rows)


def new_frame(rows: int) -> Any:
    import pandas as pd

    return pd.DataFrame(records(rows, key=False))


def to_sql_quickest(contestant: str, *, rows: int) -> Facts:
    """Write a DataFrame by the quickest way that the contestant's documents show."""
    return {
        "native": to_sql_native,
        "driver": to_sql_driver,
        "duckdb-sqlalchemy": to_sql_arrow,
        "duckdb_engine": to_sql_registered,
    }[contestant](rows)


def to_sql_native(rows: int) -> Facts:
    import duckdb

    connection = duckdb.connect()
    frame = new_frame(rows)
    with Stopwatch() as watch:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE written AS SELECT * FROM frame")
    expect(*written(connection.execute, rows))
    return {"seconds": watch.seconds, "rows": rows}


def to_sql_driver(rows: int) -> Facts:
    import thanosql_dbapi

    connection = thanosql_dbapi.connect()
    frame = new_frame(rows)
    with Stopwatch() as watch:
        frame.to_sql("written", connection, index=False)
    expect(*written(connection.execute, rows))
    return {"seconds": watch.seconds, "rows": rows}


def to_sql_arrow(rows: int) -> Facts:
    import pyarrow as pa
    import sqlalchemy as sa
    from duckdb_sqlalchemy import insert_from_arrow

    engine = new_engine("duckdb-sqlalchemy")
    frame = new_frame(rows)
    columns = [
        sa.Column("i", sa.BigInteger),
        sa.Column("f", sa.Double),
        sa.Column("s", sa.String),
        sa.Column("t", sa.DateTime),
    ]
    table = sa.Table("written", sa.MetaData(), *columns)
    with Stopwatch() as watch, engine.begin() as connection:
        table.create(connection)
        insert_from_arrow(connection, table, pa.Table.from_pandas(frame, preserve_index=False))
    check_written(engine, rows)
    return {"seconds": watch.seconds, "rows": rows}


def to_sql_registered(rows: int) -> Facts:
    import sqlalchemy as sa

    engine = new_engine("duckdb_engine")
    frame = new_frame(rows)
    with Stopwatch() as watch, engine.begin() as connection:
        connection.execute(sa.text("register(:name, :frame)"), {"name": "frame", "frame": frame})
        connection.exec_driver_sql("CREATE TABLE written AS SELECT * FROM frame")
    check_written(engine, rows)
    return {"seconds": watch.seconds, "rows": rows}


def check_written(engine: Any, rows: int) -> None:
    with engine.connect() as connection:
        expect(*written(connection.exec_driver_sql, rows))


def written(execute: Callable[[str], Any], rows: int) -> tuple[object, object]:
    """Return what the table holds, and what it must."""
    found = execute(
        "SELECT count(*), sum(i)::BIGINT, round(sum(f))::BIGINT, max(s), max(t) FROM written"
    ).fetchone()
    last = dt.datetime(2026, 1, 1) + dt.timedelta(seconds=rows - 1)  # noqa: DTZ001 - as above
    total = rows * (rows - 1) // 2
    return tuple(found), (
        rows,
        total,
        round(total / 3),
        max(f"text {k}" for k in range(rows)),
        last,
    )


# --- reading --------------------------------------------------------------------------------


def read_sql(contestant: str, *, rows: int) -> Facts:
    import pandas as pd

    engine = new_engine(contestant)
    fill(engine, rows)
    with Stopwatch() as watch:
        frame = pd.read_sql(SQL, engine)
    check_frame(frame, rows)
    return {"seconds": watch.seconds, "rows": rows}


def read_select(contestant: str, *, rows: int) -> Facts:
    """Read by a `select` of typed columns, whose values pass through the dialect's types."""
    import pandas as pd
    import sqlalchemy as sa

    engine = new_engine(contestant)
    fill(engine, rows)
    columns = [
        sa.column("i", sa.Integer),
        sa.column("f", sa.Float),
        sa.column("s", sa.String),
        sa.column("t", sa.DateTime),
    ]
    with Stopwatch() as watch:
        frame = pd.read_sql(sa.select(sa.table("numbers", *columns)), engine)
    check_frame(frame, rows)
    return {"seconds": watch.seconds, "rows": rows}


def read_chunks(contestant: str, *, rows: int) -> Facts:
    import pandas as pd

    engine = new_engine(contestant)
    fill(engine, rows)
    lengths = []
    with Stopwatch() as watch, engine.connect() as plain:
        connection = plain.execution_options(stream_results=True)
        for chunk in pd.read_sql(SQL, connection, chunksize=CHUNK):
            lengths.append(len(chunk))  # noqa: PERF401 - a chunk is dropped before the next
    expect(sum(lengths), rows)
    expect(max(lengths), min(rows, CHUNK))
    return {"seconds": watch.seconds, "rows": rows}


def read_quickest(contestant: str, *, rows: int) -> Facts:
    """Read a DataFrame by the quickest way that the contestant's documents show."""
    return {
        "native": read_native,
        "driver": read_driver,
        "duckdb-sqlalchemy": read_arrow,
    }[contestant](rows)


def read_native(rows: int) -> Facts:
    import duckdb

    connection = duckdb.connect()
    connection.execute(SOURCE.format(rows))
    with Stopwatch() as watch:
        frame = connection.execute(SQL).df()
    check_frame(frame, rows)
    return {"seconds": watch.seconds, "rows": rows}


def read_driver(rows: int) -> Facts:
    import pandas as pd

    import thanosql_dbapi

    connection = thanosql_dbapi.connect()
    connection.execute(SOURCE.format(rows))
    with warnings.catch_warnings():
        # pandas warns where it does not know the connection, and goes a slow way of its own.
        warnings.simplefilter("error", UserWarning)
        with Stopwatch() as watch:
            frame = pd.read_sql(SQL, connection)
    check_frame(frame, rows)
    return {"seconds": watch.seconds, "rows": rows}


def read_arrow(rows: int) -> Facts:
    import sqlalchemy as sa

    engine = new_engine("duckdb-sqlalchemy")
    fill(engine, rows)
    with Stopwatch() as watch, engine.connect() as plain:
        connection = plain.execution_options(duckdb_arrow=True)
        frame = connection.execute(sa.text(SQL)).arrow.to_pandas()
    check_frame(frame, rows)
    return {"seconds": watch.seconds, "rows": rows}


def check_frame(frame: Any, rows: int) -> None:
    expect(len(frame), rows)
    expect(int(frame["i"].sum()), rows * (rows - 1) // 2)
    expect([frame[name].dtype.kind for name in "ift"], list("ifM"))
    expect(frame["s"].iloc[-1], f"text {rows - 1}")


# --- reflection -----------------------------------------------------------------------------


def reflect(contestant: str, *, rows: int) -> Facts:
    """Reflect a schema of `rows` tables; `statements` are those that it took."""
    import sqlalchemy as sa

    engine = new_engine(contestant)
    with engine.begin() as connection:
        for k in range(rows):
            connection.exec_driver_sql(
                f"CREATE TABLE t{k} (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL,"
                " price DECIMAL(10, 2) DEFAULT 0, t TIMESTAMP, UNIQUE (name))"
            )
    statements = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    metadata = sa.MetaData()
    with Stopwatch() as watch:
        metadata.reflect(engine)
    expect(len(metadata.tables), rows)
    expect([c.name for c in metadata.tables["t0"].primary_key], ["id"])
    return {"seconds": watch.seconds, "rows": rows, "statements": len(statements)}


# --- a run ----------------------------------------------------------------------------------

#: Each workload with the rows (the tables) that it is measured on.
WORKLOADS: dict[str, tuple[Callable[..., Facts], dict[str, Any], int]] = {
    "insert": (insert, {"key": True, "returning": False}, ROWS_WRITTEN),
    "insert_counted": (insert, {"key": False, "returning": False}, ROWS_WRITTEN),
    "insert_returning": (insert, {"key": False, "returning": True}, ROWS_WRITTEN),
    "insert_text": (insert_text, {}, ROWS_BOUND),
    "to_sql": (to_sql, {}, ROWS_WRITTEN),
    "to_sql_rows": (to_sql_rows, {}, ROWS_WRITTEN),
    "to_sql_multi": (to_sql, {"method": "multi", "chunksize": MULTI}, ROWS_WRITTEN),
    "to_sql_quickest": (to_sql_quickest, {}, ROWS_WRITTEN),
    "read_sql": (read_sql, {}, ROWS_READ),
    "read_select": (read_select, {}, ROWS_READ),
    "read_chunks": (read_chunks, {}, ROWS_READ),
    "read_quickest": (read_quickest, {}, ROWS_READ),
    "reflect": (reflect, {}, TABLES),
}


def expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{found!r} where {wanted!r} is right")


def run(contestant: str, workload: str) -> Facts:
    """Do a workload on a few rows, which imports what it needs, and then in full."""
    work, options, rows = WORKLOADS[workload]
    work(contestant, rows=10, **options)
    return work(contestant, rows=rows, **options)


def versions() -> dict[str, str]:
    names = ("thanosql-dbapi", "duckdb_engine", "duckdb-sqlalchemy", "duckdb", "SQLAlchemy")
    found = {"Python": sys.version.split()[0]}
    for name in (*names, "pandas", "pyarrow"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Print one run's figures as JSON, on the last line."""
    contestant, workload = sys.argv[1:]
    try:
        facts = versions() if workload == "versions" else run(contestant, workload)
    except Exception as error:  # noqa: BLE001 - whatever it is, the table shows it
        traceback.print_exc()
        facts = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
