"""SQLAlchemy's compliance suite for third-party dialects, run as a whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import sqlalchemy
from sqlalchemy.testing.requirements import SuiteRequirements

from sqlalchemy_dialect.requirements import CLOSED, OPEN

SUITE = Path(__file__).parent / "suite"


def test_the_suite_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-c", SUITE / "setup.cfg", "--rootdir", SUITE, SUITE]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout
    assert f"SQLAlchemy {sqlalchemy.__version__}" in run.stdout
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= 1500
    assert not re.search(r"\d+ (failed|errors?)\b", run.stdout)


def test_each_closed_capability_has_a_reason_and_is_one_of_sqlalchemys() -> None:
    known = set(dir(SuiteRequirements))
    # Some capabilities are asked about by the newer version alone.
    if sqlalchemy.__version__.startswith("2.1"):
        assert {*OPEN, *CLOSED} <= known
    assert not set(OPEN) & set(CLOSED)
    assert all(CLOSED.values())
