"""What a subscription delivers each cycle, how long a cycle is, and how many cycles its price pays for."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import bundles, plans, queries
from app.catalog.models import CycleUnit, DeliveryKind, Product, Sku
from app.catalog.pages.shared import KINDS, base, shop_changed
from app.catalog.plans import LONGEST_DAYS, MOST_CYCLES, MOST_GRACE_DAYS, MOST_OF_ONE, Plan, cycle_starts
from app.inventory.queries import sellable
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Count, Form, InvalidForm, RawForm, parse
from app.kernel.i18n import gettext, said
from app.kernel.money import split_minor
from app.kernel.web import AnyRequest, page, see_other
from app.ordering import subscriptions
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "catalog/plan.html"
SOON_DAYS = 30
PRICE_TOO_SMALL = N_("Its price is less than one minor unit for each unit it delivers. Raise the price first.")


def _one(value: object) -> object:
    return value or "1"


class PlanForm(Form):
    delivers: UUID
    quantity: Annotated[Count, BeforeValidator(_one), Field(ge=1, le=MOST_OF_ONE)] = 1
    cycle_unit: CycleUnit = CycleUnit.MONTH
    cycle_length: Annotated[Count, BeforeValidator(_one), Field(ge=1, le=LONGEST_DAYS)] = 1
    cycles: Annotated[Count, BeforeValidator(_one), Field(ge=1, le=MOST_CYCLES)] = 1
    grace_days: Annotated[Count, BeforeValidator(lambda value: value or "0"), Field(ge=0, le=MOST_GRACE_DAYS)] = 0


class PlanPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/plan"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The plan of the SKU in the address, or of the first. Raises: NotFound for other kinds."""
        product = await _subscription_or_404(session, product_id)
        wanted = request.query_params.get("sku", "")
        sku = next((one for one in product.on_shelf if str(one.id) == wanted), product.on_shelf[0])
        return page(request, _PAGE, **await _context(request, session, tenant, product, sku))

    @post("/{sku_id:uuid}", guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
        sku_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await _subscription_or_404(session, product_id)
        sku = next((one for one in product.on_shelf if one.id == sku_id), None)
        if sku is None:
            raise NotFound
        context = await _context(request, session, tenant, product, sku)
        form = parse(PlanForm, sent, retry=_PAGE, **context)
        if sku.listing.price_minor < form.cycles * form.quantity:
            raise InvalidForm({"cycles": gettext(PRICE_TOO_SMALL)}, sent.values(), _PAGE, context)
        plan = Plan(form.delivers, form.quantity, form.cycle_unit, form.cycle_length, form.cycles, form.grace_days)
        try:
            await plans.set_plan(session, product_id, sku_id, plan, actor=actor)
        except (plans.NotByCycles, plans.TooLong) as refusal:
            at = "delivers" if isinstance(refusal, plans.NotByCycles) else "cycle_length"
            raise InvalidForm({at: said(refusal)}, sent.values(), _PAGE, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/plan?sku={sku_id}", flash=N_("Saved."))


async def _subscription_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.SUBSCRIPTION or not product.on_shelf:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, sku: Sku) -> dict[str, Any]:
    tx = await raw(session)
    plan = (await plans.plans_of(tx, [sku.id])).get(sku.id)
    found = await bundles.choices(tx)
    choices = [(str(row["sku_id"]), f"{row['name']} ({gettext(KINDS[DeliveryKind(row['delivery_kind'])][0])})") for row in found]
    if plan and plan["sku_id"] not in {row["sku_id"] for row in found}:
        choices.append((str(plan["sku_id"]), f"{plan['product_name']} {plan['sku_name']}"))
    return {
        "base": base(tenant),
        "product": product,
        "skus": product.on_shelf,
        "sku": sku,
        "plan": plan,
        "options": [("", gettext(N_("Choose"))), *choices],
        "needed": await subscriptions.needed(tx, plan["sku_id"], days=SOON_DAYS) if plan else 0,
        "soon_days": SOON_DAYS,
        "stock": (await sellable(tx, [plan["sku_id"]]))[plan["sku_id"]] if plan else 0,
        "cycles": _shown_cycles(plan, sku) if plan else [],
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


def _shown_cycles(plan: Any, sku: Sku) -> list[Any]:
    """The cycles of one that is bought today: number, day and share of the price."""
    today, units = clock.business_day(), plan["quantity"]
    shares = split_minor(sku.listing.price_minor, [1] * (plan["cycles"] * units))
    return [
        (
            n + 1,
            cycle_starts(today, CycleUnit(plan["cycle_unit"]), plan["cycle_length"], n + 1),
            sum(shares[n * units : (n + 1) * units]),
        )
        for n in range(plan["cycles"])
    ]
