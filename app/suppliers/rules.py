"""Which supplier serves a unit, purely: from offers, their health and the route's policy to an order of candidates, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

from app.kernel.errors import N_
from app.kernel.money import CNY
from app.suppliers.models import BreakerState, RoutePolicy

_SLOWEST_MS = 600_000
_FINEST = Decimal("0.000001")
TOO_DEAR = N_("it would leave less than the least margin")


@dataclass(frozen=True, slots=True)
class Rate:
    """What 1 of a supplier's currency costs in the shop's; `is_good` while it is not out of date."""

    id: UUID
    rate: Decimal
    safety_bp: int
    is_good: bool = True

    @property
    def safe(self) -> Decimal:
        """The rate costs are compared by."""
        return self.rate * (10_000 + self.safety_bp) / 10_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer that may serve a SKU, as it stands this moment. `success_bp` and `p95_ms` come from real calls; None where there were none."""

    offer_id: UUID
    connection_id: UUID
    unit_cost: Decimal
    stock: int | None
    is_on_sale: bool
    is_on: bool
    breaker: BreakerState
    balance: Decimal | None
    position: int
    weight: int
    success_bp: int | None = None
    p95_ms: int | None = None
    currency: str = CNY
    rate: Rate | None = None
    """Of its currency, where that is not the shop's."""
    sells: Values | None = None
    """The face values it is sold by, at `unit_cost` for 1 of value until it is asked for one of them; None for one thing at one cost."""
    face_value_minor: int | None = None
    fits: bool = True
    """Whether it is sold at the face value it was asked for."""

    @property
    def own_cost(self) -> Decimal:
        """Its cost in the shop's currency, to be safe: what offers and prices are compared by."""
        return self.unit_cost * self.rate.safe if self.rate else self.unit_cost

    def at(self, value_minor: int | None, *, chosen_in: str | None = None) -> Candidate:
        """This offer for one unit of a face value.

        One thing at one cost serves whatever SKU it was put on; a value that a buyer chose, in the currency `chosen_in`, only if it is of that value.
        """
        is_foreign = chosen_in not in (None, self.currency)
        if self.sells is None:
            return replace(self, fits=chosen_in is None or (not is_foreign and self.face_value_minor == value_minor))
        if is_foreign or value_minor is None or not self.sells.holds(value_minor):
            return replace(self, fits=False)
        return replace(self, unit_cost=(self.unit_cost * value_minor / 100).quantize(_FINEST), sells=None, fits=True)


@dataclass(frozen=True, slots=True)
class Values:
    """The face values a supplier sells, in minor units; None where it names no step or no greatest."""

    least_minor: int
    most_minor: int | None
    step_minor: int | None

    def holds(self, value_minor: int) -> bool:
        """Whether it sells this one."""
        is_inside = self.least_minor <= value_minor and (self.most_minor is None or value_minor <= self.most_minor)
        return is_inside and (value_minor - self.least_minor) % (self.step_minor or 1) == 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Who serves a unit and why. `says` is a msgid; the order page shows it with the rivals that were passed over."""

    candidate: Candidate
    says: str
    passed_over: tuple[tuple[UUID, str], ...]


def obstacle(candidate: Candidate, *, most_cost: Decimal | None) -> str | None:
    """Why an offer cannot serve this moment, as a msgid; None when it can."""
    if not candidate.is_on:
        return N_("its connection is switched off")
    if candidate.currency != CNY and candidate.rate is None:
        return N_("no exchange rate of its currency is set")
    if candidate.rate is not None and not candidate.rate.is_good:
        return N_("the exchange rate of its currency is out of date")
    if candidate.breaker is BreakerState.OPEN:
        return N_("its supplier is failing")
    if not candidate.fits:
        return N_("its supplier does not sell this face value")
    if not candidate.is_on_sale:
        return N_("its supplier does not sell it")
    if candidate.stock == 0:
        return N_("its supplier has none left")
    if candidate.balance is not None and candidate.balance < candidate.unit_cost:
        return N_("our balance there is too low")
    if most_cost is not None and candidate.own_cost > most_cost:
        return TOO_DEAR
    return None


def is_uncounted(candidates: Sequence[Candidate], *, most_cost: Decimal | None) -> bool:
    """Whether somebody who could serve does not count what he has left: the stock then says nothing."""
    return any(one.stock is None and obstacle(one, most_cost=most_cost) is None for one in candidates)


def most_cost(price_minor: int, floor_bp: int) -> Decimal:
    """What a unit may cost at most, in major units, so that `floor_bp` of its price is left. Prices have two decimals."""
    price = Decimal(price_minor) / 100
    return (price * (10_000 - floor_bp) / 10_000).quantize(Decimal("0.000001"))


def choose(
    candidates: Sequence[Candidate], policy: RoutePolicy, *, most_cost: Decimal | None, tried: frozenset[UUID], draw: int = 0
) -> Choice | None:
    """The offer that serves a unit, or None when none can. `tried` are offers that refused it; `draw` is a random number for the weighted policy."""
    passed = [(c.offer_id, N_("it refused this unit")) for c in candidates if c.offer_id in tried]
    rivals = [c for c in candidates if c.offer_id not in tried]
    passed += [(c.offer_id, why) for c in rivals if (why := obstacle(c, most_cost=most_cost))]
    able = [c for c in rivals if obstacle(c, most_cost=most_cost) is None]
    if not able:
        return None
    healthy = [c for c in able if c.breaker is BreakerState.CLOSED] or able
    chosen, says = _by_policy(healthy, policy, draw)
    return Choice(chosen, says, tuple(passed))


def _by_policy(able: Sequence[Candidate], policy: RoutePolicy, draw: int) -> tuple[Candidate, str]:
    match policy:
        case RoutePolicy.CHEAPEST:
            return min(able, key=lambda c: (c.own_cost, -(c.success_bp or 0), c.position)), N_("the cheapest that is healthy")
        case RoutePolicy.FASTEST:
            return min(able, key=lambda c: (c.p95_ms or _SLOWEST_MS, c.own_cost, c.position)), N_("the fastest by its last calls")
        case RoutePolicy.FIXED_ORDER:
            return min(able, key=lambda c: c.position), N_("the first of the fixed order that can serve")
        case RoutePolicy.WEIGHTED:
            return _weighted(able, draw), N_("drawn by weight")


def _weighted(able: Sequence[Candidate], draw: int) -> Candidate:
    place = draw % sum(c.weight for c in able)
    for candidate in sorted(able, key=lambda c: c.position):
        place -= candidate.weight
        if place < 0:
            return candidate
    raise AssertionError("the weights sum to more than the draw")


def price_with_markup(unit_cost: Decimal, *, markup_bp: int, add_minor: int, ending_minor: int | None = None) -> int:
    """A price in minor units: cost, plus a share in basis points, plus a fixed part, rounded up; then up to the next price with the wanted ending."""
    minor = int((unit_cost * 100 * (10_000 + markup_bp) / 10_000).to_integral_value(ROUND_CEILING)) + add_minor
    if ending_minor is not None:
        minor += (ending_minor - minor) % 100
    return max(1, minor)


# Readings of catalogs -------------------------------------------------------------------------------------------------

OVERLAP = timedelta(minutes=2)
"""Changes are asked for from a little before the last reading on, for clocks that differ."""
WHOLE_EVERY_S = 3_600
"""The first reading of each hour is whole: it finds what left the catalog without a word, and what a clock further off has hidden."""


def changes_since(last: datetime | None, *, configured_at: datetime, started: datetime) -> datetime | None:
    """From when on a reading that begins now asks for changes; None where it reads everything.

    `last` is when the last complete reading began: what changed while it went on is asked for again.
    """
    if last is None or last <= configured_at:
        return None
    if last.timestamp() // WHOLE_EVERY_S != started.timestamp() // WHOLE_EVERY_S:
        return None
    return last - OVERLAP


# The breaker ----------------------------------------------------------------------------------------------------------

TRIPS_AT_CALLS = 5
TRIPS_UNDER_BP = 5_000
OPEN_FOR_S = 30
CLOSES_AFTER = 3
"""Successes in a row while half open."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What the last minute of calls to a connection came to: answered well, failed or unanswered; and the last in a row that went well."""

    calls: int
    well: int
    well_in_a_row: int


