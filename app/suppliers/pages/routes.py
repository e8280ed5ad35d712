"""The route of a SKU: which offers may serve it, in which order, who would now and why, and why it is off the shelf."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.inventory import queries as inventory
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest
from app.kernel.forms import InvalidForm, RawForm
from app.kernel.i18n import gettext
from app.kernel.money import CNY
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import queries, routing, rules, service
from app.suppliers.forms import read_route
from app.suppliers.models import RoutePolicy, SupplyRoute
from app.suppliers.pages.categories import choices_of_route
from app.suppliers.pages.shared import POLICY_WORDS, shared
from app.suppliers.queries import Route
from app.suppliers.rules import Candidate
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "suppliers/route.html"
_DEFAULT_MINUTES = 30


class RoutePages(Controller):
    path = "/m/{tenant_slug:str}/skus/{sku_id:uuid}/route"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sku_id: FromPath[UUID]) -> Response[str]:
        """The route, and with `?q=` offers that may be added to it. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, session, tenant, sku_id))

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, sku_id: FromPath[UUID]
    ) -> Response[Any]:
        """Replace the route. Sent twice, it is the same route. Raises: NotFound."""
        context = await _context(request, session, tenant, sku_id)
        try:
            _, terms = read_route(sent)
        except InvalidForm as refusal:
            refusal.retry, refusal.context = _PAGE, context
            raise
        try:
            await service.route(session, sku_id, terms, actor=actor)
        except service.NoSuchOffer as refusal:
            raise InvalidForm({"form": gettext(refusal.message)}, sent.values(), _PAGE, context) from None
        return see_other(request, f"/m/{tenant.slug}/skus/{sku_id}/route", flash=N_("Saved. The shelf follows within seconds."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: UUID) -> dict[str, Any]:
    sku, product, stock = await inventory.pool_or_404(session, sku_id)
    tx = await raw(session)
    price_minor = await routing.price_of(tx, sku_id)
    known = await session.get(SupplyRoute, sku_id)
    route = (await queries.routes_of(tx, [sku_id])).get(sku_id)
    details = await routing.offers_on(tx, sku_id)
    text = request.query_params.get("q", "").strip()[:120]
    if "\x00" in text:
        raise BadRequest
    limit = rules.most_cost(price_minor, sku.floor_bp or 0) if known is not None and price_minor else None
    return {
        **shared(request, tenant),
        "here": f"/m/{tenant.slug}/skus/{sku_id}/route",
        "sku": sku,
        "product": product,
        "stock": stock,
        "price_minor": price_minor,
        "route": known,
        **choices_of_route(await service.said_by_category(session, product.category_id)),
        "policy_words": POLICY_WORDS,
        "default_minutes": _DEFAULT_MINUTES,
        "is_uncounted": route is not None and rules.is_uncounted(route.candidates, most_cost=limit),
        "rows": [_row(candidate, details[candidate.offer_id], limit, price_minor) for candidate in route.candidates]
        if route
        else [],
        "serving": _serving(route, details, limit),
        "limit": limit,
        "q": text,
        "found": await routing.offers_to_add(tx, sku_id, product.delivery_kind, text),
    }


def _row(candidate: Candidate, details: asyncpg.Record, limit: Decimal | None, price_minor: int | None) -> dict[str, Any]:
    """One offer of the matrix: what it costs, what it leaves of the price, whether it could serve this moment."""
    cost_minor = candidate.own_cost * 100
    is_known = candidate.currency == CNY or candidate.rate is not None
    margin_bp = int((price_minor - cost_minor) * 10_000 / price_minor) if price_minor and is_known else None
    return {
        "candidate": candidate,
        "details": details,
        "margin_bp": margin_bp,
        "obstacle": rules.obstacle(candidate, most_cost=limit),
    }


def _serving(route: Route | None, details: dict[UUID, asyncpg.Record], limit: Decimal | None) -> dict[str, Any] | None:
    """Who would serve a unit this moment, and why; None where nobody could."""
    if route is None:
        return None
    choice = rules.choose(route.candidates, route.policy, most_cost=limit, tried=frozenset())
    if choice is None:
        return None
    says = N_("drawn by weight; the next order may draw another") if route.policy is RoutePolicy.WEIGHTED else choice.says
    return {
        "offer": details[choice.candidate.offer_id],
        "says": says,
        "passed_over": [(details[offer_id], why) for offer_id, why in choice.passed_over],
    }
