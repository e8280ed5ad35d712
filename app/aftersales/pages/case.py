"""One case: what the buyer says, what was checked, what happened to the order, and what may be done, with the reason where it may not."""

from __future__ import annotations

import base64
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import checking, queries, remedying, reporting, rules, service, words
from app.aftersales.models import Complaint, RemedyKind
from app.aftersales.reporting import Report
from app.aftersales.rules import Deed
from app.catalog.pages.shared import base, either
from app.fulfillment import showing
from app.fulfillment.reissuing import UnitOf
from app.kernel import clock, history, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Count, Form, RawForm, parse
from app.kernel.rates import Limit, count
from app.kernel.vault import keyring
from app.kernel.web import AnyRequest, page, see_other
from app.ordering import desk
from app.ordering import queries as orders
from app.ordering import words as order_words
from tenants.directory import Tenant
from tenants.session import Tx, raw

_RESENDS = Limit("order.resend", 3, 600)
_NEEDS = {
    Deed.REPLACE: Permission.AFTERSALES_DECIDE,
    Deed.REFUND: Permission.ORDERS_REFUND,
    Deed.REJECT: Permission.AFTERSALES_DECIDE,
    Deed.ASK_BUYER: Permission.AFTERSALES_DECIDE,
    Deed.CHECK: Permission.AFTERSALES_DECIDE,
    Deed.RESEND: Permission.ORDERS_NOTE,
}
_ONCE = N_("This was done already; nothing was added.")


