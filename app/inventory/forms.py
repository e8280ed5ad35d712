"""The forms of card pools."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.forms import Form, fail
from app.kernel.money import parse_cost

LATEST_DAY = date(2199, 12, 31)


def _cost(value: object) -> object:
    cost = parse_cost(value) if isinstance(value, str) else value
    if cost is None:
        raise fail(N_("Type a cost such as 14.70, with at most six decimals."))
    return cost


def _still_valid(value: date | None) -> date | None:
    if value is not None and value < clock.business_day():
        raise fail(N_("This day is over: these keys could never be sold."))
    if value is not None and value > LATEST_DAY:
        raise fail(N_("Type a date such as 2027-05-31, or leave it empty for keys that do not expire."))
    return value


def _day(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        return None
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        raise fail(N_("Type a date such as 2027-05-31, or leave it empty for keys that do not expire.")) from None


Cost = Annotated[Decimal, BeforeValidator(_cost)]
"""What one costs, in major units with six decimals at most."""


class ExpiryForm(Form):
    """The last valid day of an upload's keys."""

    expires_on: Annotated[date | None, BeforeValidator(_day), AfterValidator(_still_valid)] = None


class ImportForm(ExpiryForm):
    """What is asked about an upload, beside the keys themselves."""

    unit_cost: Cost


class ReasonForm(Form):
    """Why something is done that the audit trail keeps."""

    reason: Annotated[str, StringConstraints(min_length=4, max_length=300)]
