"""Table of outgoing messages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import HomeBase, Row, one_of, sealed


class MessageMedium(StrEnum):
    MAIL = "mail"
    SMS = "sms"


class MessageState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class OutgoingMessage(Row, HomeBase):
    """One message to one person. Recipient and content are sealed; after sending only the fact remains and `params` is emptied."""

    __tablename__ = "outgoing_message"
    __table_args__ = (
        one_of("medium", MessageMedium),
        one_of("state", MessageState),
        Index("ix_outgoing_message_waiting", "created_at", postgresql_where=text("state = 'waiting'")),
    )
    medium: Mapped[str]
    template: Mapped[str]
    locale: Mapped[str]
    recipient: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    recipient_masked: Mapped[str]
    params: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    state: Mapped[str] = mapped_column(server_default=MessageState.WAITING)
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(server_default="")
