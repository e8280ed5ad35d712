"""The dashboard: how the day goes, what needs somebody, what sells, and what is left to set up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from litestar import Controller, Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import queries as after_sales
from app.cases import queries as cases
from app.insight import queries, rules
from app.insight.queries import Figures, Part, Setup, Span
from app.kernel import clock, i18n, links
from app.kernel.errors import N_
from app.kernel.forms import RawForm
from app.kernel.web import AnyRequest, page, see_other
from app.ordering import filters
from app.ordering.filters import Moment, OrderFilter, Period, Problem, UnknownFilter
from app.ordering.models import OrderState
from app.ordering.words import PERIOD_WORDS
from tenants.directory import Tenant
from tenants.session import Tx, raw

TASK_WORDS: Final = {
    "integrations.send": N_("A message could not be handed over"),
    "inventory.check_import": N_("An uploaded file could not be checked"),
    "inventory.import_keys": N_("Keys could not be imported"),
    "inventory.warn": N_("A stock warning could not be sent"),
    "ordering.expire": N_("Unpaid orders could not be let go"),
}
_ATTENTION: Final[tuple[tuple[str, str, str, Callable[[int], str]], ...]] = (
    ("late", "clock", "bad", lambda n: i18n.ngettext("%(num)s order is paid and not delivered", "%(num)s orders are paid and not delivered", n)),
    ("work_failed", "triangle-alert", "bad", lambda n: i18n.ngettext("Work on %(num)s order failed", "Work on %(num)s orders failed", n)),
    ("refund_declined", "circle-x", "bad",
     lambda n: i18n.ngettext("The gateway declined a refund of %(num)s order", "The gateway declined refunds of %(num)s orders", n)),
    ("mismatch", "shield-alert", "bad",
     lambda n: i18n.ngettext("%(num)s order has a notice that does not match", "%(num)s orders have notices that do not match", n)),
    ("refund_unknown", "circle-help", "odd",
     lambda n: i18n.ngettext("A refund of %(num)s order is not known yet", "Refunds of %(num)s orders are not known yet", n)),
)  # fmt: skip


_AFTER_SALES: Final[tuple[tuple[str, str, Callable[[int], str]], ...]] = (
    ("overdue", "clock", lambda n: i18n.ngettext("%(num)s buyer's case is overdue", "%(num)s buyers' cases are overdue", n)),
    ("awaiting_staff", "headset", lambda n: i18n.ngettext("%(num)s buyer's case waits for the team", "%(num)s buyers' cases wait for the team", n)),
)  # fmt: skip


class DashboardPages(Controller):
    path = "/m/{tenant_slug:str}"
    guards = (may(Permission.DASHBOARD_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The dashboard of a period. Raises: UnknownFilter for any other parameter or period."""
        period = _period(request)
        tx = await raw(session)
        may_edit = may_do(request, Permission.SETTINGS_EDIT)
        context = await _context(tx, tenant, period, clock.now())
        return page(request, "insight/dashboard.html", may_edit=may_edit, **context)

    @post("/setup-list", guards=[may(Permission.SETTINGS_EDIT)])
    async def setup_list(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, sent: RawForm) -> Response[None]:
        """Put the set-up list away, or bring it back."""
        is_dismissed = sent.get("shown") == "no"
        await queries.dismiss_setup(await raw(session), is_dismissed=is_dismissed)
        told = N_("Set-up list put away. It is at the foot of this page.") if is_dismissed else ""
        return see_other(request, f"/m/{tenant.slug}", flash=told)


def _period(request: AnyRequest) -> Period:
    chosen = filters.read((str(name), str(value)) for name, value in request.query_params.multi_items())
    if chosen != OrderFilter(range=chosen.range):
        name = next(iter(request.query_params))
        raise UnknownFilter(name=name, value=str(request.query_params[name])[:40])
    return chosen.range or Period.TODAY


