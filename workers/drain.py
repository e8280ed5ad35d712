"""Draining a lane: take due bells, and tenant by tenant claim due tasks under a lease, run their handlers, and mark them done.

A tenant gets a bounded turn, so one merchant's fifty thousand grants do not stand before another's single order. A handler that fails is tried
again later; one whose tries are used up waits, visibly, for a person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from uuid import uuid4

import structlog

from app.kernel import clock
from app.kernel.tasks import Lane, TaskKind, TaskRow, kind_of, kinds, ring_bell
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx

_log = structlog.get_logger(__name__)
_BELLS = 50
_TURN = 100
"""Tasks one tenant may have done before the next tenant's turn."""
_TENANTS_AT_ONCE = 4
_HANDLERS_AT_ONCE = 8
_LEASE_GRACE_S = 30


async def drain(lane: Lane, *, schemas: Sequence[str] = (), until_s: float = 60.0) -> int:
    """Do what is due in a lane until no bell is due, or the time is over; the number of tasks done.

    `schemas` are homes whose work was committed a moment ago: they are looked at whether their bell is still there or not.
    """
    ends = asyncio.get_running_loop().time() + until_s
    rung = [tenant for schema in schemas if (tenant := await routing.by_schema(schema)) is not None]
    done = sum(await asyncio.gather(*(_turn(home, lane) for home in rung)))
    while asyncio.get_running_loop().time() < ends:
        homes = await _due_homes(lane)
        if not homes:
            break
        for start in range(0, len(homes), _TENANTS_AT_ONCE):
            turns = await asyncio.gather(*(_turn(home, lane) for home in homes[start : start + _TENANTS_AT_ONCE]))
            done += sum(turns)
    return done


async def drain_home(tenant: Tenant, lane: Lane) -> int:
    """One turn for one home, whether its bell rang or not; the number of tasks done."""
    return await _turn(tenant, lane)


async def _due_homes(lane: Lane) -> list[Tenant]:
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch(_TAKE_BELLS, lane, _BELLS)
    found = [await routing.by_schema(schema) for schema in sorted({row["home"] for row in rows})]
    return [tenant for tenant in found if tenant is not None]


async def _turn(tenant: Tenant, lane: Lane) -> int:
    structlog.contextvars.bind_contextvars(tenant=tenant.slug)
    token = uuid4()
    async with tenant_tx(tenant) as tx:
        rows = await tx.fetch(_CLAIM, lane, _TURN, token, timedelta(seconds=_longest_s(lane) + _LEASE_GRACE_S))
        if len(rows) == _TURN:
            await ring_bell(tx, lane, clock.now())
    tasks = [TaskRow(row["id"], row["kind"], row["subject_id"], row["attempts"]) for row in rows]
    limit = asyncio.Semaphore(_HANDLERS_AT_ONCE)

    async def bounded(kind: TaskKind | None, batch: Sequence[TaskRow]) -> None:
        async with limit:
            await _run(tenant, lane, kind, list(batch), token)

    batches = []
    for name, group in groupby(sorted(tasks, key=lambda task: task.kind), key=lambda task: task.kind):
        kind = kind_of(name)
        of_kind = list(group)
        size = kind.at_once if kind else 1
        batches += [(kind, of_kind[i : i + size]) for i in range(0, len(of_kind), size)]
    await asyncio.gather(*(bounded(kind, batch) for kind, batch in batches))
    return len(tasks)


async def _run(tenant: Tenant, lane: Lane, kind: TaskKind | None, tasks: list[TaskRow], token: object) -> None:
    """The worker's outermost frame: whatever a handler raises is written down on its task. A batch that fails is tried one by one."""
    problem = "no handler for this kind of task"
    if kind is not None:
        try:
            async with asyncio.timeout(kind.timeout_s):
                await kind.handler(tenant, tasks)
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:300]}"
            _log.warning(
                "task.failed",
                kind=kind.name,
                tasks=len(tasks),
                error=problem,
                exc_info=logging.getLogger().isEnabledFor(logging.DEBUG),
            )
            if len(tasks) > 1:
                for task in tasks:
                    await _run(tenant, lane, kind, [task], token)
                return
        else:
            problem = ""
    await _settle(tenant, lane, kind, tasks, token, problem)


async def _settle(tenant: Tenant, lane: Lane, kind: TaskKind | None, tasks: list[TaskRow], token: object, problem: str) -> None:
    ids = [task.id for task in tasks]
    async with tenant_tx(tenant) as tx:
        if not problem:
            again = await tx.fetch(_AGAIN, ids, token)
            await tx.execute("delete from task where id = any($1) and lease_token = $2", ids, token)
            for due in {row["run_at"] for row in again}:
                await ring_bell(tx, lane, due)
            return
        for task in tasks:
            over = kind is None or task.attempts >= kind.tries
            due = clock.now() if kind is None else kind.next_try(task.attempts, clock.now())
            await tx.execute(_PUT_BACK, task.id, token, "failed" if over else "waiting", due, problem)
            if not over:
                await ring_bell(tx, lane, due)


def _longest_s(lane: Lane) -> int:
    return max((kind.timeout_s for kind in kinds() if kind.lane is lane), default=30)


async def sweep(*, limit: int = 2000) -> int:
    """Ring for every home with work that is due or whose lease ran out: what makes losing bells harmless. The number of bells rung."""
    rung = 0
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select schema_name from tenant where state <> 'spare' order by created_at limit $1", limit)
    for schema in [PLATFORM.schema, *(row["schema_name"] for row in rows)]:
        tenant = await routing.by_schema(schema)
        if tenant is None:
            continue
        async with tenant_tx(tenant) as tx:
            await tx.execute(_FREE_LEASES)
            for row in await tx.fetch("select distinct lane from task where state = 'waiting' and run_at <= now()"):
                await ring_bell(tx, Lane(row["lane"]), clock.now())
                rung += 1
    return rung


_TAKE_BELLS = """
delete from work.bell b
using (
  select home, lane, ring_at from work.bell where lane = $1 and ring_at <= now() order by ring_at limit $2 for update skip locked
) due
where b.home = due.home and b.lane = due.lane and b.ring_at = due.ring_at
returning b.home
"""
_CLAIM = """
update task
set state = 'running', lease_token = $3, lease_until = now() + $4, attempts = attempts + 1, wanted_again = false
where id in (select id from task where lane = $1 and state = 'waiting' and run_at <= now() order by run_at limit $2 for update skip locked)
returning id, kind, subject_id, attempts
"""
_AGAIN = """
update task
set state = 'waiting', lease_token = null, lease_until = null, wanted_again = false, attempts = 0
where id = any($1) and lease_token = $2 and wanted_again
returning run_at
"""
_PUT_BACK = """
update task
set state = $3, run_at = $4, last_error = $5, lease_token = null, lease_until = null
where id = $1 and lease_token = $2
"""
_FREE_LEASES = """
update task set state = 'waiting', lease_token = null, lease_until = null where state = 'running' and lease_until < now()
"""
