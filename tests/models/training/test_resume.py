"""A training that is killed goes on, and ends with the weights that it would have had."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

RESUMING = Path(__file__).with_name("resuming.py")


def run(folder: Path, *trainings: tuple[list[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(RESUMING), str(folder), json.dumps(trainings)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def outcome(ended: dict[str, Any]) -> dict[str, Any]:
    return {key: ended[key] for key in ("digest", "steps", "losses", "best", "stopped")}


def test_killed_at_any_step_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    rng = random.Random(0)
    steps = sorted(rng.sample(range(1, 48), 3))
    whole, again, killed, rarely, sometime = run(
        tmp_path,
        ([], {}),
        ([], {}),
        ([["step", step] for step in steps], {}),
        ([["step", step] for step in steps], {"every": 5.0}),
        ([["time", rng.uniform(0.1, 0.6)] for _ in range(3)], {}),
    )
    assert whole["steps"] == 48
    assert whole["best"][0] in {24, 48}
    assert outcome(again) == outcome(whole)
    assert outcome(killed) == outcome(whole)
    assert killed["resumed"] == [steps[-1] - 1]
    # Then the last checkpoint is older, and steps are done again.
    assert outcome(rarely) == outcome(whole)
    assert rarely["resumed"] < [steps[-1] - 1]
    assert outcome(sometime) == outcome(whole)


def test_killed_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    deaths = [["write", 1], *(["write", 13 + number] for number in range(7))]
    whole, killed = run(tmp_path, ([], {"max_epochs": 5}), (deaths, {"max_epochs": 5}))
    assert killed["killed"] == 8
    assert outcome(killed) == outcome(whole)


@pytest.mark.parametrize("lanes", [1, 3])
def test_it_stops_early_at_the_same_step(tmp_path: Path, lanes: int) -> None:
    changes = {"early_stopping": 2, "lanes": lanes, "max_epochs": 20}
    whole, killed = run(tmp_path, ([], changes), ([["step", 9], ["step", 30]], changes))
    assert whole["stopped"]
    assert outcome(killed) == outcome(whole)


def test_gradient_checkpointing_and_a_frozen_encoder_go_on_too(tmp_path: Path) -> None:
    changes = {"gradient_checkpointing": True, "freeze_feature_encoder": True, "max_steps": 25}
    whole, killed = run(tmp_path, ([], changes), ([["step", 11]], changes))
    assert whole["steps"] == 25
    assert outcome(killed) == outcome(whole)
