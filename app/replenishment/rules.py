"""How many to ask for, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from app.replenishment.models import MOST_UNITS, ReplenishmentState

COVER_DAYS = 14
"""What is asked for lasts about so many days at the speed of late."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a SKU stands: units that can be sold, the number below which a warning goes out, what is sold a day, and what is asked for already."""

    available: int
    threshold: int
    per_day: Decimal
    coming: int = 0


def units_wanted(standing: Standing) -> int:
    """What fills the shelf up to two weeks' sales, or to where no warning goes out, whichever is more; at least one."""
    cover = int((standing.per_day * COVER_DAYS).to_integral_value(ROUND_CEILING))
    missing = max(standing.threshold, cover) - standing.available - standing.coming
    return max(1, min(missing, MOST_UNITS))


def state_after(state: ReplenishmentState, counted: Sequence[tuple[int, int]]) -> ReplenishmentState:
    """Where a replenishment stands once its lines, each as promised and received, were counted. More than was promised is received, too."""
    if all(received >= promised for promised, received in counted):
        return ReplenishmentState.DONE
    if any(received for _, received in counted):
        return ReplenishmentState.PARTLY_RECEIVED
    return state
