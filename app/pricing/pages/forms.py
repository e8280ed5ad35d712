"""The forms of prices: steps by quantity as they stand in the grid, and one rule with all it may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.forms import EMPTY_IS_NONE, Amount, Count, Form, InvalidForm, RawForm, fail, parse
from app.kernel.i18n import gettext
from app.kernel.money import parse_minor
from app.ordering.rules import MOST_UNITS
from app.pricing.rules import Audience, Effect
from app.pricing.service import MOST_TIERS, RuleTerms

TWICE = N_("Another step of this SKU begins with this number already.")
ENDS_BEFORE_START = N_("The end must be after the start.")
_MOST_LESS = 9_900
_MOST_MORE = 100_000
_MOST_FLOOR = 9_999
MOST_CAPPED, LONGEST_HOURS = 10_000, 8_760


def _above_zero(value: int) -> int:
    if value <= 0:
        raise fail(N_("Type a price above zero."))
    return value


class StepForm(Form):
    """One step of a SKU's price."""

    least: Annotated[Count, Field(ge=2, le=MOST_UNITS)]
    price: Annotated[Amount, AfterValidator(_above_zero)]


TypedStep = tuple[int | None, int | None]
"""From how many, and the price of one."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The grid as it was typed: steps by SKU, the rows as they stood (None for an empty one, nothing in one that could not be read), and the faults by field."""

    by_sku: Mapping[UUID, Mapping[int, int]]
    rows: Mapping[UUID, Sequence[TypedStep | None]]
    faults: Mapping[str, str]


def read_steps(sent: RawForm, sku_ids: Sequence[UUID]) -> Steps:
    """Every step typed for these SKUs. A row left empty is no step."""
    faults: dict[str, str] = {}
    rows = {sku_id: [_read_step(sent, step_name(sku_id, n), faults) for n in range(MOST_TIERS)] for sku_id in sku_ids}
    by_sku: dict[UUID, dict[int, int]] = {sku_id: {} for sku_id in sku_ids}
    for sku_id, typed in rows.items():
        for n, step in enumerate(typed):
            least, price = step or (None, None)
            if least is None or price is None:
                continue
            if least in by_sku[sku_id]:
                faults[f"{step_name(sku_id, n)}-least"] = gettext(TWICE)
            by_sku[sku_id].setdefault(least, price)
    return Steps(by_sku, rows, faults)


def _read_step(sent: RawForm, at: str, faults: dict[str, str]) -> TypedStep | None:
    given = {name: [sent.get(f"{at}-{name}").strip()] for name in ("least", "price")}
    if not any(text for texts in given.values() for text in texts):
        return None
    try:
        step = parse(StepForm, RawForm(given, {}))
    except InvalidForm as refusal:
        faults.update({f"{at}-{name}": words for name, words in refusal.errors.items()})
        return None, None
    return step.least, step.price


def read_floors(sent: RawForm, sku_ids: Sequence[UUID]) -> tuple[dict[UUID, int | None], dict[str, str]]:
    """The least margins typed for these SKUs, and the faults by field. Empty is none; what was not sent stays."""
    found: dict[UUID, int | None] = {}
    faults: dict[str, str] = {}
    for sku_id in sku_ids:
        name = floor_name(sku_id)
        if name not in sent:
            continue
        text = sent.get(name).strip().removesuffix("%")
        share = parse_minor(text) if text else None
        if text and (share is None or share > _MOST_FLOOR):
            faults[name] = gettext(N_("Type a percentage such as 12.5."))
        found[sku_id] = share
    return found, faults


def floor_name(sku_id: UUID) -> str:
    return f"floor-{sku_id.hex}"


def step_name(sku_id: UUID, n: int) -> str:
    """What the fields of a SKU's n-th step begin with."""
    return f"step-{sku_id.hex}-{n}"


class Kind(StrEnum):
    """What a rule does, as people choose it: the sign stands in the choice."""

    UNIT_PRICE = "unit_price"
    SHARE_LESS = "share_less"
    SHARE_MORE = "share_more"
    AMOUNT_LESS = "amount_less"
    AMOUNT_MORE = "amount_more"
    NONE = "none"


