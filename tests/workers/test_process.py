"""The worker as a process: it delivers what was paid, looks when nobody rings, and ends well when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.kernel import bell
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.simulators import ROOT
from tests.world import World

pytestmark = [pytest.mark.anyio]
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 60.0


@asynccontextmanager
async def worker(folder: Path, *arguments: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A worker that has reported once. Killed at the end if it still runs."""
    log = folder / "worker.log"
    command = arguments or ("workers",)
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220  # returns at once; its end is waited for in a thread
            [sys.executable, "-m", *command], cwd=ROOT, stdout=out, stderr=out, env={**os.environ, "QUANYI_LOG_LEVEL": "INFO"}
        )
    try:
        await until(lambda: is_there(log, b"worker.started"), STARTS_WITHIN_S)
        yield process
        assert process.poll() is None or process.returncode == 0, log.read_text()[-4000:]
    finally:
        process.kill()
        process.wait(10)


async def is_there(file: Path, text: bytes = b"") -> bool:
    return file.exists() and text in file.read_bytes()  # noqa: ASYNC240  # a small local file


async def until(holds: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Poll until it holds; the bound only ends a test that would wait for ever."""
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.02)


async def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and wait until it ended by itself with 0."""
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, STOPS_WITHIN_S) == 0


async def ask(world: World, kind: str) -> None:
    async with tenant_tx(world.tenant) as tx:
        await add_task(tx, kind, lane=Lane.ORDERS, subject_id=new_id())


async def test_a_paid_order_is_delivered_by_a_worker_process_that_ends_when_told(world: World, tmp_path: Path) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)

    async def delivered() -> bool:
        return bool(await world.value("select count(*) from shop_order where state = 'delivered' and id = $1", placed.id))

    before = {beat.worker for beat in (await bell.queue_state()).workers}  # one that was killed is heard of for a while
    async with worker(tmp_path) as process:
        for _ in range(3):
            placed = await world.order(product.skus[0].listing.id)
            await world.pay(placed)
            await world.ask_gateway(placed)
            await until(delivered, 60.0)
        state = await bell.queue_state()
        assert len({beat.worker for beat in state.workers} - before) == 1, "it reports to the queue"
        await stop(process)


async def test_the_worker_asks_the_gateway_itself(world: World, tmp_path: Path) -> None:
    """No notice comes in these tests: the worker's own question finds the money."""
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    placed = await world.order(product.skus[0].listing.id)
    await world.pay(placed)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set run_at = now() where kind = 'payments.ask'")
        await tx.execute(
            "insert into work.bell (home, lane, ring_at) values (current_schema(), 'orders', date_trunc('second', now()))"
            " on conflict do nothing"
        )

    async def delivered() -> bool:
        return await world.value("select state from shop_order where id = $1", placed.id) == "delivered"

    async with worker(tmp_path) as process:
        await until(delivered, 60.0)
        await stop(process)


async def test_it_looks_every_two_seconds_though_nobody_rings(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.kernel.tasks._ring", lambda _schema, _lane: None)

    async def is_settled() -> bool:
        return not await world.value("select count(*) from task where state = 'waiting'")

    async with worker(tmp_path) as process:
        for _ in range(3):
            await ask(world, "tests.nobody_does_this")
            await until(is_settled, 60.0)
        await stop(process)


@pytest.mark.case("J06")
async def test_told_to_stop_it_lets_a_running_handler_end(world: World, tmp_path: Path) -> None:
    async with worker(tmp_path, "tests.workers.with_slow_kinds", str(tmp_path)) as process:
        await ask(world, "tests.slow")
        await until(lambda: is_there(tmp_path / "began"), 60.0)
        await stop(process)
    assert (tmp_path / "ended").exists()
    assert await world.value("select count(*) from task") == 0


@pytest.mark.case("J06")
async def test_told_to_stop_it_gives_back_what_does_not_end(world: World, tmp_path: Path) -> None:
    async with worker(tmp_path, "tests.workers.with_slow_kinds", str(tmp_path), "1") as process:
        await ask(world, "tests.hang")
        await until(lambda: is_there(tmp_path / "began"), 60.0)
        await stop(process)
    row = (await world.rows("delete from task returning state, attempts, lease_token"))[0]
    assert (row["state"], row["attempts"], row["lease_token"]) == ("waiting", 0, None)
    async with tenant_tx(PLATFORM) as tx:
        assert (
            await tx.fetchval("select count(*) from work.bell where home = $1", world.tenant.schema) >= 1
        )  # its sweep rings too


@pytest.mark.case("J11")
async def test_a_killed_worker_loses_nothing(world: World, tmp_path: Path) -> None:
    async with worker(tmp_path, "tests.workers.with_slow_kinds", str(tmp_path)) as process:
        await ask(world, "tests.slow")
        await until(lambda: is_there(tmp_path / "began"), 60.0)
        process.kill()
        await asyncio.to_thread(process.wait, 10)
        process.returncode = 0
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set lease_until = now()")
    (tmp_path / "again").mkdir()

    async def is_done() -> bool:
        return not await world.value("select count(*) from task")

    async with worker(tmp_path / "again", "tests.workers.with_slow_kinds", str(tmp_path / "again")) as process:
        await until(is_done, 90.0)
        await stop(process)


@pytest.mark.case("J11")
async def test_a_task_that_wants_all_memory_fails_alone(world: World, tmp_path: Path) -> None:
    """The limit is on the process, as a container's is; orders beside that task are delivered."""
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    placed = await world.paid(product.skus[0].listing.id)
    await ask(world, "tests.leak")

    async def is_over() -> bool:
        delivered = await world.value("select state = 'delivered' from shop_order where id = $1", placed.id)
        return delivered and await world.value("select last_error like 'MemoryError%' from task where kind = 'tests.leak'")

    async with worker(tmp_path, "tests.workers.with_little_memory") as process:
        await until(is_over, 240.0)
        await stop(process)
    told = (tmp_path / "worker.log").read_text()
    assert "task.failed" in told
    assert not {failed for failed in ("turn.failed", "timer.failed", "Error processing job") if failed in told}
    await world.rows("delete from task where kind = 'tests.leak' returning id")
