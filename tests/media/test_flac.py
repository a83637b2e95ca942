"""FLAC files in memory: heads, samples, and the digest that they carry."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from thanosql_dbapi.exceptions import MediaError
from thanosql_dbapi.media.flac import HEAD_BYTES, decode_flac, read_head, write_wav


def flac(subtype: str = "PCM_16", channels: int = 1, rate: int = 16_000) -> bytes:
    generator = np.random.default_rng(1)
    waveform = generator.uniform(-0.9, 0.9, (4_000, channels))
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_S8", 8), ("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_samples_are_held_against_the_digest(subtype: str, bits: int, channels: int) -> None:
    data = flac(subtype, channels, 8_000)
    decoded = decode_flac(data)
    assert decoded.is_verified
    head = decoded.head
    assert (head.bits, head.channels, head.sampling_rate, head.frames) == (
        *(bits, channels, 8_000, 4_000),
    )
    assert head.duration_s == 0.5
    assert len(decoded.samples) == 4_000 * channels * bits // 8
    assert read_head(data[:HEAD_BYTES]) == head
    with pytest.raises(MediaError, match="not those that the FLAC file says"):
        decode_flac(data[:26] + bytes([data[26] ^ 1]) + data[27:])


def test_a_file_without_a_digest_is_decoded_and_said_to_be_unverified() -> None:
    data = flac()
    bare = decode_flac(data[:26] + bytes(16) + data[42:])
    assert not bare.is_verified
    assert bare.samples == decode_flac(data).samples


@pytest.mark.parametrize("data", [b"", b"RIFF" + bytes(60), b"fLaC" + bytes(60)])
def test_what_is_no_flac_is_said_so(data: bytes) -> None:
    with pytest.raises(MediaError, match="FLAC"):
        read_head(data)


@pytest.mark.parametrize("frames", [0, 10**9, (1 << 36) - 1])
def test_a_head_that_says_no_length_or_far_too_much_is_not_believed(frames: int) -> None:
    data = flac()
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames
    with pytest.raises(
        MediaError, match=f"says {frames} samples a channel; files of 1 to 16777216"
    ):
        decode_flac(data[:18] + packed.to_bytes(8, "big") + data[26:])


def test_a_wav_has_the_same_samples(tmp_path: Path) -> None:
    data = flac(channels=2)
    write_wav(tmp_path / "a.wav", decode_flac(data))
    written, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16_000
    assert np.array_equal(written, soundfile.read(io.BytesIO(data), dtype="int16")[0])
