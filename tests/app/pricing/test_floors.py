"""The least margin: refused when a price or a rule is saved, refused when an order is placed, for own stock and for goods of suppliers."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.service import SkuTerms
from app.inventory import importing
from app.kernel import clock
from app.ordering import placing
from app.ordering.placing import NotSoldNow
from app.pricing import floors
from app.pricing.floors import BelowFloor, least_minor
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session
from tests.app.pricing.test_pages import at
from tests.app.pricing.test_sales import ruled
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World


@given(cents=st.integers(0, 10**7), finer=st.integers(0, 9_999), floor=st.integers(0, 9_999))
def test_the_least_price_leaves_the_floor_and_one_cent_less_does_not(cents: int, finer: int, floor: int) -> None:
    cost = Decimal(cents) / 100 + Decimal(finer) / 1_000_000
    least = least_minor(cost, floor)
    leaves = lambda price: (Decimal(price) - cost * 100) * 10_000 >= Decimal(price) * floor  # noqa: E731
    assert leaves(least)
    assert least == 0 or not leaves(least - 1)


pytestmark = [pytest.mark.anyio]


async def dearer_keys(world: World, sku_id: object, cost: str, keys: int = 5) -> None:
    """A batch at another cost."""
    body = "\n".join(f"DEAR-{cost}-{n:06d}" for n in range(keys)).encode()
    terms: tuple[Decimal, date | None] = (Decimal(cost), None)
    async with tenant_session(world.tenant) as session:
        batch = await importing.start_import(session, sku_id=sku_id, body=body, file_name="keys.txt", terms=terms, actor=STAFF)  # type: ignore[arg-type]
    await importing.check(world.tenant, batch.id)
    async with tenant_session(world.tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=STAFF)
    await importing.import_keys(world.tenant, batch.id)


@pytest.mark.database
async def test_below_the_floor_nothing_is_saved(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    sku, owner = product.skus[0], await staff(world)
    here, name = f"/products/{product.id}", f"floor-{sku.id.hex}"
    await world.stock(sku.id, 10)  # at 14.70
    assert (await owner.post(f"{here}/prices", {name: "20"})).status_code == 303
    assert await world.value("select least_minor from listing where sku_id = $1", sku.id) == 1838
    step = {f"{at(sku.id, 0)}-least": "10", f"{at(sku.id, 0)}-price": "18.37"}
    told = await owner.post(f"{here}/prices", step | {name: "20"})
    assert told.status_code == 422
    assert "Skylark Video Month would be sold for ¥18.37" in words(told.text)
    assert 'value="18.37"' in told.text
    assert (await owner.post(f"{here}/prices", step | {f"{at(sku.id, 0)}-price": "18.38", name: "20"})).status_code == 303
    rule = await owner.post(f"{here}/price-rules", {"kind": "share_less", "value": "10", "sku": str(sku.id)})
    assert rule.status_code == 422
    assert 'id="f-value-error"' in rule.text
    form = {"name": "Skylark Video", "kind": "card_key", "sku-0-id": str(sku.id), "sku-0-name": "Month", "sku-0-price": "15"}
    assert (await owner.post(here, form)).status_code == 422
    for wrong in ({name: "twenty"}, {name: "100"}):
        assert (await owner.post(f"{here}/prices", wrong)).status_code == 422
    assert await world.value("select price_minor from listing where sku_id = $1", sku.id) == 1990
    assert await world.value("select count(*) from price_rule") == 1
    too_high = await owner.post(f"{here}/prices", {name: "30"})
    assert too_high.status_code == 422
    assert await world.value("select floor_bp from sku where id = $1", sku.id) == 2000


@pytest.mark.database
async def test_when_the_cost_rises_past_the_floor_nobody_buys_until_it_falls(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    async with tenant_session(world.tenant) as session:
        await floors.set_floors(session, product.id, {sku.id: 1000}, actor=STAFF)
    tier = await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1700, sku.id, least_quantity=3))
    single, batch, by_rule = (
        await world.request(sku.listing.id),
        await world.request(sku.listing.id),
        await world.request(sku.listing.id, 3),
    )
    assert by_rule.quote.total_minor == 5100
    await dearer_keys(world, sku.id, "16")
    await world.work()
    assert await world.value("select least_minor from listing") == 1778
    with pytest.raises(NotSoldNow, match="cannot be bought"):
        await placing.place(world.tenant, by_rule)
    await placing.place(world.tenant, await world.request(sku.listing.id, contact="13800132001"))
    await dearer_keys(world, sku.id, "19")
    await world.work()
    for place, asked in ((placing.place, batch), (placing.place_single, single)):
        with pytest.raises(NotSoldNow):
            await place(world.tenant, asked)
    forget_shelf(world.tenant)
    assert (
        "It cannot be delivered right now" in (page := words((await Buyer(world.client()).get(f"/products/{product.id}")).text))
        or "Sold out" in page
    )
    await world.rows("update card_key set state = 'voided' where unit_cost > 15 returning 1")
    await world.rows("update stock set voided = voided + 10, available = available - 10 returning 1")
    async with tenant_session(world.tenant) as session:
        await floors.hold(session, product.id)
    forget_shelf(world.tenant)
    await placing.place(world.tenant, await world.request(sku.listing.id, 3, contact="13800132009"))
    assert await world.value("select count(*) from order_line where price_rule_id = $1", tier.id) == 1


@pytest.mark.database
async def test_a_rule_that_is_over_no_longer_counts_and_one_to_come_does(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    async with tenant_session(world.tenant) as session:
        await floors.set_floors(session, product.id, {sku.id: 1000}, actor=STAFF)
    tomorrow = clock.now() + timedelta(days=1)
    with pytest.raises(BelowFloor):
        await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1000, sku.id, starts_at=tomorrow))
    await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1000, sku.id, ends_at=clock.now() - timedelta(hours=1)))
