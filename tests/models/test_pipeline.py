"""The engine, with a recogniser that hears sums: every input has its outcome, whatever happens."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transcribing import Watching

from thanosql_dbapi.exceptions import MediaError, MediaReason, MissingExtra, QueryInterrupted
from thanosql_dbapi.media.sources import Media, media_of
from thanosql_dbapi.models import decoding, pipeline
from thanosql_dbapi.models.base import Outcome, Prediction
from thanosql_dbapi.models.memory import Budget, is_out_of_memory
from thanosql_dbapi.models.packing import Arm, Packing
from thanosql_dbapi.models.pipeline import Pipeline
from thanosql_dbapi.models.windows import Window, cut

RATE = 1000
FILES = 24


class Sums:
    """Hears the sum of a window's samples; notes what it is given."""

    sampling_rate = RATE
    window_s = 2.0
    shortest = 10

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.together = 0
        self.most_together = 0
        self.prepared: list[str] = []
        self.fits_s = float("inf")
        self.splits = True
        self.fails: set[int] = set()
        self.slow_s = 0.0
        self._lock = threading.Lock()

    def prepare(self, precision: str) -> None:
        self.prepared.append(precision)

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        for first, waveform in cut(blocks, int(self.window_s * RATE), 0):
            yield Window(waveform, first, len(waveform))

    def width(self, window: Window) -> int:
        return window.samples

    def split(self, window: Window) -> Sequence[Window]:
        if not self.splits:
            return ()
        half = window.samples // 2
        return (
            Window(window.features[:half], window.first, half),
            Window(window.features[half:], window.first + half, window.samples - half),
        )

    def forward(
        self, windows: Sequence[Window], width: int, _precision: str, _options: Mapping[str, Any]
    ) -> Sequence[float]:
        assert width >= max(window.samples for window in windows)
        with self._lock:
            self.batches.append([window.samples for window in windows])
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        try:
            time.sleep(self.slow_s)
            if len(windows) * width > self.fits_s * RATE:
                raise torch.OutOfMemoryError("no room")
            if self.fails & {window.samples for window in windows}:
                raise ValueError("cannot hear that")
            return [float(window.features.astype(np.float64).sum()) for window in windows]
        finally:
            with self._lock:
                self.together -= 1

    def join(
        self, pieces: Sequence[tuple[Window, Any]], seconds: float, _options: Mapping[str, Any]
    ) -> Prediction:
        assert not any(len(window.features) for window, _ in pieces)  # not held until now
        ends = [window.first + window.samples for window, _ in pieces]
        assert [window.first for window, _ in pieces] == [0, *ends[:-1]]
        return Prediction(f"{sum(piece for _, piece in pieces):.3f}", seconds=seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files 0.wav to 23.wav of 0.1 to 7 s; some are longer than three windows."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for index in range(FILES):
        samples = rng.standard_normal(100 + 300 * index).astype(np.float32) / 10
        soundfile.write(folder / f"{index}.wav", samples, RATE, subtype="FLOAT")
    return folder


def media(folder: Path, names: Iterable[object]) -> list[Media]:
    return [media_of(f"{name}.wav", folder) for name in names]


def expected(folder: Path, name: object) -> str:
    return f"{soundfile.read(folder / f'{name}.wav')[0].sum():.3f}"


def outcomes(
    engine: Pipeline, inputs: Sequence[Media], watch: Any = None, batch_size: int = 4
) -> list[Outcome]:
    found = list(engine.run(inputs, {"batch_size": batch_size}, "full", watch or Watching()))
    assert sorted(index for index, _ in found) == list(range(len(inputs)))
    return [outcome for _, outcome in sorted(found, key=lambda pair: pair[0])]


def texts(found: Sequence[Outcome]) -> list[str]:
    return [outcome.text for outcome in found if isinstance(outcome, Prediction)]


def test_every_input_has_its_outcome_and_the_watch_counts_them(folder: Path) -> None:
    sums = Sums()
    watch = Watching()
    found = outcomes(Pipeline(sums, "cpu"), media(folder, range(FILES)), watch)
    assert texts(found) == [expected(folder, name) for name in range(FILES)]
    assert sums.prepared == ["full"]
    assert watch.items == FILES
    assert watch.seconds == pytest.approx(sum(100 + 300 * i for i in range(FILES)) / RATE)
    assert {"decode", "forward", "text"} <= set(watch.spent)
    assert watch.checks > FILES


def test_what_the_caller_does_meanwhile_is_no_decoding(folder: Path) -> None:
    watch = Watching()
    for _ in Pipeline(Sums(), "cpu").run(
        media(folder, ["gone", 1]), {"batch_size": 1}, "full", watch
    ):
        time.sleep(0.3)
    assert watch.spent["decode"] < 0.2


arms = st.builds(
    Arm, lanes=st.integers(1, 3), seconds=st.sampled_from([0.0, 1.0, 8.0]), padded=st.booleans()
)


@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(st.integers(0, FILES - 1), min_size=1, max_size=30),
    batch_size=st.integers(1, 9),
    tried=st.lists(arms, min_size=1, max_size=4, unique=True),
    room_s=st.sampled_from([0.1, 3.0, 100.0]),
    fits_s=st.sampled_from([0.5, 3.0, 100.0]),
)
def test_no_packing_order_or_lack_of_memory_changes_a_result(
    folder: Path,
    names: list[int],
    batch_size: int,
    tried: list[Arm],
    room_s: float,
    fits_s: float,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "arms_for", lambda *_, **__: tuple(tried))
        patch.setattr(pipeline, "_ROOM_S", {True: room_s})
        sums = Sums()
        sums.fits_s = fits_s
        engine = Pipeline(sums, "cpu")
        for _ in range(2):
            found = outcomes(engine, media(folder, names), batch_size=batch_size)
            assert texts(found) == [expected(folder, name) for name in names]
    assert all(len(batch) <= batch_size for batch in sums.batches)


