"""What a product that people deliver promises, and how many of it may be sold."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import by_hand, queries
from app.catalog import service as catalog
from app.catalog.by_hand import MOST_HOURS, Promise
from app.catalog.models import DeliveryKind, Product
from app.catalog.pages import quotas
from app.catalog.pages.shared import base, shop_changed
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Count, Form, RawForm, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant

_PAGE = "catalog/by_hand.html"


class PromiseForm(Form):
    """Hours from the payment to the delivery."""

    within_h: Annotated[Count, BeforeValidator(lambda value: value or "24"), Field(ge=1, le=MOST_HOURS)] = 24


class ByHandPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/by-hand"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The promise and the counts. Raises: NotFound for other kinds."""
        product = await _manual_or_404(session, product_id)
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
        product = await _manual_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        form = parse(PromiseForm, sent, retry=_PAGE, **context)
        allowed = quotas.read(sent, retry=_PAGE, context=context)
        await catalog.set_by_hand(session, product_id, Promise(form.within_h), actor=actor)
        await quotas.allow(session, allowed)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/by-hand", flash=N_("Saved."))


async def _manual_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.MANUAL:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "product": product,
        "promise": by_hand.promise_of(product.by_hand),
        **await quotas.context_of(session, product),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }
