"""How the dashboard puts its figures: comparisons in words, scales of charts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.kernel import i18n
from app.kernel.errors import N_
from app.ordering.filters import Period

_COMPARED = {
    Period.TODAY: (
        N_("%(change)s more than yesterday by now"),
        N_("%(change)s less than yesterday by now"),
        N_("As much as yesterday by now"),
        N_("Nothing yesterday by now"),
    ),
    Period.YESTERDAY: (
        N_("%(change)s more than the day before"),
        N_("%(change)s less than the day before"),
        N_("As much as the day before"),
        N_("Nothing the day before"),
    ),
    Period.WEEK: (
        N_("%(change)s more than the 7 days before"),
        N_("%(change)s less than the 7 days before"),
        N_("As much as the 7 days before"),
        N_("Nothing in the 7 days before"),
    ),
    Period.MONTH: (
        N_("%(change)s more than the 30 days before"),
        N_("%(change)s less than the 30 days before"),
        N_("As much as the 30 days before"),
        N_("Nothing in the 30 days before"),
    ),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A comparison in words, and whether it is good news: `up`, `down` or `dim`."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The upper end of a chart's axis and the values of its grid lines, from the top down to above zero."""

    top: int
    lines: tuple[int, ...]


def compared(now: int, before: int, period: Period) -> Change:
    """How an amount or number stands against the same stretch before, as a percentage of that."""
    more, less, same, nothing = _COMPARED[period]
    if before == 0:
        return Change(i18n.gettext(nothing) if now else i18n.gettext(same), "dim")
    if now == before:
        return Change(i18n.gettext(same), "dim")
    basis_points = abs(now - before) * 10_000 // before
    shown = i18n.format_percent(basis_points // 10 * 10 if basis_points >= 10 else basis_points)
    return Change(i18n.gettext(more if now > before else less) % {"change": shown}, "up" if now > before else "down")


def scale(*series: Sequence[int]) -> Scale:
    """An axis that holds every value, its four lines at round numbers."""
    most = max((value for values in series for value in values), default=0)
    step = 1
    while step * 4 < most:
        step = _next_round(step)
    return Scale(step * 4, tuple(step * n for n in (4, 3, 2, 1)))


def _next_round(step: int) -> int:
    """1, 2, 5, 10, 20, 50, …"""
    digits = str(step)
    power = len(digits) - 1
    return {"1": 2, "2": 5, "5": 10}[digits[0]] * int("1" + "0" * power)
