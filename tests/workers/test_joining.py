"""One drain per lane in a process: who rings while it runs tells it of his home, and its next turn does that home's work."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.kernel.ids import new_id
from app.kernel.tasks import Lane, TaskRow, add_task, handles
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.world import World
from workers.drain import join_drain, ring_here
from workers.worker import drain_lane

pytestmark = [pytest.mark.anyio, pytest.mark.database]

_held = asyncio.Event()
_may_go_on = asyncio.Event()
_batches: list[int] = []


@handles("tests.takes_its_time", lane=Lane.ORDERS, timeout_s=10, at_once=100)
async def _take_time(_tenant: Tenant, tasks: list[TaskRow]) -> None:
    _batches.append(len(tasks))
    _held.set()
    await _may_go_on.wait()


async def _add(home: Tenant, kind: str, count: int = 1) -> None:
    async with tenant_tx(home) as tx:
        for _ in range(count):
            await add_task(tx, kind, lane=Lane.ORDERS, subject_id=new_id())


async def test_what_comes_during_a_turn_is_done_together_by_the_next(world: World) -> None:
    _held.clear(), _may_go_on.clear(), _batches.clear()
    context = {"worker": SimpleNamespace(event=asyncio.Event())}
    await _add(world.tenant, "tests.takes_its_time")
    running = asyncio.create_task(drain_lane(context, lane=Lane.ORDERS.value, schemas=[world.tenant.schema]))
    await asyncio.wait_for(_held.wait(), 10)
    await _add(world.tenant, "tests.takes_its_time", 5)
    jobs = [drain_lane(context, lane=Lane.ORDERS.value, schemas=[world.tenant.schema]) for _ in range(5)]
    assert await asyncio.wait_for(asyncio.gather(*jobs), 10) == [0] * 5, "told the drain that runs, and did not wait for it"
    _may_go_on.set()
    assert await asyncio.wait_for(running, 10) == 6
    assert _batches in ([1, 5], [1, 5, 0]), "five jobs, one turn"


async def test_a_slow_turn_does_not_hold_up_its_own_home(world: World) -> None:
    """What waits long, as for a company that does not answer, has another turn beside it after half a second."""
    _held.clear(), _may_go_on.clear(), _batches.clear()
    await _add(world.tenant, "tests.takes_its_time")
    running = asyncio.create_task(join_drain(Lane.ORDERS, schemas=[world.tenant.schema]))
    await asyncio.wait_for(_held.wait(), 10)
    await _add(world.tenant, "tests.nobody_does_this")
    assert ring_here(world.tenant.schema, Lane.ORDERS)
    await world.until("select 1 from task where kind = 'tests.nobody_does_this' and state = 'failed'")
    assert not running.done(), "the slow one still runs"
    _may_go_on.set()
    await asyncio.wait_for(running, 10)
    await world.rows("delete from task where kind = 'tests.nobody_does_this' returning 1")


async def test_a_ring_after_the_last_look_starts_a_drain_of_its_own(world: World) -> None:
    assert await join_drain(Lane.ORDERS) == 0
    assert not ring_here(world.tenant.schema, Lane.ORDERS), "nothing runs, so somebody has to start one"
    _may_go_on.set()
    await _add(world.tenant, "tests.takes_its_time")
    assert await join_drain(Lane.ORDERS, schemas=[world.tenant.schema]) == 1
