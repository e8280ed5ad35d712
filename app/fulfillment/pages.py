"""Attempts on an order's page: asking a supplier at once what became of one, and deciding by hand on one that stays unknown."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission, allows
from app.fulfillment import overriding, showing
from app.fulfillment.models import AttemptState
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Form, RawForm, parse
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, page, see_other
from app.ordering import queries
from tenants.directory import Tenant
from tenants.session import Tx, raw

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


class OverrideForm(Form):
    """Why somebody is sure that nothing was bought."""

    reason: Annotated[str, StringConstraints(min_length=4, max_length=300)]


class DecisionPages(Controller):
    """One purchase whose outcome is unknown: what is known of it, and what a person may do on the supplier's fresh word or on two people's."""

    path = "/m/{tenant_slug:str}/orders/{order_no:str}/attempts/{attempt_id:uuid}"

    @get("/decision", guards=[may(Permission.ORDERS_VIEW)])
    async def show(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[str]:
        """What may be done. Raises: NotFound."""
        context = await _context(request, await raw(session), tenant, actor, order_no=order_no, attempt_id=attempt_id)
        return page(request, "fulfillment/decision.html", **context)

    @post("/resending", guards=[may(Permission.ORDERS_REFUND)])
    async def send_again(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Buy it again, on the supplier's fresh word that it knows nothing of it. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await overriding.send_again(tx, order["id"], attempt_id, actor=actor)
        return _back(request, tenant, order_no, N_("It is bought again; its progress appears below."))

    @post("/failure", guards=[may(Permission.ORDERS_REFUND)])
    async def mark_failed(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Give it up, on the supplier's fresh word that it knows nothing of it. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await overriding.mark_failed(tx, order["id"], attempt_id, actor=actor)
        return _back(request, tenant, order_no, _GIVEN_UP)

    @post("/overrides", guards=[may(Permission.ORDERS_REFUND)])
    async def propose(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Say that nothing was bought, for another person to approve. Raises: NotFound, NotUndecided, AlreadyProposed."""
        tx = await raw(session)
        context = await _context(request, tx, tenant, actor, order_no=order_no, attempt_id=attempt_id)
        form = parse(OverrideForm, sent, retry="fulfillment/decision.html", **context)
        await overriding.propose(tx, context["order"]["id"], attempt_id, reason=form.reason, actor=actor)
        return see_other(request, context["here"] + "/decision", flash=N_("Another person has to approve it now."))

    @post("/overrides/approval", guards=[may(Permission.SUPPLY_OVERRIDE)])
    async def approve(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Have a colleague's word count. Raises: NotFound, NotUndecided, NothingProposed, SamePerson."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await overriding.approve(tx, order["id"], attempt_id, actor=actor)
        return _back(request, tenant, order_no, _GIVEN_UP)

    @post("/overrides/refusal", guards=[may(Permission.SUPPLY_OVERRIDE)])
    async def decline(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        order_no: FromPath[str],
        attempt_id: FromPath[UUID],
    ) -> Response[None]:
        """Refuse a colleague's word. Raises: NotFound, NotUndecided, NothingProposed, SamePerson."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await overriding.decline(tx, order["id"], attempt_id, actor=actor)
        return _back(request, tenant, order_no, N_("Declined; the supplier is still asked about it."))


_GIVEN_UP = N_("Given up: its unit goes to another supplier, or its money back to the buyer.")


def _back(request: AnyRequest, tenant: Tenant, order_no: str, told: str) -> Response[None]:
    return see_other(request, f"/m/{tenant.slug}/orders/{order_no}", flash=told)


async def _context(
    request: AnyRequest, tx: Tx, tenant: Tenant, actor: Actor, *, order_no: str, attempt_id: UUID
) -> dict[str, Any]:
    order = await queries.order_or_404(tx, order_no)
    role = request.scope["state"].get("role")
    path = f"/m/{tenant.slug}/orders/{order_no}"
    standing = await overriding.standing(tx, order["id"], attempt_id)
    proposal: Any = standing["proposal"]
    return {
        **standing,
        "order": order,
        "orders_path": f"/m/{tenant.slug}/orders",
        "path": path,
        "here": f"{path}/attempts/{attempt_id}",
        "may_ask": role is not None and allows(role, Permission.ORDERS_NOTE),
        "may_decide": role is not None and allows(role, Permission.ORDERS_REFUND),
        "may_approve": role is not None and allows(role, Permission.SUPPLY_OVERRIDE),
        "is_maker": proposal is not None and proposal["maker_id"] == actor.id,
    }
