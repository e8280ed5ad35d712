"""What an order list is narrowed to: read strictly from its address, written back to it, and nothing else decides what is shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from app.catalog.channels import channel_code
from app.kernel import clock
from app.kernel.errors import N_, BadRequest
from app.ordering.models import OrderState

PAGE_SIZE: Final = 50
MOST_ROWS: Final = 100
MOST_PAGES: Final = 1000
_LONGEST: Final = 100
ELSEWHERE: Final = frozenset({"lang"})
"""Parameters of every page, which are no filters."""
_NUMBER: Final = re.compile(r"^[A-Z]\d{6}(-[0-9A-Z]{1,7})?$")


class PaymentIs(StrEnum):
    UNPAID = "unpaid"
    PAID = "paid"
    REFUNDED = "refunded"


class Period(StrEnum):
    """Business days up to now."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "7d"
    MONTH = "30d"


class Moment(StrEnum):
    """Which of an order's instants a time range is about."""

    PLACED = "placed"
    PAID = "paid"


class Problem(StrEnum):
    """Why somebody should look at an order. `any` is all of them."""

    ANY = "any"
    LATE = "late"
    WORK_FAILED = "work_failed"
    REFUND_UNKNOWN = "refund_unknown"
    REFUND_DECLINED = "refund_declined"
    MISMATCH = "mismatch"


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    LARGEST = "largest"
    SMALLEST = "smallest"


class UnknownFilter(BadRequest):
    message = N_(
        "This list cannot be narrowed by %(name)s = “%(value)s”. Nothing was changed; clear the filters and choose again."
    )


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """A list of orders: everything that is not named is not asked for."""

    q: str = ""
    state: tuple[OrderState, ...] = ()
    payment: PaymentIs | None = None
    problem: Problem | None = None
    by: Moment = Moment.PLACED
    range: Period | None = None
    since: date | None = None
    until: date | None = None
    channel: str = ""
    product: str = ""
    sku: UUID | None = None
    buyer: str = ""
    """The number of an order: those of the same buyer."""
    sort: Sort = Sort.NEWEST
    size: int = PAGE_SIZE
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self.plain() != OrderFilter()

    def plain(self) -> OrderFilter:
        """The same list without its order and place in it: what two views are compared by."""
        return replace(self, sort=Sort.NEWEST, size=PAGE_SIZE, page=1)

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """First instant of the time range and the first after it."""
        if self.range is not None:
            return period_bounds(self.range, now)
        first = clock.day_starts(self.since) if self.since else None
        last = clock.day_starts(self.until + timedelta(days=1)) if self.until else None
        return first, last

    def query(self) -> str:
        """The canonical query string; empty for the whole list."""
        return urlencode(list(_pairs(self)))

    def without(self, *names: str) -> OrderFilter:
        """The same list with some filters taken away, from its first page."""
        whole = OrderFilter()
        return replace(self, page=1, **{name: getattr(whole, name) for name in names})

    def at_page(self, page: int) -> OrderFilter:
        return replace(self, page=page)


def read(pairs: Iterable[tuple[str, str]]) -> OrderFilter:
    """The filter an address names. Empty values are passed over. Raises: UnknownFilter for any other name or value."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value) or len(value) > _LONGEST:
            raise UnknownFilter(name=_shown(name), value=_shown(value))
        if value.strip():
            given.setdefault(name, []).append(value.strip())
    made: dict[str, Any] = {}
    for name, values in given.items():
        if name in ELSEWHERE:
            continue
        reader = _READERS.get(name)
        if reader is None or (len(values) > 1 and name != "state"):
            raise UnknownFilter(name=_shown(name), value=_shown(values[-1]))
        try:
            made[_FIELDS.get(name, name)] = (
                tuple(dict.fromkeys(reader(v) for v in values)) if name == "state" else reader(values[0])
            )
        except ValueError:
            raise UnknownFilter(name=_shown(name), value=_shown(values[0])) from None
    found = OrderFilter(**made)
    if found.since or found.until:
        found = replace(found, range=None)  # days that are named say more than "today"
    if found.since and found.until and found.since > found.until:
        raise UnknownFilter(name="from – to", value=f"{found.since or ''} – {found.until or ''}")
    return found


def period_bounds(period: Period, now: datetime) -> tuple[datetime, datetime]:
    """First instant of a period of business days, and the first after it: the end of today, also for the days up to today."""
    today = clock.business_day(now)
    days = {Period.TODAY: (0, 0), Period.YESTERDAY: (1, 1), Period.WEEK: (6, 0), Period.MONTH: (29, 0)}[period]
    return clock.day_starts(today - timedelta(days=days[0])), clock.day_starts(today - timedelta(days=days[1] - 1))


def order_number(text: str) -> str | None:
    """An order number, or the beginning of one, as people type it; None for anything else."""
    plain = text.strip().upper()
    return plain if _NUMBER.match(plain) else None


def _date(text: str) -> date:
    if len(text) != len("2026-11-21") or not text.isascii():
        raise ValueError(text)
    found = date.fromisoformat(text)
    if not date(2000, 1, 1) <= found <= date(2200, 1, 1):
        raise ValueError(text)
    return found


def _size(text: str) -> int:
    return _whole(text, MOST_ROWS)


def _page(text: str) -> int:
    return _whole(text, MOST_PAGES)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):
        raise ValueError(text)
    return int(text)


def _order_no(text: str) -> str:
    if order_number(text) is None:
        raise ValueError(text)
    return text.upper()


def _uuid(text: str) -> UUID:
    found = UUID(text)
    if str(found) != text.lower():
        raise ValueError(text)
    return found


def _pairs(chosen: OrderFilter) -> Iterable[tuple[str, str]]:
    whole = OrderFilter()
    for name in _READERS:
        value = getattr(chosen, _FIELDS.get(name, name))
        if value == getattr(whole, _FIELDS.get(name, name)):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield name, one.isoformat() if isinstance(one, date) else str(one)


def _shown(text: str) -> str:
    """A stranger's text, short enough and with nothing invisible, for a sentence."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:40])


_READERS: Final[dict[str, Any]] = {
    "q": str,
    "state": OrderState,
    "payment": PaymentIs,
    "problem": Problem,
    "by": Moment,
    "range": Period,
    "from": _date,
    "to": _date,
    "channel": channel_code,
    "product": str,
    "sku": _uuid,
    "buyer": _order_no,
    "sort": Sort,
    "size": _size,
    "page": _page,
}
_FIELDS: Final = {"from": "since", "to": "until"}
