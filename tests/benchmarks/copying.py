"""Measure COPY: ours against DuckDB's own CREATE TABLE AS, in one run.

    python tests/benchmarks/copying.py [rows]

A csv, a parquet and a JSON-lines file of the same rows (BIGINT, VARCHAR, VARCHAR, DOUBLE, DATE)
become a table in a database file, by `COPY t OPTIONS (if_exists='replace') FROM …` and by
`CREATE OR REPLACE TABLE t AS SELECT * FROM read_csv(…)`. Both run in turn, and each figure is the
median of nine. The csv is also copied within an open transaction, where COPY reads apart from it,
and a folder of 10,000 audio files is copied. The goal is 1.2 times DuckDB's time for the csv; the
exit status tells whether it was met.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb

import thanosql_dbapi

GOAL = 1.2
RUNS = 9
FILES = 10_000
READERS = {"csv": "read_csv", "parquet": "read_parquet", "jsonl": "read_json"}
ROWS = (
    "SELECT i AS id, 'audio/' || i || '.wav' AS audio_path, 'hello world number ' || i AS text,"
    " round(i / 7, 4) AS score, DATE '2026-01-01' + (i % 28)::INTEGER AS day FROM range({}) r(i)"
)


def write_files(folder: Path, count: int) -> None:
    """Write the same rows in each form."""
    forms = {"csv": "csv, HEADER", "parquet": "parquet", "jsonl": "json"}
    for suffix, form in forms.items():
        path = folder / f"rows.{suffix}"
        duckdb.execute(f"COPY ({ROWS.format(count)}) TO '{path}' (FORMAT {form})")


def write_audio(folder: Path) -> None:
    """Write audio files of a hundredth of a second."""
    folder.mkdir()
    for number in range(FILES):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(b"\0\0" * 160)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Return the median times of both, which run in turn."""
    taken = [(seconds(ours), seconds(theirs)) for _ in range(RUNS)]
    return median(t[0] for t in taken), median(t[1] for t in taken)


def main() -> int:
    """Print the times and their ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    ratios = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, count)
        raw = duckdb.connect(str(folder / "theirs.db"))
        with thanosql_dbapi.connect(folder / "ours.db", root=folder, progress=False) as connection:
            print(f"{count:,} rows, {os.cpu_count()} cores, medians of {RUNS}")
            for suffix, reader in READERS.items():
                path = folder / f"rows.{suffix}"
                copy = f"COPY t OPTIONS (if_exists='replace') FROM '{path.name}'"
                create = f"CREATE OR REPLACE TABLE t AS SELECT * FROM {reader}('{path}')"

                def ours(copy: str = copy) -> None:
                    connection.execute(copy)

                def theirs(create: str = create) -> None:
                    raw.execute(create)

                def within(copy: str = copy) -> None:
                    connection.begin()
                    connection.execute(copy)
                    connection.commit()

                def their_transaction(create: str = create) -> None:
                    raw.begin()
                    raw.execute(create)
                    raw.commit()

                ratios[suffix] = show(suffix, *compare(ours, theirs))
                if suffix == "csv":
                    show("csv, BEGIN", *compare(within, their_transaction))
            write_audio(folder / "audio")
            taken = seconds(lambda: connection.execute("COPY files FROM 'audio'"))
            print(f"{'folder':12} COPY {taken:7.3f} s  ({FILES:,} audio files)")
        raw.close()
    return 0 if ratios["csv"] <= GOAL else 1


def show(what: str, ours: float, theirs: float) -> float:
    """Print two times; return their ratio."""
    print(f"{what:12} COPY {ours:7.3f} s  DuckDB {theirs:7.3f} s  ratio {ours / theirs:5.2f}")
    return ours / theirs


if __name__ == "__main__":
    sys.exit(main())
