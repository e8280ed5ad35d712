"""Tables of buyers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, sealed


class BuyerLevel(Row, TenantBase):
    """A standing a shop gives to some of its registered buyers; prices may depend on it."""

    __tablename__ = "buyer_level"
    name: Mapped[str] = mapped_column(unique=True)


class Customer(Row, TenantBase):
    """A buyer with an account: a contact he has proved to hold."""

    __tablename__ = "customer"
    contact_kind: Mapped[str]
    contact: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    contact_masked: Mapped[str]
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    seen_at: Mapped[datetime]
    level_id: Mapped[UUID | None] = mapped_column(ForeignKey("buyer_level.id"), index=True)


class ContactCode(Row, TenantBase):
    """A one-time code sent to a contact. Only its blind index is kept; five wrong tries end it."""

    __tablename__ = "contact_code"
    __table_args__ = (Index("ix_contact_code_contact", "contact_fingerprint", "created_at"),)
    contact_kind: Mapped[str]
    contact: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    contact_masked: Mapped[str]
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    code_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    wrong_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class BuyerSession(Row, TenantBase):
    """A browser whose buyer proved a contact. Only the SHA-256 of the cookie's token is kept."""

    __tablename__ = "buyer_session"
    __table_args__ = (Index("ix_buyer_session_expires", "expires_at"),)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    customer_id: Mapped[UUID]
    expires_at: Mapped[datetime]
