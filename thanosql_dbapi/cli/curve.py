"""`thanosql curve`: the learning curve of a training, also of one that runs in another process.

It reads the journal in the workspace. The database is not opened: the one who trains may have it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from ..exceptions import ModelNotFound, OperationalError
from ..functions.trainings import runs
from ..journal import Run, RunState, read_runs
from ..learning_curve import LearningCurve, learning_curve
from ..registry.names import versioned
from ..workspace import Workspace
from .share import workspace_of

#: Seconds between two looks at a training that is followed.
LOOK_S = 1.0


def curve(given: argparse.Namespace) -> int:
    """Show a model's learning curve, once or until its training ends."""
    workspace = workspace_of(given)
    if workspace is None:
        raise OperationalError("whose training? --database or --workspace names where models live")
    run = last_run(workspace, given.model)
    _save(run, given.svg)
    picture = _Picture()
    picture.show(run)
    if given.follow:
        _follow(workspace, given, run, picture)
    return 0


def last_run(workspace: Path, model: str) -> Run:
    """Return the last training of `m`, or the one that `m@3` came of.

    Raises:
        ModelNotFound: nothing is kept of a training of it.
    """
    place = Workspace(workspace)
    # A run that has ended has no version for an instant yet, and a first one no model.
    found = [] if versioned(model) else read_runs(place.training, model)
    try:
        found += [run for _, run in runs(place, model)]
    except ModelNotFound:
        if not found:
            raise
    if not found:
        raise ModelNotFound(f"nothing is kept of a training of '{model}' in {workspace}")
    # One that trains now may have begun before another one that has ended.
    return max(found, key=lambda run: (run.state is RunState.TRAINING, run.started))


def curve_of(run: Run) -> LearningCurve:
    """Return the curve of a run."""
    return learning_curve(run.points, title=run.model, steps=run.steps)


def _follow(workspace: Path, given: argparse.Namespace, run: Run, picture: _Picture) -> None:
    while run.state is RunState.TRAINING:
        time.sleep(LOOK_S)
        run = last_run(workspace, given.model)
        if picture.show(run):
            _save(run, given.svg)


class _Picture:
    """A picture in a terminal that is drawn over the one before; a line each time in a pipe."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, run: Run) -> bool:
        """Show a run, if it has changed; tell whether it has."""
        before, self._shown = self._shown, _text(run)
        if self._shown == before:
            return False
        text = self._shown
        if before and sys.stdout.isatty():
            sys.stdout.write(f"\x1b[{len(before.splitlines())}F\x1b[J")
        elif before:
            lines = text.splitlines()
            text = f"{lines[0]}; {lines[-1]}"
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        return True


def _text(run: Run) -> str:
    said = f"{run.state}: {run.message}" if run.message else str(run.state)
    picture = curve_of(run).text(shutil.get_terminal_size().columns)
    return f"{picture}\n{' '.join(said.split())}"


def _save(run: Run, svg: str | None) -> None:
    if svg is None:
        return
    try:
        Path(svg).expanduser().write_text(curve_of(run).svg(), "utf-8")
    except OSError as error:
        raise OperationalError(f"'{svg}' cannot be written: {error.strerror}") from error
