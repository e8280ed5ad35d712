"""Workers that are killed at the worst instants, by SIGKILL to real processes: nothing is lost and nothing happens twice."""

from __future__ import annotations

import pytest

from app.ordering.placing import Placed
from tests.workers.deaths import Deaths
from tests.world import World

pytestmark = [pytest.mark.anyio]
KILLS = 20
KILLS_PER_ORDER = 10
"""Fewer than the tries of a delivery: what ends its worker each time is left for a person."""


async def paid(world: World) -> Placed:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    return await world.paid(product.skus[0].listing.id)


DELIVERED = "select state = 'delivered' from shop_order where id = $1"
FREE = "select count(*) from card_key where state = 'free'"


@pytest.mark.case("A03")
async def test_killed_twenty_times_with_keys_claimed_each_order_is_delivered_once(world: World, deaths: Deaths) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, KILLS // KILLS_PER_ORDER)
    for number in range(KILLS // KILLS_PER_ORDER):
        placed = await world.paid(product.skus[0].listing.id, contact=f"1380013{number:04d}")
        free = await world.value(FREE)
        for _ in range(KILLS_PER_ORDER):
            await deaths.die_at("delivery.before_commit")
            assert await world.value(FREE) == free, "what was claimed is free again"
        await deaths.live_until(DELIVERED, placed.id)
    assert await world.value("select count(distinct card_key_id) from delivery_unit where state = 'delivered'") == 2
    assert await world.value("select count(*) from transfer where kind = 'sale'") == 2


@pytest.mark.case("A03")
async def test_without_the_transaction_a_kill_loses_the_claimed_key(
    world: World, deaths: Deaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The red control: the claim commits by itself, and the worker dies before it delivers."""
    placed = await paid(world)
    sku_id = await world.value("select sku_id from order_line where order_id = $1", placed.id)
    from app.inventory import service as inventory
    from tenants.session import tenant_tx

    async with tenant_tx(world.tenant) as tx:
        await inventory.claim_keys(tx, sku_id=sku_id, units=1)
    world.may_break.update({"INV-1", "INV-3"})
    await deaths.live_until(DELIVERED, placed.id)
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 2


@pytest.mark.case("A04")
async def test_killed_after_the_commit_the_delivery_stands_and_its_message_follows(world: World, deaths: Deaths) -> None:
    placed = await paid(world)
    await deaths.die_at("delivery.committed")
    while not await world.value(DELIVERED, placed.id):  # another merchant's order was before
        await deaths.die_at("delivery.committed")
    message_id = await world.value("select id from outgoing_message where state = 'waiting'")
    await deaths.live_until("select not exists (select 1 from outgoing_message where state = 'waiting')")
    sent = await world.rows("select id, state from outgoing_message")
    assert sent == [{"id": message_id, "state": "sent"}]
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 1


@pytest.mark.case("A04")
async def test_killed_between_handing_over_and_noting_the_same_message_comes_twice_and_is_known_by_its_id(
    world: World, deaths: Deaths
) -> None:
    placed = await paid(world)
    while not (first := messages_about(world, placed)):
        await deaths.die_at("message.handed_over")
    assert await world.value("select state from outgoing_message") == "waiting"
    await deaths.live_until("select not exists (select 1 from outgoing_message where state = 'waiting')")
    assert messages_about(world, placed) == first, "the company was sent one id twice, and kept it once"


def messages_about(world: World, placed: Placed) -> list[int]:
    return [message["id"] for message in world.outbox.messages("13800132046") if placed.order_no in message["text"]]


@pytest.mark.case("J11")
@pytest.mark.parametrize("point", ["task.claimed", "refund.intended", "refund.called"])
async def test_killed_as_for_lack_of_memory_the_next_worker_goes_on(world: World, deaths: Deaths, point: str) -> None:
    """An order whose key was voided after it was reserved: its money goes back, once, whatever its workers die of."""
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    placed = await world.paid(product.skus[0].listing.id)
    await void_every_key(world)
    await deaths.die_at(point)
    await deaths.live_until("select state = 'refunded' from shop_order where id = $1", placed.id)
    payment_no = await world.value("select payment_no from payment where order_id = $1", placed.id)
    assert [refund["amount_minor"] for refund in world.gateway.book(payment_no)["refunds"]] == [1990]


async def void_every_key(world: World) -> None:
    from app.inventory import service as inventory
    from tenants.session import tenant_session
    from tests.world import STAFF

    for row in await world.rows("select id from card_key where state = 'free'"):
        async with tenant_session(world.tenant) as session:
            await inventory.void_key(session, card_key_id=row["id"], reason="leaked", actor=STAFF)
