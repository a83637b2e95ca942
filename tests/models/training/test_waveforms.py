"""The waveforms of a training in one file."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speech_fixtures import write_tones

from thanosql_dbapi import MediaError, OperationalError
from thanosql_dbapi.exceptions import MediaReason
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import Media, media_of
from thanosql_dbapi.models.training import filling
from thanosql_dbapi.models.training.recordings import INDEX, SAMPLES
from thanosql_dbapi.models.training.waveforms import WaveformStore, content_tokens
from thanosql_dbapi.progress import Progress, ProgressEvent


def go_on() -> None:
    """Nothing was stopped."""


def tones(folder: Path, count: int, seconds: float = 0.3) -> list[Media]:
    """Make files, each of another content and length; return fresh media."""
    for number in range(count):
        path = folder / f"{number}.wav"
        if not path.exists():
            write_tones(path, seconds + 0.01 * number, seed=number)
    return [media_of(f"{number}.wav", folder) for number in range(count)]


def fill(folder: Path, media: list[Media], rate: int = 16000) -> WaveformStore:
    return WaveformStore.fill(folder, media, rate, go_on)


class Decoding:
    """Counts the files that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def decode(media: Media, rate: int) -> np.ndarray:
            self.count += 1
            return decode_audio(media, rate)

        monkeypatch.setattr(filling, "decode_audio", decode)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Decoding:
    return Decoding(monkeypatch)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from([1, 2]),
            st.sampled_from([8000, 16000, 22050]),
            st.floats(0.05, 0.7),
        ),
        max_size=12,
    )
)
def test_a_waveform_is_what_the_decoder_gives_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, float]]
) -> None:
    folder = tmp_path_factory.mktemp("audio")
    for number, (seed, channels, rate, seconds) in enumerate(rows):
        write_tones(folder / f"{number}.wav", seconds, rate, seed, channels)
    media = [media_of(f"{number}.wav", folder) for number in range(len(rows))]
    for store in (fill(folder / "s", media), fill(folder / "s", media)):
        assert len(store) == len(rows)
        for waveform, medium in zip(store, media, strict=True):
            assert waveform.dtype == np.float32
            np.testing.assert_array_equal(waveform, decode_audio(medium, 16000))
    assert (folder / "s" / SAMPLES).stat().st_size == 4 * sum(
        len(decode_audio(medium, 16000))
        for medium in {medium.digest(): medium for medium in media}.values()
    )


def test_a_long_file_is_decoded_piece_by_piece_to_the_same(tmp_path: Path) -> None:
    write_tones(tmp_path / "long.flac", 130, 8000)
    media = media_of("long.flac", tmp_path)
    (waveform,) = fill(tmp_path / "s", [media])
    np.testing.assert_array_equal(waveform, decode_audio(media, 16000))


def test_waveforms_cannot_be_written_to(tmp_path: Path) -> None:
    store = fill(tmp_path / "s", tones(tmp_path, 2))
    with pytest.raises(ValueError, match="read-only"):
        store[0][0] = 1
    assert [len(each) for each in store[:]] == [4800, 4960]
    assert len(store[-1]) == 4960
    with pytest.raises(IndexError):
        store[2]


def test_no_rows_make_an_empty_store(tmp_path: Path) -> None:
    assert list(fill(tmp_path / "s", [])) == []


def test_what_was_seen_of_a_file_is_kept(tmp_path: Path) -> None:
    write_tones(tmp_path / "a.flac", 0.5, 8000, channels=2)
    store = fill(tmp_path / "s", [media_of("a.flac", tmp_path)])
    for found in (store.recordings[0], WaveformStore.open(tmp_path / "s").recordings[0]):
        assert (found.sampling_rate, found.channels, found.format) == (8000, 2, "FLAC")
        assert found.encoding == "PCM_16"
        assert found.peak == pytest.approx(float(np.abs(store[0]).max()), abs=1e-6)
        assert found.digest == media_of("a.flac", tmp_path).digest()
        assert not found.silent
    assert store.seconds(0) == pytest.approx(0.5)


