"""Plans have every utterance once an epoch, in batches of similar length, and depend on no past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanosql_dbapi.models.training.plan import Plan, micro_batches, padded
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000


def plan(rows: int, **options: Any) -> Plan:
    lengths = np.random.default_rng(rows).integers(RATE // 2, 10 * RATE, rows)
    return Plan(lengths, np.full(rows, RATE // 4), TrainingSettings(**options), RATE)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 200),
    batch_size=st.integers(1, 20),
    epochs=st.integers(1, 4),
    seconds=st.none() | st.floats(1.0, 60.0),
)
def test_each_epoch_has_every_utterance_once(
    rows: int, batch_size: int, epochs: int, seconds: float | None
) -> None:
    made = plan(rows, batch_size=batch_size, max_epochs=epochs, batch_seconds=seconds)
    heard: dict[int, list[int]] = {epoch: [] for epoch in range(epochs)}
    for step in range(made.steps):
        heard[made.epoch_of(step)] += [take.index for take in made.batch(step)]
    assert all(sorted(each) == list(range(rows)) for each in heard.values())
    assert [step for step in range(1, made.steps + 1) if made.ends_epoch(step)] == made.ends


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    one, other = plan(50), plan(50)
    for step in range(one.steps):
        one.batch(step)
    assert other.batch(13) == one.batch(13)
    assert plan(50, seed=1).batch(13) != one.batch(13)


@pytest.mark.parametrize(
    ("rows", "epochs", "expected"),
    [
        (45, 5, [15]),
        (45, 100, [*range(21, 300, 21), 300]),
        (800, 3, [50, 100, 150]),
        (45_000, 2, [round(2813 * part / 6) for part in range(1, 7)]),
    ],
)
def test_measurements_lie_neither_close_nor_far_apart(
    rows: int, epochs: int, expected: list[int]
) -> None:
    found = sorted(plan(rows, max_epochs=epochs, augmentation=frozenset()).measurements())
    assert found[: len(expected)] == expected


def test_at_most_so_many_steps_and_the_last_is_measured() -> None:
    made = plan(800, max_steps=77)
    assert made.steps == 77
    assert made.ends_epoch(77)
    assert sorted(made.measurements()) == [50, 77]
    assert plan(800, max_steps=10_000).steps == 250


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 40), most_s=st.floats(0.1, 50.0))
def test_micro_batches_split_a_batch_and_hold_no_more(rows: int, most_s: float) -> None:
    batch = plan(rows, batch_size=40).batch(0)
    most = int(most_s * RATE)
    pieces = micro_batches(batch, most, RATE)
    assert sorted(take.index for piece in pieces for take in piece) == list(range(rows))
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * padded(piece[0].samples, RATE) <= most
        assert piece[0].samples == max(take.samples for take in piece)
