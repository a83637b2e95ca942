"""Audio: what headers say, and waveforms.

Decoding is libsndfile's (wav, flac, mp3, ogg: no ffmpeg), resampling soxr's. This module knows
no model and no SQL.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..exceptions import MediaError, MediaReason, MissingExtra
from . import mpeg
from .containers import Spliced, SplicedFile, is_known, missing_bytes, unfinished

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .sources import Media

#: The files that COPY takes from a folder. libsndfile reads more; these are what people record.
SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif"})

#: How much of a file is looked at before it is opened, in bytes: most wav headers are shorter.
_HEAD: Final = 4096

#: How much is decoded at once, in seconds: nearly every utterance is shorter.
_BLOCK_S: Final = 60.0

#: How many samples of all channels are decoded at once at most, whatever a header says.
_BLOCK_SAMPLES: Final = 1 << 24

#: The rates that recordings have, in hertz: others are damage, and resampling would fill memory.
_RATES: Final = range(1000, 1_536_001)

#: From so many frames on libsndfile means that it does not know how many there are.
_UNKNOWN: Final = 1 << 62


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


def probe_audio(media: Media) -> AudioFacts:
    """Read the header of an audio file.

    Raises:
        MediaError: the file is missing, empty, no audio, or shorter than its header says.
    """
    with _opened(media) as (sound, size):
        frames = sound.frames if sound.frames < _UNKNOWN else _count(sound)
        return AudioFacts(
            format=sound.format,
            encoding=sound.subtype,
            sampling_rate=sound.samplerate,
            channels=sound.channels,
            frames=frames,
            duration_s=frames / sound.samplerate,
            size_bytes=size,
        )


def decode_audio(media: Media, sampling_rate: int) -> NDArray[np.float32]:
    """Return a waveform: float32 of shape (samples,), at `sampling_rate` Hz, channels averaged.

    Raises:
        MediaError: the file is missing, empty, no audio, truncated, or its decoding fails.
    """
    import numpy as np

    blocks = list(stream_audio(media, sampling_rate, _BLOCK_S))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def stream_audio(media: Media, sampling_rate: int, block_s: float) -> Iterator[NDArray[np.float32]]:
    """Yield what `decode_audio` returns, in blocks of about `block_s` seconds each.

    Raises:
        MediaError: as `decode_audio`; what breaks off does so after the blocks before it.
    """
    with _opened(media) as (sound, _):
        blocks = _mono(sound, max(1, round(block_s * sound.samplerate)))
        done = 0
        for block in _resampled(_checked(blocks, sound), sound.samplerate, sampling_rate):
            done += len(block)
            yield block
        if done == 0:
            raise MediaError("the file holds no audio: it has 0 samples", MediaReason.EMPTY)


def stream_channels(media: Media, block_s: float) -> Iterator[NDArray[np.float32]]:
    """Yield a file's samples as they are, in blocks: float32 of shape (frames, channels).

    A file that breaks off ends early.

    Raises:
        MediaError: the file is missing, empty or no audio, or its decoding fails.
    """
    with _opened(media) as (sound, _):
        size = max(1, min(round(block_s * sound.samplerate), _BLOCK_SAMPLES // sound.channels))
        while len(frames := _read(sound, size)):
            yield frames


def _resampled(
    blocks: Iterator[NDArray[np.float32]], rate: int, wanted: int
) -> Iterator[NDArray[np.float32]]:
    """Resample blocks as one waveform: the samples are those of the whole at once."""
    if rate == wanted:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    held: NDArray[np.float32] | None = None
    for block in blocks:
        if held is not None:
            yield from _nonempty(stream.resample_chunk(held))
        held = block
    if held is not None:
        yield from _nonempty(stream.resample_chunk(held, last=True))


def _nonempty(block: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    if len(block):
        yield block


def _checked(blocks: Iterator[NDArray[np.float32]], sound: Any) -> Iterator[NDArray[np.float32]]:
    """Pass blocks on, and see that they hold numbers and are as long as the header says."""
    import numpy as np

    done = 0
    for block in blocks:
        if not np.isfinite(block).all():
            at = (done + int(np.argmin(np.isfinite(block)))) / sound.samplerate
            raise MediaError(f"a sample at {at:.3f} s is not a finite number")
        done += len(block)
        yield block
    if done + (mpeg.SLACK if sound.format == "MP3" else 0) < sound.frames < _UNKNOWN:
        raise MediaError(
            f"the audio breaks off: {done / sound.samplerate:.3f} s"
            f" of {sound.frames / sound.samplerate:.3f} s",
            # The end of an Ogg file was found before: pages in its middle are broken.
            MediaReason.DECODING_FAILED if sound.format == "OGG" else MediaReason.TRUNCATED,
        )


def _mono(sound: Any, size: int) -> Iterator[NDArray[np.float32]]:
    """Decode blocks of up to `size` frames; average the channels of each frame."""
    size = max(1, min(size, _BLOCK_SAMPLES // sound.channels))
    left = sound.frames
    while left > 0:
        wanted = min(size, left)
        frames = _read(sound, wanted)
        if len(frames):
            yield _average(frames)
        left -= len(frames)
        if len(frames) < wanted:
            return


def _read(sound: Any, frames: int) -> NDArray[np.float32]:
    """Decode up to `frames` frames: shape (frames, channels)."""
    read: NDArray[np.float32] = sound.read(frames, dtype="float32", always_2d=True)
    if read.shape[1] != sound.channels or read.dtype != "float32":
        raise MediaError(f"decoded as {read.dtype} of shape {read.shape}")
    return read


def _average(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over channels: (frames, channels) to (frames,)."""
    channels = frames.shape[1]
    if channels == 1:
        return frames[:, 0]
    # Column by column: four times quicker than numpy's mean over so short an axis.
    total = frames[:, 0] + frames[:, 1]
    for channel in range(2, channels):
        total += frames[:, channel]
    total /= channels
    return total


