"""Who never pays cannot empty a shop: bounds of one buyer, of a share of the stock and of one network address, and everything back in time."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from app.catalog.service import SkuTerms
from app.inventory.queries import sellable
from app.kernel.errors import DomainError
from app.ordering import holds, placing
from app.ordering import service as ordering
from app.ordering.holds import TooMuchFromAddress
from app.ordering.placing import TooLargeShare
from app.settings import settings
from tenants.session import tenant_tx
from tests.app.ordering.test_races import KINDS, Place, at_once, without_guard
from tests.app.storefront.buyer import Buyer
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("A06")]
Bound = Callable[..., None]


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Bound:
    """Set the bounds of unpaid orders for this test."""

    def use(**values: int) -> None:
        chosen = settings().model_copy(update=values)
        for module in (placing, holds):
            monkeypatch.setattr(module, "settings", lambda: chosen)
        holds._window.cache_clear()

    return use


async def pool(world: World, keys: int, **terms: Any) -> Any:
    product = await world.product(SkuTerms("Month", 1990, **terms))
    await world.stock(product.skus[0].id, keys)
    return product.skus[0]


@KINDS
async def test_one_buyer_holds_exactly_his_bound(world: World, bound: Bound, is_hot: bool, place: Place) -> None:
    bound(unpaid_units_per_buyer=4)
    sku = await pool(world, 50, is_hot=is_hot)
    requests = [await world.request(sku.listing.id) for _ in range(30)]
    assert await at_once(world, requests, place) == {"placed": 4, "TooMuchUnpaid": 26}
    assert await world.value("select available from stock") == 46


async def test_red_without_the_buyers_lock_he_holds_more(world: World, bound: Bound) -> None:
    bound(unpaid_units_per_buyer=1)
    sku = await pool(world, 400)
    lock = "perform pg_advisory_xact_lock(hashtextextended(current_schema() || encode(p_contact_fp, 'hex'), 0));"
    await without_guard(world, lock, "", "ck_stock_short_before_shelf", "stock")
    held = []
    for buyer in range(8):  # one race may end well by luck
        requests = [await world.request(sku.listing.id, contact=f"138{buyer:08d}") for _ in range(40)]
        held.append((await at_once(world, requests, placing.place_single))["placed"])
    assert max(held) > 1


async def test_what_a_buyer_holds_is_found_by_his_own_orders_even_where_the_tables_seemed_empty(world: World) -> None:
    """A plan made then is kept: one by an index of all unpaid orders made every order slower than the one before it."""
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(
            f"set search_path to {world.tenant.schema}; analyze shop_order; analyze delivery_unit; set enable_seqscan = off"
        )
        lines = await owner.fetch("explain select * from held_unpaid('\\x00', interval '15 minutes')")
    finally:
        await owner.close()
    plan = "\n".join(row[0] for row in lines)
    assert set(re.findall(r"\b(?:ix|uq|pk)_\w+", plan)) == {"ix_shop_order_contact", "ix_delivery_unit_order"}, plan


@KINDS
async def test_one_buyer_holds_no_more_than_a_share_of_a_stock(world: World, bound: Bound, is_hot: bool, place: Place) -> None:
    bound(unpaid_share_percent=50, unpaid_units_always=2)
    sku = await pool(world, 20, is_hot=is_hot)
    requests = [await world.request(sku.listing.id) for _ in range(15)]
    assert await at_once(world, requests, place) == {"placed": 10, "TooLargeShare": 5}
    others = [await world.request(sku.listing.id, contact=f"139{n:08d}") for n in range(10)]
    assert await at_once(world, others, place) == {"placed": 10}


async def test_a_small_stock_is_sold_whole_to_one_buyer(world: World) -> None:
    sku = await pool(world, 3)
    await world.order(sku.listing.id, 3)
    assert await world.value("select available from stock") == 0


async def test_who_pays_may_order_again(world: World, bound: Bound) -> None:
    bound(unpaid_share_percent=50, unpaid_units_always=2)
    sku = await pool(world, 20)
    await world.paid(sku.listing.id, 8)
    await world.order(sku.listing.id, 8)
    with pytest.raises(TooLargeShare) as refused:
        await world.order(sku.listing.id, 3)
    assert "50% of the stock" in str(refused.value)


async def order_from(world: World, listing_id: Any, address: str, number: int) -> str:
    request = replace(await world.request(listing_id, contact=f"138{number:08d}"), address=address)
    try:
        await holds.admit(world.tenant, address, 1, key=request.idempotency_key)
        await placing.place(world.tenant, request)
    except DomainError as refusal:
        return type(refusal).__name__
    return "placed"


async def test_a_thousand_carts_of_one_address_hold_its_bound_and_all_is_back_in_time(world: World, bound: Bound) -> None:
    bound(unpaid_units_per_address=40)
    sku = await pool(world, 300)
    answers = Counter([await order_from(world, sku.listing.id, "192.0.2.7", n) for n in range(1000)])
    assert answers == {"placed": 40, "TooMuchFromAddress": 960}
    assert await order_from(world, sku.listing.id, "198.51.100.1", 5000) == "placed"
    swept = await world.rows(
        "select (select max(expires_at) from shop_order) + interval '60 seconds' >= max(run_at) as in_time from task where kind = 'ordering.expire'"
    )
    assert swept == [{"in_time": True}]
    await world.value("update shop_order set expires_at = now() returning 1")
    async with tenant_tx(world.tenant) as tx:
        assert await ordering.expire_unpaid(tx) == 41
        assert await sellable(tx, [sku.id]) == {sku.id: 300}
    assert await order_from(world, sku.listing.id, "192.0.2.7", 6000) == "placed"


async def test_a_form_sent_again_finds_its_order_whatever_its_address_holds(world: World, bound: Bound) -> None:
    bound(unpaid_units_per_address=2)
    sku = await pool(world, 10)
    first = replace(await world.request(sku.listing.id), address="192.0.2.7")
    placed = await placing.place(world.tenant, first)
    await order_from(world, sku.listing.id, "192.0.2.7", 2)
    with pytest.raises(TooMuchFromAddress):
        await holds.admit(world.tenant, "192.0.2.7", 1, key="another")
    await holds.admit(world.tenant, "192.0.2.7", 1, key=first.idempotency_key)
    assert (await placing.place(world.tenant, first)).id == placed.id


async def test_the_buyer_reads_beside_the_button_what_to_do(world: World, bound: Bound) -> None:
    bound(unpaid_units_per_address=2)
    product = await world.product()
    await world.stock(product.skus[0].id, 10)
    buyer = Buyer(world.client())
    answers = [await buyer.buy(product.id, contact=f"1380000000{n}") for n in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 409, 409]
    assert "Pay for one or cancel it" in answers[-1].text


async def test_orders_at_once_of_many_buyers_do_not_wait_for_each_other(world: World, bound: Bound) -> None:
    bound(unpaid_units_per_address=1000)
    sku = await pool(world, 100)
    answers = await asyncio.gather(*(order_from(world, sku.listing.id, "192.0.2.7", n) for n in range(60)))
    assert Counter(answers) == {"placed": 60}
