"""Subscriptions: each cycle delivered once on its day, money counted when it is, cancelled without losing what is paid, renewed, over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from app.aftersales.models import RemedyKind
from app.catalog import plans
from app.catalog.models import CycleUnit, DeliveryKind, Product
from app.catalog.plans import Plan, cycle_starts, cycles_until
from app.fulfillment import handing, revealing
from app.fulfillment import service as fulfillment
from app.fulfillment.handing import Handed
from app.inventory import service as inventory
from app.kernel import clock
from app.ordering import placing, subscribing
from app.ordering import service as ordering
from app.ordering.placing import OfferChanged, Placed
from app.ordering.subscribing import NothingToCancel
from app.payments import refunding
from app.payments import service as payments
from tenants.session import tenant_session, tenant_tx
from tests.app.aftersales.cases import BUYER, reported
from tests.app.aftersales.cases import units as units_of
from tests.app.aftersales.test_remedies import decide
from tests.app.fulfillment.supply import order_state, refund, settle
from tests.app.fulfillment.top_up import top_up
from tests.app.ordering.bundles import keys, void, vouchers
from tests.app.ordering.subscriptions import bought, days_pass, pass_and_work, state_of, subscription, units
from tests.app.ordering.test_bundles import placed_with_account
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "dingconnect"


async def test_three_cycles_are_delivered_on_their_days_and_their_shares_sum_to_the_price(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    assert await units(world) == [(1, "delivered", 1667), (2, "scheduled", 1667), (3, "scheduled", 1666)]
    assert await order_state(world, placed.id) == "running"
    assert await sold(world) == 1667
    assert await world.rows("select available, reserved, delivered from stock where sku_id = $1", month.id) == [
        {"available": 4, "reserved": 0, "delivered": 1}
    ]
    await pass_and_work(world, 29)
    assert await sold(world) == 1667
    await pass_and_work(world, 1)
    assert [state for _, state, _ in await units(world)] == ["delivered", "delivered", "scheduled"]
    await pass_and_work(world, 30)
    assert [state for _, state, _ in await units(world)] == ["delivered"] * 3
    assert (await order_state(world, placed.id), await sold(world)) == ("delivered", 5000)
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 3
    templates = await world.rows("select template, count(*)::int as n from outgoing_message group by 1 order by 1")
    assert [(row["template"], row["n"]) for row in templates] == [("order_delivered", 3)]


async def test_a_cycle_without_stock_gives_back_exactly_its_share_tells_the_merchant_and_the_next_one_comes(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 3)
    placed = await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    await void(world, month.id)
    await pass_and_work(world, 30)
    await refund(world)
    assert await units(world) == [(1, "delivered", 1667), (2, "refunded", 1667), (3, "scheduled", 1666)]
    assert (await order_state(world, placed.id), await state_of(world)) == ("running", "active")
    assert await world.rows("select state, amount_minor, reason from refund") == [
        {"state": "succeeded", "amount_minor": 1667, "reason": "out_of_stock"}
    ]
    assert await world.value("select count(*) from alert where template = 'cycle_missed'") == 1
    assert await world.value("select kind from staff_case where state = 'open'") == "cycle_missed"
    await world.stock(month.id, 1)
    await pass_and_work(world, 30)
    assert (await order_state(world, placed.id), await sold(world)) == ("partly_delivered", 3333)
    assert await world.value("select count(*) from alert where template = 'cycle_missed'") == 1


async def test_cancelled_it_keeps_what_is_paid_for_and_nobody_is_reminded(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id, cycles=2, price_minor=3000))
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await subscribing.cancel(tx, await the_one(world), actor=STAFF)
    assert await state_of(world) == "cancelled"
    await pass_and_work(world, 30)
    assert (await order_state(world, placed.id), await state_of(world)) == ("delivered", "cancelled")
    await pass_and_work(world, 29)
    assert await state_of(world) == "cancelled"
    await pass_and_work(world, 1)
    assert await state_of(world) == "ended"
    assert await world.value("select count(*) from outgoing_message where template = 'subscription_ending'") == 0
    async with tenant_tx(world.tenant) as tx:
        with pytest.raises(NothingToCancel):
            await subscribing.cancel(tx, await the_one(world), actor=STAFF)


async def test_its_buyer_is_reminded_once_and_grace_ends(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    await bought(world, await subscription(world, month.id, cycles=1, price_minor=3000, grace_days=7))
    await pass_and_work(world, 26)
    assert await world.value("select count(*) from outgoing_message where template = 'subscription_ending'") == 0
    await pass_and_work(world, 1)
    await pass_and_work(world, 0)
    assert await world.value("select count(*) from outgoing_message where template = 'subscription_ending'") == 1
    await pass_and_work(world, 2)
    assert await state_of(world) == "active"
    await pass_and_work(world, 1)
    assert await state_of(world) == "in_grace"
    await pass_and_work(world, 6)
    assert await state_of(world) == "in_grace"
    await pass_and_work(world, 1)
    assert await state_of(world) == "ended"
    assert await world.value("select count(*) from outgoing_message where template = 'subscription_ending'") == 1
    assert await world.value("select count(*) from task where kind = 'ordering.turn_subscription'") == 0


async def test_renewed_early_the_next_period_follows_without_a_gap_and_takes_no_stock_before(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 2)
    product = await subscription(world, month.id, cycles=2, price_minor=3001)
    await bought(world, product)
    again = await renewed(world, product)
    assert await order_state(world, again.id) == "running"
    assert await units(world) == [
        (1, "delivered", 1501),
        (2, "scheduled", 1500),
        (3, "scheduled", 1501),
        (4, "scheduled", 1500),
    ]
    assert await world.value("select array_agg(due_on - $1::date order by cycle_no) from subscription_cycle", today()) == [
        0,
        30,
        60,
        90,
    ]
    assert await world.value("select last_day - $1::date from subscription", today()) == 119
    assert await world.value("select available from stock where sku_id = $1", month.id) == 1
    await pass_and_work(world, 30)
    await world.stock(month.id, 2)
    await pass_and_work(world, 60)
    assert await order_state(world, again.id) == "delivered"
    assert (await sold(world), await world.value("select count(*) from subscription")) == (6002, 1)


async def test_renewed_in_its_grace_it_goes_on_at_once_and_after_it_another_begins(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=1, price_minor=3000)
    await bought(world, product)
    await pass_and_work(world, 33)
    assert await state_of(world) == "in_grace"
    again = await renewed(world, product)
    assert (await order_state(world, again.id), await state_of(world)) == ("delivered", "active")
    assert await units(world) == [(1, "delivered", 3000), (2, "delivered", 3000)]
    assert await world.value("select last_day - $1::date from subscription", today()) == 26
    late = await placed_renewal(world, product)
    await pass_and_work(world, 40)
    assert await state_of(world) == "ended"
    await paid(world, late)
    assert await world.value("select count(*) from subscription") == 2
    assert await world.value("select first_day from subscription where state = 'active'") == today()
    assert await order_state(world, late.id) == "delivered"


async def test_ended_by_the_merchant_exactly_the_cycles_to_come_go_back(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=3, price_minor=5000)
    placed = await bought(world, product)
    again = await renewed(world, product)
    async with tenant_tx(world.tenant) as tx:
        assert await subscribing.stop(tx, await the_one(world), reason="Moved away", actor=STAFF) == 3333 + 5000
    await settle(world)
    await refund(world)
    assert (await order_state(world, placed.id), await order_state(world, again.id)) == ("partly_delivered", "refunded")
    assert await world.value("select array_agg(amount_minor order by amount_minor) from refund") == [3333, 5000]
    assert (await state_of(world), await sold(world)) == ("ended", 1667)
    async with tenant_tx(world.tenant) as tx:
        with pytest.raises(NothingToCancel):
            await subscribing.stop(tx, await the_one(world), reason="Twice", actor=STAFF)


async def test_an_order_given_back_by_the_merchant_takes_its_subscription_with_it(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, placed.id, reason="A mistake", actor=STAFF)
    await settle(world)
    await refund(world)
    assert (await order_state(world, placed.id), await state_of(world)) == ("refunded", "ended")
    assert await world.value("select amount_minor from refund") == 5000


async def test_a_renewal_given_back_leaves_what_was_paid_before_and_the_next_one_follows_on_it(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=2, price_minor=3000)
    await bought(world, product)
    again = await renewed(world, product)
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, again.id, reason="A mistake", actor=STAFF)
    await settle(world)
    await refund(world)
    assert (await order_state(world, again.id), await state_of(world)) == ("refunded", "active")
    assert await world.value("select last_day - $1::date from subscription", today()) == 59
    third = await renewed(world, product)
    assert await world.value("select last_day - $1::date from subscription", today()) == 119
    days = "select array_agg(c.due_on - $2::date order by c.cycle_no) from subscription_cycle c join order_line l on l.id = c.order_line_id where l.order_id = $1"
    assert await world.value(days, third.id, today()) == [60, 90]


async def test_unpaid_it_holds_the_stock_of_its_first_cycle_alone_and_paid_late_it_begins_that_day(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 2)
    product = await subscription(world, month.id, cycles=12, price_minor=12_000)
    placed = await world.order(product.skus[0].listing.id, 2)
    assert await world.value("select reserved from stock where sku_id = $1", month.id) == 2
    await payments.open_payment(world.tenant, placed.id)
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    assert await world.value("select array_agg(distinct state order by state) from delivery_unit") == ["released", "scheduled"]
    payment_no = await world.value("select payment_no from payment")
    await asyncio.to_thread(world.gateway.pay, payment_no)
    await world.ask_gateway(placed)
    await settle(world)
    assert await world.value("select count(*) from delivery_unit where state = 'delivered'") == 2
    assert await world.value("select count(*) from delivery_unit where state = 'scheduled'") == 22


async def test_a_plan_that_changes_leaves_what_was_bought_as_it_was(world: World) -> None:
    month, year = await keys(world, "Skylark Video", 2000, 5), await keys(world, "Skylark Year", 9000, 5)
    product = await subscription(world, month.id, cycles=2, price_minor=3000)
    placed = await world.order(product.skus[0].listing.id)
    stale = await world.request(product.skus[0].listing.id)
    async with tenant_session(world.tenant) as session:
        plan = Plan(year.id, 1, CycleUnit.MONTH, 1, 2, 0)
        await plans.set_plan(session, product.id, product.skus[0].id, plan, actor=STAFF)
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, stale)
    await paid(world, placed)
    assert await world.value("select cycle_unit || cycle_length || ' ' || grace_days from subscription") == "day30 7"
    await pass_and_work(world, 30)
    assert await world.value("select array_agg(distinct sku_id) from card_key where state = 'delivered'") == [month.id]


@pytest.mark.case("F08")
async def test_a_top_up_is_credited_each_cycle_and_six_workers_on_one_cycle_credit_it_once(
    world: World, company: SupplierSimulator
) -> None:
    airtime = await top_up(world, company)
    product = await subscription(world, airtime.product.skus[0].id, cycles=3, price_minor=3000)
    before = airtime.effects()
    placed = await placed_with_account(world, product.skus[0].listing.id, airtime.product.skus[0].id)
    await paid(world, placed)
    assert airtime.effects() == before + 1
    await days_pass(world, 30)
    await six_workers(world)
    assert airtime.effects() == before + 2
    assert [state for _, state, _ in await units(world)] == ["delivered", "delivered", "scheduled"]


@pytest.mark.case("F08")
async def test_six_workers_on_one_cycle_hand_out_one_key(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 9)
    await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    await days_pass(world, 30)
    await six_workers(world)
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 2


@pytest.mark.case("F08")
async def test_red_without_the_state_of_a_cycle_each_worker_hands_out_a_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.may_break |= {"INV-1", "INV-3", "INV-15", "COST"}
    month = await keys(world, "Skylark Video", 2000, 9)
    await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    await days_pass(world, 30)
    for name in ("_DUE_ORDERS", "_OWE"):
        source = getattr(subscribing, name)
        assert " and u.state = 'scheduled'" in source
        monkeypatch.setattr(subscribing, name, source.replace(" and u.state = 'scheduled'", ""))
    await six_workers(world)
    assert await world.value("select count(*) from card_key where state = 'delivered'") > 2


@pytest.mark.case("F08")
async def test_a_worker_that_was_away_for_months_delivers_what_was_paid_once_and_charges_nothing(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 9)
    placed = await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000, grace_days=0))
    await pass_and_work(world, 400)
    await pass_and_work(world, 1)
    assert (await order_state(world, placed.id), await state_of(world), await sold(world)) == ("delivered", "ended", 5000)
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 3
    assert await world.value("select count(*) from payment") == 1


async def test_codes_and_goods_by_hand_come_by_cycles_too(world: World) -> None:
    salad = await vouchers(world, "Salad", 1000)
    poster = (await world.product(name="Poster", delivery_kind=DeliveryKind.MANUAL)).skus[0]
    async with tenant_tx(world.tenant) as tx:
        await inventory.allow(tx, sku_id=poster.id, units=9)
    code = await bought(world, await subscription(world, salad.id, cycles=2, quantity=2, price_minor=5001))
    paper = await bought(world, await subscription(world, poster.id, cycles=2, price_minor=5000, name="Poster Club"))
    assert await world.value("select count(*) from minted_good") == 2
    assert await order_state(world, paper.id) == "paid"
    for number in (1, 2):
        line = await world.value("select order_line_id from delivery_unit where state = 'owed'")
        async with tenant_tx(world.tenant) as tx:
            await handing.hand_over(tx, line, 1, Handed("A parcel"), actor=STAFF)
        await pass_and_work(world, 30)
        assert await world.value("select count(*) from minted_good") == 4, number
    assert (await order_state(world, code.id), await order_state(world, paper.id)) == ("delivered", "delivered")
    assert await sold(world) == 10_001


async def test_a_bad_key_is_replaced_while_later_cycles_are_to_come(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id, cycles=2, price_minor=5000))
    first, _ = await units_of(world, placed)
    async with tenant_tx(world.tenant) as tx:
        await revealing.reveal(tx, order_id=placed.id, order_line_id=first.order_line_id, unit_no=1, actor=BUYER)
    case_id = await reported(world, placed)
    assert await decide(world, case_id, RemedyKind.REPLACE) == "done"
    await settle(world)
    assert await order_state(world, placed.id) == "running"
    assert [state for _, state, _ in await units(world)] == ["delivered", "scheduled"]
    assert await world.value("select state from after_sale_case") == "replaced"
    assert await world.value("select count(*) from card_key where state = 'voided'") == 1


def test_months_are_counted_by_the_calendar_from_the_first_day() -> None:
    first = date(2027, 1, 31)
    days = [cycle_starts(first, CycleUnit.MONTH, 1, n) for n in range(1, 6)]
    assert days == [first, date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30), date(2027, 5, 31)]
    assert cycle_starts(date(2027, 10, 31), CycleUnit.MONTH, 4, 2) == date(2028, 2, 29)
    assert cycle_starts(date(2028, 2, 29), CycleUnit.MONTH, 12, 2) == date(2029, 2, 28)
    assert cycle_starts(first, CycleUnit.DAY, 30, 3) == date(2027, 4, 1)
    for number, day in enumerate(days[1:], start=1):
        assert cycles_until(first, CycleUnit.MONTH, 1, day - timedelta(days=1)) == number


async def sold(world: World) -> int:
    return int(await world.value("select coalesce(sum(credits_minor), 0) from ledger_account where name = 'sales'"))


def today() -> date:
    return clock.business_day()


async def the_one(world: World) -> UUID:
    return UUID(str(await world.value("select id from subscription order by created_at limit 1")))


async def placed_renewal(world: World, product: Product) -> Placed:
    """An unpaid order of the next period."""
    request = await world.request(product.skus[0].listing.id)
    line = request.quote.lines[0]
    renewal = replace(line, offered=line.offered.renewal(await the_one(world)))
    return await placing.place(world.tenant, replace(request, quote=replace(request.quote, lines=(renewal,))))


async def paid(world: World, placed: Placed) -> None:
    await world.pay(placed)
    await world.ask_gateway(placed)
    await settle(world)


async def renewed(world: World, product: Product) -> Placed:
    placed = await placed_renewal(world, product)
    await paid(world, placed)
    return placed


async def six_workers(world: World) -> None:
    """Six workers turn the one subscription in the same instant, and deliver what it owes."""

    async def worker() -> None:
        async with tenant_tx(world.tenant) as tx:
            await subscribing.turn(tx, subscription_id)
        async with tenant_tx(world.tenant) as tx:
            await fulfillment.deliver_orders(tx, [order_id])

    subscription_id = await the_one(world)
    order_id = await world.value("select id from shop_order")
    await asyncio.gather(*(worker() for _ in range(6)))
    await settle(world)
