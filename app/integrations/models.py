"""Tables of what people and systems are told: messages to one person, alerts for the merchant's people, their robots, and webhooks."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import HomeBase, Instant, Row, TenantBase, one_of, sealed


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
        Index("uq_outgoing_message_instead_of", "instead_of", unique=True, postgresql_where=text("instead_of is not null")),
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
    instead_of: Mapped[UUID | None]
    """The text message that was given up and that this mail replaces."""


class Alert(Row, TenantBase):
    """One thing the merchant's people are told, once under its key however often it is raised. Its words are those of the mail of the same template."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("key"), Index("ix_alert_newest", "created_at"))
    key: Mapped[str]
    template: Mapped[str]
    params: Mapped[dict[str, Any]]
    """Names and figures that fill the words, and the path of the page it leads to. No secrets."""


class AlertReader(TenantBase):
    """Until when somebody has read the alerts."""

    __tablename__ = "alert_reader"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    read_until: Mapped[datetime]


class RobotCompany(StrEnum):
    """Whose group chats a robot writes to."""

    DINGTALK = "dingtalk"
    WECOM = "wecom"
    FEISHU = "feishu"


class Robot(Row, TenantBase):
    """A robot of a group chat that is told of chosen alerts."""

    __tablename__ = "robot"
    __table_args__ = (one_of("company", RobotCompany),)
    company: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    config: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    """Its address and secret, as one sealed JSON object."""
    address_masked: Mapped[str]
    locale: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Templates of the alerts it is told of."""
    is_on: Mapped[bool] = mapped_column(server_default="true")
    called_at: Mapped[list[datetime]] = mapped_column(ARRAY(Instant), server_default="{}")
    """When it was called lately: the company allows so many calls a minute."""


class RobotMessageState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class RobotMessage(Row, TenantBase):
    """One alert for one robot."""

    __tablename__ = "robot_message"
    __table_args__ = (
        one_of("state", RobotMessageState),
        UniqueConstraint("robot_id", "alert_id"),
        Index("ix_robot_message_waiting", "robot_id", "due_at", postgresql_where=text("state = 'waiting'")),
    )
    robot_id: Mapped[UUID] = mapped_column(ForeignKey("robot.id", ondelete="cascade"))
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alert.id"))
    state: Mapped[str] = mapped_column(server_default=RobotMessageState.WAITING)
    due_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    times_tried: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(server_default="")


class WebhookTopic(StrEnum):
    """What a merchant's own systems can be told of."""

    REDEMPTION_CREATED = "redemption.created"
    REDEMPTION_VOIDED = "redemption.voided"
    REDEMPTION_TOLD = "redemption.told"
    """By a supplier, of what was bought from him."""
    TEST = "endpoint.test"


class WebhookEndpoint(Row, TenantBase):
    """A merchant's system that is told of chosen happenings."""

    __tablename__ = "webhook_endpoint"
    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    topics: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secrets: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    """What it is signed with, the newest first, each with the instant until which it signs, as sealed JSON."""
    is_on: Mapped[bool] = mapped_column(server_default="true")


class WebhookEvent(Row, TenantBase):
    """Something that happened, as it is told; its id is the one under which receivers know it again."""

    __tablename__ = "webhook_event"
    __table_args__ = (one_of("topic", WebhookTopic), Index("ix_webhook_event_age", "created_at"))
    topic: Mapped[str]
    body: Mapped[str]
    """The JSON that is signed and sent, sign by sign. It holds no key and no code."""


class WebhookDeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDelivery(Row, TenantBase):
    """One event for one endpoint."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        one_of("state", WebhookDeliveryState),
        UniqueConstraint("endpoint_id", "event_id"),
        Index("ix_webhook_delivery_waiting", "endpoint_id", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_webhook_delivery_event", "event_id"),
    )
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoint.id", ondelete="cascade"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_event.id"))
    state: Mapped[str] = mapped_column(server_default=WebhookDeliveryState.WAITING)
    due_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    times_tried: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    """What the receiver answered last; none where no answer came."""
    last_error: Mapped[str] = mapped_column(server_default="")
    delivered_at: Mapped[datetime | None]
