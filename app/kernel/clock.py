"""The time, from one place: aware, UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

BUSINESS_ZONE = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)


def business_day(at: datetime | None = None) -> date:
    """The day of an instant where the merchants keep their books."""
    return (at or now()).astimezone(BUSINESS_ZONE).date()


def day_starts(day: date) -> datetime:
    """The first instant of a business day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=BUSINESS_ZONE).astimezone(UTC)


def day_range(day: date) -> tuple[datetime, datetime]:
    """First instant of a business day and of the next one, in UTC."""
    return day_starts(day), day_starts(day + timedelta(days=1))
