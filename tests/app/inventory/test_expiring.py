"""A key is gone the moment its last day is over: not counted, not sold, not delivered, whether anybody tidied up or not."""

import asyncio
from datetime import timedelta

import pytest

from app.catalog.service import SkuTerms
from app.inventory.queries import sellable
from app.kernel import clock
from app.ordering import placing
from app.ordering import service as ordering
from app.payments import service as payments
from tenants.session import tenant_tx
from tests.app.ordering.test_races import KINDS, Place, at_once, without_guard
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("A11")]
TOMORROW = timedelta(days=1)


async def midnight(world: World, batch_no: str) -> None:
    """The last valid day of a batch's keys is over, this instant; nobody has tidied up yet."""
    past = "update card_key set expires_on = business_day() - 1 where batch_id = (select id from import_batch where batch_no = $1) returning 1"
    await world.value(past, batch_no)
    await world.value("update stock set turns_on = business_day() returning 1")


async def left(world: World, sku_id: object) -> int:
    async with tenant_tx(world.tenant) as tx:
        return (await sellable(tx, [sku_id]))[sku_id]  # type: ignore[list-item,index]


@KINDS
async def test_keys_that_are_over_are_neither_shown_nor_sold(world: World, is_hot: bool, place: Place) -> None:
    sku = (await world.product(SkuTerms("Month", 1990, is_hot=is_hot))).skus[0]
    old = await world.stock(sku.id, 3, expires_on=clock.business_day() + TOMORROW)
    await world.stock(sku.id, 2)
    assert await left(world, sku.id) == 5
    await midnight(world, old)
    assert await left(world, sku.id) == 2
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(6)]
    assert await at_once(world, requests, place) == {"placed": 2, "SoldOut": 4}
    assert await world.rows("select available, reserved, expired, turns_on = 'infinity' as rests from stock") == [
        {"available": 0, "reserved": 2, "expired": 3, "rests": True}
    ]


async def test_red_without_the_day_a_key_that_is_over_is_sold(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await world.stock(sku.id, 1, expires_on=clock.business_day() + TOMORROW)
    await midnight(world, batch_no)
    guard = "perform expire_card_keys(p_stock[i], 20000) from stock where sku_id = p_stock[i] and turns_on <= v_today;"
    await without_guard(world, guard, "v_today := v_today - 1;", "ck_stock_short_before_shelf", "stock")
    placed = await placing.place_single(world.tenant, await world.request(sku.listing.id))
    assert not placed.repeated


async def test_a_reserved_key_that_is_over_is_replaced_where_there_is_another(world: World) -> None:
    sku = (await world.product()).skus[0]
    old = await world.stock(sku.id, 1, expires_on=clock.business_day() + TOMORROW)
    placed = await world.paid(sku.listing.id)
    await midnight(world, old)
    await world.stock(sku.id, ["FRESH-KEY-000001"])
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    assert await world.value("select masked from card_key where state = 'delivered'") == "****0001"


async def test_a_reserved_key_that_is_over_is_refunded_where_there_is_none(world: World) -> None:
    sku = (await world.product()).skus[0]
    old = await world.stock(sku.id, 1, expires_on=clock.business_day() + TOMORROW)
    placed = await world.paid(sku.listing.id)
    await midnight(world, old)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "refunded"
    payment_no = await world.value("select payment_no from payment")
    assert [refund["amount_minor"] for refund in world.gateway.book(payment_no)["refunds"]] == [1990]


async def test_who_pays_late_does_not_get_a_key_that_is_over(world: World) -> None:
    sku = (await world.product()).skus[0]
    old = await world.stock(sku.id, 1, expires_on=clock.business_day() + TOMORROW)
    placed = await world.order(sku.listing.id)
    await payments.open_payment(world.tenant, placed.id)
    await world.value("update shop_order set expires_at = now() returning 1")
    async with tenant_tx(world.tenant) as tx:
        await ordering.expire_unpaid(tx)
    await midnight(world, old)
    await asyncio.to_thread(world.gateway.pay, await world.value("select payment_no from payment"))
    await world.until("select true from capture")
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "refunded"


async def test_a_task_waits_for_the_midnight_and_the_next_one(world: World) -> None:
    sku = (await world.product()).skus[0]
    first = await world.stock(sku.id, 2, expires_on=clock.business_day() + TOMORROW)
    await world.stock(sku.id, 2, expires_on=clock.business_day() + 5 * TOMORROW)
    due = "select run_at from task where kind = 'inventory.expire_keys'"
    assert await world.value(due) == clock.day_starts(clock.business_day() + 2 * TOMORROW)
    await midnight(world, first)
    await world.value("update task set run_at = now() where kind = 'inventory.expire_keys' returning 1")
    await world.work()
    assert await world.rows("select available, expired from stock") == [{"available": 2, "expired": 2}]
    assert await world.value(due) == clock.day_starts(clock.business_day() + 6 * TOMORROW)
