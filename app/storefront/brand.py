"""One shop's own colour: five variables for light and five for dark, worked out so that text on it and in it can always be read. Pure.

A merchant chooses one colour. Lightness is moved in oklch until the contrast is met; hue stays, chroma gives way where the screen ends.
Source of the contrast formula and of 4.5:1: WCAG 2.2, 1.4.3. Source of the oklch matrices: Björn Ottosson, "A perceptual color space", 2020.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import lru_cache

LEAST_CONTRAST = 4.5
WHITE = "#ffffff"
FALLBACK = "#9a3b1b"

_HEX = re.compile(r"^#[0-9a-f]{6}$")
_DARK_SURFACE_L = 0.3
"""Lightness of the lightest dark surface our primary stands on."""
_STEP = 0.005


@dataclass(frozen=True, slots=True)
class Oklch:
    """Lightness 0 to 1, chroma from 0, hue in degrees."""

    lightness: float
    chroma: float
    hue: float


@dataclass(frozen=True, slots=True)
class Palette:
    """The five variables of one mode, as `#rrggbb`."""

    primary: str
    primary_foreground: str
    ring: str
    accent: str
    accent_foreground: str


def is_color(text: str) -> bool:
    """Whether a text is `#rrggbb` in lower case."""
    return bool(_HEX.match(text))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def passes(color: str) -> bool:
    """Whether white text on this colour, and this colour on white, can be read."""
    return contrast(color, WHITE) >= LEAST_CONTRAST


def nearest_passing(color: str) -> str:
    """The colour itself, or the same hue just dark enough to pass."""
    return color if passes(color) else _darkened(color, WHITE)


@lru_cache(maxsize=512)
def palettes(color: str) -> tuple[Palette, Palette]:
    """Light and dark. What is no colour, or was stored before the rule, is mended and never refused here."""
    seed = to_oklch(color if is_color(color) else FALLBACK)
    tint = min(seed.chroma * 0.16, 0.022)
    return _light(seed, tint), _dark(seed, tint)


def sheet(color: str) -> str:
    """The shop's small style sheet."""
    light, dark = palettes(color)
    return f".shop{{{_variables(light)}}}\n@media screen{{.dark .shop{{{_variables(dark)}}}}}\n"


def mark(color: str) -> str:
    """Changes when the sheet does, so that the sheet may be kept for ever."""
    return hashlib.sha256(sheet(color).encode()).hexdigest()[:8]


def to_oklch(color: str) -> Oklch:
    """`#rrggbb` in oklch."""
    red, green, blue = (_linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short
    return Oklch(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def to_hex(color: Oklch) -> str:
    """The colour on a screen; chroma is lowered until the screen can show it."""
    chroma = color.chroma
    while True:
        channels = _channels(Oklch(color.lightness, chroma, color.hue))
        if chroma <= 0 or all(-0.0005 <= value <= 1.0005 for value in channels):
            return "#" + "".join(f"{round(255 * _gamma(min(1.0, max(0.0, value)))):02x}" for value in channels)
        chroma = max(0.0, chroma - _STEP)


def _light(seed: Oklch, tint: float) -> Palette:
    accent = to_hex(Oklch(0.962, tint, seed.hue))
    return Palette(
        primary=_darkened(to_hex(seed), accent),
        primary_foreground=WHITE,
        ring=to_hex(Oklch(0.6, min(seed.chroma, 0.13), seed.hue)),
        accent=accent,
        accent_foreground=to_hex(Oklch(0.38, min(seed.chroma, 0.1), seed.hue)),
    )


def _dark(seed: Oklch, tint: float) -> Palette:
    accent = to_hex(Oklch(_DARK_SURFACE_L, tint * 1.4, seed.hue))
    foreground = to_hex(Oklch(0.21, min(seed.chroma, 0.04), seed.hue))
    lightness, chroma = max(0.76, seed.lightness), min(seed.chroma, 0.115)
    primary = to_hex(Oklch(lightness, chroma, seed.hue))
    while lightness < 1 and min(contrast(primary, accent), contrast(primary, foreground)) < LEAST_CONTRAST:
        lightness += _STEP
        primary = to_hex(Oklch(min(1.0, lightness), chroma, seed.hue))
    return Palette(
        primary=primary,
        primary_foreground=foreground,
        ring=to_hex(Oklch(0.7, min(seed.chroma, 0.11), seed.hue)),
        accent=accent,
        accent_foreground=to_hex(Oklch(0.9, min(seed.chroma, 0.06), seed.hue)),
    )


def _darkened(color: str, surface: str) -> str:
    """The same hue, just dark enough for 4.5:1 on a light surface."""
    start = to_oklch(color)
    lightness = start.lightness
    while lightness > 0 and contrast(color, surface) < LEAST_CONTRAST:
        lightness = max(0.0, lightness - _STEP)
        color = to_hex(Oklch(lightness, start.chroma, start.hue))
    return color


def _variables(palette: Palette) -> str:
    return (
        f"--primary:{palette.primary};--primary-foreground:{palette.primary_foreground};--ring:{palette.ring};"
        f"--accent:{palette.accent};--accent-foreground:{palette.accent_foreground}"
    )


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(color: Oklch) -> tuple[float, float, float]:
    a = color.chroma * math.cos(math.radians(color.hue))
    b = color.chroma * math.sin(math.radians(color.hue))
    long = (color.lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (color.lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (color.lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _gamma(value: float) -> float:
    return value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
