"""Money that arrives at the same instant for one merchant."""

from __future__ import annotations

import asyncio

import pytest

from app.kernel.ids import new_id
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def test_captures_at_the_same_instant_do_not_wait_for_each_other_in_a_circle(world: World) -> None:
    """A transfer's foreign keys hold its accounts lightly; taking them harder afterwards made two captures wait for one another."""

    async def take(ready: asyncio.Barrier) -> None:
        async with tenant_tx(world.tenant) as tx:
            await tx.fetchval("select 1")
            await ready.wait()
            await ledger.transfer(tx, [Posting(TransferKind.CAPTURE, new_id(), 100, "CNY")])

    await take(asyncio.Barrier(1))
    for _ in range(10):
        ready = asyncio.Barrier(6)
        await asyncio.gather(*(take(ready) for _ in range(6)))
    assert await world.value("select sum(amount_minor) from transfer") == 6100
