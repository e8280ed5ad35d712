"""Sharing a SKU's stock out to sales channels: quotas that only one of them sells, beside the pool anybody draws on.

A unit is in one quota or in the pool, never in both: whoever moves, takes or gives back units does it under the lock of the stock row, and the
row's `allotted` is the sum of its quotas at every committed point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.channels import channel_or_404
from app.inventory.models import Allocation, MoveReason
from app.kernel import audit, clock
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from tenants.session import Tx, raw

MOST_MOVES_SHOWN = 50


class NotThere(DomainError):
    message = N_("Only %(left)s are left there, so %(wanted)s cannot be moved. Nothing was moved.")


class SameQuota(DomainError):
    status = 422
    message = N_("Choose two different places to move units between.")


class NoQuotas(DomainError):
    message = N_("All sales channels share this stock. Give it quotas first, then move units.")


async def split(session: AsyncSession, sku_id: UUID, allocation: Allocation, *, actor: Actor) -> None:
    """Let a SKU's channels share one pool, or have quotas beside it. Back to one pool, what is left of every quota goes there: the sums stay.

    Idempotent. Locks: the stock row, then its quotas.
    """
    tx = await raw(session)
    row = await _lock(tx, sku_id)
    if row["allocation"] == allocation:
        return
    if allocation is Allocation.SHARED:
        for quota in await tx.fetch("select channel_code, units from channel_quota where sku_id = $1 and units > 0", sku_id):
            await _move(tx, sku_id, (quota["channel_code"], None), quota["units"], (MoveReason.MODE, actor.name))
    await tx.execute("update stock set allocation = $2 where sku_id = $1", sku_id, allocation)
    facts = {"allocation": allocation, "available": row["available"]}
    await audit.record(session, actor, "stock.allocation_set", subject=("sku", sku_id), facts=facts)


async def move(session: AsyncSession, sku_id: UUID, *, between: tuple[str | None, str | None], units: int, actor: Actor) -> None:
    """Move unsold units from one channel's quota to another's; None is the pool. Audited.

    Locks: the stock row, then the quotas. Raises: NoQuotas, SameQuota, NotThere, NotFound for a channel there is not.
    """
    assert units > 0
    if between[0] == between[1]:
        raise SameQuota
    for code in between:
        if code is not None:
            await channel_or_404(session, code)
    tx = await raw(session)
    if (await _lock(tx, sku_id))["allocation"] != Allocation.QUOTA:
        raise NoQuotas
    await _move(tx, sku_id, between, units, (MoveReason.HAND, actor.name))
    facts = {"from": between[0] or "", "to": between[1] or "", "units": units}
    await audit.record(session, actor, "stock.quota_moved", subject=("sku", sku_id), facts=facts)
    await _return_in_time(tx, sku_id)


async def _lock(tx: Tx, sku_id: UUID) -> asyncpg.Record:
    await tx.execute("insert into stock (sku_id) values ($1) on conflict do nothing", sku_id)
    row = await tx.fetchrow("select allocation, available, allotted from stock where sku_id = $1 for update", sku_id)
    assert row is not None
    return row


async def _move(tx: Tx, sku_id: UUID, between: tuple[str | None, str | None], units: int, why: tuple[MoveReason, str]) -> None:
    """One move, and its row in the book of moves. The caller holds the stock row. Raises: NotThere."""
    source, target = between
    by = (units if target else 0) - (units if source else 0)
    if source is not None and not await tx.execute(_TAKE, sku_id, source, units):
        left = await tx.fetchval("select units from channel_quota where sku_id = $1 and channel_code = $2", sku_id, source)
        raise NotThere(left=left or 0, wanted=units)
    if target is not None:
        await tx.execute(_GIVE, sku_id, target, units)
    if by and not await tx.execute(_ALLOT, sku_id, by):
        free = await tx.fetchval("select available - allotted from stock where sku_id = $1", sku_id)
        raise NotThere(left=free, wanted=units)
    await tx.execute(_MOVED, new_id(), sku_id, source, target, units, why[0], why[1])


async def put_back(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Give units of unpaid orders, which are on the shelf again, back to the quotas they came from. What is short meanwhile is lost to them.

    Idempotent. The caller holds the stock rows.
    """
    used = await tx.fetch("delete from quota_use where order_id = any($1) returning sku_id, channel_code, units", list(order_ids))
    for use in sorted(used, key=lambda row: (row["sku_id"], row["channel_code"])):
        row = await _lock(tx, use["sku_id"])
        back = min(use["units"], row["available"] - row["allotted"]) if row["allocation"] == Allocation.QUOTA else 0
        await tx.execute("update stock set allotted = allotted + $2 where sku_id = $1", use["sku_id"], back)
        await tx.execute(_GIVE_BACK, use["sku_id"], use["channel_code"], back)
        if back < use["units"]:
            lost = use["units"] - back
            await tx.execute(_MOVED, new_id(), use["sku_id"], use["channel_code"], None, lost, MoveReason.LOST, "")


