"""One order: what was paid, owed, delivered and given back, everything that happened, and what may be done about it."""

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
from app.aftersales import queries as after_sales
from app.aftersales.words import COMPLAINTS
from app.cases import queries as cases
from app.cases.pages import WORDS as CASE_WORDS
from app.fulfillment import minting, revealing, showing, told_uses
from app.fulfillment.models import AttemptState
from app.inventory.pages.proving import count_reveal
from app.issuing import queries as issuing
from app.kernel import clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Count, Form, RawForm, parse
from app.kernel.money import line_minor
from app.kernel.rates import Limit, count
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from app.ledger.queries import transfers_of
from app.ordering import actions, desk, on_account, queries, service, words
from app.ordering.actions import Action, Standing
from app.ordering.models import OrderState, UnitState
from app.payments.deciding import decide_refund
from app.payments.models import OF_SURPLUS, PaymentState, RefundState
from tenants.directory import Tenant
from tenants.session import Tx, raw

_RESENDS = Limit("order.resend", 3, 600)
_UNFINISHED = frozenset({OrderState.AWAITING_PAYMENT, OrderState.PAID, OrderState.REFUNDING})
_REFUND_OPEN = frozenset({RefundState.REQUESTED, RefundState.SENDING, RefundState.UNKNOWN})
_NEEDS = {
    Action.REFUND: Permission.ORDERS_REFUND,
    Action.CANCEL: Permission.ORDERS_REFUND,
    Action.ASK: Permission.ORDERS_NOTE,
    Action.RESEND: Permission.ORDERS_NOTE,
    Action.REDELIVER: Permission.ORDERS_NOTE,
}


class NoteForm(Form):
    """A note of the staff."""

    note: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class RefundForm(Form):
    """A refund: the amount the page stated, and why."""

    stated_minor: Count
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RevealForm(Form):
    """Why a key is to be shown to staff."""

    line: UUID
    unit: Count
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class OrderPages(Controller):
    path = "/m/{tenant_slug:str}/orders/{order_no:str}"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, order_no: FromPath[str]) -> Response[str]:
        """The order. Raises: NotFound."""
        tx = await raw(session)
        return page(request, "ordering/show.html", **await _whole(request, tx, tenant, order_no))

    @get("/timeline")
    async def timeline(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, order_no: FromPath[str]
    ) -> Response[str]:
        """What happened, asked for again and again while the order is unfinished; with the other parts once its state has changed."""
        context = await _whole(request, await raw(session), tenant, order_no)
        if not is_partial(request):
            return page(request, "ordering/show.html", **context)
        context["has_changed"] = request.query_params.get("seen") != context["seen"]
        return fragment(request, "ordering/timeline.stream.html", **context)

    @post("/notes", guards=[may(Permission.ORDERS_NOTE)])
    async def note(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, order_no: FromPath[str]
    ) -> Response[None]:
        """Write a note."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, order_no)
        form = parse(NoteForm, sent, retry="ordering/show.html", **whole)
        await desk.add_note(tx, whole["order"]["id"], text=form.note, actor=actor)
        return see_other(request, whole["path"], flash=N_("Note saved."))

    @get("/refunds", guards=[may(Permission.ORDERS_REFUND)])
    async def refund_form(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, order_no: FromPath[str]
    ) -> Response[str]:
        """What a refund would give back, by which way, with what effect; asked before anything is done."""
        context = await _whole(request, await raw(session), tenant, order_no)
        if is_partial(request):
            return fragment(request, "ordering/_refund_form.html", **context)
        return page(request, "ordering/refund.html", **context)

    @post("/refunds", guards=[may(Permission.ORDERS_REFUND)])
    async def refund(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, order_no: FromPath[str]
    ) -> Response[None]:
        """Give back what the page stated. Pressed twice, it is one refund. Raises: AmountChanged, NothingToRefund."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, order_no)
        form = parse(RefundForm, sent, retry="ordering/refund.html", **whole)
        is_new = await decide_refund(tx, whole["order"]["id"], stated_minor=form.stated_minor, reason=form.reason, actor=actor)
        told = (
            N_("The refund is on its way.") if is_new else N_("A refund of this order is under way already; nothing was added.")
        )
        return see_other(request, whole["path"], flash=told, tone="ok" if is_new else "info")

    @post("/cancellation", guards=[may(Permission.ORDERS_REFUND)])
    async def cancel(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, order_no: FromPath[str]
    ) -> Response[None]:
        """Let an unpaid order go. Raises: NotCancellable."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await service.cancel(tx, order["id"], actor=actor)
        return see_other(request, _path(tenant, order), flash=N_("Order cancelled; its stock is free again."))

    @post("/questions", guards=[may(Permission.ORDERS_NOTE)])
    async def ask(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, order_no: FromPath[str]
    ) -> Response[None]:
        """Ask the gateway now about what it has not answered."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        asked = await desk.ask_gateway(tx, order["id"], actor=actor)
        told = N_("The gateway is being asked; its answer appears below.") if asked else actions.WHY["nothing_to_ask"]
        return see_other(request, _path(tenant, order), flash=told, tone="ok" if asked else "info")

    @post("/messages", guards=[may(Permission.ORDERS_NOTE)])
    async def resend(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, order_no: FromPath[str]
    ) -> Response[None]:
        """Send the delivery message again, at most three times in ten minutes. Raises: NotDelivered, TooMany."""
        await count(tenant, _RESENDS, order_no[:20])
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await desk.resend_message(tx, order, actor=actor)
        return see_other(request, _path(tenant, order), flash=N_("The message is on its way."))

    @post("/redelivery", guards=[may(Permission.ORDERS_NOTE)])
    async def redeliver(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, order_no: FromPath[str]
    ) -> Response[None]:
        """Try the delivery of a paid order at once. Raises: NothingOwed."""
        tx = await raw(session)
        order = await queries.order_or_404(tx, order_no)
        await desk.ask_delivery(tx, order, actor=actor)
        return see_other(request, _path(tenant, order), flash=N_("Delivery is being tried; the outcome appears below."))

    @get("/reveals", guards=[may(Permission.ORDERS_REVEAL)])
    async def reveal_form(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, order_no: FromPath[str]
    ) -> Response[str]:
        """Asks why a key is to be shown. Raises: NotFound for a unit that is not delivered or not of this order."""
        context = await _whole(request, await raw(session), tenant, order_no)
        line, unit = request.query_params.get("line", ""), request.query_params.get("unit", "")
        context["unit"] = _unit(context["units"], line, unit)
        if is_partial(request):
            return fragment(request, "ordering/_reveal_form.html", **context)
        return page(request, "ordering/reveal.html", **context)

    @post("/reveals", guards=[may(Permission.ORDERS_REVEAL)])
    async def reveal(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, order_no: FromPath[str]
    ) -> Response[str]:
        """Show one key once, and write down to whom and why. A reveal counts even when the answer is lost."""
        tx = await raw(session)
        context = await _whole(request, tx, tenant, order_no)
        context["unit"] = _unit(context["units"], sent.get("line"), sent.get("unit"))
        retry = "ordering/_reveal_form.html" if is_partial(request) else "ordering/reveal.html"
        form = parse(RevealForm, sent, retry=retry, **context)
        await count_reveal(request, tenant, actor=actor, sent=sent, retry=retry, context=context)
        shown = await revealing.reveal(
            tx, order_id=context["order"]["id"], order_line_id=form.line, unit_no=form.unit, actor=actor, reason=form.reason
        )
        context["revealed"] = " ".join(part for part in (shown.number, shown.password) if part)
        if is_partial(request):
            return fragment(request, "ordering/reveal.stream.html", **context)
        return page(request, "ordering/reveal.html", **context)


