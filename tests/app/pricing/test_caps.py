"""How many units one buyer may order while a rule says so: counted when he orders, told plainly, and exact however many orders come at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from app.catalog.models import Product
from app.catalog.service import SkuTerms
from app.kernel import clock
from app.kernel.errors import DomainError
from app.ordering import capping, placing
from app.ordering import service as ordering
from app.ordering.capping import CapReached, OverCap
from app.ordering.placing import Placed, Request
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from tenants.session import tenant_tx
from tests.app.pricing.test_sales import ruled
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BUYER, OTHER = "13800132046", "13800132047"


def cap(most: int, hours: int = 24, sku_id: UUID | None = None, **terms: object) -> RuleTerms:
    wanted = {"effect": Effect.NONE, "value": 0, "sku_id": sku_id, "most_units": most, "within_hours": hours} | terms
    return RuleTerms(**wanted)  # type: ignore[arg-type]


async def capped(world: World, terms: RuleTerms, *skus: SkuTerms, units: int = 40) -> Product:
    product = await world.product(*skus)
    for sku in product.skus:
        await world.stock(sku.id, units)
    await ruled(world, product, terms)
    return product


async def later(world: World, hours: float) -> None:
    """As if every order were so many hours older."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set placed_at = placed_at - $1::interval", timedelta(hours=hours))


async def test_a_buyer_is_told_how_many_he_may_still_order(world: World) -> None:
    product = await capped(world, cap(3))
    listing = product.skus[0].listing.id
    first = await world.request(listing, 2)
    placed = await placing.place(world.tenant, first)
    with pytest.raises(OverCap) as refused:
        await world.order(listing, 2)
    assert str(refused.value) == (
        "For now one buyer may order 3 of Skylark Video within 24 hours. You may still order 1. Nothing was ordered."
    )
    assert (await placing.place(world.tenant, first)).id == placed.id, "a form sent twice finds its order"
    await world.order(listing, 1)
    with pytest.raises(CapReached):
        await world.order(listing, 1)
    await world.order(listing, 3, contact=OTHER)
    assert (await placing.place(world.tenant, first)).repeated
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    await world.order(listing, 2)
    assert await world.value("select count(*) from shop_order") == 4


async def test_what_was_ordered_before_the_window_does_not_count(world: World) -> None:
    product = await capped(world, cap(2, hours=6))
    listing = product.skus[0].listing.id
    await world.order(listing, 2)
    await later(world, 5.9)
    with pytest.raises(CapReached):
        await world.order(listing)
    await later(world, 0.2)
    await world.order(listing, 2)


async def test_it_counts_while_the_rule_applies_and_from_its_beginning_on(world: World) -> None:
    product = await capped(world, cap(2, stock_below=10), units=12)
    listing = product.skus[0].listing.id
    await world.order(listing, 4)
    with pytest.raises(CapReached):
        await world.order(listing)
    await world.order(listing, 2, contact=OTHER)
    begun = clock.now()
    timed = await capped(world, cap(2, starts_at=begun + timedelta(hours=-1), ends_at=begun + timedelta(hours=1)))
    await world.order(timed.skus[0].listing.id, 2, contact="13800132048")
    await later(world, 2)
    await world.order(timed.skus[0].listing.id, 2, contact="13800132048")
    over = await capped(world, cap(1, starts_at=begun - timedelta(hours=3), ends_at=begun - timedelta(hours=2)))
    await world.order(over.skus[0].listing.id, 5, contact="13800132049")


async def test_it_is_for_a_sku_or_for_all_of_a_product_and_goes_with_another_price(world: World) -> None:
    product = await capped(world, cap(2), SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    month, year = product.skus
    await world.order(month.listing.id)
    with pytest.raises(OverCap, match="still order"):
        await world.order(year.listing.id, 2)
    await world.order(year.listing.id)
    own = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800), name="Shallow Sea Music")
    for sku in own.skus:
        await world.stock(sku.id, 9)
    await ruled(world, own, cap(1, sku_id=own.skus[0].id, effect=Effect.SHARE, value=1_000))
    placed = await world.order(own.skus[0].listing.id, contact=OTHER)
    assert await world.value("select total_minor from shop_order where id = $1", placed.id) == 2189
    with pytest.raises(CapReached, match="Shallow Sea Music Month"):
        await world.order(own.skus[0].listing.id, contact=OTHER)
    await world.order(own.skus[1].listing.id, 3, contact=OTHER)


async def at_once(world: World, requests: list[Request]) -> Counter[str]:
    async def one(request: Request) -> str:
        try:
            return type(await placing.place(world.tenant, request)).__name__
        except DomainError as refusal:
            return type(refusal).__name__

    return Counter(await asyncio.gather(*(one(request) for request in requests)))


async def test_many_orders_of_one_buyer_at_once_are_exactly_the_cap(world: World) -> None:
    product = await capped(world, cap(2))
    requests = [await world.request(product.skus[0].listing.id) for _ in range(12)]
    assert await at_once(world, requests) == {Placed.__name__: 2, "CapReached": 10}


async def test_red_without_the_buyers_lock_he_orders_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts what the others have not committed yet: the count is read, then there is time for all."""
    product = await capped(world, cap(1))
    requests = [await world.request(product.skus[0].listing.id) for _ in range(4)]
    monkeypatch.setattr(capping, "_ONE_AFTER_ANOTHER", "select octet_length($1::bytea)")
    monkeypatch.setattr(capping, "_HAD", f"select had.n from ({capping._HAD.replace('::int', '::int as n')}) had, pg_sleep(0.5)")
    assert (await at_once(world, requests))[Placed.__name__] > 1


async def test_a_sku_without_such_a_rule_is_asked_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_args: object, **_named: object) -> None:
        raise AssertionError("nothing is capped")

    monkeypatch.setattr(capping, "admit", never)
    product = await world.product()
    await world.stock(product.skus[0].id, 9)
    await ruled(world, product, RuleTerms(Effect.SHARE, -1_000, product.skus[0].id))
    request = await world.request(product.skus[0].listing.id)
    assert request.quote.goes_in_batches
    await placing.place(world.tenant, request)
    await placing.place_single(world.tenant, await world.request(product.skus[0].listing.id))


async def test_the_merchant_writes_it_and_the_buyer_reads_it(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 9)
    owner, path = await staff(world), f"/products/{product.id}/price-rules"
    typed = {"kind": "none", "most_units": "2", "within_hours": "24"}
    for wrong, sentence in (
        ({"most_units": "", "within_hours": ""}, "A rule that leaves the price says how many one buyer may order."),
        ({"within_hours": ""}, "Say both: how many units, and within how many hours."),
        ({"kind": "share_more", "value": "5", "most_units": ""}, "Say both: how many units, and within how many hours."),
        ({"within_hours": "9000"}, "8760"),
    ):
        answer = await owner.post(path, typed | wrong)
        assert answer.status_code == 422
        assert sentence in words(answer.text)
    assert await world.value("select count(*) from price_rule") == 0
    assert (await owner.post(path, typed | {"stock_below": "", "starts_at": "", "value": ""})).status_code == 303
    listed = words((await owner.get(f"/products/{product.id}/prices")).text)
    assert "at most 2 per buyer in 24 hours" in listed
    buyer = Buyer(world.client())
    assert "For now at most 2 per buyer in 24 hours" in words((await buyer.get(f"/products/{product.id}")).text)
    refused = await buyer.send(f"/products/{product.id}", "/checkout", contact=BUYER, quantity="3")
    assert refused.status_code == 409
    assert "You may still order 2." in words(refused.text)
