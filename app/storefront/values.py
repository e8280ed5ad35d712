"""The face value a buyer chooses of what is sold by any of a range: how it is typed, and what is said when it is not one of them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from app.kernel.errors import N_
from app.kernel.i18n import format_money, gettext
from app.kernel.money import parse_minor
from app.ordering.rules import Offered


def field_name(listing_id: UUID) -> str:
    """The field a value of this listing is typed in."""
    return f"value-{listing_id}"


def read(offered: Offered, given: Callable[[str, str], str]) -> tuple[Offered, dict[str, str]]:
    """The offer at the value that was typed for it, and what is wrong with that value, by field. What is not sold by value is as it was."""
    values = offered.values
    if values is None:
        return offered, {}
    typed = given(field_name(offered.listing_id), "")
    value = parse_minor(typed)
    if value is not None and values.holds(value):
        return offered.at(value), {}
    return offered, {field_name(offered.listing_id): _sentence(offered, typed, value)}


def _sentence(offered: Offered, typed: str, value: int | None) -> str:
    values = offered.values
    assert values is not None
    least, most, step = (format_money(n, values.currency) for n in (values.least_minor, values.greatest_minor, values.step_minor))
    if not typed.strip():
        return gettext(_MISSING) % {"least": least, "most": most}
    if value is None:
        return gettext(_NOT_A_VALUE) % {"least": least, "most": most}
    if not values.least_minor <= value <= values.greatest_minor:
        return gettext(_OUTSIDE) % {"least": least, "most": most}
    below, above = (format_money(n, values.currency) for n in values.beside(value))
    return gettext(_BETWEEN) % {"step": step, "below": below, "above": above}


_MISSING = N_("Say how much: from %(least)s to %(most)s.")
_NOT_A_VALUE = N_("Type a value in figures, from %(least)s to %(most)s.")
_OUTSIDE = N_("Choose a value from %(least)s to %(most)s.")
_BETWEEN = N_("Values go in steps of %(step)s: take %(below)s or %(above)s.")
