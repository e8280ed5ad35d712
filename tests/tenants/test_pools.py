"""A process's pools: opened once, by whoever comes first."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tenants.session import Databases
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def test_callers_that_come_while_the_pool_opens_wait_for_it(world: World) -> None:
    databases = Databases({"main": world.urls.app_url}, size=2, statement_cache=True)
    pools = await asyncio.gather(*(databases.pool("main") for _ in range(20)))
    assert len({id(pool) for pool in pools}) == 1
    assert await pools[0].fetchval("select 1") == 1
    await databases.close()


async def test_a_pool_that_did_not_open_is_tried_again(world: World) -> None:
    databases = Databases({"main": "postgresql://nobody:x@127.0.0.1:1/none"}, size=2, statement_cache=True)
    for _ in range(2):
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await databases.pool("main")
    databases._urls["main"] = world.urls.app_url
    assert await (await databases.pool("main")).fetchval("select 1") == 1
    await databases.close()
