"""Card pools: all of them, one of them, and the form that imports into it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.pages.shared import base, either
from app.catalog.values import ValueRange
from app.inventory import importing, queries
from app.inventory.by_value import SoldByValue
from app.inventory.forms import ImportForm
from app.inventory.models import NEVER
from app.inventory.pages.uploading import MOST_BODY_BYTES, upload, upload_problem
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.forms import LONGEST_VALUE, InvalidForm, RawForm, invalid, parse
from app.kernel.i18n import said
from app.kernel.web import page, see_other
from tenants.directory import Tenant

AnyRequest = Request[Any, Any, Any]
_FORM = "inventory/import.html"
EXPIRING_DAYS = 30


class PoolPages(Controller):
    path = "/m/{tenant_slug:str}/card-pools"
    guards = (may(Permission.INVENTORY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """Every pool, the emptiest first; `?low=1` those that run low."""
        pools = await queries.pools(session)
        low = [pool for pool in pools if (pool[2].available if pool[2] else 0) < max(pool[0].warn_below, 1)]
        only_low = request.query_params.get("low") == "1"
        context = {
            "base": base(tenant),
            "pools": low if only_low else pools,
            "ranges": await queries.ranges_by_sku(session, [sku.id for sku, _, _ in pools]),
            "all_count": len(pools),
            "low_count": len(low),
            "only_low": only_low,
            "may_import": may_do(request, Permission.INVENTORY_IMPORT),
            "may_ask": may_do(request, Permission.SUPPLY_EDIT),
        }
        return either(request, "inventory/index.html", "inventory/_pools.html", **context)

    @get("/{sku_id:uuid}")
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: FromPath[UUID]) -> Response[str]:
        sku, product, stock = await queries.pool_or_404(session, sku_id)
        context = {
            "base": base(tenant),
            "sku": sku,
            "product": product,
            "stock": stock,
            "sold_by": await _range_of(session, sku_id),
            "batches": await queries.batches_of(session, sku_id),
            "expiring": await queries.expiring(session, sku_id, until=clock.business_day(), days=EXPIRING_DAYS),
            "expiring_days": EXPIRING_DAYS,
            "never": NEVER,
            "may_import": may_do(request, Permission.INVENTORY_IMPORT),
            "may_ask": may_do(request, Permission.SUPPLY_EDIT),
        }
        return either(request, "inventory/show.html", "inventory/_batches.html", **context)

    @get("/{sku_id:uuid}/imports", guards=[may(Permission.INVENTORY_IMPORT)])
    async def new_import(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: FromPath[UUID]
    ) -> Response[str]:
        return page(request, _FORM, **await _context(session, tenant, sku_id))

    @post("/{sku_id:uuid}/imports", guards=[may(Permission.INVENTORY_IMPORT)], request_max_body_size=MOST_BODY_BYTES)
    async def start_import(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, sku_id: FromPath[UUID]
    ) -> Response[Any]:
        """Take an upload in and have it checked; the page of its batch follows."""
        context = await _context(session, tenant, sku_id)
        faults: dict[str, str] = {}
        form = None
        try:
            form = parse(ImportForm, sent)
        except InvalidForm as refusal:
            faults = refusal.errors
        body, name = await upload(sent)
        if (problem := upload_problem(sent, body)) or form is None:
            more = invalid(sent, {"file": problem} if problem else {}, retry=_FORM, **context)
            raise InvalidForm({**more.errors, **faults}, more.values, _FORM, context)
        try:
            batch = await importing.start_import(
                session, sku_id=sku_id, body=body, file_name=name, terms=(form.unit_cost, form.expires_on), actor=actor
            )
        except (importing.EmptyImport, SoldByValue) as refusal:
            raise InvalidForm({"file": said(refusal)}, sent.values(), _FORM, context) from None
        return see_other(request, f"{base(tenant)}/imports/{batch.batch_no}")


async def _context(session: AsyncSession, tenant: Tenant, sku_id: UUID) -> dict[str, Any]:
    sku, product, stock = await queries.pool_or_404(session, sku_id)
    sold_by = await _range_of(session, sku_id)
    return {
        "base": base(tenant),
        "sku": sku,
        "product": product,
        "stock": stock,
        "sold_by": sold_by,
        "longest_paste": LONGEST_VALUE,
    }


async def _range_of(session: AsyncSession, sku_id: UUID) -> ValueRange | None:
    """The face values it is sold by, where it is."""
    return (await queries.ranges_by_sku(session, [sku_id])).get(sku_id)
