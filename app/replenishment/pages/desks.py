"""A supplier's private link in the hands of staff: made, renewed, taken away."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import base
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.web import AnyRequest, see_other
from app.replenishment import desks
from app.suppliers import adjusting
from tenants.directory import Tenant
from tenants.session import raw


class SupplierLinkPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/{supplier_id:uuid}/desk"
    guards = (may(Permission.SUPPLY_EDIT),)

    @post()
    async def make(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, supplier_id: FromPath[UUID]
    ) -> Response[Any]:
        """A new link; the one before is dead at once. Raises: NotFound."""
        await desks.make(await raw(session), supplier_id, actor=actor)
        return see_other(
            request,
            f"{base(tenant)}/suppliers/{supplier_id}#desk",
            flash=N_("A new link is made. Earlier ones open nothing any more."),
        )

    @post("/revocation")
    async def revoke(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, supplier_id: FromPath[UUID]
    ) -> Response[Any]:
        """Take the link away. Raises: NotFound."""
        await adjusting.supplier_or_404(session, supplier_id)
        await desks.revoke(await raw(session), supplier_id, actor=actor)
        return see_other(
            request, f"{base(tenant)}/suppliers/{supplier_id}#desk", flash=N_("Taken away. It opens nothing any more.")
        )
