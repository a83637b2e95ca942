"""FLAC files held in memory: their heads, their samples, and the digest that they carry of those.

The layout is that of RFC 9639, section 8.2 (STREAMINFO). It knows no corpus.
"""

from __future__ import annotations

import hashlib
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..exceptions import MediaError, MediaReason, MissingExtra

#: Bytes from the start of a file to the end of its STREAMINFO.
HEAD_BYTES: Final = 42
#: Samples that a file is decoded to at most: a small file can say that it has billions.
_MOST_SAMPLES: Final = 1 << 24
#: What stands for a digest where the encoder wrote none.
_NO_DIGEST: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class FlacHead:
    """What STREAMINFO says: rate in hertz, `bits` a sample, `frames` in all, MD5 of the samples."""

    sampling_rate: int
    channels: int
    bits: int
    frames: int
    digest: bytes

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return self.frames / self.sampling_rate


@dataclass(frozen=True, slots=True)
class Flac:
    """A decoded file: `samples` are little-endian, in as few bytes each as their bits need.

    `is_verified` tells whether the file carried a digest of them, which they then had.
    """

    head: FlacHead
    samples: bytes
    is_verified: bool


def read_head(data: bytes) -> FlacHead:
    """Read the head of a file, of which `data` are the first bytes or all.

    Raises:
        MediaError: it is no FLAC file.
    """
    if len(data) < HEAD_BYTES or data[:4] != b"fLaC" or data[4] & 0x7F != 0:
        raise MediaError("not a FLAC file", MediaReason.NOT_AUDIO)
    # 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of frames.
    packed = int.from_bytes(data[18:26], "big")
    head = FlacHead(
        sampling_rate=packed >> 44,
        channels=(packed >> 41 & 0x7) + 1,
        bits=(packed >> 36 & 0x1F) + 1,
        frames=packed & ((1 << 36) - 1),
        digest=data[26:42],
    )
    if not head.sampling_rate:
        raise MediaError("its FLAC head says a sampling rate of 0", MediaReason.NOT_AUDIO)
    return head


def decode_flac(data: bytes) -> Flac:
    """Decode a file, and hold its samples against the digest that it carries.

    Raises:
        MediaError: it is no FLAC file, is damaged or too long, or its samples are not those of its
            digest.
    """
    head = read_head(data)
    if not 0 < head.frames * head.channels <= _MOST_SAMPLES:
        raise MediaError(
            f"its FLAC head says {head.frames} samples a channel; files of 1 to"
            f" {_MOST_SAMPLES // head.channels} are decoded"
        )
    soundfile = _soundfile()
    try:
        decoded, _ = soundfile.read(io.BytesIO(data), dtype="int32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise MediaError(f"the FLAC data cannot be decoded ({error})") from error
    samples = _packed(decoded, head.bits)
    has_digest = head.digest != _NO_DIGEST
    if has_digest and hashlib.md5(samples, usedforsecurity=False).digest() != head.digest:
        raise MediaError("the samples are not those that the FLAC file says it has")
    return Flac(head, samples, has_digest)


def write_wav(path: Path, flac: Flac) -> None:
    """Write decoded samples of 16 bits as a WAV file."""
    with path.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(flac.head.channels)
        sound.setsampwidth(2)
        sound.setframerate(flac.head.sampling_rate)
        sound.writeframes(flac.samples)


def _packed(decoded: Any, bits: int) -> bytes:
    """Return samples, which fill 32 bits, as FLAC's digest has them."""
    width = (bits + 7) // 8
    little = (decoded >> (32 - bits)).astype("<i4").reshape(-1, 1).view("u1")
    return bytes(little[:, :width].tobytes())


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingExtra(
            "reading FLAC needs soundfile: pip install 'thanosql-dbapi[speech]'"
        ) from error
    return soundfile
