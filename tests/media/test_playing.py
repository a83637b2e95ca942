"""What browsers are given to play: the file as it is, transcoded, or its beginning."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speech_fixtures import write_tones

from thanosql_dbapi.media import describing
from thanosql_dbapi.media.audio import probe_audio
from thanosql_dbapi.media.playing import Playable, playable_audio
from thanosql_dbapi.media.sources import media_of


def playable(path: Path, limit: int = 5_000_000, excerpt_s: float = 1.0) -> Playable | None:
    media = media_of(path.name, path.parent)
    return playable_audio(media, probe_audio(media), limit, excerpt_s)


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("a.wav", "audio/wav"),
        ("a.flac", "audio/flac"),
        ("a.mp3", "audio/mpeg"),
        ("a.ogg", "audio/ogg"),
    ],
)
def test_what_browsers_play_is_passed_on_byte_for_byte(
    tmp_path: Path, name: str, mime_type: str
) -> None:
    write_tones(tmp_path / name, 1.0)
    content = (tmp_path / name).read_bytes()
    assert playable(tmp_path / name) == Playable(
        content, mime_type, transcoded=False, excerpt_s=None
    )


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels"),
    [
        ("a.wav", "ALAW", 8000, 1),
        ("a.wav", "ULAW", 8000, 2),
        ("a.wav", "PCM_24", 44_100, 2),
        ("a.wav", "DOUBLE", 16_000, 1),
        ("a.aiff", "PCM_16", 16_000, 2),
    ],
)
def test_what_they_do_not_becomes_flac_that_sounds_the_same(
    tmp_path: Path, name: str, subtype: str, rate: int, channels: int
) -> None:
    samples = 0.5 * np.sin(np.arange(rate)[:, None] / [9, 13][:channels])
    soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
    found = playable(tmp_path / name)
    assert found is not None
    assert (found.mime_type, found.transcoded, found.excerpt_s) == ("audio/flac", True, None)
    heard, heard_rate = soundfile.read(io.BytesIO(found.content), always_2d=True)
    assert soundfile.info(io.BytesIO(found.content)).subtype == "PCM_16"
    assert (heard_rate, heard.shape) == (rate, samples.shape)
    assert np.abs(heard - samples).max() < 0.02


def test_samples_above_one_are_clipped_and_do_not_wrap(tmp_path: Path) -> None:
    samples = np.linspace(-3, 3, 8000)
    soundfile.write(tmp_path / "loud.wav", samples, 8000, subtype="DOUBLE")
    found = playable(tmp_path / "loud.wav")
    assert found is not None
    heard, _ = soundfile.read(io.BytesIO(found.content))
    assert np.abs(heard - samples.clip(-1, 1)).max() < 1e-3


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(2000, 1, "PCM_16"), (16_000, 6, "FLOAT")]
)
def test_rates_and_channels_that_browsers_lack_become_ordinary(
    tmp_path: Path, rate: int, channels: int, subtype: str
) -> None:
    samples = 0.5 * np.sin(np.arange(rate)[:, None] / np.full(channels, 9))
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype=subtype)
    found = playable(tmp_path / "a.wav")
    assert found is not None
    about = soundfile.info(io.BytesIO(found.content))
    assert (about.samplerate, about.channels) == (48_000, 1)
    assert about.duration == pytest.approx(1.0, abs=0.01)


def test_of_a_long_recording_the_beginning_is_played(tmp_path: Path) -> None:
    write_tones(tmp_path / "a.wav", 20.0)
    found = playable(tmp_path / "a.wav", limit=100_000)
    assert found is not None
    assert found.excerpt_s == 1.0
    heard, rate = soundfile.read(io.BytesIO(found.content))
    whole, _ = soundfile.read(tmp_path / "a.wav")
    assert len(heard) == rate
    assert np.array_equal(heard, whole[:rate])
    assert playable(tmp_path / "a.wav", limit=1000) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (describing.length(2.140875), "2.14 s"),
        (describing.length(59.999), "1:00"),
        (describing.length(185), "3:05"),
        (describing.length(3723.4), "1:02:03"),
        (describing.length(None), ""),
        (describing.rate(44_100), "44.1 kHz"),
        (describing.channels(2), "stereo"),
        (describing.channels(6), "6 channels"),
        (describing.amount(999), "999 B"),
        (describing.amount(34_373), "34 kB"),
        (describing.amount(999_600), "1.0 MB"),
        (describing.amount(115_200_044), "115 MB"),
        (describing.coding("MP3", "MPEG_LAYER_III"), "MP3"),
        (describing.coding("WAV", "ALAW"), "WAV A-law"),
    ],
)
def test_facts_are_told_as_people_do(said: str, expected: str) -> None:
    assert said == expected