def _path(tenant: Tenant, order: asyncpg.Record) -> str:
    return f"/m/{tenant.slug}/orders/{order['order_no']}"


async def _whole(request: AnyRequest, tx: Tx, tenant: Tenant, order_no: str) -> dict[str, Any]:
    """Everything the order's page and its fragments show."""
    order = await queries.order_or_404(tx, order_no)
    lines, units = await queries.lines_of(tx, order["id"]), await queries.units_of(tx, order["id"])
    payments, refunds = await queries.payments_of(tx, order["id"]), await queries.refunds_of(tx, order["id"])
    refundable = await queries.refundable_minor(tx, order["id"])
    captures = [row["capture_id"] for row in payments if row["capture_id"]]
    subjects = [order["id"], *{row["id"] for row in payments}, *(row["id"] for row in refunds)]
    events = await history.of_subjects(tx, subjects)
    attempts = await showing.attempts_of(tx, order["id"])
    standing = _standing(order, refundable, payments, refunds, attempts)
    uses = [one for ledger in (await minting.uses_of(tx, order["id"])).values() for one in ledger]
    told = await told_uses.of_order(tx, order["id"])
    return {
        "order": order,
        "path": _path(tenant, order),
        "orders_path": f"/m/{tenant.slug}/orders",
        "lines": lines,
        "units": units,
        "stated": _stated(lines),
        "attempts": attempts,
        "attempt_seconds": showing.seconds,
        "uses": sorted(uses, key=lambda one: one["at"], reverse=True),
        "told": told,
        "payments": payments,
        "refunds": refunds,
        "refundable_minor": refundable,
        "cases": await cases.of_order(tx, order["id"]),
        "case_words": CASE_WORDS,
        "after_sales": await after_sales.of_order(tx, order["id"]),
        "after_sales_path": f"/m/{tenant.slug}/after-sales",
        "complaints": COMPLAINTS,
        "may_open_case": may_do(request, Permission.AFTERSALES_DECIDE),
        "cases_path": f"/m/{tenant.slug}/cases",
        "money": _money(order, lines, units, refunds),
        "transfers": await transfers_of(
            tx, [*captures, *(row["id"] for row in lines), *(row["id"] for row in refunds)], ids=on_account.transfer_ids(order)
        ),
        "issued": await issuing.of_order(tx, order["id"]) if order["billed_to"] else None,
        "issues_path": f"/m/{tenant.slug}/issues",
        "earlier": await queries.earlier_orders(tx, order),
        "events": [*words.timeline(events), words.placed(order)],
        "actions": {action: actions.refused(action, standing) for action in Action if may_do(request, _NEEDS[action])},
        "may_note": may_do(request, Permission.ORDERS_NOTE),
        "may_see_answers": may_do(request, Permission.AFTERSALES_DECIDE),
        "may_reveal": may_do(request, Permission.ORDERS_REVEAL),
        "is_unfinished": order["state"] in _UNFINISHED
        or bool(standing.refund_states & _REFUND_OPEN)
        or any(_is_usable(unit) for unit in units)
        or await told_uses.are_awaited(tx, {one["connection_id"] for one in attempts if one["state"] == AttemptState.SUCCEEDED}),
        "seen": f"{order['state']}.{len(uses) + len(told)}.{'.'.join([*sorted(standing.refund_states), *(one['state'] for one in attempts)])}",
        "words": words,
        "exact": clock.business_day(order["placed_at"]) == clock.business_day(),
        "now": clock.now(),
    }


