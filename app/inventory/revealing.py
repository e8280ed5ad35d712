"""Showing one card-key to staff: with a reason, audited, only so many in an hour, and the owners hear of whoever wants more."""

from __future__ import annotations

from uuid import UUID

from app.access.messages import owners
from app.integrations.service import Message, queue_messages
from app.inventory import rules
from app.inventory.service import ReasonMissing, open_key
from app.kernel import audit, history, links, rates
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound, TooMany
from app.kernel.history import Happened
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

ON_THE_SESSION = rates.Limit("card_key.reveal_on_session", 5, 3600)
"""Keys one member of staff may open in an hour without typing his password again."""
LIMIT = rates.Limit("card_key.reveal", 20, 3600)
"""Keys one member of staff may open in an hour, on whatever page."""
_TOLD = rates.Limit("card_key.reveal_told", 1, 3600)


class ProofWanted(DomainError):
    status = 422
    message = N_("You have opened several keys within the hour. Type your password to open more.")


class TooManyReveals(DomainError):
    status = 429
    message = N_(
        "You have opened %(most)s keys within an hour, which is the most one person may. Wait %(minutes)s minutes, or ask a colleague."
    )


async def count_reveal(tenant: Tenant, actor: Actor, *, is_proved: bool) -> None:
    """Count one reveal against its reader before it is made, in a transaction of its own; `is_proved` when he typed his password for it.

    Raises: ProofWanted; TooManyReveals, of which the owners hear once an hour.
    """
    if not is_proved:
        try:
            await rates.count(tenant, ON_THE_SESSION, str(actor.id))
        except TooMany:
            raise ProofWanted from None
    try:
        await rates.count(tenant, LIMIT, str(actor.id))
    except TooMany as refusal:
        await _tell_owners(tenant, actor)
        seconds = int(refusal.facts["seconds"])
        raise TooManyReveals(most=LIMIT.tries, minutes=-(-seconds // 60), seconds=seconds) from None


async def _tell_owners(tenant: Tenant, actor: Actor) -> None:
    """Write down that somebody was stopped, and mail it to the owners; once an hour for each who is stopped."""
    try:
        await rates.count(tenant, _TOLD, str(actor.id))
    except TooMany:
        return
    facts = {"name": actor.name, "keys": LIMIT.tries}
    params = {**facts, "url": links.merchant(tenant, "/audit?action=card_key.revealed")}
    messages = [Message("many_reveals", ("email", address), locale, params) for address, locale in await owners(tenant)]
    async with tenant_tx(tenant) as tx:
        await audit.record(tx, actor, "card_key.reveals_stopped", subject=("user", actor.id), facts=facts)
        await queue_messages(tx, messages)


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
