"""Test orders: one real purchase, written down before it is sent, never sent twice, and what it brought kept sealed."""

from __future__ import annotations

from typing import Any

import pytest

from app.access.models import MemberRole
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.app.suppliers.linked import Linked, linked, stranger
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def offer_of(world: World, link: Linked) -> dict[str, Any]:
    return (await world.rows("select id, supplier_sku from supplier_offer where connection_id = $1 order by name", link.id))[0]


async def order(world: World, link: Linked, **more: str) -> str:
    """Place a test order of the first of the goods; our number."""
    offer = await offer_of(world, link)
    answer = await link.owner.post(f"{link.path}/tests", {"offer": str(offer["id"]), "is_meant": "yes", **more})
    assert answer.status_code == 303, answer.text
    return str(await world.value("select out_no from test_order order by created_at desc limit 1"))


async def go_on(world: World, *, questions: int = 3) -> None:
    """Do what is due, and so many questions after it as if their time had come."""
    await world.work()
    for _ in range(questions):
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update task set run_at = now() where kind = 'suppliers.test' and state = 'waiting'")
        await world.work()


async def state(world: World) -> dict[str, Any]:
    return (await world.rows("select state, took_ms, reason, times_asked from test_order order by created_at desc limit 1"))[0]


async def test_it_arrives_is_measured_and_lets_the_connection_be_switched_on(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    number = await order(world, link)
    await go_on(world)
    found = await state(world)
    assert found["state"] == "succeeded"
    assert found["took_ms"] is not None
    assert company.effects(number) == 1
    row = (await world.rows("select tested_at, test_ms from supplier_connection"))[0]
    assert row["tested_at"] is not None
    assert row["test_ms"] == found["took_ms"]
    page = (await link.owner.get(link.path)).text
    assert "Arrived" in page
    assert (await link.owner.post(f"{link.path}/switch", {"on": "yes"})).status_code == 303


async def test_it_belongs_to_nobody(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    await order(world, link)
    await go_on(world)
    for table in ("shop_order", "attempt", "card_key", "transfer"):
        assert await world.value(f"select count(*) from {table}") == 0, table


async def test_what_it_brought_is_sealed_and_shown_with_a_reason_alone(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    sku = (await offer_of(world, link))["supplier_sku"]
    company.cards(sku, {"number": "TEST-CARD-7781", "password": "pw-7781"})
    await order(world, link)
    await go_on(world)
    test_id = await world.value("select id from test_order")
    assert b"TEST-CARD-7781" not in bytes(await world.value("select issued from test_order"))
    assert "TEST-CARD-7781" not in (await link.owner.get(link.path)).text
    path = f"/suppliers/tests/{test_id}/reveal"
    assert "TEST-CARD-7781" not in (await link.owner.get(path)).text
    assert (await link.owner.post(path, {"reason": ""})).status_code == 422
    shown = await link.owner.post(path, {"reason": "to see what a card looks like"})
    assert "TEST-CARD-7781" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert await world.value("select count(*) from audit_entry where action = 'supplier.test_revealed'") == 1
    looker = await staff(world, MemberRole.READ_ONLY)
    assert (await looker.post(path, {"reason": "just curious"})).status_code == 403
    assert (await (await stranger(world)).get(path)).status_code == 404


async def test_it_is_asked_whether_it_is_meant(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company, mode="live")
    offer = await offer_of(world, link)
    page = await link.owner.get(f"{link.path}/tests/new?offer={offer['id']}")
    assert "This spends real balance" in page.text
    refused = await link.owner.post(f"{link.path}/tests", {"offer": str(offer["id"])})
    assert refused.status_code == 422
    assert 'id="f-is_meant-error"' in refused.text
    assert await world.value("select count(*) from test_order") == 0


async def test_second_one_waits_for_the_first(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    await order(world, link)
    offer = await offer_of(world, link)
    refused = await link.owner.post(f"{link.path}/tests", {"offer": str(offer["id"]), "is_meant": "yes"})
    assert refused.status_code == 409
    assert "still under way" in refused.text
    assert await world.value("select count(*) from test_order") == 1


async def test_lost_answer_is_asked_about_and_never_bought_twice(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    company.script({"drop": True}, on="place", times=1)
    number = await order(world, link)
    await world.work()
    assert (await state(world))["state"] == "unknown"
    assert "Outcome unknown" in (await link.owner.get(f"{link.path}/tests", part=True)).text
    await go_on(world)
    assert (await state(world))["state"] == "succeeded"
    assert company.effects(number) == 1


async def test_worker_that_died_during_the_call_leaves_an_order_that_is_asked_about(
    world: World, company: SupplierSimulator
) -> None:
    link = await linked(world, company)
    number = await order(world, link)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update test_order set state = 'sending', sent_at = now() - interval '5 seconds'")
    await go_on(world)
    assert company.effects(number) == 0
    assert (await state(world))["state"] == "unknown"


async def test_refusal_ends_it_and_says_why(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    company.script({"refuse": "no_balance"}, on="place")
    await order(world, link)
    await go_on(world)
    found = await state(world)
    assert (found["state"], found["reason"]) == ("failed", "no_balance")
    assert "Refused" in (await link.owner.get(link.path)).text
    assert await world.value("select tested_at from supplier_connection") is None


@pytest.mark.parametrize("body", ["html", "empty", "list"])
async def test_nonsense_is_never_taken_for_an_arrival(world: World, company: SupplierSimulator, body: str) -> None:
    link = await linked(world, company)
    company.script({"body": body})
    await order(world, link)
    await go_on(world)
    assert (await state(world))["state"] == "unknown"
    assert await world.value("select tested_at from supplier_connection") is None


async def test_goods_of_another_connection_and_goods_not_sold_are_refused(world: World, company: SupplierSimulator) -> None:
    first = await linked(world, company)
    offer = await offer_of(world, first)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_offer set is_on_sale = false")
    refused = await first.owner.post(f"{first.path}/tests", {"offer": str(offer["id"]), "is_meant": "yes"})
    assert refused.status_code == 422
    for wrong in ("", "nonsense", str(first.id)):
        answer = await first.owner.post(f"{first.path}/tests", {"offer": wrong, "is_meant": "yes"})
        assert answer.status_code in (404, 422), wrong
    assert await world.value("select count(*) from test_order") == 0
