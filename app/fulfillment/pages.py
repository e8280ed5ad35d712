"""Attempts on an order's page: asking a supplier at once what became of one, and deciding by hand on one that stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.di import Provide
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
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


@dataclass(frozen=True, slots=True)
class Named:
    """The attempt an address names, beside the order it names."""

    tx: Tx
    order: asyncpg.Record
    attempt_id: UUID
    orders_path: str

    @property
    def path(self) -> str:
        return f"{self.orders_path}/{self.order['order_no']}"


async def named_or_404(session: AsyncSession, tenant: Tenant, order_no: FromPath[str], attempt_id: FromPath[UUID]) -> Named:
    """Raises: NotFound for an order that is not there; the verbs refuse an attempt of another order."""
    tx = await raw(session)
    return Named(tx, await queries.order_or_404(tx, order_no), attempt_id, f"/m/{tenant.slug}/orders")


class OverrideForm(Form):
    """Why somebody is sure that nothing was bought."""

    reason: Annotated[str, StringConstraints(min_length=4, max_length=300)]


class AttemptPages(Controller):
    """One purchase: asking about it and, while its outcome is unknown, what a person may do on the supplier's fresh word or on two people's."""

    path = "/m/{tenant_slug:str}/orders/{order_no:str}/attempts/{attempt_id:uuid}"
    dependencies = {"named": Provide(named_or_404)}  # noqa: RUF012

    @post("/question", guards=[may(Permission.ORDERS_NOTE)])
    async def ask(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[None]:
        """Ask the supplier at once; nothing is sent again. Pressed twice, it is asked once. Raises: NotFound, NothingToAsk."""
        await showing.ask(named.tx, named.order["id"], named.attempt_id, actor=actor)
        return see_other(request, named.path, flash=N_("The supplier is being asked; its answer appears below."))

    @get("/decision", guards=[may(Permission.ORDERS_VIEW)])
    async def show(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[str]:
        """What may be done. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, named, actor))

    @post("/resending", guards=[may(Permission.ORDERS_REFUND)])
    async def send_again(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[None]:
        """Buy it again, on the supplier's fresh word that it knows nothing of it. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace."""
        await overriding.send_again(named.tx, named.order["id"], named.attempt_id, actor=actor)
        return see_other(request, named.path, flash=N_("It is bought again; its progress appears below."))

    @post("/failure", guards=[may(Permission.ORDERS_REFUND)])
    async def mark_failed(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[None]:
        """Give it up, on the supplier's fresh word that it knows nothing of it. Raises: NotFound, NotUndecided, NoFreshAnswer, InGrace."""
        await overriding.mark_failed(named.tx, named.order["id"], named.attempt_id, actor=actor)
        return see_other(request, named.path, flash=_GIVEN_UP)

    @post("/overrides", guards=[may(Permission.ORDERS_REFUND)])
    async def propose(self, request: AnyRequest, *, actor: Actor, sent: RawForm, named: Named) -> Response[None]:
        """Say that nothing was bought, for another person to approve. Raises: NotFound, NotUndecided, AlreadyProposed."""
        context = await _context(request, named, actor)
        form = parse(OverrideForm, sent, retry=_PAGE, **context)
        await overriding.propose(named.tx, named.order["id"], named.attempt_id, reason=form.reason, actor=actor)
        return see_other(request, context["here"] + "/decision", flash=N_("Another person has to approve it now."))

    @post("/overrides/approval", guards=[may(Permission.SUPPLY_OVERRIDE)])
    async def approve(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[None]:
        """Have a colleague's word count. Raises: NotFound, NotUndecided, NothingProposed, SamePerson."""
        await overriding.approve(named.tx, named.order["id"], named.attempt_id, actor=actor)
        return see_other(request, named.path, flash=_GIVEN_UP)

    @post("/overrides/refusal", guards=[may(Permission.SUPPLY_OVERRIDE)])
    async def decline(self, request: AnyRequest, *, actor: Actor, named: Named) -> Response[None]:
        """Refuse a colleague's word. Raises: NotFound, NotUndecided, NothingProposed, SamePerson."""
        await overriding.decline(named.tx, named.order["id"], named.attempt_id, actor=actor)
        return see_other(request, named.path, flash=N_("Declined; the supplier is still asked about it."))


_PAGE = "fulfillment/decision.html"
_GIVEN_UP = N_("Given up: its unit goes to another supplier, or its money back to the buyer.")


async def _context(request: AnyRequest, named: Named, actor: Actor) -> dict[str, Any]:
    standing = await overriding.standing(named.tx, named.order["id"], named.attempt_id)
    proposal: Any = standing["proposal"]
    return {
        **standing,
        "order": named.order,
        "orders_path": named.orders_path,
        "path": named.path,
        "here": f"{named.path}/attempts/{named.attempt_id}",
        "may_ask": may_do(request, Permission.ORDERS_NOTE),
        "may_decide": may_do(request, Permission.ORDERS_REFUND),
        "may_approve": may_do(request, Permission.SUPPLY_OVERRIDE),
        "is_maker": proposal is not None and proposal["maker_id"] == actor.id,
    }
