"""Taking money that a gateway says it took: matched, booked, and the order paid, all in one transaction, once per gateway transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.kernel import history
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering import service as ordering
from app.ordering import subscribing
from app.payments.gateways.port import Captured, PaymentEvent, PaymentNotice
from app.payments.models import PAYMENT_EDGES, PaymentState, RefundReason
from app.payments.requesting import Wanted, request_refund
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


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment's locked row and the money that came through it."""

    payment: asyncpg.Record
    money: Money


async def take_notices(tx: Tx, notices: Sequence[tuple[UUID, PaymentNotice]]) -> list[NoticeAnswer]:
    """Act on verified notices, each with the connection it came through and each of another payment; their answers in order.

    Idempotent per the gateway's event key and per its transaction, so a notice that comes twenty times captures once.
    Locks: the payments, then their orders, both in id order. What does not match exactly is noted on the payment and changes nothing else.
    """
    payments = await _locked_payments(tx, notices)
    answers = [NoticeAnswer.STRANGER] * len(notices)
    paid: dict[int, Taken] = {}
    for at, (connection_id, notice) in enumerate(notices):
        payment = payments.get((connection_id, notice.out_no))
        if payment is None:
            continue
        if not _matches(payment, notice):
            await _note_mismatch(tx, payment, notice)
            answers[at] = NoticeAnswer.MISMATCH
            continue
        answers[at] = NoticeAnswer.TAKEN
        if notice.event is PaymentEvent.SUCCEEDED:
            paid[at] = Taken(payment, _money(notice))
        elif payment["state"] in (PaymentState.OPENING, PaymentState.OPEN):
            await move_payments(tx, [payment], PaymentState.CLOSED)
    await _keep_notices(tx, [notice for notice, answer in zip(notices, answers, strict=True) if answer is NoticeAnswer.TAKEN])
    new = await capture(tx, list(paid.values()))
    for at, taken in paid.items():
        if taken.payment["id"] not in new:
            answers[at] = NoticeAnswer.REPEATED
    return answers


async def take_answer(tx: Tx, payment_id: UUID, found: Captured) -> bool:
    """Act on a gateway's answer that a payment was captured; False when it names another amount than ours.

    Said twice, another amount is believed: the money waits on the suspense account, and a case is open. Locks as `take_notices`.
    """
    payment = await tx.fetchrow(_PAYMENT_BY_ID, payment_id)
    assert payment is not None
    taken = Taken(payment, Money(found.gateway_txn, found.amount_minor, found.currency, found.paid_at))
    if (found.amount_minor, found.currency) == (payment["amount_minor"], payment["currency"]):
        await capture(tx, [taken])
        return True
    if await tx.fetchval(_SAID_BEFORE, payment_id, found.gateway_txn, str(found.amount_minor), found.currency):
        await _suspend(tx, taken)
    else:
        await _note_mismatch(tx, payment, found)
    return False


async def capture(tx: Tx, taken: Sequence[Taken]) -> set[UUID]:
    """Book captures and pay the orders with them; the payments whose gateway transaction was new.

    The first capture of an order is its payment. Any further one is a surplus: it waits on the suspense account and is refunded by itself.
    """
    if not taken:
        return set()
    orders = {order["id"]: order for order in await ordering.lock_orders(tx, [one.payment["order_id"] for one in taken])}
    captures = await _book(tx, taken, orders)
    new = {captured.payment["id"] for captured in captures}
    await move_payments(tx, [c.payment for c in captures if c.payment["state"] != PaymentState.SUCCEEDED], PaymentState.SUCCEEDED)
    paid = [orders[c.payment["order_id"]] for c in captures if not c.is_surplus]
    await ordering.pay(tx, paid)
    await subscribing.begin(tx, [order["id"] for order in paid])
    for captured in captures:
        if captured.is_surplus:
            await _refund_surplus(tx, captured)
    await ledger.transfer(
        tx, [posting for c in captures for posting in _postings(c)]
    )  # last: all captures of a tenant share its accounts
    return new


@dataclass(frozen=True, slots=True)
class _Capture:
    id: UUID
    payment: asyncpg.Record
    money: Money
    is_surplus: bool
    fee_minor: int


