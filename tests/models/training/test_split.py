"""Which rows are held out."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanosql_dbapi.models.training.split import split

PARTS = st.one_of(st.just("auto"), st.floats(0, 0.9))
DIGESTS = st.lists(st.sampled_from(["", *map(str, range(40))]), max_size=120)


def names(count: int) -> list[str]:
    return [f"content {number}" for number in range(count)]


@given(digests=DIGESTS, part=PARTS, seed=st.integers(0, 5))
def test_each_row_is_on_one_side_and_the_same_audio_on_the_same(
    digests: list[str], part: float | Literal["auto"], seed: int
) -> None:
    train, held_out = split(len(digests), part, digests, seed)
    assert sorted(train + held_out) == list(range(len(digests)))
    assert train == sorted(train)
    assert held_out == sorted(held_out)
    trained = {digests[row] for row in train} - {""}
    assert not trained & {digests[row] for row in held_out}
    assert train or not digests
    assert (train, held_out) == split(len(digests), part, digests, seed)


@pytest.mark.parametrize(
    ("count", "held_out"),
    [(0, 0), (1, 0), (9, 0), (10, 1), (14, 1), (400, 40), (5000, 500), (50_000, 500)],
)
def test_auto_holds_out_a_tenth_and_at_most_500(count: int, held_out: int) -> None:
    assert len(split(count, "auto", names(count), 0)[1]) == held_out


@pytest.mark.parametrize(
    ("count", "part", "held_out"),
    [(100, 0.25, 25), (100, 0.0, 0), (3, 0.01, 1), (2, 0.9, 1), (1, 0.9, 0), (10, 0.9, 9)],
)
def test_a_part_is_held_out(count: int, part: float, held_out: int) -> None:
    assert len(split(count, part, names(count), 0)[1]) == held_out


def test_another_seed_holds_out_other_rows() -> None:
    assert split(1000, 0.1, names(1000), 0) != split(1000, 0.1, names(1000), 1)


@given(st.permutations(names(40)))
def test_the_order_of_the_rows_plays_no_part(digests: list[str]) -> None:
    chosen = {digests[row] for row in split(40, 0.2, digests, 3)[1]}
    assert chosen == {names(40)[row] for row in split(40, 0.2, names(40), 3)[1]}


def test_a_row_more_moves_at_most_one_other() -> None:
    before = set(split(400, "auto", names(400), 7)[1])
    after = set(split(401, "auto", names(401), 7)[1])
    assert len(before ^ after) <= 2


def test_rows_of_one_audio_alone_are_not_parted() -> None:
    assert split(50, 0.5, ["same"] * 50, 0) == (list(range(50)), [])


def test_where_every_audio_comes_often_the_rarest_is_held_out() -> None:
    digests = ["a"] * 30 + ["b"] * 20
    assert split(50, 0.1, digests, 0)[1] == list(range(30, 50))
