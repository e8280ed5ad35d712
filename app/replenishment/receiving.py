"""What brings a replenishment's goods: files taken in at its agreed cost, batches linked to it, and the count of what came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.inventory import importing
from app.inventory import queries as inventory
from app.inventory.models import BatchState, ImportBatch
from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.i18n import format_cost
from app.kernel.tasks import Lane, add_task
from app.replenishment import queries, rules, service
from app.replenishment.models import TAKES_GOODS, ReplenishmentState, Side
from tenants.session import Tx, raw

MOST_WAITING = 5
"""Files of one line that a supplier may have waiting to be looked at."""
_LINKS_BEFORE_IMPORT = (BatchState.CHECKING, BatchState.READY)


class TakesNothingNow(DomainError):
    message = N_("Replenishment %(no)s takes no goods now: the supplier confirms it first, and what is done or ended stays so.")


class TooManyWaiting(DomainError):
    message = N_("%(most)s files of these goods wait for the shop to look at them. Send the next when it has.")


class NotTheseGoods(DomainError):
    status = 422
    message = N_("This batch cannot be linked: it is of other goods, was thrown away, or belongs to a replenishment already.")


class OtherCost(DomainError):
    status = 422
    message = N_("This batch came in at %(cost)s, agreed were %(agreed)s. Only batches at the agreed cost are counted here.")


@dataclass(frozen=True, slots=True)
class File:
    """Card-keys as they were sent, and their last valid day."""

    body: bytes = field(repr=False)
    name: str
    expires_on: date | None


async def take_in(session: AsyncSession, row: asyncpg.Record, line_id: UUID, file: File, *, actor: Actor) -> ImportBatch:
    """Have a line's goods checked, at its agreed cost; staff look at the result before anything is on the shelf.

    The caller holds the replenishment's lock. Raises: NotFound, TakesNothingNow, TooManyWaiting, EmptyImport.
    """
    tx = await raw(session)
    line = await _takeable(tx, row, line_id)
    is_suppliers = actor.kind is ActorKind.SUPPLIER
    if is_suppliers and await tx.fetchval(_WAITING, line_id) >= MOST_WAITING:
        raise TooManyWaiting(most=MOST_WAITING)
    terms = (Decimal(line["unit_cost"]), file.expires_on)
    batch = await importing.start_import(
        session, sku_id=line["sku_id"], body=file.body, file_name=file.name, terms=terms, actor=actor
    )
    await _join(tx, row, line_id, batch, actor=actor)
    if is_suppliers:
        await add_task(tx, "replenishment.tell_file", lane=Lane.MESSAGES, subject_id=batch.id)
    return batch


async def link(session: AsyncSession, row: asyncpg.Record, line_id: UUID, batch_no: str, *, actor: Actor) -> None:
    """Say that a batch brings a line's goods. One that is not on the shelf yet takes the agreed cost. Idempotent.

    The caller holds the replenishment's lock. Raises: NotFound, TakesNothingNow, NotTheseGoods, OtherCost.
    """
    tx = await raw(session)
    batch = await inventory.batch_or_404(session, batch_no)
    if await tx.fetchval("select line_id from replenishment_batch where batch_id = $1", batch.id) == line_id:
        return
    line = await _takeable(tx, row, line_id)
    await session.refresh(batch, with_for_update=True)
    gone = batch.state in (BatchState.ABANDONED, BatchState.REJECTED) or not batch.batch_no.startswith("B")
    if batch.sku_id != line["sku_id"] or gone:
        raise NotTheseGoods
    if batch.state in _LINKS_BEFORE_IMPORT:
        batch.unit_cost = line["unit_cost"]
        await session.flush()
    elif batch.unit_cost != line["unit_cost"]:
        raise OtherCost(cost=format_cost(batch.unit_cost), agreed=format_cost(line["unit_cost"]))
    await _join(tx, row, line_id, batch, actor=actor)
    await count(tx, batch.id)


async def count(tx: Tx, batch_id: UUID) -> None:
    """Count what has come for the replenishment a batch belongs to, if any, and let it stand as that says. Idempotent. Locks: the replenishment."""
    row = await tx.fetchrow(_OF_BATCH, batch_id)
    if row is None or row["state"] not in TAKES_GOODS:
        return
    lines = await queries.lines_of(tx, row["id"])
    state = rules.state_after(ReplenishmentState(row["state"]), [(line["confirmed"] or 0, line["received"]) for line in lines])
    if state != row["state"]:
        await service.move(tx, row, state, facts={"units": sum(line["received"] for line in lines)}, actor=SYSTEM)


async def _takeable(tx: Tx, row: asyncpg.Record, line_id: UUID) -> asyncpg.Record:
    if row["state"] not in TAKES_GOODS:
        raise TakesNothingNow(no=row["replenishment_no"])
    return await queries.line_or_404(tx, row["id"], line_id)


async def _join(tx: Tx, row: asyncpg.Record, line_id: UUID, batch: ImportBatch, *, actor: Actor) -> None:
    brought_by = Side.SUPPLIER if actor.kind is ActorKind.SUPPLIER else Side.STAFF
    if not await tx.execute(_JOIN, batch.id, line_id, brought_by):
        raise NotTheseGoods
    facts = {"no": row["replenishment_no"], "batch_no": batch.batch_no}
    await history.record(tx, Happened("replenishment", row["id"], "replenishment.batch", facts=facts), actor=actor)
    if actor.kind is ActorKind.STAFF:
        await audit.record(tx, actor, "replenishment.batch_linked", subject=("replenishment", row["id"]), facts=facts)


_WAITING = """
select count(*) from replenishment_batch b join import_batch i on i.id = b.batch_id
where b.line_id = $1 and b.brought_by = 'supplier' and i.state in ('checking', 'ready')
"""
_JOIN = "insert into replenishment_batch (batch_id, line_id, brought_by) values ($1, $2, $3) on conflict do nothing"
_OF_BATCH = """
select r.* from replenishment_batch b join replenishment_line l on l.id = b.line_id join replenishment r on r.id = l.replenishment_id
where b.batch_id = $1
for update of r
"""
