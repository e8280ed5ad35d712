"""Draining a lane: take due bells, and tenant by tenant claim due tasks under a lease, run their handlers, and mark them done.

A tenant gets a bounded turn, so one merchant's fifty thousand grants do not stand before another's single order. A handler that fails is tried
again later; one whose tries are used up waits, visibly, for a person.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID, uuid4

import asyncpg
import structlog

from app.kernel import logs
from app.kernel.faults import fault
from app.kernel.metrics import TASKS
from app.kernel.tasks import Lane, TaskKind, TaskRow, kind_of, kinds, ring_bell
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import AWAY, tenant_tx
from workers.failing import leave_case

_log = structlog.get_logger(__name__)
_BELLS = 500
_TURN = 100
"""Tasks one tenant may have done before the next tenant's turn."""
_TURNS_AT_ONCE = 16
_TURNS_OF_A_HOME = 3
_SLOW_TURN_S = 0.5
"""A home whose turn takes longer than this may have another beside it, so that one slow answer does not hold up its other orders."""
_HANDLERS_AT_ONCE = 8
_LOOK_AGAIN_S = 2.0
"""How long a drain waits for a slow turn before it looks for other homes' bells."""
_LEASE_GRACE_S = 30
"""How much longer than its handler may run a task is ours."""
_RENEW_AFTER_S = 10.0
"""A batch that waited longer than this for its turn makes sure that its tasks are still ours."""
_LOST = "its worker ended while it ran, each time"


IsOver = Callable[[], bool]


def never() -> bool:
    return False


async def drain(lane: Lane, *, schemas: Sequence[str] = (), until_s: float = 60.0, is_over: IsOver = never) -> int:
    """Do what is due in a lane until no bell is due, the time is over, or `is_over` says so; the number of tasks done.

    `schemas` are homes whose work was committed a moment ago: they are looked at whether their bell is still there or not.
    """
    return await _Drain(lane, until_s, is_over).run(schemas)


_draining: dict[Lane, _Drain] = {}


async def join_drain(lane: Lane, *, schemas: Sequence[str] = (), until_s: float = 60.0, is_over: IsOver = never) -> int:
    """As `drain`, with one drain per lane in this process: while one runs, it is told of these homes, and the answer is 0.

    So under load the orders of a moment are delivered together, by the turn that follows the one that runs.
    """
    running = _draining.get(lane)
    if running is not None and running.ring(schemas):
        return 0
    mine = _draining[lane] = _Drain(lane, until_s, is_over)
    return await mine.run(schemas)


def ring_here(schema: str, lane: Lane) -> bool:
    """Tell this process's drain of a lane, if one runs, of a home whose work was committed; whether one does."""
    running = _draining.get(lane)
    return running is not None and running.ring([schema])


@dataclass(frozen=True, slots=True)
class _Running:
    schema: str
    since: float


