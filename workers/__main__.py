"""A worker process: `python -m workers`. Start as many as there is work; they share it by row locks."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
import uvloop
from saq import CronJob, Worker

import workers.handlers  # noqa: F401  # registers every kind of task
from app.inventory import service as inventory
from app.kernel import logs
from app.kernel.bell import JOB_TIMEOUT_S, Ringer, open_queue
from app.kernel.rates import forget
from app.kernel.tasks import Lane, use_ringer
from app.settings import settings
from tenants import provisioning, routing
from tenants.directory import PLATFORM
from tenants.session import Databases, databases, tenant_tx, use_databases
from workers.drain import drain, sweep

_log = structlog.get_logger(__name__)
_CRON_LOCK = 7350200


async def drain_lane(_context: dict[str, Any], *, lane: str, schemas: list[str] | None = None) -> int:
    return await drain(Lane(lane), schemas=schemas or ())


async def look(_context: dict[str, Any]) -> None:
    """Drain the quick lanes whether anybody rang or not; every two seconds."""
    for lane in (Lane.ORDERS, Lane.MESSAGES):
        await drain(lane, until_s=30)


async def look_at_bulk(_context: dict[str, Any]) -> None:
    await drain(Lane.BULK, until_s=JOB_TIMEOUT_S - 60)


async def sweep_homes(_context: dict[str, Any]) -> None:
    async with tenant_tx(PLATFORM) as tx:
        if not await tx.fetchval("select pg_try_advisory_xact_lock($1)", _CRON_LOCK):
            return
        await sweep()


async def keep_spares(_context: dict[str, Any]) -> None:
    if owner_url := settings().owner_database_url:
        await provisioning.refill(owner_url, wanted=settings().spare_tenants)


async def tidy(_context: dict[str, Any]) -> None:
    """Hourly: expired keys leave the shelf, old counters go."""
    async with tenant_tx(PLATFORM) as tx:
        if not await tx.fetchval("select pg_try_advisory_xact_lock($1)", _CRON_LOCK + 1):
            return
        await forget(tx)
        schemas = [row["schema_name"] for row in await tx.fetch("select schema_name from tenant where state <> 'spare'")]
    for schema in schemas:
        if (tenant := await routing.by_schema(schema)) is not None:
            async with tenant_tx(tenant) as tx:
                await inventory.expire_keys(tx)
                await forget(tx)


async def main() -> None:
    logs.configure(settings().log_level)
    use_databases(
        Databases(
            {"main": settings().database_url}, size=settings().database_connections, statement_cache=settings().statement_cache
        )
    )
    queue = open_queue(listens=True)
    await queue.connect()
    use_ringer(Ringer(queue).ring)
    crons = [("look", look, "* * * * * */2"), ("bulk", look_at_bulk, "* * * * * */2"), ("sweep", sweep_homes, "* * * * * */20"),
             ("spares", keep_spares, "* * * * * */5"), ("tidy", tidy, "7 * * * *")]  # fmt: skip
    worker: Worker[Any] = Worker(
        queue,
        functions=[("drain_lane", drain_lane)],
        concurrency=10,
        cron_jobs=[
            CronJob(function, cron=at, unique=True, timeout=JOB_TIMEOUT_S, retries=1, ttl=-1) for _, function, at in crons
        ],
        timers={"schedule": 1, "worker_info": 30, "sweep": 30, "abort": 5},
        shutdown_grace_period_s=20,
        dequeue_timeout=1,
    )
    follower = asyncio.create_task(routing.listen())
    _log.info("worker.started")
    try:
        await worker.start()
    finally:
        follower.cancel()
        await queue.disconnect()
        await databases().close()
    _log.info("worker.stopped")


if __name__ == "__main__":
    uvloop.run(main())
