"""Buying through a sales channel's link: its own prices, its own stock, and its name on the order."""

from __future__ import annotations

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.ordering import placing
from app.ordering.placing import OfferChanged
from app.pricing import floors
from app.pricing.channels import Differs, set_listings
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def opened(world: World, *codes: str) -> None:
    owner = await staff(world)
    for code in codes:
        answer = await owner.post("/channels", {"code": code, "name": code.title()})
        assert answer.status_code == 303, words(answer.text)


async def test_two_channels_sell_at_different_prices_with_separate_stock(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19_900))
    month, year = product.skus
    await world.stock(month.id, 5)
    await world.stock(year.id, 5)
    await opened(world, "mini-program", "partner")
    owner = await staff(world)
    here = f"/products/{product.id}/channels"
    sent = {f"{month.id}-price": "17.50", f"{month.id}-sold": "yes", f"{year.id}-price": ""}
    assert (await owner.post(f"{here}/mini-program", sent)).status_code == 303
    sent = {f"{month.id}-price": "22", f"{month.id}-sold": "yes", f"{year.id}-price": "", f"{year.id}-sold": "yes"}
    assert (await owner.post(f"{here}/partner", sent)).status_code == 303
    path = f"/skus/{month.id}/allocation"
    assert (await owner.post(path, {"allocation": "quota"})).status_code == 303
    for code, units in (("mini-program", "2"), ("partner", "3")):
        assert (await owner.post(f"{path}/moves", {"source": "-", "target": code, "units": units})).status_code == 303
    assert "¥17.50" not in words((await Buyer(world.client()).get(f"/products/{product.id}")).text)

    bought = {}
    for code, price, others in (("mini-program", "¥17.50", "Year"), ("partner", "¥22.00", "")):
        buyer = Buyer(world.client())
        assert (await buyer.get(f"/c/{code}/{product.id}")).status_code == 303
        page = words((await buyer.get(f"/products/{product.id}")).text)
        assert price in page
        assert not others or others not in page
        answer = await buyer.buy(product.id, listing=str(month.listing.id), contact=f"1380013{len(code):04}")
        assert answer.status_code == 303, words(answer.text)
        bought[code] = answer
    rows = await world.rows("select sales_channel, total_minor from shop_order order by 1")
    assert [tuple(row.values()) for row in rows] == [("mini-program", 1750), ("partner", 2200)]
    units = await world.rows("select channel_code, units from channel_quota order by 1")
    assert [tuple(row.values()) for row in units] == [("mini-program", 1), ("partner", 2)]
    plain = Buyer(world.client())
    answer = await plain.buy(product.id, listing=str(month.listing.id))
    assert answer.status_code == 409
    assert "is sold out" in words(answer.text)
    listed = words((await owner.get("/orders?channel=partner")).text)
    assert "¥22.00" in listed
    assert "¥17.50" not in listed


async def test_a_channel_that_is_closed_or_unknown_shows_the_shop_as_it_is(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    await opened(world, "mini-program")
    owner, buyer = await staff(world), Buyer(world.client())
    sku = product.skus[0].id
    await owner.post(f"/products/{product.id}/channels/mini-program", {f"{sku}-price": "5", f"{sku}-sold": "yes"})
    await buyer.get("/c/mini-program")
    assert "¥5.00" in words((await buyer.get(f"/products/{product.id}")).text)
    for _ in range(2):
        assert (await owner.post("/channels/mini-program/switch", {"is_on": ""})).status_code == 303
    assert "¥19.90" in words((await buyer.get(f"/products/{product.id}")).text)
    assert (await buyer.get("/c/mini-program")).status_code == 404
    assert (await buyer.get("/c/..%2f")).status_code == 404
    assert (await buyer.get("/c/nobody")).status_code == 404
    assert (await owner.post("/channels/storefront/switch", {"is_on": ""})).status_code == 409
    assert (await owner.post("/channels/nobody/switch", {"is_on": ""})).status_code == 404


async def test_a_price_that_changed_in_a_channel_meanwhile_is_looked_at_again(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 2)
    await opened(world, "mini-program")
    async with tenant_session(world.tenant) as session:
        await set_listings(session, "mini-program", product.id, {sku.id: Differs(1500)}, actor=STAFF)
    forget_shelf(world.tenant)
    request = await world.request(sku.listing.id, channel="mini-program")
    assert request.quote.total_minor == 1500
    async with tenant_session(world.tenant) as session:
        await set_listings(session, "mini-program", product.id, {sku.id: Differs(None, is_sold=False)}, actor=STAFF)
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, request)


async def test_a_channels_price_below_the_least_margin_is_refused(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 2)  # at 14.70 each
    await opened(world, "mini-program")
    async with tenant_session(world.tenant) as session:
        await floors.set_floors(session, product.id, {sku.id: 1000}, actor=STAFF)
    owner = await staff(world)
    answer = await owner.post(f"/products/{product.id}/channels/mini-program", {f"{sku.id}-price": "16", f"{sku.id}-sold": "yes"})
    assert answer.status_code == 422
    assert "at least ¥16.34" in words(answer.text)
    assert 'value="16"' in answer.text
    assert await world.value("select count(*) from channel_listing") == 0


async def test_the_pages_say_every_fault_and_keep_to_roles_and_tenants(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19_900))
    owner = await staff(world)
    assert "No sales channel beside the shop" in words((await owner.get(f"/products/{product.id}/channels")).text)
    answer = await owner.post("/channels", {"code": "Mini Program", "name": ""})
    assert answer.status_code == 422
    assert 'id="f-code-error"' in answer.text
    assert 'id="f-name-error"' in answer.text
    await opened(world, "mini-program")
    for code, name in (("mini-program", "Other"), ("other", "Mini-Program"), ("storefront", "X")):
        answer = await owner.post("/channels", {"code": code, "name": name})
        assert answer.status_code == 422, code
        assert "of this code or name already" in words(answer.text)
    month, year = (sku.id for sku in product.skus)
    here = f"/products/{product.id}/channels"
    answer = await owner.post(f"{here}/mini-program", {f"{month}-price": "0", f"{year}-price": "x"})
    assert answer.status_code == 422
    assert f'id="f-{month}-price-error"' in answer.text
    assert f'id="f-{year}-price-error"' in answer.text
    assert (await owner.post(f"{here}/nobody", {})).status_code == 404
    assert (await owner.get(f"{here}?channel=nobody")).status_code == 404
    viewer = await staff(world, MemberRole.READ_ONLY)
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await viewer.get("/channels")).status_code == 200
    assert (await viewer.get(here)).status_code == 200
    assert (await stranger.get(here)).status_code == 404
    assert (await viewer.post("/channels", {"code": "a-b", "name": "A"})).status_code == 403
    for person, status in ((viewer, 403), (stranger, 404)):
        assert (await person.post("/channels/mini-program/switch", {"is_on": ""})).status_code == status
        assert (await person.post(f"{here}/mini-program", {})).status_code == status
