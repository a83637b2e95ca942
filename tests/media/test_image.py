"""Images: facts from headers, and small pictures of them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from media_fixtures import write_picture
from PIL import Image

from thanosql_dbapi.exceptions import MediaError, MediaReason
from thanosql_dbapi.media.image import SUFFIXES, probe_image, thumbnail
from thanosql_dbapi.media.sources import media_of


def facts(path: Path) -> tuple[object, ...]:
    found = probe_image(media_of(path.name, path.parent))
    return found.width, found.height, found.format, found.mode, found.channels


@pytest.mark.parametrize(
    ("name", "mode", "format_", "channels"),
    [
        ("a.jpg", "RGB", "JPEG", 3),
        ("grey.jpg", "L", "JPEG", 1),
        ("a.png", "RGBA", "PNG", 4),
        ("palette.gif", "P", "GIF", 1),
        ("a.webp", "RGB", "WEBP", 3),
        ("a.bmp", "RGB", "BMP", 3),
        ("print.tif", "CMYK", "TIFF", 4),
    ],
)
def test_the_header_tells_size_format_and_mode(
    tmp_path: Path, name: str, mode: str, format_: str, channels: int
) -> None:
    write_picture(tmp_path / name, 64, 48, mode)
    assert facts(tmp_path / name) == (64, 48, format_, mode, channels)
    assert Path(name).suffix in SUFFIXES


def test_only_the_header_is_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 600, 400)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[:60])
    assert facts(tmp_path / "half.png")[:2] == (600, 400)
    with pytest.raises(MediaError, match="cannot be decoded"):
        thumbnail(media_of("half.png", tmp_path), 60, 60)


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that says it is large, and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(MediaError, match="decompression bomb"):
        probe_image(media_of(png_of(60_000, 60_000), Path()))


def test_a_large_image_has_facts_and_is_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    monkeypatch.setattr("warnings.warn", lambda *_, **__: None)  # Pillow's, of half a bomb
    write_picture(tmp_path / "a.png", 80, 60)
    write_picture(tmp_path / "a.jpg", 80, 60)
    assert facts(tmp_path / "a.png")[:2] == (80, 60)
    with pytest.raises(MediaError, match="is not drawn"):
        thumbnail(media_of("a.png", tmp_path), 8, 8)
    assert picture(tmp_path / "a.jpg", 8, 8).size == (8, 6)


def test_a_palette_is_averaged_by_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (64, 64))
    image.putpalette([0, 0, 0, 255, 255, 255] + [0] * 762)
    image.putdata([(x + y) % 2 for y in range(64) for x in range(64)])
    image.save(tmp_path / "a.gif")
    assert 100 < picture(tmp_path / "a.gif", 16, 16).getpixel((8, 8))[0] < 155


@pytest.mark.parametrize(
    ("content", "problem", "reason"),
    [
        (b"", "is empty", MediaReason.EMPTY),
        (b"RIFF\0\0\0\0WAVEfmt ", "not an image", MediaReason.DECODING_FAILED),
        # Other programs would draw it.
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image", None),
    ],
)
def test_what_is_no_image(content: bytes, problem: str, reason: MediaReason | None) -> None:
    with pytest.raises(MediaError, match=problem) as caught:
        probe_image(media_of(content, Path()))
    assert reason is None or caught.value.reason is reason


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file") as caught:
        probe_image(media_of("gone.jpg", tmp_path))
    assert caught.value.reason is MediaReason.MISSING


def picture(path: Path, width: int = 40, height: int = 40) -> Image.Image:
    content, mime_type = thumbnail(media_of(path.name, path.parent), width, height)
    image = Image.open(io.BytesIO(content))
    assert Image.MIME[image.format] == mime_type
    return image.convert("RGB")


def test_a_thumbnail_fits_and_keeps_its_proportions(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", 640, 480)
    assert picture(tmp_path / "a.jpg").size == (40, 30)
    write_picture(tmp_path / "small.png", 8, 6)
    assert picture(tmp_path / "small.png").size == (8, 6)


def test_a_thumbnail_is_turned_as_exif_says(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", 640, 480, orientation=6)  # to be turned to the right
    shown = picture(tmp_path / "a.jpg")
    assert shown.size == (30, 40)
    # What was left is above now.
    assert shown.getpixel((15, 5))[0] > 180
    assert shown.getpixel((15, 35))[0] < 80


def test_deep_grey_keeps_its_range(tmp_path: Path) -> None:
    image = Image.new("I;16", (4, 1))
    for x, value in enumerate((0, 20_000, 40_000, 60_000)):
        image.putpixel((x, 0), value)
    image.save(tmp_path / "deep.png")
    greys = [picture(tmp_path / "deep.png").getpixel((x, 0))[0] for x in range(4)]
    assert greys == sorted(greys)
    assert greys[0] < 30
    assert 60 < greys[1] < greys[2] < 220 < greys[3]


def test_what_is_see_through_stays_so(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    content, mime_type = thumbnail(media_of("clear.png", tmp_path), 10, 10)
    assert mime_type == "image/png"
    assert Image.open(io.BytesIO(content)).getpixel((5, 5))[3] == 0
