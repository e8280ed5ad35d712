"""A person's hand on a purchase whose outcome is unknown: tried again or marked as failed, on the supplier's own fresh word or on that of two people.

The supplier's word is its answer, given a moment ago and after its grace, that it knows nothing of the number. Without it one person may say that
nothing was bought, and another has to approve; should the supplier deliver after all, its goods are kept as own stock and a case tells of the loss.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg

from app.fulfillment import attempts
from app.fulfillment.attempts import Decided
from app.fulfillment.ending import give_up, settle_orders
from app.fulfillment.models import AttemptState, OverrideState
from app.fulfillment.outcomes import sent_too_long_ago
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.ordering import service as ordering
from app.suppliers.connecting import connection_of
from app.suppliers.connectors.port import Traits
from tenants.session import Tx

FRESH = timedelta(minutes=5)
"""So long a supplier's answer is believed; later it is asked again first."""
OVERRIDDEN = "overridden"
"""The reason of an attempt that two people declared as failed."""
_UNDECIDED = frozenset({AttemptState.ACCEPTED, AttemptState.UNKNOWN})


class NotUndecided(DomainError):
    message = N_("This attempt is being sent or is decided already: look at its state again.")


class NoFreshAnswer(DomainError):
    message = N_(
        "Nobody knows yet whether the supplier sold it. Ask the supplier first; only its fresh answer that it knows nothing of this number allows this."
    )


class InGrace(DomainError):
    message = N_("The supplier may not have written it down yet: its “not found” counts only later. Ask again in some minutes.")


class AlreadyProposed(DomainError):
    message = N_("Somebody has asked for this already; it waits for another person's approval.")


class NothingProposed(DomainError):
    message = N_("Nobody asks for this any more: look at the attempt's state again.")


class SamePerson(DomainError):
    message = N_("Whoever asked for this may not approve it. Another person has to.")


async def send_again(tx: Tx, order_id: UUID, attempt_id: UUID, *, actor: Actor) -> None:
    """Buy a unit again, on the supplier's word that it knows nothing of the number: under the same number where that is promised to buy once,
    else as a purchase of its own. Locks: the order, the attempt. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace.
    """
    row, traits = await _unsold(tx, order_id, attempt_id)
    await _audited(tx, row, "attempt.sent_again", actor)
    is_promised = row["state"] == AttemptState.UNKNOWN and not sent_too_long_ago(row["sent_at"], traits.idempotency_life)
    if not is_promised:
        await _fail(tx, row, "not_found", "tried again by hand")
        return
    await attempts.forget_asking(tx, [attempt_id])
    await attempts.decide(tx, [Decided(row, AttemptState.PLANNED, says="tried again by hand")])
    await add_task(tx, "fulfillment.buy", lane=Lane.SUPPLY, subject_id=row["connection_id"])


async def mark_failed(tx: Tx, order_id: UUID, attempt_id: UUID, *, actor: Actor) -> None:
    """Give an attempt up, on the supplier's word that it knows nothing of it: its unit goes to another supplier, or its money back.

    Locks: the order, the attempt. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace.
    """
    row, _ = await _unsold(tx, order_id, attempt_id)
    await _audited(tx, row, "attempt.marked_failed", actor)
    await _fail(tx, row, "not_found", "marked as failed by hand")


async def propose(tx: Tx, order_id: UUID, attempt_id: UUID, *, reason: str, actor: Actor) -> None:
    """Say, without the supplier's word, that nothing was bought. It counts once another person approves.

    Locks: the order, the attempt. Raises: NotFound, NotUndecided, AlreadyProposed.
    """
    assert actor.id is not None
    row = await _locked(tx, order_id, attempt_id)
    written = await tx.execute(_PROPOSE, new_id(), attempt_id, row["times_sent"], reason, actor.id, actor.name)
    if not written:
        raise AlreadyProposed
    await _audited(tx, row, "attempt.override_proposed", actor, reason)


async def approve(tx: Tx, order_id: UUID, attempt_id: UUID, *, actor: Actor) -> None:
    """Have a colleague's word count: the attempt failed, its unit goes elsewhere or its money back.

    Locks: the order, the attempt, the proposal. Raises: NotFound, NotUndecided, NothingProposed, SamePerson.
    """
    row = await _locked(tx, order_id, attempt_id)
    proposal = await _proposal(tx, row)
    if proposal["maker_id"] == actor.id:
        raise SamePerson
    await tx.execute(_DECIDE, proposal["id"], OverrideState.APPROVED, actor.id, actor.name)
    await _audited(tx, row, "attempt.override_approved", actor, proposal["reason"], maker=proposal["maker_name"])
    await _fail(tx, row, OVERRIDDEN, "two people say that nothing was bought")


