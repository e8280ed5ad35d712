"""Categories: their order, names and end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import queries
from app.catalog import service as catalog
from app.catalog.forms import CategoryForm
from app.catalog.pages.shared import base, shop_changed
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest
from app.kernel.forms import InvalidForm, RawForm, parse
from app.kernel.i18n import said
from app.kernel.web import page, see_other
from tenants.directory import Tenant

AnyRequest = Request[Any, Any, Any]
_PAGE = "catalog/categories.html"


class CategoryPages(Controller):
    path = "/m/{tenant_slug:str}/categories"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(request, session, tenant))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def create(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, sent: RawForm) -> Response[Any]:
        context = await _context(request, session, tenant)
        form = parse(CategoryForm, sent, retry=_PAGE, **context)
        await catalog.category_named(session, form.name)
        return await _done(request, session, tenant)

    @post("/{category_id:uuid}", guards=[may(Permission.CATALOG_EDIT)])
    async def rename(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        category_id: FromPath[UUID],
    ) -> Response[Any]:
        await queries.category_or_404(session, category_id)
        renamed = RawForm({"name": sent.all(f"name-{category_id}")}, {})
        context = await _context(request, session, tenant)
        form = parse(CategoryForm, renamed, retry=_PAGE, **{**context, "renaming": category_id})
        try:
            await catalog.rename_category(session, category_id, name=form.name, actor=actor)
        except catalog.CategoryNameTaken as refusal:
            raise InvalidForm({"name": said(refusal)}, renamed.values(), _PAGE, {**context, "renaming": category_id}) from None
        return await _done(request, session, tenant)

    @post("/{category_id:uuid}/position", guards=[may(Permission.CATALOG_EDIT)])
    async def move(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sent: RawForm, category_id: FromPath[UUID]
    ) -> Response[Any]:
        steps = {"up": -1, "down": 1}
        if sent.get("to") not in steps:
            raise BadRequest
        await catalog.move_category(session, category_id, by=steps[sent.get("to")])
        return await _done(request, session, tenant)

    @post("/{category_id:uuid}/removal", guards=[may(Permission.CATALOG_EDIT)])
    async def remove(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, category_id: FromPath[UUID]
    ) -> Response[Any]:
        await catalog.delete_category(session, category_id, actor=actor)
        return await _done(request, session, tenant)


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "categories": await queries.categories(session),
        "sizes": await queries.category_sizes(session),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        "renaming": None,
    }


async def _done(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[None]:
    await shop_changed(session, tenant)
    return see_other(request, f"{base(tenant)}/categories", flash=N_("Saved."))
