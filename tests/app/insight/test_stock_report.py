"""The stock report: age, expiry, candidates with evidence, clearance; and the warning that comes before zero."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.inventory import service as inventory
from app.kernel import clock
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def old(world: World) -> None:
    """As if everything had been made a fortnight ago."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update sku set created_at = now() - interval '14 days'")
        await tx.execute("update import_batch set created_at = now() - interval '14 days'")


async def test_it_shows_age_value_and_what_expires(world: World) -> None:
    product, owner = await world.product(SkuTerms("Month", 1990)), await staff(world)
    assert "No keys in stock" in words((await owner.get("/stock-report")).text)
    await world.stock(product.skus[0].id, 3, expires_on=clock.business_day() + timedelta(days=5))
    await world.stock(product.skus[0].id, 2)
    await old(world)
    page = words((await owner.get("/stock-report")).text)
    report = page[page.index("What lies in stock") :]
    assert "¥73.50" in report, report[:400]
    assert "¥44.10" in report, report[:400]
    assert "3 keys" in report, report[:400]
    assert "14 days" in page
    assert "in 5 days" in page


async def test_candidates_have_evidence_and_are_cleared_out_with_the_old_price_struck_through(world: World) -> None:
    dead = await world.product(SkuTerms("Month", 1990), name="Dead")
    good = await world.product(SkuTerms("Month", 1990), name="Good")
    bad = await world.product(SkuTerms("Month", 1990), name="Bad")
    for one in (dead, good, bad):
        await world.stock(one.skus[0].id, 6)
    await world.bought(good.skus[0].listing.id, 5)
    failing = await world.bought(bad.skus[0].listing.id, 5, contact="13800132047")
    await old(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update delivery_unit set state = 'refunding' where order_id = $1 and unit_no <= 2", failing.id)
    world.may_break |= {"INV-2", "INV-3", "INV-10"}
    owner = await staff(world)
    page = words((await owner.get("/stock-report")).text)
    assert "Dead Month nothing sold in 30 days" in page
    assert "40% of its units were given back" in page
    assert "Good Month nothing" not in page
    sku = dead.skus[0]
    raised = await owner.post("/stock-report/clearances", {"sku": str(sku.id), f"price-{sku.id}": "25"})
    assert raised.status_code == 422
    assert f'id="f-price-{sku.id}-error"' in raised.text
    for _ in range(2):
        answer = await owner.post("/stock-report/clearances", {"sku": str(sku.id), f"price-{sku.id}": "9.90"})
    assert answer.status_code == 422
    kept = await world.rows("select price_minor, was_minor from listing where sku_id = $1", sku.id)
    assert kept == [{"price_minor": 990, "was_minor": 1990}]
    assert await world.value("select count(*) from price_change where to_minor = 990") == 1


async def test_who_may_and_whose_it_is(world: World) -> None:
    product = await world.product()
    sku_id = product.skus[0].id
    form = {"sku": str(sku_id), f"price-{sku_id}": "1"}
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get("/stock-report")).status_code == 200
    assert (await viewer.post("/stock-report/clearances", form)).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.post("/stock-report/clearances", form)).status_code == 404
    assert (await (await staff(world)).post("/stock-report/clearances", {"sku": "x"})).status_code == 422


async def test_a_warning_goes_out_before_the_last_is_sold_by_how_fast_it_sells(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, warn_days=10), SkuTerms("Year", 9900))
    await staff(world)
    for sku in product.skus:
        await world.stock(sku.id, 40)
    for number in range(4):
        await world.bought(product.skus[0].listing.id, 5, contact=f"1380013205{number}")
    assert await world.value("select count(*) from stock where warned_at is not null") == 0
    async with tenant_tx(world.tenant) as tx:
        assert await inventory.measure_speed(tx) == 1
        assert await inventory.measure_speed(tx) == 0
    assert float(await world.value("select max(per_day) from stock")) == pytest.approx(1.429)
    assert await world.value("select count(*) from stock where warned_at is not null") == 0
    await world.bought(product.skus[0].listing.id, 6, contact="13800132047")
    assert await world.rows("select available, warned_at is not null as warned from stock order by available") == [
        {"available": 14, "warned": True},
        {"available": 40, "warned": False},
    ]
    await world.work()
    assert await world.value("select count(*) from outgoing_message where template = 'stock_low'") == 1
