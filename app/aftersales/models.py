"""Tables of after-sales: a buyer's case about one unit, what was said in it, its remedy, and the claim against whoever sold us the goods."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed


class AfterSaleState(StrEnum):
    """`replacing` waits for the delivery of something else, `refunding` for the payment company. `withdrawn`: its buyer says that it works."""

    REPORTED = "reported"
    CHECKING_WITH_SUPPLIER = "checking_with_supplier"
    AWAITING_STAFF = "awaiting_staff"
    AWAITING_BUYER = "awaiting_buyer"
    REPLACING = "replacing"
    REFUNDING = "refunding"
    REPLACED = "replaced"
    REFUNDED = "refunded"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


_S = AfterSaleState
_REMEDIES = {_S.REPLACING, _S.REFUNDING}
AFTER_SALE_EDGES: dict[AfterSaleState, frozenset[AfterSaleState]] = {
    _S.REPORTED: frozenset({_S.CHECKING_WITH_SUPPLIER, _S.AWAITING_STAFF, *_REMEDIES}),
    _S.CHECKING_WITH_SUPPLIER: frozenset({_S.AWAITING_STAFF, _S.WITHDRAWN, *_REMEDIES}),
    _S.AWAITING_STAFF: frozenset({_S.CHECKING_WITH_SUPPLIER, _S.AWAITING_BUYER, _S.REJECTED, _S.WITHDRAWN, *_REMEDIES}),
    _S.AWAITING_BUYER: frozenset({_S.AWAITING_STAFF, _S.REJECTED, _S.WITHDRAWN, *_REMEDIES}),
    _S.REPLACING: frozenset({_S.REPLACED, _S.REFUNDING}),
    _S.REFUNDING: frozenset({_S.REFUNDED}),
    _S.REPLACED: frozenset(),
    _S.REFUNDED: frozenset(),
    _S.REJECTED: frozenset({_S.AWAITING_STAFF}),
    _S.WITHDRAWN: frozenset(),
}
"""A replacement that nobody can deliver ends as a refund. A buyer may object to a rejection once."""
OPEN = (_S.REPORTED, _S.CHECKING_WITH_SUPPLIER, _S.AWAITING_STAFF, _S.AWAITING_BUYER, _S.REPLACING, _S.REFUNDING)
DECIDABLE = (_S.CHECKING_WITH_SUPPLIER, _S.AWAITING_STAFF, _S.AWAITING_BUYER)
"""What a person may still decide."""
_OPEN_WORDS = ", ".join(f"'{state}'" for state in OPEN)


class Complaint(StrEnum):
    """What is wrong, in the buyer's words."""

    INVALID = "invalid"
    USED_ALREADY = "used_already"
    NOT_ARRIVED = "not_arrived"
    WRONG_AMOUNT = "wrong_amount"
    REFUSED = "refused"
    """The counter did not take the code."""
    OTHER = "other"
    BAD_BATCH = "bad_batch"
    """Nobody complained: the merchant replaces a whole batch that he knows is bad."""


class Verdict(StrEnum):
    """What checking came to. `denied`: the supplier says that this was never delivered. `batch_bad`: the batch is quarantined, or its rate is bad.

    `used`: it was used, at a counter of ours or as its supplier tells. `used_before`: its supplier tells of a use from before it was delivered here.
    """

    NOT_CHECKED = "not_checked"
    DELIVERED = "delivered"
    DENIED = "denied"
    UNKNOWN = "unknown"
    BATCH_GOOD = "batch_good"
    BATCH_BAD = "batch_bad"
    NEVER_USED = "never_used"
    USED = "used"
    USED_BEFORE = "used_before"


class RemedyKind(StrEnum):
    REPLACE = "replace"
    REFUND = "refund"


