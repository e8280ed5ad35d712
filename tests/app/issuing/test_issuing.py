"""A lot for a company: each of its people gets one unit, what fails is tried again and nothing else, and the company owes for what was delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.fulfillment import buying
from app.issuing import placing, queries, service
from app.issuing.models import IssueState
from app.kernel.tasks import Lane
from app.payments.refunding import refund_by_merchant
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import make_due, settle
from tests.app.fulfillment.top_up import TopUp, top_up
from tests.app.issuing.issued import PRICE, act, balance, batch_of, issued, numbers, owed, read, states, work
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "dingconnect"


@pytest.fixture
async def sold(world: World, company: SupplierSimulator) -> AsyncIterator[TopUp]:
    """A top-up that a company of its own credits."""
    yield await top_up(world, company)
    await buying.finish(within_s=5)


async def test_of_three_hundred_exactly_the_three_that_failed_are_tried_again(world: World, sold: TopUp) -> None:
    before = sold.company.totals()
    sold.company.script({"refuse": "out_of_stock"}, on="place", times=3)
    batch_no = await issued(world, sold.listing_id, numbers(300))
    await work(world)
    assert await states(world, batch_no) == {"delivered": 297, "failed": 3}
    assert sold.effects() == before["effects"]["count"] + 297
    assert (await batch_of(world, batch_no))["state"] == IssueState.ENDED
    assert await owed(world, batch_no) == await balance(world, "receivables") == 297 * PRICE
    failed = await world.rows("select row_no, order_id, reason from issue_row where state = 'failed' order by row_no")
    assert {row["reason"] for row in failed} == {"out_of_stock"}
    orders = await world.value("select count(*) from shop_order")

    assert await act(world, batch_no, service.try_again) == 3
    assert await act(world, batch_no, service.try_again) == 0, "pressed twice"
    await work(world)

    assert await states(world, batch_no) == {"delivered": 300}
    assert sold.effects() == before["effects"]["count"] + 300
    assert await world.value("select count(*) from shop_order") == orders + 3
    again = await world.rows("select row_no, tries from issue_row where tries > 1 order by row_no")
    assert [row["row_no"] for row in again] == [row["row_no"] for row in failed]
    for row in failed:
        assert await world.value("select state from shop_order where id = $1", row["order_id"]) == "refunded"
    assert await owed(world, batch_no) == await balance(world, "receivables") == 300 * PRICE
    assert -await balance(world, "sales") == 300 * PRICE
    assert await balance(world, "buyer_deposits") == 0
    assert await world.value("select count(*) from audit_entry where action = 'issue_batch.tried_again'") == 1
    assert await world.value("select count(*) from refund") == 0, "no gateway is asked for money it never had"


async def test_keys_of_own_stock_wait_for_stock_and_go_on_by_themselves(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 4)
    batch_no = await issued(world, sku.listing.id, numbers(6))
    await work(world)
    assert await states(world, batch_no) == {"delivered": 4, "waiting": 2}
    retail = await world.value("select available from stock where sku_id = $1", sku.id)
    assert retail == 0
    await world.stock(sku.id, 3)
    await work(world)
    assert await states(world, batch_no) == {"delivered": 6}
    assert await world.value("select count(distinct card_key_id) from delivery_unit where state = 'delivered'") == 6
    assert await world.value("select count(*) from outgoing_message where template = 'order_delivered'") == 6
    assert await owed(world, batch_no) == 6 * PRICE
    assert await balance(world, "cost_of_goods") == 6 * 1470


async def test_what_is_taken_back_is_taken_off_the_account(world: World) -> None:
    sku = (await world.product(buyer_limit=1)).skus[0]
    await world.stock(sku.id, 5)
    batch_no = await issued(world, sku.listing.id, ["13800132046", "13800132047"])
    await work(world)
    await world.bought(sku.listing.id, contact="13800132046")
    order_id = await world.value("select order_id from issue_row order by row_no limit 1")
    async with tenant_tx(world.tenant) as tx:
        await refund_by_merchant(tx, order_id, reason="sent by mistake", actor=STAFF)
    await settle(world)
    assert await world.value("select state from shop_order where id = $1", order_id) == "refunded"
    assert await owed(world, batch_no) == await balance(world, "receivables") == PRICE
    assert await world.value("select units from buyer_usage") == 1, "what a company gave him does not count against his limit"
    assert await states(world, batch_no) == {"delivered": 2}, "the row was delivered; what became of its order, the order says"


async def test_paused_it_orders_nothing_and_the_rest_can_be_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 10)
    monkeypatch.setattr(placing, "_CHUNK", 2)
    monkeypatch.setattr(placing, "_CHUNKS_A_TURN", 1)
    batch_no = await issued(world, sku.listing.id, numbers(6))
    batch_id = (await batch_of(world, batch_no))["id"]
    await placing.go_on(world.tenant, batch_id)
    await act(world, batch_no, service.pause)
    await act(world, batch_no, service.pause)
    await work(world)
    assert await states(world, batch_no) == {"delivered": 2, "waiting": 4}
    await act(world, batch_no, service.resume)
    await act(world, batch_no, service.resume)
    await placing.go_on(world.tenant, batch_id)
    assert await act(world, batch_no, service.give_up_rest) == 2
    assert await act(world, batch_no, service.give_up_rest) == 0
    await work(world)
    assert await states(world, batch_no) == {"delivered": 4, "given_up": 2}
    assert (await batch_of(world, batch_no))["state"] == IssueState.ENDED
    assert await world.value("select available from stock where sku_id = $1", sku.id) == 6
    for verb in (service.pause, service.resume, service.abandon):
        with pytest.raises(service.NotAsShown):
            await act(world, batch_no, verb)


async def test_two_workers_on_one_batch_order_no_row_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 40)
    monkeypatch.setattr(placing, "_CHUNK", 5)
    batch_no = await issued(world, sku.listing.id, numbers(40))
    batch_id = (await batch_of(world, batch_no))["id"]
    await asyncio.gather(*(placing.go_on(world.tenant, batch_id) for _ in range(4)))
    await work(world)
    assert await states(world, batch_no) == {"delivered": 40}
    assert await world.value("select count(*) from shop_order where billed_to is not null") == 40
    assert await world.value("select max(tries) from issue_row") == 1


async def test_red_without_the_locks_two_workers_take_the_same_rows_and_the_database_refuses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guards: a batch and its rows are locked while they are ordered. Without, the keys of the orders are all that is left."""
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 10)
    for statement in ("_LOCK", "_NEXT"):
        monkeypatch.setattr(placing, statement, getattr(placing, statement).replace("for update", ""))
    batch_no = await issued(world, sku.listing.id, numbers(5))
    batch_id, both, place = (await batch_of(world, batch_no))["id"], asyncio.Barrier(2), placing.place_on_account

    async def place_when_both_have_read(*args: Any) -> Any:
        await both.wait()
        return await place(*args)

    monkeypatch.setattr(placing, "place_on_account", place_when_both_have_read)

    async def chunk() -> int:
        async with tenant_tx(world.tenant) as tx:
            return await placing.place_chunk(tx, batch_id)

    outcomes = await asyncio.gather(chunk(), chunk(), return_exceptions=True)
    assert 5 in outcomes
    assert any(isinstance(one, asyncpg.UniqueViolationError) for one in outcomes)
    assert await world.value("select count(*) from shop_order") == 5