class ReasonForm(Form):
    """Why something is done."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AnswerForm(Form):
    """What the buyer reads: a text the shop keeps, own words, or both."""

    reply: Annotated[str, StringConstraints(max_length=1000)] = ""
    text: Annotated[str, StringConstraints(max_length=1000)] = ""

    @property
    def whole(self) -> str:
        return "\n".join(part for part in (self.reply, self.text) if part)


class NoteForm(Form):
    note: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class OpenForm(Form):
    """Which unit of an order, and what its buyer says."""

    line: UUID
    unit: Count
    words: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class OpeningPages(Controller):
    path = "/m/{tenant_slug:str}/orders/{order_no:str}/after-sales"
    guards = (may(Permission.AFTERSALES_DECIDE),)

    @post()
    async def open(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, order_no: FromPath[str]
    ) -> Response[None]:
        """Open a case for a buyer who called or wrote. Pressed twice, it is one case. Raises: NotFound, InvalidForm."""
        tx = await raw(session)
        order = await orders.order_or_404(tx, order_no)
        form = parse(OpenForm, sent)
        told = Report(UnitOf(order["id"], form.line, form.unit), Complaint.OTHER, form.words)
        case_id = await reporting.report(tx, told, actor=actor, is_own=True)
        case_no = await queries.number_of(tx, case_id)
        return see_other(request, _address(tenant, case_no), flash=N_("Case opened."))


class CasePages(Controller):
    path = "/m/{tenant_slug:str}/after-sales/{case_no:str}"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, case_no: FromPath[str]) -> Response[str]:
        """The case. Raises: NotFound."""
        return page(request, "aftersales/show.html", **await _whole(request, await raw(session), tenant, case_no))

    @get("/picture", guards=[may(Permission.ORDERS_REVEAL)])
    async def picture(self, session: AsyncSession, case_no: FromPath[str]) -> Response[bytes]:
        """What the buyer shows: it may hold a key, so whoever may see keys sees it. Raises: NotFound."""
        tx = await raw(session)
        case = await queries.case_or_404(tx, case_no)
        row = await queries.picture_of(tx, case["id"])
        if row is None:
            raise NotFound
        opened = (await keyring(tx)).open("after_sale_picture", "body", case["id"], row["body"]).reveal()
        return Response(base64.b64decode(opened), media_type=row["media_type"], headers={"Content-Disposition": "inline"})

    @get("/replacement", guards=[may(Permission.AFTERSALES_DECIDE)])
    async def ask_replacement(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, case_no: FromPath[str]
    ) -> Response[str]:
        """What a replacement does, before it is done."""
        return await _asked(request, session, tenant, case_no, Deed.REPLACE)

    @post("/replacement", guards=[may(Permission.AFTERSALES_DECIDE)])
    async def replace(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_no: FromPath[str]
    ) -> Response[None]:
        """Have something else delivered. Pressed twice, it is one replacement. Raises: DecidedOtherwise, NotDelivered, CodeUsed, BeingRefunded."""
        told = N_("The old one is void and another is being delivered; if none can be had, the money goes back by itself.")
        return await _remedied(request, session, tenant, RemedyKind.REPLACE, actor=actor, sent=sent, case_no=case_no, told=told)

    @get("/refund", guards=[may(Permission.ORDERS_REFUND)])
    async def ask_refund(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, case_no: FromPath[str]
    ) -> Response[str]:
        """Amount, route and effect of a refund, before it is made."""
        return await _asked(request, session, tenant, case_no, Deed.REFUND)

    @post("/refund", guards=[may(Permission.ORDERS_REFUND)])
    async def refund(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_no: FromPath[str]
    ) -> Response[None]:
        """Give the unit's money back. Pressed twice, it is one refund. Raises: DecidedOtherwise, NotDelivered, CodeUsed."""
        told = N_("The refund is on its way.")
        return await _remedied(request, session, tenant, RemedyKind.REFUND, actor=actor, sent=sent, case_no=case_no, told=told)

    @post("/rejection", guards=[may(Permission.AFTERSALES_DECIDE)])
    async def reject(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_no: FromPath[str]
    ) -> Response[None]:
        """Say no; the buyer reads the reason and may object once. Raises: WordsMissing, CaseOver."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, case_no)
        form = parse(AnswerForm, sent, retry="aftersales/show.html", **whole)
        is_new = await service.reject(tx, whole["case"]["id"], text=form.whole, actor=actor)
        return see_other(request, whole["here"], flash=N_("Rejected; the buyer gets a message.") if is_new else _ONCE)

    @post("/questions", guards=[may(Permission.AFTERSALES_DECIDE)])
    async def ask_buyer(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_no: FromPath[str]
    ) -> Response[None]:
        """Ask the buyer something. Raises: WordsMissing, CaseOver."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, case_no)
        form = parse(AnswerForm, sent, retry="aftersales/show.html", **whole)
        await service.ask_buyer(tx, whole["case"]["id"], text=form.whole, actor=actor)
        return see_other(request, whole["here"], flash=N_("Asked; the buyer gets a message."))

    @post("/checks", guards=[may(Permission.AFTERSALES_DECIDE)])
    async def check(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, case_no: FromPath[str]
    ) -> Response[None]:
        """Ask the supplier once more what became of the purchase. Raises: NotFound for own goods, CaseOver."""
        tx = await raw(session)
        case = await queries.case_or_404(tx, case_no)
        await checking.ask_again(tx, case["id"], actor=actor)
        return see_other(request, _address(tenant, case_no), flash=N_("The supplier is being asked; its answer appears here."))

    @post("/notes", guards=[may(Permission.ORDERS_NOTE)])
    async def note(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, case_no: FromPath[str]
    ) -> Response[None]:
        """Write a note for the team."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, case_no)
        form = parse(NoteForm, sent, retry="aftersales/show.html", **whole)
        await service.note(tx, whole["case"]["id"], text=form.note, actor=actor)
        return see_other(request, whole["here"], flash=N_("Note saved."))

    @post("/messages", guards=[may(Permission.ORDERS_NOTE)])
    async def resend(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, case_no: FromPath[str]
    ) -> Response[None]:
        """Send the way to what was delivered again: the same entitlement, never a second one. Raises: NotDelivered, TooMany."""
        tx = await raw(session)
        case = await queries.case_or_404(tx, case_no)
        await count(tenant, _RESENDS, case["order_no"])
        await desk.resend_message(tx, await orders.order_or_404(tx, case["order_no"]), actor=actor)
        return see_other(request, _address(tenant, case_no), flash=N_("The message is on its way."))


def _address(tenant: Tenant, case_no: str) -> str:
    return f"{base(tenant)}/after-sales/{case_no}"


async def _asked(request: AnyRequest, session: AsyncSession, tenant: Tenant, case_no: str, deed: Deed) -> Response[str]:
    context = {**await _whole(request, await raw(session), tenant, case_no), "deed": deed}
    return either(request, "aftersales/remedy.html", "aftersales/_remedy_form.html", **context)


async def _remedied(
    request: AnyRequest,
    session: AsyncSession,
    tenant: Tenant,
    kind: RemedyKind,
    *,
    actor: Actor,
    sent: RawForm,
    case_no: str,
    told: str,
) -> Response[None]:
    tx = await raw(session)
    whole = await _whole(request, tx, tenant, case_no)
    form = parse(ReasonForm, sent, retry="aftersales/remedy.html", **whole, deed=Deed(kind))
    is_new = await remedying.remedy(tx, whole["case"]["id"], kind, reason=form.reason, actor=actor)
    return see_other(request, whole["here"], flash=told if is_new else _ONCE, tone="ok" if is_new else "info")


async def _whole(request: AnyRequest, tx: Tx, tenant: Tenant, case_no: str) -> dict[str, Any]:
    """Everything the case's page shows."""
    case = await queries.case_or_404(tx, case_no)
    held = rules.Held(case["state"], case["unit_state"], case["order_state"], case["uses"], case["attempt_id"] is not None)
    events = await history.of_subjects(tx, [case["id"], case["order_id"]])
    attempts = await showing.attempts_of(tx, case["order_id"])
    policy, may_read = await service.policy_of(tx), may_do(request, Permission.AFTERSALES_DECIDE)
    return {
        "case": case,
        "base": base(tenant),
        "home": f"{base(tenant)}/after-sales",
        "here": _address(tenant, case["case_no"]),
        "words": words,
        "deeds": {deed: rules.refused(deed, held) for deed in Deed if may_do(request, _NEEDS[deed])},
        "said": await service.said_in(tx, case["id"], with_notes=True) if may_read else [],
        "may_read": may_read,
        "may_see": may_do(request, Permission.ORDERS_REVEAL),
        "events": order_words.timeline(events, words.EVENTS),
        "attempts": [
            one for one in attempts if (one["order_line_id"], one["unit_no"]) == (case["order_line_id"], case["unit_no"])
        ],
        "claim": await queries.claim_of(tx, case["id"]),
        "replies": [("", i18n.gettext(N_("None"))), *((text, text[:60]) for text in policy.replies)],
        "may_note": may_do(request, Permission.ORDERS_NOTE),
        "now": clock.now(),
    }
