"""What is noticed by itself: alarms, on the platform; and what buyers search for, in each tenant."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.ids import new_id
from app.kernel.models import PlatformBase, TenantBase


class Alarm(PlatformBase):
    """A standing rule that did not hold in one home. Open until it holds again; one open alarm per home and rule."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index("uq_alarm_open", "home_id", "rule", unique=True, postgresql_where=text("closed_at is null")),
        Index("ix_alarm_opened", "opened_at"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    home_id: Mapped[UUID]
    rule: Mapped[str]
    says: Mapped[str]
    shown: Mapped[str]
    """The first rows that broke the rule, when it was last looked at."""
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class ShopSearch(TenantBase):
    """Words that buyers searched for on one day of the business, how often, and how many products the last of these searches found."""

    __tablename__ = "shop_search"
    day: Mapped[date] = mapped_column(primary_key=True)
    words: Mapped[str] = mapped_column(primary_key=True)
    found: Mapped[int] = mapped_column(Integer)
    times: Mapped[int] = mapped_column(Integer, server_default="1")
