"""Which supplier serves, when the breaker moves, what a mark-up makes of a cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.suppliers.models import BREAKER_EDGES, BreakerState, RoutePolicy
from app.suppliers.rules import (
    CLOSES_AFTER,
    OPEN_FOR_S,
    Candidate,
    Recent,
    choose,
    most_cost,
    next_breaker,
    obstacle,
    price_with_markup,
)


def candidate(cost: str = "10", **changes: Any) -> Candidate:
    plain: dict[str, Any] = {
        "offer_id": uuid4(),
        "connection_id": uuid4(),
        "unit_cost": Decimal(cost),
        "stock": None,
        "is_on_sale": True,
        "is_on": True,
        "breaker": BreakerState.CLOSED,
        "balance": None,
        "position": 0,
        "weight": 1,
    }
    return Candidate(**{**plain, **changes})


def chosen(candidates: list[Candidate], policy: RoutePolicy, *, tried: frozenset[UUID] = frozenset(), draw: int = 0) -> Any:
    found = choose(candidates, policy, most_cost=None, tried=tried, draw=draw)
    return found.candidate if found else None


def test_each_policy_chooses_by_its_own_measure() -> None:
    dear = candidate("12", position=0, p95_ms=300)
    cheap = candidate("9", position=1, p95_ms=3000)
    assert chosen([dear, cheap], RoutePolicy.CHEAPEST) is cheap
    assert chosen([dear, cheap], RoutePolicy.FASTEST) is dear
    assert chosen([cheap, dear], RoutePolicy.FIXED_ORDER) is dear


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"is_on": False}, "switched off"),
        ({"breaker": BreakerState.OPEN}, "failing"),
        ({"is_on_sale": False}, "does not sell"),
        ({"stock": 0}, "none left"),
        ({"balance": Decimal(9)}, "balance"),
        ({"unit_cost": Decimal(16)}, "margin"),
    ],
)
def test_every_obstacle_is_named_and_sends_the_unit_elsewhere(changes: dict[str, Any], says: str) -> None:
    stopped, able = candidate(**changes), candidate("11")
    assert says in str(obstacle(stopped, most_cost=Decimal(15)))
    found = choose([stopped, able], RoutePolicy.CHEAPEST, most_cost=Decimal(15), tried=frozenset())
    assert found is not None
    assert found.candidate is able
    assert [offer_id for offer_id, _ in found.passed_over] == [stopped.offer_id]


def test_who_refused_a_unit_is_not_asked_for_it_again() -> None:
    first, second = candidate("9"), candidate("10")
    assert chosen([first, second], RoutePolicy.CHEAPEST, tried=frozenset({first.offer_id})) is second
    assert chosen([first], RoutePolicy.CHEAPEST, tried=frozenset({first.offer_id})) is None


def test_a_supplier_on_trial_serves_only_where_nobody_healthy_does() -> None:
    trial, healthy = candidate("5", breaker=BreakerState.HALF_OPEN), candidate("10")
    assert chosen([trial, healthy], RoutePolicy.CHEAPEST) is healthy
    assert chosen([trial], RoutePolicy.CHEAPEST) is trial


@given(weights=some.lists(some.integers(1, 1000), min_size=1, max_size=6))
def test_a_weighted_draw_gives_each_its_exact_share(weights: list[int]) -> None:
    rivals = [candidate(weight=weight, position=place) for place, weight in enumerate(weights)]
    drawn = [chosen(rivals, RoutePolicy.WEIGHTED, draw=draw).offer_id for draw in range(sum(weights))]
    assert [drawn.count(rival.offer_id) for rival in rivals] == weights


def test_the_least_margin_bounds_the_cost() -> None:
    assert most_cost(1990, 1000) == Decimal("17.910000")
    assert most_cost(1990, 0) == Decimal("19.900000")


@given(
    cost=some.decimals(Decimal("0.000001"), Decimal(100000), places=6),
    markup=some.integers(0, 50_000),
    ending=some.none() | some.integers(0, 99),
)
def test_a_marked_up_price_never_lies_under_its_cost_and_ends_as_wanted(cost: Decimal, markup: int, ending: int | None) -> None:
    price = price_with_markup(cost, markup_bp=markup, add_minor=0, ending_minor=ending)
    assert Decimal(price) / 100 >= cost
    assert ending is None or price % 100 == ending or price == 1


def test_the_breaker_opens_on_many_failures_and_closes_only_after_several_successes() -> None:
    state = BreakerState.CLOSED
    state = next_breaker(0, state, Recent(4, 0, 0))
    assert state is BreakerState.CLOSED
    state = next_breaker(0, state, Recent(5, 2, 0))
    assert state is BreakerState.OPEN
    assert next_breaker(OPEN_FOR_S - 1, state, Recent(0, 0, 0)) is BreakerState.OPEN
    state = next_breaker(OPEN_FOR_S, state, Recent(0, 0, 0))
    assert state is BreakerState.HALF_OPEN
    assert next_breaker(0, state, Recent(1, 1, 1)) is BreakerState.HALF_OPEN
    assert next_breaker(0, state, Recent(1, 0, 0)) is BreakerState.OPEN
    assert next_breaker(0, state, Recent(1, 1, CLOSES_AFTER)) is BreakerState.CLOSED


@given(
    open_s=some.floats(0, 1000),
    state=some.sampled_from(BreakerState),
    calls=some.integers(0, 50),
    well=some.integers(0, 50),
    row=some.integers(0, 5),
)
def test_the_breaker_moves_only_along_its_edges(open_s: float, state: BreakerState, calls: int, well: int, row: int) -> None:
    after = next_breaker(open_s, state, Recent(calls, min(well, calls), row))
    assert after is state or after in BREAKER_EDGES[state]
