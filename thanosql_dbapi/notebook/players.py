"""PRINT in a notebook: which files are shown, and what is known of each.

A file that cannot be read says why in its place. How a page looks is for `cards` to know.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..commands.print_media import read_printing
from ..exceptions import MediaError
from ..language.statements import MediaKind, PrintMedia
from ..media.audio import probe_audio, stream_audio
from ..media.describing import amount, channels, coding, length, pixels, rate
from ..media.image import probe_image, thumbnail
from ..media.playing import keeps_channels, playable_audio
from ..media.sources import Media, media_of
from ..media.spectrogram import Spectrogram
from ..media.video import mime_type, poster, probe_video
from ..media.waveform import BLOCK_S, Envelope, narrower
from .cards import Card, Embedded, cut, drawn_waveform, page, text_of

if TYPE_CHECKING:
    from ..connection import Connection

#: How many files are shown at most.
FILES: Final = 20

#: How many bytes of files are embedded at most: of each, and in all.
FILE_BYTES: Final = 5_000_000
ALL_BYTES: Final = 25_000_000

#: How much of a longer recording is embedded, in seconds.
EXCERPT_S: Final = 60.0

#: How many points a waveform and a spectrogram have, one over the other, and how many pitches.
_DRAWN: Final = 480
_PITCHES: Final = 80

#: The largest picture of an image or a film, in pixels: twice what it takes on most screens.
_PICTURE: Final = (720, 540)

#: How wide a waveform is as text.
_SKETCH: Final = 24


@dataclass(frozen=True, slots=True)
class Printed:
    """The files of a PRINT: a page in a notebook, and a few lines as text.

    `more` tells that the query has further files, which were not read.
    """

    kind: MediaKind
    cards: tuple[Card, ...]
    more: bool

    def __repr__(self) -> str:
        return "\n".join(filter(None, [text_of(self.cards), self._rest()]))

    def _repr_html_(self) -> str:
        return page(self.cards, self._rest())

    def _rest(self) -> str:
        """Say what is not shown, and how to see it; nothing where all is."""
        if not self.cards:
            return f"The query has no rows: there is no {self.kind.value} to show."
        if not self.more:
            return ""
        count = len(self.cards)
        return (
            f"The first {count} files are shown, and there are more:"
            f" LIMIT {count} OFFSET {count} at the query's end shows the next."
        )


def printed(connection: Connection, statement: PrintMedia, script: str) -> Printed:
    """Run the query of a PRINT, whose places are those of `script`, and read the first files.

    Raises:
        ColumnNotFound, OptionError, ProgrammingError: as PRINT.
        MissingExtra: a package that this kind of media needs is not installed.
    """
    query = script[statement.query.span.start : statement.query.span.end]
    given = [(option.name, option.value) for option in statement.options]
    with connection.execute(f"SELECT * FROM (\n{query}\n) LIMIT {FILES + 1}") as cursor:
        columns = {column.name: column.type_code for column in cursor.description or ()}
        asked = read_printing(statement.kind, given, columns)
        rows = cursor.fetchall()
    reader = _Reader(connection.root, statement.kind)
    cards = []
    for row in rows[:FILES]:
        values = dict(zip(columns, row, strict=True))
        beside = {name: values[name] for name in asked.others}
        cards.append(reader.card(values[asked.column], beside))
    return Printed(statement.kind, tuple(cards), len(rows) > FILES)


@dataclass(slots=True)
class _Reader:
    """Reads files for a page, and counts what is embedded in it."""

    root: Path
    kind: MediaKind
    left: int = field(default=ALL_BYTES)

    def card(self, value: Any, beside: Mapping[str, Any]) -> Card:
        """Return what is shown of one file: its error where it cannot be read."""
        if value is None:
            return Card(f"{self.kind.value}: NULL", error="no path, no file", beside=beside)
        media = media_of(value if isinstance(value, bytes) else str(value), self.root)
        name = cut(media.name)
        read: Callable[[Media], Card] = {
            MediaKind.AUDIO: self._audio,
            MediaKind.IMAGE: self._image,
            MediaKind.VIDEO: self._video,
        }[self.kind]
        try:
            card = read(media)
        except MediaError as error:
            card = Card(name, error=str(error))
        except OSError as error:
            card = Card(name, error=f"the file cannot be read ({error.strerror or error})")
        finally:
            media.release()
        return replace(
            card, name=name, beside=beside, link=_link(media) if name == media.name else ""
        )

    def _audio(self, media: Media) -> Card:
        facts = probe_audio(media)
        envelope = Envelope(facts.frames, _DRAWN)
        spectrogram = Spectrogram(facts.frames, facts.sampling_rate, _DRAWN, _PITCHES)
        for block in stream_audio(media, facts.sampling_rate, BLOCK_S):
            envelope.add(block)
            spectrogram.add(block)
        found = playable_audio(media, facts, self._limit(), EXCERPT_S)
        notes = []
        if found is None or found.excerpt_s is not None:
            part = "no player" if found is None else f"the first {EXCERPT_S:g} s"
            notes.append(f"{part}: {self._too_large(facts.size_bytes)}")
        elif found.transcoded and facts.size_bytes > FILE_BYTES:
            notes.append("embedded as FLAC, which is smaller")
        elif found.transcoded and not keeps_channels(facts):
            notes.append("played as FLAC, in mono of 48 kHz, which every browser has")
        elif found.transcoded:
            notes.append(
                f"played as FLAC: not every browser has {coding(facts.format, facts.encoding)}"
            )
        if found is not None:
            self.left -= len(found.content)
        return Card(
            media.name,
            facts=(
                length(facts.duration_s),
                rate(facts.sampling_rate),
                channels(facts.channels),
                coding(facts.format, facts.encoding),
                amount(facts.size_bytes),
            ),
            drawings=(
                (
                    "waveform",
                    drawn_waveform(
                        envelope.lows().tolist(),
                        envelope.highs().tolist(),
                        envelope.loudness().tolist(),
                    ),
                ),
                ("spectrogram", Embedded(spectrogram.png(), "image/png")),
            ),
            player=None if found is None else Embedded(found.content, found.mime_type),
            notes=tuple(notes),
            sketch=narrower(envelope.blocks(), _SKETCH),
        )

    def _image(self, media: Media) -> Card:
        facts = probe_image(media)
        size = pixels(facts.width, facts.height)
        told = (size, f"{facts.format} {facts.mode}", amount(facts.size_bytes))
        try:
            return Card(media.name, told, picture=Embedded(*thumbnail(media, *_PICTURE)))
        except MediaError as error:
            return Card(media.name, told, error=str(error))

    def _video(self, media: Media) -> Card:
        facts, mime = probe_video(media), mime_type(media)
        frame_rate = "" if facts.frame_rate is None else f"{facts.frame_rate:.4g} frames/s"
        told = (
            length(facts.duration_s),
            pixels(facts.width, facts.height),
            frame_rate,
            facts.codec,
            "with sound" if facts.has_audio else "silent",
            amount(facts.size_bytes),
        )
        try:
            picture = Embedded(*poster(media, *_PICTURE))
        except MediaError as error:
            return Card(media.name, told, error=str(error))
        if mime is None:
            note = f"one frame: not every browser plays {facts.codec} in this container"
        elif facts.size_bytes > self._limit():
            note = f"one frame: {self._too_large(facts.size_bytes)}"
        else:
            self.left -= facts.size_bytes
            with media.open() as file:
                player = Embedded(file.read(), mime)
            return Card(media.name, told, picture=picture, player=player)
        return Card(media.name, told, picture=picture, notes=(note,))

    def _limit(self) -> int:
        return min(FILE_BYTES, self.left)

    def _too_large(self, size: int) -> str:
        if size > FILE_BYTES:
            return f"the file has {amount(size)}, and up to {amount(FILE_BYTES)} are embedded"
        return f"the files above have taken the {amount(ALL_BYTES)} that are embedded in all"


def _link(media: Media) -> str:
    """Return an address that the page can open: of the web, or below the notebook's folder."""
    if media.name.lower().startswith(("http://", "https://")) and not media.name.endswith("?…"):
        return media.name
    if media.path is None:
        return ""
    try:
        return quote(media.path.resolve().relative_to(os.path.realpath(".")).as_posix())
    except (OSError, RuntimeError, ValueError):  # of a loop of links, until Python 3.13
        return ""
