"""A buyer's trouble with something delivered: the steps to try, whether they helped, his report, and how it stands."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from asyncpg import Record
from litestar import Controller, Response, get, post
from litestar.di import Provide
from litestar.params import FromPath
from pydantic import StringConstraints

from app.aftersales import guiding, reporting, service
from app.aftersales.guiding import Guide
from app.aftersales.models import Complaint
from app.aftersales.reporting import COMPLAINTS_OF, Report
from app.aftersales.words import COMPLAINTS
from app.catalog import pictures
from app.catalog.pictures import NotAPicture, PictureTooLarge
from app.fulfillment.reissuing import UnitOf
from app.kernel import i18n, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Form, RawForm, invalid, parse
from app.kernel.rates import Limit
from app.kernel.web import AnyRequest, page, see_other
from app.ordering.models import UnitState
from app.storefront.opening import OPEN_WHEN_CLOSED
from app.storefront.orders import order_or_404
from app.storefront.queries import bought
from app.storefront.reports import reports_of
from app.storefront.richtext import shown
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_REPORTS = Limit("order.report", 12, 3600)
_WORDS = Limit("order.report_words", 20, 3600)
_MOST_BODY = 6 * 1024 * 1024
_PAGE = "storefront/trouble.html"
_ANY = (Complaint.INVALID, Complaint.OTHER)


class ReportForm(Form):
    """What is wrong, in a choice and in own words."""

    complaint: Complaint
    words: Annotated[str, StringConstraints(max_length=1000)] = ""


class WordsForm(Form):
    words: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class TroublePages(Controller):
    """One unit's steps and report, and the cases of one order."""

    path = "/orders/{order_no:str}/{signature:str}"
    opt = OPEN_WHEN_CLOSED
    dependencies = {"order": Provide(order_or_404)}  # noqa: RUF012

    @get("/help/{line_id:uuid}/{unit_no:int}")
    async def show(
        self, request: AnyRequest, tenant: Tenant, order: Record, line_id: FromPath[UUID], unit_no: FromPath[int]
    ) -> Response[str]:
        """The steps to try; with `?step=report` what to say next. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, tenant, order, (line_id, unit_no)))

    @post("/help/{line_id:uuid}/{unit_no:int}/answer")
    async def answer(
        self,
        request: AnyRequest,
        tenant: Tenant,
        order: Record,
        *,
        sent: RawForm,
        line_id: FromPath[UUID],
        unit_no: FromPath[int],
    ) -> Response[None]:
        """Whether the steps helped. Raises: NotFound."""
        await rates.count(tenant, _WORDS, order["order_no"])
        has_helped = sent.get("helped") == "yes"
        async with tenant_tx(tenant) as tx:
            await guiding.answer(tx, UnitOf(order["id"], line_id, unit_no), has_helped=has_helped)
        if has_helped:
            return see_other(request, _path(request), flash=N_("Good. If it stops working, come back to this page."))
        return see_other(request, f"{_path(request)}/help/{line_id}/{unit_no}?step=report")

    @post("/help/{line_id:uuid}/{unit_no:int}/report", request_max_body_size=_MOST_BODY)
    async def report(
        self,
        request: AnyRequest,
        tenant: Tenant,
        order: Record,
        *,
        sent: RawForm,
        line_id: FromPath[UUID],
        unit_no: FromPath[int],
    ) -> Response[None]:
        """Report it. Sent twice, it is one report. Raises: NotFound, TooLate, NotSeenYet, TooManyOfUnit, TooMany."""
        context = {**await _context(request, tenant, order, (line_id, unit_no)), "step": "report"}
        form = parse(ReportForm, sent, retry=_PAGE, **context)
        if form.complaint not in context["complaints"]:
            raise invalid(sent, {"complaint": N_("Choose one of the options.")}, retry=_PAGE, **context)
        await rates.count(tenant, _REPORTS, order["order_no"])
        told = Report(UnitOf(order["id"], line_id, unit_no), form.complaint, form.words, await _picture(sent, context))
        async with tenant_tx(tenant) as tx:
            await reporting.report(tx, told, actor=_buyer(order))
        return see_other(
            request, f"{_path(request)}#reports", flash=N_("Your report has arrived. This page shows what comes of it.")
        )

    @post("/reports/{report_id:uuid}/messages")
    async def say(
        self, request: AnyRequest, tenant: Tenant, order: Record, *, sent: RawForm, report_id: FromPath[UUID]
    ) -> Response[None]:
        """Answer the shop, or add something. Raises: NotFound, CaseOver, TooMany."""
        form = parse(WordsForm, sent)
        await rates.count(tenant, _WORDS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            await service.answer(tx, await _own(tx, order, report_id), text=form.words, actor=_buyer(order))
        return see_other(request, f"{_path(request)}#reports", flash=N_("Sent to the shop."))

    @post("/reports/{report_id:uuid}/objection")
    async def object_to(
        self, request: AnyRequest, tenant: Tenant, order: Record, *, sent: RawForm, report_id: FromPath[UUID]
    ) -> Response[None]:
        """Ask for another look, once. Raises: NotFound, AlreadyObjected, TooLateToObject, CaseOver, TooMany."""
        form = parse(WordsForm, sent)
        await rates.count(tenant, _WORDS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            await service.object_to(tx, await _own(tx, order, report_id), text=form.words, actor=_buyer(order))
        return see_other(request, f"{_path(request)}#reports", flash=N_("The shop takes another look."))

    @post("/reports/{report_id:uuid}/withdrawal")
    async def withdraw(self, request: AnyRequest, tenant: Tenant, order: Record, report_id: FromPath[UUID]) -> Response[None]:
        """It works after all. Raises: NotFound, CaseOver."""
        async with tenant_tx(tenant) as tx:
            await service.withdraw(tx, await _own(tx, order, report_id), actor=_buyer(order))
        return see_other(request, _path(request), flash=N_("Good. The report is closed."))


async def _own(tx: Tx, order: Record, case_id: UUID) -> UUID:
    """A case's id, if it is one of this order. Raises: NotFound."""
    if await tx.fetchval("select order_id from after_sale_case where id = $1", case_id) != order["id"]:
        raise NotFound
    return case_id


