"""The merchant's subscriptions: which run, what comes next, what happened; cancelled, or ended with the cycles to come given back."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.kernel import history
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest
from app.kernel.forms import Form, RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, page, see_other
from app.ordering import subscribing, subscriptions, words
from app.ordering.models import SubscriptionState
from app.ordering.subscriptions import Wanted
from tenants.directory import Tenant
from tenants.session import Tx, raw

PAGE = 50
_MOST_SEARCHED = 80


class StopForm(Form):
    """Why it ends."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SubscriptionPages(Controller):
    path = "/m/{tenant_slug:str}/subscriptions"
    guards = (may(Permission.ORDERS_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The list. Filters are in the address: state, q, page. Raises: BadRequest for a filter that is not one of its own."""
        tx, home = await raw(session), _home(tenant)
        wanted = Wanted(_state(request), request.query_params.get("q", "").strip()[:_MOST_SEARCHED])
        number = _page_number(request)
        rows = await subscriptions.listed(tx, wanted, page=number, size=PAGE)
        counts = await subscriptions.counts(tx)
        context: dict[str, Any] = {
            "home": home,
            "orders_path": f"/m/{tenant.slug}/orders",
            "rows": rows[:PAGE],
            "views": _views(home, wanted, counts),
            "wanted": wanted,
            "has_any": any(counts.values()),
            "plan_words": words.plan_words,
            "first": (number - 1) * PAGE + 1,
            "older": _address(home, wanted, number + 1) if len(rows) > PAGE else "",
            "newer": _address(home, wanted, number - 1) if number > 1 else "",
        }
        return page(request, "ordering/subscriptions.html", **context)

    @get("/{subscription_id:uuid}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, subscription_id: FromPath[UUID]
    ) -> Response[str]:
        """One subscription. Raises: NotFound."""
        return page(request, "ordering/subscription.html", **await _whole(request, await raw(session), tenant, subscription_id))

    @post("/{subscription_id:uuid}/cancellation", guards=[may(Permission.ORDERS_REFUND)])
    async def cancel(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, subscription_id: FromPath[UUID]
    ) -> Response[None]:
        """Its buyer wants no more of it; what is paid for still comes. Raises: NotFound, NothingToCancel."""
        await subscribing.cancel(await raw(session), subscription_id, actor=actor)
        told = N_("Cancelled. What is paid for still comes on its day.")
        return see_other(request, f"{_home(tenant)}/{subscription_id}", flash=told)

    @post("/{subscription_id:uuid}/end", guards=[may(Permission.ORDERS_REFUND)])
    async def stop(
        self,
        request: AnyRequest,
        session: AsyncSession,
        *,
        tenant: Tenant,
        actor: Actor,
        sent: RawForm,
        subscription_id: FromPath[UUID],
    ) -> Response[None]:
        """End it and give back the cycles to come. Raises: NotFound, NothingToCancel."""
        tx = await raw(session)
        whole = await _whole(request, tx, tenant, subscription_id)
        form = parse(StopForm, sent, retry="ordering/subscription.html", **whole)
        amount = await subscribing.stop(tx, subscription_id, reason=form.reason, actor=actor)
        told = N_("Ended. The cycles to come are given back.") if amount else N_("Ended. Nothing was left to give back.")
        return see_other(request, f"{_home(tenant)}/{subscription_id}", flash=told)


def _home(tenant: Tenant) -> str:
    return f"/m/{tenant.slug}/subscriptions"


async def _whole(request: AnyRequest, tx: Tx, tenant: Tenant, subscription_id: UUID) -> dict[str, Any]:
    row = await subscriptions.one_or_404(tx, subscription_id)
    may_change = may_do(request, Permission.ORDERS_REFUND) and row["state"] != SubscriptionState.ENDED
    return {
        "home": _home(tenant),
        "orders_path": f"/m/{tenant.slug}/orders",
        "row": row,
        "cycles": (await subscriptions.cycles_of(tx, [subscription_id]))[subscription_id],
        "plan_words": words.plan_words,
        "events": words.timeline(await history.of_subjects(tx, [subscription_id])),
        "may_end": may_change and row["to_come_minor"] > 0,
        "may_cancel": may_change and row["state"] != SubscriptionState.CANCELLED,
    }


def _views(home: str, wanted: Wanted, counts: dict[SubscriptionState, int]) -> list[dict[str, Any]]:
    everything = Wanted(None, wanted.text)
    found = [
        {
            "label": gettext(N_("All")),
            "href": _address(home, everything),
            "count": sum(counts.values()),
            "current": not wanted.state,
        }
    ]
    for state, number in counts.items():
        label = gettext(words.SUBSCRIPTION_WORDS[state][0])
        href = _address(home, Wanted(state, wanted.text))
        found.append({"label": label, "href": href, "count": number, "current": wanted.state is state})
    return found


def _address(home: str, wanted: Wanted, number: int = 1) -> str:
    chosen = {"state": wanted.state or "", "q": wanted.text, "page": str(number) if number > 1 else ""}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{home}?{query}" if query else home


def _state(request: AnyRequest) -> SubscriptionState | None:
    text = request.query_params.get("state", "")
    if not text:
        return None
    try:
        return SubscriptionState(text)
    except ValueError:
        raise BadRequest from None


def _page_number(request: AnyRequest) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000):
        raise BadRequest
    return int(text)