def test_a_store_is_opened_again_without_decoding(tmp_path: Path, decoding: Decoding) -> None:
    first = fill(tmp_path / "s", tones(tmp_path, 5))
    written = (tmp_path / "s" / INDEX).read_bytes()
    again = fill(tmp_path / "s", tones(tmp_path, 5))
    assert decoding.count == 5
    assert again.digest == first.digest
    assert again.recordings == first.recordings
    assert (tmp_path / "s" / INDEX).read_bytes() == written


def test_the_same_content_is_decoded_and_kept_once(tmp_path: Path, decoding: Decoding) -> None:
    one, other = tones(tmp_path, 2)
    copied = (tmp_path / "0.wav").read_bytes()
    store = fill(tmp_path / "s", [one, other, media_of(copied, tmp_path), one])
    assert decoding.count == 2
    assert [len(each) for each in store] == [4800, 4960, 4800, 4800]
    assert store.digests[0] == store.digests[2] != store.digests[1]


def test_only_what_is_new_is_decoded(tmp_path: Path, decoding: Decoding) -> None:
    fill(tmp_path / "s", tones(tmp_path, 3))
    write_tones(tmp_path / "1.wav", 0.9, seed=77)
    media = list(reversed(tones(tmp_path, 4)))
    store = fill(tmp_path / "s", media)
    assert decoding.count == 5
    for waveform, medium in zip(store, media, strict=True):
        np.testing.assert_array_equal(waveform, decode_audio(medium, 16000))


def test_at_another_rate_all_is_decoded_anew(tmp_path: Path) -> None:
    fill(tmp_path / "s", tones(tmp_path, 2))
    store = fill(tmp_path / "s", tones(tmp_path, 2), 8000)
    assert [len(each) for each in store] == [2400, 2480]
    assert (tmp_path / "s" / SAMPLES).stat().st_size == 4 * 4880


def test_a_file_that_cannot_be_used_is_a_failure_and_no_exception(tmp_path: Path) -> None:
    media = tones(tmp_path, 2)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio at all, but some text")
    whole = (tmp_path / "0.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    bad = ["missing.wav", "empty.wav", "text.wav", "cut.wav"]
    rows = [media[0], *(media_of(name, tmp_path) for name in bad), media[1]]
    for _ in range(2):
        store = fill(tmp_path / "s", rows)
        assert {row: error.reason for row, error in store.failures.items()} == {
            1: MediaReason.MISSING,
            2: MediaReason.EMPTY,
            3: MediaReason.NOT_AUDIO,
            4: MediaReason.TRUNCATED,
        }
        assert all(isinstance(error, MediaError) for error in store.failures.values())
        assert [len(each) for each in store] == [4800, 0, 0, 0, 0, 4960]
        assert store.digests[1] == ""


def test_a_long_file_that_breaks_in_its_middle_leaves_nothing(tmp_path: Path) -> None:
    frames = np.zeros(8000 * 130, np.float32)
    frames[8000 * 100] = np.nan
    soundfile.write(tmp_path / "nan.wav", frames, 8000, subtype="FLOAT")
    first, last = tones(tmp_path, 2)
    store = fill(tmp_path / "s", [first, media_of("nan.wav", tmp_path), last])
    assert "at 100.000 s is not a finite number" in str(store.failures[1])
    np.testing.assert_array_equal(store[2], decode_audio(last, 16000))
    assert (tmp_path / "s" / SAMPLES).stat().st_size == 4 * (4800 + 4960)


def test_a_missing_file_that_is_there_now_is_decoded(tmp_path: Path) -> None:
    media = [*tones(tmp_path, 1), media_of("late.wav", tmp_path)]
    assert list(fill(tmp_path / "s", media).failures) == [1]
    write_tones(tmp_path / "late.wav", 0.4, seed=9)
    store = fill(tmp_path / "s", media)
    assert not store.failures
    assert len(store[1]) == 6400


def test_a_file_longer_than_wanted_is_not_decoded(tmp_path: Path, decoding: Decoding) -> None:
    store = WaveformStore.fill(tmp_path / "s", tones(tmp_path, 2), 16000, go_on, longest_s=0.305)
    assert store.failures[1].reason is MediaReason.TOO_LONG
    assert decoding.count == 1
    assert not fill(tmp_path / "s", tones(tmp_path, 2)).failures


def test_a_file_that_changes_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(media: Media, rate: int) -> np.ndarray:
        waveform = decode_audio(media, rate)
        write_tones(tmp_path / "0.wav", 0.8, seed=5)
        return waveform

    monkeypatch.setattr(filling, "decode_audio", decode)
    store = fill(tmp_path / "s", tones(tmp_path, 1))
    assert "changed while it was read" in str(store.failures[0])
    monkeypatch.undo()
    assert not fill(tmp_path / "s", tones(tmp_path, 1)).failures


def test_what_a_library_raises_on_a_file_is_that_files_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(media: Media, rate: int) -> np.ndarray:
        if media.name == "1.wav":
            raise RuntimeError("what now")
        return decode_audio(media, rate)

    monkeypatch.setattr(filling, "decode_audio", decode)
    store = fill(tmp_path / "s", tones(tmp_path, 3))
    assert [(row, str(error)) for row, error in store.failures.items()] == [
        (1, "it cannot be decoded: what now")
    ]


def test_an_interrupted_filling_goes_on_where_it_was(tmp_path: Path, decoding: Decoding) -> None:
    done = []

    def stop() -> None:
        if len(done) == 10:
            raise KeyboardInterrupt

    def count(event: ProgressEvent) -> None:
        done.append(event.done)

    media = tones(tmp_path, 40)
    with pytest.raises(KeyboardInterrupt):
        WaveformStore.fill(tmp_path / "s", media, 16000, stop, Progress(count))
    with pytest.raises(OperationalError, match="no complete waveforms"):
        WaveformStore.open(tmp_path / "s")
    time.sleep(0.2)
    decoding.count = 0
    store = fill(tmp_path / "s", media)
    assert decoding.count == 30
    for waveform, medium in zip(store, media, strict=True):
        np.testing.assert_array_equal(waveform, decode_audio(medium, 16000))


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from thanosql_dbapi.media.sources import media_of
    from thanosql_dbapi.models.training import filling
    from thanosql_dbapi.models.training.waveforms import WaveformStore
    from thanosql_dbapi.progress import Progress

    def die(event):
        if event.done == 25:
            os.kill(os.getpid(), signal.SIGKILL)

    filling._SAFE_S = float(sys.argv[2])
    folder = Path(sys.argv[1])
    media = [media_of(f"{number}.wav", folder) for number in range(40)]
    WaveformStore.fill(folder / "s", media, 16000, lambda: None, Progress(die))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("safe_s", "left"), [(0.0, 15), (60.0, 40)])