class _Drain:
    """The homes that wait for their turn and the turns that run, some at once. A home whose handlers hang holds up its own turns alone.

    A home has one turn at a time, and a few while they are slow; rung meanwhile, it gets another.
    """

    def __init__(self, lane: Lane, until_s: float, is_over: IsOver) -> None:
        self._lane = lane
        self._clock = asyncio.get_running_loop().time
        self._ends = self._clock() + until_s
        self._told_to_end = is_over
        self._waiting: dict[str, None] = {}
        """Schemas, in the order in which they rang."""
        self._running: dict[asyncio.Task[int], _Running] = {}
        self._rung = asyncio.Event()
        self._is_open = True
        self._looks = True
        """Whether the bells are to be looked at: not again for each home that rings, as these are known."""

    def ring(self, schemas: Sequence[str]) -> bool:
        """Look at these homes too; without any, at the bells. False when it has found nothing more to do and looks no more."""
        if self._is_open:
            self._waiting |= dict.fromkeys(schemas)
            self._looks |= not schemas
            self._rung.set()
        return self._is_open

    async def run(self, schemas: Sequence[str]) -> int:
        """Work until nothing is due. It closes in the very instant in which that is so, so that no ring falls between."""
        self.ring(schemas)
        done = 0
        try:
            while await self._start_turns():
                done += await self._ended()
        finally:
            self._is_open = False
            await self._leave()
        return done

    def _is_over(self) -> bool:
        return self._told_to_end() or self._clock() > self._ends

    async def _start_turns(self) -> bool:
        """Start what may start; whether anything runs."""
        while len(self._running) < _TURNS_AT_ONCE and not self._is_over():
            schema = self._next()
            if schema is None and self._looks:
                self._looks = False
                self._waiting |= dict.fromkeys(await _rung_homes(self._lane))
                schema = self._next()
            if schema is None:
                break
            del self._waiting[schema]
            turn = asyncio.create_task(_guarded(schema, self._lane))
            self._running[turn] = _Running(schema, self._clock())
        return bool(self._running)

    def _next(self) -> str | None:
        return next((schema for schema in self._waiting if self._may_start(schema)), None)

    def _may_start(self, schema: str) -> bool:
        since = [turn.since for turn in self._running.values() if turn.schema == schema]
        return not since or (len(since) < _TURNS_OF_A_HOME and self._clock() - max(since) > _SLOW_TURN_S)

    async def _ended(self) -> int:
        """Wait until a turn ends, somebody rings, or it is time to look again; the tasks done by the turns that ended."""
        self._rung.clear()
        rung = asyncio.create_task(self._rung.wait())
        within_s = _SLOW_TURN_S if self._waiting else _LOOK_AGAIN_S
        try:
            await asyncio.wait({*self._running, rung}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rung.cancel()
        ended = [turn for turn in self._running if turn.done()]
        self._looks |= bool(ended) or not self._rung.is_set()
        for turn in ended:
            del self._running[turn]
        return sum(turn.result() for turn in ended)

    async def _leave(self) -> None:
        """Cut short, the turns give their tasks back, and the bells that were taken for others ring again."""
        for turn in self._running:
            turn.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for schema in self._waiting:
            if (home := await routing.by_schema(schema)) is not None:
                async with tenant_tx(home) as tx:
                    await ring_bell(tx, self._lane)


async def _rung_homes(lane: Lane) -> list[str]:
    """The schemas whose bells of this lane are due; the bells are taken."""
    async with tenant_tx(PLATFORM) as tx:
        return sorted({row["home"] for row in await tx.fetch(_TAKE_BELLS, lane, _BELLS)})


async def _guarded(schema: str, lane: Lane) -> int:
    """A turn that cannot stop the others' turns: a home whose tables do not answer is logged, and the sweep rings for it again."""
    try:
        home = await routing.by_schema(schema)
        return await drain_home(home, lane) if home is not None else 0
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        _log.error("turn.failed", schema=schema, lane=lane, error=logs.told(error))
        return 0


async def drain_home(tenant: Tenant, lane: Lane) -> int:
    """One bounded turn for one home, whether its bell rang or not; the number of tasks it claimed.

    Cancelled, as when the worker must end now, or cut off from the database, it gives back what it had claimed.
    """
    structlog.contextvars.bind_contextvars(tenant=tenant.slug)
    turn = _Turn(tenant, lane, uuid4(), asyncio.get_running_loop().time())
    try:
        tasks = await _claim(turn)
    except AWAY:
        await _give_back(turn)  # the claim may have been committed, and its answer lost
        raise
    limit = asyncio.Semaphore(_HANDLERS_AT_ONCE)
    if tasks:
        await fault("task.claimed")

    async def bounded(batch: list[TaskRow]) -> None:
        async with limit:
            await _run(turn, batch)

    try:
        ended = await asyncio.gather(*(bounded(batch) for batch in _batches(tasks)), return_exceptions=True)
    except asyncio.CancelledError:
        await asyncio.shield(_give_back(turn))
        raise
    if errors := [error for error in ended if error is not None]:
        await _give_back(turn)
        raise errors[0]
    return len(tasks)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One home's turn in a lane: its claims carry the token, and were made at `claimed_at` of the loop's clock."""

    home: Tenant
    lane: Lane
    token: UUID
    claimed_at: float


async def _claim(turn: _Turn) -> list[TaskRow]:
    """Up to a turn's tasks, due longest first; the bell rings again when there may be more. A restored home that is not reconciled does none."""
    if turn.home.is_reconciling:
        return []
    async with tenant_tx(turn.home) as tx:
        rows = await tx.fetch(_CLAIM, turn.lane, _TURN, turn.token, *_leases())
        if len(rows) == _TURN:
            await ring_bell(tx, turn.lane)
    return [TaskRow(row["id"], row["kind"], row["subject_id"], row["attempts"]) for row in rows]


def _batches(tasks: Sequence[TaskRow]) -> list[list[TaskRow]]:
    """Tasks of one kind together, as many as its handler takes at once. What was lost with its worker before goes alone."""
    batches = []
    for name, group in groupby(sorted(tasks, key=lambda task: task.kind), key=lambda task: task.kind):
        of_kind = list(group)
        kind = kind_of(name)
        size = kind.at_once if kind else 1
        batches += [of_kind[start : start + size] for start in range(0, len(of_kind), size)]
    return batches


async def _run(turn: _Turn, tasks: list[TaskRow]) -> None:
    """The worker's outermost frame: whatever a handler raises is written down on its task. A batch that fails is tried one by one."""
    kind = kind_of(tasks[0].kind)
    if asyncio.get_running_loop().time() - turn.claimed_at > _RENEW_AFTER_S:
        tasks = await _still_ours(turn, tasks)
    if kind is None:
        await _put_back(turn, None, tasks, "no handler for this kind of task")
        return
    if lost := [task for task in tasks if task.attempts > kind.tries]:
        await _put_back(turn, kind, lost, _LOST)
        tasks = [task for task in tasks if task not in lost]
    if not tasks:
        return
    problem = await _handle(turn, kind, tasks)
    if not problem:
        await _finish(turn, tasks)
        TASKS.labels(kind.name, "done").inc(len(tasks))
    elif len(tasks) == 1:
        await _put_back(turn, kind, tasks, problem)
    else:
        for task in tasks:
            await _run(turn, [task])


async def _handle(turn: _Turn, kind: TaskKind, tasks: list[TaskRow]) -> str:
    """Run a kind's handler; how it failed, in words, or nothing.

    What a failed handler held is let go first: with its error come its frames, and one that wanted all memory would leave none to write down that.
    """
    try:
        async with asyncio.timeout(kind.timeout_s):
            await kind.handler(turn.home, tasks)
            await fault("task.handled")
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        problem = logs.told(error).replace("\x00", "")
        wants_trace = logging.getLogger().isEnabledFor(logging.DEBUG)
        _log.warning("task.failed", kind=kind.name, tasks=len(tasks), error=problem, exc_info=wants_trace)
        return problem
    return ""


async def _still_ours(turn: _Turn, tasks: list[TaskRow]) -> list[TaskRow]:
    """The tasks whose lease we still hold, for as long again; another worker has the others."""
    async with tenant_tx(turn.home) as tx:
        rows = await tx.fetch(_RENEW, [task.id for task in tasks], turn.token, *_leases())
    ours = {row["id"] for row in rows}
    return [task for task in tasks if task.id in ours]


async def _finish(turn: _Turn, tasks: list[TaskRow]) -> None:
    """Done: the rows go, but for those that were asked for once more while they ran. In this order no wish falls between the statements."""
    ids = [task.id for task in tasks]
    async with tenant_tx(turn.home) as tx:
        await tx.execute("delete from task where id = any($1) and lease_token = $2 and not wanted_again", ids, turn.token)
        for due in {row["run_at"] for row in await tx.fetch(_AGAIN, ids, turn.token)}:
            await ring_bell(tx, turn.lane, due)


async def _put_back(turn: _Turn, kind: TaskKind | None, tasks: list[TaskRow], problem: str) -> None:
    """Failed: tried again later, or left for a person when the tries are used up. One that was asked for meanwhile starts over."""
    async with tenant_tx(turn.home) as tx:
        for task in tasks:
            is_over = kind is None or task.attempts >= kind.tries
            wait_s = 0 if kind is None else kind.wait_s(task.attempts)
            row = await tx.fetchrow(_PUT_BACK, task.id, turn.token, "failed" if is_over else "waiting", wait_s, problem)
            if row is not None and row["state"] == "waiting":
                await ring_bell(tx, turn.lane, row["run_at"])
            elif row is not None:
                await leave_case(tx, task.kind, task.subject_id, problem)
    TASKS.labels(kind.name if kind else "unknown", "failed").inc(len(tasks))


async def _give_back(turn: _Turn) -> None:
    """What this turn still holds waits again, as if it had not been claimed."""
    async with tenant_tx(turn.home) as tx:
        if await tx.execute(_GIVE_BACK, turn.token):
            await ring_bell(tx, turn.lane)


def _leases() -> tuple[list[str], list[int]]:
    """How many seconds a task of each kind is ours once it is claimed."""
    known = kinds()
    return [kind.name for kind in known], [kind.timeout_s + _LEASE_GRACE_S for kind in known]


async def sweep(*, limit: int = 2000) -> int:
    """Ring for every home with work that is due or whose lease ran out: what makes losing bells harmless. The number of bells rung."""
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select schema_name from tenant where state <> 'spare' order by created_at limit $1", limit)
    rung = 0
    for schema in [PLATFORM.schema, *(row["schema_name"] for row in rows)]:
        if (home := await routing.by_schema(schema)) is not None:
            rung += await _sweep_home(home)
    return rung


async def _sweep_home(home: Tenant) -> int:
    try:
        async with tenant_tx(home) as tx:
            await tx.execute(_FREE_LEASES)
            lanes = await tx.fetch("select distinct lane from task where state = 'waiting' and run_at <= now()")
            for row in lanes:
                await ring_bell(tx, Lane(row["lane"]))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        _log.error("sweep.failed", tenant=home.slug, error=type(error).__name__)
        return 0
    return len(lanes)


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
set state = 'running', lease_token = $3, attempts = attempts + 1, wanted_again = false,
    lease_until = now() + make_interval(secs => coalesce(
      (select k.seconds from unnest($4::text[], $5::int[]) as k (kind, seconds) where k.kind = task.kind), 60))
where id = any(array(
  select id from task where lane = $1 and state = 'waiting' and run_at <= now() order by run_at limit $2 for update skip locked
))
returning id, kind, subject_id, attempts
"""
_RENEW = """
update task
set lease_until = now() + make_interval(secs => coalesce(
      (select k.seconds from unnest($3::text[], $4::int[]) as k (kind, seconds) where k.kind = task.kind), 60))
where id = any($1) and lease_token = $2
returning id
"""
_AGAIN = """
update task
set state = 'waiting', lease_token = null, lease_until = null, wanted_again = false, attempts = 0
where id = any($1) and lease_token = $2 and wanted_again
returning run_at
"""
_PUT_BACK = """
update task
set state = case when wanted_again then 'waiting' else $3 end,
    run_at = case when wanted_again then run_at else now() + make_interval(secs => $4::int) end,
    attempts = case when wanted_again then 0 else attempts end,
    wanted_again = false, last_error = $5, lease_token = null, lease_until = null
where id = $1 and lease_token = $2
returning state, run_at
"""
_GIVE_BACK = """
update task
set state = 'waiting', lease_token = null, lease_until = null, attempts = greatest(0, attempts - 1)
where lease_token = $1 and state = 'running'
"""
_FREE_LEASES = """
update task set state = 'waiting', lease_token = null, lease_until = null where state = 'running' and lease_until < now()
"""