class AfterSaleCase(Row, TenantBase):
    """A complaint about one delivered unit. What delivered it is written down here, because the unit itself forgets it when it is replaced."""

    __tablename__ = "after_sale_case"
    __table_args__ = (
        one_of("state", AfterSaleState),
        one_of("complaint", Complaint),
        one_of("verdict", Verdict),
        ForeignKeyConstraint(["order_line_id", "unit_no"], ["delivery_unit.order_line_id", "delivery_unit.unit_no"]),
        Index(
            "uq_after_sale_case_open", "order_line_id", "unit_no", unique=True, postgresql_where=text(f"state in ({_OPEN_WORDS})")
        ),
        Index("ix_after_sale_case_listed", "state", "due_at"),
        Index("ix_after_sale_case_order", "order_id"),
        Index("ix_after_sale_case_buyer", "contact_fingerprint", "created_at"),
        Index("ix_after_sale_case_created", "created_at"),
    )
    case_no: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=AfterSaleState.REPORTED)
    order_id: Mapped[UUID]
    order_line_id: Mapped[UUID]
    unit_no: Mapped[int] = mapped_column(Integer)
    sku_id: Mapped[UUID]
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    complaint: Mapped[str]
    amount_minor: Mapped[int]
    """The unit's share of what was paid."""
    currency: Mapped[str]
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    delivered_at: Mapped[datetime]
    masked: Mapped[str] = mapped_column(server_default="")
    card_key_id: Mapped[UUID | None]
    batch_id: Mapped[UUID | None]
    attempt_id: Mapped[UUID | None]
    connection_id: Mapped[UUID | None]
    minted_id: Mapped[UUID | None]
    is_own: Mapped[bool] = mapped_column(server_default="false")
    """Opened by the merchant himself."""
    verdict: Mapped[str] = mapped_column(server_default=Verdict.NOT_CHECKED)
    times_checked: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    evidence: Mapped[str] = mapped_column(server_default="")
    """What the supplier answered when it was asked, without secrets."""
    due_at: Mapped[datetime | None]
    """When its present state should be over; then it stands first, and somebody is told once."""
    overdue_told_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(server_default="")
    objected_at: Mapped[datetime | None]


class AfterSaleAuthor(StrEnum):
    """`note`: staff to staff."""

    BUYER = "buyer"
    STAFF = "staff"
    NOTE = "note"


class AfterSaleMessage(TenantBase):
    """One thing said in a case. Sealed: buyers paste keys."""

    __tablename__ = "after_sale_message"
    __table_args__ = (one_of("author", AfterSaleAuthor), Index("ix_after_sale_message_case", "case_id", "at"))
    id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("after_sale_case.id"))
    author: Mapped[str]
    author_name: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class AfterSalePicture(TenantBase):
    """What a buyer shows of his trouble, decoded and encoded again by us, and sealed: screenshots hold keys."""

    __tablename__ = "after_sale_picture"
    case_id: Mapped[UUID] = mapped_column(ForeignKey("after_sale_case.id"), primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary, info=sealed("case_id"))
    media_type: Mapped[str]


class Remedy(TenantBase):
    """What a case ended with. Its key is the case, so none has two; and a unit has one at most that is not over."""

    __tablename__ = "after_sale_remedy"
    __table_args__ = (
        one_of("kind", RemedyKind),
        ForeignKeyConstraint(["order_line_id", "unit_no"], ["delivery_unit.order_line_id", "delivery_unit.unit_no"]),
        Index("uq_after_sale_remedy_running", "order_line_id", "unit_no", unique=True, postgresql_where=text("ended_at is null")),
        Index("ix_after_sale_remedy_made", "made_at"),
    )
    case_id: Mapped[UUID] = mapped_column(ForeignKey("after_sale_case.id"), primary_key=True)
    kind: Mapped[str]
    order_line_id: Mapped[UUID]
    unit_no: Mapped[int] = mapped_column(Integer)
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    is_automatic: Mapped[bool]
    amount_minor: Mapped[int]
    new_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    """What the replacement cost, once it is delivered."""
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class ClaimState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


CLAIM_EDGES: dict[ClaimState, frozenset[ClaimState]] = {
    ClaimState.OPEN: frozenset({ClaimState.ACCEPTED, ClaimState.REJECTED}),
    ClaimState.ACCEPTED: frozenset(),
    ClaimState.REJECTED: frozenset(),
}


