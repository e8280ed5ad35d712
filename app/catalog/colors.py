"""A shop's own colour: whether it can be read, the nearest one that can, and the tokens its pages are drawn with. Pure.

Source of the contrast ratio: WCAG 2.2, definitions of relative luminance and contrast ratio. Source of OKLCH: CSS Color 4, §9 and §10.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

PAPER = "#fbf9f6"
"""The shop's page colour in light mode, a little darker than white: what can be read on it can be read on white."""
LEAST = 4.5

_HEX = re.compile(r"^#[0-9a-f]{6}$")
_STEPS = 24


def parse_color(text: str) -> str | None:
    """`#rrggbb` in lower case, also from `RRGGBB` and `#rgb`; None when it is not a colour."""
    plain = text.strip().lower().removeprefix("#")
    if len(plain) == 3:
        plain = "".join(sign * 2 for sign in plain)
    return f"#{plain}" if _HEX.match(f"#{plain}") else None


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours: 1 for equal ones, 21 for black on white."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def passes(color: str) -> bool:
    """Whether white text on this colour, and this colour on white paper, can be read."""
    return contrast(color, "#ffffff") >= LEAST


def nearest_passing(color: str, against: str = "#ffffff", least: float = LEAST) -> str:
    """The colour itself when its contrast is enough, else the same hue made just dark (or light) enough."""
    if contrast(color, against) >= least:
        return color
    tone = _tone_of(color)
    end = 0.0 if _luminance(against) > 0.18 else 1.0
    fails, passes = tone.lightness, end
    for _ in range(_STEPS):
        middle = (fails + passes) / 2
        if contrast(_hex_of(Tone(middle, tone.chroma, tone.hue)), against) >= least:
            passes = middle
        else:
            fails = middle
    return _hex_of(Tone(passes, tone.chroma, tone.hue))


def tokens(color: str) -> dict[str, dict[str, str]]:
    """The five variables a shop changes, for `light` and `dark`, as `#rrggbb`.

    Text on the primary colour, and the primary colour on page, card and accent, have a contrast of 4.5 and more in both modes; a colour
    that does not reach it, or was stored before the rule, is moved to the nearest of its hue that does.
    """
    tone = _tone_of(color)
    soft = min(tone.chroma * 0.16, 0.022)
    light_accent, dark_accent = _toned(tone, 0.962, soft), _toned(tone, 0.3, soft * 1.4)
    dark_ink = _toned(tone, 0.21, 0.04)
    light = {
        "--primary": nearest_passing(color, light_accent),
        "--primary-foreground": "#ffffff",
        "--ring": _toned(tone, min(tone.lightness + 0.12, 0.6), 0.13),
        "--accent": light_accent,
        "--accent-foreground": _toned(tone, 0.38, 0.1),
    }
    dark = {
        "--primary": nearest_passing(nearest_passing(_toned(tone, 0.78, 0.115), dark_accent), dark_ink),
        "--primary-foreground": dark_ink,
        "--ring": _toned(tone, 0.7, 0.11),
        "--accent": dark_accent,
        "--accent-foreground": _toned(tone, 0.9, 0.05),
    }
    return {"light": light, "dark": dark}


@lru_cache(maxsize=512)
def sheet(color: str, scope: str) -> str:
    """A style sheet that gives `scope` (a selector of ours, such as `.shop`) a shop's colour in both modes."""
    rules = {mode: ";".join(f"{name}:{value}" for name, value in values.items()) for mode, values in tokens(color).items()}
    return f"{scope}{{{rules['light']}}}\n@media screen{{.dark {scope}{{{rules['dark']}}}}}\n"


@dataclass(frozen=True, slots=True)
class Tone:
    """A colour in OKLCH: lightness 0 to 1, chroma, hue in degrees."""

    lightness: float
    chroma: float
    hue: float


def _toned(tone: Tone, lightness: float, most_chroma: float) -> str:
    """The same hue at another lightness; chroma gives way until a screen can show it."""
    chroma = min(tone.chroma, most_chroma)
    while chroma > 0 and not all(-0.0005 <= value <= 1.0005 for value in _channels(Tone(lightness, chroma, tone.hue))):
        chroma = max(0.0, chroma - 0.005)
    return _hex_of(Tone(lightness, chroma, tone.hue))


def _luminance(color: str) -> float:
    red, green, blue = _linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(color: str) -> tuple[float, float, float]:
    assert _HEX.match(color), color
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return _to_linear(red), _to_linear(green), _to_linear(blue)


def _to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else math.pow((value + 0.055) / 1.055, 2.4)


def _to_sign(value: float) -> int:
    clipped = min(1.0, max(0.0, value))
    shown = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * math.pow(clipped, 1 / 2.4) - 0.055
    return round(shown * 255)


def _tone_of(color: str) -> Tone:
    red, green, blue = _linear(color)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short
    return Tone(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def _hex_of(tone: Tone) -> str:
    red, green, blue = _channels(tone)
    return f"#{_to_sign(red):02x}{_to_sign(green):02x}{_to_sign(blue):02x}"


def _channels(tone: Tone) -> tuple[float, float, float]:
    """Linear red, green and blue; outside 0 to 1 where no screen can show it."""
    a, b = tone.chroma * math.cos(math.radians(tone.hue)), tone.chroma * math.sin(math.radians(tone.hue))
    long = (tone.lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (tone.lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (tone.lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
