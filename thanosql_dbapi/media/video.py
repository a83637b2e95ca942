"""Video: what headers say, and one picture that stands for a film.

PyAV reads them, which brings FFmpeg's libraries along. This module knows no model and no SQL.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MediaError, MediaReason, MissingExtra
from .image import encode_picture, pillow

if TYPE_CHECKING:
    from .sources import Media

#: The files that COPY takes from a folder.
SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".webm",
        ".mkv",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".wmv",
        ".flv",
        ".ogv",
    }
)

#: What FFmpeg may take a file for. Not playlists: those open other files, and URLs. Not pictures.
_FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,gif,h264,hevc"
)

#: Where in a film its picture is taken, as a part of the duration: the first frame is often black.
#: And how many frames are decoded at most to get there from the one that can be sought.
_POSTER_AT: Final = 0.1
_POSTER_FRAMES: Final = 100

#: The times of a container are in microseconds.
_TIME_BASE: Final = 1_000_000

#: What browsers play, by the container's and the codec's names in FFmpeg, with the MIME type.
_PLAYED: Final = {
    ("mov", "h264"): "video/mp4",
    ("mov", "av1"): "video/mp4",
    ("mov", "vp9"): "video/mp4",
    ("matroska", "vp8"): "video/webm",
    ("matroska", "vp9"): "video/webm",
    ("matroska", "av1"): "video/webm",
}


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the header of a video says: duration in seconds, size in pixels, frames a second.

    None stands for what it does not say: `frames`, in many containers.
    """

    duration_s: float | None
    width: int
    height: int
    frame_rate: float | None
    frames: int | None
    codec: str
    has_audio: bool
    size_bytes: int


def probe_video(media: Media) -> VideoFacts:
    """Read the header of a video; no frame is decoded.

    Raises:
        MediaError: the file is missing, empty, or no video.
    """
    with _opened(media) as (container, stream, size):
        return VideoFacts(
            duration_s=_duration(container, stream),
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            frame_rate=float(stream.average_rate) if stream.average_rate else None,
            frames=stream.frames or None,
            codec=stream.codec_context.name,
            has_audio=bool(container.streams.audio),
            size_bytes=size,
        )


def mime_type(media: Media) -> str | None:
    """Return the MIME type under which browsers play a video, None where they do not.

    Raises:
        MediaError: as `probe_video`.
    """
    with _opened(media) as (container, stream, _):
        family = container.format.name.partition(",")[0]
        return _PLAYED.get((family, stream.codec_context.name))


def poster(media: Media, width: int, height: int) -> tuple[bytes, str]:
    """Return a frame near the beginning, at most `width` by `height` pixels, and its MIME type.

    Raises:
        MediaError: as `probe_video`, or no frame can be decoded.
        MissingExtra: Pillow is not installed.
    """
    pillow()
    with _opened(media) as (container, stream, _):
        try:
            frame = _frame(container, stream)
        except _errors() as error:
            raise MediaError(f"the video cannot be decoded ({error.strerror})") from error
        if frame is None:
            raise MediaError("the video has no frame", MediaReason.EMPTY)
        picture = frame.to_image()
        if frame.rotation:
            picture = picture.rotate(frame.rotation, expand=True)
        picture.thumbnail((width, height))
        return encode_picture(picture)


def _frame(container: Any, stream: Any) -> Any:
    """Return the frame for the picture; None where there is no frame at all."""
    at = int((container.duration or 0) * _POSTER_AT)
    if at:
        container.seek(at)
    frame = None
    for frame in itertools.islice(container.decode(stream), _POSTER_FRAMES):
        if frame.time is None or frame.time * _TIME_BASE >= at:
            break
    return frame


def _duration(container: Any, stream: Any) -> float | None:
    if container.duration is not None:
        return float(container.duration / _TIME_BASE)
    return float(stream.duration * stream.time_base) if stream.duration is not None else None


@contextlib.contextmanager
def _opened(media: Media) -> Iterator[tuple[Any, Any, int]]:
    """Open a video; give its container, its first film and its size. Translate FFmpeg's errors."""
    av = _av()
    with media.open() as file:
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise MediaError("the file is empty", MediaReason.EMPTY)
        file.seek(0)
        try:
            container = av.open(file, options={"format_whitelist": _FORMATS})
        except _errors() as error:
            raise MediaError("not a video in a format that can be read") from error
        with container:
            yield container, _film(container), size


def _film(container: Any) -> Any:
    """Return the first stream that is a film: the cover of a song is none.

    Raises:
        MediaError: there is none.
    """
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    kind = "it holds sound alone: PRINT AUDIO shows it" if container.streams.audio else "no frames"
    raise MediaError(f"not a video ({kind})")


def _errors() -> Any:
    """Return what PyAV raises of a file."""
    from av.error import FFmpegError

    return FFmpegError


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtra(
            "videos need the package av: pip install 'thanosql-dbapi[video]'"
        ) from error
    return av
