"""The queue: which cases wait for whom, the longest due first; each view and filter has an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Response, get
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.aftersales import queries, words
from app.aftersales.models import AfterSaleState, Complaint
from app.aftersales.queries import CaseFilter
from app.catalog.pages.shared import base
from app.kernel import clock, i18n
from app.kernel.errors import N_, BadRequest
from app.kernel.web import AnyRequest, page
from tenants.directory import Tenant
from tenants.session import raw

_VIEWS = ("awaiting_staff", "overdue", "open", "awaiting_buyer", "checking_with_supplier", "replaced", "refunded", "rejected")
_LABELS = {"overdue": N_("Overdue"), "open": N_("All open")}
_FIRST_VIEW = _VIEWS[0]


class QueuePages(Controller):
    path = "/m/{tenant_slug:str}/after-sales"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """One page of the queue. Raises: BadRequest for a filter that is not one of its own."""
        tx, home, chosen = await raw(session), f"{base(tenant)}/after-sales", read(request)
        rows, counts = await queries.cases(tx, chosen), await queries.counts(tx)
        context: dict[str, Any] = {
            "home": home,
            "base": base(tenant),
            "cases": rows,
            "chosen": chosen,
            "words": words,
            "now": clock.now(),
            "views": [_view(home, view, chosen, counts.get(view, 0)) for view in _VIEWS],
            "chips": _chips(home, chosen, await queries.names(tx, chosen)),
            "total": await queries.count(tx, chosen),
            "ever": any(counts.values()),
            "first": (chosen.page - 1) * queries.PAGE + 1,
            "clear_href": address(home, CaseFilter(chosen.view)),
            "newer": address(home, chosen, chosen.page - 1) if chosen.page > 1 else "",
            "older": address(home, chosen, chosen.page + 1) if len(rows) == queries.PAGE else "",
            "median": await queries.median(tx),
            "solved": await queries.self_solved(tx),
        }
        return page(request, "aftersales/index.html", **context)


def read(request: AnyRequest) -> CaseFilter:
    """The filter an address names. Raises: BadRequest."""
    given = dict(request.query_params.items())
    if not set(given) <= {"view", "complaint", "connection", "batch", "sku", "q", "page"}:
        raise BadRequest
    view, number = given.get("view") or _FIRST_VIEW, given.get("page", "1")
    known = {*_VIEWS, *(str(state) for state in AfterSaleState)}
    if (
        view not in known
        or not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 1000)
        or len(given.get("q", "")) > 60
        or "\x00" in given.get("q", "")
    ):
        raise BadRequest
    try:
        complaint = Complaint(given["complaint"]) if given.get("complaint") else None
        ids = [UUID(given[name]) if given.get(name) else None for name in ("connection", "batch", "sku")]
    except ValueError:
        raise BadRequest from None
    return CaseFilter(view, complaint, ids[0], ids[1], ids[2], given.get("q", "").strip(), int(number))


def address(home: str, chosen: CaseFilter, number: int = 1) -> str:
    """Where a list with this filter lies."""
    values = {
        "view": chosen.view if chosen.view != _FIRST_VIEW else "",
        "complaint": chosen.complaint,
        "connection": chosen.connection_id,
        "batch": chosen.batch_id,
        "sku": chosen.sku_id,
        "q": chosen.q,
        "page": number if number > 1 else "",
    }
    query = urlencode({name: str(value) for name, value in values.items() if value})
    return f"{home}?{query}" if query else home


def _view(home: str, view: str, chosen: CaseFilter, number: int) -> dict[str, Any]:
    label = _LABELS.get(view) or words.STATES[AfterSaleState(view)][0]
    tone = "bad" if view == "overdue" and number else ""
    return {
        "label": i18n.gettext(label),
        "href": address(home, CaseFilter(view)),
        "current": view == chosen.view,
        "count": number or None,
        "tone": tone,
    }


def _chips(home: str, chosen: CaseFilter, names: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each filter with its value, and the list without it."""
    values = {"complaint": i18n.gettext(words.COMPLAINTS[chosen.complaint]) if chosen.complaint else "", **names}
    without = {
        "complaint": (N_("What is wrong"), replace(chosen, complaint=None)),
        "connection": (N_("Supplier"), replace(chosen, connection_id=None)),
        "batch": (N_("Batch"), replace(chosen, batch_id=None)),
        "sku": (N_("Product"), replace(chosen, sku_id=None)),
    }
    return [
        (i18n.gettext(label), values[name], address(home, rest)) for name, (label, rest) in without.items() if values.get(name)
    ]
