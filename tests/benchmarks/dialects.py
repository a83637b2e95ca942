"""Measure our SQLAlchemy dialect and pandas' doors against the peers and DuckDB itself.

    python tests/benchmarks/dialects.py [--repeats 3] [--keep FOLDER] [--only WORKLOAD …]

Prints one table, with the ratio of each contestant's time to ours. The peers, duckdb_engine and
duckdb-sqlalchemy, exclude each other by their pins, so each has a virtual environment of its own,
which this script makes by pip, in FOLDER or for the time of this run. Each run of
`dialects_worker.py` is a process of its own, contestants take turns, and what counts is the fastest
run; the median stands beside it. All databases are in memory.

`bare` is SQLAlchemy's DefaultDialect over our cursor, with nothing added: the floor of what rows
through SQLAlchemy cost. `driver` is a connection of the driver in an engine's place, `native`
DuckDB's own Python API. The exit status tells whether the goals were met.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

WORKER = Path(__file__).with_name("dialects_worker.py")
RUN_SECONDS = 180  # a run that takes longer counts as failed
OURS = ("thanosql", "driver")
PEERS = ("duckdb_engine", "duckdb-sqlalchemy")

#: What each peer is installed with: as far as its pins allow, what we run on.
_SAME = ("duckdb", "SQLAlchemy", "pandas", "numpy", "pyarrow")
_PINS = {
    "duckdb_engine": ("duckdb_engine==0.17.0", _SAME),
    "duckdb-sqlalchemy": ("duckdb-sqlalchemy>=1.5.6,<1.6", _SAME[1:]),
}

#: Each workload: what it is called in the table, and who takes part.
WORKLOADS = {
    "insert": ("`session.execute(insert(T), rows)`, key given", ("thanosql", *PEERS)),
    "insert_counted": ("the same, key counted by the database", ("thanosql", *PEERS)),
    "insert_returning": (
        "`session.scalars(insert(T).returning(T.id), rows)`",
        ("thanosql", *PEERS),
    ),
    "insert_text": ('`connection.execute(text("INSERT …"), rows)`', ("thanosql", *PEERS)),
    "to_sql": ("`to_sql(engine)`", ("thanosql", *PEERS)),
    "to_sql_rows": ("`to_sql(engine)`, ours with `method=insert_rows`", ("thanosql", *PEERS)),
    "to_sql_multi": ('`to_sql(engine, method="multi", chunksize=1000)`', ("thanosql", *PEERS)),
    "to_sql_quickest": ("a DataFrame to a table, quickest way", ("driver", *PEERS, "native")),
    "read_sql": ("`read_sql(text, engine)`", ("thanosql", "bare", *PEERS)),
    "read_select": ("`read_sql(select(…), engine)`", ("thanosql", "bare", *PEERS)),
    "read_chunks": (
        "`read_sql(…, chunksize=100_000)`, stream_results",
        ("thanosql", "bare", *PEERS),
    ),
    "read_quickest": ("a query to a DataFrame, quickest way", ("driver", PEERS[1], "native")),
    "reflect": ("`MetaData.reflect()` of 2,000 tables", ("thanosql", *PEERS)),
}

#: What is wanted: workload, whose time is divided by whose, and at least or at most how much.
GOALS = (
    ("insert", "duckdb_engine", "thanosql", "at least", 20),
    ("insert_counted", "duckdb_engine", "thanosql", "at least", 20),
    ("to_sql", "duckdb_engine", "thanosql", "at least", 20),
    ("to_sql_rows", "duckdb_engine", "thanosql", "at least", 20),
    ("read_sql", "thanosql", "bare", "at most", 1.25),
    ("read_sql", "thanosql", "the fastest peer", "at most", 1),
    ("read_quickest", "driver", "native", "at most", 2),
)


@dataclass(slots=True)
class Series:
    """The runs of one workload by one contestant."""

    seconds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The seconds of the fastest run; None where a run failed."""
        return None if "error" in self.facts or not self.seconds else min(self.seconds)


Table: TypeAlias = dict[str, dict[str, Series]]


# --- environments ---------------------------------------------------------------------------


