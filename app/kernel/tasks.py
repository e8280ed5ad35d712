"""Work that must happen: a row in the tenant's schema is the truth, a bell row says where to look, the queue only rings.

`add_task` writes row and bell in the caller's transaction. After the commit one coalesced ring wakes a drain; losing every ring and every bell
loses nothing, because a sweep looks at the rows themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel.ids import new_id
from tenants.directory import Tenant
from tenants.session import Tx, raw


class Lane(StrEnum):
    """Queues that do not wait for each other: a million-line import never stands before a paid order, nor a supplier that does not answer questions
    before what is bought from others."""

    ORDERS = "orders"
    SUPPLY = "supply"
    QUESTIONS = "questions"
    MESSAGES = "messages"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A claimed task as its handler sees it."""

    id: UUID
    kind: str
    subject_id: UUID | None
    attempts: int


Handler = Callable[[Tenant, list[TaskRow]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What is known of one kind of task: where it runs, for how long, how many together, how often it is tried."""

    name: str
    lane: Lane
    timeout_s: int
    at_once: int
    tries: int
    handler: Handler

    def wait_s(self, attempts: int) -> int:
        """After how many seconds a failed task is tried again: 2, 4, 8 …, at most five minutes."""
        return min(300, 1 << attempts)


_kinds: dict[str, TaskKind] = {}


def handles(name: str, *, lane: Lane, timeout_s: int = 30, at_once: int = 1, tries: int = 12) -> Callable[[Handler], Handler]:
    """Register the handler of a kind of task. With `at_once` over one it gets several tasks of one tenant together."""

    def register(handler: Handler) -> Handler:
        assert name not in _kinds, name
        _kinds[name] = TaskKind(name, lane, timeout_s, at_once, tries, handler)
        return handler

    return register


def kind_of(name: str) -> TaskKind | None:
    return _kinds.get(name)


def kinds() -> list[TaskKind]:
    return list(_kinds.values())


Ring = Callable[[str, Lane], None]
"""Wakes a drain for a home, by its schema, and a lane."""


def _no_ring(schema: str, lane: Lane) -> None:
    """Without a ringer the sweep finds the work; commands and tests run so."""


_ring: Ring = _no_ring


def use_ringer(ring: Ring) -> None:
    """Tell this process how to wake a drain; the composition root calls it once."""
    global _ring  # noqa: PLW0603  # one ringer per process
    _ring = ring


@dataclass(frozen=True, slots=True)
class _RingAfterCommit:
    """A callback equal to another of the same home and lane, so that one commit rings once."""

    schema: str
    lane: Lane

    def __call__(self) -> None:
        _ring(self.schema, self.lane)


async def add_task(
    on: AsyncSession | Tx,
    kind: str,
    *,
    lane: Lane,
    subject_id: UUID | None,
    run_at: datetime | None = None,
    after_s: int = 0,
) -> None:
    """Write down that something must happen, in this transaction, and ring once it is committed.

    It is due at `run_at`, else so many seconds from now by the database's clock, whatever this machine's says.
    Idempotent per kind and subject: while one is waiting, asking again leaves one task, at the earlier of the two times; one that
    runs is run once more; one that failed starts over.
    """
    await add_tasks(on, kind, lane=lane, subject_ids=[subject_id], run_at=run_at, after_s=after_s)


async def add_tasks(
    on: AsyncSession | Tx,
    kind: str,
    *,
    lane: Lane,
    subject_ids: Sequence[UUID | None],
    run_at: datetime | None = None,
    after_s: int = 0,
) -> None:
    """As `add_task`, for many subjects in one statement."""
    if not subject_ids:
        return
    tx = await raw(on)
    names = [f"{kind}:{subject_id}" if subject_id else kind for subject_id in subject_ids]
    await tx.execute(_ADD, [new_id() for _ in subject_ids], kind, lane, list(subject_ids), names, run_at, after_s)
    if run_at is None and not after_s:
        tx.after_commit(_RingAfterCommit(tx.tenant.schema, lane))


async def leave_to_a_person(tx: Tx, kinds: Sequence[str], *, why: str) -> int:
    """Put every task of these kinds aside until a person has it tried again; how many. Idempotent."""
    return await tx.execute(_ASIDE, list(kinds), why)


async def ring_bell(tx: Tx, lane: Lane, due: datetime | None = None, *, after_s: int = 0) -> None:
    """Say that this home has work due in a lane, then or so many seconds from now; due at once, it wakes a drain.

    Each transaction rings a bell of its own: a shared one would make them wait for each other.
    """
    await tx.execute(_RING, lane, due, after_s)
    if due is None and not after_s:
        tx.after_commit(_RingAfterCommit(tx.tenant.schema, lane))


_RING = """
insert into work.bell (home, lane, ring_at)
values (current_schema(), $1, coalesce($2::timestamptz, now() + make_interval(secs => $3::int)))
on conflict do nothing
"""
_ASIDE = """
update task set state = 'failed', last_error = $2, lease_token = null, lease_until = null, wanted_again = false
where kind = any($1) and state <> 'failed'
"""
_ADD = """
with rung as (
  insert into work.bell (home, lane, ring_at)
  values (current_schema(), $3, coalesce($6::timestamptz, now() + make_interval(secs => $7::int)))
  on conflict do nothing
)
insert into task (id, kind, lane, subject_id, dedupe, run_at)
select t.id, $2, $3, t.subject_id, t.dedupe, coalesce($6::timestamptz, now() + make_interval(secs => $7::int))
from unnest($1::uuid[], $4::uuid[], $5::text[]) as t (id, subject_id, dedupe)
on conflict (dedupe) do update
set run_at = case when task.state = 'running' and not task.wanted_again then excluded.run_at else least(task.run_at, excluded.run_at) end,
    wanted_again = task.state = 'running',
    state = case task.state when 'failed' then 'waiting' else task.state end,
    attempts = case task.state when 'failed' then 0 else task.attempts end
"""
