"""Waveform augmentation: the same words as if said by another voice, in another room, on a phone.

Pure numpy on mono float32 waveforms, every draw from the generator that is passed in.  It knows no
model, no labels and no files.

Sources: speed perturbation, Ko et al., "Audio augmentation for speech recognition" (2015);
masking of time and of frequency bands, Park et al., "SpecAugment" (2019), applied here to the
waveform itself, so that it suits a model with any feature encoder.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .settings import KINDS

Waveform: TypeAlias = NDArray[np.float32]

SLOWEST: Final = 0.8
FASTEST: Final = 1.25
# Telephone speech lies between about 300 and 3400 Hz.
_LOW_CUTOFFS: Final = (20.0, 400.0)
_HIGH_CUTOFFS: Final = (2800.0, 4000.0)
_SILENCE: Final = 1e-8


def draw_speeds(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw `count` speed factors, evenly on a logarithmic scale; about a fifth stay 1."""
    speeds = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST), count))
    return np.where(rng.random(count) < 0.2, 1.0, speeds)


def augment(
    waveform: Waveform,
    rng: np.random.Generator,
    *,
    kinds: Collection[str] = KINDS,
    speed: float = 1.0,
    sampling_rate: int = 16000,
) -> Waveform:
    """Return an altered copy.

    `kinds` are those that may be used: 'filter' changes the spectrum (band, tilt, echo), 'noise'
    adds noise and gain, 'mask' silences stretches of time and bands of frequency. 'speed' is drawn
    for all utterances of an epoch together and comes as a factor: it alone changes the length.
    """
    altered = change_speed(waveform, speed)
    if not altered.size:
        return altered
    if {"filter", "mask"} & set(kinds) and rng.random() < 0.8:
        response = draw_response(len(altered), rng, sampling_rate, kinds)
        altered = filter_spectrum(altered, response)
    if "mask" in kinds and rng.random() < 0.6:
        altered = mask_time(altered, rng, sampling_rate)
    if "noise" not in kinds:
        return altered
    if rng.random() < 0.7:
        altered = add_noise(altered, rng, snr=rng.uniform(5.0, 40.0))
    return change_gain(altered, decibels=rng.uniform(-12.0, 6.0))


def change_speed(waveform: Waveform, speed: float) -> Waveform:
    """Play the waveform `speed` times as fast: tempo, pitch and formants move together.

    Linear interpolation, not a proper resampler: twenty times quicker, and what it folds back
    lies below the noise that is added anyway.
    """
    if speed == 1.0 or not waveform.size:
        return waveform.astype(np.float32, copy=True)
    length = max(1, round(len(waveform) / speed))
    positions = np.linspace(0.0, len(waveform) - 1, length)
    return np.interp(positions, np.arange(len(waveform)), waveform).astype(np.float32)


def filter_spectrum(waveform: Waveform, response: NDArray[np.complex128]) -> Waveform:
    """Multiply the spectrum by a response over `len(response)` bins from 0 Hz to half the rate."""
    padded = 2 * (len(response) - 1)
    filtered = np.fft.irfft(np.fft.rfft(waveform, padded) * response, padded)
    return filtered[: len(waveform)].astype(np.float32)


def draw_response(
    samples: int, rng: np.random.Generator, sampling_rate: int, kinds: Collection[str] = KINDS
) -> NDArray[np.complex128]:
    """Draw one response for band limits, tilt, a masked band and an echo: one transform for all."""
    # Room for the echo's tail, then up to a multiple of 2048, a length the transform is quick at.
    padded = -(-(samples + sampling_rate // 5) // 2048) * 2048
    frequencies = np.fft.rfftfreq(padded, 1.0 / sampling_rate).astype(np.float64)
    response = np.ones(len(frequencies), dtype=np.complex128)
    if "filter" in kinds and rng.random() < 0.5:
        response *= _band(frequencies, rng.uniform(*_LOW_CUTOFFS), rng.uniform(*_HIGH_CUTOFFS))
    if "filter" in kinds and rng.random() < 0.6:
        response *= _tilt(frequencies, rng.uniform(-5.0, 5.0))
    if "mask" in kinds and rng.random() < 0.4:
        low = rng.uniform(100.0, 3500.0)
        response *= 1.0 - 0.95 * _band(frequencies, low, low * rng.uniform(1.1, 1.4))
    if "filter" in kinds and rng.random() < 0.3:
        response *= np.fft.rfft(_echo(rng, sampling_rate), padded)
    return response


def _band(frequencies: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return a gain of 1 between two frequencies, falling off as a fourth-order filter does."""
    passed = 1.0 / np.sqrt(1.0 + (frequencies / high) ** 16)
    above = (np.maximum(frequencies, 1.0) / low) ** 8
    return np.asarray(passed * np.sqrt(above / (1.0 + above)))


def _tilt(frequencies: NDArray[np.float64], decibels_per_octave: float) -> NDArray[np.float64]:
    octaves = np.log2(np.maximum(frequencies, 125.0) / 1000.0)
    return np.asarray(10.0 ** (decibels_per_octave * octaves / 20.0))


def _echo(rng: np.random.Generator, sampling_rate: int) -> NDArray[np.float64]:
    """Return a small room's impulse response: the direct sound, then noise that dies away."""
    times = np.arange(sampling_rate // 5) / sampling_rate
    decay = np.exp(-6.9 * times / rng.uniform(0.05, 0.35))
    tail = rng.standard_normal(len(times)) * decay
    tail *= rng.uniform(0.1, 0.7) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.asarray(tail)


def mask_time(waveform: Waveform, rng: np.random.Generator, sampling_rate: int) -> Waveform:
    """Silence short stretches of 20 to 80 ms, about one for each second."""
    masked = waveform.copy()
    for _ in range(rng.poisson(len(waveform) / sampling_rate)):
        start = int(rng.integers(len(waveform)))
        masked[start : start + int(rng.uniform(0.02, 0.08) * sampling_rate)] = 0.0
    return masked


def add_noise(waveform: Waveform, rng: np.random.Generator, *, snr: float) -> Waveform:
    """Add noise at a signal-to-noise ratio in decibels, white or (running mean) low-pitched."""
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    if rng.random() < 0.5:
        noise = np.convolve(noise, np.full(8, 0.35, dtype=np.float32), mode="same")[: len(noise)]
    power = float(np.mean(waveform**2)) / (float(np.mean(noise**2)) + _SILENCE)
    return np.asarray(waveform + noise * np.float32(np.sqrt(power / 10.0 ** (snr / 10.0))))


def change_gain(waveform: Waveform, *, decibels: float) -> Waveform:
    """Make the waveform louder or softer; it is not clipped."""
    return np.asarray(waveform * np.float32(10.0 ** (decibels / 20.0)))
