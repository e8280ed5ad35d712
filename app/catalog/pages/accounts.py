"""What the buyers of a product state before they pay: its fields, written here, taken over from an offer, or those of its type."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import accounts, queries
from app.catalog import service as catalog
from app.catalog.models import Product
from app.catalog.pages.fields import BUYER_KINDS, context_of, read_fields, redrawn, rows_of
from app.catalog.pages.shared import base, either, shop_changed
from app.catalog.product_types import TYPED
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.forms import InvalidForm, RawForm
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import queries as suppliers
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "catalog/account.html"


class FieldsOfType(DomainError):
    message = N_("The fields of this product are those of its type %(name)s. Change them there.")


class AccountPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/account"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The fields, or with `?offer=` those a supplier's offer asks for, not yet saved. Raises: NotFound for what is made of other products."""
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
        """Save the fields, or with `act` show the form with a row more or fewer. Raises: FieldsOfType."""
        product = await _product_or_404(session, product_id)
        if product.type is not None:
            raise FieldsOfType(name=product.type.name)
        context = await _context(request, session, tenant, product, sent)
        if act := sent.get("act"):
            values, rows = redrawn(sent, act, context["row_rows"])
            return either(
                request, _PAGE, "catalog/_fields.html", **{**context, **context_of(*rows), "rows": rows[0], "values": values}
            )
        try:
            fields = read_fields(sent)
        except InvalidForm as refusal:
            refusal.retry, refusal.context = _PAGE, context
            raise
        refuses = sent.get("refuses_virtual") == "yes"
        await catalog.set_account(session, product_id, fields, refuses_virtual=refuses, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/account", flash=N_("Saved."))

    @post("/binding", guards=[may(Permission.CATALOG_EDIT)])
    async def bind(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        """Credit only what a buyer has proved, or anything again. Raises: NotFound, NothingToProve."""
        await _product_or_404(session, product_id)
        await catalog.bind_account(session, product_id, is_bound=sent.get("is_bound") == "yes", actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/account", flash=N_("Saved."))


async def _product_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind not in TYPED:
        raise NotFound
    return product


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, sent: RawForm | None = None
) -> dict[str, Any]:
    offers = await suppliers.offers_with_account(await raw(session), [sku.id for sku in product.skus])
    wanted = request.query_params.get("offer", "")
    offered = next((offer for offer in offers if str(offer["id"]) == wanted), None)
    fields = accounts.from_offer(json.loads(offered["account_fields"])) if offered else accounts.fields_of(product.buyer_fields)
    return {
        "base": base(tenant),
        "form_path": f"{base(tenant)}/products/{product.id}/account",
        "product": product,
        "can_bind": accounts.bound_field(accounts.fields_of(product.buyer_fields)) is not None,
        "fields": fields,
        "kinds": BUYER_KINDS,
        "offers": offers,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        **context_of(rows_of("row", fields, BUYER_KINDS, sent, least=1)),
    }
