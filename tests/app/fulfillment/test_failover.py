"""A supplier that fails: new orders go elsewhere, what it may have sold is asked about, and the shelf says what nobody can deliver, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.kernel.tasks import Lane
from app.suppliers import health
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import Source, attempt_states, make_due, order_state, refund, routed, settle, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def two_companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        folders = [tmp_path_factory.mktemp(name) for name in ("a", "b")]
        yield [stack.enter_context(supplier_simulator(folder, "tango")) for folder in folders]


@pytest.fixture
def companies(two_companies: list[SupplierSimulator]) -> list[SupplierSimulator]:
    for company in two_companies:
        company.clear_script()
        company.conduct(state="up", latency_ms=0, decide_ms=0)
    return two_companies


def effects(*sources: Source) -> list[int]:
    return [one.totals()["effects"] for one in sources]


async def breaker(world: World, one: Source) -> str:
    return str(await world.value("select breaker from supplier_connection where id = $1", one.connection_id))


async def let_half_a_minute_pass(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update supplier_connection set breaker_since = breaker_since - interval '31 seconds' where breaker = 'open'"
        )
    await make_due(world, "suppliers.probe")


@pytest.mark.case("B13")
async def test_the_breaker_opens_once_tries_one_call_and_closes_after_several(
    world: World, companies: list[SupplierSimulator]
) -> None:
    first, second = [await source(world, company) for company in companies[:2]]
    product = await routed(world, first, second)
    listing = product.skus[0].listing.id
    first.company.conduct(state="unavailable")
    for number in range(6):
        await world.paid(listing, contact=f"138{number:08d}")
        await settle(world)
    assert await breaker(world, first) == "open"
    before = effects(second)
    placed = await world.paid(listing, contact="13900139000")
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert effects(second) == [before[0] + 1]
    first.company.conduct(state="up")
    await let_half_a_minute_pass(world)
    await settle(world)
    assert await breaker(world, first) == "half_open"
    for _ in range(3):
        await make_due(world)
        await settle(world)
    assert await breaker(world, first) == "closed"
    moves = await world.rows(
        "select to_state from history where subject_id = $1 and event like 'breaker.%' order by at", first.connection_id
    )
    assert [move["to_state"] for move in moves] == ["open", "half_open", "closed"]


@pytest.mark.case("B13")
async def test_a_supplier_that_flaps_is_news_once_and_its_goods_leave_the_shelf_once(
    world: World, companies: list[SupplierSimulator]
) -> None:
    """It fails, is tried again and fails three times over, and then is back for good."""
    only = await source(world, companies[0])
    product = await routed(world, only)
    sku, left = product.skus[0], "select available from stock where sku_id = $1"
    companies[0].conduct(state="unavailable")
    for number in range(6):
        if await breaker(world, only) == "closed":
            await world.paid(sku.listing.id, contact=f"138{number:08d}")
            await settle(world)
    for number in range(3):
        assert (await breaker(world, only), await world.value(left, sku.id)) == ("open", 0)
        waits_s = await world.value("select extract(epoch from run_at - now())::int from task where kind = 'suppliers.probe'")
        assert 30 * 2**number - 25 < waits_s <= 30 * 2**number + 1, "each try that fails is followed by twice the wait"
        await let_half_a_minute_pass(world)
        await world.work()
        assert await breaker(world, only) == "half_open"
        assert 0 < await world.value(left, sku.id) <= 3, "a few are sold, to see"
        await world.paid(sku.listing.id, contact=f"139{number:08d}")
        await settle(world)
    companies[0].conduct(state="up")
    await let_half_a_minute_pass(world)
    for _ in range(4):
        await make_due(world)
        await settle(world)
    assert await breaker(world, only) == "closed"
    assert await world.value(left, sku.id) > 3
    events = [row["event"] for row in await world.rows("select event from history where subject_id = $1 order by at", sku.id)]
    assert [event for event in events if event.startswith("sku.")] == ["sku.delisted", "sku.relisted"]
    told = await world.rows("select template, count(*) as times from alert group by template order by template")
    assert {row["template"]: row["times"] for row in told if row["template"].startswith(("supplier_failing", "supplier_back", "sku_"))} == {
        "supplier_failing": 1, "supplier_back": 1, "sku_delisted": 1, "sku_relisted": 1,
    }  # fmt: skip


async def test_what_nobody_can_deliver_leaves_the_shelf_and_comes_back_with_one_alert_each(
    world: World, companies: list[SupplierSimulator]
) -> None:
    first, second = [await source(world, company) for company in companies[:2]]
    product = await routed(world, first, second)
    sku_id = product.skus[0].id
    left = "select available from stock where sku_id = $1"
    assert await world.value(left, sku_id) > 0
    for one in (first, second, first):
        async with tenant_tx(world.tenant) as tx:
            await health.trip(tx, one.connection_id, actor=STAFF)
        await world.work(Lane.ORDERS)
    assert await world.value(left, sku_id) == 0
    assert await world.value("select shelf_reason from supply_route where sku_id = $1", sku_id) == "its supplier is failing"
    for one in (second, first):
        async with tenant_tx(world.tenant) as tx:
            await health.restore(tx, one.connection_id, actor=STAFF)
        await world.work(Lane.ORDERS)
    assert await world.value(left, sku_id) > 0
    events = await world.rows("select event from history where subject_id = $1 order by at", sku_id)
    assert [row["event"] for row in events if row["event"].startswith("sku.")] == ["sku.delisted", "sku.relisted"]
    assert await world.value("select count(*) from task where kind = 'suppliers.tell_shelf'") == 1
    await world.work(Lane.MESSAGES)
    assert await world.value("select count(*) from task where kind like 'suppliers.tell%'") == 0


async def test_what_a_stopped_connection_was_to_send_goes_elsewhere(world: World, companies: list[SupplierSimulator]) -> None:
    first, second = [await source(world, company) for company in companies[:2]]
    product = await routed(world, first, second)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update supplier_connection set calls_per_second = 0.001, tokens = 0, tokens_at = now() where id = $1",
            first.connection_id,
        )
    before = effects(first, second)
    placed = await world.paid(product.skus[0].listing.id, 3)
    await world.work(Lane.ORDERS)
    assert await attempt_states(world, placed.id) == ["planned"] * 3
    async with tenant_tx(world.tenant) as tx:
        await health.trip(tx, first.connection_id, actor=STAFF)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert effects(first, second) == [before[0], before[1] + 3]


async def test_while_all_suppliers_are_away_a_paid_order_waits_and_at_its_deadline_its_money_goes_back(
    world: World, companies: list[SupplierSimulator]
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)
    placed = await world.order(product.skus[0].listing.id)
    async with tenant_tx(world.tenant) as tx:
        await health.trip(tx, first.connection_id, actor=STAFF)
    await world.pay(placed)
    await world.ask_gateway(placed)
    await settle(world)
    assert (await order_state(world, placed.id), await attempt_states(world, placed.id)) == ("paid", [])
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set paid_at = paid_at - interval '31 minutes' where id = $1", placed.id)
    await make_due(world, "fulfillment.deliver")
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"


async def test_a_connection_is_never_called_more_at_once_than_it_bears(world: World, tmp_path: Path) -> None:
    with supplier_simulator(tmp_path, "tango") as company:
        first = await source(world, company)
        product = await routed(world, first)
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update supplier_connection set calls_at_once = 3 where id = $1", first.connection_id)
        await settle(world)  # its catalog and balance are read
        company.conduct(latency_ms=30)
        listing = product.skus[0].listing.id
        orders = await asyncio.gather(*(world.paid(listing, 5, contact=f"138{number:08d}") for number in range(4)))
        await settle(world)
        assert {await order_state(world, order.id) for order in orders} == {"delivered"}
        assert company.totals()["calls"]["highest_at_once"] == 3