def test_a_long_file_is_told_of_on_the_way(folder: Path) -> None:
    told: list[tuple[int, float]] = []

    class Telling(Watching):
        def advance(self, items: int, seconds: float) -> None:
            told.append((items, seconds))

    sums = Sums()
    sums.slow_s = 0.02
    outcomes(Pipeline(sums, "cpu"), media(folder, [FILES - 1]), watch=Telling(), batch_size=1)
    assert [items for items, _ in told] == [0] * (len(told) - 1) + [1]
    assert len(told) > 2
    seconds = (100 + 300 * (FILES - 1)) / RATE
    assert sum(each for _, each in told) == pytest.approx(seconds)


def test_the_longest_file_goes_first(folder: Path) -> None:
    sums = Sums()
    sums.window_s = 100.0
    outcomes(Pipeline(sums, "cpu"), media(folder, range(FILES)), batch_size=1)
    heard = [samples for (samples,) in sums.batches]
    # Four are decoded at once, and any of them may be ready first.
    assert heard[0] >= 100 + 300 * (FILES - 4)
    assert heard[-1] <= 100 + 300 * 4


def test_each_failure_is_an_outcome_with_its_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.wav").write_bytes(b"no audio in here")
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "short.wav", np.ones(9) / 2, RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(500), RATE)
    soundfile.write(tmp_path / "constant.wav", np.full(9000, 0.25), RATE)
    soundfile.write(tmp_path / "long.wav", np.zeros(40 * RATE), RATE)
    monkeypatch.setattr(decoding, "LONGEST_S", 30.0)
    sums = Sums()
    sums.fails = {100 + 300 * 3}
    bad = ["gone", "text", "empty", "short", "silent", "constant", "long"]
    inputs = [*media(folder, range(6)), *media(tmp_path, bad)]
    found = outcomes(Pipeline(sums, "cpu"), inputs)
    reasons = [each.reason if isinstance(each, MediaError) else None for each in found]
    assert reasons[:6] == [None, None, None, MediaReason.MODEL_FAILED, None, None]
    assert reasons[6:] == [
        MediaReason.MISSING,
        MediaReason.NOT_AUDIO,
        MediaReason.EMPTY,
        MediaReason.TOO_SHORT,
        MediaReason.SILENT,
        MediaReason.SILENT,
        MediaReason.TOO_LONG,
    ]
    assert "cannot hear that" in str(found[3])
    assert texts(found) == [expected(folder, name) for name in (0, 1, 2, 4, 5)]


