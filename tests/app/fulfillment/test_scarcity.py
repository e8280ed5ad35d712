"""Goods that are nearly gone: their supplier is asked once more before an order is taken, so that nobody pays for what is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from app.catalog.models import Product
from app.catalog.service import SkuTerms
from app.fulfillment import scarcity
from app.kernel.tasks import Lane
from app.storefront import checkout
from app.storefront.shelf import forget_shelf
from app.suppliers import service as suppliers
from app.suppliers import syncing
from app.suppliers.models import RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.storefront.buyer import Buyer, words
from tests.app.suppliers.linked import Linked, item, keep, linked
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("scarce"), "kasushou") as started:
        yield started


async def on_shelf(world: World, company: SupplierSimulator, *, stock: int, floor_bp: int = 1000) -> tuple[Linked, Product, str]:
    """A product that this company alone delivers, of which its catalog said so many were left some time ago."""
    found = await linked(world, company, goods=0)
    sku = f"S{found.id.hex[-8:]}"
    company.goods({"sku": sku, "name": "Skylark", "kind": "card", "cost": "10", "stock": stock, "currency": "CNY"})
    (offer_id,) = await keep(world, found.id, item(sku, "10", stock=stock))
    product = await world.product(SkuTerms("Month", 1990))
    await _switched_on(world, found.id, offer_id)
    async with tenant_session(world.tenant) as session:
        terms = RouteTerms([(offer_id, 1)], RoutePolicy.CHEAPEST, floor_bp)
        await suppliers.route(session, product.skus[0].id, terms, actor=STAFF)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    return found, product, sku


async def _switched_on(world: World, connection_id: UUID, offer_id: UUID) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection_id)
        await tx.execute("update supplier_offer set seen_at = now() - interval '1 minute' where id = $1", offer_id)


def asked(company: SupplierSimulator) -> int:
    """How often the company was asked about one of its goods, by its own book."""
    return sum(call["step"] == "goods" for call in company.book()["asked"])


async def test_what_went_since_the_last_reading_is_not_sold(world: World, company: SupplierSimulator) -> None:
    _, product, sku = await on_shelf(world, company, stock=3)
    before = asked(company)
    company.goods({"sku": sku, "name": "Skylark", "kind": "card", "cost": "10", "stock": 0, "currency": "CNY"})
    buyers = [Buyer(world.client()) for _ in range(3)]
    answers = await asyncio.gather(*(one.buy(product.id, contact=f"1380013{n:04d}") for n, one in enumerate(buyers)))
    assert [answer.status_code for answer in answers] == [409] * 3
    assert "sold out" in words(answers[0].text)
    assert asked(company) == before + 1, "buyers of one moment are answered by one question"
    assert await world.value("select count(*) from shop_order") == 0


async def test_who_saw_that_it_was_due_before_the_answer_and_asks_after_it_does_not_ask_again(
    world: World, company: SupplierSimulator
) -> None:
    link, product, _ = await on_shelf(world, company, stock=3)
    before = asked(company)
    offer_id = await world.value("select id from supplier_offer where connection_id = $1", link.id)
    await scarcity.look_again(world.tenant, [product.skus[0].id])
    await scarcity._ask(world.tenant, offer_id)
    assert asked(company) == before + 1


async def test_a_cost_that_rose_above_the_floor_stops_the_order_before_it_is_paid(
    world: World, company: SupplierSimulator
) -> None:
    _, product, sku = await on_shelf(world, company, stock=3)
    company.goods({"sku": sku, "name": "Skylark", "kind": "card", "cost": "19", "stock": 3, "currency": "CNY"})
    answer = await Buyer(world.client()).buy(product.id)
    assert answer.status_code == 409
    assert await world.value("select count(*) from shop_order") == 0
    assert await world.value("select shelf_reason <> '' from supply_route")


async def test_plenty_is_sold_without_asking(world: World, company: SupplierSimulator) -> None:
    _, plenty, _ = await on_shelf(world, company, stock=5_000)
    before = asked(company)
    assert (await Buyer(world.client()).buy(plenty.id)).status_code == 303
    assert asked(company) == before


async def test_a_silent_supplier_stops_nobody(world: World, company: SupplierSimulator) -> None:
    _, few, _ = await on_shelf(world, company, stock=3)
    before = asked(company)
    company.script({"status": 503}, on="goods", times=1)
    assert (await Buyer(world.client()).buy(few.id)).status_code == 303
    assert asked(company) == before + 1


async def test_red_without_the_second_look_the_order_is_taken(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody_looks(*_: object) -> None: ...

    monkeypatch.setattr(checkout, "look_again", nobody_looks)
    _, product, sku = await on_shelf(world, company, stock=3)
    company.goods({"sku": sku, "name": "Skylark", "kind": "card", "cost": "10", "stock": 0, "currency": "CNY"})
    assert (await Buyer(world.client()).buy(product.id)).status_code == 303


async def test_a_rise_is_seen_within_one_reading_and_the_next_comes_sooner(world: World, company: SupplierSimulator) -> None:
    found, product, sku = await on_shelf(world, company, stock=5_000)
    offer_id = await world.value("select id from supplier_offer where supplier_sku = $1", sku)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(_SOLD, offer_id, found.id)
    company.goods({"sku": sku, "name": "Skylark", "kind": "card", "cost": "19", "stock": 5_000, "currency": "CNY"})
    await syncing.sync(world.tenant, found.id)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    assert 'action="/checkout"' not in (await Buyer(world.client()).get(f"/products/{product.id}")).text
    due_s = "select extract(epoch from run_at - now())::int from task where kind = 'suppliers.sync' and subject_id = $1"
    assert await world.value(due_s, found.id) <= syncing._SCARCE_S
    await asyncio.sleep(scarcity._KEPT_S)
    assert scarcity._asking == {}, "no question is kept for long"


_SOLD = "insert into supply_minute (offer_id, connection_id, minute, calls, well) values ($1, $2, now(), 1, 1)"
