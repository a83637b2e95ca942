"""The learning curve's pictures: what they show, in characters and in SVG."""

from __future__ import annotations

import io
import math
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import thanosql_dbapi
from thanosql_dbapi import ModelNotFound, learning_curve
from thanosql_dbapi.journal import Journal, Point, RunState, Step, read_runs
from thanosql_dbapi.learning_curve import smoothed

SVG = "{http://www.w3.org/2000/svg}"


def points(steps: int = 100, every: int = 20) -> list[Point]:
    return [
        Point(
            step,
            loss=4 * math.exp(-step / 30) + 0.2,
            wer=math.exp(-step / 40) if step % every == 0 else None,
        )
        for step in range(1, steps + 1)
    ]


def drawn(done: int = 100, steps: int | None = None) -> learning_curve.LearningCurve:
    return learning_curve.learning_curve(points(done), title="m", steps=steps)


def numbers(text: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


# --- in characters --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("plain", [True, False])
def test_a_text_has_the_width_that_was_asked_for(width: int, plain: bool) -> None:
    lines = drawn().text(width, ascii_only=plain).splitlines()
    assert width - 2 <= max(map(len, lines)) <= width  # the longest is a percentage
    assert all(line.isascii() for line in lines) is plain
    assert lines[0] == "m: step 100 of 100, best greedy WER 8.2 %"
    assert "training loss (left)" in lines[-1]
    assert "greedy WER (right)" in lines[-1]
    assert lines[-2].split() == ["0", "100", "steps"]


def test_a_width_is_held_between_sixty_and_a_hundred() -> None:
    assert drawn().text(10, ascii_only=True) == drawn().text(60, ascii_only=True)
    assert drawn().text(500, ascii_only=True) == drawn().text(100, ascii_only=True)


def test_a_falling_loss_falls_from_left_to_right() -> None:
    rows = [line[9:69] for line in drawn().text(80, ascii_only=True).splitlines()[1:15]]
    places = [(x, y) for y, row in enumerate(rows) for x, mark in enumerate(row) if mark == "."]
    lowest_by_column = {x: max(y for at, y in places if at == x) for x, _ in places}
    heights = [lowest_by_column[x] for x in sorted(lowest_by_column)]
    assert heights == sorted(heights)
    assert heights[-1] >= heights[0] + 8


def test_each_measurement_is_a_circle() -> None:
    rows = drawn().text(80, ascii_only=True).splitlines()[1:15]
    assert sum(row[9:].count("o") for row in rows) == 5


def test_a_training_that_goes_on_leaves_room_for_its_steps() -> None:
    whole = drawn(50, steps=100).text(80, ascii_only=True).splitlines()
    assert whole[0].startswith("m: step 50 of 100")
    marked = [x for row in whole[1:15] for x, mark in enumerate(row[9:71]) if mark in ".o"]
    assert 28 <= max(marked) <= 31


def test_the_first_losses_do_not_flatten_the_rest() -> None:
    spiked = [Point(1, loss=1e6), *points()[1:]]
    spiked[60] = Point(61, loss=1e6)
    text = learning_curve.learning_curve(spiked).text(80, ascii_only=True)
    scale = [float(line[:7]) for line in text.splitlines()[1:15] if line[:7].strip()]
    assert max(scale) < 100


def test_nothing_done_is_said_so() -> None:
    text = str(learning_curve.learning_curve([], title="m", steps=10))
    assert text.splitlines() == ["m: step 0 of 10", "no step is done yet"]


def test_measurements_alone_are_drawn() -> None:
    text = learning_curve.learning_curve([Point(5, wer=0.5)]).text(80, ascii_only=True)
    assert text.splitlines()[0].endswith("best greedy WER 50.0 %")
    assert sum(row[9:].count("o") for row in text.splitlines()[1:15]) == 1


@pytest.mark.parametrize(
    ("encoding", "plain"), [("utf-8", False), ("ascii", True), ("cp1252", True)]
)
def test_a_terminal_without_braille_gets_ascii(
    monkeypatch: pytest.MonkeyPatch, encoding: str, plain: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    text = str(learning_curve.learning_curve(points(), title="목소리"))
    assert text.isascii() is plain
    text.encode(encoding)


values = st.none() | st.floats(-1e100, 1e100) | st.sampled_from([math.nan, math.inf, -math.inf])
made = st.lists(st.builds(Point, st.integers(0, 10**6), loss=values, wer=values), max_size=60)


@given(made, st.none() | st.integers(0, 10**6), st.text(), st.booleans())
def test_whatever_was_logged_can_be_drawn(
    logged: list[Point], steps: int | None, title: str, plain: bool
) -> None:
    logged.sort(key=lambda point: point.step)
    curve = learning_curve.learning_curve(logged, title=title, steps=steps)
    lines = curve.text(80, ascii_only=plain).split("\n")
    assert all(len(line) <= 80 for line in lines)
    if plain:
        assert all(line.isascii() for line in lines)
    assert "nan" not in curve.svg()
    assert "inf" not in curve.svg().replace(title, "")


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_a_smoothed_value_lies_among_those_before(values: list[tuple[int, float]]) -> None:
    values.sort()
    for index, (step, mean) in enumerate(smoothed(values, 500)):
        before = [value for _, value in values[: index + 1]]
        assert step == values[index][0]
        assert min(before) - 1e-6 <= mean <= max(before) + 1e-6


def test_a_constant_is_its_own_mean() -> None:
    same = [(step, 3.0) for step in range(1, 100)]
    assert [mean for _, mean in smoothed(same, 100)] == pytest.approx([3.0] * 99)


# --- as SVG ---------------------------------------------------------------------------------


def test_svg_has_both_lines_within_its_frame() -> None:
    root = ET.fromstring(drawn().svg())
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 3  # the loss, its mean, the WER
    for line in lines:
        for x, y in numbers(line.attrib["points"]):
            assert 0 <= x <= width
            assert 0 <= y <= height
    circles = root.findall(f"{SVG}circle")
    assert [circle.find(f"{SVG}title").text for circle in circles] == [
        f"step {step}: greedy WER {100 * math.exp(-step / 40):.1f} %" for step in range(20, 101, 20)
    ]
    written = [text.text for text in root.findall(f"{SVG}text")]
    assert {
        "training loss",
        "greedy WER",
        "step",
        "m: step 100 of 100, best greedy WER 8.2 %",
    } <= set(written)


def test_svg_takes_the_pages_colour() -> None:
    svg = drawn().svg()
    assert 'fill="currentColor"' in svg
    assert "black" not in svg
    assert "white" not in svg
    assert "#000" not in svg


def test_a_title_is_text_and_no_markup() -> None:
    title = "<script>alert('x')</script> & \"m\""
    svg = learning_curve.learning_curve(points(), title=title).svg()
    assert "<script" not in svg
    assert ET.fromstring(svg).find(f"{SVG}title").text.startswith(title)


def test_a_long_training_is_a_small_picture() -> None:
    long = learning_curve.learning_curve(points(20_000, every=1000))
    assert len(long.svg()) < 50_000


def test_a_notebook_shows_the_svg() -> None:
    curve = drawn()
    assert curve._repr_svg_() == curve.svg()
    assert curve.svg() in curve._repr_html_()


# --- from a journal -------------------------------------------------------------------------


def test_a_journal_is_drawn(tmp_path: Path) -> None:
    with Journal(tmp_path / "m" / "0123", {"model": "m"}) as journal:
        for step in (1, 2, 3):
            journal.step(Step(step, 8, step / 4, 2, 3.0 - step, 1e-4, 1.0))
        journal.measured(3, 0.25)
        journal.finish(RunState.FINISHED)
    (run,) = read_runs(tmp_path, "m")
    curve = learning_curve.learning_curve(run.points, title=run.model, steps=run.steps)
    assert curve.losses == ((1, 2.0), (2, 1.0), (3, 0.0))
    assert curve.wers == ((3, 0.25),)
    assert curve.steps == 8


def test_a_connection_is_asked_for_the_last_training(tmp_path: Path) -> None:
    with thanosql_dbapi.connect(workspace=tmp_path) as connection:
        for key, offset in (("00", 0.0), ("01", 1.0)):
            with Journal(tmp_path / "training" / "it%27s" / key, {"model": "it's"}) as journal:
                journal.step(Step(1, 8, 0.25, 2, 3.0 + offset, 1e-4, 1.0))
                journal.measured(1, 0.25)
                journal.finish(RunState.INTERRUPTED)
            time.sleep(0.01)  # the times of two runs' beginnings differ
        curve = learning_curve.of(connection, "it's")
        assert (curve.losses, curve.wers, curve.steps) == (((1, 4.0),), ((1, 0.25),), 8)
        with pytest.raises(ModelNotFound):
            learning_curve.of(connection, "n")
        with pytest.raises(ModelNotFound, match="nothing is kept of a training of 'voice_tiny'"):
            learning_curve.of(connection, "voice_tiny")
