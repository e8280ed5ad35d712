"""Buying a bundle through the shop's pages: what is in it, which accounts it credits, and how each part stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog.models import BundlePolicy
from app.ordering.placing import Placed
from tests.app.fulfillment.supply import refund, settle
from tests.app.fulfillment.top_up import top_up
from tests.app.ordering.bundles import bundle, keys, void, vouchers
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, fields, words
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
NUMBER = "+85251234567"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("airtime"), "dingconnect") as one:
        yield one


@pytest.fixture
def buyer(world: World) -> Buyer:
    return Buyer(world.client())


async def paid(world: World) -> Placed:
    """The newest order, paid for and dealt with."""
    row = (await world.rows("select id, order_no from shop_order order by placed_at desc limit 1"))[0]
    placed = Placed(row["id"], row["order_no"], repeated=False)
    await world.pay(placed)
    await world.ask_gateway(placed)
    await settle(world)
    return placed


async def test_a_bundle_asks_for_its_account_shows_it_again_and_says_how_each_part_stands(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    airtime, salad = await top_up(world, company), await vouchers(world, "Salad", 1000)
    product = await bundle(world, [(airtime.product.skus[0].id, 1), (salad.id, 2)], price_minor=2000)
    path, field = f"/products/{product.id}", f"account-{airtime.product.skus[0].id.hex}-phone"
    page = (await buyer.get(path)).text
    assert "What is in it Airtime ¥5 Salad One × 2" in words(page)
    assert f'name="{field}"' in page
    refused = await buyer.buy(product.id, **{field: "12"})
    assert refused.status_code == 422
    assert f'id="f-{field}-error"' in refused.text
    shown = await buyer.buy(product.id, **{field: NUMBER})
    assert shown.status_code == 200
    assert NUMBER in words(shown.text)
    answer = await buyer.client.post("/checkout", data=fields(shown.text, "/checkout"))
    assert answer.status_code == 303
    await paid(world)
    page = words((await buyer.get(answer.headers["location"])).text)
    assert "Here is what you bought" in page
    assert "Airtime ¥5 × 1 Delivered ¥4.62" in page
    assert "Salad One × 2 Delivered ¥15.38" in page
    assert "Tea Time Single" in page
    assert NUMBER not in page


async def test_a_cart_with_bundles_asks_for_each_account_apart(world: World, company: SupplierSimulator, buyer: Buyer) -> None:
    airtime, salad = await top_up(world, company), await vouchers(world, "Salad", 1000)
    sku, product = airtime.product.skus[0], await bundle(world, [(airtime.product.skus[0].id, 1), (salad.id, 1)])
    for one in (sku, product.skus[0]):
        await buyer.post("/cart", "/cart/lines", listing=str(one.listing.id), quantity="1")
    page = (await buyer.get("/cart")).text
    own, part = f"account-{sku.listing.id.hex}-phone", f"account-{product.skus[0].listing.id.hex}-{sku.id.hex}-phone"
    assert f'name="{own}"' in page
    assert f'name="{part}"' in page
    shown = await buyer.send("/cart", "/cart/checkout", contact="13800132046", **{own: NUMBER, part: "+85261231111"})
    assert NUMBER in words(shown.text)
    assert "+85261231111" in words(shown.text)
    answer = await buyer.client.post("/cart/checkout", data=fields(shown.text, "/cart/checkout"))
    assert answer.status_code == 303
    assert await world.value("select count(distinct masked) from recharge_account") == 2


async def test_a_part_that_is_missing_is_given_back_and_both_pages_say_so(world: World, buyer: Buyer) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 3), await keys(world, "Tea", 1000, 1)
    product = await bundle(world, [(coffee.id, 1), (tea.id, 1)])
    answer = await buyer.buy(product.id)
    await void(world, tea.id)
    placed = await paid(world)
    await refund(world)
    page = words((await buyer.get(answer.headers["location"])).text)
    assert "1 of 2 could be delivered" in page
    assert "Coffee One × 1 Delivered ¥20.00" in page
    assert "Tea One × 1 Refunded ¥10.00" in page
    desk = words((await (await staff(world)).get(f"/orders/{placed.order_no}")).text)
    assert "of it Tea One × 1 ¥10.00" in desk
    assert "Part of Tea Time Single" in desk
    orders = words((await (await staff(world)).get("/orders")).text)
    assert "Tea Time Single × 1" in orders


async def test_a_bundle_short_of_a_part_is_shown_as_sold_out(world: World, buyer: Buyer) -> None:
    coffee, tea = await keys(world, "Coffee", 2000, 3), await keys(world, "Tea", 1000, 0)
    product = await bundle(world, [(coffee.id, 1), (tea.id, 1)], policy=BundlePolicy.WHOLE)
    assert "Sold out" in words((await buyer.get(f"/products/{product.id}")).text)
    await world.stock(tea.id, 2)
    assert "2 left" in words((await buyer.get(f"/products/{product.id}")).text)