def new_environment(folder: Path, peer: str) -> str:
    """Make the peer's virtual environment, or complete it; return its interpreter."""
    own, same = _PINS[peer]
    interpreter = folder / peer / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not interpreter.exists():
        venv.create(folder / peer, with_pip=True)
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in same]
    install = [str(interpreter), "-m", "pip", "install", "--quiet", own, *pins]
    # duckdb_engine and DuckDB's converters import what they do not require.
    subprocess.run([*install, "packaging", "pytz"], check=True)
    return str(interpreter)


def ask(interpreter: str, contestant: str, question: str) -> dict[str, Any]:
    """Have a worker run, and return what it says."""
    command = [interpreter, "-W", "ignore", str(WORKER), contestant, question]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {RUN_SECONDS} s"}
    lines = done.stdout.splitlines()
    if not lines:
        return {"error": f"exit status {done.returncode}"}
    facts: dict[str, Any] = json.loads(lines[-1])
    return facts


# --- measuring ------------------------------------------------------------------------------


def measure(interpreters: dict[str, str], workloads: list[str], repeats: int) -> Table:
    """Run each workload `repeats` times by each contestant, in turn, until it fails."""
    table: Table = {name: {who: Series() for who in WORKLOADS[name][1]} for name in workloads}
    for name, contestants in table.items():
        for turn in range(repeats):
            print(f"{name}: run {turn + 1} of {repeats}", file=sys.stderr)
            for contestant, series in contestants.items():
                if "error" in series.facts:
                    continue
                interpreter = interpreters.get(contestant, sys.executable)
                series.facts = ask(interpreter, contestant, name)
                if "error" not in series.facts:
                    series.seconds.append(series.facts["seconds"])
    return table


# --- showing --------------------------------------------------------------------------------


def show_versions(interpreters: dict[str, str]) -> None:
    for contestant in ("thanosql", *PEERS):
        found = ask(interpreters.get(contestant, sys.executable), contestant, "versions")
        print(f"- {contestant}: {', '.join(f'{n} {v}' for n, v in found.items())}")


def show_table(table: Table) -> None:
    print("\n| workload | contestant | rows | fastest | median | rows/s | time ÷ ours |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, contestants in table.items():
        ours = next((contestants[who].best for who in OURS if who in contestants), None)
        for contestant, series in contestants.items():
            print(f"| {WORKLOADS[name][0]} | {contestant} | {cells(series, ours)} |")


def cells(series: Series, ours: float | None) -> str:
    """Return one line's figures, or why there are none."""
    if series.best is None:
        reason = " ".join(series.facts.get("error", "not run").split())
        return f"fails: {reason[:120].replace('|', '/')} | | | | "
    rows = series.facts["rows"]
    shown = f"{rows:,}"
    if "statements" in series.facts:
        shown += f" ({series.facts['statements']} statements)"
    ratio = f"{series.best / ours:.2f}" if ours else ""
    median = statistics.median(series.seconds)
    return f"{shown} | {series.best:.3f} s | {median:.3f} s | {rows / series.best:,.0f} | {ratio}"


def show_goals(table: Table) -> bool:
    """Print what became of each goal whose workload was run; return whether all were met."""
    met = True
    print("\n| goal | wanted | measured | met |\n|---|---|---:|---|")
    for name, above, below, bound, limit in GOALS:
        if name not in table:
            continue
        over, under = best(table[name], above), best(table[name], below)
        reached = False
        measured = "no figure"
        if over is not None and under is not None:
            ratio = over / under
            reached = ratio >= limit if bound == "at least" else ratio <= limit
            measured = f"{ratio:.2f}"
        met = met and reached
        label = f"{WORKLOADS[name][0]}: {above} ÷ {below}"
        print(f"| {label} | {bound} {limit} | {measured} | {'yes' if reached else 'no'} |")
    return met


def best(contestants: dict[str, Series], who: str) -> float | None:
    if who != "the fastest peer":
        return contestants[who].best
    found = [seconds for peer in PEERS if (seconds := contestants[peer].best) is not None]
    return min(found, default=None)


def main() -> int:
    """Print versions, the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for the peers' environments")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        interpreters = {peer: new_environment(folder, peer) for peer in PEERS}
        show_versions(interpreters)
        table = measure(interpreters, options.only, options.repeats)
    show_table(table)
    return 0 if show_goals(table) else 1


if __name__ == "__main__":
    sys.exit(main())
