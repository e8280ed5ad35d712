"""The order list, narrowed by its address, and its saved views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.kernel import clock, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Checked, Form, RawForm, parse
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from app.ordering import desk, filters, queries, subscriptions, words
from app.ordering.filters import OrderFilter, Problem, UnknownFilter
from app.ordering.models import OrderState
from tenants.directory import Tenant
from tenants.session import Tx, raw

_COUNTED_VIEWS = 6
ListPath = Callable[[OrderFilter | None], str]
"""Where the list of a filter is, for whoever reads it."""


@dataclass(frozen=True, slots=True)
class OwnView:
    """A view every merchant has from the start."""

    label: str
    chosen: OrderFilter
    tone: str = ""


OWN_VIEWS = (
    OwnView(N_("All"), OrderFilter()),
    OwnView(N_("Awaiting payment"), OrderFilter(state=(OrderState.AWAITING_PAYMENT,))),
    OwnView(N_("To deliver"), OrderFilter(state=(OrderState.PAID,)), "info"),
    OwnView(N_("Refunding"), OrderFilter(state=(OrderState.REFUNDING,)), "warn"),
    OwnView(N_("With problems"), OrderFilter(problem=Problem.ANY), "bad"),
    OwnView(N_("Today"), OrderFilter(range=filters.Period.TODAY)),
)


EVERYTHING = ("view", "all")
"""What the address of all orders holds for somebody whose list opens with a view of his."""


def orders_path(tenant: Tenant, chosen: OrderFilter | None = None, *, opens_with_view: bool = False) -> str:
    """Where a list of orders is, narrowed as wanted."""
    query = chosen.query() if chosen else ""
    if not query and opens_with_view:
        query = "=".join(EVERYTHING)
    return f"/m/{tenant.slug}/orders{'?' + query if query else ''}"


class OrderListPages(Controller):
    path = "/m/{tenant_slug:str}/orders"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor) -> Response[str]:
        """The list; where nothing is asked for, the view that this person's list opens with.

        Raises: UnknownFilter for a parameter or value that is not one of its own.
        """
        pairs = _pairs(request)
        chosen = filters.read([pair for pair in pairs if pair != EVERYTHING])
        saved = await queries.views_of(await raw(session), actor.id)
        opening = _opening(saved)
        if opening and all(name in filters.ELSEWHERE for name, _ in pairs):
            return Response("", status_code=303, headers={"Location": orders_path(tenant, opening)})
        at = partial(orders_path, tenant, opens_with_view=opening is not None)
        context = await _list(await raw(session), tenant, chosen, saved=saved, at=at)
        issues_href = f"/m/{tenant.slug}/issues" if may_do(request, Permission.ISSUE_VIEW) else ""
        return page(request, "ordering/index.html", **context, issues_href=issues_href)


class ViewForm(Form):
    """A saved view's name, and whether everyone of the team has it among his tabs."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=24, pattern=r"^[^\n\r]*$")]
    is_shared: Checked = False


