"""The supplier's desk: a page behind a private link, where he reads what a shop asks of him, answers, writes, and gives card-keys. No key is ever shown here.

The address is the log-in. It is kept out of search engines and caches, other sites are not told it, and guesses are counted.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog
from litestar import Controller, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import clock, i18n, rates, web
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.forms import LONGEST_VALUE, RawForm, parse
from app.kernel.rates import Limit
from app.kernel.web import NO_STORE, AnyRequest, page, see_other
from app.replenishment import desks, queries, receiving, service, talking
from app.replenishment.desks import Holder
from app.replenishment.forms import MessageForm, ReasonForm, read_answer
from app.replenishment.models import OPEN, TAKES_GOODS, ReplenishmentState
from app.replenishment.pages.imports import read_file
from tenants import routing
from tenants.directory import PLATFORM, Tenant, TenantState
from tenants.session import raw, tenant_tx

_INDEX: Final = "replenishment/desk.html"
_PAGE: Final = "replenishment/desk_one.html"
_FILE: Final = "replenishment/desk_file.html"
_HEADERS: Final = {**NO_STORE, "X-Robots-Tag": "noindex, nofollow"}
_WRONG_LINKS = Limit("supplier_desk.wrong", 30, 600)
_ACTS = Limit("supplier_desk.act", 60, 600)
_MOST_FILE_BYTES = 8 * 1024 * 1024
_ENDED: Final = tuple(state for state in ReplenishmentState if state not in OPEN)


class LinkOpensNothing(NotFound):
    """Wrong, renewed or revoked: all the same to whoever holds it."""

    message = N_("This link opens nothing, or nothing any more. Ask the shop that gave it to you for a new one.")


async def holds_the_link(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Only whoever has a supplier's link, and only that supplier's things of that shop. Raises: LinkOpensNothing, TooMany."""
    state = connection.scope["state"]
    tenant = await routing.by_slug(str(connection.path_params["tenant_slug"]))
    holder = await _holder(tenant, str(connection.path_params["desk"]))
    if tenant is None or holder is None:
        await rates.count(tenant or PLATFORM, _WRONG_LINKS, state["address"])
        raise LinkOpensNothing
    if connection.scope["method"] not in ("GET", "HEAD"):  # type: ignore[typeddict-item]
        await rates.count(tenant, _ACTS, str(holder.supplier_id))
    state.update(tenant=tenant, holder=holder, actor=holder.actor, shell=_shell(tenant, str(connection.path_params["desk"])))
    structlog.contextvars.bind_contextvars(tenant=tenant.slug, supplier=str(holder.supplier_id))


async def _holder(tenant: Tenant | None, token: str) -> Holder | None:
    if tenant is None or tenant.state is TenantState.CLOSED:
        return None
    async with tenant_tx(tenant) as tx:
        return await desks.holder_of(tx, token)


def _shell(tenant: Tenant, token: str) -> dict[str, Any]:
    home = f"/supply/{tenant.slug}/{token}"
    item = {"label": i18n.gettext(N_("Replenishments")), "href": home, "icon": "truck", "current": True}
    return {"layout": "layouts/portal.html", "tenant": tenant, "nav": [{"label": "", "items": [item]}], "home_href": home}


