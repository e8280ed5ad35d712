"""Taking a batch off sale and putting it back: what a request does at once, and what a task goes on with where the batch is large."""

from __future__ import annotations

from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.inventory import by_value, queries
from app.inventory.models import BATCH_EDGES, BatchState, ImportBatch
from app.inventory.service import ReasonMissing, put_on_shelf, take_off_shelf, warn_if_low
from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

TURNED_AT_ONCE = 10_000
_ENDS = {BatchState.QUARANTINING: BatchState.QUARANTINED, BatchState.RELEASING: BatchState.IMPORTED}
_KEYS = {BatchState.QUARANTINING: ("free", "quarantined"), BatchState.RELEASING: ("quarantined", "free")}
"""What a turning batch's keys are, and what they become."""


class BatchStateRefuses(DomainError):
    message = N_("Batch %(batch_no)s is no longer in the state this page showed. Reload it.")


async def quarantine(session: AsyncSession, *, batch_no: str, reason: str, actor: Actor) -> ImportBatch:
    """Stop a batch from being sold: its free keys leave the shelf until `unquarantine`. Delivered keys stay delivered; the page lists their buyers.

    The first ten thousand keys leave in this transaction, the others within seconds by a task; the batch says so.
    Idempotent. Locks: the batch, its keys, the stock row. Raises: ReasonMissing, BatchStateRefuses.
    """
    return await _turn(session, batch_no, BatchState.QUARANTINING, reason=reason, actor=actor)


async def unquarantine(session: AsyncSession, *, batch_no: str, reason: str, actor: Actor) -> ImportBatch:
    """Put a quarantined batch back on sale, as `quarantine` took it off. Idempotent. Raises: ReasonMissing, BatchStateRefuses, SoldByValue."""
    return await _turn(session, batch_no, BatchState.RELEASING, reason=reason, actor=actor)


async def go_on(tenant: Tenant, batch_id: UUID) -> None:
    """Turn what is left of a batch, ten thousand keys a transaction. Idempotent and resumable."""
    is_turning = True
    while is_turning:
        async with tenant_tx(tenant) as tx:
            is_turning = await _turn_some(tx, batch_id)


async def _turn(session: AsyncSession, batch_no: str, to: BatchState, *, reason: str, actor: Actor) -> ImportBatch:
    if not reason.strip():
        raise ReasonMissing
    batch = await queries.batch_or_404(session, batch_no)
    tx = await raw(session)
    await session.refresh(batch, with_for_update=True)
    before = BatchState(batch.state)
    if before in (to, _ENDS[to]):
        return batch
    if to not in BATCH_EDGES[before]:
        raise BatchStateRefuses(batch_no=batch_no)
    if to is BatchState.RELEASING:
        await by_value.hold_one_price(tx, batch.sku_id)
    await tx.execute("update import_batch set state = $2, lines_done = 0, updated_at = now() where id = $1", batch.id, to)
    await audit.record(tx, actor, f"import_batch.{_ENDS[to]}", subject=("import_batch", batch.id), reason=reason)
    await history.record(tx, Happened("import_batch", batch.id, f"import_batch.{to}", before, to, reason), actor=actor)
    if await _turn_some(tx, batch.id):
        await add_task(tx, "inventory.turn_batch", lane=Lane.BULK, subject_id=batch.id)
    await session.refresh(batch)
    return batch


async def _turn_some(tx: Tx, batch_id: UUID) -> bool:
    """Turn some keys of a batch, and count them; False when there are no more and the batch is where it was going."""
    row = await tx.fetchrow("select state, sku_id, expires_on from import_batch where id = $1 for update", batch_id)
    if row is None or row["state"] not in _KEYS:
        return False
    state = BatchState(row["state"])
    moved = await tx.execute(_TURN_KEYS, batch_id, *_KEYS[state], TURNED_AT_ONCE)
    await _count(tx, row, state, moved)
    await tx.execute("update import_batch set lines_done = lines_done + $2 where id = $1", batch_id, moved)
    await warn_if_low(tx, [row["sku_id"]])
    if moved == TURNED_AT_ONCE:
        return True
    await tx.execute("update import_batch set state = $2, updated_at = now() where id = $1", batch_id, _ENDS[state])
    await history.record(
        tx, Happened("import_batch", batch_id, f"import_batch.{_ENDS[state]}", state, _ENDS[state]), actor=SYSTEM
    )
    return False


async def _count(tx: Tx, row: asyncpg.Record, state: BatchState, moved: int) -> None:
    if not moved:
        return
    if state is BatchState.QUARANTINING:
        await take_off_shelf(tx, sku_id=row["sku_id"], units=moved, to_column="quarantined")
    else:
        await put_on_shelf(tx, sku_id=row["sku_id"], units=moved, from_column="quarantined", last_day=row["expires_on"])


_TURN_KEYS = """
update card_key set state = $3, changed_at = now()
where id = any(array(select id from card_key where batch_id = $1 and state = $2 order by id limit $4 for update))
"""
