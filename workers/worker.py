"""A worker: SAQ's, with our timers, that drains the lanes it is rung for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from saq import Worker

import workers.handlers  # noqa: F401  # registers every kind of task
from app.fulfillment import buying
from app.kernel import http, logs
from app.kernel.bell import Ringer, open_queue
from app.kernel.faults import use_faults
from app.kernel.starting import keep_what_is_loaded, when_there
from app.kernel.tasks import Lane, Ring, use_ringer
from app.kernel.vault import forget_keyrings, refuse_wrong_keys
from app.settings import settings
from tenants import routing
from tenants.session import Databases, databases, use_databases
from workers.drain import join_drain, ring_here
from workers.timers import TIMERS, keep

_log = structlog.get_logger(__name__)
_GRACE_S = 14
"""Running handlers may end in this time after a signal; then they are cancelled and give their tasks back. Stays under the 20 s a supervisor waits."""
_CANCEL_S = 3.0
_DRAINS_FOR_S = 600.0
"""Under load a drain never ends by itself; it stays under the time a job may take."""
_CALLS_END_S = 2
"""How long calls to suppliers are waited for after that; what is cut is asked about."""


class OurWorker(Worker[Any]):
    """SAQ's worker with our timers. Told to stop, it waits for jobs and timers that work, and not for SAQ's own timers, which sleep."""

    _sleepers: tuple[asyncio.Task[None], ...] = ()

    async def upkeep(self) -> list[asyncio.Task[None]]:
        self._sleepers = tuple(await super().upkeep())
        return [*self._sleepers, *(asyncio.create_task(keep(timer, self.event)) for timer in TIMERS)]

    async def stop(self) -> None:
        for sleeper in self._sleepers:
            sleeper.cancel()
        await super().stop()


async def drain_lane(context: dict[str, Any], *, lane: str, schemas: list[str] | None = None) -> int:
    """The one job of the queue: somebody rang."""
    return await join_drain(Lane(lane), schemas=schemas or (), until_s=_DRAINS_FOR_S, is_over=context["worker"].event.is_set)


def _ringing(ringer: Ringer) -> Ring:
    """Ring for what this process commits: its own drain is told when it runs, else a job of the queue starts one, here or in another worker."""

    def ring(schema: str, lane: Lane) -> None:
        if not ring_here(schema, lane):
            ringer.ring(schema, lane)

    return ring


async def main() -> None:
    chosen = settings()
    logs.configure(chosen.log_level)
    use_databases(
        Databases({"main": chosen.database_url}, size=chosen.database_connections, statement_cache=chosen.statement_cache)
    )
    await refuse_wrong_keys()
    http.start(allow_loopback=chosen.allow_loopback_calls)
    use_faults(chosen.faults)
    queue = open_queue(listens=True)
    await when_there(queue.connect)
    use_ringer(_ringing(Ringer(queue)))
    worker = OurWorker(
        queue,
        functions=[("drain_lane", drain_lane)],
        concurrency=10,
        timers={"schedule": 1, "worker_info": 10, "sweep": 30, "abort": 5},
        shutdown_grace_period_s=_GRACE_S,
        cancellation_hard_deadline_s=_CANCEL_S,
        dequeue_timeout=1,
    )
    follower = asyncio.create_task(routing.listen(forget_keyrings))
    keep_what_is_loaded()
    _log.info("worker.started")
    try:
        await worker.start()
    finally:
        await buying.finish(within_s=_CALLS_END_S)
        follower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower
        await queue.disconnect()
        await http.stop()
        await databases().close()
    _log.info("worker.stopped")
