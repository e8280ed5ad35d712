"""What tests of replenishment begin with: a supplier, goods asked of him, and the browser of whoever holds his link."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2

from app.kernel.ids import new_id
from app.replenishment import desks, queries, service
from app.replenishment.desks import Holder
from app.replenishment.service import Request, WantedGoods
from app.settings import settings
from app.suppliers import service as suppliers
from app.suppliers.service import SupplierTerms
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

COST = Decimal("14.7")
"""What `World.stock` imports keys at."""


async def supplier(world: World, name: str = "Northbank", *, email: str = "", tenant: Tenant | None = None) -> Holder:
    """A supplier with a private link, as the one who holds it."""
    async with tenant_session(tenant or world.tenant) as session:
        made = await suppliers.add_supplier(session, SupplierTerms(name, email=email, locale="en"), actor=STAFF)
    async with tenant_tx(tenant or world.tenant) as tx:
        await desks.make(tx, made.id, actor=STAFF)
    return Holder(made.id, name)


async def asked(
    world: World, of: Holder, *goods: tuple[UUID, int], confirmed: bool = False, tenant: Tenant | None = None, **more: Any
) -> str:
    """Goods asked of a supplier, and confirmed in full if so wished; the number."""
    async with tenant_tx(tenant or world.tenant) as tx:
        wanted = [WantedGoods(sku_id, units, COST) for sku_id, units in goods]
        no = await service.ask(tx, Request(new_id(), of.supplier_id, wanted, **more), actor=STAFF)
        assert no
        if confirmed:
            row = await queries.one_or_404(tx, no, lock=True)
            units = {line["id"]: line["units"] for line in await queries.lines_of(tx, row["id"])}
            await service.confirm(tx, row, units, promised_on=None, actor=of.actor)
    return no


async def line_of(world: World, no: str, *, tenant: Tenant | None = None) -> UUID:
    """The first line of a replenishment."""
    query = "select l.id from replenishment_line l join replenishment r on r.id = l.replenishment_id where r.replenishment_no = $1 order by position"
    found: UUID = await world.value(query, no, tenant=tenant)
    return found


async def state_of(world: World, no: str) -> str:
    found: str = await world.value("select state from replenishment where replenishment_no = $1", no)
    return found


@dataclass
class Desk:
    """The browser of whoever holds a supplier's link. Paths are below the link."""

    browser: httpx2.AsyncClient
    base: str
    _token: str = field(default="")

    async def get(self, path: str = "") -> httpx2.Response:
        answer = await self.browser.get(self.base + path)
        if found := re.search(r'name="csrf-token" content="([^"]+)"', answer.text):
            self._token = found[1]
        return answer

    async def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> httpx2.Response:
        """Send a form with its token."""
        if not self._token:
            await self.get()
        return await self.browser.post(self.base + path, data=data or {}, headers={"x-csrf-token": self._token}, **more)


async def desk(world: World, of: Holder, *, tenant: Tenant | None = None) -> Desk:
    """A browser that was given a supplier's link."""
    async with tenant_tx(tenant or world.tenant) as tx:
        address = await desks.address_of(tx, of.supplier_id)
    return Desk(world.client("app"), address.removeprefix(settings().app_url))