class OrderViewPages(Controller):
    path = "/m/{tenant_slug:str}/order-views"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor) -> Response[str]:
        """Saving the filter in the address under a name, and changing the views one has."""
        chosen = filters.read(_pairs(request))
        context = await _views_page(await raw(session), tenant, chosen, actor)
        answer = fragment if is_partial(request) else page
        return answer(request, "ordering/_views.html" if is_partial(request) else "ordering/views.html", **context)

    @post()
    async def create(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[None]:
        """Save a view."""
        tx = await raw(session)
        chosen = filters.read(parse_qsl(sent.get("query")))
        form = parse(ViewForm, sent, retry="ordering/views.html", **await _views_page(tx, tenant, chosen, actor))
        await desk.save_view(tx, name=form.name, query=chosen.query(), is_shared=form.is_shared, actor=actor)
        return see_other(request, orders_path(tenant, chosen.at_page(1)), flash=N_("View saved."))

    @post("/{view_id:uuid}")
    async def change(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, view_id: FromPath[UUID]
    ) -> Response[None]:
        """Rename or share a view."""
        tx = await raw(session)
        form = parse(ViewForm, sent, retry="ordering/views.html", **await _views_page(tx, tenant, OrderFilter(), actor))
        await desk.change_view(tx, view_id, name=form.name, is_shared=form.is_shared, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/order-views", flash=N_("View saved."))

    @post("/{view_id:uuid}/default")
    async def open_with(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, view_id: FromPath[UUID]
    ) -> Response[None]:
        """Open the list with a view."""
        await desk.open_with(await raw(session), view_id, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/order-views", flash=N_("Your order list opens with this view now."))

    @post("/default/removal")
    async def open_with_all(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor) -> Response[None]:
        """Open the list with all orders again."""
        await desk.open_with_all(await raw(session), actor=actor)
        return see_other(request, f"/m/{tenant.slug}/order-views", flash=N_("Your order list opens with all orders again."))

    @post("/{view_id:uuid}/removal")
    async def remove(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, view_id: FromPath[UUID]
    ) -> Response[None]:
        """Delete a view."""
        await desk.drop_view(await raw(session), view_id, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/order-views", flash=N_("View deleted. Its orders stay."))


def _pairs(request: AnyRequest) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in request.query_params.multi_items()]


def _read(saved: asyncpg.Record) -> OrderFilter | None:
    """What a saved view asks for; None for one that was saved before the list lost a filter of it."""
    try:
        return filters.read(parse_qsl(saved["query"]))
    except UnknownFilter:
        return None


def _opening(saved: Sequence[asyncpg.Record]) -> OrderFilter | None:
    """The view that the list opens with, where one was chosen and narrows it."""
    opening = next((_read(row) for row in saved if row["opens_the_list"]), None)
    return opening if opening and opening.query() else None


async def _list(tx: Tx, tenant: Tenant, chosen: OrderFilter, *, saved: Sequence[asyncpg.Record], at: ListPath) -> dict[str, Any]:
    totals = await queries.totals(tx, chosen)
    rows = await queries.orders(tx, chosen) if totals.orders else []
    counts = await queries.counts(tx)
    first = (chosen.page - 1) * chosen.size + 1
    return {
        "chosen": chosen,
        "rows": [_row(row) for row in rows],
        "totals": totals,
        "everything": counts.every,
        "first": first if rows else 0,
        "last": first + len(rows) - 1 if rows else 0,
        "views": [*_own_tabs(chosen, counts, at), *await _saved_tabs(tx, chosen, saved, at)],
        "chips": await _chips(tx, chosen, at),
        "home": f"/m/{tenant.slug}",
        "path": f"/m/{tenant.slug}/orders",
        "views_path": f"/m/{tenant.slug}/order-views",
        "hidden": parse_qsl(replace(chosen.at_page(1), q="").query()),
        "previous_href": at(chosen.at_page(chosen.page - 1)) if chosen.page > 1 else "",
        "next_href": at(chosen.at_page(chosen.page + 1)) if _has_more(chosen, totals) else "",
        "clear_href": at(None),
        "to_hand_over": await queries.waiting_for_hands(tx),
        "has_subscriptions": await subscriptions.are_sold(tx),
        "subscriptions_href": f"/m/{tenant.slug}/subscriptions",
        "handovers_href": f"/m/{tenant.slug}/handovers",
        "words": words,
        "now": clock.now(),
    }


def _has_more(chosen: OrderFilter, totals: queries.Totals) -> bool:
    return chosen.page * chosen.size < totals.orders and chosen.page < filters.MOST_PAGES


def _row(row: asyncpg.Record) -> dict[str, Any]:
    """An order as the list shows it: the state that matters most, and why."""
    shown = dict(row)
    state = row["state"]
    if row["refund_state"] == "unknown":
        state = "refund_unknown"
    elif row["refund_state"] == "declined":
        state = "refund_declined"
    elif state == OrderState.PAID and (clock.now() - row["paid_at"]).total_seconds() > queries.LATE_AFTER_S:
        state = "late"
    shown["shown_state"] = state
    shown["waits"] = row["state"] in (OrderState.AWAITING_PAYMENT, OrderState.PAID, OrderState.REFUNDING)
    return shown


def _own_tabs(chosen: OrderFilter, counts: queries.Counts, at: ListPath) -> list[dict[str, Any]]:
    tabs = []
    for view in OWN_VIEWS:
        number = counts.every
        if view.chosen.state:
            number = counts.by_state.get(view.chosen.state[0], 0)
        elif view.chosen.problem:
            number = counts.with_problems
        elif view.chosen.range:
            number = counts.today
        tabs.append(
            {
                "label": i18n.gettext(view.label),
                "href": at(view.chosen),
                "count": number,
                "tone": view.tone if number else "",
                "current": chosen.plain() == view.chosen,
            }
        )
    return tabs


async def _saved_tabs(tx: Tx, chosen: OrderFilter, saved: Sequence[asyncpg.Record], at: ListPath) -> list[dict[str, Any]]:
    tabs: list[dict[str, Any]] = []
    for row in saved:
        if (own := _read(row)) is None:
            continue
        number = (await queries.totals(tx, own)).orders if len(tabs) < _COUNTED_VIEWS else None
        current = own.plain() == chosen.plain()
        tabs.append({"label": row["name"], "href": at(own), "count": number, "current": current})
    return tabs


async def _chips(tx: Tx, chosen: OrderFilter, at: ListPath) -> list[tuple[str, str, str]]:
    """Each filter that is on: its label, its value, and the list without it."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    if chosen.state:
        found.append(
            (
                N_("State"),
                i18n.gettext(N_(", ")).join(i18n.gettext(words.ORDER_WORDS[state][0]) for state in chosen.state),
                ("state",),
            )
        )
    if chosen.payment:
        found.append((N_("Payment"), i18n.gettext(words.PAYMENT_IS_WORDS[chosen.payment]), ("payment",)))
    if chosen.problem:
        found.append((N_("Problem"), i18n.gettext(words.PROBLEM_WORDS[chosen.problem]), ("problem",)))
    moment = words.MOMENT_WORDS[chosen.by]
    if chosen.range:
        found.append((moment, i18n.gettext(words.PERIOD_WORDS[chosen.range]), ("range", "by")))
    if chosen.since or chosen.until:
        ends = [i18n.format_date(day) if day else "…" for day in (chosen.since, chosen.until)]
        found.append((moment, " – ".join(ends), ("since", "until", "by")))
    if chosen.channel:
        found.append((N_("Sales channel"), i18n.gettext(words.CHANNEL_WORDS.get(chosen.channel, chosen.channel)), ("channel",)))
    if chosen.product:
        found.append((N_("Product"), chosen.product, ("product",)))
    if chosen.sku:
        names = await queries.names_of_skus(tx, [chosen.sku])
        found.append((N_("Product"), names.get(chosen.sku, "?"), ("sku",)))
    if chosen.buyer:
        found.append((N_("Buyer of"), chosen.buyer, ("buyer",)))
    if chosen.q:
        found.append((N_("Search"), chosen.q, ("q",)))
    return [(i18n.gettext(label), value, at(chosen.without(*names))) for label, value, names in found]


async def _views_page(tx: Tx, tenant: Tenant, chosen: OrderFilter, actor: Actor) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "query": chosen.at_page(1).query(),
        "chips": await _chips(tx, chosen, partial(orders_path, tenant)),
        "saved": await queries.views_of(tx, actor.id),
        "owner_id": actor.id,
        "orders_href": orders_path(tenant, chosen),
        "views_path": f"/m/{tenant.slug}/order-views",
    }
