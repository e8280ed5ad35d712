"""Tables of the ledger."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import TenantBase


class LedgerAccount(TenantBase):
    """A named balance of one owner and purpose in one currency. `debits_minor` and `credits_minor` are sums of its transfers, cached.

    `normal_side` says which side grows it; unless `may_cross_zero` the balance never falls below zero.
    """

    __tablename__ = "ledger_account"
    __table_args__ = (
        UniqueConstraint("name", "currency"),
        CheckConstraint("normal_side in ('debit', 'credit')", name="normal_side_known"),
        CheckConstraint("debits_minor >= 0 and credits_minor >= 0", name="sums_not_negative"),
        CheckConstraint(
            "may_cross_zero or (case normal_side when 'debit' then debits_minor >= credits_minor else credits_minor >= debits_minor end)",
            name="balance_not_negative",
        ),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    currency: Mapped[str]
    normal_side: Mapped[str]
    may_cross_zero: Mapped[bool]
    debits_minor: Mapped[int] = mapped_column(server_default="0")
    credits_minor: Mapped[int] = mapped_column(server_default="0")


class Transfer(TenantBase):
    """An amount from a debit account to a credit account. Inserted, never changed; its id comes from its business key."""

    __tablename__ = "transfer"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
        Index("ix_transfer_subject", "subject_id"),
        Index("ix_transfer_debit", "debit_account_id", "at"),
        Index("ix_transfer_credit", "credit_account_id", "at"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    debit_account_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_account.id"))
    credit_account_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_account.id"))
    amount_minor: Mapped[int]
    currency: Mapped[str]
    kind: Mapped[str]
    subject_id: Mapped[UUID]
    """The payment, refund or order line it is about."""
    at: Mapped[datetime] = mapped_column(server_default=func.now())
