"""The payment settings: which gateways a merchant is connected to, whether their notices arrive, and connecting the sandbox again."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.kernel import http
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.forms import Form, RawForm, parse, plain_share, share_up_to
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, page, see_other
from app.ordering.words import PAYMENT_WORDS, REFUND_WORDS
from app.payments import connecting
from app.payments.gateways.sandbox import open_account
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

_PAGE = "settings/payments.html"

register_states("payment", PAYMENT_WORDS)
register_states("refund", REFUND_WORDS)


class NoSandbox(DomainError):
    message = N_("This installation has no sandbox gateway. Its operator names one in the setting sandbox_gateway_url.")


class SandboxSilent(DomainError):
    status = 503
    message = N_("The sandbox gateway did not answer, so nothing was changed. Try again in a moment.")


class FeeForm(Form):
    fee: Annotated[int, share_up_to(2_000)] = 0


class PaymentSettingsPages(Controller):
    path = "/m/{tenant_slug:str}/settings/payments"
    guards = (may(Permission.PAYMENTS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The connections, each with what it has done lately. No credential is ever shown."""
        return page(request, _PAGE, **await _context(request, await raw(session), tenant))

    @post("/{connection_id:uuid}/fee", guards=[may(Permission.PAYMENTS_EDIT)])
    async def set_fee(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        connection_id: FromPath[UUID],
        actor: Actor,
        sent: RawForm,
    ) -> Response[None]:
        """What the gateway keeps of each capture from now on. Raises: InvalidForm, NotFound."""
        tx = await raw(session)
        form = parse(FeeForm, sent, retry=_PAGE, **await _context(request, tx, tenant))
        await connecting.set_fee(tx, connection_id, form.fee, actor=actor)
        return see_other(
            request, f"/m/{tenant.slug}/settings/payments", flash=N_("Saved. It counts for what is paid from now on.")
        )

    @post("/sandbox", guards=[may(Permission.PAYMENTS_EDIT)])
    async def connect_sandbox(self, request: AnyRequest, *, tenant: Tenant, actor: Actor) -> Response[None]:
        """Open a fresh account at the sandbox gateway and take payments through it from now on. Raises: NoSandbox, SandboxSilent."""
        url = settings().sandbox_gateway_url
        if url is None:
            raise NoSandbox
        try:
            config = await open_account(url)
        except http.CallFailed:
            raise SandboxSilent from None
        async with tenant_tx(tenant) as tx:
            await connecting.replace_sandbox(tx, config=config, actor=actor)
        return see_other(
            request, f"/m/{tenant.slug}/settings/payments", flash=N_("Connected. New payments go through the fresh account.")
        )


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": f"/m/{tenant.slug}",
        "connections": await connecting.connections(tx),
        "may_edit": may_do(request, Permission.PAYMENTS_EDIT),
        "has_sandbox": settings().sandbox_gateway_url is not None,
        "plain_share": plain_share,
    }
