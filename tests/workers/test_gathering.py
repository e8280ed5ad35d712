"""Rings that come while a drain waits for more are its own: one job waits, and does the work of all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from tenants.session import tenant_tx
from tests.world import World
from workers.worker import drain_lane

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.mark.parametrize("lane", [Lane.ORDERS, Lane.MESSAGES])
async def test_of_many_rings_one_job_does_the_work(world: World, lane: Lane) -> None:
    context = {"worker": SimpleNamespace(event=asyncio.Event())}
    homes = [world.tenant, *[await world.new_tenant(with_gateway=False) for _ in range(2)]]
    for home in homes:
        async with tenant_tx(home) as tx:
            await add_task(tx, "tests.nobody_does_this", lane=lane, subject_id=new_id())
    done = await asyncio.gather(*(drain_lane(context, lane=lane.value, schemas=[home.schema]) for home in homes))
    assert done[0] >= len(homes)
    assert done[1:] == [0, 0]
    for home in homes:
        left = await world.rows("delete from task where kind = 'tests.nobody_does_this' returning state", tenant=home)
        assert [task["state"] for task in left] == ["failed"], "looked at, and nobody knows the kind"
