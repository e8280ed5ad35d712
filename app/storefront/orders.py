"""One order's page, from waiting for payment to the keys. Its address is secret: the number and 128 bits that only we can make."""

from __future__ import annotations

import hmac
from typing import Any, Final
from uuid import UUID

from asyncpg import Record
from litestar import Controller, MediaType, Response, get, post
from litestar.di import Provide
from litestar.params import FromPath

from app.fulfillment import disputing, minting, revealing, told_uses
from app.fulfillment.revealing import Revealed
from app.kernel import clock, links, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, NotFound
from app.kernel.rates import Limit
from app.kernel.templating import register_states
from app.kernel.vault import keyring
from app.kernel.web import NO_STORE, AnyRequest, fragment, is_partial, page, see_other
from app.ordering import service as ordering
from app.ordering.models import SERVED, OrderState, UnitState
from app.ordering.placing import ShopClosed
from app.ordering.words import plan_words
from app.payments import service as payments
from app.payments.models import OF_SURPLUS
from app.payments.service import NotPayable
from app.storefront import queries
from app.storefront.contents import path_of
from app.storefront.opening import OPEN_WHEN_CLOSED, shelf_in
from app.storefront.queries import Bought
from app.storefront.reports import ReportOf, reports_of
from app.storefront.richtext import shown
from app.storefront.subscribed import subscribed
from tenants.directory import Tenant
from tenants.session import tenant_tx

_WRONG_LINKS = Limit("order.wrong_link", 30, 600)
_PAYMENTS = Limit("order.payment", 30, 600)
_QUESTIONS = Limit("order.question", 6, 60)
_REVEALS = Limit("order.reveal", 120, 600)
_NOBODY = UUID(int=0)
_REVEALED_AT_ONCE = 200
_RESTS = SERVED | {OrderState.REFUNDED}
"""States whose page does not ask for news by itself."""

register_states(
    "bought",
    {
        OrderState.AWAITING_PAYMENT: (N_("To be paid"), ""),
        OrderState.PAID: (N_("On its way"), "info"),
        OrderState.RUNNING: (N_("Subscription runs"), "ok"),
        OrderState.DELIVERED: (N_("Delivered"), "ok"),
        OrderState.PARTLY_DELIVERED: (N_("Partly delivered"), "warn"),
        OrderState.REFUNDING: (N_("Being refunded"), "warn"),
        OrderState.REFUNDED: (N_("Refunded"), ""),
        OrderState.CANCELLED: (N_("Cancelled"), ""),
        OrderState.EXPIRED: (N_("Not paid in time"), ""),
    },
)

UNIT_WORDS: Final = {
    UnitState.RESERVED: (N_("To be paid"), ""),
    UnitState.SCHEDULED: (N_("To come"), ""),
    UnitState.OWED: (N_("On its way"), "info"),
    UnitState.DELIVERED: (N_("Delivered"), "ok"),
    UnitState.REFUNDING: (N_("Being refunded"), "warn"),
    UnitState.REFUNDED: (N_("Refunded"), ""),
    UnitState.RELEASED: (N_("Not paid in time"), ""),
}
"""How the parts of a bundle, or the cycles of a subscription, stand, each in a word and its tone."""


async def order_or_404(request: AnyRequest, tenant: Tenant) -> Record:
    """The order of a secret address. An unknown number and a wrong signature get one answer, after the same work; wrong ones are counted.

    Raises: NotFound, TooMany.
    """
    order_no, signature = str(request.path_params["order_no"]), str(request.path_params["signature"])
    async with tenant_tx(tenant) as tx:
        order = await queries.order_head(tx, order_no)
        right = (await keyring(tx)).link_signature("order", order["id"] if order else _NOBODY)
    if not hmac.compare_digest(right.encode(), signature.encode()) or order is None:
        await rates.count(tenant, _WRONG_LINKS, request.scope["state"]["address"])
        raise NotFound
    return order


