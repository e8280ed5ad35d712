"""What happens at once: a SKU that asks by itself asks once, however many workers look; and of two ends of a replenishment one is heard."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from app.catalog.service import SkuTerms
from app.replenishment import queries, restocking, rules, service
from app.replenishment.desks import Holder
from app.replenishment.models import ReplenishmentState
from app.replenishment.restocking import Restock
from app.replenishment.rules import Standing
from tenants.session import tenant_tx
from tests.app.replenishment.asked import asked, supplier
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
RACES = 8


async def with_rule(world: World) -> UUID:
    """A SKU with six keys that warns below five, and asks for thirty."""
    sku = (await world.product(SkuTerms("Month", 1990, warn_below=5))).skus[0]
    await world.stock(sku.id, 6)
    north = await supplier(world)
    async with tenant_tx(world.tenant) as tx:
        await restocking.set_rule(tx, sku.id, Restock(north.supplier_id, 30, Decimal("12.5")), actor=STAFF)
    return sku.id


async def test_a_low_sku_asks_with_its_warning_and_not_again_while_it_waits(world: World) -> None:
    sku_id = await with_rule(world)
    listing = await world.value("select id from listing")
    await world.bought(listing, 2)
    await world.work()
    row = (await world.rows("select replenishment_no, rule_sku_id, asked_by from replenishment"))[0]
    assert (row["rule_sku_id"], row["asked_by"]) == (sku_id, "system")
    assert await world.value("select units from replenishment_line where unit_cost = 12.5") == 30
    await world.stock(sku_id, 10)
    await world.bought(listing, 11)
    await world.work()
    assert await world.value("select count(*) from alert where template = 'stock_low'") == 2
    assert await world.value("select count(*) from replenishment") == 1
    async with tenant_tx(world.tenant) as tx:
        asked = await queries.one_or_404(tx, row["replenishment_no"], lock=True)
        await service.cancel(tx, asked, reason="We have plenty", actor=STAFF)
        assert await restocking.ask_by_itself(tx, sku_id)
        assert await restocking.ask_by_itself(tx, sku_id) is None


async def asked_at_once(world: World, sku_id: UUID) -> int:
    """Two workers come by the same warning at once; how many replenishments are open then. They are gone afterwards."""

    async def worker() -> None:
        async with tenant_tx(world.tenant) as tx:
            await restocking.ask_by_itself(tx, sku_id)

    await asyncio.gather(*(worker() for _ in range(4)))
    asked: int = await world.value("select count(*) from replenishment")
    await world.rows("delete from replenishment_line returning 1")
    await world.rows("delete from replenishment returning 1")
    return asked


async def test_workers_that_warn_at_once_ask_once(world: World) -> None:
    sku_id = await with_rule(world)
    assert [await asked_at_once(world, sku_id) for _ in range(RACES)] == [1] * RACES


async def test_without_the_index_they_ask_twice(world: World) -> None:
    """The red control: what decides the race is the index."""
    sku_id = await with_rule(world)
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"drop index {world.tenant.schema}.uq_replenishment_by_itself")
    await owner.close()
    assert max([await asked_at_once(world, sku_id) for _ in range(RACES)]) > 1


async def ended_at_once(world: World, of: Holder, sku_id: UUID, *, is_locked: bool) -> int:
    """The supplier declines what the shop cancels this moment; how many of the two were heard."""
    no = await asked(world, of, (sku_id, 10))

    async def decline() -> None:
        async with tenant_tx(world.tenant) as tx:
            row = await queries.one_or_404(tx, no, lock=is_locked)
            await service.decline(tx, row, reason="Sold out here", actor=of.actor)

    async def cancel() -> None:
        async with tenant_tx(world.tenant) as tx:
            row = await queries.one_or_404(tx, no, lock=is_locked)
            await service.cancel(tx, row, reason="We have plenty", actor=STAFF)

    answers = await asyncio.gather(decline(), cancel(), return_exceptions=True)
    assert all(answer is None or isinstance(answer, service.AnsweredAlready) for answer in answers), answers
    return answers.count(None)


async def test_of_a_refusal_and_a_cancellation_at_once_one_is_heard(world: World) -> None:
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    assert [await ended_at_once(world, north, sku.id, is_locked=True) for _ in range(RACES)] == [1] * RACES


async def test_without_the_lock_both_are_heard(world: World) -> None:
    """The red control: what decides is the lock of the row."""
    sku = (await world.product()).skus[0]
    north = await supplier(world)
    assert max([await ended_at_once(world, north, sku.id, is_locked=False) for _ in range(RACES)]) == 2


@pytest.mark.parametrize(
    ("standing", "wanted"),
    [
        (Standing(5, 20, Decimal(0)), 15),
        (Standing(0, 1, Decimal(0)), 1),
        (Standing(3, 5, Decimal("2.5")), 32),
        (Standing(3, 5, Decimal("2.5"), coming=30), 2),
        (Standing(500, 5, Decimal("2.5")), 1),
        (Standing(0, 1, Decimal("0.01")), 1),
        (Standing(0, 1, Decimal(900_000)), 1_000_000),
    ],
)
def test_what_is_suggested_fills_the_shelf_for_two_weeks(standing: Standing, wanted: int) -> None:
    assert rules.units_wanted(standing) == wanted


@pytest.mark.parametrize(
    ("counted", "state"),
    [
        ([(10, 0), (5, 0)], "confirmed"),
        ([(10, 1), (5, 0)], "partly_received"),
        ([(10, 10), (5, 4)], "partly_received"),
        ([(10, 10), (0, 0)], "done"),
        ([(10, 12), (5, 5)], "done"),
    ],
)
def test_how_it_stands_after_a_count(counted: list[tuple[int, int]], state: str) -> None:
    assert rules.state_after(ReplenishmentState.CONFIRMED, counted) == state