class SupplierClaim(Row, TenantBase):
    """What we want back from whoever sold us goods that were no good. Accepted, the credit is booked."""

    __tablename__ = "supplier_claim"
    __table_args__ = (
        one_of("state", ClaimState),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("(connection_id is null) <> (batch_id is null)", name="against_one"),
        CheckConstraint("(state = 'open') = (decided_at is null)", name="decided_has_instant"),
        UniqueConstraint("case_id"),
        Index("ix_supplier_claim_listed", "state", "created_at"),
    )
    case_id: Mapped[UUID] = mapped_column(ForeignKey("after_sale_case.id"))
    state: Mapped[str] = mapped_column(server_default=ClaimState.OPEN)
    connection_id: Mapped[UUID | None]
    batch_id: Mapped[UUID | None]
    """Of own stock, whose seller is not a connection."""
    attempt_id: Mapped[UUID | None]
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    currency: Mapped[str]
    is_late: Mapped[bool] = mapped_column(server_default="false")
    """Opened after the days in which this supplier takes complaints."""
    note: Mapped[str] = mapped_column(server_default="")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(server_default="")


class AfterSalePolicy(TenantBase):
    """The one row that says what happens by itself, how long anybody may take, and what staff often say. Locked while something is decided by itself."""

    __tablename__ = "after_sale_policy"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        one_of("prefers", RemedyKind),
        CheckConstraint("auto_most_minor >= 0 and auto_per_buyer >= 0 and auto_per_day >= 0", name="bounds_not_negative"),
        CheckConstraint("report_days > 0 and staff_hours > 0 and buyer_hours > 0", name="times_positive"),
        CheckConstraint("rate_bp between 1 and 10000 and rate_least > 0", name="rate_sensible"),
    )
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    auto_most_minor: Mapped[int] = mapped_column(server_default="0")
    """Up to this value a case may be settled by itself; zero: none is."""
    prefers: Mapped[str] = mapped_column(server_default=RemedyKind.REPLACE)
    auto_per_buyer: Mapped[int] = mapped_column(Integer, server_default="2")
    """So many of one buyer within 30 days."""
    auto_per_day: Mapped[int] = mapped_column(Integer, server_default="50")
    """So many of all buyers within 24 hours."""
    report_days: Mapped[int] = mapped_column(SmallInteger, server_default="30")
    staff_hours: Mapped[int] = mapped_column(SmallInteger, server_default="24")
    buyer_hours: Mapped[int] = mapped_column(SmallInteger, server_default="72")
    rate_bp: Mapped[int] = mapped_column(Integer, server_default="500")
    """Failures after delivery beyond this share of what was delivered raise an alert."""
    rate_least: Mapped[int] = mapped_column(Integer, server_default="5")
    """Fewer failures than these raise none."""
    replies: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    """What staff often say: texts."""


class ProductGuide(TenantBase):
    """What a buyer of a product should try before he complains, step by step, and whether its cases may be settled by themselves."""

    __tablename__ = "product_guide"
    product_id: Mapped[UUID] = mapped_column(ForeignKey("product.id"), primary_key=True)
    steps: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    settles_itself: Mapped[bool] = mapped_column(server_default="true")


class GuideAnswer(TenantBase):
    """Whether the steps helped, once for each unit; the last answer counts."""

    __tablename__ = "guide_answer"
    __table_args__ = (Index("ix_guide_answer_product", "product_id", "at"),)
    order_line_id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_id: Mapped[UUID]
    has_helped: Mapped[bool]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class RateSubject(StrEnum):
    CONNECTION = "connection"
    SKU = "sku"
    BATCH = "batch"


class RateAlert(TenantBase):
    """A failure rate above the line: told once, until it was below again."""

    __tablename__ = "rate_alert"
    __table_args__ = (one_of("subject_kind", RateSubject),)
    subject_kind: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    raised_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