class OrderPages(Controller):
    """Everything a buyer does with one order."""

    path = "/orders/{order_no:str}/{signature:str}"
    opt = OPEN_WHEN_CLOSED
    dependencies = {"order": Provide(order_or_404)}  # noqa: RUF012

    @get()
    async def show(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[str]:
        return await _order_page(request, tenant, order)

    @get("/status")
    async def status(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[Any]:
        """What the page shows, if that is not what it shows already; 204 while nothing has changed."""
        if is_partial(request) and request.query_params.get("seen") == mark_of(order):
            return Response(None, status_code=204)
        return await _order_page(request, tenant, order)

    @post("/payment")
    async def pay(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[Any]:
        """Open the payment and send the buyer to it. A page with scripts asks for it on arrival, to show the code to scan."""
        if not tenant.is_open:
            raise ShopClosed
        if order["state"] != OrderState.AWAITING_PAYMENT or order["is_lapsed"]:
            return see_other(request, _path(request))
        await rates.count(tenant, _PAYMENTS, order["order_no"])
        try:
            pay_url = await payments.open_payment(tenant, order["id"])
        except NotPayable:
            return see_other(request, _path(request))
        if is_partial(request):
            return await _order_page(request, tenant, await order_or_404(request, tenant))
        return see_other(request, pay_url)

    @post("/question")
    async def ask(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[None]:
        """ "I have paid": the gateway is asked at once."""
        await rates.count(tenant, _QUESTIONS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            await payments.ask_now(tx, order["id"])
        words = N_("We are asking the payment company now. Do not pay again; this page goes on by itself.")
        return see_other(request, _path(request), flash=words, tone="info")

    @get("/cancellation")
    async def confirm(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[str]:
        context: dict[str, Any] = {"order": order, "order_path": _path(request)}
        if is_partial(request):
            return fragment(request, "storefront/_cancellation.html", **context)
        return page(request, "storefront/cancellation.html", **context)

    @post("/cancellation")
    async def cancel(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[None]:
        async with tenant_tx(tenant) as tx:
            await ordering.cancel(tx, order["id"], actor=_buyer(order))
        return see_other(request, _path(request))

    @post("/accounts/{line_id:uuid}/dispute")
    async def dispute(self, request: AnyRequest, tenant: Tenant, order: Record, line_id: FromPath[UUID]) -> Response[None]:
        """ "This was the wrong account": a person decides; nothing goes back by itself."""
        await rates.count(tenant, _QUESTIONS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            await disputing.dispute_account(tx, order_id=order["id"], order_line_id=line_id, actor=_buyer(order))
        words = N_("The shop has been told, and a person looks at it. Nothing is given back by itself.")
        return see_other(request, _path(request), flash=words, tone="info")

    @post("/reveals/{line_id:uuid}/{unit_no:int}")
    async def reveal(
        self,
        request: AnyRequest,
        tenant: Tenant,
        order: Record,
        line_id: FromPath[UUID],
        unit_no: FromPath[int],
    ) -> Response[Any]:
        """Show one key, or hand it to the copy button. Each time is in the audit chain."""
        await rates.count(tenant, _REVEALS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            opened = await revealing.reveal(tx, order_id=order["id"], order_line_id=line_id, unit_no=unit_no, actor=_buyer(order))
            all_bought = await queries.bought(tx, order)
        if _wants_text(request):
            return _as_text([opened])
        unit = next(u for line in all_bought.lines for u in line.units if (u.line_id, u.unit_no) == (line_id, unit_no))
        if is_partial(request):
            context: dict[str, Any] = {
                "unit": unit,
                "revealed": opened,
                "order_path": _path(request),
                "redeem_url": links.merchant(tenant, "/redeem"),
            }
            return fragment(request, "storefront/_revealed.html", headers=NO_STORE, **context)
        return await _order_page(request, tenant, order, opened={(line_id, unit_no): opened})

    @post("/reveals")
    async def reveal_all(self, request: AnyRequest, tenant: Tenant, order: Record) -> Response[Any]:
        """Every delivered key of the order, for "copy all"; each is in the audit chain."""
        await rates.count(tenant, _REVEALS, order["order_no"])
        async with tenant_tx(tenant) as tx:
            opened = await revealing.reveal_all(tx, order_id=order["id"], at_most=_REVEALED_AT_ONCE, actor=_buyer(order))
        if _wants_text(request):
            return _as_text(list(opened.values()))
        return await _order_page(request, tenant, order, opened=opened)


def mark_of(order: Record) -> str:
    """Changes whenever the page of an order shows something else."""
    lapsed = f"{order['is_lapsed']:d}"
    refunds, supply, cases = order["refund_states"] or "", order["supply"] or "", order["case_states"] or ""
    return f"{order['state']}.{order['arrived'] or ''}.{lapsed}.{order['open_payments']}.{refunds}.{supply}.{cases}"


async def _order_page(
    request: AnyRequest, tenant: Tenant, order: Record, *, opened: dict[tuple[UUID, int], Revealed] | None = None
) -> Response[str]:
    async with tenant_tx(tenant) as tx:
        all_bought = await queries.bought(tx, order)
        uses, ring = await minting.uses_of(tx, order["id"]), await keyring(tx)
        reports, told = await reports_of(tx, order["id"]), await told_uses.of_units(tx, order["id"])
    minted = [unit.minted for line in all_bought.lines for unit in line.units if unit.minted]
    at = clock.now()
    context: dict[str, Any] = {
        "order": order,
        "bought": all_bought,
        "bought_words": UNIT_WORDS,
        "uses": uses,
        "told": told,
        "reports": reports,
        "subscriptions": await subscribed(request, tenant, order["id"]) if all_bought.has_subscription else [],
        "plan_words": plan_words,
        "open_units": {report.unit for report in reports if report.is_open},
        "content_paths": {own.id: path_of(ring, own.id) for own in minted if own.is_link},
        "redeem_url": links.merchant(tenant, "/redeem"),
        "stage": _stage(order),
        "money": _money_back(all_bought, reports),
        "usages": _usages(all_bought),
        "opened": opened or {},
        "order_path": _path(request),
        "mark": mark_of(order),
        "is_polled": order["state"] not in _RESTS or any(report.is_moving for report in reports),
        "at": at,
        "support_contact": shelf_in(request).face.support_contact,
    }
    if is_partial(request):
        return fragment(request, "storefront/_order.html", **context)
    return page(request, "storefront/order.html", **context)


def _stage(order: Record) -> str:
    """Which face the page wears. An order nobody paid in time is over at its minute, even before it was swept."""
    return OrderState.EXPIRED if order["is_lapsed"] else str(order["state"])


def _money_back(all_bought: Bought, reports: list[ReportOf]) -> dict[str, Any]:
    """What goes back and how far it is."""
    return {
        "units_short": all_bought.units_in(UnitState.REFUNDING, UnitState.REFUNDED),
        "units_delivered": all_bought.units_in(UnitState.DELIVERED),
        "short_minor": all_bought.minor_in(UnitState.REFUNDING, UnitState.REFUNDED),
        "is_after_sale": any(report.is_given_back for report in reports),
        "refunds": [refund for refund in all_bought.refunds if refund["reason"] not in OF_SURPLUS],
        "surplus": [refund for refund in all_bought.refunds if refund["reason"] in OF_SURPLUS],
    }


def _usages(all_bought: Bought) -> dict[UUID, Any]:
    """Each product's notes on use, once, under the first of its lines that is shown."""
    usages: dict[UUID, Any] = {}
    seen: set[UUID] = set()
    for line in all_bought.handed_out:
        if line.row["usage_html"] and line.row["product_id"] not in seen:
            usages[line.row["id"]] = shown(line.row["usage_html"])
            seen.add(line.row["product_id"])
    return usages


def _buyer(order: Record) -> Actor:
    return Actor(ActorKind.BUYER, None, order["contact_masked"])


def _path(request: AnyRequest) -> str:
    """The order's own address, as its reader came by it."""
    return f"/orders/{request.path_params['order_no']}/{request.path_params['signature']}"


def _wants_text(request: AnyRequest) -> bool:
    return request.headers.get("accept", "") == MediaType.TEXT.value


def _as_text(opened: list[Revealed]) -> Response[str]:
    """One key to a line, number and password parted by a blank."""
    lines = [f"{key.number} {key.password}".rstrip() for key in opened]
    return Response("\n".join(lines), media_type=MediaType.TEXT, headers=NO_STORE, status_code=200)
