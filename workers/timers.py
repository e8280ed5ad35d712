"""What a worker does by the clock, whether anybody rang or not. Kept by the process itself, so that neither a queue that is away nor a
job that died with its worker can silence it. What only one process should do takes an advisory lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from app.access import repeats
from app.customers import service as customers
from app.customers import sessions as buyer_sessions
from app.insight import alarms, searches
from app.integrations import alerts, webhooks
from app.inventory import service as inventory
from app.kernel import audit_heads, logs
from app.kernel.rates import forget
from app.kernel.tasks import Lane
from app.settings import settings
from app.trials import service as trials
from tenants import provisioning, routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from workers.drain import IsOver, join_drain, sweep

_log = structlog.get_logger(__name__)
_SWEEP_LOCK = 7350200
_LONGEST_S = 900.0


@dataclass(frozen=True, slots=True)
class Timer:
    """Something done at the start and then so many seconds after it ended. With `slot_s` it is done once in so many seconds, however many workers run."""

    name: str
    every_s: float
    work: Callable[[IsOver], Awaitable[None]]
    slot_s: float = 0


async def keep(timer: Timer, stopping: asyncio.Event) -> None:
    """Do a timer's work until the worker is told to stop. The worker's outermost frame: an error is logged, and the next time comes."""
    while not stopping.is_set():
        try:
            async with asyncio.timeout(_LONGEST_S):
                if not timer.slot_s or await take_slot(timer):
                    await timer.work(stopping.is_set)
        except Exception as error:
            _log.error("timer.failed", timer=timer.name, error=logs.told(error))
        try:
            await asyncio.wait_for(stopping.wait(), timer.every_s)
        except TimeoutError:
            continue


async def take_slot(timer: Timer) -> bool:
    """Whether this slot of a timer is ours: one worker moves the instant on. A slot lost with its worker is made good by the next."""
    async with tenant_tx(PLATFORM) as tx:
        return bool(await tx.fetchval(_TAKE_SLOT, timer.name, timer.slot_s))


async def look(is_over: IsOver) -> None:
    """Drain the quick lanes, beside each other: one that waits for a slow company holds up no other."""
    quick = (Lane.ORDERS, Lane.SUPPLY, Lane.QUESTIONS, Lane.MESSAGES)
    await asyncio.gather(*(join_drain(lane, until_s=30, is_over=is_over) for lane in quick))


async def look_at_bulk(is_over: IsOver) -> None:
    await join_drain(Lane.BULK, until_s=_LONGEST_S - 60, is_over=is_over)


async def sweep_homes(_is_over: IsOver) -> None:
    async with tenant_tx(PLATFORM) as tx:
        if await tx.fetchval("select pg_try_advisory_xact_lock($1)", _SWEEP_LOCK):
            await sweep()


async def keep_spares(_is_over: IsOver) -> None:
    if owner_url := settings().owner_database_url:
        await provisioning.refill(owner_url, wanted=settings().spare_tenants)


async def end_trials(_is_over: IsOver) -> None:
    if owner_url := settings().owner_database_url:
        await trials.end_trials(owner_url)


async def tidy(_is_over: IsOver) -> None:
    """Expired keys leave the shelf; old counters, codes, buyers' sessions and alerts go."""
    async with tenant_tx(PLATFORM) as tx:
        await forget(tx)
    for home in await _tenants():
        await _tidy_home(home)


async def _tidy_home(home: Tenant) -> None:
    try:
        async with tenant_tx(home) as tx:
            await inventory.expire_keys(tx)
            await inventory.measure_speed(tx)
            await forget(tx)
            await repeats.forget(tx)
            await customers.forget_codes(tx)
            await buyer_sessions.forget_ended(tx)
            await alerts.forget(tx)
            await webhooks.forget(tx)
            await searches.forget(tx)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        _log.error("tidy.failed", tenant=home.slug, error=type(error).__name__)


async def watch(is_over: IsOver) -> None:
    """Ask every home what must always hold; what does not is an alarm until it does again."""
    for home in [PLATFORM, *(home for home in await _tenants() if not home.is_reconciling)]:
        if is_over():
            return
        try:
            await alarms.look_at(home)
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            _log.error("watch.failed", tenant=home.slug, error=type(error).__name__)


_signed: dict[UUID, int] = {}
"""The entry of each home whose head this process signed last: a chain that stands still is not signed again."""


async def sign_heads(_is_over: IsOver) -> None:
    """Write down outside the database where every audit chain stands."""
    folder = settings().audit_heads
    if folder is None:
        return
    for home in [PLATFORM, *await _tenants()]:
        try:
            async with tenant_tx(home) as tx:
                head = await audit_heads.head_of(tx)
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            _log.error("audit_heads.failed", tenant=home.slug, error=type(error).__name__)
            continue
        if head is not None and head.seq != _signed.get(home.id):
            await asyncio.to_thread(audit_heads.keep, folder, [head])
            _signed[home.id] = head.seq


async def _tenants() -> list[Tenant]:
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select schema_name from tenant where state <> 'spare' order by created_at")
    found = [await routing.by_schema(row["schema_name"]) for row in rows]
    return [home for home in found if home is not None]


_TAKE_SLOT = """
insert into timer_run (name, ran_at) values ($1, now())
on conflict (name) do update set ran_at = now() where timer_run.ran_at <= now() - make_interval(secs => $2)
returning true
"""
TIMERS = (
    Timer("look", 2, look),
    Timer("bulk", 2, look_at_bulk),
    Timer("sweep", 20, sweep_homes),
    Timer("spares", 5, keep_spares),
    Timer("trials", 30, end_trials, slot_s=60),
    Timer("tidy", 300, tidy, slot_s=3600),
    Timer("watch", 30, watch, slot_s=300),
    Timer("audit_heads", 300, sign_heads, slot_s=3600),
)