def test_whatever_is_raised_on_a_file_is_that_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on(name: str, function: Any, failure: Exception) -> Any:
        def failing(media: Media, *rest: Any) -> Any:
            if media.name == name:
                raise failure
            return function(media, *rest)

        return failing

    class Unwilling(Sums):
        def join(self, pieces: Any, seconds: float, options: Any) -> Prediction:
            if seconds == (100 + 300 * 3) / RATE:
                raise IndexError("no such letter")
            return super().join(pieces, seconds, options)

    probe = fail_on("1.wav", decoding.probe_audio, KeyError("header"))
    decode = fail_on("2.wav", decoding.decode_audio, MemoryError())
    monkeypatch.setattr(decoding, "probe_audio", probe)
    monkeypatch.setattr(decoding, "decode_audio", decode)
    found = outcomes(Pipeline(Unwilling(), "cpu"), media(folder, range(6)))
    assert texts(found) == [expected(folder, name) for name in (0, 4, 5)]
    failed = [(each.reason, str(each)) for each in found if isinstance(each, MediaError)]
    assert failed == [
        (MediaReason.DECODING_FAILED, "it cannot be decoded: 'header'"),
        (MediaReason.DECODING_FAILED, "it cannot be decoded: MemoryError"),
        (MediaReason.MODEL_FAILED, "the model failed on it: no such letter"),
    ]


def test_that_no_audio_can_be_read_at_all_ends_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Media) -> None:
        raise MissingExtra("audio needs the package soundfile")

    monkeypatch.setattr(decoding, "probe_audio", refuse)
    with pytest.raises(MissingExtra):
        outcomes(Pipeline(Sums(), "cpu"), media(folder, range(2)))


def test_an_error_that_is_kept_holds_no_waveform(folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(500), RATE)
    (tmp_path / "text.wav").write_bytes(b"no audio in here")
    sums = Sums()
    sums.fails = {100, 400}
    inputs = [*media(folder, range(2)), *media(tmp_path, ["silent", "text", "gone"])]
    links: list[Any] = [*outcomes(Pipeline(sums, "cpu"), inputs)]
    assert len(links) == 5
    while links:
        error = links.pop()
        assert error.__traceback__ is None
        links += [each for each in (error.__cause__, error.__context__) if each is not None]


def test_what_had_to_be_split_is_told_from_the_rest(folder: Path) -> None:
    sums = Sums()
    sums.fits_s = 1.5
    found = outcomes(Pipeline(sums, "cpu"), media(folder, range(8)))
    assert texts(found) == [expected(folder, name) for name in range(8)]
    fits = [(100 + 300 * name) / RATE <= 1.5 for name in range(8)]
    assert [each.repeatable for each in found if isinstance(each, Prediction)] == fits


def test_a_file_that_fits_nowhere_fails_alone(folder: Path) -> None:
    sums = Sums()
    sums.splits = False
    sums.fits_s = 1.5
    found = outcomes(Pipeline(sums, "cpu"), media(folder, range(8)))
    kept = [name for name in range(8) if (100 + 300 * name) / RATE <= 1.5]
    assert texts(found) == [expected(folder, name) for name in kept]
    failed = [each for each in found if isinstance(each, MediaError)]
    assert len(failed) == 8 - len(kept)
    assert all(each.reason is MediaReason.MODEL_FAILED for each in failed)
    assert all("memory" in str(each) for each in failed)


def test_what_did_not_fit_is_remembered_for_the_next_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "arms_for", lambda *_, **__: (Arm(1, 60.0, padded=True),))
    sums = Sums()
    sums.fits_s = 6.0
    engine = Pipeline(sums, "cpu")
    inputs = media(folder, [4] * 24)
    outcomes(engine, inputs, batch_size=64)
    assert sorted(map(len, sums.batches))[-3:] == [4, 8, 16]
    sums.batches.clear()
    outcomes(engine, inputs, batch_size=64)
    assert [len(batch) for batch in sums.batches] == [4] * 6


