"""Attempts on an order's page: asking a supplier at once what became of one."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.fulfillment import showing
from app.fulfillment.models import AttemptState
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, see_other
from app.ordering import queries
from tenants.directory import Tenant
from tenants.session import raw

register_states(
    "attempt",
    {
        AttemptState.PLANNED: (N_("Queued"), ""),
        AttemptState.SENDING: (N_("Being sent"), "info"),
        AttemptState.ACCEPTED: (N_("Waiting for the supplier"), "info"),
        AttemptState.UNKNOWN: (N_("Outcome unknown"), "odd"),
        AttemptState.SUCCEEDED: (N_("Delivered"), "ok"),
        AttemptState.FAILED: (N_("Refused"), "bad"),
        AttemptState.SUCCEEDED_LATE: (N_("Came late; kept as own stock"), "warn"),
        AttemptState.REPLACED: (N_("Was no good; replaced"), "bad"),
    },
)


class AttemptPages(Controller):
    path = "/m/{tenant_slug:str}/orders/{order_no:str}/attempts/{attempt_id:uuid}"
    guards = (may(Permission.ORDERS_NOTE),)

    @post("/question")
    async def ask(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Ask the supplier at once; nothing is sent again. Pressed twice, it is asked once. Raises: NotFound, NothingToAsk."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await showing.ask(tx, order["id"], attempt_id, actor=actor)
        told = N_("The supplier is being asked; its answer appears below.")
        return see_other(request, f"/m/{tenant.slug}/orders/{order['order_no']}", flash=told)
