"""Costs that rise between the order and its purchase: bought elsewhere or paid back by the least margin, and told once for each cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest

from app.fulfillment import attempts, buying
from app.kernel.tasks import Lane
from app.suppliers import rules
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.syncing import _keep
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import GOODS, Source, attempt_states, order_state, refund, routed, settle, source
from tests.app.staff import staff
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
_TOLD = "select count(*) from alert where template = 'offer_too_dear'"


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b")]


@pytest.fixture(autouse=True)
def no_pumps() -> Iterator[None]:
    yield
    buying._pumps.clear()


def effects(*sources: Source) -> list[int]:
    return [one.totals()["effects"] for one in sources]


async def rises(world: World, one: Source, cost: str) -> None:
    """The supplier asks for more, and its list says so."""
    async with tenant_tx(world.tenant) as tx:
        await _keep(tx, one.connection_id, [CatalogItem(f"{GOODS}:10", "Month", "card_key", Decimal(cost), "CNY")])


@pytest.mark.case("B08")
async def test_a_cost_that_rose_after_the_order_sends_it_to_the_backup_and_is_told_once(
    world: World, companies: list[SupplierSimulator]
) -> None:
    await staff(world)
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = effects(first, second)
    orders = [await world.paid(product.skus[0].listing.id, contact=f"138{number:08d}") for number in range(3)]
    await rises(world, first, "25")
    await settle(world)
    assert [await order_state(world, order.id) for order in orders] == ["delivered"] * 3
    assert effects(first, second) == [before[0], before[1] + 3]
    assert await world.value(_TOLD) == 1
    await rises(world, first, "26")
    await world.bought(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert await world.value(_TOLD) == 2, "another cost is told again"


@pytest.mark.case("B08")
async def test_without_a_backup_the_money_goes_back_and_it_is_told(world: World, companies: list[SupplierSimulator]) -> None:
    await staff(world)
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = effects(first)
    placed = await world.paid(product.skus[0].listing.id)
    await rises(world, first, "25")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set paid_at = paid_at - interval '31 minutes' where id = $1", placed.id)
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    assert effects(first) == before
    assert await world.value(_TOLD) == 1


@pytest.mark.case("B08")
async def test_a_rise_that_no_list_told_costs_one_sale_and_the_next_goes_to_the_backup(
    world: World, companies: list[SupplierSimulator]
) -> None:
    """What the supplier really charged is what its offer costs from then on."""
    await staff(world)
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = effects(first, second)
    companies[0].goods({"sku": GOODS, "kind": "card", "cost": "25", "currency": "CNY"})
    await world.bought(product.skus[0].listing.id)
    await settle(world)
    await world.bought(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert effects(first, second) == [before[0] + 1, before[1] + 1]
    assert await world.value("select unit_cost from supplier_offer where id = $1", first.offer_id) == 25
    assert (
        await world.value("select unit_cost from delivery_unit where attempt_id is not null order by unit_cost desc limit 1")
        == 25
    )
    assert await world.value(_TOLD) == 1


@pytest.mark.case("B08")
async def test_red_without_the_margin_rule_it_is_bought_at_a_loss(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = effects(first, second)
    placed = await world.paid(product.skus[0].listing.id)
    await rises(world, first, "25")
    monkeypatch.setattr(attempts.rules, "most_cost", lambda price_minor, floor_bp: None)
    assert rules.most_cost is attempts.rules.most_cost
    await world.work(Lane.ORDERS)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["succeeded"]
    assert effects(first, second) == [before[0] + 1, before[1]]