def tries_again_after_s(failed_tries: int) -> int:
    """How long a breaker stays open: half a minute, twice as long after each try that failed, eight minutes at most."""
    return int(OPEN_FOR_S * 2 ** min(failed_tries, 4))


def next_breaker(now_open_s: float, breaker: BreakerState, recent: Recent) -> BreakerState:
    """What the breaker becomes. It opens on many failures, tries again after a while, and closes only after several successes: no flapping.

    A definite refusal, such as "out of stock", is an answer given well: it says nothing against the interface.
    """
    failing = recent.calls >= TRIPS_AT_CALLS and recent.well * 10_000 < recent.calls * TRIPS_UNDER_BP
    match breaker:
        case BreakerState.CLOSED:
            return BreakerState.OPEN if failing else breaker
        case BreakerState.OPEN:
            return BreakerState.HALF_OPEN if now_open_s >= OPEN_FOR_S else breaker
        case BreakerState.HALF_OPEN:
            if recent.well_in_a_row >= CLOSES_AFTER:
                return BreakerState.CLOSED
            return BreakerState.OPEN if recent.calls and recent.well_in_a_row == 0 else breaker


# What is seen before it fails ------------------------------------------------------------------------------------------

BROWN_OUT_CALLS = 5
BROWN_OUT_UNDER_BP = 8_000
WELL_AGAIN_BP = 9_500
TOO_SLOW_MS = 10_000
_HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True)
class Calls:
    """What some minutes of calls for one offer came to; `p95_ms` is the bound under which 95 of 100 were answered."""

    calls: int
    well: int
    p95_ms: int | None


def is_brown_out(recent: Calls) -> bool:
    """Whether an offer is answered so badly that somebody should know: under 80 of 100, or slower than is counted."""
    if recent.calls < BROWN_OUT_CALLS:
        return False
    return recent.well * 10_000 < recent.calls * BROWN_OUT_UNDER_BP or (recent.p95_ms or 0) > TOO_SLOW_MS


def is_over(recent: Calls, *, is_quiet: bool) -> bool:
    """Whether a brown-out is over: answered well again for some calls, or not called for long. Between the two lines it stays as it is."""
    if is_quiet:
        return True
    return recent.calls >= 3 and recent.well * 10_000 >= recent.calls * WELL_AGAIN_BP and (recent.p95_ms or 0) <= TOO_SLOW_MS


def hours_left(left: Decimal, in_a_day: Decimal, in_an_hour: Decimal) -> Decimal | None:
    """For how many hours a balance lasts at the faster of two paces: of the last day, and of the last hour. None where nothing is spent."""
    an_hour = max(in_a_day / _HOURS_A_DAY, in_an_hour)
    return left / an_hour if an_hour > 0 else None


def bound_words(p95_ms: int | None) -> str:
    """A bound of calls' times, for a message."""
    if p95_ms is None:
        return "–"
    return "> 10 s" if p95_ms > TOO_SLOW_MS else f"≤ {p95_ms / 1000:g} s"
