"""Many buyers at once: exactly the stock is sold, exactly the limit is bought, exactly one order per key. Each with its red control."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from app.catalog.service import SkuTerms
from app.kernel.errors import DomainError
from app.ordering import placing
from app.ordering.placing import KeyReused, OverBuyerLimit, Placed, Request, SoldOut
from app.payments import service as payments
from tenants.directory import Tenant
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
SQL = Path(__file__).resolve().parents[3] / "app" / "ordering" / "sql" / "place_order.sql"
KINDS = pytest.mark.parametrize(
    ("is_hot", "place"),
    [(False, placing.place_single), (False, placing.place), (True, placing.place)],
    ids=["single", "micro-batch", "hot micro-batch"],
)
Place = Callable[[Tenant, Request], Awaitable[Placed]]


async def at_once(world: World, requests: list[Request], place: Place = placing.place) -> Counter[str]:
    """Place all requests in the same instant; how many of each answer."""

    async def one(request: Request) -> str:
        try:
            placed = await place(world.tenant, request)
        except DomainError as refusal:
            return type(refusal).__name__
        return "repeated" if placed.repeated else "placed"

    return Counter(await asyncio.gather(*(one(request) for request in requests)))


async def without_guard(world: World, guarded: str, unguarded: str, constraint: str, table: str) -> None:
    """Take a guard out of this one tenant's schema: what the red control runs on."""
    source = SQL.read_text()
    assert guarded in source
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {world.tenant.schema}")
        await owner.execute(f"alter table {table} drop constraint {constraint}")
        await owner.execute(source.replace(guarded, unguarded))
    finally:
        await owner.close()


@KINDS
@pytest.mark.case("A01")
async def test_fifty_buyers_and_one_card_is_one_sale(world: World, is_hot: bool, place: Place) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=is_hot))
    sku = product.skus[0]
    await world.stock(sku.id, 1)
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(50)]
    assert await at_once(world, requests, place) == {"placed": 1, "SoldOut": 49}
    assert await world.rows("select available, reserved from stock") == [{"available": 0, "reserved": 1}]
    assert await world.value("select count(*) from shop_order") == 1


@pytest.mark.case("A01")
async def test_a_thousand_buyers_and_a_hundred_cards_is_a_hundred_different_cards(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=True))
    sku = product.skus[0]
    await world.stock(sku.id, 100)
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(1000)]
    assert await at_once(world, requests) == {"placed": 100, "SoldOut": 900}
    orders = [row["id"] for row in await world.rows("select id from shop_order")]
    for start in range(0, len(orders), 20):
        await asyncio.gather(*(payments.open_payment(world.tenant, order_id) for order_id in orders[start : start + 20]))
    for row in await world.rows("select payment_no from payment"):
        await asyncio.to_thread(world.gateway.pay, row["payment_no"])
    await world.until("select count(*) = 100 from capture")
    await world.work()
    assert await world.value("select count(distinct card_key_id) from delivery_unit where state = 'delivered'") == 100
    assert await world.rows("select available, reserved, delivered from stock") == [
        {"available": 0, "reserved": 0, "delivered": 100}
    ]


@pytest.mark.case("A01")
async def test_red_without_the_stock_condition_one_card_is_sold_many_times(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 1)
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_never_negative", "stock")
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_short_before_shelf", "stock")
    await without_guard(world, " and available >= p_stock_units[i]", "", "ck_stock_allotted_is_there", "stock")
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(10)]
    assert (await at_once(world, requests, placing.place_single))["placed"] > 1


@KINDS
async def test_a_hundred_requests_of_one_buyer_hold_exactly_his_limit(world: World, is_hot: bool, place: Place) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=is_hot), buyer_limit=2)
    sku = product.skus[0]
    await world.stock(sku.id, 50)
    requests = [await world.request(sku.listing.id, contact="13800132046") for _ in range(100)]
    assert await at_once(world, requests, place) == {"placed": 2, "OverBuyerLimit": 98}
    assert await world.value("select available from stock") == 48


async def test_red_without_the_limit_condition_one_buyer_takes_them_all(world: World) -> None:
    product = await world.product(buyer_limit=2)
    sku = product.skus[0]
    await world.stock(sku.id, 50)
    await without_guard(
        world, " where b.units + excluded.units <= p_limits[i];", ";", "ck_buyer_usage_never_negative", "buyer_usage"
    )
    requests = [await world.request(sku.listing.id) for _ in range(20)]
    assert (await at_once(world, requests))["placed"] == 20


@KINDS
async def test_one_form_sent_twenty_times_is_one_order(world: World, is_hot: bool, place: Place) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=is_hot))
    sku = product.skus[0]
    await world.stock(sku.id, 50)
    requests = [await world.request(sku.listing.id, key="the-same-form") for _ in range(20)]
    answers = await at_once(world, requests, place)
    assert answers["placed"] == 1
    assert answers["repeated"] == 19
    assert await world.value("select count(*) from shop_order") == 1


