"""One replenishment for staff: its lines and what came, what was said, and how it goes on."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.kernel import history, rates
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import RawForm, parse
from app.kernel.rates import Limit
from app.kernel.web import AnyRequest, page, see_other
from app.replenishment import desks, queries, receiving, service, talking, words
from app.replenishment.forms import LinkForm, MessageForm, ReasonForm, read_answer
from app.replenishment.models import TAKES_GOODS
from app.replenishment.pages.asking import home, shared
from tenants.directory import Tenant
from tenants.session import raw

_PAGE: Final = "replenishment/show.html"
_MESSAGES = Limit("replenishment.message", 60, 3_600)


class ReplenishmentPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/replenishments/{replenishment_no:str}"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, replenishment_no: FromPath[str]
    ) -> Response[str]:
        row = await queries.one_or_404(await raw(session), replenishment_no)
        return page(request, _PAGE, **await _context(request, session, tenant, row))

    @post("/confirmation", guards=[may(Permission.SUPPLY_EDIT)])
    async def confirm(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        replenishment_no: FromPath[str],
    ) -> Response[Any]:
        """Write down what the supplier has said elsewhere. Raises: NotFound, AnsweredAlready."""
        row, context = await _locked(request, session, tenant, replenishment_no)
        promised_on, units = read_answer(sent, context["lines"], _PAGE, context)
        await service.confirm(await raw(session), row, units, promised_on=promised_on, actor=actor)
        return see_other(request, context["here"], flash=N_("Confirmed."))

    @post("/cancellation", guards=[may(Permission.SUPPLY_EDIT)])
    async def cancel(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        replenishment_no: FromPath[str],
    ) -> Response[Any]:
        """Want it no more; the supplier is told. Raises: NotFound, AnsweredAlready."""
        row, context = await _locked(request, session, tenant, replenishment_no)
        form = parse(ReasonForm, sent, retry=_PAGE, **context)
        await service.cancel(await raw(session), row, reason=form.reason, actor=actor)
        return see_other(request, context["here"], flash=N_("Cancelled. The supplier is told."))

    @post("/closure", guards=[may(Permission.SUPPLY_EDIT)])
    async def close(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, replenishment_no: FromPath[str]
    ) -> Response[Any]:
        """Wait for nothing more of it. Raises: NotFound, AnsweredAlready."""
        row = await queries.one_or_404(await raw(session), replenishment_no, lock=True)
        await service.close(await raw(session), row, actor=actor)
        return see_other(request, f"{home(tenant)}/{replenishment_no}", flash=N_("Closed."))

    @post("/messages", guards=[may(Permission.SUPPLY_EDIT)])
    async def write(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        replenishment_no: FromPath[str],
    ) -> Response[Any]:
        """Write to the supplier, who is mailed. Raises: NotFound, ThreadFull, TooMany."""
        row, context = await _locked(request, session, tenant, replenishment_no)
        form = parse(MessageForm, sent, retry=_PAGE, **context)
        await rates.count(tenant, _MESSAGES, str(actor.id))
        await talking.say(await raw(session), row, form.text, actor=actor)
        return see_other(request, f"{context['here']}#said", flash=N_("Written."))

    @post("/lines/{wanted_id:uuid}/batches", guards=[may(Permission.INVENTORY_IMPORT)])
    async def link(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        replenishment_no: FromPath[str],
        wanted_id: FromPath[UUID],
    ) -> Response[Any]:
        """Say which batch brought a line's goods. Raises: NotFound, TakesNothingNow, NotTheseGoods, OtherCost."""
        row, context = await _locked(request, session, tenant, replenishment_no)
        await queries.line_or_404(await raw(session), row["id"], wanted_id)
        form = parse(LinkForm, sent, retry=_PAGE, **context)
        await receiving.link(session, row, wanted_id, form.batch, actor=actor)
        return see_other(request, context["here"], flash=N_("Linked, and its keys are counted."))


async def _locked(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, replenishment_no: str
) -> tuple[asyncpg.Record, dict[str, Any]]:
    row = await queries.one_or_404(await raw(session), replenishment_no, lock=True)
    return row, await _context(request, session, tenant, row)


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, row: asyncpg.Record) -> dict[str, Any]:
    tx, given = await raw(session), shared(request, tenant)
    takes_goods = row["state"] in TAKES_GOODS
    return {
        **given,
        "row": row,
        "here": f"{home(tenant)}/{row['replenishment_no']}",
        "lines": await queries.lines_of(tx, row["id"]),
        "batches": await queries.batches_of(tx, row["id"]),
        "linkable": await queries.linkable(tx, row["id"]) if takes_goods and given["may_import"] else {},
        "takes_goods": takes_goods,
        "said": await talking.said_in(tx, row),
        "story": words.timeline(await history.of_subjects(session, [row["id"]], limit=60)),
        "address": await desks.address_of(tx, row["supplier_id"], row["replenishment_no"]) if given["may_edit"] else "",
    }
