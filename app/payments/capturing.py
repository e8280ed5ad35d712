"""Taking money that a gateway says it took: matched, booked, and the order paid, all in one transaction, once per gateway transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from app.kernel import history
from app.kernel.history import Happened
from app.kernel.ids import new_id, new_number
from app.kernel.tasks import Lane, add_task
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering import service as ordering
from app.payments.gateways.port import Captured, PaymentEvent, PaymentNotice
from app.payments.models import PAYMENT_EDGES, PaymentState, RefundReason
from tenants.session import Tx


class NoticeAnswer(StrEnum):
    """What became of a verified notice. Only `mismatch` and `stranger` are not acknowledged."""

    TAKEN = "taken"
    REPEATED = "repeated"
    MISMATCH = "mismatch"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Money:
    """What the gateway says it took."""

    gateway_txn: str
    amount_minor: int
    currency: str
    at: datetime


async def take_notice(tx: Tx, connection_id: UUID, notice: PaymentNotice) -> NoticeAnswer:
    """Act on a verified payment notice.

    Idempotent per the gateway's event key and per its transaction, so a notice that comes twenty times captures once.
    Locks: the payment, then its order. What does not match exactly is noted on the payment and changes nothing else.
    """
    payment = await tx.fetchrow(_PAYMENT_BY_NO, notice.out_no, connection_id)
    if payment is None:
        return NoticeAnswer.STRANGER
    if (notice.amount_minor, notice.currency) != (payment["amount_minor"], payment["currency"]) or payment["gateway_ref"] not in (
        None,
        notice.gateway_ref,
    ):
        await _note_mismatch(tx, payment, notice)
        return NoticeAnswer.MISMATCH
    kind = f"payment.{notice.event}"
    await tx.execute(_NOTICE, new_id(), connection_id, notice.event_key, kind, notice.out_no, NoticeAnswer.TAKEN)
    if notice.event is PaymentEvent.SUCCEEDED:
        assert notice.gateway_txn is not None
        is_new = await capture(tx, payment, Money(notice.gateway_txn, notice.amount_minor, notice.currency, notice.occurred_at))
        return NoticeAnswer.TAKEN if is_new else NoticeAnswer.REPEATED
    if payment["state"] in (PaymentState.OPENING, PaymentState.OPEN):
        await move_payment(tx, payment, PaymentState.CLOSED)
    return NoticeAnswer.TAKEN


async def take_answer(tx: Tx, payment_id: UUID, found: Captured) -> bool:
    """Act on a gateway's answer that a payment was captured; False when it does not match our payment. Locks as `take_notice`."""
    payment = await tx.fetchrow(_PAYMENT_BY_ID, payment_id)
    assert payment is not None
    if (found.amount_minor, found.currency) != (payment["amount_minor"], payment["currency"]):
        await _note_mismatch(tx, payment, found)
        return False
    await capture(tx, payment, Money(found.gateway_txn, found.amount_minor, found.currency, found.paid_at))
    return True


async def capture(tx: Tx, payment: asyncpg.Record, money: Money) -> bool:
    """Book a capture and pay the order with it; False when this gateway transaction was booked before.

    The first capture of an order is its payment. Any further one is a surplus: it waits on the suspense account and is refunded by itself.
    """
    order = await ordering.lock_order(tx, payment["order_id"])
    capture_id = new_id()
    has_paid = await tx.fetchval("select true from capture where order_id = $1 and purpose = 'order'", order["id"])
    purpose = "surplus" if has_paid else "order"
    booked = await tx.execute(
        _CAPTURE,
        capture_id,
        payment["connection_id"],
        payment["id"],
        order["id"],
        money.gateway_txn,
        money.amount_minor,
        money.currency,
        purpose,
        money.at,
    )
    if not booked:
        return False
    if payment["state"] != PaymentState.SUCCEEDED:
        await move_payment(tx, payment, PaymentState.SUCCEEDED)
    if has_paid:
        await _refund_surplus(tx, payment, capture_id, money)
    else:
        await ordering.pay(tx, order["id"])
    kind = TransferKind.SURPLUS if has_paid else TransferKind.CAPTURE
    await ledger.transfer(
        tx, [Posting(kind, capture_id, money.amount_minor, money.currency)]
    )  # last: all captures share its accounts
    return True


async def move_payment(tx: Tx, payment: asyncpg.Record, state: PaymentState) -> None:
    """Change a payment's state and write its history. The caller holds the row's lock."""
    before = PaymentState(payment["state"])
    if state not in PAYMENT_EDGES[before]:
        raise ordering.WrongEdge(f"payment {payment['payment_no']}: {before} to {state}")
    await tx.execute(_MOVE, payment["id"], state)
    facts = {"payment_no": payment["payment_no"], "amount_minor": payment["amount_minor"], "currency": payment["currency"]}
    await history.record(tx, Happened("payment", payment["id"], f"payment.{state}", before, state, facts=facts))


async def _refund_surplus(tx: Tx, payment: asyncpg.Record, capture_id: UUID, money: Money) -> None:
    refund_id = new_id()
    await tx.execute(
        _SURPLUS_REFUND, refund_id, new_number("R"), f"surplus:{capture_id}", payment["order_id"], payment["id"], capture_id,
        RefundReason.PAID_TWICE, money.amount_minor, money.currency,
    )  # fmt: skip
    await add_task(tx, "payments.send_refund", lane=Lane.ORDERS, subject_id=refund_id)


async def _note_mismatch(tx: Tx, payment: asyncpg.Record, said: PaymentNotice | Captured) -> None:
    facts = {
        "payment_no": payment["payment_no"],
        "said_minor": said.amount_minor,
        "said_currency": said.currency,
        "said_ref": said.gateway_ref,
    }
    await history.record(tx, Happened("payment", payment["id"], "payment.mismatch", facts=facts))


_PAYMENT_COLUMNS = "id, payment_no, order_id, connection_id, state, amount_minor, currency, gateway_ref"
_PAYMENT_BY_NO = f"select {_PAYMENT_COLUMNS} from payment where payment_no = $1 and connection_id = $2 for update"  # noqa: S608
_PAYMENT_BY_ID = f"select {_PAYMENT_COLUMNS} from payment where id = $1 for update"  # noqa: S608
_NOTICE = """
insert into gateway_notice (id, connection_id, event_key, kind, payment_no, answer)
values ($1, $2, $3, $4, $5, $6)
on conflict (connection_id, event_key) do nothing
"""
_CAPTURE = """
insert into capture (id, connection_id, payment_id, order_id, gateway_txn, amount_minor, currency, purpose, captured_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (connection_id, gateway_txn) do nothing
"""
_MOVE = """
update payment
set state = $2, succeeded_at = case when $2 = 'succeeded' then now() else succeeded_at end, ask_at = null, updated_at = now()
where id = $1
"""
_SURPLUS_REFUND = """
insert into refund (id, refund_no, business_key, order_id, payment_id, capture_id, reason, amount_minor, currency, requested_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'system')
on conflict (business_key) do nothing
"""
