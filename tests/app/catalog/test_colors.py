"""A shop's colour: what passes, and what is offered for what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.colors import LEAST, PAPER, contrast, nearest_passing, parse_color, sheet, tokens

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_contrast_of_black_and_white_is_twenty_one() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@given(COLORS)
def test_what_is_offered_always_passes(color: str) -> None:
    assert contrast(nearest_passing(color, PAPER), PAPER) >= LEAST
    assert contrast(nearest_passing(color, PAPER), "#ffffff") >= LEAST
    assert contrast(nearest_passing(color, "#101314"), "#101314") >= LEAST


@given(COLORS)
def test_a_colour_that_passes_is_kept_as_it_is(color: str) -> None:
    if contrast(color, PAPER) >= LEAST:
        assert nearest_passing(color, PAPER) == color


def test_a_pale_yellow_is_offered_a_dark_one_of_its_hue() -> None:
    offered = nearest_passing("#ffe066", PAPER)
    red, green, blue = (int(offered[i : i + 2], 16) for i in (1, 3, 5))
    assert red > green > blue
    assert contrast(offered, PAPER) < LEAST + 0.2


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("#9A3B1B", "#9a3b1b"),
        ("9a3b1b", "#9a3b1b"),
        (" #abc ", "#aabbcc"),
        ("red", None),
        ("#12345", None),
        ("#12345g", None),
        ("", None),
    ],
)
def test_colours_are_read_as_people_type_them(typed: str, read: str | None) -> None:
    assert parse_color(typed) == read


@given(COLORS)
def test_a_sheet_changes_five_variables_a_mode_and_nothing_else(color: str) -> None:
    assert {mode: len(values) for mode, values in tokens(color).items()} == {"light": 5, "dark": 5}
    text = sheet(nearest_passing(color, PAPER), ".shop")
    assert text.count("{") == text.count("}") == 3
    assert "nan" not in text


@given(COLORS)
def test_what_a_shop_is_drawn_with_can_be_read_in_both_modes(color: str) -> None:
    surfaces = {"light": ("#ffffff", PAPER), "dark": ("#12110f", "#1d1a17")}
    for mode, values in tokens(color).items():
        assert contrast(values["--primary"], values["--primary-foreground"]) >= LEAST
        assert contrast(values["--accent"], values["--accent-foreground"]) >= LEAST
        for surface in (*surfaces[mode], values["--accent"]):
            assert contrast(values["--primary"], surface) >= LEAST
