"""Which face values of a product's SKUs are sold, and at what rate."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from babel.numbers import get_currency_precision
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.models import DeliveryKind, Product
from app.catalog.pages.shared import base, shop_changed
from app.catalog.queries import product_or_404, ranges_of
from app.catalog.values import ValueRange
from app.inventory.by_value import HasStock, KeysOnTheWay
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Amount, Form, InvalidForm, RawForm, fail, parse_part
from app.kernel.i18n import format_money, gettext, said
from app.kernel.money import parse_cost
from app.kernel.web import AnyRequest, page, see_other
from app.pricing.costs import costs_of
from app.pricing.floors import BelowFloor
from app.pricing.pages.shared import margin_of
from app.pricing.ranges import InBundle, TooDearForUs, by_value, set_range
from app.suppliers.queries import values_on_route
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "pricing/values.html"
_MOST_VALUE = 99_999_999
MOST_BELOW_LEAST = N_("The greatest value cannot be below the least.")
HUNDREDTHS_ONLY = N_("Values are counted in hundredths here. Choose another currency.")


def _rate(value: object) -> object:
    rate = parse_cost(value) if isinstance(value, str) else None
    if rate is None or not 0 < rate <= 10_000:
        raise fail(N_("Type a rate such as 0.98, above zero and with six decimals at most."))
    return rate


def _hundredths(value: str) -> str:
    if get_currency_precision(value) != 2:
        raise fail(HUNDREDTHS_ONLY)
    return value


def _bounded(value: int) -> int:
    if not 0 < value <= _MOST_VALUE:
        raise fail(N_("Type a value from %(least)s to %(most)s."), least=format_money(1), most=format_money(_MOST_VALUE))
    return value


Value = Annotated[Amount, AfterValidator(_bounded)]


class RangeForm(Form):
    """The face values of one SKU. The rate is what 1 of value costs the buyer."""

    least: Value
    most: Value
    step: Value
    rate: Annotated[Decimal, BeforeValidator(_rate)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_hundredths)] = "CNY"


class ValuePages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/values"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The face values. Raises: NotFound for kinds that are not sold by value."""
        product = await _product_or_404(session, product_id)
        return page(request, _PAGE, **await _context(request, session, tenant, product))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await _product_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        wanted = _read(sent, product, context)
        for sku_id, values in sorted(wanted.items(), key=lambda one: one[0]):
            try:
                await set_range(session, product_id, sku_id, values, actor=actor)
            except (InBundle, HasStock, KeysOnTheWay) as refusal:
                raise InvalidForm({f"{sku_id}-by": said(refusal)}, sent.values(), _PAGE, context) from None
            except (TooDearForUs, BelowFloor) as refusal:
                raise InvalidForm({f"{sku_id}-rate": said(refusal)}, sent.values(), _PAGE, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/values", flash=N_("Saved."))


async def _product_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await product_or_404(session, product_id)
    if not by_value(product.delivery_kind):
        raise NotFound
    return product


def _read(sent: RawForm, product: Product, context: Mapping[str, Any]) -> dict[UUID, ValueRange | None]:
    """What each SKU shall be sold by, all faults at once; None is one value at one price. Raises: InvalidForm."""
    wanted: dict[UUID, ValueRange | None] = {}
    errors: dict[str, str] = {}
    for sku in product.on_shelf:
        if sent.get(f"{sku.id}-by") != "range":
            wanted[sku.id] = None
            continue
        try:
            form = parse_part(RangeForm, sent, f"{sku.id}-")
        except InvalidForm as refusal:
            errors |= refusal.errors
            continue
        if form.most < form.least:
            errors[f"{sku.id}-most"] = gettext(MOST_BELOW_LEAST)
        wanted[sku.id] = ValueRange(form.least, form.most, form.step, form.rate, form.currency)
    if errors:
        raise InvalidForm(errors, sent.values(), _PAGE, context)
    return wanted


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product) -> dict[str, Any]:
    skus, tx = product.on_shelf, await raw(session)
    ranges, costs = await ranges_of(session, product.id), await costs_of(tx, [sku.id for sku in skus])
    offered = await values_on_route(tx, [sku.id for sku in skus])
    rows = [
        {
            "sku": sku,
            "range": (sold := ranges.get(sku.id)),
            "margin": margin_of(sku.listing.price_minor, costs.get(sku.id)) if sold else None,
            "rate": format(sold.rate.normalize(), "f") if sold else "",
            "prices": _examples(sold) if sold else (),
            "offered": offered.get(sku.id, ()),
        }
        for sku in skus
    ]
    may_edit = may_do(request, Permission.CATALOG_EDIT)
    is_card = product.delivery_kind == DeliveryKind.CARD_KEY
    return {"base": base(tenant), "product": product, "rows": rows, "is_card": is_card, "may_edit": may_edit}


def _examples(sold: ValueRange) -> list[tuple[int, int]]:
    """Some values and what they cost: both ends, and one in the middle."""
    steps = (sold.greatest_minor - sold.least_minor) // sold.step_minor
    shown = sorted({sold.least_minor, sold.least_minor + steps // 2 * sold.step_minor, sold.greatest_minor})
    return [(value, sold.price_minor(value)) for value in shown]
