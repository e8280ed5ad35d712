"""Tables of settling with suppliers: statements they give us, differences from our purchases, and the bill of each contracted period."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, LargeBinary, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of


class StatementState(StrEnum):
    MATCHING = "matching"
    MATCHED = "matched"


STATEMENT_EDGES: dict[StatementState, frozenset[StatementState]] = {
    StatementState.MATCHING: frozenset({StatementState.MATCHED}),
    StatementState.MATCHED: frozenset(),
}


class StatementColumns(TenantBase):
    """Which columns of a connection's statements mean what, as the merchant last said."""

    __tablename__ = "statement_columns"
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"), primary_key=True)
    columns: Mapped[dict[str, str]] = mapped_column(JSONB)


class SupplierStatement(Row, TenantBase):
    """One statement of a supplier, for the days it covers. The same bytes are one statement, however often they come."""

    __tablename__ = "supplier_statement"
    __table_args__ = (
        one_of("state", StatementState),
        UniqueConstraint("connection_id", "digest"),
        CheckConstraint("first_day <= last_day", name="days_in_order"),
        Index("ix_supplier_statement_newest", "created_at"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    file_name: Mapped[str]
    """Empty for one that was fetched from the supplier's interface."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date] = mapped_column(Date)
    currency: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=StatementState.MATCHING)
    lines: Mapped[int] = mapped_column(Integer, server_default="0")
    repeated: Mapped[int] = mapped_column(Integer, server_default="0")
    """Lines that an earlier statement had already."""
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]


class StatementLine(TenantBase):
    """One purchase as the supplier names it. A line that comes again, in whatever file, is the same line."""

    __tablename__ = "supplier_statement_line"
    __table_args__ = (
        UniqueConstraint("connection_id", "fingerprint"),
        Index("ix_supplier_statement_line_attempt", "attempt_id"),
        Index("ix_supplier_statement_line_out_no", "connection_id", "out_no"),
    )
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_statement.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    connection_id: Mapped[UUID]
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    out_no: Mapped[str]
    supplier_ref: Mapped[str]
    is_success: Mapped[bool]
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    """In major units; below zero for money given back."""
    attempt_id: Mapped[UUID | None]
    test_order_id: Mapped[UUID | None]


class DifferenceKind(StrEnum):
    OURS_ONLY = "ours_only"
    THEIRS_ONLY = "theirs_only"
    OTHER_AMOUNT = "other_amount"
    OTHER_STATE = "other_state"


class DifferenceState(StrEnum):
    """How a difference ends. `disputed` waits for the supplier's answer and may still end either way."""

    OPEN = "open"
    MATCHED = "matched"
    ADJUSTED = "adjusted"
    DISPUTED = "disputed"


DIFFERENCE_EDGES: dict[DifferenceState, frozenset[DifferenceState]] = {
    DifferenceState.OPEN: frozenset({DifferenceState.MATCHED, DifferenceState.ADJUSTED, DifferenceState.DISPUTED}),
    DifferenceState.DISPUTED: frozenset({DifferenceState.MATCHED, DifferenceState.ADJUSTED}),
    DifferenceState.MATCHED: frozenset(),
    DifferenceState.ADJUSTED: frozenset(),
}


class Discrepancy(Row, TenantBase):
    """One purchase on which our records and a supplier's statement do not agree. `ours` and `theirs` are costs in major units, zero for not bought."""

    __tablename__ = "discrepancy"
    __table_args__ = (
        one_of("kind", DifferenceKind),
        one_of("state", DifferenceState),
        UniqueConstraint("connection_id", "subject", "kind"),
        CheckConstraint("(state = 'open') = (decided_at is null)", name="decided_when_not_open"),
        Index("ix_discrepancy_state", "state", "created_at"),
        Index("ix_discrepancy_statement", "statement_id"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_statement.id"))
    kind: Mapped[str]
    subject: Mapped[str]
    """Our attempt's id, or the supplier's number where we know no purchase."""
    attempt_id: Mapped[UUID | None]
    out_no: Mapped[str]
    supplier_ref: Mapped[str]
    ours: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    theirs: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    currency: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=DifferenceState.OPEN)
    note: Mapped[str] = mapped_column(server_default="")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(server_default="")
    adjusted_minor: Mapped[int] = mapped_column(server_default="0")
    """What was booked: above zero we owe the supplier more, below it he owes us."""


class BillState(StrEnum):
    CLOSED = "closed"
    PAID = "paid"


BILL_EDGES: dict[BillState, frozenset[BillState]] = {
    BillState.CLOSED: frozenset({BillState.PAID}),
    BillState.PAID: frozenset(),
}


class SettlementStatement(Row, TenantBase):
    """What is owed to one supplier for one contracted period in one currency. It is closed from its first instant and never changes; corrections go to
    the next period.
    """

    __tablename__ = "settlement_statement"
    __table_args__ = (
        one_of("state", BillState),
        UniqueConstraint("supplier_id", "last_day", "currency"),
        CheckConstraint("first_day <= last_day", name="days_in_order"),
    )
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey("supplier.id"))
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date] = mapped_column(Date)
    currency: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=BillState.CLOSED)
    purchases: Mapped[int] = mapped_column(Integer)
    total_minor: Mapped[int]
    paid_at: Mapped[datetime | None]
    paid_note: Mapped[str] = mapped_column(server_default="")


class SettlementLine(TenantBase):
    """One purchase or one adjustment on a bill: each is on one bill at most."""

    __tablename__ = "settlement_line"
    __table_args__ = (
        CheckConstraint("num_nonnulls(attempt_id, discrepancy_id) = 1", name="of_one_thing"),
        Index("uq_settlement_line_attempt", "attempt_id", unique=True, postgresql_where=text("attempt_id is not null")),
        Index(
            "uq_settlement_line_discrepancy", "discrepancy_id", unique=True, postgresql_where=text("discrepancy_id is not null")
        ),
    )
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("settlement_statement.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt_id: Mapped[UUID | None] = mapped_column(ForeignKey("attempt.id"))
    discrepancy_id: Mapped[UUID | None] = mapped_column(ForeignKey("discrepancy.id"))
    amount_minor: Mapped[int]
    """Rounded once, half up."""
