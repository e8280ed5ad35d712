"""Writing a refund down: its number drawn, its task asked for. Nothing has been sent yet."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.kernel.ids import drawn_number, new_id
from app.kernel.tasks import Lane, add_task
from app.payments.models import RefundReason
from tenants.session import Tx


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be given back of which capture. `business_key` names what it is for, so that asking twice is one refund."""

    business_key: str
    order_id: UUID
    payment_id: UUID
    capture_id: UUID
    reason: RefundReason
    amount_minor: int
    currency: str
    requested_by: str = "system"


async def request_refund(tx: Tx, wanted: Wanted) -> UUID:
    """Write a refund and have it sent; its id. A number that is taken is drawn again. Raises: UniqueViolationError for a business key in use."""
    refund_id = new_id()
    values = (
        wanted.business_key, wanted.order_id, wanted.payment_id, wanted.capture_id, wanted.reason, wanted.amount_minor, wanted.currency,
        wanted.requested_by,
    )  # fmt: skip
    await drawn_number("R", lambda number: tx.execute(_NEW, refund_id, number, *values))
    await add_task(tx, "payments.send_refund", lane=Lane.ORDERS, subject_id=refund_id)
    return refund_id


_NEW = """
insert into refund (id, refund_no, business_key, order_id, payment_id, capture_id, reason, amount_minor, currency, requested_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (refund_no) do nothing
"""
