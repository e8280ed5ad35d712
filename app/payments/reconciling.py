"""After a restore: what the gateways know of our payments and refunds that our books do not, found by asking about each.

Money they took is booked here. A refund they made is booked by its own task, which asks, or sends the same number again, to no other effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from app.payments.capturing import take_answer
from app.payments.gateways.port import Captured, Declined, PaymentFound, Refunded, RefundFound, Unknown
from app.payments.models import PaymentState, RefundState
from app.payments.service import connection_of
from tenants.directory import Tenant
from tenants.session import tenant_tx


@dataclass(frozen=True, slots=True)
class Difference:
    """One payment or refund, by its number, as our books have it and as its gateway does. `is_open`: nobody can say yet."""

    number: str
    ours: str
    theirs: str
    is_open: bool = False


async def compare(tenant: Tenant) -> AsyncIterator[Difference]:
    """Ask the gateways about every payment and every unfinished refund, book what they took, and tell each difference.

    Idempotent: what was booked is no difference the next time. No transaction is open while a gateway is asked.
    """
    async with tenant_tx(tenant) as tx:
        payments = await tx.fetch(_PAYMENTS)
        refunds = await tx.fetch(_REFUNDS)
    for row in payments:
        if difference := await _payment(tenant, row):
            yield difference
    for row in refunds:
        if difference := await _refund(tenant, row):
            yield difference


async def _payment(tenant: Tenant, row: asyncpg.Record) -> Difference | None:
    async with tenant_tx(tenant) as tx:
        connection = await connection_of(tx, row["connection_id"])
    found = await connection.gateway.query_payment(row["payment_no"])
    if isinstance(found, Unknown):
        return Difference(row["payment_no"], row["state"], "no answer", is_open=True)
    is_captured = isinstance(found, Captured)
    if is_captured == (row["state"] == PaymentState.SUCCEEDED):
        return None
    if isinstance(found, Captured):
        async with tenant_tx(tenant) as tx:
            await take_answer(tx, row["id"], found)
    return Difference(row["payment_no"], row["state"], _word(found))


async def _refund(tenant: Tenant, row: asyncpg.Record) -> Difference | None:
    async with tenant_tx(tenant) as tx:
        connection = await connection_of(tx, row["connection_id"])
    found = await connection.gateway.query_refund(row["refund_no"])
    match found:
        case Unknown():
            return Difference(row["refund_no"], row["state"], "no answer", is_open=True)
        case Refunded():
            return Difference(row["refund_no"], row["state"], _word(found))
        case Declined() if row["state"] != RefundState.DECLINED:
            return Difference(row["refund_no"], row["state"], _word(found))
        case _:
            return None


def _word(found: PaymentFound | RefundFound) -> str:
    return type(found).__name__.lower()


_PAYMENTS = "select id, payment_no, connection_id, state from payment order by created_at"
_REFUNDS = """
select r.id, r.refund_no, r.state, p.connection_id from refund r join payment p on p.id = r.payment_id
where r.state <> 'succeeded'
order by r.created_at
"""