def on_refusal(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    """A refusal as everywhere, kept out of search engines."""
    answer = web.on_refusal(request, refusal)
    answer.headers.update(_HEADERS)
    return answer


class SupplierDeskPages(Controller):
    path = "/supply/{tenant_slug:str}/{desk:str}"
    guards = (holds_the_link,)
    exception_handlers = {DomainError: on_refusal}  # noqa: RUF012

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """What the shop asks of this supplier, and what has ended lately."""
        tx, supplier_id = await raw(session), _held(request).supplier_id
        context = {
            **_shared(request, tenant),
            "rows": (await queries.listed(tx, OPEN, supplier_id=supplier_id))[: queries.PAGE],
            "ended": (await queries.listed(tx, _ENDED, supplier_id=supplier_id))[:20],
        }
        return page(request, _INDEX, headers=_HEADERS, **context)

    @get("/{replenishment_no:str}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, replenishment_no: FromPath[str]
    ) -> Response[str]:
        """One replenishment, and what can be answered. Raises: NotFound."""
        _, context = await _context(request, session, tenant, replenishment_no)
        return page(request, _PAGE, headers=_HEADERS, **context)

    @post("/{replenishment_no:str}/confirmation")
    async def confirm(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sent: RawForm, replenishment_no: FromPath[str]
    ) -> Response[Any]:
        """Promise so many of each line by a day. Raises: NotFound, AnsweredAlready."""
        row, context = await _context(request, session, tenant, replenishment_no, lock=True)
        promised_on, units = read_answer(sent, context["lines"], _PAGE, context)
        await service.confirm(await raw(session), row, units, promised_on=promised_on, actor=_held(request).actor)
        return see_other(request, context["here"], flash=N_("Thank you. The shop is told."))

    @post("/{replenishment_no:str}/refusal")
    async def decline(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sent: RawForm, replenishment_no: FromPath[str]
    ) -> Response[Any]:
        """Say no, and why. Raises: NotFound, AnsweredAlready."""
        row, context = await _context(request, session, tenant, replenishment_no, lock=True)
        form = parse(ReasonForm, sent, retry=_PAGE, **context)
        await service.decline(await raw(session), row, reason=form.reason, actor=_held(request).actor)
        return see_other(request, context["here"], flash=N_("Thank you. The shop is told."))

    @post("/{replenishment_no:str}/sending")
    async def say_sent(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, replenishment_no: FromPath[str]
    ) -> Response[Any]:
        """The goods are on their way. Raises: NotFound, AnsweredAlready."""
        row, context = await _context(request, session, tenant, replenishment_no, lock=True)
        await service.say_sent(await raw(session), row, actor=_held(request).actor)
        return see_other(request, context["here"], flash=N_("Thank you. The shop is told."))

    @post("/{replenishment_no:str}/messages")
    async def write(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sent: RawForm, replenishment_no: FromPath[str]
    ) -> Response[Any]:
        """Write to the shop, whose people are told. Raises: NotFound, ThreadFull."""
        row, context = await _context(request, session, tenant, replenishment_no, lock=True)
        form = parse(MessageForm, sent, retry=_PAGE, **context)
        await talking.say(await raw(session), row, form.text, actor=_held(request).actor)
        return see_other(request, f"{context['here']}#said", flash=N_("Written."))

    @get("/{replenishment_no:str}/lines/{wanted_id:uuid}/files")
    async def new_file(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        replenishment_no: FromPath[str],
        wanted_id: FromPath[UUID],
    ) -> Response[str]:
        """The form that gives a line's keys. Raises: NotFound."""
        row, context = await _context(request, session, tenant, replenishment_no)
        context["line"] = await queries.line_or_404(await raw(session), row["id"], wanted_id)
        return page(request, _FILE, headers=_HEADERS, **context)

    @post("/{replenishment_no:str}/lines/{wanted_id:uuid}/files", request_max_body_size=_MOST_FILE_BYTES)
    async def give_file(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        sent: RawForm,
        replenishment_no: FromPath[str],
        wanted_id: FromPath[UUID],
    ) -> Response[Any]:
        """Have keys checked; the shop looks at the result before anything is for sale. Raises: NotFound, TakesNothingNow, TooManyWaiting."""
        row, context = await _context(request, session, tenant, replenishment_no, lock=True)
        context["line"] = await queries.line_or_404(await raw(session), row["id"], wanted_id)
        file = await read_file(sent, _FILE, context)
        await receiving.take_in(session, row, wanted_id, file, actor=_held(request).actor)
        return see_other(request, context["here"], flash=N_("Thank you. The keys are checked, and the shop looks at them."))


def _held(request: AnyRequest) -> Holder:
    holder: Holder = request.scope["state"]["holder"]
    return holder


def _shared(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": f"/supply/{tenant.slug}/{request.path_params['desk']}",
        "holder": _held(request),
        "today": clock.business_day(),
        "longest_paste": LONGEST_VALUE,
    }


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, replenishment_no: str, *, lock: bool = False
) -> tuple[asyncpg.Record, dict[str, Any]]:
    """One of the holder's own replenishments, and its page. Raises: NotFound."""
    tx, given = await raw(session), _shared(request, tenant)
    row = await queries.one_or_404(tx, replenishment_no, supplier_id=_held(request).supplier_id, lock=lock)
    return row, {
        **given,
        "row": row,
        "here": f"{given['home']}/{row['replenishment_no']}",
        "lines": await queries.lines_of(tx, row["id"]),
        "batches": await queries.batches_of(tx, row["id"]),
        "takes_goods": row["state"] in TAKES_GOODS,
        "said": await talking.said_in(tx, row),
    }
