"""The journal of a training: how far it is, written so that others can read it meanwhile.

    <workspace>/training/<name>/<key>/run.json      what is trained, since when, by which process
                                      state.json    its state and heartbeat, replaced as a whole
                                      steps.jsonl   one line a logged step or measurement
                                      lock          held for as long as the process trains

It knows files, and nothing of models, rows or SQL.
"""

from __future__ import annotations

from .points import Point, Step, read_points
from .runs import DONE, Run, RunState, discard, is_held, read_kept, read_run, read_runs
from .writing import Journal

__all__ = [
    "DONE",
    "Journal",
    "Point",
    "Run",
    "RunState",
    "Step",
    "discard",
    "is_held",
    "read_kept",
    "read_points",
    "read_run",
    "read_runs",
]