def _count(sound: Any) -> int:
    """Count the frames of a file whose header does not tell: by decoding them."""
    return sum(len(block) for block in _mono(sound, round(_BLOCK_S * sound.samplerate)))


@contextlib.contextmanager
def _opened(media: Media) -> Iterator[tuple[Any, int]]:
    """Open a medium by libsndfile; give it with its size in bytes. Translate its errors."""
    soundfile = _soundfile()
    with media.open() as file:
        head = file.read(_HEAD)
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise MediaError("the file is empty", MediaReason.EMPTY)
        readable = _readable(file, head, size)
        try:
            sound = soundfile.SoundFile(readable)
        except soundfile.LibsndfileError as error:
            raise _refused(error, head) from error
        # soundfile seeks after each read of a file that can be sought in. That costs, in flac
        # most, and does nothing here.
        sound.seekable = _no
        with sound:
            if sound.samplerate not in _RATES:
                raise MediaError(f"the file is damaged (a rate of {sound.samplerate} Hz)")
            try:
                yield sound, size
            except soundfile.LibsndfileError as error:
                raise _broken(error, media, sound) from error


def _no() -> bool:
    return False


def _readable(file: BinaryIO, head: bytes, size: int) -> Any:
    """Return what libsndfile should read: a path where it can, as that needs no Python."""
    known = is_known(head)
    missing = missing_bytes(file, head, size)
    spliced = unfinished(file, head, size)
    if not known or head[:3] == b"ID3" or mpeg.is_frame(head):
        tagged = mpeg.tagged(file, head, size)
        if tagged is not None and (tagged.tag or not known):
            spliced, missing = Spliced(tagged.tag, tagged.start), missing or tagged.missing
    if missing:
        raise MediaError(
            f"the file is cut short: {size} bytes are here, and at least {missing} are missing",
            MediaReason.TRUNCATED,
        )
    file.seek(0)
    if spliced is not None:
        return io.BufferedReader(SplicedFile(file, spliced))
    # By name libsndfile takes whatever ends in .mp3 for one, and in .raw for bare samples.
    name = getattr(file, "name", None)
    named = known and isinstance(name, str) and f".{name.rpartition('.')[2].lower()}" in SUFFIXES
    return name if named else _nameless(file)


def _nameless(file: BinaryIO) -> io.BufferedReader:
    return io.BufferedReader(SplicedFile(file, Spliced(b"", 0)))


def _refused(error: Any, head: bytes) -> MediaError:
    if is_known(head):
        return MediaError(f"the file is damaged ({error.error_string})")
    return MediaError("not audio in a format that can be read", MediaReason.NOT_AUDIO)


def _broken(error: Any, media: Media, sound: Any) -> MediaError:
    """Say whether the decoder failed at the file's end, or before."""
    if sound.format == "FLAC" and _reaches_end(media):
        return MediaError("the audio breaks off in its middle", MediaReason.TRUNCATED)
    return MediaError(f"the audio cannot be decoded ({error.error_string})")


def _reaches_end(media: Media) -> bool:
    """Return whether a decoder that fails has read to the file's end before."""
    soundfile = _soundfile()
    with media.open() as file:
        size = file.seek(0, io.SEEK_END)
        with (
            contextlib.suppress(soundfile.LibsndfileError),
            soundfile.SoundFile(_nameless(file)) as sound,
        ):
            sound.seekable = _no
            _count(sound)
        return file.tell() >= size


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingExtra(
            "audio needs the package soundfile: pip install 'thanosql-dbapi[speech]'"
        ) from error
    return soundfile