async def _context(tx: Tx, tenant: Tenant, period: Period, now: datetime) -> dict[str, Any]:
    span = queries.span_of(period, now)
    found = await queries.figures(tx, span.first, span.until)
    before = await queries.figures(tx, span.before_first, span.before_until)
    parts = await queries.parts(tx, span.first, part_s=span.part_s, number=span.parts)
    parts_before = await queries.parts(tx, span.before_first, part_s=span.part_s, number=span.parts)
    parts = parts[: _parts_so_far(span)]
    home = f"/m/{tenant.slug}"
    return {
        "home": home,
        "period": period,
        "periods": [(f"{home}?range={one}", i18n.gettext(word), one == period) for one, word in PERIOD_WORDS.items()],
        "today": clock.business_day(now),
        "stats": _stats(home, period, found, before, parts),
        "chart": _chart(span, parts, parts_before),
        "sellers": [
            (row, f"{home}/orders?{OrderFilter(by=Moment.PAID, range=period, sku=row['sku_id']).query()}")
            for row in await queries.best_sellers(tx, span.first, span.until)
        ],
        "attention": await _attention(tx, home),
        "failed_work": await queries.failed_work(tx),
        "task_words": TASK_WORDS,
        "shop_url": links.shop(tenant),
        **_setup(home, await queries.setup(tx)),
    }


