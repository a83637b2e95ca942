"""Augmentation keeps what labels depend on, and repeats itself for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanosql_dbapi.models.training import augmentation

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> augmentation.Waveform:
    times = np.arange(int(RATE * seconds)) / RATE
    return np.sin(2 * np.pi * hertz * times).astype(np.float32)


def level(waveform: augmentation.Waveform) -> float:
    return float(np.sqrt(np.mean(waveform**2)))


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 20000),
    speed=st.floats(augmentation.SLOWEST, augmentation.FASTEST),
    seed=st.integers(0, 2**32 - 1),
)
def test_only_speed_changes_the_length(length: int, speed: float, seed: int) -> None:
    waveform = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    altered = augmentation.augment(waveform, np.random.default_rng(seed), speed=speed)
    assert altered.dtype == np.float32
    assert altered.shape == (max(1, round(length / speed)),)
    assert np.isfinite(altered).all()


def test_a_seed_gives_the_same_waveform_and_the_input_stays() -> None:
    waveform = tone(300.0)
    before = waveform.copy()
    first, second, other = (
        augmentation.augment(waveform, np.random.default_rng(seed), speed=1.1) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert np.array_equal(waveform, before)


def test_silence_and_nothing_survive() -> None:
    for length in (0, 1, 8000):
        for seed in range(20):
            altered = augmentation.augment(
                np.zeros(length, dtype=np.float32), np.random.default_rng(seed)
            )
            assert len(altered) == length
            assert np.isfinite(altered).all()


@pytest.mark.parametrize(("speed", "hertz"), [(1.25, 500.0), (0.8, 320.0), (1.0, 400.0)])
def test_speed_moves_the_pitch(speed: float, hertz: float) -> None:
    altered = augmentation.change_speed(tone(400.0), speed)
    spectrum = np.abs(np.fft.rfft(altered))
    assert np.argmax(spectrum) * RATE / len(altered) == pytest.approx(hertz, abs=2.0)


def test_speeds_stay_in_their_range_and_some_are_one() -> None:
    speeds = augmentation.draw_speeds(1000, np.random.default_rng(0))
    assert speeds.min() >= augmentation.SLOWEST
    assert speeds.max() <= augmentation.FASTEST
    assert 100 < np.count_nonzero(speeds == 1.0) < 300


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_ratio_asked_for(snr: float) -> None:
    waveform = tone(400.0)
    for seed in range(4):
        noisy = augmentation.add_noise(waveform, np.random.default_rng(seed), snr=snr)
        measured = 20 * np.log10(level(waveform) / level(noisy - waveform))
        assert measured == pytest.approx(snr, abs=0.1)


def test_gain_is_in_decibels() -> None:
    waveform = tone(400.0)
    louder = augmentation.change_gain(waveform, decibels=20.0)
    assert level(louder) == pytest.approx(10 * level(waveform), rel=1e-4)


def test_a_flat_response_changes_nothing() -> None:
    waveform = tone(400.0, seconds=0.7)
    flat = np.ones(16385, dtype=np.complex128)
    assert np.allclose(augmentation.filter_spectrum(waveform, flat), waveform, atol=1e-5)


def test_time_masks_silence_little_of_it() -> None:
    waveform = np.ones(5 * RATE, dtype=np.float32)
    masked = augmentation.mask_time(waveform, np.random.default_rng(0), RATE)
    assert 0 < np.count_nonzero(masked == 0.0) < RATE
    assert set(np.unique(masked)) == {0.0, 1.0}
