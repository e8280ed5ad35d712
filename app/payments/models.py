"""Tables of payments, captures, refunds and the gateways' notices."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed


class PaymentState(StrEnum):
    """`opening` until the gateway confirmed it, `open` while the buyer may pay. A late capture is taken in any state."""

    OPENING = "opening"
    OPEN = "open"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"
    DECLINED = "declined"


PAYMENT_EDGES: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.OPENING: frozenset({PaymentState.OPEN, PaymentState.SUCCEEDED, PaymentState.CLOSED, PaymentState.DECLINED}),
    PaymentState.OPEN: frozenset({PaymentState.SUCCEEDED, PaymentState.CLOSED}),
    PaymentState.CLOSED: frozenset({PaymentState.SUCCEEDED}),
    PaymentState.DECLINED: frozenset({PaymentState.SUCCEEDED}),
    PaymentState.SUCCEEDED: frozenset(),
}


class RefundState(StrEnum):
    """`requested` until sent, `unknown` when the gateway did not answer: it is asked, and the same number is sent again."""

    REQUESTED = "requested"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


REFUND_EDGES: dict[RefundState, frozenset[RefundState]] = {
    RefundState.REQUESTED: frozenset({RefundState.SENDING, RefundState.SUCCEEDED}),
    RefundState.SENDING: frozenset({RefundState.SUCCEEDED, RefundState.UNKNOWN, RefundState.DECLINED}),
    RefundState.UNKNOWN: frozenset({RefundState.SUCCEEDED, RefundState.SENDING, RefundState.DECLINED}),
    RefundState.DECLINED: frozenset({RefundState.REQUESTED, RefundState.SUCCEEDED}),
    RefundState.SUCCEEDED: frozenset(),
}
"""A declined refund is sent again under its own number when a person says so. Whatever we thought, money that went back went back."""


class RefundReason(StrEnum):
    OUT_OF_STOCK = "out_of_stock"
    PAID_TWICE = "paid_twice"
    MERCHANT = "merchant"
    WRONG_AMOUNT = "wrong_amount"
    AFTER_SALE = "after_sale"
    """Something was delivered and was no good."""


OF_SURPLUS = frozenset({RefundReason.PAID_TWICE, RefundReason.WRONG_AMOUNT})
"""Reasons of refunds that give back money no order needed: it waits on the suspense account until then."""


class GatewayConnection(Row, TenantBase):
    """One tenant's credentials at one gateway, sealed. Without a notice secret it cannot be live."""

    __tablename__ = "gateway_connection"
    __table_args__ = (CheckConstraint("fee_bp between 0 and 2000", name="fee_bounded"),)
    gateway: Mapped[str]
    name: Mapped[str]
    merchant_id: Mapped[str]
    config: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    is_live: Mapped[bool] = mapped_column(server_default="true")
    fee_bp: Mapped[int] = mapped_column(Integer, server_default="0")
    """What the gateway keeps of each capture by its contract with the merchant, in basis points."""


class Payment(Row, TenantBase):
    """One attempt to collect the money of an order. The row exists before the gateway is called; `payment_no` is our number there."""

    __tablename__ = "payment"
    __table_args__ = (
        one_of("state", PaymentState),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_payment_order", "order_id"),
        Index("ix_payment_asked", "ask_at", postgresql_where=text("state in ('opening', 'open')")),
    )
    payment_no: Mapped[str] = mapped_column(unique=True)
    order_id: Mapped[UUID]
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("gateway_connection.id"))
    state: Mapped[str] = mapped_column(server_default=PaymentState.OPENING)
    amount_minor: Mapped[int]
    currency: Mapped[str]
    gateway_ref: Mapped[str | None]
    pay_url: Mapped[str | None]
    ask_at: Mapped[datetime | None]
    """When the gateway is asked next, in case its notice never comes."""
    times_asked: Mapped[int] = mapped_column(server_default="0")
    succeeded_at: Mapped[datetime | None]


class Capture(Row, TenantBase):
    """Money the gateway says it took. One per gateway transaction. What the order does not need waits on the suspense account."""

    __tablename__ = "capture"
    __table_args__ = (
        UniqueConstraint("connection_id", "gateway_txn"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("fee_minor between 0 and amount_minor", name="fee_within_amount"),
        CheckConstraint("purpose in ('order', 'surplus')", name="purpose_known"),
        Index("uq_capture_order", "order_id", unique=True, postgresql_where=text("purpose = 'order'")),
        Index("ix_capture_order", "order_id"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("gateway_connection.id"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payment.id"))
    order_id: Mapped[UUID]
    gateway_txn: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    fee_minor: Mapped[int] = mapped_column(server_default="0")
    """What the gateway keeps of it, by the rate of that moment, rounded half up."""
    purpose: Mapped[str]
    captured_at: Mapped[datetime]


class Refund(Row, TenantBase):
    """Money back to the buyer, whole or part, by the way it came. `refund_no` is our number at the gateway, sent again unchanged."""

    __tablename__ = "refund"
    __table_args__ = (
        one_of("state", RefundState),
        one_of("reason", RefundReason),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_refund_order", "order_id"),
        Index("ix_refund_unfinished", "created_at", postgresql_where=text("state <> 'succeeded'")),
        Index("uq_refund_business_key", "business_key", unique=True),
    )
    refund_no: Mapped[str] = mapped_column(unique=True)
    business_key: Mapped[str]
    """What it is for, so that asking twice is one refund."""
    order_id: Mapped[UUID]
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payment.id"))
    capture_id: Mapped[UUID] = mapped_column(ForeignKey("capture.id"))
    state: Mapped[str] = mapped_column(server_default=RefundState.REQUESTED)
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    amount_minor: Mapped[int]
    currency: Mapped[str]
    gateway_refund_ref: Mapped[str | None]
    requested_by: Mapped[str]
    succeeded_at: Mapped[datetime | None]


class GatewayNotice(Row, TenantBase):
    """A verified notice of a gateway, once per its own event key."""

    __tablename__ = "gateway_notice"
    __table_args__ = (UniqueConstraint("connection_id", "event_key"),)
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("gateway_connection.id"))
    event_key: Mapped[str]
    kind: Mapped[str]
    payment_no: Mapped[str]
    answer: Mapped[str]
    """What became of it: taken, repeated, or why it was refused."""
