"""Measure rows per second of executemany: ours against DuckDB's own, in one run.

    python tests/benchmarks/executemany.py [rows]

Both insert (BIGINT, VARCHAR, DOUBLE) rows into a table in memory by `INSERT INTO t VALUES
(?, ?, ?)`. DuckDB's own gets 5,000 rows, enough for a rate; each figure is the best of three.
The goal is a ratio of at least 50; the exit status tells whether it was met.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import duckdb

import thanosql_dbapi

GOAL = 50
THEIR_ROWS = 5_000
SQL = "INSERT INTO t VALUES (?, ?, ?)"
TABLE = "CREATE OR REPLACE TABLE t (id BIGINT, word VARCHAR, score DOUBLE)"


def rate(count: int, prepare: Callable[[], object], insert: Callable[[list], object]) -> float:
    """Return the best rate of three runs, in rows per second."""
    rows = [(i, f"word {i}", i / 3) for i in range(count)]
    seconds = []
    for _ in range(3):
        prepare()
        started = time.perf_counter()
        insert(rows)
        seconds.append(time.perf_counter() - started)
    return count / min(seconds)


def main() -> int:
    """Print both rates and their ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    with thanosql_dbapi.connect() as connection:
        cursor = connection.cursor()
        ours = rate(
            count, lambda: cursor.execute(TABLE), lambda rows: cursor.executemany(SQL, rows)
        )
    raw = duckdb.connect()
    theirs = rate(THEIR_ROWS, lambda: raw.execute(TABLE), lambda rows: raw.executemany(SQL, rows))
    print(f"thanosql_dbapi  {ours:12,.0f} rows/s  ({count:,} rows)")
    print(f"duckdb {duckdb.__version__:8} {theirs:12,.0f} rows/s  ({THEIR_ROWS:,} rows)")
    print(f"ratio           {ours / theirs:12,.0f}  (goal: {GOAL})")
    return 0 if ours >= GOAL * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
