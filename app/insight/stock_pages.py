"""Stock by age, what expires, and what might be culled, with what can be done about it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from pydantic import AfterValidator
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import clearing
from app.catalog.pages.shared import shop_changed
from app.insight import stock_report
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Amount, Form, RawForm, fail, invalid, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "insight/stock.html"


def _above_zero(value: int) -> int:
    if value <= 0:
        raise fail(N_("Type a price above zero."))
    return value


class ClearanceForm(Form):
    sku: UUID
    price: Annotated[Amount, AfterValidator(_above_zero)]


class StockReportPages(Controller):
    path = "/m/{tenant_slug:str}/stock-report"
    guards = (may(Permission.INVENTORY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(request, session, tenant))

    @post("/clearances", guards=[may(Permission.CATALOG_EDIT)])
    async def clear(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Sell a SKU off at a lower price, with the one before struck through. Raises: NotFound."""
        context = await _context(request, session, tenant)
        named = sent.get("sku")[:40]
        form = parse(ClearanceForm, RawForm({"sku": [named], "price": [sent.get(f"price-{named}")]}, {}), retry=_PAGE, **context)
        try:
            await clearing.clear_out(session, form.sku, price_minor=form.price, actor=actor)
        except clearing.NotLower as refusal:
            raise invalid(sent, {f"price-{named}": refusal.message}, retry=_PAGE, **context) from None
        await shop_changed(session, tenant)
        return see_other(
            request, f"/m/{tenant.slug}/stock-report", flash=N_("Its price is lowered; the one before is struck through.")
        )


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    return {
        "base": f"/m/{tenant.slug}",
        "report": await stock_report.report(await raw(session)),
        "sold_days": stock_report.SOLD_DAYS,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        "may_ask": may_do(request, Permission.SUPPLY_EDIT),
    }
