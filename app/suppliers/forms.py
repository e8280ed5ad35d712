"""The forms of the suppliers' pages: terms, connections with the fields of their protocol, goods typed by hand, imports, routes, test orders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from app.catalog.models import DeliveryKind
from app.kernel.errors import N_
from app.kernel.forms import (
    EMPTY_IS_NONE,
    Amount,
    Checked,
    Count,
    Form,
    InvalidForm,
    Line,
    OptionalEmail,
    OptionalLine,
    RawForm,
    fail,
    parse,
    share_up_to,
)
from app.kernel.i18n import gettext
from app.kernel.money import MAX_MINOR, parse_cost, parse_minor
from app.suppliers.connectors.port import AccountField, Traits
from app.suppliers.models import ConnectionMode, OwnStock, RoutePolicy
from app.suppliers.rules import Values
from app.suppliers.service import RouteTerms

MOST_ON_ROUTE = 50
SETTING = "set-"
"""What the names of a protocol's own fields begin with."""
ACCOUNT = "account-"

LEAST_RATE = Decimal("0.001")
MOST_RATE = Decimal(1000)
COST_WANTED = N_("Type a cost such as 14.70, with at most six decimals.")
PLACE_WANTED = N_("Type a whole number from 1 to 999.")
WEIGHT_WANTED = N_("Type a whole number from 1 to 1000.")


def _cost(value: object) -> object:
    if not isinstance(value, str):
        return value
    cost = parse_cost(value)
    if cost is None:
        raise fail(COST_WANTED)
    return cost


