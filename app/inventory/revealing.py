"""Showing one card-key to staff from its pool: with a reason, audited, and only so many in an hour."""

from __future__ import annotations

from uuid import UUID

from app.inventory import rules
from app.inventory.service import ReasonMissing, open_key
from app.kernel import audit, history, rates
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound, TooMany
from app.kernel.history import Happened
from tenants.directory import Tenant
from tenants.session import Tx

LIMIT = rates.Limit("card_key.reveal", 20, 3600)
"""Keys one member of staff may open in an hour, on whatever page."""


class TooManyReveals(DomainError):
    status = 429
    message = N_(
        "You have opened %(most)s keys within an hour, which is the most one person may. Wait %(minutes)s minutes, or ask a colleague."
    )


async def count_reveal(tenant: Tenant, actor: Actor) -> None:
    """Count one reveal against its reader before it is made, in a transaction of its own. Raises: TooManyReveals."""
    try:
        await rates.count(tenant, LIMIT, str(actor.id))
    except TooMany as refusal:
        seconds = int(refusal.facts["seconds"])
        raise TooManyReveals(most=LIMIT.tries, minutes=-(-seconds // 60), seconds=seconds) from None


async def reveal_key(tx: Tx, card_key_id: UUID, *, reason: str, actor: Actor) -> tuple[str, str]:
    """Number and password of a key, with an entry in the audit chain and in its batch's history. Raises: NotFound, ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing
    row = await tx.fetchrow("select batch_id, masked, state from card_key where id = $1", card_key_id)
    if row is None:
        raise NotFound
    secret = await open_key(tx, card_key_id)
    facts = {"masked": row["masked"], "state": row["state"]}
    await audit.record(tx, actor, "card_key.revealed", subject=("card_key", card_key_id), reason=reason, facts=facts)
    await history.record(
        tx, Happened("import_batch", row["batch_id"], "card_key.revealed", note=reason, facts=facts), actor=actor
    )
    return rules.shown(secret.reveal())