async def _context(request: AnyRequest, tenant: Tenant, order: Record, place: tuple[UUID, int]) -> dict[str, Any]:
    """One unit with its product's steps and, where one is open, its report. Raises: NotFound."""
    async with tenant_tx(tenant) as tx:
        lines = {line.row["id"]: line for line in (await bought(tx, order)).lines}
        line = lines.get(place[0])
        unit = next((one for one in line.units if one.unit_no == place[1]), None) if line else None
        is_open = any(report.unit == place and report.is_open for report in await reports_of(tx, order["id"]))
        if line is None or unit is None or not (is_open or unit.state == UnitState.DELIVERED):
            raise NotFound
        guide: Guide = await guiding.guide_for(tx, line.row["product_id"], line.row["delivery_kind"])
    complaints = next((found for kind, found in COMPLAINTS_OF.items() if kind == line.row["delivery_kind"]), _ANY)
    return {
        "order": order,
        "order_path": _path(request),
        "here": f"{_path(request)}/help/{place[0]}/{place[1]}",
        "line": line,
        "unit": unit,
        "guide": guide,
        "usage": shown(line.row["usage_html"]) if line.row["usage_html"] else "",
        "complaints": complaints,
        "choices": [(str(one), i18n.gettext(COMPLAINTS[one])) for one in complaints],
        "step": "report" if request.query_params.get("step") == "report" else "try",
        "is_open": is_open,
    }


async def _picture(sent: RawForm, context: dict[str, Any]) -> tuple[str, bytes] | None:
    """The picture sent along, encoded again by us. Raises: InvalidForm with the reason beside the field."""
    upload = sent.files.get("picture")
    body = await upload.read() if upload else b""
    if not body:
        return None
    try:
        picture = await asyncio.to_thread(pictures.encoded, body)
    except (NotAPicture, PictureTooLarge) as refusal:
        raise invalid(sent, {"picture": refusal.message}, retry=_PAGE, **context) from None
    return picture.media_type, picture.body


def _buyer(order: Record) -> Actor:
    return Actor(ActorKind.BUYER, None, order["contact_masked"])


def _path(request: AnyRequest) -> str:
    """The order's own address, as its reader came by it."""
    return f"/orders/{request.path_params['order_no']}/{request.path_params['signature']}"
