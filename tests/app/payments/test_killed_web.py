"""A web process that is killed while it takes a notice: acknowledged only what is committed, and what is committed counts once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.processes import Web, web
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("C14")]


@pytest.fixture
async def server(world: World, tmp_path: Path) -> AsyncIterator[Web]:
    (tmp_path / "faults").mkdir()
    async with web(tmp_path, QUANYI_FAULTS=str(tmp_path / "faults")) as made:
        yield made


async def told(world: World, server: Web, payment_no: str) -> int | None:
    """Send the payment's notice to that process; the status it answered, None when it died instead."""
    path = await world.value(
        "select '/hooks/' || $1 || '/' || connection_id from payment where payment_no = $2", world.tenant.slug, payment_no
    )
    url = f"http://app.quanyi.localhost:{server.port}{path}"
    [[status]] = await asyncio.to_thread(world.gateway.replay, payment_no, notice_url=url)
    return status


@pytest.mark.parametrize(("point", "captures"), [("capture.before_commit", 0), ("capture.committed", 1)])
async def test_killed_around_the_commit_nothing_is_acknowledged_and_the_repeat_counts_once(
    world: World, server: Web, tmp_path: Path, point: str, captures: int
) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    placed = await world.order(product.skus[0].listing.id)
    world.gateway.script({"drop": True}, on="notice")
    payment_no = await world.pay(placed)
    (tmp_path / "faults" / point).write_text("kill")
    assert await told(world, server, payment_no) is None
    assert await server.ended() == -signal.SIGKILL
    assert await world.value("select count(*) from capture") == captures
    await server.start()
    assert await told(world, server, payment_no) == 200
    assert await told(world, server, payment_no) == 200
    assert await world.value("select count(*) from capture") == 1
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