async def test_nothing_of_a_batch_stands_in_a_lane_of_buyers_who_wait(world: World, sold: TopUp) -> None:
    sold.company.script({"refuse": "out_of_stock"}, on="place", times=1)
    batch_no = await issued(world, sold.listing_id, numbers(3))
    await make_due(world, service.GO_ON)
    await world.work(Lane.BULK)
    await world.work(Lane.SUPPLY)
    await world.until("select count(*) = 3 from attempt where state in ('succeeded', 'failed')")
    lanes = {(row["kind"], row["lane"]) for row in await world.rows("select kind, lane from task where state = 'waiting'")}
    assert {("integrations.send", "bulk"), ("payments.refund_order", "bulk")} <= lanes
    assert {kind for kind, lane in lanes if lane in ("orders", "messages")} <= {"fulfillment.watch_balance"}, (
        "once for the connection"
    )
    assert {row["priority"] for row in await world.rows("select priority from attempt")} == {1}
    await work(world)
    assert await states(world, batch_no) == {"delivered": 2, "failed": 1}


async def test_of_a_foreign_or_unknown_number_there_is_no_batch(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch_no = await read(world, sku.listing.id, numbers(2))
    other = await world.new_tenant("Other")
    async with tenant_tx(other) as tx:
        with pytest.raises(queries.NotFound):
            await queries.one_or_404(tx, batch_no)
        assert await queries.goods_or_none(tx, sku.listing.id) is None
    async with tenant_tx(world.tenant) as tx:
        with pytest.raises(queries.NotFound):
            await queries.one_or_404(tx, "E261129-NOSUCH0")
    assert await world.value("select count(*) from shop_order") == 0, "read and not confirmed, it counts for nothing"
