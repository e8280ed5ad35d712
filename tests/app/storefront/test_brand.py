"""A shop's colours can be read, whatever its merchant picked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storefront import brand

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
LIGHT_SURFACES = ("#ffffff", "#faf9f7")
DARK_SURFACES = ("#12110f", "#1d1a17")


@pytest.mark.parametrize(
    ("color", "is_enough"),
    [("#9a3b1b", True), ("#000000", True), ("#767676", True), ("#777777", False), ("#ffff00", False), ("#ffffff", False)],
)
def test_which_colours_pass(color: str, is_enough: bool) -> None:
    assert brand.passes(color) is is_enough


def test_a_colour_that_passes_is_kept_as_it_is() -> None:
    assert brand.nearest_passing("#9a3b1b") == "#9a3b1b"
    assert brand.palettes("#9a3b1b")[0].primary == "#9a3b1b"


@given(COLORS)
def test_every_colour_has_a_neighbour_of_its_hue_that_passes(color: str) -> None:
    assert brand.passes(brand.nearest_passing(color))


@given(COLORS)
def test_what_is_derived_can_be_read_in_both_modes(color: str) -> None:
    light, dark = brand.palettes(color)
    for palette, surfaces in ((light, LIGHT_SURFACES), (dark, DARK_SURFACES)):
        assert brand.contrast(palette.primary, palette.primary_foreground) >= brand.LEAST_CONTRAST
        assert brand.contrast(palette.accent, palette.accent_foreground) >= brand.LEAST_CONTRAST
        for surface in (*surfaces, palette.accent):
            assert brand.contrast(palette.primary, surface) >= brand.LEAST_CONTRAST


@given(COLORS)
def test_a_colour_survives_the_way_to_oklch_and_back(color: str) -> None:
    there = brand.to_hex(brand.to_oklch(color))
    assert all(abs(int(color[i : i + 2], 16) - int(there[i : i + 2], 16)) <= 2 for i in (1, 3, 5))


@pytest.mark.parametrize("stored", ["red", "", "#fff", "}body{display:none", "#9A3B1B;"])
def test_what_is_no_colour_becomes_the_house_colour_and_never_css(stored: str) -> None:
    assert brand.sheet(stored) == brand.sheet(brand.FALLBACK)
