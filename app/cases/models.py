"""The table of cases."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of


class CaseKind(StrEnum):
    """Why a person is needed.

    `work_failed`: what must happen for an order was tried too often. `refund_declined`: the gateway will not give money back. `mismatch`: a
    genuine notice says what its payment does not. `wrong_amount`: a gateway took another amount than the order's; it waits on the suspense account.
    `supplier_unknown`: after half an hour nobody can say whether a purchase took place. `supplier_late`: a supplier delivered what it had refused.
    `bad_goods`: a card that was sold before, or a delivery without its card. `spare_goods`: more cards came than were bought; they are own stock now,
    and where they are of a face value kept aside.
    `wrong_account`: a buyer says that the account he stated, and confirmed, was not the one he meant; it was credited.
    `broken_bundle`: of a bundle that is delivered whole or not at all, a part could not be delivered after another was.
    `cycle_missed`: a cycle of a subscription could not be delivered on its day; its share goes back by itself.
    `not_handed_over`: goods that people deliver, and nobody did in time.
    `message_failed`: a message was tried too often and given up.
    `used_afterwards`: goods that were replaced or given back were used, says their supplier.
    """

    WORK_FAILED = "work_failed"
    REFUND_DECLINED = "refund_declined"
    MISMATCH = "mismatch"
    WRONG_AMOUNT = "wrong_amount"
    SUPPLIER_UNKNOWN = "supplier_unknown"
    SUPPLIER_LATE = "supplier_late"
    BAD_GOODS = "bad_goods"
    SPARE_GOODS = "spare_goods"
    WRONG_ACCOUNT = "wrong_account"
    BROKEN_BUNDLE = "broken_bundle"
    CYCLE_MISSED = "cycle_missed"
    NOT_HANDED_OVER = "not_handed_over"
    MESSAGE_FAILED = "message_failed"
    USED_AFTERWARDS = "used_afterwards"


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


CASE_EDGES: dict[CaseState, frozenset[CaseState]] = {
    CaseState.OPEN: frozenset({CaseState.CLOSED}),
    CaseState.CLOSED: frozenset(),
}
"""What comes up again is another case."""


class StaffCase(Row, TenantBase):
    """One thing a person has to look at. A subject has one open case of a kind at most; `created_at` is when it was opened."""

    __tablename__ = "staff_case"
    __table_args__ = (
        one_of("kind", CaseKind),
        one_of("state", CaseState),
        CheckConstraint("(state = 'closed') = (closed_at is not null)", name="closed_has_instant"),
        Index("ix_staff_case_listed", "state", "created_at"),
        Index("ix_staff_case_order", "order_id"),
        Index("uq_staff_case_open", "kind", "subject_id", unique=True, postgresql_where=text("state = 'open'")),
    )
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=CaseState.OPEN)
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    order_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Ids, amounts and what the other side said; never a secret."""
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    """What was done about it."""
