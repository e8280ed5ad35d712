"""Workers that are killed around a purchase: whatever the supplier did, it is asked about under the same number, and bought once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.fulfillment.supply import routed, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.workers.deaths import Deaths
from tests.world import World

pytestmark = [pytest.mark.anyio]
KILLS = 5
"""At each of the two points."""


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("company"), "tango") as company:
        yield company


async def twenty_minutes_later(world: World) -> None:
    """A dead worker's purchases are asked about half a minute after they were sent, and what is not found is believed after the grace."""
    await world.rows(
        "update attempt set sent_at = sent_at - interval '20 minutes' where state in ('sending', 'unknown') returning id"
    )
    await world.rows("update task set run_at = now() where kind = 'fulfillment.ask' and state = 'waiting' returning id")


IDLE = "select not exists (select 1 from task where kind like 'fulfillment.%' and (state = 'running' or run_at <= now()))"
OPEN = "select count(*) from shop_order where state <> 'delivered'"


@pytest.mark.case("B03")
async def test_killed_ten_times_around_the_call_each_unit_is_bought_once(
    world: World, deaths: Deaths, company: SupplierSimulator
) -> None:
    first = await source(world, company)
    product = await routed(world, first)
    for number in range(2 * KILLS):
        await world.paid(product.skus[0].listing.id, contact=f"1380013{number:04d}")
        await deaths.die_at("purchase.called" if number % 2 else "purchase.intended")
        await twenty_minutes_later(world)
    for _ in range(10):
        if await world.value(OPEN):
            await deaths.live_until(IDLE)
            await twenty_minutes_later(world)
    assert await world.value(OPEN) == 0
    units = await world.value("select count(*) from delivery_unit where state = 'delivered'")
    assert (first.totals()["effects"], units) == (2 * KILLS, 2 * KILLS)
    assert await world.value("select count(distinct card_key_id) from delivery_unit") == 2 * KILLS
