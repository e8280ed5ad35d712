"""Suppliers who sell in another currency: compared and bought at a rate the merchant keeps, booked in the shop's, settled in theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from app.access.models import MemberRole
from app.kernel import clock
from app.suppliers import exchange
from app.suppliers.exchange import NotInOrder, OwnCurrency, RateTerms
from app.suppliers.models import BreakerState, RoutePolicy
from app.suppliers.rules import Candidate, Rate, choose, obstacle
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import routed, settle, source
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

RATE = Rate(UUID(int=9), Decimal("7.1"), 100)


def candidate(number: int, cost: str, currency: str = "CNY", rate: Rate | None = None) -> Candidate:
    return Candidate(
        UUID(int=number), UUID(int=number), Decimal(cost), None, is_on_sale=True, is_on=True, breaker=BreakerState.CLOSED,
        balance=None, position=number, weight=1, currency=currency, rate=rate,
    )  # fmt: skip


def test_offers_are_compared_in_the_shops_currency_and_to_be_safe() -> None:
    own, foreign = candidate(1, "14.30"), candidate(2, "2", "USD", RATE)
    assert foreign.own_cost == Decimal("14.342")  # 2 at 7.1, and one in a hundred to be safe
    for chosen, most in ((own, Decimal(100)), (own, Decimal("14.3"))):
        found = choose([own, foreign], RoutePolicy.CHEAPEST, most_cost=most, tried=frozenset())
        assert found is not None
        assert found.candidate == chosen
    cheaper = candidate(2, "2", "USD", Rate(UUID(int=9), Decimal("7.1"), 0))
    found = choose([own, cheaper], RoutePolicy.CHEAPEST, most_cost=Decimal(100), tried=frozenset())
    assert found is not None
    assert found.candidate == cheaper


def test_without_a_good_rate_an_offer_is_out_of_the_question_and_says_why() -> None:
    assert obstacle(candidate(1, "2", "USD"), most_cost=None) == "no exchange rate of its currency is set"
    old = candidate(1, "2", "USD", Rate(UUID(int=9), Decimal(7), 0, is_good=False))
    assert obstacle(old, most_cost=None) == "the exchange rate of its currency is out of date"
    assert obstacle(candidate(1, "2", "USD", RATE), most_cost=Decimal("14.3")) == "it would leave less than the least margin"
    assert obstacle(candidate(1, "2", "USD", RATE), most_cost=Decimal("14.342")) is None


@pytest.fixture(scope="module")
def one_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("abroad"), "tango") as company:
        yield company


@pytest.fixture
def company(one_company: SupplierSimulator) -> SupplierSimulator:
    one_company.clear_script()
    one_company.conduct(state="up", latency_ms=0, decide_ms=0)
    return one_company


async def set_rate(world: World, rate: str, **terms: int) -> None:
    async with tenant_session(world.tenant) as session:
        await exchange.set_rate(session, RateTerms("USD", Decimal(rate), None, **terms), actor=STAFF)
    await world.work()


async def on_shelf(world: World) -> tuple[bool, str]:
    row = (await world.rows("select s.available > 0 as is_on, r.shelf_reason from stock s join supply_route r using (sku_id)"))[0]
    return row["is_on"], row["shelf_reason"]


@pytest.mark.anyio
@pytest.mark.database
async def test_goods_bought_abroad_are_sold_booked_and_settled(world: World, company: SupplierSimulator) -> None:
    abroad = await source(world, company, cost="2", currency="USD")
    product = await routed(world, abroad)
    assert await on_shelf(world) == (False, "no exchange rate of its currency is set")
    await set_rate(world, "7.1", safety_bp=100)
    assert await on_shelf(world) == (True, "")
    await world.bought(product.skus[0].listing.id)
    await settle(world)
    attempt = (await world.rows("select expected_cost, currency, rate, rate_id, out_no from attempt"))[0]
    assert (attempt["expected_cost"], attempt["currency"], attempt["rate"]) == (Decimal(2), "USD", Decimal("7.1"))
    assert await world.value("select rate from exchange_rate where id = $1", attempt["rate_id"]) == Decimal("7.1")
    assert await world.value("select unit_cost from delivery_unit") == Decimal("14.2"), "without what was put on to be safe"
    assert await world.rows("select amount_minor, currency from transfer where kind = 'cost_of_goods'") == [
        {"amount_minor": 1420, "currency": "CNY"}
    ]
    owner = await staff(world)
    assert "¥14.20" in words((await owner.get("/profit")).text)
    await set_rate(world, "7.3")
    assert await world.value("select rate from attempt") == Decimal("7.1"), "what was bought keeps its rate"


@pytest.mark.anyio
@pytest.mark.database
async def test_a_rate_that_rises_past_the_margin_or_grows_old_takes_goods_off_the_shelf(
    world: World, company: SupplierSimulator
) -> None:
    await routed(world, await source(world, company, cost="2", currency="USD"))
    await set_rate(world, "7.1")
    assert (await on_shelf(world))[0]
    await set_rate(world, "9.96")
    assert await on_shelf(world) == (False, "it would leave less than the least margin")
    await set_rate(world, "7.2", good_days=1)
    assert (await on_shelf(world))[0]
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update exchange_rate set valid_until = now() - interval '1 second', valid_from = now() - interval '2 days'"
        )
        await tx.execute("update task set run_at = now() where kind = 'suppliers.turn_rate'")
    await world.work()
    assert await on_shelf(world) == (False, "the exchange rate of its currency is out of date")
    owner = await staff(world)
    assert "The rate of USD is out of date" in words((await owner.get("/exchange-rates")).text)
    sku = await world.value("select sku_id from supply_route")
    assert "Cannot serve: the exchange rate of its currency is out of date" in words((await owner.get(f"/skus/{sku}/route")).text)


@pytest.mark.anyio
@pytest.mark.database
async def test_a_rate_to_come_waits_for_its_day(world: World, company: SupplierSimulator) -> None:
    await routed(world, await source(world, company, cost="2", currency="USD"))
    async with tenant_session(world.tenant) as session:
        later = RateTerms("USD", Decimal(7), clock.now() + timedelta(days=2))
        await exchange.set_rate(session, later, actor=STAFF)
        for wrong, refusal in (
            (RateTerms("CNY", Decimal(1)), OwnCurrency),
            (RateTerms("USD", Decimal(7), clock.now() - timedelta(days=1)), NotInOrder),
            (RateTerms("USD", Decimal(7), clock.now() + timedelta(days=999)), NotInOrder),
        ):
            with pytest.raises(refusal):
                await exchange.set_rate(session, wrong, actor=STAFF)
    await world.work()
    assert not (await on_shelf(world))[0]
    assert await world.value("select count(*) from exchange_rate") == 1


@pytest.mark.anyio
@pytest.mark.database
async def test_the_page_takes_a_rate_says_every_fault_and_keeps_to_roles(world: World) -> None:
    owner, path = await staff(world), "/exchange-rates"
    assert "No rate yet" in words((await owner.get(path)).text)
    answer = await owner.post(path, {"currency": "dollars", "rate": "0", "safety": "99", "good_days": "0", "begins": "soon"})
    assert answer.status_code == 422
    for name in ("currency", "rate", "safety", "good_days", "begins"):
        assert f'id="f-{name}-error"' in answer.text, name
    assert 'value="dollars"' in answer.text
    for wrong, sentence in (
        ({"currency": "CNY"}, "needs no rate"),
        ({"begins": "2020-01-01"}, "begins now or within a year"),
        ({"begins": "2199-01-01"}, "begins now or within a year"),
        ({"rate": "NaN"}, "Type a rate such as 7.1032"),
        ({"rate": "7.1.2"}, "Type a rate such as 7.1032"),
    ):
        answer = await owner.post(path, {"currency": "USD", "rate": "7.1"} | wrong)
        assert answer.status_code == 422, wrong
        assert sentence in words(answer.text), wrong
    for _ in range(2):
        assert (await owner.post(path, {"currency": "usd", "rate": "7.1032", "safety": "1.5"})).status_code == 303
    shown = words((await owner.get(path)).text)
    assert "¥7.1032" in shown
    assert "In force" in shown
    assert await world.value("select count(*) from audit_entry where action = 'exchange_rate.set'") == 2
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.post(path, {"currency": "USD", "rate": "7.1"})).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert "No rate yet" in words((await stranger.get(path)).text)
