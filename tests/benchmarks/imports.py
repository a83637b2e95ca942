"""Measure the time that `import` takes: ours against DuckDB's, in fresh interpreters.

    python tests/benchmarks/imports.py [runs]

Runs alternate between the modules; the figure is the median, with the time of an interpreter
that imports nothing taken off. A run before the measured ones warms the file cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

MODULES = ("pass", "import duckdb", "import thanosql_dbapi")


def seconds(code: str) -> float:
    """Return how long a fresh interpreter takes to run `code`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for code in MODULES:
        seconds(code)
    taken = {code: [] for code in MODULES}
    for _ in range(runs):
        for code in MODULES:
            taken[code].append(seconds(code))
    medians = {code: statistics.median(times) for code, times in taken.items()}
    for code in MODULES[1:]:
        print(f"{code:24} {1000 * (medians[code] - medians['pass']):7.1f} ms")
    added = medians["import thanosql_dbapi"] - medians["import duckdb"]
    print(f"{'ours on top of duckdb':24} {1000 * added:7.1f} ms  (median of {runs})")


if __name__ == "__main__":
    main()
