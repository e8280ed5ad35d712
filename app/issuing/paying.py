"""What companies have paid for their batches: written down by people who saw the money come, and taken back with a reason where they were wrong.

The money is outside our gateways, so nothing here moves it: each payment is a transfer from `bank` against what the company owes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import asyncpg

from app.issuing.models import MOST_PAYMENTS
from app.kernel import audit, clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from tenants.session import Tx


class PaidAlready(DomainError):
    message = N_(
        "A payment of %(client)s with the reference %(reference)s is booked already. Take that one back first, if it was wrong."
    )


class NotYetPaid(DomainError):
    status = 422
    message = N_("This day is still to come. Book the payment once it has arrived.")


class OwesNothingInThis(DomainError):
    status = 422
    message = N_("This company has no batch in this currency.")


class NoReason(DomainError):
    status = 422
    message = N_("Write down why; the reason stays in the audit trail.")


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as somebody saw it. `id` books it once, however often its form is sent; `reference` is the bank's, one for each payment of a company."""

    id: UUID
    client: str
    amount_minor: int
    currency: str
    received_on: date
    reference: str


async def book(tx: Tx, paid: Paid, *, actor: Actor) -> None:
    """Write a payment down against what its company owes; more than it owes stands to its credit. Idempotent by the payment's id.

    Raises: OwesNothingInThis, NotYetPaid, PaidAlready.
    """
    if not await tx.fetchval(_HAS_BATCH, paid.client, paid.currency):
        raise OwesNothingInThis
    if paid.received_on > clock.business_day():
        raise NotYetPaid
    values = (paid.id, paid.client, paid.amount_minor, paid.currency, paid.received_on, paid.reference, actor.name)
    if not await tx.execute(_BOOK, *values):
        if await tx.fetchval("select client from company_payment where id = $1", paid.id) is None:
            raise PaidAlready(client=paid.client, reference=paid.reference)
        return
    await ledger.transfer(tx, [Posting(TransferKind.COMPANY_PAYMENT, paid.id, paid.amount_minor, paid.currency)])
    facts = {"client": paid.client, "amount_minor": paid.amount_minor, "currency": paid.currency, "reference": paid.reference}
    await audit.record(tx, actor, "company_payment.booked", subject=("company_payment", paid.id), facts=facts)


async def take_back(tx: Tx, payment_id: UUID, *, client: str, reason: str, actor: Actor) -> None:
    """Undo a payment of a company that was booked by mistake; it stays in the list. Idempotent. Locks: the payment. Raises: NotFound, NoReason."""
    row = await tx.fetchrow("select * from company_payment where id = $1 and client = $2 for update", payment_id, client)
    if row is None:
        raise NotFound
    if row["taken_back_at"] is not None:
        return
    if not reason.strip():
        raise NoReason
    await tx.execute(_TAKE_BACK, payment_id, reason, actor.name)
    posting = Posting(TransferKind.COMPANY_PAYMENT_UNDONE, payment_id, row["amount_minor"], row["currency"])
    await ledger.transfer(tx, [posting])
    facts = {"client": row["client"], "amount_minor": row["amount_minor"], "reference": row["reference"]}
    await audit.record(
        tx, actor, "company_payment.taken_back", subject=("company_payment", payment_id), reason=reason, facts=facts
    )


async def of_client(tx: Tx, client: str) -> list[asyncpg.Record]:
    """A company's payments, the newest first."""
    return await tx.fetch(_OF_CLIENT, client, MOST_PAYMENTS)


_HAS_BATCH = "select exists (select 1 from issue_batch where client = $1 and currency = $2)"
_BOOK = """
insert into company_payment (id, client, amount_minor, currency, received_on, reference, booked_by) values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
"""
_TAKE_BACK = """
update company_payment set taken_back_at = now(), taken_back_reason = $2, taken_back_by = $3, updated_at = now() where id = $1
"""
_OF_CLIENT = "select * from company_payment where client = $1 order by received_on desc, id desc limit $2"