def _parts_so_far(span: Span) -> int:
    return min(span.parts, int((span.until - span.first).total_seconds()) // span.part_s + 1)


def _stats(home: str, period: Period, found: Figures, before: Figures, parts: list[Part]) -> list[dict[str, Any]]:
    """Four figures with what they were in the stretch before; each leads to the orders it was made of."""
    paid = f"{home}/orders?{OrderFilter(by=Moment.PAID, range=period).query()}"
    delivered = f"{home}/orders?{OrderFilter(by=Moment.PAID, range=period, state=(OrderState.DELIVERED,)).query()}"
    sales = rules.compared(found.sales_minor, before.sales_minor, period)
    orders = rules.compared(found.orders, before.orders, period)
    of_all = {"delivered": i18n.format_number(found.delivered), "all": i18n.format_number(found.orders)}
    whole = i18n.gettext(N_("%(delivered)s of %(all)s")) % of_all if found.orders else i18n.gettext(_NONE_PAID)
    share = i18n.format_percent(found.share_bp) if found.share_bp is not None else "–"
    median = f"{found.median_s:.1f}" if found.median_s is not None else "–"
    over = i18n.ngettext(
        "Half of %(num)s order took at most so long", "Half of %(num)s orders took at most so long", found.delivered
    )
    took = over % {"num": of_all["delivered"]} if found.delivered else i18n.gettext(_NONE_DELIVERED)
    if found.orders and before.share_bp is not None:
        whole += i18n.gettext(N_(", %(share)s before")) % {"share": i18n.format_percent(before.share_bp)}
    if found.delivered and before.median_s is not None:
        took += i18n.gettext(N_(", %(seconds)s s before")) % {"seconds": f"{before.median_s:.1f}"}
    return [
        {"label": N_("Sales"), "value": i18n.format_money(found.sales_minor), "unit": "", "change": sales.text, "tone": sales.tone,
         "href": paid, "points": [part.sales_minor for part in parts]},
        {"label": N_("Orders paid"), "value": i18n.format_number(found.orders), "unit": "", "change": orders.text, "tone": orders.tone,
         "href": paid, "points": [part.orders for part in parts]},
        {"label": N_("Delivered whole"), "value": share, "unit": "", "change": whole,
         "tone": "dim", "href": delivered, "points": ()},
        {"label": N_("Paid to delivered"), "value": median, "unit": N_("s") if found.delivered else "", "change": took,
         "tone": "dim", "href": delivered, "points": ()},
    ]  # fmt: skip


_NONE_PAID, _NONE_DELIVERED = N_("No order paid yet"), N_("No order delivered yet")


def _chart(span: Span, parts: list[Part], before: list[Part]) -> dict[str, Any]:
    """Sales hour by hour or day by day, against the stretch before."""
    own, other = [part.sales_minor for part in parts], [part.sales_minor for part in before]
    is_hourly = span.part_s == 3600
    labels = [_label(span.first + timedelta(seconds=span.part_s * i), is_hourly=is_hourly) for i in range(span.parts)]
    step = 6 if is_hourly else (span.parts + 3) // 4
    return {
        "own": own,
        "other": other,
        "labels": labels,
        "marks": list(range(0, span.parts, step)),
        "scale": rules.scale(own, other),
        "is_hourly": is_hourly,
    }


def _label(at: datetime, *, is_hourly: bool) -> str:
    if is_hourly:
        return i18n.gettext(N_("%(hour)s:00")) % {"hour": at.astimezone(clock.BUSINESS_ZONE).hour}
    return i18n.format_date(at.astimezone(clock.BUSINESS_ZONE).date())


async def _attention(tx: Tx, home: str) -> list[dict[str, str]]:
    """What needs somebody, the worst first. Each line leads to exactly what it counts."""
    counted = await queries.attention(tx)
    found = []
    for name, icon, tone, words in _ATTENTION:
        if number := getattr(counted, name):
            text = words(number) % {"num": i18n.format_number(number)}
            href = f"{home}/orders?{OrderFilter(problem=Problem(name)).query()}"
            found.append({"text": text, "note": "", "href": href, "icon": icon, "tone": tone})
    waiting = await after_sales.counts(tx)
    for view, icon, words in _AFTER_SALES:
        if number := waiting.get(view, 0):
            text = words(number) % {"num": i18n.format_number(number)}
            tone = "bad" if view == "overdue" else "warn"
            found.append({"text": text, "note": "", "href": f"{home}/after-sales?view={view}", "icon": icon, "tone": tone})
    if open_cases := sum((await cases.open_by_kind(tx)).values()):
        text = i18n.ngettext("%(num)s case waits for somebody", "%(num)s cases wait for somebody", open_cases)
        told = text % {"num": i18n.format_number(open_cases)}
        found.append({"text": told, "note": "", "href": f"{home}/cases", "icon": "circle-help", "tone": "bad"})
    for row in await queries.short_skus(tx):
        text = i18n.gettext(N_("%(name)s owes more than it has")) % {"name": row["name"]}
        note = i18n.ngettext("%(num)s key is missing for an order", "%(num)s keys are missing for orders", row["short"])
        found.append(_about_stock(home, row, text, note % {"num": i18n.format_number(row["short"])}, "bad"))
    for row in await queries.low_skus(tx):
        left = {"name": row["name"], "left": i18n.format_number(row["available"])}
        text = (
            i18n.gettext(N_("%(name)s: %(left)s left")) % left
            if row["available"]
            else i18n.gettext(N_("%(name)s is sold out")) % left
        )
        note = i18n.gettext(N_("You asked to be warned below %(num)s.")) % {"num": i18n.format_number(row["warn_below"])}
        found.append(_about_stock(home, row, text, note if row["warn_below"] else "", "warn" if row["available"] else "bad"))
    if failed := len(await queries.failed_work(tx)):
        text = i18n.ngettext("%(num)s job failed for good", "%(num)s jobs failed for good", failed) % {"num": failed}
        found.append({"text": text, "note": "", "href": "#failed-work", "icon": "triangle-alert", "tone": "warn"})
    return found


def _about_stock(home: str, row: Any, text: str, note: str, tone: str) -> dict[str, str]:
    return {"text": text, "note": note, "href": f"{home}/card-pools/{row['sku_id']}", "icon": "key-round", "tone": tone}


def _setup(home: str, state: Setup) -> dict[str, Any]:
    """The set-up list: a step's title, whether it is done, what it is for, and where it is done."""
    steps = [
        (N_("Confirm your e-mail"), state.is_email_verified, "", ""),
        (N_("Create a product"), state.has_product, N_("Its name, what it costs, and how to use it."), f"{home}/products/new"),
        (N_("Import keys"), state.has_keys, N_("Paste them or upload a file; you see what is new before anything is stored."), f"{home}/card-pools"),
        (N_("Put a product on sale"), state.is_on_sale, N_("From then on your shop shows it."), f"{home}/products"),
        (N_("Connect a gateway"), state.has_gateway, N_("The sandbox gateway behaves like a real one and moves no money."), f"{home}/settings/payments"),
        (N_("Sell the first order"), state.has_paid_order, N_("Open your shop and buy something yourself."), "shop"),
    ]  # fmt: skip
    left = [step for step in steps if not step[1]]
    return {"steps": steps, "steps_left": left, "is_dismissed": state.is_dismissed}
