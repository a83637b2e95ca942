"""How facts of media are told to people: `2.14 s`, `16 kHz`, `stereo`, `34 kB`.

An unknown fact is an empty text. It knows no file.
"""

from __future__ import annotations

#: What people say rather than a number of channels.
_CHANNELS = {1: "mono", 2: "stereo"}

#: What people say rather than libsndfile's name of an encoding; the compressed ones need no more.
_ENCODINGS = {
    "PCM_S8": "8-bit",
    "PCM_U8": "8-bit",
    "PCM_16": "16-bit",
    "PCM_24": "24-bit",
    "PCM_32": "32-bit",
    "FLOAT": "32-bit float",
    "DOUBLE": "64-bit float",
    "ALAW": "A-law",
    "ULAW": "\N{GREEK SMALL LETTER MU}-law",
    "MPEG_LAYER_III": "",
    "VORBIS": "Vorbis",
    "OPUS": "Opus",
}


def length(seconds: float | None) -> str:
    """Tell a duration: `2.14 s`, `3:05`, `1:02:03`."""
    if seconds is None:
        return ""
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(hertz: int | None) -> str:
    """Tell a sampling rate: `44.1 kHz`."""
    return "" if hertz is None else f"{hertz / 1000:g} kHz"


def channels(count: int | None) -> str:
    """Tell a number of channels: `mono`, `stereo`, `6 channels`."""
    return "" if count is None else _CHANNELS.get(count, f"{count} channels")


def coding(format_: str, encoding: str) -> str:
    """Tell how sound is stored, of libsndfile's names: `WAV A-law`, `FLAC 16-bit`, `MP3`."""
    return f"{format_} {_ENCODINGS.get(encoding, encoding)}".strip()


def pixels(width: int | None, height: int | None) -> str:
    """Tell the size of a picture, a multiplication sign between its sides."""
    if width is None or height is None:
        return ""
    return f"{width} \N{MULTIPLICATION SIGN} {height}"


def amount(size: int | None) -> str:
    """Tell a number of bytes, in steps of 1000: `34 kB`, `1.2 MB`."""
    if size is None:
        return ""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.5 or unit == "GB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
