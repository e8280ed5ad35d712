"""The forms of replenishments, of the merchant's pages and of the supplier's desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import AfterValidator, Field, StringConstraints

from app.inventory.forms import Cost
from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.forms import Count, Form, InvalidForm, OptionalDay, RawForm, fail, parse, parse_part
from app.kernel.i18n import gettext
from app.replenishment.models import MOST_LINES, MOST_UNITS
from app.replenishment.service import NothingAsked, NothingConfirmed, WantedGoods
from app.replenishment.talking import LONGEST

_LATEST = timedelta(days=366)
CHOSEN_TWICE = N_("This SKU is chosen above already. Write all its units there.")
MORE_THAN_WANTED = N_("At most %(most)s: that is what is wanted.")
UNITS = "units-"


def _to_come(value: date | None) -> date | None:
    today = clock.business_day()
    if value is not None and not today <= value <= today + _LATEST:
        raise fail(N_("Choose a day from today on, at most a year ahead."))
    return value


Units = Annotated[Count, Field(ge=1, le=MOST_UNITS)]
DayToCome = Annotated[date, AfterValidator(_to_come)]


class RequestForm(Form):
    """What is asked of a supplier, apart from the goods."""

    supplier: UUID
    wanted_on: Annotated[OptionalDay, AfterValidator(_to_come)] = None
    note: Annotated[str, StringConstraints(max_length=LONGEST)] = ""
    request_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{16,40}$")]


class GoodsForm(Form):
    """One row of goods."""

    sku: UUID
    units: Units
    cost: Cost


class AnswerForm(Form):
    """The day a supplier promises his goods for."""

    promised_on: DayToCome


class ReasonForm(Form):
    reason: Annotated[str, StringConstraints(min_length=4, max_length=300)]


class MessageForm(Form):
    text: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]


class LinkForm(Form):
    """A batch that brings a line's goods."""

    batch: Annotated[str, StringConstraints(min_length=1, max_length=20)]


class RestockForm(Form):
    """Whom a SKU asks by itself, for how many, at what cost."""

    supplier: UUID
    units: Units
    cost: Cost


class _Promise(Form):
    count: Count


def read_request(sent: RawForm, retry: str, context: dict[str, Any]) -> tuple[RequestForm, list[WantedGoods]]:
    """What is asked, and the goods; rows without a SKU are left out. Raises: InvalidForm with every fault of every row."""
    errors: dict[str, str] = {}
    form: RequestForm | None = None
    goods: list[WantedGoods] = []
    try:
        form = parse(RequestForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    for number in range(MOST_LINES):
        at = f"row-{number}-"
        if not sent.get(at + "sku").strip():
            continue
        try:
            row = parse_part(GoodsForm, sent, at)
        except InvalidForm as refusal:
            errors |= refusal.errors
            continue
        if any(one.sku_id == row.sku for one in goods):
            errors[at + "sku"] = gettext(CHOSEN_TWICE)
        goods.append(WantedGoods(row.sku, row.units, row.cost))
    if not goods and not errors.keys() - RequestForm.model_fields.keys():
        errors["row-0-sku"] = gettext(NothingAsked.message)
    if errors or form is None:
        raise InvalidForm(errors, sent.values(), retry, context)
    return form, goods


def read_answer(
    sent: RawForm, lines: Sequence[asyncpg.Record], retry: str, context: dict[str, Any]
) -> tuple[date, dict[UUID, int]]:
    """The promised day, and how many of each line. Raises: InvalidForm with every fault."""
    errors: dict[str, str] = {}
    form: AnswerForm | None = None
    units: dict[UUID, int] = {}
    try:
        form = parse(AnswerForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    for line in lines:
        name = f"{UNITS}{line['id']}"
        try:
            units[line["id"]] = parse(_Promise, RawForm({"count": [sent.get(name)]}, {})).count
        except InvalidForm as refusal:
            errors[name] = refusal.errors["count"]
        if units.get(line["id"], 0) > line["units"]:
            errors[name] = gettext(MORE_THAN_WANTED) % {"most": line["units"]}
    if not errors and not any(units.values()):
        errors[f"{UNITS}{lines[0]['id']}"] = gettext(NothingConfirmed.message)
    if errors or form is None:
        raise InvalidForm(errors, sent.values(), retry, context)
    return form.promised_on, units
