"""Delivering: once whatever repeats, what cannot be delivered is refunded, and keys are shown only as an audited act."""

import asyncio
from datetime import timedelta

import pytest

from app.fulfillment import service as fulfillment
from app.fulfillment.revealing import reveal
from app.inventory import service as inventory
from app.kernel import audit, clock
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import NotFound
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BUYER = Actor(ActorKind.BUYER, None, "138****2046")


async def paid_order(world: World, units: int = 2):  # type: ignore[no-untyped-def]
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    return await world.paid(sku.listing.id, units)


async def deliver(world: World, placed) -> None:  # type: ignore[no-untyped-def]
    async with tenant_tx(world.tenant) as tx:
        await fulfillment.deliver_orders(tx, [placed.id])


@pytest.mark.case("A02")
async def test_two_workers_deliver_one_order_once(world: World) -> None:
    placed = await paid_order(world)
    await asyncio.gather(*(deliver(world, placed) for _ in range(8)), return_exceptions=True)
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 2
    assert await world.value("select count(distinct card_key_id) from delivery_unit where state = 'delivered'") == 2
    assert await world.value("select count(*) from transfer where kind = 'sale'") == 2


@pytest.mark.case("A02")
async def test_red_without_the_order_lock_two_workers_take_twice_the_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = await paid_order(world)
    monkeypatch.setattr(fulfillment, "_ORDERS", fulfillment._ORDERS.replace("for update", ""))
    both_have_read = asyncio.Barrier(2)
    claim = fulfillment._claim

    async def claim_together(tx, units):  # type: ignore[no-untyped-def]
        await both_have_read.wait()
        return await claim(tx, units)

    monkeypatch.setattr(fulfillment, "_claim", claim_together)
    answers = await asyncio.gather(deliver(world, placed), deliver(world, placed), return_exceptions=True)
    taken = await world.value("select count(*) from card_key where state = 'delivered'")
    assert taken > 2 or any(isinstance(answer, Exception) for answer in answers)


@pytest.mark.case("A13")
async def test_what_no_key_is_left_for_is_refunded_and_the_rest_delivered(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    batch_no = await world.stock(sku.id, 2)
    placed = await world.order(sku.listing.id, 2)
    key_id = await world.value("select id from card_key limit 1")
    async with tenant_session(world.tenant) as session:
        await inventory.void_key(session, card_key_id=key_id, reason="leaked", actor=STAFF)
    assert batch_no
    await world.pay(placed)
    await world.ask_gateway(placed)
    await world.work()
    states = [
        row["state"]
        for row in await world.rows("select state from delivery_unit where order_id = $1 order by unit_no", placed.id)
    ]
    assert sorted(states) == ["delivered", "refunded"]
    assert await world.value("select state from shop_order where id = $1", placed.id) == "partly_delivered"
    payment_no = await world.value("select payment_no from payment where order_id = $1", placed.id)
    refunds = world.gateway.book(payment_no)["refunds"]
    assert [refund["amount_minor"] for refund in refunds] == [1990]
    stock = (await world.rows("select * from stock"))[0]
    assert (stock["available"], stock["reserved"], stock["delivered"], stock["voided"], stock["short"]) == (0, 0, 1, 1, 0)


@pytest.mark.case("A09")
async def test_a_key_held_by_another_is_waited_for_not_called_sold_out(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 1)
    placed = await world.paid(sku.listing.id)
    async with tenant_tx(world.tenant) as holder:
        await holder.fetch("select id from card_key for update")
        with pytest.raises(fulfillment.KeysHeld):
            await deliver(world, placed)
    await deliver(world, placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"


@pytest.mark.case("A11")
async def test_an_expired_key_is_never_delivered(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    today = clock.business_day()
    await world.stock(sku.id, ["EXPIRED-KEY-0001"], expires_on=today + timedelta(days=1))
    await world.stock(sku.id, ["FRESH-KEY-000002"], expires_on=today + timedelta(days=30))
    await world.rows("update card_key set expires_on = $1 where masked = '****0001' returning id", today - timedelta(days=1))
    placed = await world.bought(sku.listing.id)
    masked = await world.value(
        "select k.masked from delivery_unit u join card_key k on k.id = u.card_key_id where u.order_id = $1", placed.id
    )
    assert masked == "****0002"


async def test_revealing_is_audited_and_staff_must_say_why(world: World) -> None:
    placed = await paid_order(world, 1)
    await deliver(world, placed)
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit"))[0]
    async with tenant_tx(world.tenant) as tx:
        first = await reveal(tx, order_id=placed.id, **unit, actor=BUYER)
        again = await reveal(tx, order_id=placed.id, **unit, actor=STAFF, reason="buyer on the phone")
        assert first == again
        assert "KEY-" not in repr(first)
    with pytest.raises(inventory.ReasonMissing):
        async with tenant_tx(world.tenant) as tx:
            await reveal(tx, order_id=placed.id, **unit, actor=STAFF, reason="  ")
    async with tenant_tx(world.tenant) as tx:
        entries = await audit.search(tx, action="card_key.revealed")
        assert [entry["actor_name"] for entry in entries] == [STAFF.name, BUYER.name]
        assert await audit.first_broken(tx) is None


async def test_a_unit_is_not_revealed_through_another_order(world: World) -> None:
    placed = await paid_order(world, 1)
    await deliver(world, placed)
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit"))[0]
    with pytest.raises(NotFound):
        async with tenant_tx(world.tenant) as tx:
            await reveal(tx, order_id=unit["order_line_id"], **unit, actor=BUYER)
