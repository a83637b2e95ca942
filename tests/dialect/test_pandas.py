"""pandas through an engine: what it reads, what it writes, and in which types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import publish_echo
from echo import Echo
from sqlalchemy import Engine, MetaData, Table, create_engine, select, text

from sqlalchemy_dialect import insert_rows, predict


@pytest.fixture
def engine(echo: Echo, tmp_path: Path) -> Iterator[Engine]:
    """A database with an echo model `m` and 1,000 calls."""
    engine = create_engine(f"thanosql://?root={tmp_path}")
    with engine.begin() as connection:
        publish_echo(connection.connection.driver_connection, "m")
        connection.execute(
            text(
                "CREATE TABLE calls AS SELECT i AS id, 'p' || i AS audio_path, i / 4 AS seconds,"
                " TIMESTAMP '2026-01-01' + INTERVAL (i) MINUTE AS at, i % 4 = 0 AS urgent"
                " FROM range(1000) r(i)"
            )
        )
    yield engine
    engine.dispose()


def frame(rows: int) -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "n": np.arange(rows),
            "x": np.arange(rows) / 3,
            "word": [f"w{i}" for i in range(rows)],
            "at": pd.date_range("2026-01-01", periods=rows, freq="s", unit="us"),
        }
    )
    made.loc[1, ["x", "word", "at"]] = [np.nan, None, pd.NaT]
    return made


def test_columns_arrive_in_pandas_own_types(engine: Engine) -> None:
    read = pd.read_sql("SELECT * FROM calls ORDER BY id", engine)
    assert [str(kind) for kind in read.dtypes] == [
        "int64",
        "str",
        "float64",
        "datetime64[us]",
        "bool",
    ]
    assert read.iloc[6].to_list() == [6, "p6", 1.5, pd.Timestamp("2026-01-01 00:06"), False]


def test_what_is_written_is_read_again(engine: Engine) -> None:
    for method in (None, insert_rows):
        frame(3000).to_sql("f", engine, index=False, if_exists="replace", method=method)
        pd.testing.assert_frame_equal(pd.read_sql("SELECT * FROM f", engine), frame(3000))
        pd.testing.assert_frame_equal(pd.read_sql_table("f", engine), frame(3000))


def test_a_frame_is_appended_with_its_index_and_in_chunks(engine: Engine) -> None:
    for method in (None, insert_rows, "multi"):
        made = frame(50).set_index("n")
        made.to_sql("g", engine, if_exists="replace", chunksize=20, method=method)
        assert made.to_sql("g", engine, if_exists="append", method=method) == 50
        read = pd.read_sql("SELECT n, word FROM g", engine, index_col="n")
        assert read.index.to_list() == [*range(50), *range(50)]
    with pytest.raises(ValueError, match="already exists"):
        frame(1).to_sql("g", engine)


def test_odd_names_are_quoted(engine: Engine) -> None:
    made = pd.DataFrame({"select": [1], 'a "b" %': [2], "c.d": [3]})
    for method in (None, insert_rows):
        made.to_sql("odd %s", engine, index=False, if_exists="replace", method=method)
        pd.testing.assert_frame_equal(pd.read_sql_table("odd %s", engine), made)


def test_a_frame_goes_into_a_schema(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA s"))
    for method in (None, insert_rows):
        frame(5).to_sql("f", engine, schema="s", index=False, if_exists="replace", method=method)
        pd.testing.assert_frame_equal(pd.read_sql_table("f", engine, schema="s"), frame(5))


def test_parameters_reach_text_and_strings(engine: Engine) -> None:
    with engine.connect() as connection:
        named = text("SELECT id FROM calls WHERE audio_path = :path")
        assert pd.read_sql(named, connection, params={"path": "p7"}).id.to_list() == [7]
        marked = "SELECT id FROM calls WHERE id BETWEEN ? AND ?"
        assert pd.read_sql(marked, connection, params=(3, 4)).id.to_list() == [3, 4]


def test_chunks_stream(engine: Engine, echo: Echo) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        chunks = pd.read_sql(
            "PREDICT USING m AS SELECT 'x' || i AS audio_path FROM range(100_000_000) r(i)",
            connection,
            chunksize=100,
        )
        assert [len(next(chunks)), len(next(chunks))] == [100, 100]
    # DuckDB fills its streaming buffer, and nobody reads on once the connection is given back.
    assert len(echo.asked) < 1_000_000


def test_chunks_are_the_whole(engine: Engine) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        chunks = list(pd.read_sql("SELECT * FROM calls ORDER BY id", connection, chunksize=300))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert pd.concat(chunks).id.to_list() == list(range(1000))


def test_a_table_is_written_while_another_is_read_in_chunks(engine: Engine) -> None:
    with engine.connect().execution_options(stream_results=True) as connection:
        for chunk in pd.read_sql("SELECT id FROM calls ORDER BY id", connection, chunksize=400):
            chunk.to_sql("copied", connection, index=False, if_exists="append")
        connection.commit()
    assert pd.read_sql("SELECT count(*), max(id) FROM copied", engine).iloc[0].to_list() == [
        1000,
        999,
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "PREDICT USING m AS SELECT id, audio_path FROM calls WHERE id < 3 ORDER BY id",
        "SELECT * FROM (PREDICT USING m AS SELECT id, audio_path FROM calls) WHERE id < 3"
        " ORDER BY id",
        text("SELECT * FROM (PREDICT USING m AS SELECT id, audio_path FROM calls) WHERE id < 3"),
        "FROM (PREDICT USING m AS SELECT id, audio_path FROM calls WHERE id < 3)",
    ],
)
def test_model_statements_are_read(engine: Engine, statement: str) -> None:
    read = pd.read_sql(statement, engine).sort_values("id")
    assert read.columns.to_list() == ["id", "audio_path", "predicted"]
    assert read.predicted.to_list() == ["P0", "P1", "P2"]
    assert str(read.predicted.dtype) == "str"


def test_a_built_statement_is_read(engine: Engine) -> None:
    calls = Table("calls", MetaData(), autoload_with=engine)
    spoken = predict(calls, using="m")
    question = select(spoken.c.predicted).where(spoken.c.urgent, spoken.c.id < 5)
    assert sorted(pd.read_sql(question, engine).predicted) == ["P0", "P4"]


def test_other_statements_are_read_too(engine: Engine) -> None:
    assert "m" in pd.read_sql("LIST MODEL", engine)["name"].to_list()
    assert pd.read_sql("DESCRIBE calls", engine)["column_name"].to_list()[0] == "id"