def test_a_budget_shrinks_by_half_and_grows_back() -> None:
    budget = Budget()
    budget.shrink(64.0)
    budget.shrink(32.0)
    assert budget.seconds == 16.0
    for _ in range(100):
        budget.grow(16.0)
    assert budget.seconds == 32.0  # and no further: so many did not fit
    small = Budget()
    small.shrink(64.0)
    for _ in range(100):
        small.grow(1.0)
    assert small.seconds == 32.0  # small batches say nothing of large ones


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_cpu_allocators_error_is_one_of_them() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def decoders_at_work() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(("thanosql-d", "thanosql-p"))]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_consumer_that_stops_stops_the_decoders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_ROOM_S", {True: 2.0})
    run = Pipeline(Sums(), "cpu").run(
        media(folder, list(range(FILES)) * 5), {"batch_size": 1}, "full", Watching()
    )
    next(run)
    assert decoders_at_work()
    run.close()
    wait_until(lambda: not decoders_at_work())


def test_a_run_that_is_stopped_raises_and_stops_the_decoders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_ROOM_S", {True: 2.0})

    class Stopped(Watching):
        def check(self) -> None:
            super().check()
            if self.items >= 3:
                raise QueryInterrupted("stopped")

    with pytest.raises(QueryInterrupted):
        outcomes(Pipeline(Sums(), "cpu"), media(folder, list(range(FILES)) * 5), Stopped())
    wait_until(lambda: not decoders_at_work())


def test_a_program_ends_though_a_run_was_left_open(folder: Path) -> None:
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from pathlib import Path
from test_pipeline import FILES, Pipeline, Sums, Watching, media, pipeline
pipeline._ROOM_S = {{True: 2.0}}
inputs = media(Path({str(folder)!r}), list(range(FILES)) * 5)
run = Pipeline(Sums(), "cpu").run(inputs, {{"batch_size": 1}}, "full", Watching())
next(run)
print("ready")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "ready\n"


def test_torch_has_the_threads_that_the_user_gave_it(folder: Path) -> None:
    engine = Pipeline(Sums(), "cpu")
    outcomes(engine, media(folder, range(4)))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        open_run = engine.run(media(folder, range(4)), {"batch_size": 1}, "full", Watching())
        next(open_run)
        outcomes(engine, media(folder, range(4)))
        open_run.close()
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as fresh:
            assert fresh.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_a_fixed_pass_has_one_thread_even_where_memory_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.threads, "available", lambda: 4)
    threads = set()

    class Counting(Sums):
        def forward(self, *given: Any) -> Sequence[float]:
            threads.add(torch.get_num_threads())
            return super().forward(*given)

    sums = Counting()
    sums.fits_s = 1.0
    run = Pipeline(sums, "cpu").run(
        media(folder, range(6)), {"batch_size": 4}, "int8", Watching(), fixed=True
    )
    assert len(list(run)) == 6
    assert threads == {1}


def test_decoding_keeps_only_so_far_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_ROOM_S", {True: 5.0})
    most = 0
    offer = decoding.Decoder._offer

    def note(self: decoding.Decoder, ready: decoding.Ready) -> bool:
        nonlocal most
        offered = offer(self, ready)
        most = max(most, self._held)
        return offered

    monkeypatch.setattr(decoding.Decoder, "_offer", note)
    sums = Sums()
    sums.slow_s = 0.01
    outcomes(Pipeline(sums, "cpu"), media(folder, list(range(FILES)) * 3))
    assert 2 * RATE < most <= 5 * RATE


def test_decoding_and_forward_passes_go_on_beside_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "arms_for", lambda *_, **__: (Arm(2, 0, padded=False),))
    sums = Sums()
    sums.slow_s = 0.02
    outcomes(Pipeline(sums, "cpu"), media(folder, range(FILES)))
    assert sums.most_together == 2


def test_a_slow_source_is_not_waited_for_until_a_batch_is_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = decoding.decode_audio

    def slow(medium: Media, rate: int) -> NDArray[np.float32]:
        time.sleep(0.1)
        return decode(medium, rate)

    monkeypatch.setattr(decoding, "decode_audio", slow)
    monkeypatch.setattr(pipeline, "arms_for", lambda *_, **__: (Arm(1, 60.0, padded=True),))
    sums = Sums()
    outcomes(Pipeline(sums, "cpu"), media(folder, [1] * 16), batch_size=16)
    assert len(sums.batches[0]) < 8


