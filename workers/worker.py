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
from app.kernel.tasks import Lane, use_ringer
from app.kernel.vault import forget_keyrings, refuse_wrong_keys
from app.settings import settings
from tenants import routing
from tenants.session import Databases, databases, use_databases
from workers.drain import drain
from workers.timers import TIMERS, keep

_log = structlog.get_logger(__name__)
_GRACE_S = 14
"""Running handlers may end in this time after a signal; then they are cancelled and give their tasks back. Stays under the 20 s a supervisor waits."""
_CANCEL_S = 3.0
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


_GATHERS_S = {Lane.ORDERS: 0.03, Lane.MESSAGES: 0.2}
"""How long a drain waits for more to come: fifty orders, or mails, delivered together cost little more than five, and under load that is what makes
each of them soon."""
_gathering: dict[Lane, set[str]] = {}
"""Homes that rang while a drain of their lane waits for more: it looks at them too, so that one job waits and not ten."""


async def drain_lane(context: dict[str, Any], *, lane: str, schemas: list[str] | None = None) -> int:
    """The one job of the queue: somebody rang."""
    which, homes = Lane(lane), set(schemas or ())
    if which in _gathering:
        _gathering[which] |= homes
        return 0
    if which in _GATHERS_S:
        _gathering[which] = homes
        try:
            await asyncio.sleep(_GATHERS_S[which])
        finally:
            homes = _gathering.pop(which)
    return await drain(which, schemas=sorted(homes), is_over=context["worker"].event.is_set)


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
    use_ringer(Ringer(queue).ring)
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
