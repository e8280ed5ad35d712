"""Whether a SKU asks a supplier for more by itself when it runs low."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import base
from app.inventory import queries as inventory
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import RawForm, invalid, parse
from app.kernel.web import AnyRequest, page, see_other
from app.replenishment import queries, restocking
from app.replenishment.forms import RestockForm
from app.replenishment.pages.asking import shared
from app.replenishment.restocking import Restock
from app.replenishment.rules import Standing, units_wanted
from tenants.directory import Tenant
from tenants.session import raw

_PAGE: Final = "replenishment/restock.html"


class RestockPages(Controller):
    path = "/m/{tenant_slug:str}/card-pools/{sku_id:uuid}/restock"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sku_id: FromPath[UUID]) -> Response[str]:
        """Whom it asks, and for how many. Raises: NotFound for what is not of card-keys."""
        return page(request, _PAGE, **await _context(request, session, tenant, sku_id))

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, sku_id: FromPath[UUID]
    ) -> Response[Any]:
        """Have it ask from its next warning on; without a supplier, no more. Raises: NotFound."""
        context = await _context(request, session, tenant, sku_id)
        wanted = None
        if sent.get("supplier").strip():
            form = parse(RestockForm, sent, retry=_PAGE, **context)
            wanted = Restock(form.supplier, form.units, form.cost)
        try:
            await restocking.set_rule(await raw(session), sku_id, wanted, actor=actor)
        except NotFound:
            raise invalid(sent, {"supplier": N_("Choose one of the options.")}, retry=_PAGE, **context) from None
        return see_other(request, f"{base(tenant)}/card-pools/{sku_id}/restock", flash=N_("Saved."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: UUID) -> dict[str, Any]:
    sku, product, _ = await inventory.pool_or_404(session, sku_id)
    tx = await raw(session)
    rule = await queries.rule_of(tx, sku_id)
    standing = (await queries.standings(tx, [sku_id]))[0]
    suggested = units_wanted(Standing(0, standing["threshold"], standing["per_day"]))
    return {
        **shared(request, tenant),
        "sku": sku,
        "product": product,
        "rule": rule,
        "units": rule["units"] if rule else suggested,
        "unit_cost": rule["unit_cost"] if rule else standing["unit_cost"],
        "threshold": standing["threshold"],
        "suppliers": await queries.suppliers(tx),
    }
