"""A category says how its goods are bought: which supplier, and whether own stock goes first or is kept in reserve. A SKU's own route says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.access.models import MemberRole
from app.catalog import service as catalog
from app.catalog.models import Product
from app.fulfillment import buying
from app.suppliers import service as suppliers
from app.suppliers.models import OwnStock, RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import Source, order_state, routed, settle, source
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b")]


@pytest.fixture(autouse=True)
def no_pumps(companies: list[SupplierSimulator]) -> Iterator[None]:
    yield
    buying._pumps.clear()
    for company in companies:
        company.clear_script()


async def in_category(
    world: World, *sources: Source, policy: RoutePolicy, own_stock: OwnStock, own: RouteTerms | None = None
) -> Product:
    """A product of a category that says how it is bought, routed to these sources and leaving the rest to it."""
    product = await routed(world, *sources)
    async with tenant_session(world.tenant) as session:
        category = await catalog.category_named(session, "Games")
        await suppliers.supply_category(session, category.id, policy=policy, own_stock=own_stock, actor=STAFF)
        terms = own or RouteTerms([(one.offer_id, 1) for one in sources], None)
        await suppliers.route(session, product.skus[0].id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update product set category_id = $2 where id = $1", product.id, category.id)
    return product


def effects(*sources: Source) -> list[int]:
    return [one.totals()["effects"] for one in sources]


async def test_the_category_chooses_the_supplier_and_the_order_says_so(world: World, companies: list[SupplierSimulator]) -> None:
    dear, cheap = await source(world, companies[0], cost="12"), await source(world, companies[1], cost="10")
    product = await in_category(world, dear, cheap, policy=RoutePolicy.FIXED_ORDER, own_stock=OwnStock.FIRST)
    before = effects(dear, cheap)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert effects(dear, cheap) == [before[0] + 1, before[1]]
    page = words((await (await staff(world)).get(f"/orders/{placed.order_no}")).text)
    assert "the first of the fixed order that can serve" in page
    assert "So says the category Games" in page
    async with tenant_session(world.tenant) as session:
        own = RouteTerms([(dear.offer_id, 1), (cheap.offer_id, 1)], RoutePolicy.CHEAPEST)
        await suppliers.route(session, product.skus[0].id, own, actor=STAFF)
    placed = await world.paid(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert effects(dear, cheap) == [before[0] + 1, before[1] + 1]
    assert "So says the category" not in words((await (await staff(world)).get(f"/orders/{placed.order_no}")).text)


async def test_own_stock_goes_first_or_is_kept_for_when_no_supplier_can(world: World, companies: list[SupplierSimulator]) -> None:
    one = await source(world, companies[0])
    product = await in_category(world, one, policy=RoutePolicy.CHEAPEST, own_stock=OwnStock.RESERVE)
    await world.stock(product.skus[0].id, 3)
    before = effects(one)[0]
    bought = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await order_state(world, bought.id) == "delivered"
    assert effects(one)[0] == before + 1
    assert await world.value("select count(*) from card_key where state = 'free'") == 3
    one.company.script({"refuse": "out_of_stock"}, on="place")
    spared = await world.paid(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert await order_state(world, spared.id) == "delivered"
    assert effects(one)[0] == before + 1
    assert await world.value("select count(*) from card_key where state = 'free'") == 2
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = false")
    away = await world.paid(product.skus[0].listing.id, contact="13900139001")
    await settle(world)
    assert await order_state(world, away.id) == "delivered", "who cannot be reached is not waited for while own stock is there"
    async with tenant_session(world.tenant) as session:
        terms = RouteTerms([(one.offer_id, 1)], None, own_stock=OwnStock.FIRST)
        await suppliers.route(session, product.skus[0].id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true")
    one.company.clear_script()
    first = await world.paid(product.skus[0].listing.id, contact="13900139002")
    await settle(world)
    assert await order_state(world, first.id) == "delivered"
    assert effects(one)[0] == before + 1, "the SKU's own route says own stock first"


async def test_the_page_of_a_category(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        category = await catalog.category_named(session, "Games")
    owner, path = await staff(world), f"/categories/{category.id}/supply"
    assert "Own stock first" in words((await owner.get(path)).text)
    wrong = await owner.post(path, {"policy": "dearest", "own_stock": ""})
    assert wrong.status_code == 422
    for _ in range(2):
        assert (await owner.post(path, {"policy": "fastest", "own_stock": "reserve"})).status_code == 303
    assert await world.rows("select policy, own_stock from category_route") == [{"policy": "fastest", "own_stock": "reserve"}]
    product = await world.product()
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update product set category_id = $2 where id = $1", product.id, category.id)
    assert "As the category saysFastest" in words((await owner.get(f"/skus/{product.skus[0].id}/route")).text)
    assert (
        await (await staff(world, MemberRole.READ_ONLY)).post(path, {"policy": "fastest", "own_stock": "first"})
    ).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(path)).status_code == 404
