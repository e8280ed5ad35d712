"""Replacing what a bad batch delivered to everybody: asked for once, done unit by unit by a task, for a batch that is off the shelf."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.aftersales import remedying, reporting
from app.aftersales.models import Complaint, RemedyKind
from app.aftersales.reporting import Report
from app.fulfillment.reissuing import UnitOf
from app.inventory.models import BatchState
from app.inventory.service import ReasonMissing
from app.kernel import audit, history
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_AT_ONCE = 50
MOST = 5_000
"""Units one run replaces; what is left is asked for again."""
_NOBODY = (UUID(int=0), 0)


class StillOnSale(DomainError):
    message = N_("Quarantine the batch first: otherwise a replacement could be another of its keys.")


async def recall(tx: Tx, batch: asyncpg.Record, *, reason: str, actor: Actor) -> None:
    """Have every unit that stands delivered with a key of a quarantined batch replaced. Idempotent: what was replaced is not a unit of it any more.

    Raises: ReasonMissing, StillOnSale.
    """
    if not reason.strip():
        raise ReasonMissing
    if batch["state"] != BatchState.QUARANTINED:
        raise StillOnSale
    facts = {"batch_no": batch["batch_no"]}
    await history.record(tx, Happened("import_batch", batch["id"], _ASKED, note=reason, facts=facts), actor=actor)
    await audit.record(tx, actor, _ASKED, subject=("import_batch", batch["id"]), reason=reason, facts=facts)
    await add_task(tx, "aftersales.recall", lane=Lane.BULK, subject_id=batch["id"])


async def go_on(tenant: Tenant, batch_id: UUID) -> None:
    """Replace unit by unit, each in a transaction of its own, so that one that cannot be replaced now stops no other. Resumable."""
    async with tenant_tx(tenant) as tx:
        asked = await tx.fetchrow(_WHO, batch_id, _ASKED)
    if asked is None:
        return
    actor = Actor(ActorKind(asked["actor_kind"]), asked["actor_id"], asked["actor_name"])
    place, done = _NOBODY, 0
    while done < MOST:
        async with tenant_tx(tenant) as tx:
            rows = await tx.fetch(_AFFECTED, batch_id, *place, _AT_ONCE)
        if not rows:
            return
        for row in rows:
            place, done = (row["order_line_id"], row["unit_no"]), done + 1
            await _replace(tenant, UnitOf(row["order_id"], *place), asked["note"], actor)


async def _replace(tenant: Tenant, unit: UnitOf, reason: str, actor: Actor) -> None:
    """One unit; what refuses now (its order is being refunded, say) keeps its key and stays on the batch's list."""
    try:
        async with tenant_tx(tenant) as tx:
            case_id = await reporting.report(tx, Report(unit, Complaint.BAD_BATCH), actor=actor, is_own=True)
            await remedying.remedy(tx, case_id, RemedyKind.REPLACE, reason=reason, actor=actor)
    except DomainError:
        return


_ASKED = "import_batch.recalled"
_WHO = """
select actor_kind, actor_id, actor_name, note from history where subject_id = $1 and event = $2 order by at desc limit 1
"""
_AFFECTED = """
select u.order_id, u.order_line_id, u.unit_no
from card_key k join delivery_unit u on u.card_key_id = k.id
where k.batch_id = $1 and u.state = 'delivered' and (u.order_line_id, u.unit_no) > ($2::uuid, $3::int)
order by u.order_line_id, u.unit_no
limit $4
"""
