"""Tables of batches for companies: what was agreed, a row for each recipient, and the lines of the file that are none."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed

MOST_ROWS = 100_000
MOST_PAYMENTS = 500
"""So many of a company's payments are shown."""


class IssueState(StrEnum):
    """`ready` waits to be confirmed and has ordered nothing. `ended`: every row came to its end; tried again, it runs once more."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    ABANDONED = "abandoned"


ISSUE_EDGES: dict[IssueState, frozenset[IssueState]] = {
    IssueState.READY: frozenset({IssueState.RUNNING, IssueState.ABANDONED}),
    IssueState.RUNNING: frozenset({IssueState.PAUSED, IssueState.ENDED}),
    IssueState.PAUSED: frozenset({IssueState.RUNNING, IssueState.ENDED}),
    IssueState.ENDED: frozenset({IssueState.RUNNING}),
    IssueState.ABANDONED: frozenset(),
}


class RowState(StrEnum):
    """`given_up`: taken out before it was ordered. A row that failed owes nothing any more, and waits anew when it is tried again."""

    WAITING = "waiting"
    ORDERED = "ordered"
    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"


ROW_EDGES: dict[RowState, frozenset[RowState]] = {
    RowState.WAITING: frozenset({RowState.ORDERED, RowState.GIVEN_UP}),
    RowState.ORDERED: frozenset({RowState.DELIVERED, RowState.FAILED}),
    RowState.FAILED: frozenset({RowState.WAITING}),
    RowState.DELIVERED: frozenset(),
    RowState.GIVEN_UP: frozenset(),
}


class IssueBatch(Row, TenantBase):
    """A lot of one SKU for the people of one company, at the price of one that was agreed, with the names of that moment.

    What it owes is what the ledger says of it: its orders, less those that came to nothing.
    """

    __tablename__ = "issue_batch"
    __table_args__ = (
        one_of("state", IssueState),
        CheckConstraint("unit_price_minor > 0", name="unit_price_positive"),
        CheckConstraint(f"row_count between 0 and {MOST_ROWS}", name="rows_bounded"),
        CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended_when_ended"),
        Index("ix_issue_batch_state", "state", "created_at"),
        Index("ix_issue_batch_client", "client"),
    )
    batch_no: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=IssueState.READY)
    client: Mapped[str]
    """The company that owes for it."""
    reference: Mapped[str]
    """Of the contract or invoice, as the company knows it."""
    storefront_id: Mapped[UUID] = mapped_column(ForeignKey("storefront.id"))
    listing_id: Mapped[UUID] = mapped_column(ForeignKey("listing.id"))
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"))
    product_id: Mapped[UUID]
    product_name: Mapped[str]
    sku_name: Mapped[str]
    delivery_kind: Mapped[str]
    fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What each recipient's row states beside his contact, as the product asked when the file was read."""
    unit_price_minor: Mapped[int]
    currency: Mapped[str]
    locale: Mapped[str]
    """In which its recipients are written to."""
    created_by: Mapped[str]
    row_count: Mapped[int] = mapped_column(Integer, server_default="0")
    duplicate_count: Mapped[int] = mapped_column(Integer, server_default="0")
    bad_count: Mapped[int] = mapped_column(Integer, server_default="0")
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class CompanyPayment(Row, TenantBase):
    """What a company paid for its batches, as somebody saw it come to the bank. Taken back where that was wrong; never changed or deleted."""

    __tablename__ = "company_payment"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_company_payment_client", "client", "received_on"),
        Index("uq_company_payment_reference", "client", "reference", unique=True, postgresql_where=text("taken_back_at is null")),
    )
    client: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    received_on: Mapped[date]
    reference: Mapped[str]
    """The bank's, by which the money is found there."""
    booked_by: Mapped[str]
    taken_back_at: Mapped[datetime | None]
    taken_back_reason: Mapped[str] = mapped_column(server_default="")
    taken_back_by: Mapped[str] = mapped_column(server_default="")


class IssueRow(TenantBase):
    """One recipient of a batch; `row_no` is his line in the file. A row has one order at a time, and an order one row."""

    __tablename__ = "issue_row"
    __table_args__ = (
        UniqueConstraint("batch_id", "row_no"),
        one_of("state", RowState),
        CheckConstraint("(order_id is not null) = (state in ('ordered', 'delivered', 'failed'))", name="ordered_has_order"),
        Index("ix_issue_row_state", "batch_id", "state", "row_no"),
        Index("ix_issue_row_contact", "contact_fingerprint"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("issue_batch.id"))
    row_no: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(server_default=RowState.WAITING)
    recipient: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    """His contact and what else his row states, as one sealed JSON object."""
    contact_kind: Mapped[str]
    contact_masked: Mapped[str]
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    account_masked: Mapped[str] = mapped_column(server_default="")
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How many orders were made for it."""
    order_id: Mapped[UUID | None] = mapped_column(ForeignKey("shop_order.id"), unique=True)
    """Its latest order."""
    reason: Mapped[str] = mapped_column(server_default="")
    """Why the last try failed: a supplier's reason, or empty where nobody could deliver it."""
    says: Mapped[str] = mapped_column(server_default="")
    """What the supplier said."""
    changed_at: Mapped[datetime | None]


class IssueBadLine(TenantBase):
    """A line of the file that is no row: bad, or a duplicate of an earlier one. What stood there is kept masked alone."""

    __tablename__ = "issue_bad_line"
    __table_args__ = (Index("ix_issue_bad_line_kind", "batch_id", "is_duplicate", "line_no"),)
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("issue_batch.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    is_duplicate: Mapped[bool]
    masked: Mapped[str]
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """Everything that is wrong with it: the label of the column, empty for the contact, a msgid, and the facts that fill its places."""
