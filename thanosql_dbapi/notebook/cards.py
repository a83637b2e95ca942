"""The page of a PRINT: a card a file, with player, drawings, facts and texts.

Pages run no script and fetch nothing: all styles are inline, and greys are see-through, so that
a page suits a light notebook and a dark one. It knows no files and no media.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: The most characters that are shown of a value.
_LONGEST: Final = 1000

#: Colours that stand out on white and on black.
_BLUE: Final = "#3b82f6"
_RED: Final = "#e5484d"

_SHEET: Final = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:14px;"
    "align-items:start;margin:6px 0;max-width:1440px"
)
_CARD: Final = (
    "border:1px solid rgba(128,128,128,.35);border-radius:10px;overflow:hidden;"
    "background:rgba(128,128,128,.06);font-size:13px;line-height:1.45;text-align:left"
)
_PADDED: Final = "padding:9px 12px"
_PATH: Final = (
    "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-weight:600;"
    "overflow-wrap:anywhere"
)
_QUIET: Final = "opacity:.7;font-size:12px"
_TEXTS: Final = (
    "display:grid;grid-template-columns:max-content 1fr;gap:2px 10px;padding:0 12px 10px;"
    "max-height:16em;overflow:auto"
)
_HEIGHTS: Final = {"waveform": 58, "spectrogram": 76}


@dataclass(frozen=True, slots=True)
class Embedded:
    """Bytes in a page, with their MIME type."""

    content: bytes = field(repr=False)
    mime_type: str

    @property
    def url(self) -> str:
        """The bytes as a data URL."""
        return f"data:{self.mime_type};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Card:
    """What a page shows of one file.

    `facts` are short texts, `drawings` pictures of the sound by name, `picture` an image, or a
    film's frame before it is played; `sketch` stands for all of them in text. `beside` is what the
    row has beside the file, and `link` an address that opens it.
    """

    name: str
    facts: tuple[str, ...] = ()
    drawings: tuple[tuple[str, Embedded], ...] = ()
    picture: Embedded | None = None
    player: Embedded | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    sketch: str = ""
    link: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)


def cut(name: str) -> str:
    """Return a file's name in a length that fits: of a long one the end, which tells the most."""
    return name if len(name) <= _LONGEST else f"…{name[-_LONGEST:]}"


def page(cards: Sequence[Card], rest: str) -> str:
    """Return cards as HTML, and under them a line that says what is not shown."""
    last = f'<div style="{_QUIET};margin:4px 2px">{_escaped(rest)}</div>' if rest else ""
    return f'<div style="{_SHEET}">{"".join(map(_card, cards))}</div>{last}'


def text_of(cards: Sequence[Card]) -> str:
    """Return cards as text, a line each."""
    widest = max((len(card.name) for card in cards), default=0)
    return "\n".join(_line(card, widest) for card in cards)


def drawn_waveform(
    lows: Sequence[float], highs: Sequence[float], loudness: Sequence[float]
) -> Embedded:
    """Draw a waveform between its lowest and highest samples, and within it how loud it is.

    The loudest sample nearly touches the edge. The picture may be stretched.
    """
    loudest = max(*map(abs, lows), *map(abs, highs)) or 1.0
    extent = _polygon([y / loudest for y in lows], [y / loudest for y in highs])
    body = _polygon([-y / loudest for y in loudness], [y / loudest for y in loudness])
    # A silent stretch has no area: its line is drawn all the same.
    line = f'stroke="{_BLUE}" stroke-width="1" vector-effect="non-scaling-stroke"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(lows)} 100"'
        f' preserveAspectRatio="none" fill="{_BLUE}"><polygon points="{extent}"'
        f' fill-opacity=".55"/><polygon points="{body}" {line}/></svg>'
    )
    return Embedded(svg.encode(), "image/svg+xml")


def _polygon(lows: Sequence[float], highs: Sequence[float]) -> str:
    above = [f"{x + 0.5:g},{50 - 46 * y:.1f}" for x, y in enumerate(highs)]
    below = [f"{x + 0.5:g},{50 - 46 * y:.1f}" for x, y in enumerate(lows)]
    return " ".join([*above, *reversed(below)])


def _card(card: Card) -> str:
    parts = [
        _heading(card),
        *(_drawing(name, drawing, card) for name, drawing in card.drawings),
        _film_or_picture(card),
        _notes(card),
        _beside(card),
    ]
    return f'<div style="{_CARD}">{"".join(parts)}</div>'


def _heading(card: Card) -> str:
    name = f"<bdi>{_escaped(card.name)}</bdi>"
    if card.link:
        href = html.escape(card.link)
        name = f'<a href="{href}" style="color:inherit" target="_blank" rel="noopener">{name}</a>'
    facts = " · ".join(_escaped(fact) for fact in card.facts if fact)
    told = f'<div style="{_QUIET}">{facts}</div>' if facts else ""
    return f'<div style="{_PADDED}"><div style="{_PATH}">{name}</div>{told}</div>'


def _drawing(name: str, drawing: Embedded, card: Card) -> str:
    label = html.escape(f"{name} of {card.name}")
    style = f"display:block;width:100%;max-width:none;height:{_HEIGHTS[name]}px;margin:0"
    return f'<img alt="{label}" title="{name}" src="{drawing.url}" style="{style}">'


def _film_or_picture(card: Card) -> str:
    label = html.escape(card.name)
    if card.player is not None and card.player.mime_type.startswith("video/"):
        poster = f' poster="{card.picture.url}"' if card.picture is not None else ""
        return (
            f'<video controls preload="metadata" aria-label="{label}"{poster}'
            f' src="{card.player.url}" style="display:block;width:100%;max-height:380px;'
            'background:#000"></video>'
        )
    if card.player is not None:
        return (
            f'<div style="padding:8px 8px 10px"><audio controls preload="metadata"'
            f' aria-label="{label}" src="{card.player.url}"'
            ' style="display:block;width:100%;height:40px"></audio></div>'
        )
    if card.picture is not None:
        return (
            f'<img alt="{label}" src="{card.picture.url}" style="display:block;max-width:100%;'
            'max-height:360px;width:auto;height:auto;margin:0 auto">'
        )
    return ""


def _notes(card: Card) -> str:
    notes = [f'<div style="{_QUIET};padding:6px 12px">{_escaped(n)}</div>' for n in card.notes]
    if card.error:
        style = f"color:{_RED};padding:0 12px 9px;overflow-wrap:anywhere"
        notes.append(f'<div role="alert" style="{style}">✗ {_escaped(card.error)}</div>')
    return "".join(notes)


def _beside(card: Card) -> str:
    if not card.beside:
        return ""
    pairs = [
        f'<div style="{_QUIET}">{_escaped(name)}</div>'
        f'<div style="overflow-wrap:anywhere"><bdi>{_value(value)}</bdi></div>'
        for name, value in card.beside.items()
    ]
    return f'<div style="{_TEXTS}">{"".join(pairs)}</div>'


def _value(value: object) -> str:
    if value is None:
        return '<i style="opacity:.6">NULL</i>'
    return _escaped(_plain(value))


def _plain(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _escaped(text: str) -> str:
    # What is no character, such as half of a surrogate pair, would break the page's encoding.
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def _line(card: Card, widest: int) -> str:
    told = [fact for fact in (card.sketch, *card.facts) if fact]
    told += [f"{name}: {_plain(value)}" for name, value in card.beside.items()]
    if card.error:
        told.insert(0, f"✗ {card.error}")
    return f"{card.name.ljust(widest)}  {'  '.join(' '.join(text.split()) for text in told)}"
