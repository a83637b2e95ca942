"""Statements with a PREDICT: the first time, again, and how soon the first row is there.

    python tests/benchmarks/cache.py [--files 500]

The bundled voice transcribes files of 1 to 6 s made of the bundled recordings, through SQL. The
rerun is one in the same process and one in a new one, from `connect` to the last row; each ratio is
against the first run. Rows the model saw are counted by what the cache holds afterwards.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from predict import make_corpus

import thanosql_dbapi
from thanosql_dbapi import Connection

AGAIN = """
import sys, time
import thanosql_dbapi
started = time.perf_counter()
with thanosql_dbapi.connect(sys.argv[1], root=sys.argv[2]) as connection:
    rows = connection.execute("PREDICT USING voice_tiny AS SELECT * FROM calls").fetchall()
print(time.perf_counter() - started)
"""


def timed(connection: Connection, sql: str) -> float:
    started = time.perf_counter()
    connection.execute(sql).fetchall()
    return time.perf_counter() - started


def kept(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM thanosql_cache()").fetchall()[0][0])


def forget(connection: Connection) -> None:
    connection.execute("SELECT thanosql_clear_cache()").fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_corpus(folder / "audio", options.files, 1.0, 6.0)
        time.sleep(3)  # a file that changed just now is read again to be recognised
        database = folder / "calls.db"
        with thanosql_dbapi.connect(database, root=folder) as connection:
            connection.execute("COPY calls FROM 'audio'")
            everything = "PREDICT USING voice_tiny AS SELECT * FROM calls"
            timed(connection, f"{everything} LIMIT 1")  # torch is loaded, and the model
            forget(connection)
            first = timed(connection, everything)
            again = min(timed(connection, everything) for _ in range(5))
            print(f"{options.files} files, first run  {first:8.3f} s")
            print(f"again                 {again:8.3f} s  {first / again:6.0f} x")
        new = min(
            float(subprocess.check_output([sys.executable, "-c", AGAIN, database, folder]))
            for _ in range(3)
        )
        print(f"again, a new process  {new:8.3f} s  {first / new:6.0f} x")
        with thanosql_dbapi.connect(database, root=folder) as connection:
            timed(connection, f"{everything} LIMIT 1")
            forget(connection)
            started = time.perf_counter()
            cursor = connection.execute(everything)
            cursor.fetchone()
            print(f"first row             {time.perf_counter() - started:8.3f} s")
            cursor.close()
            forget(connection)
            found = timed(
                connection, f"SELECT * FROM ({everything}) WHERE predicted LIKE '%e%' LIMIT 5"
            )
            print(f"five of a filter      {found:8.3f} s, {kept(connection)} files computed")


if __name__ == "__main__":
    main()