async def decline(tx: Tx, order_id: UUID, attempt_id: UUID, *, actor: Actor) -> None:
    """Refuse a colleague's word; the attempt stays as it is. Locks and raises as `approve`."""
    row = await _locked(tx, order_id, attempt_id)
    proposal = await _proposal(tx, row)
    if proposal["maker_id"] == actor.id:
        raise SamePerson
    await tx.execute(_DECIDE, proposal["id"], OverrideState.DECLINED, actor.id, actor.name)
    await _audited(tx, row, "attempt.override_declined", actor, proposal["reason"], maker=proposal["maker_name"])


async def standing(tx: Tx, order_id: UUID, attempt_id: UUID) -> dict[str, object]:
    """What the page of an attempt shows: the attempt, why it may not be tried again just now, and who proposed what. Raises: NotFound."""
    row = await tx.fetchrow(_SHOWN, attempt_id, order_id)
    if row is None:
        raise NotFound
    traits = (await connection_of(tx, row["connection_id"])).connector.traits
    refusal = _obstacle(row, traits)
    proposal = await tx.fetchrow(_PROPOSED, attempt_id, row["times_sent"])
    return {
        "attempt": row,
        "is_undecided": row["state"] in _UNDECIDED,
        "obstacle": None if refusal is None else refusal.message,
        "proposal": proposal if row["state"] in _UNDECIDED else None,
    }


async def _locked(tx: Tx, order_id: UUID, attempt_id: UUID) -> asyncpg.Record:
    await ordering.lock_orders(tx, [order_id])
    rows = await attempts.lock(tx, [attempt_id])
    if not rows or rows[0]["order_id"] != order_id:
        raise NotFound
    if rows[0]["state"] not in _UNDECIDED:
        raise NotUndecided
    return rows[0]


async def _unsold(tx: Tx, order_id: UUID, attempt_id: UUID) -> tuple[asyncpg.Record, Traits]:
    """An attempt of which its supplier has just said that it knows nothing."""
    row = await _locked(tx, order_id, attempt_id)
    traits = (await connection_of(tx, row["connection_id"])).connector.traits
    if (refusal := _obstacle(row, traits)) is not None:
        raise refusal
    return row, traits


def _obstacle(row: asyncpg.Record, traits: Traits) -> DomainError | None:
    if row["state"] not in _UNDECIDED:
        return NotUndecided()
    answered = row["answered_at"]
    if not row["times_not_found"] or answered is None or clock.now() - answered > FRESH:
        return NoFreshAnswer()
    if answered < row["sent_at"] + traits.not_found_grace:
        return InGrace()
    return None


async def _fail(tx: Tx, row: asyncpg.Record, reason: str, says: str) -> None:
    await attempts.forget_asking(tx, [row["id"]])
    await attempts.decide(tx, [Decided(row, AttemptState.FAILED, None, reason, says)])
    unserved = await attempts.plan(tx, await attempts.units_of(tx, [row["id"]]))
    await give_up(tx, unserved)
    await settle_orders(tx, [row["order_id"]])


async def _proposal(tx: Tx, row: asyncpg.Record) -> asyncpg.Record:
    found = await tx.fetchrow(_PROPOSED + " for update", row["id"], row["times_sent"])
    if found is None:
        raise NothingProposed
    return found


async def _audited(tx: Tx, row: asyncpg.Record, action: str, actor: Actor, reason: str = "", **more: str) -> None:
    facts = {"out_no": row["out_no"], "order_id": str(row["order_id"]), "connection": row["connection_name"], **more}
    await audit.record(tx, actor, action, subject=("attempt", row["id"]), reason=reason, facts=facts)
    await history.record(
        tx, Happened("order", row["order_id"], action, note=reason, facts={"out_no": row["out_no"]}), actor=actor
    )


_PROPOSE = """
insert into attempt_override (id, attempt_id, times_sent, reason, maker_id, maker_name) values ($1, $2, $3, $4, $5, $6)
on conflict (attempt_id, times_sent) where state = 'proposed' do nothing
"""
_PROPOSED = """
select id, reason, maker_id, maker_name, created_at from attempt_override
where attempt_id = $1 and times_sent = $2 and state = 'proposed'
"""
_DECIDE = """
update attempt_override set state = $2, reviewer_id = $3, reviewer_name = $4, decided_at = now(), updated_at = now() where id = $1
"""
_SHOWN = """
select a.id, a.out_no, a.state, a.says, a.supplier_ref, a.sent_at, a.answered_at, a.times_asked, a.times_not_found, a.times_sent, a.unit_no,
       a.connection_id, c.name as connection_name, l.product_name, l.sku_name
from attempt a
join supplier_connection c on c.id = a.connection_id
join order_line l on l.id = a.order_line_id
where a.id = $1 and a.order_id = $2
"""