def test_two_runs_of_one_engine_at_once(folder: Path) -> None:
    sums = Sums()
    sums.slow_s = 0.002
    engine = Pipeline(sums, "cpu")
    found: dict[int, list[str]] = {}

    def run(number: int) -> None:
        found[number] = texts(outcomes(engine, media(folder, range(FILES))))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    whole = [expected(folder, name) for name in range(FILES)]
    assert found == {0: whole, 1: whole, 2: whole}


# --- packing --------------------------------------------------------------------------------


def played(costs: Mapping[Arm, float], batches: int, width_s: float = 2.0) -> list[Arm]:
    """Let a packing choose, each arm costing so much a second of audio; return its choices."""
    packing = Packing(tuple(costs))
    chosen = []
    for _ in range(batches):
        arm = packing.choose(width_s, 16, float("inf"))
        rows = arm.rows(width_s, 16, float("inf"))
        took = costs[arm] * rows * width_s * arm.lanes
        packing.note(arm, int(width_s * RATE), [width_s] * rows, took)
        chosen.append(arm)
    return chosen


ALONE = Arm(2, 0, padded=False)
SMALL = Arm(2, 8, padded=True)
LARGE = Arm(2, 32, padded=True)


@pytest.mark.parametrize("best", [ALONE, SMALL, LARGE])
def test_the_fastest_packing_is_found(best: Arm) -> None:
    costs = {ALONE: 0.002, SMALL: 0.002, LARGE: 0.002} | {best: 0.001}
    assert played(costs, 60)[-20:] == [best] * 20


def test_one_unlucky_trial_does_not_decide() -> None:
    packing = Packing((SMALL, LARGE))
    chosen: list[Arm] = []
    for _ in range(200):
        arm = packing.choose(2.0, 16, float("inf"))
        chosen.append(arm)
        rows = arm.rows(2.0, 16, float("inf"))
        # The first time is that of a new shape, and does not count.
        unlucky = arm is LARGE and chosen.count(LARGE) == 2
        cost = 0.0011 if arm is SMALL else 0.0012 if unlucky else 0.001
        packing.note(arm, 2 * RATE, [2.0] * rows, cost * rows * 2.0 * arm.lanes)
    assert chosen[-50:] == [LARGE] * 50


def test_trials_cost_a_slow_model_little() -> None:
    """At most half a second and a twentieth of the work goes to packings that lose."""
    costs = {ALONE: 0.1, SMALL: 0.16, LARGE: 0.2}
    chosen = played(costs, 400)
    assert {SMALL, LARGE} <= set(chosen)
    lost = sum((costs[arm] - 0.1) * 2.0 * arm.rows(2.0, 16, float("inf")) for arm in chosen)
    assert chosen[-1] == ALONE
    assert lost <= 0.5 + 0.05 * 400 * 0.2


def test_lengths_that_are_not_rounded_are_not_remembered() -> None:
    packing = Packing((ALONE, SMALL))
    for samples in range(500, 5000):
        packing.note(ALONE, samples, [samples / RATE], 0.001)
        packing.note(SMALL, SMALL.width(samples, RATE), [samples / RATE], 0.001)
    assert len(packing._shapes) < 60


def test_a_batch_has_a_power_of_two_of_rows_within_all_limits() -> None:
    assert LARGE.rows(2.0, 16, float("inf")) == 16
    assert LARGE.rows(2.1, 16, float("inf")) == 8
    assert LARGE.rows(2.0, 7, float("inf")) == 4
    assert LARGE.rows(2.0, 16, 5.0) == 2
    assert LARGE.rows(100.0, 16, 5.0) == 1
    assert ALONE.rows(0.1, 16, float("inf")) == 1


def test_padded_lengths_repeat_and_waste_little() -> None:
    widths = {LARGE.width(samples, RATE) for samples in range(300, 30_000, 7)}
    assert len(widths) < 60
    assert all(n <= LARGE.width(n, RATE) <= 1.1 * n + 1 for n in range(300, 30_000, 7))
    assert ALONE.width(12_345, RATE) == 12_345