def test_a_filling_that_was_killed_goes_on_from_what_was_safe(
    tmp_path: Path, decoding: Decoding, safe_s: float, left: int
) -> None:
    media = tones(tmp_path, 40)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(safe_s)]
    assert subprocess.run(command, timeout=60).returncode == -9
    store = fill(tmp_path / "s", media)
    assert decoding.count == left
    for waveform, medium in zip(store, media, strict=True):
        np.testing.assert_array_equal(waveform, decode_audio(medium, 16000))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1), of_samples=st.floats(0, 1), filler=st.sampled_from([b"", b"\0" * 99]))
def test_whatever_a_power_cut_leaves_the_waveforms_are_right(
    tmp_path: Path, kept: float, of_samples: float, filler: bytes
) -> None:
    media = tones(tmp_path, 6)
    expected = fill(tmp_path / "s", media).digest
    for name, part in ((INDEX, kept), (SAMPLES, of_samples)):
        path = tmp_path / "s" / name
        content = path.read_bytes()
        path.write_bytes(content[: int(part * len(content))] + filler * (name == INDEX))
    store = fill(tmp_path / "s", media)
    assert store.digest == expected
    for waveform, medium in zip(store, media, strict=True):
        np.testing.assert_array_equal(waveform, decode_audio(medium, 16000))


def test_a_full_disk_is_told_with_how_much_room_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def write(file: io.FileIO, data: memoryview) -> None:
        nonlocal written
        if file.name.endswith(SAMPLES):
            if written == 5:
                raise OSError(errno.ENOSPC, "No space left on device")
            written += 1
        file.write(data)

    monkeypatch.setattr(filling, "_write_all", write)
    media = tones(tmp_path, 10, seconds=2.0)
    with pytest.raises(OperationalError, match=r"10 files need about 1\.\d MB, and \d") as raised:
        fill(tmp_path / "s", media)
    assert str(tmp_path / "s") in str(raised.value)
    assert (tmp_path / "s" / SAMPLES).stat().st_size == 0  # nothing is left on the full disk
    monkeypatch.undo()
    assert not fill(tmp_path / "s", media).failures


