"""Images: what headers say, and pictures small enough for a page.

Pillow reads them, and its guard against decompression bombs stays on. This module knows no model
and no SQL.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MediaError, MediaReason, MissingExtra

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from .sources import Media

#: The files that COPY takes from a folder.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2"}
)

#: What Pillow may take a file for. Not EPS and not WMF, which other programs would draw.
_FORMATS: Final = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip

#: What can be decoded at a smaller scale.
_SCALED: Final = ("JPEG", "MPO")

#: EXIF's tag of the orientation.
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the header of an image says: its size in pixels as stored, before any rotation.

    `mode` is Pillow's name for what a pixel is (RGB, L for grey, P for a palette), and `channels`
    how many numbers it has.
    """

    width: int
    height: int
    format: str
    mode: str
    channels: int
    size_bytes: int


def probe_image(media: Media) -> ImageFacts:
    """Read the header of an image; no pixel is decoded.

    Raises:
        MediaError: the file is missing, empty, no image, or has so many pixels that Pillow takes
            it for a decompression bomb.
    """
    with _opened(media) as (image, size):
        return ImageFacts(
            width=image.width,
            height=image.height,
            format=image.format or "",
            mode=image.mode,
            channels=len(image.getbands()),
            size_bytes=size,
        )


def thumbnail(media: Media, width: int, height: int) -> tuple[bytes, str]:
    """Return a picture of at most `width` by `height` pixels, and its MIME type.

    It is turned as the EXIF orientation says; the first frame stands for an animation.

    Raises:
        MediaError: as `probe_image`, or the pixels are too many or cannot be decoded.
    """
    from PIL import ImageOps

    with _opened(media) as (image, _):
        _require_moderate(image)
        try:
            # From the fifth orientation on the picture lies on its side.
            lies = image.getexif().get(_ORIENTATION, 1) >= 5
            picture = _with_colours(image)
            # A JPEG is decoded at a smaller scale here: a large photo takes little memory.
            picture.thumbnail((height, width) if lies else (width, height))
            return encode_picture(ImageOps.exif_transpose(picture))
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            raise MediaError(f"the image cannot be decoded ({error})") from error


def _require_moderate(image: PillowImage.Image) -> None:
    """Refuse to decode what would fill memory. Pillow itself refuses twice as many pixels.

    Raises:
        MediaError: the image is too large.
    """
    most = pillow().MAX_IMAGE_PIXELS
    if image.format not in _SCALED and most is not None and image.width * image.height > most:
        raise MediaError(
            f"an image of {image.width * image.height / 1e6:.0f} million pixels is not drawn;"
            f" {most / 1e6:.0f} million are (PIL.Image.MAX_IMAGE_PIXELS)"
        )


def _with_colours(image: PillowImage.Image) -> PillowImage.Image:
    """Return an image whose pixels can be averaged: the numbers of a palette cannot."""
    if image.mode not in ("P", "1"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def encode_picture(picture: PillowImage.Image) -> tuple[bytes, str]:
    """Encode a picture for a page, with its MIME type: PNG where it is see-through, else JPEG."""
    file = io.BytesIO()
    if picture.has_transparency_data:
        picture.convert("RGBA").save(file, "PNG")
        return file.getvalue(), "image/png"
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = _as_grey(picture)
    picture.convert("RGB").save(file, "JPEG", quality=85)
    return file.getvalue(), "image/jpeg"


def _as_grey(picture: PillowImage.Image) -> PillowImage.Image:
    """Map the range of deep pixels to bytes: Pillow's own conversion cuts them off at 255."""
    deep = picture.convert("F")
    low, high = deep.getextrema()
    assert isinstance(low, float)
    assert isinstance(high, float)
    scale = 255 / (high - low) if high > low else 0.0
    return deep.point(lambda value: value * scale - low * scale).convert("L")


@contextlib.contextmanager
def _opened(media: Media) -> Iterator[tuple[PillowImage.Image, int]]:
    """Open an image; give it with the file's size in bytes. Translate Pillow's errors."""
    drawing = pillow()
    from PIL import UnidentifiedImageError

    drawing.init()
    formats = [name for name in _FORMATS if name in drawing.OPEN]
    with media.open() as file:
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise MediaError("the file is empty", MediaReason.EMPTY)
        file.seek(0)
        try:
            image = drawing.open(file, formats=formats)
        except (drawing.DecompressionBombError, drawing.DecompressionBombWarning) as error:
            raise MediaError(
                "the image has so many pixels that Pillow takes it for a decompression bomb"
                " (PIL.Image.MAX_IMAGE_PIXELS is its limit)"
            ) from error
        except UnidentifiedImageError as error:
            raise MediaError("not an image in a format that can be read") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise MediaError(f"the image is damaged ({error})") from error
        with image:
            yield image, size


def pillow() -> Any:
    """Return the module that draws.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra(
            "pictures need the package pillow: pip install 'thanosql-dbapi[images]'"
        ) from error
    return Image
