"""Windows of a long waveform cover it, and are stitched without a doubled or a lost letter."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thanosql_dbapi.models.windows import Candidates, Path, cut, stitch

#: 0 is the blank, 1 the space.
QUIET = np.array([True, True, *[False] * 8])


@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.integers(6, 40),
    st.integers(1, 5),
)
def test_windows_cover_the_waveform_and_share_the_overlap(
    blocks: list[int], window: int, overlap: int
) -> None:
    waveform = np.arange(sum(blocks), dtype=np.float32)
    parts = np.split(waveform, np.cumsum(blocks)[:-1]) if blocks else []
    cuts = list(cut(parts, window, overlap))
    assert all(0 < len(part) <= window for _, part in cuts) or not len(waveform)
    for first, part in cuts:
        np.testing.assert_array_equal(part, waveform[first : first + len(part)])
    for (first, part), (following, _) in itertools.pairwise(cuts):
        assert first + len(part) - following == overlap
    if len(waveform):
        assert cuts[0][0] == 0
        assert cuts[-1][0] + len(cuts[-1][1]) == len(waveform)
    # All windows but the first are longer than what they share.
    assert all(len(part) > overlap for _, part in cuts[1:])


def paths_of(whole: NDArray[np.int64], window: int, overlap: int) -> list[Path]:
    blocks = [whole.astype(np.float32)]
    return [
        Path(part.astype(np.int64), np.zeros(len(part), np.float32), first)
        for first, part in cut(blocks, window, overlap)
    ]


def drawn(frames: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 10, frames)


labels = st.builds(drawn, st.integers(1, 400), st.integers(0, 10_000))


@given(labels, st.integers(30, 60), st.integers(4, 25))
def test_windows_that_agree_are_the_whole(
    whole: NDArray[np.int64], window: int, overlap: int
) -> None:
    stitched = stitch(paths_of(whole, window, overlap), QUIET)
    np.testing.assert_array_equal(stitched.ids, whole)
    assert len(stitched.log_probs) == len(whole)


@given(labels, st.lists(st.booleans(), min_size=40, max_size=40), st.integers(6, 20))
def test_windows_of_which_some_were_split_are_the_whole(
    whole: NDArray[np.int64], split: list[bool], part: int
) -> None:
    """The parts of one that did not fit into memory may lie within its neighbour."""
    paths = []
    for is_split, path in zip(split, paths_of(whole, 30, 12), strict=False):
        parts = paths_of(path.ids, part if is_split else 30, part // 4)
        paths += [Path(each.ids, each.log_probs, path.first + each.first) for each in parts]
    stitched = stitch(sorted(paths, key=lambda path: path.first), QUIET)
    np.testing.assert_array_equal(stitched.ids, whole)


def text(ids: NDArray[np.int64]) -> str:
    runs = ids[np.flatnonzero(np.diff(ids, prepend=-1))]
    return "".join(" abcdefgh"[label - 1] for label in runs if label)


@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(0, 3))
def test_rubbish_at_the_edges_of_windows_is_not_heard(seed: int, early: int, late: int) -> None:
    """Near its ends a window hears other letters, and one a frame early or late."""
    rng = np.random.default_rng(seed)
    letters = [
        label
        for _ in range(60)
        for label in [*[int(rng.integers(2, 10))] * rng.integers(1, 4), *[0] * rng.integers(1, 5)]
    ]
    whole = np.array(letters)
    paths = paths_of(whole, 100, 40)
    for place, path in enumerate(paths):
        ids = path.ids.copy()
        if place and early:
            ids[: 3 * early] = rng.integers(0, 10, 3 * early)
            ids[3 * early : 10] = np.roll(ids[3 * early : 10], 1)
        if place + 1 < len(paths) and late:
            ids[len(ids) - 3 * late :] = rng.integers(0, 10, 3 * late)
        paths[place] = Path(ids, path.log_probs, path.first)
    assert text(stitch(paths, QUIET).ids) == text(whole)


def test_windows_that_share_no_frame_follow_each_other() -> None:
    paths = [
        Path(np.array([2, 0, 3]), np.zeros(3, np.float32), 0),
        Path(np.array([4, 0]), np.zeros(2, np.float32), 3),
    ]
    assert text(stitch(paths, QUIET).ids) == text(np.array([2, 0, 3, 4, 0]))


@given(labels, st.integers(30, 60), st.integers(4, 25))
def test_candidates_are_stitched_where_paths_are(
    whole: NDArray[np.int64], window: int, overlap: int
) -> None:
    paths = [
        replace(
            path,
            candidates=Candidates(
                np.stack([path.ids, path.ids + 1], axis=1).astype(np.int32),
                np.stack([path.log_probs, path.log_probs - 1], axis=1),
            ),
        )
        for path in paths_of(whole, window, overlap)
    ]
    stitched = stitch(paths, QUIET)
    assert stitched.candidates is not None
    np.testing.assert_array_equal(stitched.candidates.labels[:, 0], stitched.ids)
    np.testing.assert_array_equal(stitched.candidates.labels[:, 1], stitched.ids + 1)
    np.testing.assert_array_equal(stitched.candidates.log_probs[:, 0], stitched.log_probs)
    assert stitch(paths_of(whole, window, overlap), QUIET).candidates is None
