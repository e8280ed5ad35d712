"""Cloning: something new on sale within minutes, from what sells already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.access.models import MemberRole
from app.catalog import service as catalog
from app.catalog.service import SkuTerms
from app.kernel.tasks import Lane
from app.pricing import service as pricing
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session
from tests.app.catalog.test_type_pages import made, product_of
from tests.app.fulfillment.supply import make_due, settle
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.app.suppliers.linked import item, keep, linked, on
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("kasushou"), "kasushou") as company:
        yield company


async def test_a_clone_is_a_draft_with_everything_but_stock_and_sales(world: World) -> None:
    owner = await staff(world)
    first = await product_of(owner, await made(owner), **{"sku-0-was": "8", "buyer_limit": "3", "usage": "Open the game."})
    sku_id, product_id = await world.value("select id from sku"), await world.value("select id from product")
    await world.stock(sku_id, 3)
    async with tenant_session(world.tenant) as session:
        await pricing.add_rule(session, product_id, RuleTerms(Effect.UNIT_PRICE, 500, sku_id, 10), actor=STAFF)
    assert "(copy)" in (await owner.get(f"{first}/clone")).text
    answer = await owner.post(f"{first}/clone", {"name": "Ruby coins"})
    assert answer.status_code == 303
    rows = await world.rows(
        "select p.name, p.state, p.type_id, p.attributes::text as said, p.buyer_limit, p.usage_html, k.name as sku, l.price_minor, l.was_minor,"
        " coalesce((select available from stock s where s.sku_id = k.id), 0) as left"
        " from product p join sku k on k.product_id = p.id join listing l on l.sku_id = k.id order by p.created_at"
    )
    before, after = rows
    assert after == {**before, "name": "Ruby coins", "state": "draft", "left": 0}
    rules = await world.rows("select sku_id, value, least_quantity from price_rule order by created_at")
    assert [(rule["value"], rule["least_quantity"]) for rule in rules] == [(500, 10)] * 2
    assert rules[1]["sku_id"] != sku_id
    assert "Buyers fill in 3 fields." in words((await owner.get(answer.headers["location"].removeprefix(owner.base))).text)


async def test_a_clone_is_bought_from_the_offer_that_was_chosen_for_it(world: World, company: SupplierSimulator) -> None:
    link = await linked(world, company)
    company.goods({"sku": "NEW", "kind": "card", "cost": "7", "stock": 5, "currency": "CNY"})
    await on(world, link.id)
    (offer_id,) = await keep(world, link.id, item("NEW", "7", name="Short drama month", stock=5))
    first = await world.product(SkuTerms("Month", 1990))
    page = await link.owner.get(f"/products/{first.id}/clone?q=drama")
    assert "Short drama month · Northbank" in page.text
    chosen = {"name": "Short drama", "q": "drama", f"offer-{first.skus[0].id}": str(offer_id)}
    assert (
        await link.owner.post(f"/products/{first.id}/clone", chosen | {f"offer-{first.skus[0].id}": str(first.id)})
    ).status_code == 422
    made_at = (await link.owner.post(f"/products/{first.id}/clone", chosen)).headers["location"].removeprefix(link.owner.base)
    assert (await link.owner.post(f"{made_at}/publication")).status_code == 303
    await world.work(Lane.ORDERS)
    listing = await world.value(
        "select l.id from listing l join sku k on k.id = l.sku_id join product p on p.id = k.product_id where p.name = 'Short drama'"
    )
    forget_shelf(world.tenant)
    before = company.totals()["effects"]["count"]
    await world.paid(listing)
    await settle(world)
    await make_due(world)
    await settle(world)
    assert company.totals()["effects"]["count"] == before + 1
    assert await world.value("select state from shop_order") == "delivered"


async def test_a_whole_category_is_cloned_as_drafts(world: World) -> None:
    owner = await staff(world)
    async with tenant_session(world.tenant) as session:
        category = await catalog.category_named(session, "Films")
        empty = await catalog.category_named(session, "Empty")
    for name in ("Skylark", "Bluebird"):
        await world.product(name=name, category_id=category.id)
    assert "2 products are in it." in words((await owner.get(f"/categories/{category.id}/clone")).text)
    taken = await owner.post(f"/categories/{category.id}/clone", {"name": "Films"})
    assert taken.status_code == 422
    assert (await owner.post(f"/categories/{category.id}/clone", {"name": "Short films"})).status_code == 303
    rows = await world.rows(
        "select p.name, p.state from product p join category c on c.id = p.category_id where c.name = 'Short films' order by 1"
    )
    assert rows == [{"name": "Bluebird", "state": "draft"}, {"name": "Skylark", "state": "draft"}]
    again = await owner.post(f"/categories/{category.id}/clone", {"name": "Short films"})
    assert again.status_code == 422
    nothing = await owner.post(f"/categories/{empty.id}/clone", {"name": "Other"})
    assert "Nothing is in this category" in words(nothing.text)


async def test_who_may_clone_and_whose_it_is(world: World) -> None:
    product = await world.product()
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.post(f"/products/{product.id}/clone", {"name": "X"})).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(f"/products/{product.id}/clone")).status_code == 404
    assert (await stranger.post(f"/products/{product.id}/clone", {"name": "X"})).status_code == 404
    owner = await staff(world)
    assert (await owner.post(f"/products/{product.id}/clone", {"name": ""})).status_code == 422
    assert await world.value("select count(*) from product") == 1
