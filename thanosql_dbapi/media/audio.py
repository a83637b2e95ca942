"""Audio files: what their headers say, and their waveforms.

Decoding is libsndfile's (wav, flac, mp3, ogg: no ffmpeg), resampling soxr's. This module knows
no model and no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import MediaError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The files that COPY takes from a folder. libsndfile reads more; these are what people record.
SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif"})


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What the header of an audio file says: rate in hertz, duration in seconds."""

    format: str
    encoding: str
    sampling_rate: int
    channels: int
    frames: int
    duration_s: float
    size_bytes: int


def probe_audio(path: Path) -> AudioFacts:
    """Read an audio file's header.

    Raises:
        MediaError: the file is missing or no audio file.
    """
    soundfile = _soundfile()
    _require_file(path)
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from error
    return AudioFacts(
        format=info.format,
        encoding=info.subtype,
        sampling_rate=info.samplerate,
        channels=info.channels,
        frames=info.frames,
        duration_s=info.frames / info.samplerate,
        size_bytes=path.stat().st_size,
    )


def decode_audio(path: Path, sampling_rate: int) -> NDArray[np.float32]:
    """Return a file's waveform: shape (samples,), at `sampling_rate` hertz, channels averaged.

    Raises:
        MediaError: the file is missing, is no audio file, or holds no sample.
    """
    soundfile = _soundfile()
    _require_file(path)
    try:
        frames, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from error
    if not len(frames):
        raise MediaError("the file holds no audio: it has 0 samples")
    # soundfile gives frames x channels.
    return resample(frames.mean(axis=1), rate, sampling_rate)


def resample(waveform: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Return the waveform, of shape (samples,), at `wanted` hertz instead of `rate`."""
    if rate == wanted:
        return waveform
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(waveform, rate, wanted)
    return resampled


def _require_file(path: Path) -> None:
    if not path.exists():
        raise MediaError("no such file")
    if not path.is_file():
        raise MediaError("not a file")


def _not_audio(path: Path, error: Exception) -> MediaError:
    if path.stat().st_size == 0:
        return MediaError("the file is empty")
    return MediaError(f"not an audio file that can be read ({error})")


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingExtra(
            "audio needs the package soundfile: pip install 'thanosql-dbapi[speech]'"
        ) from error
    return soundfile
