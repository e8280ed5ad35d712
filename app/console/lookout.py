"""A look over every home's tasks and messages: one short transaction per home, a few at once, kept for some seconds per process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from app.kernel import clock
from app.kernel.tasks import Lane
from tenants.directory import COLUMNS, PLATFORM, Tenant, tenant_of
from tenants.session import Tx, tenant_tx

_FRESH_S = 5.0
_MOST_HOMES = 1_000
_AT_ONCE = 4
"""Half of a process's connections: the other pages go on."""
_FAILED_PER_HOME = 20
_FAILED_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Failed:
    """A task whose tries are used up, and whose it is."""

    home: Tenant
    id: UUID
    kind: str
    lane: str
    attempts: int
    error: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane over all homes: tasks that wait, of those the due ones and how long the oldest has been due, running and failed."""

    lane: Lane
    waiting: int = 0
    due: int = 0
    oldest_due_s: int = 0
    running: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look saw, and when. `left_out` homes were not looked at because there are more than one look may visit."""

    at: datetime
    homes: int
    silent: tuple[Tenant, ...]
    """Homes whose tables did not answer: their figures are missing here."""
    left_out: int
    lanes: tuple[LaneState, ...]
    failed: tuple[Failed, ...]
    busiest: tuple[tuple[Tenant, int], ...]
    messages_troubled: int
    """Messages the other side did not take at the last try; they are tried again."""
    messages_failed: int


_seen: tuple[float, Seen] | None = None
_looking = asyncio.Lock()


async def look() -> Seen:
    """The last look if it is fresh, else a new one; callers at the same time share it."""
    global _seen  # noqa: PLW0603  # one look per process
    async with _looking:
        if _seen is None or time.monotonic() - _seen[0] > _FRESH_S:
            _seen = (time.monotonic(), await _look())
        return _seen[1]


def last_failed() -> int:
    """Failed tasks at the last look of this process, for a badge: no look is made."""
    return sum(lane.failed for lane in _seen[1].lanes) if _seen else 0


def forget() -> None:
    """Drop the last look, after a change that it should show."""
    global _seen  # noqa: PLW0603
    _seen = None


@dataclass(frozen=True, slots=True)
class _HomeState:
    home: Tenant
    lanes: list[asyncpg.Record]
    failed: list[asyncpg.Record]
    messages: asyncpg.Record


async def _look() -> Seen:
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch(_HOMES, _MOST_HOMES)
        known = await tx.fetchval("select count(*) from tenant where state <> 'spare'")
    limit = asyncio.Semaphore(_AT_ONCE)

    async def bounded(home: Tenant) -> _HomeState | Tenant:
        try:
            async with limit, tenant_tx(home) as tx:
                return await _look_at(home, tx)
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return home

    answers = await asyncio.gather(*(bounded(home) for home in [PLATFORM, *map(tenant_of, rows)]))
    states = [answer for answer in answers if isinstance(answer, _HomeState)]
    return Seen(
        at=clock.now(),
        homes=len(answers),
        silent=tuple(answer for answer in answers if isinstance(answer, Tenant)),
        left_out=known - len(rows),
        lanes=tuple(_lane(lane, states) for lane in Lane),
        failed=tuple(_failed(states)),
        busiest=tuple(_busiest(states)),
        messages_troubled=sum(state.messages["troubled"] for state in states),
        messages_failed=sum(state.messages["failed"] for state in states),
    )


async def _look_at(home: Tenant, tx: Tx) -> _HomeState:
    lanes = await tx.fetch(_LANES)
    has_failed = any(row["failed"] for row in lanes)
    failed = await tx.fetch(_FAILED, _FAILED_PER_HOME) if has_failed else []
    messages = await tx.fetchrow(_MESSAGES)
    assert messages is not None
    return _HomeState(home, lanes, failed, messages)


def _lane(lane: Lane, states: Iterable[_HomeState]) -> LaneState:
    rows = [row for state in states for row in state.lanes if row["lane"] == lane]
    dues = [row["oldest"] for row in rows if row["oldest"] is not None]
    return LaneState(
        lane,
        sum(row["waiting"] for row in rows),
        sum(row["due"] for row in rows),
        max(0, int((clock.now() - min(dues)).total_seconds())) if dues else 0,
        sum(row["running"] for row in rows),
        sum(row["failed"] for row in rows),
    )


def _failed(states: Iterable[_HomeState]) -> list[Failed]:
    found = [
        Failed(state.home, row["id"], row["kind"], row["lane"], row["attempts"], row["last_error"] or "", row["created_at"])
        for state in states
        for row in state.failed
    ]
    return sorted(found, key=lambda failed: failed.created_at, reverse=True)[:_FAILED_SHOWN]


def _busiest(states: Iterable[_HomeState]) -> list[tuple[Tenant, int]]:
    loads = [(state.home, sum(row["due"] + row["running"] for row in state.lanes)) for state in states]
    return sorted((load for load in loads if load[1]), key=lambda load: -load[1])[:5]


_HOMES = f"select {COLUMNS} from tenant where state <> 'spare' order by opened_at desc nulls last limit $1"  # noqa: S608  # a constant
_LANES = """
select lane,
       count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'waiting' and run_at <= now()) as due,
       min(run_at) filter (where state = 'waiting' and run_at <= now()) as oldest,
       count(*) filter (where state = 'running') as running,
       count(*) filter (where state = 'failed') as failed
from task
group by lane
"""
_FAILED = """
select id, kind, lane, attempts, last_error, created_at from task where state = 'failed' order by created_at desc limit $1
"""
_MESSAGES = """
select count(*) filter (where state = 'waiting' and last_error <> '') as troubled, count(*) filter (where state = 'failed') as failed
from outgoing_message
where state <> 'sent'
"""
