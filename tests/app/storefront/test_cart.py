"""Several things at once, from a cart that lives in the browser."""

from __future__ import annotations

import pytest

from app.catalog.service import SkuTerms
from app.storefront import carts
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_tx
from tests.app.storefront.buyer import Buyer, fields, words
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def _two(world: World) -> list[str]:
    product = await world.product(SkuTerms("Month", 1000), SkuTerms("Year", 5000))
    for sku in product.skus:
        await world.stock(sku.id, 5)
    return [str(sku.listing.id) for sku in product.skus]


async def _put(buyer: Buyer, listing: str, quantity: str = "1", **more: str) -> int:
    return (await buyer.post("/cart", "/cart/lines", listing=listing, quantity=quantity, **more)).status_code


async def test_several_lines_are_one_order_with_one_sum(world: World) -> None:
    month, year = await _two(world)
    buyer = Buyer(world.client())
    assert [await _put(buyer, month), await _put(buyer, month), await _put(buyer, year)] == [303] * 3
    cart = await buyer.get("/cart")
    assert "¥70.00" in words(cart.text)
    placed = await buyer.client.post("/cart/checkout", data={**fields(cart.text, "/cart/checkout"), "contact": "a@example.com"})
    assert placed.status_code == 303
    assert [row["quantity"] for row in await world.rows("select quantity from order_line order by unit_price_minor")] == [2, 1]
    assert "Your cart is empty" in (await buyer.get("/cart")).text
    assert (await buyer.get(placed.headers["location"])).status_code == 200


async def test_changing_and_taking_out(world: World) -> None:
    month, year = await _two(world)
    buyer = Buyer(world.client())
    await _put(buyer, month, "3")
    await _put(buyer, year)
    await _put(buyer, month, "2", mode="set")
    assert "¥70.00" in words((await buyer.get("/cart")).text)
    await buyer.post("/cart", "/cart/removals", listing=month)
    assert "¥50.00" in words((await buyer.get("/cart")).text)


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "2147483648", "１", "101"])
@pytest.mark.parametrize("mode", ["add", "set"])
@pytest.mark.case("A12")
async def test_quantities_that_are_none(world: World, quantity: str, mode: str) -> None:
    month, _ = await _two(world)
    buyer = Buyer(world.client())
    assert await _put(buyer, month, quantity, mode=mode) == 422
    assert "Your cart is empty" in (await buyer.get("/cart")).text


STRANGER = "4cf24b16a14f4f71a5e92fc2903f0caa"


@pytest.mark.parametrize(
    "cookie", ["", "x", "...", "-", "a-b", f"{STRANGER}-0", f"{STRANGER}-9999", f"{STRANGER}-１", "\\", "-" * 4000]
)
async def test_a_cookie_somebody_made_up(world: World, cookie: str) -> None:
    buyer = Buyer(world.client())
    answer = await buyer.get("/cart", headers={"cookie": f"{carts.COOKIE}={cookie}".encode()})
    assert answer.status_code == 200
    assert "Your cart is empty" in answer.text


async def test_twenty_lines_and_no_more(world: World) -> None:
    product = await world.product(*(SkuTerms(f"Kind {n}", 100 + n) for n in range(21)))
    buyer = Buyer(world.client())
    listings = [str(sku.listing.id) for sku in product.skus]
    assert {await _put(buyer, listing) for listing in listings[:20]} == {303}
    over = await buyer.post("/cart", "/cart/lines", listing=listings[20], quantity="1")
    assert over.status_code == 422
    assert "20 different items at most" in words(over.text)


async def test_one_line_sold_out_orders_nothing_and_says_which(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1000), SkuTerms("Year", 5000))
    await world.stock(product.skus[0].id, 5)
    await world.stock(product.skus[1].id, 1)
    buyer = Buyer(world.client())
    for sku in product.skus:
        await _put(buyer, str(sku.listing.id))
    form = fields((await buyer.get("/cart")).text, "/cart/checkout")
    await world.order(product.skus[1].listing.id)
    answer = await buyer.client.post("/cart/checkout", data={**form, "contact": "a@example.com"})
    assert answer.status_code == 409
    assert "Year is sold out" in words(answer.text)
    assert "a@example.com" in answer.text
    assert await world.value("select count(*) from shop_order") == 1
    assert "¥60.00" in words((await buyer.get("/cart")).text), "the cart is kept"


@pytest.mark.case("A12")
async def test_the_limit_holds_over_all_lines_of_a_product(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1000), SkuTerms("Year", 5000), buyer_limit=2)
    for sku in product.skus:
        await world.stock(sku.id, 5)
    buyer = Buyer(world.client())
    await _put(buyer, str(product.skus[0].listing.id), "2")
    await _put(buyer, str(product.skus[1].listing.id), "1")
    answer = await buyer.send("/cart", "/cart/checkout", contact="a@example.com")
    assert answer.status_code == 409
    assert "limited to 2 per buyer" in words(answer.text)
    assert await world.value("select count(*) from shop_order") == 0


async def test_a_changed_price_or_a_withdrawn_line_is_shown_first(world: World) -> None:
    month, year = await _two(world)
    buyer = Buyer(world.client())
    await _put(buyer, month)
    await _put(buyer, year)
    form = fields((await buyer.get("/cart")).text, "/cart/checkout")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update listing set is_published = false where id = $1::text::uuid", year)
    forget_shelf(world.tenant)
    answer = await buyer.client.post("/cart/checkout", data={**form, "contact": "a@example.com"})
    assert answer.status_code == 409
    assert "no longer on sale" in words(answer.text)
    assert "¥10.00" in words(answer.text)
    assert await world.value("select count(*) from shop_order") == 0


async def test_an_empty_cart_is_not_ordered(world: World) -> None:
    buyer = Buyer(world.client())
    answer = await buyer.post("/cart", "/cart/checkout", contact="a@example.com", request_id="0123456789abcdef0123")
    assert answer.status_code == 422
    assert "nothing in the cart" in words(answer.text)


async def test_sent_twice_it_is_one_order(world: World) -> None:
    month, _ = await _two(world)
    buyer = Buyer(world.client())
    await _put(buyer, month)
    form = {**fields((await buyer.get("/cart")).text, "/cart/checkout"), "contact": "a@example.com"}
    kept = buyer.client.cookies.get(carts.COOKIE)
    first = await buyer.client.post("/cart/checkout", data=form)
    buyer.client.cookies.set(carts.COOKIE, kept, domain=str(buyer.client.base_url.host))
    second = await buyer.client.post("/cart/checkout", data=form)
    assert first.headers["location"] == second.headers["location"]
    assert await world.value("select count(*) from shop_order") == 1


async def test_another_shops_listing_is_refused(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    theirs = await world.product(tenant=other)
    assert await _put(Buyer(world.client()), str(theirs.skus[0].listing.id)) == 404
