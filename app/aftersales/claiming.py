"""Claims against whoever sold us goods that were no good: opened with the remedy, decided by a person, and the credit booked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.aftersales.models import CLAIM_EDGES, ClaimState
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.money import line_minor
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from tenants.session import Tx

_ALWAYS = 36_500


async def open_claim(tx: Tx, case: asyncpg.Record) -> None:
    """Claim what a case's goods cost from their seller; nothing for goods we made, or that cost nothing. Idempotent."""
    if not (case["connection_id"] or case["batch_id"]) or not case["unit_cost"]:
        return
    claim_id = new_id()
    batch_id = None if case["connection_id"] else case["batch_id"]
    is_late = not await in_claim_time(tx, case)
    cost, currency = await _claimed(tx, case)
    values = (case["connection_id"], batch_id, case["attempt_id"], cost, currency, is_late)
    if await tx.execute(_OPEN, claim_id, case["id"], *values):
        facts = {"case_no": case["case_no"], "cost": str(cost)}
        await history.record(tx, Happened("supplier_claim", claim_id, "supplier_claim.open", None, ClaimState.OPEN, facts=facts))


async def _claimed(tx: Tx, case: asyncpg.Record) -> tuple[Decimal, str]:
    """What is claimed: in the seller's own currency, where that is not the shop's."""
    foreign = await tx.fetchrow(_IN_HIS_CURRENCY, case["attempt_id"])
    return (foreign["cost"], foreign["currency"]) if foreign else (case["unit_cost"], case["currency"])


async def in_claim_time(tx: Tx, case: asyncpg.Record) -> bool:
    """Whether the seller of a case's goods still takes complaints about them; own stock has no such end."""
    days = await tx.fetchval(_CLAIM_DAYS, case["connection_id"]) if case["connection_id"] else _ALWAYS
    return bool(clock.now() < case["delivered_at"] + timedelta(days=int(days if days is not None else _ALWAYS)))


async def decide_claim(tx: Tx, claim_id: UUID, *, is_accepted: bool, note: str, actor: Actor) -> bool:
    """Write down what the seller said; accepted, its credit is booked. False when it was decided before. Locks: the claim. Raises: NotFound."""
    claim = await tx.fetchrow(
        "select id, state, amount, currency, case_id from supplier_claim where id = $1 for update", claim_id
    )
    if claim is None:
        raise NotFound
    state = ClaimState.ACCEPTED if is_accepted else ClaimState.REJECTED
    if state not in CLAIM_EDGES[ClaimState(claim["state"])]:
        return False
    await tx.execute(_DECIDE, claim_id, state, note, actor.name)
    await history.record(
        tx, Happened("supplier_claim", claim_id, f"supplier_claim.{state}", claim["state"], state, note), actor=actor
    )
    amount = line_minor(claim["amount"], 1)
    if is_accepted and amount:
        await ledger.transfer(tx, [Posting(TransferKind.SUPPLIER_CREDIT, claim_id, amount, claim["currency"])])
    await audit.record(
        tx, actor, f"supplier_claim.{state}", subject=("supplier_claim", claim_id), reason=note, facts={"amount_minor": amount}
    )
    return True


_OPEN = """
insert into supplier_claim (id, case_id, connection_id, batch_id, attempt_id, amount, currency, is_late)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (case_id) do nothing
"""
_IN_HIS_CURRENCY = "select coalesce(unit_cost, expected_cost) as cost, currency from attempt where id = $1 and rate is not null"
_CLAIM_DAYS = """
select s.claim_days from supplier_connection c join supplier s on s.id = c.supplier_id where c.id = $1
"""
_DECIDE = """
update supplier_claim set state = $2, note = $3, decided_by = $4, decided_at = now(), updated_at = now() where id = $1
"""