def _is_usable(unit: asyncpg.Record) -> bool:
    """Whether a code or link of ours may still be used, so that the page goes on looking for uses."""
    return bool(unit["state"] == UnitState.DELIVERED and unit["minted_state"] == "valid" and unit["uses"] < unit["most_uses"])


def _standing(
    order: asyncpg.Record,
    refundable_minor: int,
    payments: list[asyncpg.Record],
    refunds: list[asyncpg.Record],
    attempts: list[dict[str, Any]],
) -> Standing:
    waiting = {PaymentState.OPENING, PaymentState.OPEN}
    return Standing(
        state=OrderState(order["state"]),
        refundable_minor=refundable_minor,
        has_open_payment=any(row["state"] in waiting for row in payments),
        refund_states=frozenset(str(row["state"]) for row in refunds),
        is_being_bought=any(one["is_open"] for one in attempts),
    )


def _money(
    order: asyncpg.Record, lines: list[asyncpg.Record], units: list[asyncpg.Record], refunds: list[asyncpg.Record]
) -> dict[str, int | None]:
    """An order's amounts in minor units: what was paid, what went back, what its keys cost and what is left. None where it is not known yet."""
    has_cost = [row for row in lines if row["cost"] is not None]
    cost = sum(line_minor(row["cost"], 1) for row in has_cost) if has_cost else None
    returned = sum(r["amount_minor"] for r in refunds if r["state"] == RefundState.SUCCEEDED and r["reason"] not in OF_SURPLUS)
    if order["billed_to"]:
        returned = sum(unit["amount_minor"] for unit in units if unit["state"] == UnitState.REFUNDED)
    pending = sum(r["amount_minor"] for r in refunds if r["state"] != RefundState.SUCCEEDED and r["reason"] not in OF_SURPLUS)
    owed = any(unit["state"] in (UnitState.OWED, UnitState.RESERVED, UnitState.SCHEDULED) for unit in units)
    margin = None if cost is None or owed or pending or order["paid_at"] is None else order["total_minor"] - returned - cost
    return {"cost_minor": cost, "returned_minor": returned, "pending_minor": pending, "margin_minor": margin}


def _stated(lines: list[asyncpg.Record]) -> list[tuple[str, list[tuple[str, str]]]]:
    """By line, what was said of the product when it was sold, and what its buyer stated, masked."""
    found = []
    for line in lines:
        pairs = [
            (one["label"], one["value"]) for kept in (line["attributes"], line["stated"]) for one in json.loads(kept or "[]")
        ]
        if pairs:
            found.append((f"{line['product_name']} {line['sku_name']}", pairs))
    return found


def _unit(units: list[asyncpg.Record], line: str, unit: str) -> asyncpg.Record:
    """The delivered unit a request names, or any whose account may be shown. Raises: NotFound."""
    for row in units:
        if (
            str(row["order_line_id"]) == line
            and str(row["unit_no"]) == unit
            and (row["is_account"] or row["state"] == UnitState.DELIVERED)
        ):
            return row
    raise NotFound
