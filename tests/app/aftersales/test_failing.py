"""Rates of what fails after delivery, a bad batch replaced for everybody, and goods whose supplier is asked before anything is done."""

from __future__ import annotations

import pytest

from app.access.models import MemberRole
from app.aftersales import failing, recalling
from app.kernel.tasks import Lane
from tenants.session import tenant_tx
from tests.app.aftersales.cases import policy, read, reported, sold, state
from tests.app.fulfillment.supply import make_due, refund, routed, settle, source
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "tango"
REASON = {"reason": "The seller recalls it"}


async def test_a_rate_beyond_the_line_is_told_once_and_leads_to_the_batch(world: World) -> None:
    await policy(world, rate_bp=5000, rate_least=2)
    placed = await sold(world, quantity=3)
    await reported(world, placed)
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await failing.look(tx, [])
    assert await world.value("select count(*) from alert") == 0
    await reported(world, placed, unit_no=2)
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await failing.look(tx, [])
    assert await world.value("select count(*) from alert where template = 'failure_rate_high'") == 2
    batch_no = await world.value("select batch_no from import_batch")
    page = (await (await staff(world)).get("/after-sales/rates")).text
    assert "66" in words(page)
    assert f"/imports/{batch_no}/quarantine" in page


async def test_a_bad_batch_is_replaced_for_everybody_from_another(world: World) -> None:
    placed = await sold(world, keys=4, quantity=3)
    own = await reported(world, placed)
    owner, batch_no = await staff(world), await world.value("select batch_no from import_batch")
    assert (await owner.post(f"/imports/{batch_no}/recall", REASON)).status_code == 409
    assert (await owner.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 303
    await world.stock(await world.value("select sku_id from import_batch"), 2)
    assert "3 keys of batch" in words((await owner.get(f"/imports/{batch_no}/recall", part=True)).text)
    assert "Replace for everybody" in (await owner.get(f"/imports/{batch_no}")).text
    assert (await owner.post(f"/imports/{batch_no}/recall", {"reason": " "})).status_code == 422
    for _ in range(2):
        assert (await owner.post(f"/imports/{batch_no}/recall", REASON)).status_code == 303
        await world.work(Lane.BULK, Lane.ORDERS)
    await refund(world)
    await world.work(Lane.ORDERS)
    assert await state(world, own) == "replaced"
    by_state = await world.rows("select state, count(*) as n from after_sale_case group by 1 order by 1")
    assert by_state == [{"state": "refunded", "n": 1}, {"state": "replaced", "n": 2}]
    assert await world.value("select count(*) from supplier_claim") == 3
    assert await world.value("select quarantined from stock") == 1
    support = await staff(world, MemberRole.SUPPORT)
    assert (await support.post(f"/imports/{batch_no}/recall", REASON)).status_code == 403
    await recalling.go_on(world.tenant, await world.value("select id from import_batch where batch_no = $1", batch_no))
    assert await world.value("select count(*) from after_sale_remedy") == 3


async def test_a_bought_card_is_asked_about_then_bought_again_and_claimed(world: World, company: SupplierSimulator) -> None:
    await policy(world, auto_most_minor=2000)
    seller = await source(world, company)
    product = await routed(world, seller)
    before = seller.totals()["effects"]
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    await read(world, placed)
    case_id = await reported(world, placed)
    assert await state(world, case_id) == "checking_with_supplier"
    await settle(world)
    assert await state(world, case_id) == "replaced"
    assert seller.totals()["effects"] - before == 2
    states = await world.rows("select state from attempt order by seq")
    assert [row["state"] for row in states] == ["replaced", "succeeded"]
    case = (await world.rows("select verdict, connection_id from after_sale_case"))[0]
    assert (case["verdict"], case["connection_id"]) == ("delivered", seller.connection_id)
    claim = (await world.rows("select amount::int as amount, is_late, connection_id from supplier_claim"))[0]
    assert (claim["amount"], claim["is_late"], claim["connection_id"]) == (10, False, seller.connection_id)
    assert await world.value("select count(*) from card_key where state = 'voided'") == 1


async def test_a_supplier_who_cannot_say_leaves_it_to_the_team(world: World, company: SupplierSimulator) -> None:
    await policy(world, auto_most_minor=2000)
    seller = await source(world, company)
    product = await routed(world, seller)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    await read(world, placed)
    company.script({"status": 503}, on="query")
    case_id = await reported(world, placed)
    for _ in range(4):
        await make_due(world, "aftersales.check")
        await settle(world)
    assert await state(world, case_id) == "awaiting_staff"
    assert await world.rows("select verdict, times_checked from after_sale_case") == [{"verdict": "unknown", "times_checked": 4}]
    company.clear_script()
    case_no = await world.value("select case_no from after_sale_case")
    owner = await staff(world)
    assert (await owner.post(f"/after-sales/{case_no}/checks")).status_code == 303
    await settle(world)
    assert await world.value("select verdict from after_sale_case") == "delivered"


async def test_the_suppliers_page_shows_what_failed_and_leads_to_its_batch_and_the_buyers(
    world: World, company: SupplierSimulator
) -> None:
    await policy(world, auto_most_minor=0, rate_bp=5000, rate_least=1)
    seller, other = await source(world, company), await source(world, company)
    product = await routed(world, seller)
    placed = await world.paid(product.skus[0].listing.id, 2)
    await settle(world)
    await read(world, placed)
    await reported(world, placed)
    owner = await staff(world)
    found = {
        one.connection_id: await world.value("select supplier_id from supplier_connection where id = $1", one.connection_id)
        for one in (seller, other)
    }
    batch_no = await world.value("select batch_no from import_batch")
    page = (await owner.get(f"/suppliers/{found[seller.connection_id]}")).text
    assert "50%" in words(page)
    assert f"/imports/{batch_no}/quarantine" in page
    assert batch_no not in (await owner.get(f"/suppliers/{found[other.connection_id]}")).text
    assert (await owner.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 303
    frozen = (await owner.get(f"/imports/{batch_no}")).text
    assert placed.order_no in frozen
    assert "got keys of it before" in words(frozen)
    support = await staff(world, MemberRole.READ_ONLY)
    assert f"/imports/{batch_no}/quarantine" not in (await support.get(f"/suppliers/{found[seller.connection_id]}")).text
