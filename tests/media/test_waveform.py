"""Envelopes and spectrograms, block by block, and what they look like."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thanosql_dbapi.exceptions import MediaError
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.media.spectrogram import Spectrogram
from thanosql_dbapi.media.waveform import BLOCKS, Envelope, narrower, read_envelope


@given(
    st.integers(1, 400), st.integers(1, 60), st.lists(st.integers(1, 90), max_size=8), st.integers()
)
def test_an_envelope_is_the_same_however_it_is_cut(
    frames: int, width: int, cuts: list[int], seed: int
) -> None:
    samples = np.random.default_rng(abs(seed)).uniform(-1, 1, frames).astype(np.float32)
    envelope = Envelope(frames, width)
    for block in np.split(samples, np.minimum(np.cumsum(cuts), frames).astype(int)):
        if len(block):
            envelope.add(block)
    parts = min(width, frames)
    places = np.arange(frames) * parts // frames
    lows = np.array([samples[places == part].min() for part in range(parts)])
    highs = np.array([samples[places == part].max() for part in range(parts)])
    spread = np.arange(width) * parts // width
    assert np.array_equal(envelope.lows(), lows[spread])
    assert np.array_equal(envelope.highs(), highs[spread])
    assert len(envelope.blocks()) == width
    squares = [np.square(samples[places == part], dtype=np.float64).mean() for part in range(parts)]
    assert np.allclose(envelope.loudness(), np.sqrt(squares)[spread], rtol=1e-5)


def test_the_loudest_part_is_the_highest_block_and_silence_the_lowest() -> None:
    envelope = Envelope(400, 4)
    envelope.add(np.repeat(np.float32([0, 0.25, -0.5, 0.125]), 100))
    assert envelope.blocks() == f"{BLOCKS[0]}{BLOCKS[4]}{BLOCKS[7]}{BLOCKS[2]}"
    silent = Envelope(100, 5)
    silent.add(np.zeros(100, np.float32))
    assert silent.blocks() == BLOCKS[0] * 5


def test_more_samples_than_the_header_says_belong_to_the_last_part() -> None:
    envelope = Envelope(10, 5)
    envelope.add(np.zeros(10, np.float32))
    envelope.add(np.ones(3, np.float32))
    assert list(envelope.highs()) == [0, 0, 0, 0, 1]


def test_a_narrower_drawing_keeps_the_peaks() -> None:
    assert narrower("▁▂█▁▃▃▁▁", 4) == "▂█▃▁"
    assert narrower("▁▂", 24) == "▁▂"


def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    rate = 8000
    minute = (0.4 * np.sin(np.arange(60 * rate) / 5)).astype(np.float32)
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", rate, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    media = media_of("hour.wav", tmp_path)
    read_envelope(media, 100)  # what is imported late
    tracemalloc.start()
    assert len(read_envelope(media, 100).blocks()) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # As float32 the hour has 115 MB.
    assert peak < 4_000_000


def test_a_broken_file_has_no_envelope(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(MediaError, match="not audio"):
        read_envelope(media_of("broken.wav", tmp_path), 10)


def image_of(samples: np.ndarray, rate: int, cut: int = 10_000) -> Image.Image:
    spectrogram = Spectrogram(len(samples), rate, 100, 60)
    for start in range(0, len(samples), cut):
        spectrogram.add(samples[start : start + cut])
    return Image.open(io.BytesIO(spectrogram.png()))


def light(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_a_higher_tone_lies_higher() -> None:
    rate = 16_000
    times = np.arange(rate) / rate
    tones = [np.sin(2 * np.pi * pitch * times).astype(np.float32) for pitch in (200, 1000, 5000)]
    pictures = [light(image_of(tone, rate)) for tone in tones]
    rows = [int(picture.mean(axis=1).argmax()) for picture in pictures]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > 45 > rows[1] > 20 > rows[2]


def test_time_runs_to_the_right_and_silence_is_dark() -> None:
    samples = np.zeros(32_000, np.float32)
    samples[16_000:] = np.sin(np.arange(16_000) / 4)
    picture = light(image_of(samples, 16_000))
    assert picture.shape == (60, 100)
    assert picture[:, :45].max() == 0
    assert picture[:, 55:].max() == 255


@pytest.mark.parametrize("cut", [1, 7, 333, 5000])
def test_a_spectrogram_is_the_same_however_it_is_cut(cut: int) -> None:
    samples = np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    whole, parts = light(image_of(samples, 8000)), light(image_of(samples, 8000, cut))
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize(("frames", "rate"), [(9, 8000), (50, 44_100), (2000, 1000), (90, 192_000)])
def test_short_recordings_and_odd_rates_have_a_picture(frames: int, rate: int) -> None:
    picture = light(image_of(np.ones(frames, np.float32), rate))
    assert picture.shape[0] == 60
    assert picture.max() == 255


def test_colours_grow_lighter_all_the_way() -> None:
    palette = image_of(np.ones(9000, np.float32), 8000).getpalette()
    assert palette is not None
    colours = np.array(palette).reshape(-1, 3)
    assert (np.diff(colours @ [0.2126, 0.7152, 0.0722]) > -0.5).all()


def test_samples_beyond_any_loudness_have_a_picture() -> None:
    spectrogram = Spectrogram(8000, 8000, 40, 16)
    spectrogram.add(np.full(8000, 3e38, np.float32))
    assert Image.open(io.BytesIO(spectrogram.png())).size[1] == 16
