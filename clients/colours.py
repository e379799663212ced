"""Colours that people can read: how much two differ, and what follows from the one colour a hospital chooses. Pure.

Source: WCAG 2.2, "relative luminance", "contrast ratio" and success criterion 1.4.3 (AA).
"""

import colorsys
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from math import floor
from typing import Literal

HEX = re.compile(r"#[0-9a-f]{6}")
ENOUGH = 4.5  # to 1, for text of the usual size
WHITE, BLACK = "#ffffff", "#000000"

Scheme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the accent stands on in one scheme, as static/smartauth.css has it, and which way it is made readable.

    texts: other colours that are written on a tint of the accent.    ink: what is written on the accent itself.
    """

    surfaces: tuple[tuple[str, str], ...]  # (what people call it, colour)
    texts: tuple[str, ...]
    ink: str
    tint: float  # how much of the accent is in its tint, at most
    away: str  # the colour that the accent moves towards for more contrast

    @property
    def card(self) -> str:
        return dict(self.surfaces)["card"]


GROUNDS: dict[Scheme, Ground] = {
    "light": Ground((("page", "#f4f7f8"), ("card", WHITE)), ("#17212b", "#55636f"), WHITE, 0.10, BLACK),
    "dark": Ground((("page", "#12181d"), ("card", "#1b242b")), ("#e8eef2", "#a7b4bf"), "#0b1116", 0.16, WHITE),
}


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one scheme that follow from an accent, each `#rrggbb`. `dark`: for what the pointer is over."""

    accent: str
    dark: str
    ink: str
    paper: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An accent that differs too little from `against`. `ratio` is to 1; `nearest` is one that passes everywhere."""

    against: str
    colour: str
    ratio: float
    nearest: str

    @property
    def told_ratio(self) -> str:
        """Return the ratio with two digits, never rounded up to what would have been enough."""
        return f"{floor(self.ratio * 100) / 100:.2f}"


def parse_colour(text: str) -> str:
    """Return a colour as `#rrggbb` in lower case. Raises ValueError for anything else than `#` and six hex digits."""
    colour = text.strip().lower()
    if HEX.fullmatch(colour) is None:
        raise ValueError("write # and six hexadecimal digits, for example #0b6e6e")
    return colour


def luminance(colour: str) -> float:
    """Return the relative luminance, 0 for black to 1 for white."""
    red, green, blue = (_linear(part) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21, whichever is the lighter one."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def find_unreadable(accent: str, scheme: Scheme) -> Unreadable | None:
    """Return where an accent can be read worst, if that is not enough there; None for one that may be used."""
    name, colour = min(_stands_with(scheme), key=lambda one: contrast(accent, one[1]))
    ratio = contrast(accent, colour)
    return None if ratio >= ENOUGH else Unreadable(name, colour, ratio, nearest_readable(accent, scheme))


def nearest_readable(accent: str, scheme: Scheme) -> str:
    """Return the colour that may be used of the same hue and saturation, and of the lightness nearest to `accent`'s."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in _parts(accent)))
    steps = sorted(range(1001), key=lambda step: abs(step / 1000 - lightness))
    tried = (_hex(colorsys.hls_to_rgb(hue, step / 1000, saturation)) for step in steps)
    return next(colour for colour in tried if _is_readable(colour, scheme))


@cache
def palette(accent: str, scheme: Scheme) -> Palette:
    """Return the colours that go with a readable accent: whatever is written in them or on them can be read, too."""
    ground = GROUNDS[scheme]
    tints = (mix(accent, ground.card, share) for share in (ground.tint, ground.tint / 2, ground.tint / 4, 0.0))
    paper = next(tint for tint in tints if all(contrast(text, tint) >= ENOUGH for text in (accent, *ground.texts)))
    return Palette(accent, mix(ground.away, accent, 0.18), ground.ink, paper)


def mix(one: str, other: str, share: float) -> str:
    """Return a colour that has `share` of `one`, from 0 to 1, and is `other` for the rest."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def _stands_with(scheme: Scheme) -> Iterator[tuple[str, str]]:
    yield from GROUNDS[scheme].surfaces
    yield "text on buttons", GROUNDS[scheme].ink


def _is_readable(colour: str, scheme: Scheme) -> bool:
    return all(contrast(colour, other) >= ENOUGH for _, other in _stands_with(scheme))


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(parts: Iterable[float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _linear(part: int) -> float:
    share = part / 255
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)
