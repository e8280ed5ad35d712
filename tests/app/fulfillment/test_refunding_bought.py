"""Money given back by hand while a supplier is at work on the order: a unit ends with its goods or with its money, never with both."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from app.fulfillment import buying
from app.kernel.tasks import Lane
from app.payments import refunding
from app.payments.refunding import BeingBought, NothingToRefund
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import attempt_states, make_due, order_state, refund, routed, settle, source
from tests.app.staff import staff
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "tango"
ASKED = {"reason": "The buyer wants his money back", "stated_minor": "1990"}
ORDERS = 12


@pytest.fixture(autouse=True)
def no_pump_stays(company: SupplierSimulator) -> Iterator[None]:
    yield
    buying._pumps.clear()


async def give_back(world: World, order_id: UUID) -> str:
    """What a refund by hand comes to."""
    try:
        async with tenant_tx(world.tenant) as tx:
            await refunding.refund_by_merchant(tx, order_id, reason="asked for", actor=STAFF)
    except (BeingBought, NothingToRefund) as refusal:
        return type(refusal).__name__
    return "refunded"


@pytest.mark.case("B17")
@pytest.mark.parametrize(("fault", "state"), [({"drop": True}, "unknown"), ({"decide_ms": 300}, "accepted")])
async def test_what_may_have_been_bought_is_given_back_only_once_its_supplier_has_said(
    world: World, company: SupplierSimulator, fault: dict[str, Any], state: str
) -> None:
    one = await source(world, company)
    before = one.totals()["effects"]
    product, owner = await routed(world, one), await staff(world)
    company.script(fault, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == [state]
    page = html.unescape((await owner.get(f"/orders/{placed.order_no}")).text)
    assert "decide about the attempt; then it can be refunded here" in page
    refused = await owner.post(f"/orders/{placed.order_no}/refunds", ASKED)
    assert refused.status_code == 409
    assert "Nothing was given back: wait for its answer" in html.unescape(refused.text)
    assert await order_state(world, placed.id) == "paid"
    await asyncio.sleep(0.4)
    await make_due(world)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert (await owner.post(f"/orders/{placed.order_no}/refunds", ASKED)).status_code == 303, "its buyer has not seen it"
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    assert await attempt_states(world, placed.id) == ["succeeded"]
    assert one.totals()["effects"] - before == 1


async def test_what_was_never_sent_is_withdrawn_and_given_back(world: World, company: SupplierSimulator) -> None:
    one = await source(world, company)
    before = one.totals()["effects"]
    product = await routed(world, one)
    placed = await world.paid(product.skus[0].listing.id, 3)
    await world.work(Lane.ORDERS)
    assert await attempt_states(world, placed.id) == ["planned"] * 3
    assert await give_back(world, placed.id) == "refunded"
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    assert await attempt_states(world, placed.id) == ["failed"] * 3
    assert one.totals()["effects"] == before


async def test_refunds_by_hand_while_purchases_go_out(world: World, company: SupplierSimulator) -> None:
    """Each order is asked for in the moment its purchase goes out: before, during or after the call."""
    one = await source(world, company)
    product = await routed(world, one)
    company.conduct(latency_ms=10)
    before = one.totals()["effects"]
    orders = [await world.paid(product.skus[0].listing.id, contact=f"138{number:08d}") for number in range(ORDERS)]
    await world.work(Lane.ORDERS)
    async with asyncio.TaskGroup() as group:
        group.create_task(settle(world))
        answers = []
        for order in orders:
            await asyncio.sleep(0.002)
            answers.append(group.create_task(give_back(world, order.id)))
    await settle(world)
    await refund(world)
    ends = [(row["state"], row["attempt"], row["is_void"]) for row in await world.rows(_ENDS)]
    assert set(ends) <= {("delivered", "succeeded", False), ("refunded", "failed", None), ("refunded", "succeeded", True)}
    assert [state for state, _, _ in ends].count("refunded") == [answer.result() for answer in answers].count("refunded")
    assert [attempt for _, attempt, _ in ends].count("succeeded") == one.totals()["effects"] - before


_ENDS = """
select o.state, a.state as attempt, k.state = 'voided' as is_void
from shop_order o join attempt a on a.order_id = o.id join delivery_unit u on u.order_id = o.id left join card_key k on k.id = u.card_key_id
"""


async def test_red_without_the_look_at_its_attempts_a_unit_is_given_back_while_it_is_bought(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.may_break.add("BUYING")
    monkeypatch.setattr(refunding, "_BEING_BOUGHT", "select false where $1::uuid is not null")
    one = await source(world, company)
    before = one.totals()["effects"]
    product = await routed(world, one)
    company.script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await give_back(world, placed.id) == "refunded"
    await settle(world)
    await refund(world)
    assert (await order_state(world, placed.id), await attempt_states(world, placed.id)) == ("refunded", ["unknown"])
    assert one.totals()["effects"] - before == 1, "the shop paid for it, and nobody has it"
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("delete from task where kind = 'fulfillment.ask'")
