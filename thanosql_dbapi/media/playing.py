"""A recording as browsers play it: as it is, transcoded, or its beginning alone.

It knows which formats browsers have in common, and no page.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .audio import AudioFacts, stream_audio, stream_channels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .sources import Media

#: What all browsers play, by libsndfile's names of format and encoding, with the MIME type.
_PLAYED: Final = {
    ("WAV", "PCM_16"): "audio/wav",
    ("WAV", "PCM_U8"): "audio/wav",
    ("WAVEX", "PCM_16"): "audio/wav",
    ("FLAC", "PCM_16"): "audio/flac",
    ("FLAC", "PCM_24"): "audio/flac",
    ("MP3", "MPEG_LAYER_III"): "audio/mpeg",
    ("OGG", "VORBIS"): "audio/ogg",
    ("OGG", "OPUS"): "audio/ogg",
}

#: How these files begin: what libsndfile reads past (a tag, other bytes) stops a browser.
_BEGINNINGS: Final = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff")

#: The rates that browsers play, in hertz, and the most channels that a transcoded file keeps.
#: Another file becomes one channel at an ordinary rate.
_RATES: Final = range(3000, 192_001)
_CHANNELS: Final = 2
_RATE: Final = 48_000

_BLOCK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Playable:
    """What a browser plays: the bytes, their MIME type, and what was done to them.

    `excerpt_s` is how much of the beginning they hold, in seconds; None where they hold it all.
    """

    content: bytes
    mime_type: str
    transcoded: bool
    excerpt_s: float | None


def playable_audio(
    media: Media, facts: AudioFacts, limit: int, excerpt_s: float
) -> Playable | None:
    """Return a recording for a browser in `limit` bytes at most; None where none would fit.

    Where all of it does not fit, it is the first `excerpt_s` seconds.

    Raises:
        MediaError: the file cannot be read.
    """
    if facts.size_bytes <= limit and _is_played(media, facts):
        with media.open() as file:
            mime_type = _PLAYED[facts.format, facts.encoding]
            return Playable(file.read(), mime_type, transcoded=False, excerpt_s=None)
    for seconds in (None, excerpt_s):
        content = _flac(media, facts, limit, seconds)
        if content is not None:
            return Playable(content, "audio/flac", transcoded=True, excerpt_s=seconds)
    return None


def keeps_channels(facts: AudioFacts) -> bool:
    """Tell whether a transcoded recording keeps its channels and rate, or is mono of 48 kHz."""
    return facts.sampling_rate in _RATES and facts.channels <= _CHANNELS


def _is_played(media: Media, facts: AudioFacts) -> bool:
    if (facts.format, facts.encoding) not in _PLAYED or facts.sampling_rate not in _RATES:
        return False
    with media.open() as file:
        return file.read(4).startswith(_BEGINNINGS)


def _flac(media: Media, facts: AudioFacts, limit: int, seconds: float | None) -> bytes | None:
    """Return a recording, or its beginning, as 16-bit FLAC; None where that is over the limit."""
    import soundfile

    as_it_is = keeps_channels(facts)
    rate = facts.sampling_rate if as_it_is else _RATE
    channels = facts.channels if as_it_is else 1
    left = None if seconds is None else round(seconds * rate)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, "PCM_16", format="FLAC") as flac:
        for block in _blocks(media, rate, as_it_is=as_it_is):
            # Without a clip a sample above 1 would turn into one near -1.
            flac.write(block[:left].clip(-1, 1))
            if file.getbuffer().nbytes > limit:
                return None
            if left is not None:
                left -= len(block)
                if left <= 0:
                    break
    return file.getvalue() if file.getbuffer().nbytes <= limit else None


def _blocks(media: Media, rate: int, *, as_it_is: bool) -> Iterator[NDArray[np.float32]]:
    if as_it_is:
        return stream_channels(media, _BLOCK_S)
    return stream_audio(media, rate, _BLOCK_S)
