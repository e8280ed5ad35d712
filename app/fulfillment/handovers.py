"""The queue of what people deliver: what waits and until when, and for each unit a page where it is handed over, shipped or given back."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.fulfillment import handing
from app.fulfillment.handing import Handed, NothingHandedOver
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Form, RawForm, invalid, parse
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from app.ordering import queries as orders
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "fulfillment/handover.html"
_LINE = r"^[^\n\r]*$"


class HandedForm(Form):
    """A text, or a carrier and its number."""

    text: Annotated[str, StringConstraints(max_length=4_000)] = ""
    carrier: Annotated[str, StringConstraints(max_length=60, pattern=_LINE)] = ""
    tracking_no: Annotated[str, StringConstraints(max_length=60, pattern=r"^[0-9A-Za-z -]*$")] = ""


class GivenUpForm(Form):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class HandoverPages(Controller):
    path = "/m/{tenant_slug:str}/handovers"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        tx = await raw(session)
        rows = await handing.waiting(tx)
        context: dict[str, Any] = {
            "base": f"/m/{tenant.slug}",
            "rows": [(row, _pairs(row)) for row in rows],
            "total": await orders.waiting_for_hands(tx),
            "now": clock.now(),
        }
        if is_partial(request):
            return fragment(request, "fulfillment/_handovers.html", **context)
        return page(request, "fulfillment/handovers.html", **context)

    @get("/{line_id:uuid}/{unit_no:int}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, line_id: FromPath[UUID], unit_no: FromPath[int]
    ) -> Response[str]:
        """One unit: what was bought, what its buyer stated, and the form to hand it over. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, session, tenant, (line_id, unit_no)))

    @post("/{line_id:uuid}/{unit_no:int}", guards=[may(Permission.DELIVER)])
    async def hand_over(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        line_id: FromPath[UUID],
        unit_no: FromPath[int],
    ) -> Response[Any]:
        """Deliver it. Raises: NotFound, NotWaiting."""
        context = await _context(request, session, tenant, (line_id, unit_no))
        form = parse(HandedForm, sent, retry=_PAGE, **context)
        handed = Handed(form.text, form.carrier, form.tracking_no)
        if handed.is_nothing:
            place = "tracking_no" if form.carrier.strip() else "carrier" if form.tracking_no.strip() else "text"
            raise invalid(sent, {place: NothingHandedOver.message}, retry=_PAGE, **context)
        await handing.hand_over(await raw(session), line_id, unit_no, handed, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/handovers", flash=N_("Handed over. Its buyer sees it on the order's page."))

    @post("/{line_id:uuid}/{unit_no:int}/refund", guards=[may(Permission.ORDERS_REFUND)])
    async def give_up(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        line_id: FromPath[UUID],
        unit_no: FromPath[int],
    ) -> Response[Any]:
        """It cannot be delivered: its money goes back. Raises: NotFound, NotWaiting."""
        context = await _context(request, session, tenant, (line_id, unit_no))
        form = parse(GivenUpForm, sent, retry=_PAGE, **context)
        await handing.cannot_deliver(await raw(session), line_id, unit_no, reason=form.reason, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/handovers", flash=N_("Given up. The money goes back the way it came."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, unit: tuple[UUID, int]) -> dict[str, Any]:
    row = await handing.one(await raw(session), *unit)
    return {
        "base": f"/m/{tenant.slug}",
        "unit": row,
        "pairs": _pairs(row),
        "path": f"/m/{tenant.slug}/handovers/{unit[0]}/{unit[1]}",
        "may_deliver": may_do(request, Permission.DELIVER),
        "may_refund": may_do(request, Permission.ORDERS_REFUND),
        "may_reveal": may_do(request, Permission.ORDERS_REVEAL),
        "now": clock.now(),
    }


def _pairs(row: asyncpg.Record) -> list[tuple[str, str]]:
    """What was said of the product and what its buyer stated, masked."""
    return [(one["label"], one["value"]) for kept in (row["attributes"], row["stated"]) for one in json.loads(kept or "[]")]