def test_a_file_that_may_grow_no_more_is_told(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    tones(tmp_path, 3, seconds=2.0)
    script = """
        import resource, signal, sys
        from pathlib import Path
        from thanosql_dbapi.media.sources import media_of
        from thanosql_dbapi.models.training.waveforms import WaveformStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        folder = Path(sys.argv[1])
        media = [media_of(f"{number}.wav", folder) for number in range(3)]
        WaveformStore.fill(folder / "s", media, 16000, lambda: None)
    """
    assert resource.RLIMIT_FSIZE is not None
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "OperationalError: there is no room for the waveforms" in ended.stderr


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to root"
)
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    media = tones(tmp_path, 1)
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(OperationalError, match="cannot be written to"):
        fill(tmp_path / "closed" / "s", media)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(OperationalError, match="the waveforms cannot be written to"):
        fill(tmp_path / "s", tones(tmp_path, 1))


def test_memory_stays_bounded_while_a_long_recording_is_decoded(tmp_path: Path) -> None:
    """An hour is 230 MB of samples: filling may take a small part of that."""
    psutil = pytest.importorskip("psutil")
    assert psutil is not None
    script = """
        import sys
        from pathlib import Path
        import numpy as np, psutil, soundfile, soxr
        from thanosql_dbapi.media.sources import media_of
        from thanosql_dbapi.models.training.waveforms import WaveformStore
        folder = Path(sys.argv[1])
        with soundfile.SoundFile(folder / "hour.wav", "w", 8000, 1) as file:
            for minute in range(60):
                file.write(np.full(60 * 8000, minute / 100, np.float32))
        peak = 0
        process = psutil.Process()
        def look():
            global peak
            # Without what is mapped from files.
            facts = process.memory_info()
            peak = max(peak, facts.rss - facts.shared)
        look()
        before = peak
        import threading
        ended = threading.Event()
        def watch():
            while not ended.wait(0.005):
                look()
        thread = threading.Thread(target=watch)
        thread.start()
        store = WaveformStore.fill(folder / "s", [media_of("hour.wav", folder)], 16000, look)
        ended.set()
        thread.join()
        print(len(store[0]), peak - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not ended.stderr
    samples, grown = map(int, ended.stdout.split())
    assert samples == 3600 * 16000
    assert grown < 100e6


def test_tokens_go_by_content(tmp_path: Path) -> None:
    media = tones(tmp_path, 2)
    same = media_of((tmp_path / "0.wav").read_bytes(), tmp_path)
    tokens = content_tokens([*media, same, media_of("missing.wav", tmp_path)], go_on)
    assert tokens[0] == tokens[2] == media[0].digest()
    assert tokens[1] == media[1].digest()
    assert tokens[3] == ""


def test_nothing_of_a_model_is_loaded(tmp_path: Path) -> None:
    script = """
        import sys
        import thanosql_dbapi.models.training.waveforms
        import thanosql_dbapi.models.training.preflight
        import thanosql_dbapi.models.training.split
        print(sorted({"torch", "transformers", "soundfile", "soxr"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n", ended.stderr


def test_the_progress_is_told(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    WaveformStore.fill(tmp_path / "s", tones(tmp_path, 3), 16000, go_on, Progress(events.append))
    assert [(event.activity, event.done, event.total) for event in events] == [
        ("decode", 1, 3),
        ("decode", 2, 3),
        ("decode", 3, 3),
    ]
    assert events[-1].facts["audio_seconds"] == pytest.approx(0.93)


def test_that_no_audio_can_be_read_at_all_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thanosql_dbapi.exceptions import MissingExtra

    def probe(media: Media) -> NoReturn:
        raise MissingExtra("audio needs the package soundfile")

    monkeypatch.setattr(filling, "probe_audio", probe)
    with pytest.raises(MissingExtra):
        fill(tmp_path / "s", tones(tmp_path, 1))
