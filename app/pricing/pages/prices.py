"""The price grid of a product: what one costs by the number, edited in place, with what each price leaves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import either, shop_changed
from app.catalog.queries import product_or_404
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import InvalidForm, RawForm
from app.kernel.i18n import said
from app.kernel.web import AnyRequest, page, see_other
from app.pricing import floors
from app.pricing import service as pricing
from app.pricing.floors import BelowFloor
from app.pricing.pages.forms import read_floors, read_steps
from app.pricing.pages.shared import prices_context
from app.pricing.service import ManyValues
from tenants.directory import Tenant

_PAGE = "pricing/prices.html"


class PricePages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/prices"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The grid and the rules. Raises: NotFound."""
        product = await product_or_404(session, product_id)
        return page(request, _PAGE, **await prices_context(request, session, tenant, product))

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
        """Save the steps, or with `act=look` only say what they would leave."""
        product = await product_or_404(session, product_id)
        skus = [sku.id for sku in product.on_shelf]
        steps, (margins, wrong) = read_steps(sent, skus), read_floors(sent, skus)
        faults = {**steps.faults, **wrong}
        if sent.get("act") == "look":
            context = await prices_context(request, session, tenant, product, steps)
            return either(request, _PAGE, "pricing/_grid.html", **context, errors=faults, values=sent.values())
        context = await prices_context(request, session, tenant, product, steps)
        if faults:
            raise InvalidForm(faults, sent.values(), _PAGE, context)
        try:
            await pricing.set_tiers(session, product_id, steps.by_sku, actor=actor)
            await floors.set_floors(session, product_id, margins, actor=actor)
        except (BelowFloor, ManyValues) as refusal:
            raise InvalidForm({"grid": said(refusal)}, sent.values(), _PAGE, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"/m/{tenant.slug}/products/{product_id}/prices", flash=N_("Saved."))
