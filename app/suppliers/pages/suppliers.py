"""Suppliers and their connections: the list, and the form of a supplier's terms."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import failing
from app.aftersales import service as aftersales
from app.catalog.pages.shared import either
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import InvalidForm, RawForm, parse
from app.kernel.i18n import said
from app.kernel.web import AnyRequest, page, see_other
from app.replenishment import desks
from app.replenishment import queries as replenishment
from app.replenishment.models import OPEN
from app.suppliers import adjusting, overview, service
from app.suppliers.forms import SupplierForm
from app.suppliers.models import Supplier
from app.suppliers.pages.shared import shared
from app.suppliers.service import SupplierTerms
from tenants.directory import Tenant
from tenants.session import raw

_FORM = "suppliers/supplier.html"


class SupplierPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """All suppliers, each with its connections and how they stand."""
        tx = await raw(session)
        lines = await overview.lines(tx)
        everyone = await overview.suppliers(tx)
        by_supplier = {row["id"]: [line for line in lines if line.row["supplier_id"] == row["id"]] for row in everyone}
        context = {**shared(request, tenant), "suppliers": everyone, "by_supplier": by_supplier}
        return either(request, "suppliers/index.html", "suppliers/_list.html", **context)

    @get("/new", guards=[may(Permission.SUPPLY_EDIT)])
    async def new(self, request: AnyRequest, tenant: Tenant) -> Response[str]:
        return page(request, _FORM, **shared(request, tenant), supplier=None)

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Write a supplier down; the form of its first connection follows."""
        context = {**shared(request, tenant), "supplier": None}
        form = parse(SupplierForm, sent, retry=_FORM, **context)
        try:
            supplier = await service.add_supplier(session, _terms(form), actor=actor)
        except service.NameTaken as refusal:
            raise _taken(refusal, sent, context) from None
        words = N_("Saved. Now connect it.")
        return see_other(request, f"{context['home']}/{supplier.id}/connections/new", flash=words)

    @get("/{supplier_id:uuid}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supplier_id: FromPath[UUID]
    ) -> Response[str]:
        """A supplier's terms. Raises: NotFound."""
        return page(request, _FORM, **await _context(request, session, tenant, supplier_id))

    @post("/{supplier_id:uuid}", guards=[may(Permission.SUPPLY_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supplier_id: FromPath[UUID],
    ) -> Response[Any]:
        context = await _context(request, session, tenant, supplier_id)
        form = parse(SupplierForm, sent, retry=_FORM, **context)
        supplier: Supplier = context["supplier"]
        try:
            await adjusting.change_supplier(session, supplier, _terms(form), actor=actor)
        except service.NameTaken as refusal:
            raise _taken(refusal, sent, context) from None
        return see_other(request, context["home"], flash=N_("Saved."))


def _terms(form: SupplierForm) -> SupplierTerms:
    return SupplierTerms(
        form.name, form.contact, form.settlement_days, form.claim_days, form.terms, email=form.email, locale=form.locale
    )


def _taken(refusal: service.NameTaken, sent: RawForm, context: dict[str, Any]) -> InvalidForm:
    return InvalidForm({"name": said(refusal)}, sent.values(), _FORM, context)


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, supplier_id: UUID) -> dict[str, Any]:
    supplier = await adjusting.supplier_or_404(session, supplier_id)
    tx = await raw(session)
    given = shared(request, tenant)
    return {
        **given,
        "supplier": supplier,
        "email": await adjusting.email_of(session, supplier) if given["may_edit"] else supplier.email_masked,
        "desk": await desks.desk_of(tx, supplier_id),
        "desk_address": await desks.address_of(tx, supplier_id) if given["may_edit"] else "",
        "replenishments": await replenishment.listed(tx, OPEN, supplier_id=supplier_id),
        "rates": await failing.of_supplier(tx, supplier_id),
        "policy": await aftersales.policy_of(tx),
        "may_void": may_do(request, Permission.INVENTORY_VOID),
    }
