"""The price quoted is the price charged: rules from the merchant's verb to the order line, and what is looked at again when one changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.catalog.models import Product
from app.customers import sessions
from app.kernel import clock
from app.kernel.ids import new_id
from app.ordering import placing
from app.ordering.placing import OfferChanged, Request
from app.ordering.rules import quote
from app.pricing import service as pricing
from app.pricing.models import PriceRule
from app.pricing.rules import Audience, Effect, Moment, Who
from app.pricing.service import RuleTerms
from app.storefront import moments
from app.storefront.shelf import forget_shelf, shelf_of
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def ruled(world: World, product: Product, terms: RuleTerms) -> PriceRule:
    async with tenant_session(world.tenant) as session:
        made = await pricing.add_rule(session, product.id, terms, actor=STAFF)
    forget_shelf(world.tenant)
    return made


async def switched(world: World, rule: PriceRule, *, is_on: bool) -> None:
    async with tenant_session(world.tenant) as session:
        await pricing.switch_rule(session, rule.product_id, rule.id, is_on=is_on, actor=STAFF)
    forget_shelf(world.tenant)


async def line(world: World, order_id: UUID) -> dict[str, object]:
    query = "select unit_price_minor, total_minor, price_rule_id, price_rule_version from order_line where order_id = $1"
    (row,) = await world.rows(query, order_id)
    return row


async def test_the_rule_and_its_version_stay_on_the_line_and_switched_off_the_price_is_back_at_once(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 40)
    rule = await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1800, sku.id, least_quantity=3))
    few, many = await world.order(sku.listing.id, 2), await world.order(sku.listing.id, 3)
    assert await line(world, few.id) == {
        "unit_price_minor": 1990, "total_minor": 3980, "price_rule_id": None, "price_rule_version": None,
    }  # fmt: skip
    assert await line(world, many.id) == {
        "unit_price_minor": 1800, "total_minor": 5400, "price_rule_id": rule.id, "price_rule_version": 1,
    }  # fmt: skip
    assert await world.value("select sum(amount_minor) from delivery_unit where order_id = $1", many.id) == 5400
    await switched(world, rule, is_on=False)
    assert (await line(world, (await world.order(sku.listing.id, 3, contact="13800132001")).id))["unit_price_minor"] == 1990
    await switched(world, rule, is_on=True)
    again = await line(world, (await world.order(sku.listing.id, 3, contact="13800132002")).id)
    assert (again["unit_price_minor"], again["price_rule_version"]) == (1800, 3)
    assert await world.value("select count(*) from audit_entry where action like 'price_rule.%'") == 3


async def test_what_was_quoted_under_other_terms_is_looked_at_again(world: World) -> None:
    """Singly and in the micro-batch: a rule added, changed or switched off meanwhile, and a rule nobody could have quoted."""
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 40)
    plain = await world.request(sku.listing.id)
    rule = await ruled(world, product, RuleTerms(Effect.SHARE, -1000, sku.id))
    assert plain.quote.goes_in_batches
    for place in (placing.place, placing.place_single):
        with pytest.raises(OfferChanged):
            await place(world.tenant, plain)
    asked = await world.request(sku.listing.id)
    assert asked.quote.total_minor == 1791
    assert asked.quote.goes_in_batches, "its price hangs on the listing's terms alone"
    await switched(world, rule, is_on=False)
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, asked)
    assert await world.value("select count(*) from shop_order") == 0
    assert await world.value("select reserved from stock where sku_id = $1", sku.id) == 0


async def test_a_rule_counts_by_the_database_s_time(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    ends = clock.now() + timedelta(hours=1)
    await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 990, sku.id, ends_at=ends))
    request = await world.request(sku.listing.id)
    assert request.quote.total_minor == 990
    assert not request.quote.goes_in_batches
    offered = (await shelf_of(world.tenant)).offers[sku.listing.id]
    for at, wanted in ((ends + timedelta(seconds=1), 1990), (ends - timedelta(hours=9), 990)):
        told = quote([(offered, 1)], moment=Moment(at, {sku.id: 10}))
        assert told.total_minor == wanted
        wrong = Request(request.storefront_id, told, request.contact, "en", str(new_id()))
        if wanted == 1990:
            with pytest.raises(OfferChanged):  # our clock runs ahead: the database still has the rule
                await placing.place(world.tenant, wrong)
    await placing.place(world.tenant, request)


async def test_few_left_raise_the_price_and_nobody_slips_under_the_mark(world: World) -> None:
    """Buyers at once around the mark: whoever took one while fewer than five were left paid the higher price."""
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 8)
    await ruled(world, product, RuleTerms(Effect.SHARE, 5000, sku.id, stock_below=5))
    requests = [await world.request(sku.listing.id, contact=f"1380013{n:04d}") for n in range(8)]
    assert {request.quote.total_minor for request in requests} == {1990}
    found = await asyncio.gather(*(placing.place(world.tenant, one) for one in requests), return_exceptions=True)
    assert sum(isinstance(one, OfferChanged) for one in found) == 4
    dearer = await world.request(sku.listing.id, contact="13900139000")
    assert dearer.quote.total_minor == 2985
    await placing.place(world.tenant, dearer)
    assert await world.rows("select unit_price_minor as price, count(*) as n from order_line group by 1 order by 1") == [
        {"price": 1990, "n": 4},
        {"price": 2985, "n": 1},
    ]


async def test_without_the_bounds_buyers_do_slip_under_the_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The red control of the test above."""
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 8)
    await ruled(world, product, RuleTerms(Effect.SHARE, 5000, sku.id, stock_below=5))
    terms = placing._terms
    monkeypatch.setattr(placing, "_terms", lambda q: (*terms(q)[:4], [None], [None], *terms(q)[6:]))
    requests = [await world.request(sku.listing.id, contact=f"1380013{n:04d}") for n in range(8)]
    found = await asyncio.gather(*(placing.place(world.tenant, one) for one in requests), return_exceptions=True)
    assert not any(isinstance(one, Exception) for one in found)


async def test_a_level_counts_for_the_buyer_who_has_it_and_no_longer_once_it_is_taken(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 10)
    level, customer = new_id(), new_id()
    await world.rows("insert into buyer_level (id, name) values ($1, 'Gold') returning id", level)
    await world.rows(
        "insert into customer (id, contact_kind, contact, contact_masked, contact_fingerprint, seen_at, level_id)"
        " values ($1, 'phone', 'x', '138****', 'y', now(), $2) returning id",
        customer, level,
    )  # fmt: skip
    async with tenant_tx(world.tenant) as tx:
        token = await sessions.open_session(tx, customer, lives=sessions.SHORT)
    await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1200, sku.id, audience=Audience.LEVEL, level_id=level))
    offered = (await shelf_of(world.tenant)).offers[sku.listing.id]
    async with tenant_tx(world.tenant) as tx:
        moment, guest = await moments.read(tx, [offered], token=token), await moments.read(tx, [offered])
    assert moment.who == Who(customer, level)
    assert quote([(offered, 1)], moment=guest).total_minor == 1990
    base = await world.request(sku.listing.id)
    asked = Request(base.storefront_id, quote([(offered, 1)], moment=moment), base.contact, "en", str(new_id()))
    assert asked.quote.total_minor == 1200
    await world.rows("update customer set level_id = null returning id")
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, asked)
    await world.rows("update customer set level_id = $1 returning id", level)
    placed = await placing.place(world.tenant, asked)
    assert (await line(world, placed.id))["unit_price_minor"] == 1200
