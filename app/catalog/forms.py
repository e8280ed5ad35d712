"""The product form: a product and its SKU rows, checked together, every fault beside its own field."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from app.catalog import accounts, richtext
from app.catalog.accounts import AccountField
from app.catalog.models import DeliveryKind, ProductType
from app.catalog.service import ProductTerms, SkuTerms
from app.kernel.errors import N_
from app.kernel.forms import (
    Amount,
    Checked,
    Count,
    Form,
    InvalidForm,
    Line,
    OptionalAmount,
    OptionalCount,
    OptionalLine,
    RawForm,
    Text,
    fail,
    parse,
    parse_part,
)
from app.kernel.i18n import filled, gettext

MOST_ROWS = 30
ICONS = (
    "ticket", "gift", "film", "music", "gamepad-2", "coins", "phone", "coffee", "utensils", "book-open", "shopping-bag", "crown",
    "car", "plane", "cloud", "key-round",
)  # fmt: skip
HUES = (1, 2, 3, 4, 5, 6)
_ROW = re.compile(r"^sku-(\d{1,3})-name$")

ABOUT = "about-"
"""Before the names of fields that say something of a product."""
NOT_A_KIND = N_("Choose one of the options.")
NO_SKU = N_("Add at least one SKU.")
TOO_MANY_SKUS = N_("At most 30 SKUs belong to one product.")
WAS_TOO_LOW = N_("The struck-through price must be above the price. Leave it empty if there is none.")
TWICE = N_("Another SKU above has this name already.")


def _above_zero(value: int) -> int:
    if value <= 0:
        raise fail(N_("Type a price above zero."))
    return value


def known_icon(value: str) -> str:
    """A symbol covers may have."""
    if value not in ICONS:
        raise fail(N_("Choose one of the options."))
    return value


def _whole_limit(value: int | None) -> int | None:
    if value == 0:
        raise fail(N_("At least 1, or empty for no limit."))
    return value


Id = Annotated[UUID | None, BeforeValidator(lambda value: value or None)]


class ProductForm(Form):
    """What is asked about a product. `category` is the id of one; `new_category` names another and wins."""

    name: Line
    summary: OptionalLine = ""
    category: Id = None
    new_category: Annotated[str, StringConstraints(max_length=60, pattern=r"^[^\n\r]*$")] = ""
    description: Text = ""
    usage: Text = ""
    cover_icon: Annotated[str, AfterValidator(known_icon)] = "ticket"
    cover_hue: Annotated[Count, Field(ge=1, le=6)] = 4
    buyer_limit: Annotated[OptionalCount, AfterValidator(_whole_limit)] = None


class SkuForm(Form):
    """One row of the SKU table."""

    id: Id = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]
    price: Annotated[Amount, AfterValidator(_above_zero)]
    was: OptionalAmount = None
    face_value: OptionalAmount = None
    region: Annotated[str, StringConstraints(max_length=60, pattern=r"^[^\n\r]*$")] = ""
    warn_below: Annotated[Count, BeforeValidator(lambda value: value or "0")] = 0
    warn_days: Annotated[Count, BeforeValidator(lambda value: value or "0"), Field(le=365)] = 0
    is_hot: Checked = False


class CategoryForm(Form):
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a product is or shall be: a kind of delivery, or a type of the merchant's own with its fields. None for one that is gone."""

    kind: DeliveryKind
    type: ProductType | None = None
    is_gone: bool = False

    @property
    def value(self) -> str:
        return str(self.type.id) if self.type else self.kind.value

    @property
    def fields(self) -> tuple[AccountField, ...]:
        """What is to be said of the product."""
        return accounts.fields_of(self.type.product_fields) if self.type else ()


def rows_of(sent: RawForm) -> list[int]:
    """The numbers of the SKU rows in a sent form, in order."""
    return sorted(int(found[1]) for name in sent.values() if (found := _ROW.match(name)))


def read_product(sent: RawForm, chosen: Chosen) -> tuple[ProductTerms, str]:
    """The product as it was typed, and the name of a category to be made for it. Raises: InvalidForm with the faults of every row."""
    errors: dict[str, str] = {"kind": gettext(NOT_A_KIND)} if chosen.is_gone else {}
    said = accounts.check(chosen.fields, {one.name: sent.get(ABOUT + one.name)[:200] for one in chosen.fields})
    errors |= {ABOUT + name: filled(message, facts) for name, (message, facts) in said.faults.items()}
    product, rows = None, []
    try:
        product = parse(ProductForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    numbers = rows_of(sent)
    for number in numbers[:MOST_ROWS]:
        try:
            rows.append((number, parse_part(SkuForm, sent, f"sku-{number}-")))
        except InvalidForm as refusal:
            errors |= refusal.errors
    errors |= {name: gettext(message) for name, message in _row_faults(numbers, rows).items() if name not in errors}
    if errors or product is None:
        raise InvalidForm(errors, sent.values())
    terms = _terms(product, chosen.kind, [row for _, row in rows])
    about = accounts.told(chosen.fields, said.values)
    return replace(terms, type_id=chosen.type.id if chosen.type else None, attributes=about), product.new_category


def _row_faults(numbers: list[int], rows: list[tuple[int, SkuForm]]) -> dict[str, str]:
    faults, seen = {}, set()
    if not numbers:
        faults["skus"] = NO_SKU
    if len(numbers) > MOST_ROWS:
        faults["skus"] = TOO_MANY_SKUS
    for number, row in rows:
        if row.was is not None and row.was <= row.price:
            faults[f"sku-{number}-was"] = WAS_TOO_LOW
        if row.name in seen:
            faults[f"sku-{number}-name"] = TWICE
        seen.add(row.name)
    return faults


def _terms(product: ProductForm, kind: DeliveryKind, rows: list[SkuForm]) -> ProductTerms:
    return ProductTerms(
        name=product.name,
        delivery_kind=kind,
        skus=[
            SkuTerms(row.name, row.price, row.was, row.face_value, row.region, row.warn_below, row.is_hot, row.warn_days, row.id)
            for row in rows
        ],
        summary=product.summary,
        category_id=None if product.new_category else product.category,
        description_html=richtext.from_plain(product.description),
        usage_html=richtext.from_plain(product.usage),
        cover_icon=product.cover_icon,
        cover_hue=product.cover_hue,
        buyer_limit=product.buyer_limit,
    )