@KINDS
async def test_a_key_with_other_content_is_refused(world: World, is_hot: bool, place: Place) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=is_hot))
    sku = product.skus[0]
    await world.stock(sku.id, 5)
    await place(world.tenant, await world.request(sku.listing.id, 1, key="k"))
    with pytest.raises(KeyReused):
        await place(world.tenant, await world.request(sku.listing.id, 2, key="k"))


async def test_orders_of_many_skus_go_together_and_each_sells_exactly_its_stock(world: World) -> None:
    product = await world.product(*(SkuTerms(f"Card {n}", 1990) for n in range(5)))
    for sku in product.skus:
        await world.stock(sku.id, 3)
    requests = [await world.request(product.skus[n % 5].listing.id, contact=f"138{n:08d}") for n in range(40)]
    assert await at_once(world, requests) == {"placed": 15, "SoldOut": 25}
    assert await world.rows("select distinct available, reserved from stock") == [{"available": 0, "reserved": 3}]
    sold = await world.rows("select sku_id, count(*)::int as units from delivery_unit group by sku_id")
    assert {row["sku_id"]: row["units"] for row in sold} == dict.fromkeys((sku.id for sku in product.skus), 3)


@pytest.mark.case("A13")
async def test_an_offer_that_changed_refuses_its_own_buyer_and_no_other_of_the_batch(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 17800))
    month, year = product.skus
    for sku in product.skus:
        await world.stock(sku.id, 20)
    requests = [await world.request((month, year)[n % 2].listing.id, contact=f"138{n:08d}") for n in range(10)]
    await world.rows("update listing set price_minor = 18800 where id = $1 returning id", year.listing.id)
    assert await at_once(world, requests) == {"placed": 5, "OfferChanged": 5}
    totals = await world.rows("select o.total_minor, l.sku_name from shop_order o join order_line l on l.order_id = o.id")
    assert totals == [{"total_minor": 1990, "sku_name": "Month"}] * 5
    assert await world.rows("select available, reserved from stock where sku_id = $1", year.id) == [
        {"available": 20, "reserved": 0}
    ]


async def test_a_failed_batch_falls_back_to_single_orders(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=True))
    sku = product.skus[0]
    await world.stock(sku.id, 5)
    monkeypatch.setattr(placing, "_PLACE_TOGETHER", "select 1 / 0, " + placing._PLACE_TOGETHER.removeprefix("select "))
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(8)]
    assert await at_once(world, requests) == {"placed": 5, "SoldOut": 3}


async def test_a_batch_with_a_number_that_is_taken_draws_again_and_stays_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = (await world.product(SkuTerms("Month", 1990, is_hot=True))).skus[0]
    await world.stock(sku.id, 20)
    drawn = [f"N261121-00000{n:02d}" for n in range(20)]
    (taken, *fresh), alone = drawn, []
    monkeypatch.setattr(placing, "new_number", lambda _letter: taken)
    await placing.place(world.tenant, await world.request(sku.listing.id, contact="13900000000"))
    numbers = iter([taken, *fresh])
    monkeypatch.setattr(placing, "new_number", lambda _letter: next(numbers))
    monkeypatch.setattr(placing, "place_single", lambda _tenant, request: alone.append(request))
    placing._batchers.clear()
    requests = [await world.request(sku.listing.id, contact=f"138{n:08d}") for n in range(8)]
    assert await at_once(world, requests) == {"placed": 8}
    assert alone == []
    assert await world.value("select count(distinct order_no) from shop_order") == 9


async def test_a_buyer_who_lost_his_answer_finds_his_order_by_his_key(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, is_hot=True))
    sku = product.skus[0]
    await world.stock(sku.id, 5)
    request = await world.request(sku.listing.id, key="lost")
    waiting = asyncio.create_task(placing.place(world.tenant, request))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await world.until("select count(*) from shop_order")
    again = await placing.place(world.tenant, request)
    assert isinstance(again, Placed)
    assert again.repeated
    assert await world.value("select count(*) from shop_order") == 1


async def test_a_cart_takes_all_its_lines_or_none(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 17800))
    month, year = product.skus
    await world.stock(month.id, 3)
    offers = [(await world.request(sku.listing.id)).quote.lines[0].offered for sku in (month, year)]
    base = await world.request(month.listing.id)
    from app.ordering.rules import quote

    request = Request(base.storefront_id, quote([(offers[0], 1), (offers[1], 1)]), base.contact, "en", "cart")
    with pytest.raises(SoldOut) as refused:
        await placing.place(world.tenant, request)
    assert "Year" in str(refused.value)
    assert await world.value("select available from stock where sku_id = $1", month.id) == 3
    assert await world.value("select count(*) from shop_order") == 0


@pytest.mark.case("A12")
async def test_a_limit_counts_all_lines_of_a_product(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 17800), buyer_limit=2)
    for sku in product.skus:
        await world.stock(sku.id, 5)
    offers = [(await world.request(sku.listing.id)).quote.lines[0].offered for sku in product.skus]
    base = await world.request(product.skus[0].listing.id)
    from app.ordering.rules import quote

    with pytest.raises(OverBuyerLimit):
        await placing.place(
            world.tenant, Request(base.storefront_id, quote([(offers[0], 1), (offers[1], 2)]), base.contact, "en", "two lines")
        )