def _no_cost(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else _cost(value)


def _rate(value: object) -> object:
    cost = _cost(value)
    if isinstance(cost, Decimal) and not LEAST_RATE <= cost <= MOST_RATE:
        raise fail(N_("Type a rate from 0.001 to 1000 calls per second."))
    return cost


def _ending(value: object) -> object:
    """`.90` and `90` are the same ending; empty is none."""
    if not isinstance(value, str):
        return value
    plain = value.strip().lstrip(".")
    if not plain:
        return None
    if not (plain.isascii() and plain.isdigit() and len(plain) == 2):
        raise fail(N_("Type the two last digits of the price, such as 90, or leave it empty."))
    return int(plain)


def _maybe_id(value: object) -> object:
    return value or None


def _sellable(value: object) -> object:
    if value not in (DeliveryKind.CARD_KEY, DeliveryKind.DIRECT_TOP_UP):
        raise fail(N_("Choose one of the options."))
    return value


Markup = Annotated[int, share_up_to(100_000)]
Floor = Annotated[int, share_up_to(9_999)]
Rate = Annotated[Decimal, BeforeValidator(_rate)]
Face = Annotated[Annotated[Amount, Field(gt=0)] | None, EMPTY_IS_NONE]
"""A face value in minor units, or empty."""
Words = Annotated[str, StringConstraints(max_length=4_000)]


class SupplierForm(Form):
    """Who a supplier is and what was agreed."""

    name: Line
    contact: OptionalLine = ""
    email: OptionalEmail = ""
    locale: Literal["zh_CN", "en"] = "zh_CN"
    settlement_days: Annotated[Count, Field(le=365)] = 0
    claim_days: Annotated[Count, Field(le=365)] = 7
    terms: Words = ""


class ConnectionForm(Form):
    """A connection apart from the fields of its protocol."""

    name: Line
    mode: ConnectionMode
    calls_per_second: Rate
    calls_at_once: Annotated[Count, Field(ge=1, le=200)]
    ip_note: OptionalLine = ""
    warn_below: Annotated[Decimal | None, BeforeValidator(_no_cost)] = None


MOST_BELOW_LEAST = N_("The greatest value cannot be below the least.")
LEAST_WANTED = N_("Type the least value, too, or leave these fields empty.")


class OfferForm(Form):
    """Goods typed by hand. With a least value they are sold by any of a range, and their cost is for 1 of value."""

    supplier_sku: Line
    name: Line
    kind: Annotated[DeliveryKind, BeforeValidator(_sellable)]
    unit_cost: Annotated[Decimal, BeforeValidator(_cost)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CNY"
    least: Face = None
    most: Face = None
    step: Face = None

    def sells(self) -> Values | None:
        """The values they are sold at, where they are."""
        return None if self.least is None else Values(self.least, self.most, self.step)

    def faults(self) -> dict[str, str]:
        """What is wrong between the fields of its range, as msgids by field."""
        if self.least is None:
            return {"least": LEAST_WANTED} if self.most is not None or self.step is not None else {}
        return {"most": MOST_BELOW_LEAST} if self.most is not None and self.most < self.least else {}


class ImportForm(Form):
    """How an import makes prices and products."""

    markup: Markup
    add: Amount = 0
    ending: Annotated[int | None, BeforeValidator(_ending)] = None
    floor: Floor = 0
    category: Annotated[UUID | None, BeforeValidator(_maybe_id)] = None
    sku_name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]
    is_put_on_sale: Checked = False


class RouteForm(Form):
    """How one of a route's offers is chosen."""

    policy: RoutePolicy | Literal["category"]
    own_stock: OwnStock | Literal["category"] = "category"
    floor: Floor = 0
    deadline_minutes: Annotated[Count, Field(ge=1, le=2_880)]


class CategoryRouteForm(Form):
    """How a category's goods are bought."""

    policy: RoutePolicy
    own_stock: OwnStock


class RevealForm(Form):
    """Why what a test order brought is to be shown."""

    reason: Annotated[str, StringConstraints(min_length=4, max_length=300)]


def settings_sent(traits: Traits, sent: RawForm) -> dict[str, str]:
    """The protocol's own fields as they were typed, by the names of its settings; the default where one was left empty."""
    return {one.name: sent.get(SETTING + one.name).replace("\r\n", "\n").strip() or one.default for one in traits.settings}


def without_secrets(traits: Traits, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a refused form may show again: everything but secrets."""
    hidden = {SETTING + one.name for one in traits.settings if one.is_secret}
    return {name: value for name, value in values.items() if name not in hidden}


def read_route(sent: RawForm) -> tuple[RouteForm, RouteTerms]:
    """A route as it was typed: its offers in the order of their places, without those taken off. Raises: InvalidForm with every fault."""
    errors: dict[str, str] = {}
    form = None
    try:
        form = parse(RouteForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    placed = []
    for n, offer_id in enumerate(_ids(sent.all("offer"))):
        if f"off-{offer_id}" in sent:
            continue
        place = _whole(sent.get(f"place-{offer_id}", str(n + 1)), 1, 999)
        weight = _whole(sent.get(f"weight-{offer_id}", "1"), 1, 1000)
        if place is None:
            errors[f"place-{offer_id}"] = gettext(PLACE_WANTED)
        if weight is None:
            errors[f"weight-{offer_id}"] = gettext(WEIGHT_WANTED)
        placed.append((place or 0, n, offer_id, weight or 1))
    known = {offer_id for _, _, offer_id, _ in placed}
    added = [(offer_id, 1) for offer_id in _ids(sent.all("add")) if offer_id not in known]
    offers = [(offer_id, weight) for _, _, offer_id, weight in sorted(placed)] + added
    if len(offers) > MOST_ON_ROUTE:
        errors["form"] = gettext(N_("At most 50 offers stand on one route."))
    if errors or form is None:
        raise InvalidForm(errors, sent.values())
    policy = None if form.policy == "category" else form.policy
    own_stock = None if form.own_stock == "category" else form.own_stock
    return form, RouteTerms(offers, policy, form.floor, form.deadline_minutes * 60, own_stock)


def _ids(texts: Sequence[str]) -> list[UUID]:
    """The ids among texts, each once, in their order; what is none is passed over."""
    found: dict[UUID, None] = {}
    for text in texts[:400]:
        try:
            found[UUID(text)] = None
        except ValueError:
            continue
    return list(found)


def ids_sent(sent: RawForm, name: str) -> list[UUID]:
    """The ids sent under a name."""
    return _ids(sent.all(name))


def _whole(text: str, least: int, most: int) -> int | None:
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 5):
        return None
    return int(plain) if least <= int(plain) <= most else None


@dataclass(frozen=True, slots=True)
class TestAsked:
    """What a test order's form asked for."""

    account: Mapping[str, str] = field(repr=False)
    face_value_minor: int | None


def read_test(sent: RawForm, fields: Sequence[AccountField], least_minor: int | None, most_minor: int | None) -> TestAsked:
    """The recharge account and value of a test order. Raises: InvalidForm with every fault."""
    errors: dict[str, str] = {}
    account = {one.name: sent.get(ACCOUNT + one.name).strip()[:200] for one in fields}
    for one in fields:
        value = account[one.name]
        if not value and one.is_required:
            errors[ACCOUNT + one.name] = gettext(N_("Fill this in."))
        elif value and one.pattern and not re.fullmatch(one.pattern, value):
            errors[ACCOUNT + one.name] = gettext(N_("This does not have the form the supplier asks for."))
    value_minor = None
    if least_minor is not None:
        value_minor = parse_minor(sent.get("face_value"))
        most = most_minor if most_minor is not None else MAX_MINOR
        if value_minor is None or not least_minor <= value_minor <= most:
            errors["face_value"] = gettext(N_("Type a value within the supplier's range."))
    if "is_meant" not in sent:
        errors["is_meant"] = gettext(N_("Tick this: a test order is a real purchase."))
    if errors:
        raise InvalidForm(errors, sent.values())
    return TestAsked({name: value for name, value in account.items() if value}, value_minor)