def _postings(captured: _Capture) -> list[Posting]:
    money = captured.money
    kind = TransferKind.SURPLUS if captured.is_surplus else TransferKind.CAPTURE
    postings = [Posting(kind, captured.id, money.amount_minor, money.currency)]
    if captured.fee_minor:
        postings.append(Posting(TransferKind.GATEWAY_FEE, captured.id, captured.fee_minor, money.currency))
    return postings


def _fee_minor(payment: asyncpg.Record, money: Money) -> int:
    """What the gateway keeps by its contract, rounded half up. It keeps it when the money goes back, too."""
    fee_bp: int = payment["fee_bp"]
    return (money.amount_minor * fee_bp + 5_000) // 10_000


async def _book(tx: Tx, taken: Sequence[Taken], orders: Mapping[UUID, asyncpg.Record]) -> list[_Capture]:
    """Write the captures that are new. The orders are locked, so what was captured of them before is known.

    Raises: UniqueViolationError when a gateway names one transaction for two orders in the same instant; told again, it finds the first.
    """
    txns = [one.money.gateway_txn for one in taken]
    before = await tx.fetch(_BEFORE, list(orders), [one.payment["connection_id"] for one in taken], txns)
    booked = {(row["connection_id"], row["gateway_txn"]) for row in before}
    paid = {row["order_id"] for row in before if row["purpose"] == "order"}
    captures = []
    for one in taken:
        txn = (one.payment["connection_id"], one.money.gateway_txn)
        if txn not in booked:
            captures.append(
                _Capture(new_id(), one.payment, one.money, one.payment["order_id"] in paid, _fee_minor(one.payment, one.money))
            )
            booked.add(txn)
            paid.add(one.payment["order_id"])
    columns = [
        [c.id for c in captures], [c.payment["connection_id"] for c in captures], [c.payment["id"] for c in captures],
        [c.payment["order_id"] for c in captures], [c.money.gateway_txn for c in captures], [c.money.amount_minor for c in captures],
        [c.money.currency for c in captures], ["surplus" if c.is_surplus else "order" for c in captures], [c.money.at for c in captures],
        [c.fee_minor for c in captures],
    ]  # fmt: skip
    await tx.execute(_CAPTURE, *columns)
    return captures


async def move_payments(tx: Tx, payments: Sequence[asyncpg.Record], state: PaymentState) -> None:
    """Change payments' state and write their history. The caller holds the rows' locks. Raises: WrongEdge."""
    for payment in payments:
        if state not in PAYMENT_EDGES[PaymentState(payment["state"])]:
            raise ordering.WrongEdge(f"payment {payment['payment_no']}: {payment['state']} to {state}")
    await tx.execute(_MOVE, [payment["id"] for payment in payments], state)
    await history.record(
        tx, *(Happened("payment", p["id"], f"payment.{state}", p["state"], state, facts=_facts(p)) for p in payments)
    )


def _facts(payment: asyncpg.Record) -> dict[str, Any]:
    return {"payment_no": payment["payment_no"], "amount_minor": payment["amount_minor"], "currency": payment["currency"]}


def _matches(payment: asyncpg.Record, notice: PaymentNotice) -> bool:
    same_money = (notice.amount_minor, notice.currency) == (payment["amount_minor"], payment["currency"])
    return same_money and payment["gateway_ref"] in (None, notice.gateway_ref)


def _money(notice: PaymentNotice) -> Money:
    assert notice.gateway_txn is not None, "the port refuses a success without its transaction"
    return Money(notice.gateway_txn, notice.amount_minor, notice.currency, notice.occurred_at)


async def _locked_payments(tx: Tx, notices: Sequence[tuple[UUID, PaymentNotice]]) -> dict[tuple[UUID, str], asyncpg.Record]:
    numbers = [notice.out_no for _, notice in notices]
    rows = await tx.fetch(_PAYMENTS_BY_NO, numbers, [connection_id for connection_id, _ in notices])
    return {(row["connection_id"], row["payment_no"]): row for row in rows}


async def _keep_notices(tx: Tx, notices: Sequence[tuple[UUID, PaymentNotice]]) -> None:
    await tx.execute(
        _NOTICE,
        [new_id() for _ in notices],
        [connection_id for connection_id, _ in notices],
        [notice.event_key for _, notice in notices],
        [f"payment.{notice.event}" for _, notice in notices],
        [notice.out_no for _, notice in notices],
        NoticeAnswer.TAKEN,
    )


