"""What a product that we mint promises: where and when its voucher is redeemed, how often its serial is used. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from app.kernel.errors import N_

MOST_SHOPS = 50
MOST_USES = 10_000
NOT_YET = N_("It cannot be used before %(day)s.")
OVER = N_("It was to be used by %(day)s.")
NOT_TODAY = N_("It cannot be used on this day of the week.")
NOT_NOW = N_("It can be used from %(start)s to %(end)s only.")
NOT_HERE = N_("It cannot be used in this shop. It is good for: %(shops)s.")
WEEK = (1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class MintingRules:
    """Where and when it may be used; what is left empty does not narrow. Days and times are those of the business, Monday is 1.

    `valid_days` counts from the day of delivery and ends with the earlier of the two.
    """

    shops: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    valid_days: int | None = None
    weekdays: tuple[int, ...] = WEEK
    opens: time | None = None
    closes: time | None = None
    most_uses: int = 1

    def ends_on(self, minted_on: date) -> date | None:
        """The last day of one that is minted today."""
        own = minted_on + timedelta(days=self.valid_days - 1) if self.valid_days else None
        return min((day for day in (own, self.valid_until) if day), default=None)


def rules_of(stored: Mapping[str, Any]) -> MintingRules:
    """Rules as a row keeps them."""
    return MintingRules(
        shops=tuple(stored.get("shops", ())),
        valid_from=_day(stored.get("valid_from")),
        valid_until=_day(stored.get("valid_until")),
        valid_days=stored.get("valid_days"),
        weekdays=tuple(stored.get("weekdays", WEEK)),
        opens=time.fromisoformat(stored["opens"]) if stored.get("opens") else None,
        closes=time.fromisoformat(stored["closes"]) if stored.get("closes") else None,
        most_uses=stored.get("most_uses", 1),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def stored(rules: MintingRules) -> dict[str, Any]:
    """Rules as a row keeps them."""
    return {
        "shops": list(rules.shops),
        "valid_from": rules.valid_from.isoformat() if rules.valid_from else None,
        "valid_until": rules.valid_until.isoformat() if rules.valid_until else None,
        "valid_days": rules.valid_days,
        "weekdays": list(rules.weekdays),
        "opens": rules.opens.isoformat("minutes") if rules.opens else None,
        "closes": rules.closes.isoformat("minutes") if rules.closes else None,
        "most_uses": rules.most_uses,
    }


def obstacle(rules: MintingRules, *, at: datetime, place: str, ends_on: date | None) -> tuple[str, Mapping[str, object]] | None:
    """Why it cannot be used there and then: a msgid and its facts; None when it can. `at` is business time."""
    if rules.valid_from and at.date() < rules.valid_from:
        return NOT_YET, {"day": rules.valid_from.isoformat()}
    if ends_on and at.date() > ends_on:
        return OVER, {"day": ends_on.isoformat()}
    if at.isoweekday() not in rules.weekdays:
        return NOT_TODAY, {}
    if (rules.opens and at.time() < rules.opens) or (rules.closes and at.time() >= rules.closes):
        start, end = rules.opens or time(0), rules.closes or time(23, 59)
        return NOT_NOW, {"start": start.isoformat("minutes"), "end": end.isoformat("minutes")}
    if rules.shops and place not in rules.shops:
        return NOT_HERE, {"shops": ", ".join(rules.shops)}
    return None
