"""Audio files: made here, read by the driver, whole and broken."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thanosql_dbapi.exceptions import MediaError, MediaReason
from thanosql_dbapi.media import mpeg
from thanosql_dbapi.media.audio import (
    decode_audio,
    probe_audio,
    stream_audio,
)
from thanosql_dbapi.media.sources import Media, media_of

RATE = 16000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> NDArray[np.float32]:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def encode(frames: NDArray[np.float32], rate: int, kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    if kind == "OPUS":
        kind, more = "OGG", {"subtype": "OPUS"}
    soundfile.write(buffer, frames, rate, format=kind, **more)
    return buffer.getvalue()


def medium(content: bytes, folder: Path, name: str) -> Media:
    (folder / name).write_bytes(content)
    return media_of(name, folder)


def reason_of(media: Media) -> MediaReason:
    with pytest.raises(MediaError) as caught:
        decode_audio(media, RATE)
    return caught.value.reason


# --- what comes out -------------------------------------------------------------------------


def test_channels_are_averaged_and_never_time(tmp_path: Path) -> None:
    left, right, centre = tone(1.0), tone(1.0, hertz=1000), tone(1.0, hertz=2500)
    content = encode(np.stack([left, right, centre], axis=1), RATE, "WAV", subtype="FLOAT")
    waveform = decode_audio(medium(content, tmp_path, "three.wav"), RATE)
    assert waveform.shape == (RATE,)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, (left + right + centre) / 3, atol=1e-7)


def test_a_channel_and_its_opposite_cancel(tmp_path: Path) -> None:
    content = encode(np.stack([tone(1.0), -tone(1.0)], axis=1), RATE, "WAV", subtype="FLOAT")
    assert not decode_audio(medium(content, tmp_path, "x.wav"), RATE).any()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG", "OPUS", "AIFF"])
def test_a_tone_keeps_its_pitch_and_length_at_another_rate(kind: str, tmp_path: Path) -> None:
    content = encode(tone(2.0, 48000, 1000.0), 48000, kind)
    for media in (medium(content, tmp_path, f"x.{kind.lower()}"), media_of(content, tmp_path)):
        waveform = decode_audio(media, RATE)
        assert abs(len(waveform) - 2 * RATE) <= 1
        spectrum = np.abs(np.fft.rfft(waveform))
        assert spectrum.argmax() * RATE / len(waveform) == pytest.approx(1000, abs=1)


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 0.01), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("DOUBLE", 1e-6)],
)
def test_any_number_of_bits_becomes_the_same_float32(
    subtype: str, tolerance: float, tmp_path: Path
) -> None:
    content = encode(tone(0.5), RATE, "WAV", subtype=subtype)
    waveform = decode_audio(medium(content, tmp_path, "x.wav"), RATE)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, tone(0.5), atol=tolerance)


def test_a_header_tells_the_facts(tmp_path: Path) -> None:
    content = encode(np.zeros((22050, 2), np.float32), 44100, "FLAC")
    facts = probe_audio(medium(content, tmp_path, "x.flac"))
    assert (facts.format, facts.sampling_rate, facts.channels) == ("FLAC", 44100, 2)
    assert (facts.frames, facts.duration_s, facts.size_bytes) == (22050, 0.5, len(content))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(["WAV", "FLAC", "OGG", "AIFF", "MP3"]),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    wanted=st.sampled_from([8000, 16000, 22050]),
    channels=st.integers(1, 2),
    length=st.integers(10, 60000),
    block_s=st.floats(0.05, 2.0),
    from_path=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_streamed_is_decoded_is_the_mean_resampled(
    kind: str,
    rate: int,
    wanted: int,
    channels: int,
    length: int,
    block_s: float,
    from_path: bool,
    seed: int,
    tmp_path: Path,
) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.1, (length, channels)).astype(np.float32)
    content = encode(noise, rate, kind)
    name = f"x.{kind.lower()}"
    media = medium(content, tmp_path, name) if from_path else media_of(content, tmp_path)
    whole = decode_audio(media, wanted)
    blocks = list(stream_audio(media, wanted, block_s))
    streamed = np.concatenate(blocks)
    np.testing.assert_allclose(streamed, whole, atol=1e-6)
    reference, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    np.testing.assert_allclose(
        whole, soxr.resample(reference.mean(axis=1), rate, wanted), atol=1e-5
    )
    assert len(reference) == length
    assert abs(len(whole) - length * wanted / rate) <= 1
    # A resampler holds some back, and gives it with a later block.
    assert max(map(len, blocks)) <= (block_s + 0.2) * wanted + 1


def test_a_stream_of_an_hour_stays_small_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as sound:
        for _ in range(60):
            sound.write(tone(60.0, 8000))
    tracemalloc.start()
    total = sum(len(block) for block in stream_audio(media_of(str(path), tmp_path), RATE, 10.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 3600 * RATE
    assert peak < 8 * 2**20  # the whole is 230 MB


# --- what is no audio -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.raw", "x"])
@pytest.mark.parametrize(
    "content",
    [
        b"a text, and not a short one\n" * 200,
        np.random.default_rng(7).bytes(30000),
        b"\x89PNG\r\n\x1a\n" + np.random.default_rng(8).bytes(5000),
        b"RIFF\x24\x10\x00\x00WEBPVP8 " + np.random.default_rng(9).bytes(5000),
        bytes(20000),
    ],
    ids=["text", "random", "png", "webp", "zeros"],
)
def test_what_is_no_audio_says_so(
    content: bytes, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reason_of(medium(content, tmp_path, name)) is MediaReason.NOT_AUDIO
    assert reason_of(media_of(content, tmp_path)) is MediaReason.NOT_AUDIO
    assert capfd.readouterr().err == ""  # libmpg123 would write there


def test_nothing_is_empty(tmp_path: Path) -> None:
    assert reason_of(medium(b"", tmp_path, "x.wav")) is MediaReason.EMPTY
    assert reason_of(media_of(b"", tmp_path)) is MediaReason.EMPTY
    for kind in ("WAV", "FLAC", "AIFF"):
        content = encode(np.zeros(0, np.float32), RATE, kind)
        assert reason_of(medium(content, tmp_path, f"x.{kind.lower()}")) is MediaReason.EMPTY


def test_less_than_a_sample_at_the_wanted_rate_is_empty(tmp_path: Path) -> None:
    content = encode(tone(1.0, 48000)[:1], 48000, "WAV")
    assert reason_of(media_of(content, tmp_path)) is MediaReason.EMPTY


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    for name in ("none.wav", "folder.wav", "nul\0.wav", "n" * 300 + ".wav", "none/x.wav"):
        assert reason_of(media_of(name, tmp_path)) is MediaReason.MISSING


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_fails(number: float, tmp_path: Path) -> None:
    frames = tone(1.0)
    frames[8000] = number
    media = medium(encode(frames, RATE, "WAV", subtype="FLOAT"), tmp_path, "x.wav")
    with pytest.raises(MediaError, match=r"0\.500 s is not a finite number") as caught:
        decode_audio(media, RATE)
    assert caught.value.reason is MediaReason.DECODING_FAILED


@pytest.mark.parametrize("field", [slice(22, 24), slice(24, 28)], ids=["channels", "rate"])
def test_a_header_with_a_zero_fails(field: slice, tmp_path: Path) -> None:
    content = bytearray(encode(tone(1.0), RATE, "WAV"))
    content[field] = bytes(field.stop - field.start)
    assert reason_of(medium(content, tmp_path, "x.wav")) is MediaReason.DECODING_FAILED


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_damage_in_the_middle_fails(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE * 8).astype(np.float32)
    content = bytearray(encode(noise, RATE, kind))
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(2).bytes(3000)
    media = medium(content, tmp_path, f"x.{kind.lower()}")
    assert reason_of(media) is MediaReason.DECODING_FAILED


# --- what breaks off ------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["WAV", "RF64", "FLAC", "OGG", "OPUS", "AIFF", "MP3"])
def test_what_breaks_off_is_truncated(kind: str, part: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, (RATE * 20, 2)).astype(np.float32)
    content = encode(noise, RATE, kind)
    content = content[: int(len(content) * part)]
    media = medium(content, tmp_path, f"x.{kind.lower()}")
    assert reason_of(media) is MediaReason.TRUNCATED
    assert reason_of(media_of(content, tmp_path)) is MediaReason.TRUNCATED
    with pytest.raises(MediaError) as caught:
        list(stream_audio(media, RATE, 1.0))
    assert caught.value.reason is MediaReason.TRUNCATED


def test_a_wav_cut_in_its_header_is_truncated(tmp_path: Path) -> None:
    content = encode(tone(1.0), RATE, "WAV")
    for length in (14, 30, 43):
        assert reason_of(media_of(content[:length], tmp_path)) is MediaReason.TRUNCATED


def test_probing_sees_a_truncated_wav(tmp_path: Path) -> None:
    content = encode(tone(1.0), RATE, "WAV")[:-100]
    with pytest.raises(MediaError, match="at least 100 are missing"):
        probe_audio(medium(content, tmp_path, "x.wav"))


@pytest.mark.parametrize(
    ("whole", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg to a pipe
        (0x7FFFF024, 0x7FFFF000),  # sox to a pipe
        (0x80000024, 0x80000000),  # arecord to a pipe
        (0, 0),
        (36, 0),  # Python's wave to a pipe
    ],
)
def test_a_wav_from_a_pipe_is_whole(whole: int, data: int, tmp_path: Path) -> None:
    content = bytearray(encode(tone(1.0), RATE, "WAV", subtype="PCM_16"))
    assert content[36:40] == b"data"
    content[4:8], content[40:44] = struct.pack("<I", whole), struct.pack("<I", data)
    for media in (medium(content, tmp_path, "x.wav"), media_of(bytes(content), tmp_path)):
        assert probe_audio(media).frames == RATE
        np.testing.assert_allclose(decode_audio(media, RATE), tone(1.0), atol=1e-4)


def test_a_wav_with_chunks_behind_its_audio_is_whole(tmp_path: Path) -> None:
    content = bytearray(encode(tone(1.0), RATE, "WAV"))
    content += b"LIST" + struct.pack("<I", 10) + b"INFOISFT\0\0"
    content[4:8] = struct.pack("<I", len(content) - 8)
    assert len(decode_audio(media_of(bytes(content), tmp_path), RATE)) == RATE
    # The same with no audio is empty, and not a wav from a pipe.
    del content[44 : 44 + 2 * RATE]
    content[4:8], content[40:44] = struct.pack("<I", len(content) - 8), bytes(4)
    assert reason_of(media_of(bytes(content), tmp_path)) is MediaReason.EMPTY


def test_a_flac_that_does_not_tell_its_length_is_read_to_the_end(tmp_path: Path) -> None:
    content = bytearray(encode(tone(3.0), RATE, "FLAC"))
    content[21] &= 0xF0  # the low 36 bits of these bytes are the number of samples
    content[22:26] = bytes(4)
    media = medium(content, tmp_path, "x.flac")
    assert probe_audio(media).frames == 3 * RATE
    assert len(decode_audio(media, RATE)) == 3 * RATE


@settings(max_examples=150, deadline=2000)
@given(
    kind=st.sampled_from(["WAV", "RF64", "FLAC", "OGG", "OPUS", "AIFF", "MP3"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    end=st.integers(0, 30000),
)
@example(kind="WAV", changes=[], end=4)
def test_damage_anywhere_is_a_typed_reason_or_none(
    kind: str, changes: list[tuple[int, int]], end: int
) -> None:
    content = bytearray(encode(tone(1.0, 8000), 8000, kind)[:end])
    for at, byte in changes:
        if at < len(content):
            content[at] = byte
    media = media_of(bytes(content), Path())
    with contextlib.suppress(MediaError):
        waveform = decode_audio(media, 8000)
        assert waveform.dtype == np.float32
        assert waveform.ndim == 1
        assert np.isfinite(waveform).all()


def test_a_rate_that_no_recording_has_fails(tmp_path: Path) -> None:
    content = bytearray(encode(tone(1.0), RATE, "WAV"))
    for rate in (1, 2_000_000_000):
        content[24:28] = struct.pack("<I", rate)
        assert reason_of(media_of(bytes(content), tmp_path)) is MediaReason.DECODING_FAILED


def test_a_header_of_a_million_chunks_is_not_walked(tmp_path: Path) -> None:
    content = b"RIFF\xff\xff\xff\x7fWAVE" + bytes(50_000_000)
    start = time.perf_counter()
    assert reason_of(medium(content, tmp_path, "x.wav")) is MediaReason.DECODING_FAILED
    assert time.perf_counter() - start < 5


# --- MP3 without a tag ----------------------------------------------------------------------


def untagged(frames: NDArray[np.float32], rate: int) -> bytes:
    """Encode as MP3 of variable bit rate, and take off the frame that tells the length."""
    content = encode(frames, rate, "MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    second = content.index(content[:2], 4)
    while not mpeg.is_frame(content[second : second + 4]):
        second = content.index(content[:2], second + 1)
    assert b"Xing" in content[:second] or b"Info" in content[:second]
    return content[second:]


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_a_tag_is_read_to_the_end(rate: int, channels: int, tmp_path: Path) -> None:
    seconds = 20
    quiet_then_loud = tone(seconds, rate)
    quiet_then_loud[: seconds * rate // 2] = 0
    quiet_then_loud += np.random.default_rng(4).normal(0, 1e-3, len(quiet_then_loud))
    frames = np.stack([quiet_then_loud] * channels, axis=1)
    content = untagged(frames, rate)
    told = soundfile.info(io.BytesIO(content)).frames
    assert abs(told / rate - seconds) > 1  # libsndfile alone is far off
    for media in (
        medium(content, tmp_path, "x.mp3"),
        media_of(content, tmp_path),
        media_of(b"ID3\x03\0\0\0\0\x10\0" + bytes(2048) + content + b"TAG" + bytes(125), tmp_path),
        media_of(bytes(700) + content, tmp_path),
    ):
        waveform = decode_audio(media, RATE)
        assert len(waveform) / RATE == pytest.approx(seconds, abs=0.2)
        assert probe_audio(media).duration_s == pytest.approx(len(waveform) / RATE, abs=1e-3)
        quiet, loud = waveform[: 9 * RATE], waveform[11 * RATE : 19 * RATE]
        assert np.abs(quiet).max() < 0.02
        assert np.sqrt((loud**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_an_mp3_without_a_tag_that_ends_within_a_frame_is_truncated(tmp_path: Path) -> None:
    content = untagged(tone(5.0), RATE)
    assert reason_of(media_of(content[:-20], tmp_path)) is MediaReason.TRUNCATED


def test_two_mp3s_joined_are_read_to_the_end(tmp_path: Path) -> None:
    content = encode(tone(8.0), RATE, "MP3")
    waveform = decode_audio(media_of(content + content, tmp_path), RATE)
    assert len(waveform) / RATE == pytest.approx(16.0, abs=0.3)