async def _refund_surplus(tx: Tx, captured: _Capture) -> None:
    payment, money = captured.payment, captured.money
    await request_refund(
        tx,
        Wanted(
            f"surplus:{captured.id}", payment["order_id"], payment["id"], captured.id, RefundReason.PAID_TWICE, money.amount_minor, money.currency
        ),
    )  # fmt: skip


async def _suspend(tx: Tx, taken: Taken) -> None:
    """Money of another amount than was asked for: booked on the suspense account, and a person decides. The order stays unpaid."""
    payment, money = taken.payment, taken.money
    await ordering.lock_order(tx, payment["order_id"])
    captured = _Capture(new_id(), payment, money, is_surplus=True, fee_minor=_fee_minor(payment, money))
    txn = (money.gateway_txn, money.amount_minor, money.currency, "surplus", money.at, captured.fee_minor)
    row = (captured.id, payment["connection_id"], payment["id"], payment["order_id"], *txn)
    if not await tx.execute(_CAPTURE_ONCE, *([value] for value in row)):
        return
    if payment["state"] in (PaymentState.OPENING, PaymentState.OPEN):
        await move_payments(tx, [payment], PaymentState.CLOSED)
    facts = {**_facts(payment), "said_minor": money.amount_minor, "said_currency": money.currency}
    await cases.open_case(tx, Trouble(CaseKind.WRONG_AMOUNT, "capture", captured.id, payment["order_id"], facts))
    await ledger.transfer(tx, _postings(captured))


async def _note_mismatch(tx: Tx, payment: asyncpg.Record, said: PaymentNotice | Captured) -> None:
    facts = {
        "payment_no": payment["payment_no"],
        "said_minor": said.amount_minor,
        "said_currency": said.currency,
        "said_ref": said.gateway_ref,
        "said_txn": said.gateway_txn,
    }
    await history.record(tx, Happened("payment", payment["id"], "payment.mismatch", facts=facts))
    await cases.open_case(tx, Trouble(CaseKind.MISMATCH, "payment", payment["id"], payment["order_id"], facts))


_PAYMENTS = """
select p.id, p.payment_no, p.order_id, p.connection_id, p.state, p.amount_minor, p.currency, p.gateway_ref, g.fee_bp
from payment p join gateway_connection g on g.id = p.connection_id
"""
_PAYMENTS_BY_NO = (
    _PAYMENTS
    + """
join unnest($1::text[], $2::uuid[]) as n (payment_no, connection_id) on n.payment_no = p.payment_no and n.connection_id = p.connection_id
order by p.id
for update of p
"""
)
_PAYMENT_BY_ID = _PAYMENTS + "where p.id = $1 for update of p"
_NOTICE = """
insert into gateway_notice (id, connection_id, event_key, kind, payment_no, answer)
select n.*, $6 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[]) as n (id, connection_id, event_key, kind, payment_no)
on conflict (connection_id, event_key) do nothing
"""
_CAPTURE = """
insert into capture (id, connection_id, payment_id, order_id, gateway_txn, amount_minor, currency, purpose, captured_at, fee_minor)
select c.id, c.connection_id, c.payment_id, c.order_id, c.gateway_txn, c.minor, c.currency, c.purpose, c.at, c.fee
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::timestamptz[], $10::bigint[])
  as c (id, connection_id, payment_id, order_id, gateway_txn, minor, currency, purpose, at, fee)
"""
_BEFORE = """
select order_id, purpose, connection_id, gateway_txn from capture where order_id = any($1)
union
select order_id, purpose, connection_id, gateway_txn
from capture join unnest($2::uuid[], $3::text[]) as t (connection_id, gateway_txn) using (connection_id, gateway_txn)
"""
_MOVE = """
update payment
set state = $2, succeeded_at = case when $2 = 'succeeded' then now() else succeeded_at end, ask_at = null, updated_at = now()
where id = any($1)
"""
_CAPTURE_ONCE = _CAPTURE + "on conflict (connection_id, gateway_txn) do nothing"
_SAID_BEFORE = """
select true from history
where subject_id = $1 and event = 'payment.mismatch' and facts ->> 'said_txn' = $2 and facts ->> 'said_minor' = $3 and facts ->> 'said_currency' = $4
limit 1
"""