def _instant(value: object) -> object:
    """A day and time of the business, as a browser sends them, as an instant."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise fail(N_("Type a day and time such as 2027-05-31 18:00.")) from None
    if found.tzinfo is not None or not 2000 <= found.year <= 2200:
        raise fail(N_("Type a day and time such as 2027-05-31 18:00."))
    return found.replace(tzinfo=clock.BUSINESS_ZONE).astimezone(UTC)


Instant = Annotated[datetime | None, BeforeValidator(_instant)]


class RuleForm(Form):
    """A rule. `sku` is empty for all of the product's, `audience` a word or the id of a level, `value` an amount or a percentage by `kind`."""

    kind: Kind
    value: Annotated[str, StringConstraints(max_length=20)] = ""
    sku: Annotated[UUID | None, BeforeValidator(lambda value: value or None)] = None
    least_quantity: Annotated[Count, BeforeValidator(lambda value: value or "1"), Field(ge=1, le=MOST_UNITS)] = 1
    audience: Annotated[str, StringConstraints(max_length=40)] = Audience.EVERYONE
    starts_at: Instant = None
    ends_at: Instant = None
    stock_below: Annotated[Annotated[Count, Field(ge=1)] | None, EMPTY_IS_NONE] = None
    priority: Annotated[Count, BeforeValidator(lambda value: value or "0"), Field(le=1000)] = 0
    most_units: Annotated[Annotated[Count, Field(ge=1, le=MOST_CAPPED)] | None, EMPTY_IS_NONE] = None
    within_hours: Annotated[Annotated[Count, Field(ge=1, le=LONGEST_HOURS)] | None, EMPTY_IS_NONE] = None


def read_rule(sent: RawForm, levels: Sequence[UUID]) -> RuleTerms:
    """A rule as it was typed. Raises: InvalidForm with every fault."""
    form = parse(RuleForm, sent)
    faults: dict[str, str] = {}
    effect, value = _effect(form)
    if value is None:
        wanted = (
            N_("Type a percentage such as 12.5.") if effect is Effect.SHARE else N_("Type an amount above zero, such as 12.50.")
        )
        faults["value"] = gettext(wanted)
    if form.kind is Kind.NONE and form.most_units is None:
        faults["most_units"] = gettext(N_("A rule that leaves the price says how many one buyer may order."))
    elif (form.most_units is None) != (form.within_hours is None):
        missing = "most_units" if form.most_units is None else "within_hours"
        faults[missing] = gettext(N_("Say both: how many units, and within how many hours."))
    if form.starts_at and form.ends_at and form.ends_at <= form.starts_at:
        faults["ends_at"] = gettext(ENDS_BEFORE_START)
    level = next((level for level in levels if str(level) == form.audience), None)
    if level is None and form.audience not in (Audience.EVERYONE, Audience.REGISTERED):
        faults["audience"] = gettext(N_("Choose one of the options."))
    if faults or value is None:
        raise InvalidForm(faults, sent.values())
    return RuleTerms(
        effect, value, form.sku, form.least_quantity, Audience.LEVEL if level else Audience(form.audience), level,
        form.starts_at, form.ends_at, form.stock_below, form.priority, form.most_units, form.within_hours,
    )  # fmt: skip


def _effect(form: RuleForm) -> tuple[Effect, int | None]:
    match form.kind:
        case Kind.UNIT_PRICE:
            return Effect.UNIT_PRICE, parse_minor(form.value) or None
        case Kind.SHARE_LESS:
            share = _share_bp(form.value, most=_MOST_LESS)
            return Effect.SHARE, -share if share else None
        case Kind.SHARE_MORE:
            return Effect.SHARE, _share_bp(form.value, most=_MOST_MORE)
        case Kind.AMOUNT_LESS:
            amount = parse_minor(form.value)
            return Effect.AMOUNT, -amount if amount else None
        case Kind.AMOUNT_MORE:
            return Effect.AMOUNT, parse_minor(form.value) or None
        case Kind.NONE:
            return Effect.NONE, 0


def _share_bp(text: str, *, most: int) -> int | None:
    """Basis points of a percentage with up to two decimals; None when it is not one, or is zero or too much."""
    hundredths = parse_minor(text.removesuffix("%"))
    return hundredths if hundredths and hundredths <= most else None


def kind_of(effect: str, value: int) -> Kind:
    """How people chose what a rule does."""
    if effect == Effect.UNIT_PRICE:
        return Kind.UNIT_PRICE
    if effect == Effect.NONE:
        return Kind.NONE
    if effect == Effect.SHARE:
        return Kind.SHARE_LESS if value < 0 else Kind.SHARE_MORE
    return Kind.AMOUNT_LESS if value < 0 else Kind.AMOUNT_MORE


def typed(value: int) -> str:
    """A rule's value as people type it: two decimals, without sign."""
    return f"{Decimal(abs(value)) / 100:.2f}"