async def set_idle(session: AsyncSession, sku_id: UUID, hours: Mapping[str, int | None], *, actor: Actor) -> None:
    """After how many hours without a sale each channel's quota goes back to the pool; None keeps it. Idempotent. Locks: the stock row."""
    tx = await raw(session)
    await _lock(tx, sku_id)
    changed = [code for code, wanted in sorted(hours.items()) if await tx.execute(_SET_IDLE, sku_id, code, wanted)]
    if changed:
        facts = {code: hours[code] for code in changed}
        await audit.record(session, actor, "stock.quota_idle_set", subject=("sku", sku_id), facts=facts)
    await _return_in_time(tx, sku_id)


async def return_idle(tx: Tx, sku_id: UUID) -> None:
    """Move what is left of quotas that were idle for too long to the pool. Idempotent. Locks: the stock row, then its quotas."""
    row = await _lock(tx, sku_id)
    if row["allocation"] == Allocation.QUOTA:
        for quota in await tx.fetch(_IDLE, sku_id):
            await _move(tx, sku_id, (quota["channel_code"], None), quota["units"], (MoveReason.IDLE, SYSTEM.name))
    await _return_in_time(tx, sku_id)


async def _return_in_time(tx: Tx, sku_id: UUID) -> None:
    """Have the quota looked at that is idle too long the soonest."""
    due = await tx.fetchval(_NEXT_IDLE, sku_id)
    if due is not None:
        due = max(due, clock.now() + timedelta(seconds=1))
        await add_task(tx, "inventory.return_idle", lane=Lane.BULK, subject_id=sku_id, run_at=due)


async def quotas_of(tx: Tx, sku_id: UUID) -> list[asyncpg.Record]:
    """Every sales channel with its quota of a SKU: what is left of it, and what was sold out of it; the shop first."""
    return await tx.fetch(_QUOTAS, sku_id)


async def moves_of(tx: Tx, sku_id: UUID) -> list[asyncpg.Record]:
    """The newest moves between a SKU's quotas, newest first."""
    return await tx.fetch(_MOVES, sku_id, MOST_MOVES_SHOWN)


_TAKE = "update channel_quota set units = units - $3 where sku_id = $1 and channel_code = $2 and units >= $3"
_GIVE = """
insert into channel_quota as q (sku_id, channel_code, units) values ($1, $2, $3)
on conflict (sku_id, channel_code) do update set units = q.units + $3, stirred_at = now()
"""
_GIVE_BACK = "update channel_quota set units = units + $3 where sku_id = $1 and channel_code = $2"
_ALLOT = "update stock set allotted = allotted + $2 where sku_id = $1 and available - allotted >= $2"
_MOVED = "insert into quota_move (id, sku_id, from_code, to_code, units, reason, actor_name) values ($1, $2, $3, $4, $5, $6, $7)"
_SET_IDLE = """
insert into channel_quota as q (sku_id, channel_code, idle_hours) values ($1, $2, $3)
on conflict (sku_id, channel_code) do update set idle_hours = $3 where q.idle_hours is distinct from $3
"""
_IDLE = """
select channel_code, units from channel_quota
where sku_id = $1 and units > 0 and stirred_at <= now() - make_interval(hours => idle_hours)
order by channel_code
"""
_NEXT_IDLE = """
select min(stirred_at + make_interval(hours => idle_hours)) from channel_quota where sku_id = $1 and units > 0 and idle_hours is not null
"""
_QUOTAS = """
select c.code, c.name, c.is_on, coalesce(q.units, 0) as units, q.idle_hours,
       (select coalesce(sum(u.units), 0)::bigint from quota_use u where u.sku_id = $1 and u.channel_code = c.code) as sold
from sales_channel c left join channel_quota q on q.channel_code = c.code and q.sku_id = $1
order by c.code <> 'storefront', c.created_at, c.code
limit 50
"""
_MOVES = """
select id, from_code, to_code, units, reason, actor_name, created_at from quota_move
where sku_id = $1
order by created_at desc, id desc
limit $2
"""
