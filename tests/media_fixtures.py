"""Small pictures and films for tests, made here."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw


def write_picture(
    path: Path, width: int = 64, height: int = 48, mode: str = "RGB", orientation: int = 0
) -> None:
    """Write a picture that is red in its left half; `orientation` is EXIF's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, height), (40, 120, 200))
    ImageDraw.Draw(image).rectangle((0, 0, width // 2, height), fill=(220, 40, 40))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.convert(mode).save(path, **({"exif": exif} if orientation else {}))


def write_video(
    path: Path, codec: str = "libvpx-vp9", seconds: float = 1.0, *, sound: bool = False
) -> None:
    """Write a film of 160 by 120 pixels and 25 frames a second: a bar grows over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        film = container.add_stream(codec, rate=25)
        film.width, film.height, film.pix_fmt = 160, 120, "yuv420p"
        tone = container.add_stream("libopus", rate=48000, layout="mono") if sound else None
        frames = round(25 * seconds)
        for number in range(frames):
            pixels = np.full((120, 160, 3), 30, np.uint8)
            pixels[30:90, : 160 * (number + 1) // frames] = (240, 180, 40)
            container.mux(film.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(film.encode())
        if tone is not None:
            time = np.arange(round(48000 * seconds)) / 48000
            samples = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            frame.sample_rate = 48000
            container.mux(tone.encode(frame))
            container.mux(tone.encode())
