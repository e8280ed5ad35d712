"""Three suppliers, two workers and hundreds of buyers, and one supplier's machine is switched off in the middle: nothing is bought twice, nobody waits.

Every company is a process with a book of its own; what is counted stands there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.fulfillment import attempts
from app.ordering.placing import Placed
from app.suppliers import health
from app.suppliers.models import RoutePolicy
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import Source, routed, source
from tests.processes import Lives, until
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
ORDERS, BUYERS, WORKERS = 300, 8, 2
TWO_UNITS_EACH = 5
"""Every fifth order is of two units."""
BEFORE_IT_DIES = 100
LATENCY_MS = 100
IN_FLIGHT = 3
WITHIN_S = 300
"""A bound for what hangs, and no judgement of what is slow."""


@pytest.fixture
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b", "c")]


@pytest.fixture
def workers(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lives]]:
    """Workers as they run for a merchant: processes of their own."""
    made = [Lives(tmp_path_factory.mktemp("worker"), {}) for _ in range(WORKERS)]
    for one in made:
        one.begin()
    yield made
    for one in made:
        one.stop()
    ends = [one.ended() for one in made]
    for one in made:
        one.close()
    assert ends == [0] * WORKERS


@dataclass
class Shop:
    """What buyers order, one after the other, and pay at the gateway."""

    world: World
    listing_id: Any
    orders: list[Placed] = field(default_factory=list)
    begun: int = 0

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(BUYERS):
                group.create_task(self._buy())

    async def _buy(self) -> None:
        while self.begun < ORDERS:
            self.begun += 1
            number = self.begun
            units = 1 if number % TWO_UNITS_EACH else 2
            placed = await self.world.order(self.listing_id, units, contact=f"138{number:08d}")
            await self.world.pay(placed)
            self.orders.append(placed)

    async def ended(self) -> Counter[str]:
        ids = [order.id for order in self.orders]
        rows = await self.world.rows("select state, count(*) from shop_order where id = any($1) group by state", ids)
        return Counter({row["state"]: row["count"] for row in rows})


async def dies_at_work(world: World, one: Source) -> None:
    """The machine is switched off while calls are under way there: so many have had their effect, and so many have not."""
    one.company.script({"hang": True}, on="place", times=IN_FLIGHT)
    one.company.script({"delay_ms": 60_000}, on="place")

    async def is_at_work() -> bool:
        waiting = {row["out_no"] for row in await world.rows(_UNDER_WAY, one.connection_id)}
        sold = waiting & {effect["out_no"] for effect in one.company.book()["effects"]}
        return len(sold) >= IN_FLIGHT <= len(waiting - sold)

    await until(is_at_work, WITHIN_S)
    await asyncio.to_thread(one.company.die)


async def comes_back(world: World, one: Source) -> None:
    """Hours later: what was sent to it is old, its people say that it is up again, and so do we."""
    await asyncio.to_thread(one.company.come_back)
    async with tenant_tx(world.tenant) as tx:
        await health.restore(tx, one.connection_id, actor=STAFF)
        await tx.execute("update attempt set sent_at = sent_at - interval '1 hour' where state in ('sending', 'unknown')")


async def ask_about_what_is_open(world: World) -> None:
    """A person asks. Waiting for the workers' own questions takes minutes."""
    async with tenant_tx(world.tenant) as tx:
        for row in await tx.fetch("select id from attempt where state in ('sending', 'accepted', 'unknown')"):
            await attempts.ask_now(tx, row["id"])


@pytest.mark.case("B04")
async def test_a_supplier_dies_under_load_and_nothing_is_bought_twice_or_stuck(
    world: World, companies: list[SupplierSimulator], workers: list[Lives]
) -> None:
    sources = [await source(world, company) for company in companies]
    for company in companies:
        company.conduct(latency_ms=LATENCY_MS)
    product = await routed(world, *sources, policy=RoutePolicy.WEIGHTED)
    shop, first = Shop(world, product.skus[0].listing.id), sources[0]
    buyers = asyncio.create_task(shop.serve())
    await until(lambda: _has(shop, BEFORE_IT_DIES), WITHIN_S)
    await dies_at_work(world, first)
    await buyers
    await until(lambda: _all_but_the_lost_are_served(world, first), WITHIN_S)
    lost = [row["out_no"] for row in await world.rows(_LOST, first.connection_id)]
    await comes_back(world, first)
    found = Counter(first.company.effects(number) for number in lost)
    assert found.keys() == {0, 1}, "some were sold to us before it died, and some were not"
    assert min(found.values()) >= IN_FLIGHT
    await until(lambda: _asked_until_over(world), WITHIN_S)
    assert await shop.ended() == {"delivered": ORDERS}
    await _compare(world, sources)


async def _has(shop: Shop, orders: int) -> bool:
    return len(shop.orders) >= orders


async def _all_but_the_lost_are_served(world: World, first: Source) -> bool:
    """Whoever's purchase did not get lost with the dead supplier is served without it, while it is dead."""
    return not await world.value(_WAITING, first.connection_id)


async def _asked_until_over(world: World) -> bool:
    if not await world.value("select exists (select 1 from delivery_unit where state <> 'delivered')"):
        return True
    await ask_about_what_is_open(world)
    await asyncio.sleep(0.2)
    return False


async def _compare(world: World, sources: list[Source]) -> None:
    """The companies' books: each unit was sold once, all in all, and our attempts say so."""
    effects = [effect["out_no"] for one in sources for effect in one.company.book()["effects"]]
    rows = await world.rows("select out_no, order_line_id, unit_no, state from attempt")
    units = {row["out_no"]: (row["order_line_id"], row["unit_no"]) for row in rows}
    assert max(Counter(units[number] for number in effects).values()) == 1, "no unit was bought twice"
    assert sorted(effects) == sorted(row["out_no"] for row in rows if row["state"] == "succeeded")
    assert len(effects) == ORDERS + ORDERS // TWO_UNITS_EACH == await world.value("select count(*) from delivery_unit")
    assert await world.value("select count(distinct card_key_id) from delivery_unit") == len(effects)
    assert min(one.totals()["effects"] for one in sources) > ORDERS // 20


_UNDER_WAY = """
select out_no from attempt where connection_id = $1 and state = 'sending' and sent_at < now() - interval '1 second'
"""
_LOST = "select out_no from attempt where connection_id = $1 and state = 'unknown'"
_WAITING = """
select exists (
  select 1 from delivery_unit u
  where u.state <> 'delivered' and not exists (
    select 1 from attempt a
    where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no and a.connection_id = $1 and a.state = 'unknown'
  )
)
"""
