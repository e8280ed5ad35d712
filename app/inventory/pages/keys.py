"""One card-key: shown to staff, or voided; each with a reason."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import base, either
from app.inventory import queries, revealing
from app.inventory import service as inventory
from app.inventory.forms import ReasonForm
from app.inventory.pages.proving import count_reveal
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import RawForm, parse
from app.kernel.web import NO_STORE, is_partial, see_other
from tenants.directory import Tenant
from tenants.session import raw, tenant_session

AnyRequest = Request[Any, Any, Any]


class KeyPages(Controller):
    path = "/m/{tenant_slug:str}/card-keys/{card_key_id:uuid}"

    @get("/reveal", guards=[may(Permission.ORDERS_REVEAL)])
    async def ask_reveal(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, card_key_id: FromPath[UUID]
    ) -> Response[str]:
        """Asks why the key is to be shown."""
        return _ask(request, await _context(session, tenant, card_key_id, "reveal"))

    @post("/reveal", guards=[may(Permission.ORDERS_REVEAL)])
    async def reveal(
        self, request: AnyRequest, tenant: Tenant, *, actor: Actor, sent: RawForm, card_key_id: FromPath[UUID]
    ) -> Response[str]:
        """The key, once, to this reader; written down with his reason. A reveal counts even when the answer is lost."""
        async with tenant_session(tenant, read_only=True) as session:
            context = await _context(session, tenant, card_key_id, "reveal")
        retry = "inventory/_reason.html" if is_partial(request) else "inventory/reason.html"
        form = parse(ReasonForm, sent, retry=retry, **context)
        await count_reveal(request, tenant, actor=actor, sent=sent, retry=retry, context=context)
        async with tenant_session(tenant) as session:
            number, password = await revealing.reveal_key(await raw(session), card_key_id, reason=form.reason, actor=actor)
        shown = {**context, "number": number, "password": password}
        return either(request, "inventory/revealed.html", "inventory/_revealed.html", headers=NO_STORE, **shown)

    @get("/void", guards=[may(Permission.INVENTORY_VOID)])
    async def ask_void(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, card_key_id: FromPath[UUID]
    ) -> Response[str]:
        """Asks why the key is to be taken out."""
        return _ask(request, await _context(session, tenant, card_key_id, "void"))

    @post("/void", guards=[may(Permission.INVENTORY_VOID)])
    async def void(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        card_key_id: FromPath[UUID],
    ) -> Response[Any]:
        context = await _context(session, tenant, card_key_id, "void")
        form = parse(ReasonForm, sent, retry="inventory/reason.html", **context)
        await inventory.void_key(session, card_key_id=card_key_id, reason=form.reason, actor=actor)
        return see_other(request, context["back"], flash=N_("Voided: this key is never sold."))


def _ask(request: AnyRequest, context: dict[str, Any]) -> Response[str]:
    return either(request, "inventory/reason.html", "inventory/_reason.html", **context)


async def _context(session: AsyncSession, tenant: Tenant, card_key_id: UUID, what: str) -> dict[str, Any]:
    key, batch = await queries.key_or_404(session, card_key_id)
    return {
        "base": base(tenant),
        "back": f"{base(tenant)}/imports/{batch.batch_no}",
        "target": f"{base(tenant)}/card-keys/{card_key_id}/{what}",
        "what": what,
        "batch": batch,
        "key": key,
        "free": 0,
        "delivered": 0,
    }
