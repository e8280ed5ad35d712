"""What every payment company is to us: five calls and one kind of message, with outcomes as values.

A gateway signs, sends, translates and checks. It knows no database and no web framework, keeps no state, never repeats a
call by itself, and raises nothing for what the other side does: each answer is one of the outcomes below, to be matched
exhaustively. `Unknown` is asked about, never taken for a failure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol, Self

from app.kernel.http import Client


class IncompleteConnection(ValueError):
    """A connection lacks a setting, or holds an empty secret, and so cannot be used. The message names the setting."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Money we ask a buyer for. `out_no` is our own number, stored before the call; `amount_minor` is over zero."""

    out_no: str
    amount_minor: int
    currency: str
    subject: str
    notice_url: str
    return_url: str
    expires_at: datetime

    def __post_init__(self) -> None:
        assert type(self.amount_minor) is int
        assert self.amount_minor > 0
        assert self.expires_at.tzinfo is not None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Money we give back from one captured payment. `refund_no` is our own number, stored before the call."""

    out_no: str
    refund_no: str
    amount_minor: int
    currency: str
    reason: str

    def __post_init__(self) -> None:
        assert type(self.amount_minor) is int
        assert self.amount_minor > 0


# Outcomes of calls. ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed:
    """The company expects the buyer at `pay_url`."""

    gateway_ref: str
    pay_url: str


@dataclass(frozen=True, slots=True)
class Declined:
    """A definite no to this very request: it has had no effect and, sent again unchanged, will have none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the call took effect. `is_sent` is False when no byte of it left us."""

    reason: str
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class Captured:
    """The buyer's money has been taken, once, under `gateway_txn`. Refunds do not change this outcome."""

    gateway_txn: str
    gateway_ref: str
    amount_minor: int
    currency: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class NotPaid:
    """The payment is open; the buyer may still pay it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The payment is closed unpaid, for good."""


@dataclass(frozen=True, slots=True)
class NoSuchPayment:
    """The company does not know our number. Right after an unknown call this is no evidence yet."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """The money is on its way back, once, under `gateway_refund_ref`."""

    gateway_refund_ref: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Pending:
    """The company has taken the refund in and not decided it: ask again, do not send again."""


@dataclass(frozen=True, slots=True)
class NoSuchRefund:
    """The company does not know our refund number. Right after an unknown call this is no evidence yet."""


PaymentPlaced = Placed | Declined | Unknown
PaymentFound = Captured | NotPaid | Closed | NoSuchPayment | Unknown
PaymentClosed = Closed | Captured | NoSuchPayment | Unknown
RefundPlaced = Refunded | Pending | Declined | Unknown
RefundFound = Refunded | Pending | Declined | NoSuchRefund | Unknown


# Messages the company sends. ------------------------------------------------------------------------------------------


class PaymentEvent(StrEnum):
    SUCCEEDED = "succeeded"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """A genuine message about one payment of this connection's merchant account.

    Genuine is not enough: whoever records it matches `out_no`, `gateway_ref`, amount and currency with the payment's row.
    `event_key` is the same when the message is repeated. `gateway_txn` is None unless money was taken.
    """

    event: PaymentEvent
    merchant_id: str
    event_key: str
    out_no: str
    gateway_ref: str
    gateway_txn: str | None
    amount_minor: int
    currency: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class RefundNotice:
    """A genuine message that one refund succeeded. To be matched as a PaymentNotice is, and on `refund_no`."""

    merchant_id: str
    event_key: str
    out_no: str
    refund_no: str
    gateway_ref: str
    gateway_refund_ref: str
    gateway_txn: str
    amount_minor: int
    currency: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Forged:
    """Not a message to act on: unsigned, wrongly signed, stale, malformed, or meant for another account."""

    reason: str


Notice = PaymentNotice | RefundNotice | Forged


class Gateway(Protocol):
    """One merchant account at one payment company."""

    name: ClassVar[str]

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        """The account a connection's settings describe, over the process's client unless another is given.

        Raises: IncompleteConnection for a missing setting or an empty secret.
        """
        ...

    async def create_payment(self, request: PaymentRequest) -> PaymentPlaced:
        """Idempotent on `out_no`: the same request gets the same answer."""
        ...

    async def query_payment(self, out_no: str) -> PaymentFound: ...

    async def close_payment(self, out_no: str) -> PaymentClosed:
        """Idempotent. A payment that was paid first stays `Captured`."""
        ...

    async def create_refund(self, request: RefundRequest) -> RefundPlaced:
        """Idempotent on `refund_no`: asked again, refunds nothing more and answers the same."""
        ...

    async def query_refund(self, refund_no: str) -> RefundFound: ...

    def verify_notice(self, headers: Mapping[str, str], raw_body: bytes, now: datetime) -> Notice:
        """Check a message on its raw bytes, header names in any case. Constant time, no call, no effect."""
        ...

    def acknowledge(self) -> tuple[int, bytes]:
        """Status and body the company waits for before it stops repeating a notice. Sent only after our commit."""
        ...
