"""All replenishments, by state and supplier; and the form that asks for more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.pages.shared import base, either, maybe_id
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import RawForm, invalid
from app.kernel.ids import id_of, new_id
from app.kernel.web import AnyRequest, page, see_other
from app.replenishment import queries, service
from app.replenishment.forms import read_request
from app.replenishment.models import MOST_LINES, OPEN, ReplenishmentState
from app.replenishment.rules import Standing, units_wanted
from app.replenishment.service import Request
from tenants.directory import Tenant
from tenants.session import Tx, raw

_FORM: Final = "replenishment/form.html"
_EMPTY_ROWS, _FEWEST_ROWS = 2, 3
_S = ReplenishmentState
VIEWS: Final = {
    "open": (N_("In progress"), OPEN),
    "asked": (N_("Waits for an answer"), (_S.ASKED,)),
    "confirmed": (N_("Confirmed"), (_S.CONFIRMED,)),
    "sent": (N_("Sent by the supplier"), (_S.SENT,)),
    "partly_received": (N_("Partly received"), (_S.PARTLY_RECEIVED,)),
    "done": (N_("Done"), (_S.DONE,)),
    "declined": (N_("Declined"), (_S.DECLINED,)),
    "cancelled": (N_("Cancelled"), (_S.CANCELLED,)),
    "all": (N_("All"), tuple(_S)),
}
_ALWAYS_SHOWN: Final = ("open", "done", "declined", "all")


class AskingPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/replenishments"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """Replenishments in one state, of one supplier or of all, newest first. Raises: NotFound for a filter that is none."""
        tx, query = await raw(session), request.query_params
        view, supplier_id = query.get("state", "open"), maybe_id(query.get("supplier"))
        if view not in VIEWS:
            raise NotFound
        rows = await queries.listed(tx, VIEWS[view][1], supplier_id=supplier_id, before=maybe_id(query.get("before")))
        counts = await queries.counts(tx, supplier_id)
        context = {
            **shared(request, tenant),
            "rows": rows[: queries.PAGE],
            "older": _address(tenant, view, supplier_id, rows[queries.PAGE - 1]["id"]) if len(rows) > queries.PAGE else "",
            "views": _views(tenant, view, supplier_id, counts),
            "view": view,
            "supplier_id": supplier_id,
            "suppliers": await queries.suppliers(tx),
            "everything": sum((await queries.counts(tx)).values()),
        }
        return either(request, "replenishment/index.html", "replenishment/_list.html", **context)

    @get("/new", guards=[may(Permission.SUPPLY_EDIT)])
    async def new(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The form, filled with what `?sku=` and `?supplier=` name, with what is low for `?low=1`, or with what `?again=` asked for."""
        return page(request, _FORM, **await _context(request, await raw(session), tenant))

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Ask for it; sent twice it is asked for once. `do=more` only adds rows to the form."""
        tx = await raw(session)
        context = {**await _context(request, tx, tenant), "rows": [None] * _rows_sent(sent)}
        if sent.get("do") == "more":
            context["rows"] = [None] * min(MOST_LINES, _rows_sent(sent) + 5)
            return page(request, _FORM, **context, values=sent.values())
        form, goods = read_request(sent, _FORM, context)
        wanted = Request(id_of("replenishment", form.request_id), form.supplier, goods, form.wanted_on, form.note)
        try:
            replenishment_no = await service.ask(tx, wanted, actor=actor)
        except service.NoSuchGoods as refusal:
            raise invalid(sent, {"row-0-sku": refusal.message}, retry=_FORM, **context) from None
        except NotFound:
            raise invalid(sent, {"supplier": N_("Choose one of the options.")}, retry=_FORM, **context) from None
        return see_other(request, f"{home(tenant)}/{replenishment_no}", flash=N_("The supplier is asked."))


def home(tenant: Tenant) -> str:
    """Where a merchant's replenishments are listed."""
    return f"{base(tenant)}/suppliers/replenishments"


def shared(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    """What every page of replenishments is given."""
    return {
        "base": base(tenant),
        "home": home(tenant),
        "today": clock.business_day(),
        "may_edit": may_do(request, Permission.SUPPLY_EDIT),
        "may_import": may_do(request, Permission.INVENTORY_IMPORT),
        "plain": plain,
    }


def plain(cost: Decimal) -> str:
    """A cost as people type it: with two decimals, or as many more as it has."""
    whole = cost.normalize()
    return f"{whole:.{max(2, -int(whole.as_tuple().exponent))}f}"


def _address(tenant: Tenant, view: str, supplier_id: UUID | None, before: UUID | None = None) -> str:
    asked = {"state": view, "supplier": supplier_id, "before": before}
    return f"{home(tenant)}?{urlencode({name: str(value) for name, value in asked.items() if value})}"


def _views(tenant: Tenant, view: str, supplier_id: UUID | None, counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "word": word,
            "href": _address(tenant, name, supplier_id),
            "count": sum(counts.get(state, 0) for state in states),
            "current": name == view,
        }
        for name, (word, states) in VIEWS.items()
        if name in _ALWAYS_SHOWN or name == view or any(counts.get(state) for state in states)
    ]


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant) -> dict[str, Any]:
    query = request.query_params
    supplier_id, note = maybe_id(query.get("supplier")), ""
    if before := query.get("again"):
        row = await queries.one_or_404(tx, before)
        supplier_id, note = row["supplier_id"], row["note"]
        known = [(line["sku_id"], line["units"], line["unit_cost"]) for line in await queries.lines_of(tx, row["id"])]
    else:
        sku_ids = await queries.low_skus(tx) if query.get("low") == "1" else _named(request)
        known = [_suggested(one) for one in await queries.standings(tx, sku_ids, supplier_id)]
    rows = min(MOST_LINES, max(_FEWEST_ROWS, len(known) + _EMPTY_ROWS))
    return {
        **shared(request, tenant),
        "suppliers": await queries.suppliers(tx),
        "skus": await queries.skus(tx),
        "supplier_id": supplier_id,
        "note": note,
        "request_id": str(new_id()),
        "rows": [*known, *[None] * (rows - len(known))],
        "most_lines": MOST_LINES,
    }


def _named(request: AnyRequest) -> list[UUID]:
    return [found for text in request.query_params.getall("sku", [])[:MOST_LINES] if (found := maybe_id(text))]


def _suggested(row: asyncpg.Record) -> tuple[UUID, int, Any]:
    standing = Standing(row["available"], row["threshold"], row["per_day"], row["coming"])
    return row["sku_id"], units_wanted(standing), row["unit_cost"]


def _rows_sent(sent: RawForm) -> int:
    """So many rows the form had, as far as one may have."""
    return next((n + 1 for n in reversed(range(MOST_LINES)) if f"row-{n}-units" in sent), _FEWEST_ROWS)
