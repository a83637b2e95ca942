"""Video: facts from headers, and a frame that stands for a film."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_fixtures import write_picture, write_video
from PIL import Image

from thanosql_dbapi.exceptions import MediaError
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.media.video import SUFFIXES, mime_type, poster, probe_video


@pytest.mark.parametrize(
    ("name", "codec", "told", "frames", "played"),
    [
        ("a.webm", "libvpx-vp9", "vp9", None, "video/webm"),
        ("a.mp4", "libx264", "h264", 25, "video/mp4"),
        ("a.mov", "libx264", "h264", 25, "video/mp4"),
        ("a.avi", "mpeg4", "mpeg4", 25, None),
        ("a.mkv", "mpeg4", "mpeg4", None, None),
    ],
)
def test_the_header_tells_what_it_can(
    tmp_path: Path, name: str, codec: str, told: str, frames: int | None, played: str | None
) -> None:
    write_video(tmp_path / name, codec)
    media = media_of(name, tmp_path)
    facts = probe_video(media)
    assert facts.duration_s == pytest.approx(1.0, abs=0.05)
    assert (facts.width, facts.height, facts.codec) == (160, 120, told)
    assert facts.frame_rate == pytest.approx(25)
    assert facts.frames == frames
    assert not facts.has_audio
    assert facts.size_bytes == (tmp_path / name).stat().st_size
    assert mime_type(media) == played
    assert Path(name).suffix in SUFFIXES


def test_sound_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "a.webm", sound=True)
    assert probe_video(media_of("a.webm", tmp_path)).has_audio
    content = (tmp_path / "a.webm").read_bytes()
    assert probe_video(media_of(content, Path())).size_bytes == len(content)


def test_the_poster_is_a_frame_a_tenth_into_the_film(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", "libx264", seconds=4)
    content, kind = poster(media_of("a.mp4", tmp_path), 80, 80)
    assert kind == "image/jpeg"
    image = Image.open(io.BytesIO(content)).convert("RGB")
    assert image.size == (80, 60)
    # The bar has grown over a tenth of the film: 8 pixels of 80.
    bright = [x for x in range(80) if image.getpixel((x, 30))[0] > 130]
    assert 5 <= len(bright) <= 11


def write_song(path: Path) -> None:
    soundfile.write(path, np.sin(np.arange(16_000) / 9).astype(np.float32), 16_000)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("song.wav", "not a video"),
        ("song.ogg", "sound alone: PRINT AUDIO"),
        ("picture.png", "not a video"),
        ("broken.mp4", "not a video"),
        ("empty.mp4", "is empty"),
        ("gone.mp4", "no such file"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, problem: str) -> None:
    if name.startswith("song"):
        write_song(tmp_path / name)
    write_picture(tmp_path / "picture.png")
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"?" * 99)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(MediaError, match=problem):
        probe_video(media_of(name, tmp_path))


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", "libx264")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/a.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    (tmp_path / "concat.txt").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/a.mp4'\n")
    for name in ("list.m3u8", "concat.txt"):
        with pytest.raises(MediaError, match="not a video"):
            probe_video(media_of(name, tmp_path))


def test_a_film_that_breaks_off_has_facts_and_perhaps_a_poster(tmp_path: Path) -> None:
    write_video(tmp_path / "a.webm", seconds=2)
    content = (tmp_path / "a.webm").read_bytes()
    (tmp_path / "cut.webm").write_bytes(content[: len(content) // 2])
    (tmp_path / "head.webm").write_bytes(content[:300])
    assert probe_video(media_of("cut.webm", tmp_path)).width == 160
    assert poster(media_of("cut.webm", tmp_path), 80, 80)[1] == "image/jpeg"
    with pytest.raises(MediaError):
        poster(media_of("head.webm", tmp_path), 80, 80)
