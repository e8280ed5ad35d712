"""What every supplier asks for every SKU they serve, side by side: the cheapest that can serve is marked, the last change of each cost stands beside it."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from litestar import Controller, Response, get
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.kernel.money import CNY
from app.kernel.web import AnyRequest, page
from app.suppliers import overview, routing, rules
from app.suppliers.models import BreakerState
from app.suppliers.pages.shared import shared
from app.suppliers.queries import Route
from app.suppliers.rules import Candidate
from tenants.directory import Tenant
from tenants.session import raw

_MOST_OFFERS: Final = 20
"""Offers shown of one SKU; its route shows the rest."""


class ComparisonPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/comparison"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """SKUs that suppliers serve, with their offers, the cheapest first."""
        tx = await raw(session)
        skus = await overview.routed_skus(tx)
        details = await routing.details_of(tx, [one.offer_id for _, route in skus for one in route.candidates])
        rows = [_row(row, route, details) for row, route in skus if route.candidates]
        return page(request, "suppliers/comparison.html", **shared(request, tenant), rows=rows)


def _row(row: asyncpg.Record, route: Route, details: dict[Any, asyncpg.Record]) -> dict[str, Any]:
    limit = rules.most_cost(row["price_minor"], route.floor_bp) if row["price_minor"] else None
    by_cost = sorted(route.candidates, key=lambda one: (one.rate is None and one.currency != CNY, one.own_cost, one.position))
    obstacles = {one.offer_id: rules.obstacle(one, most_cost=limit) for one in by_cost}
    best = next((one.offer_id for one in by_cost if obstacles[one.offer_id] is None and one.breaker is BreakerState.CLOSED), None)
    return {
        "sku": row,
        "offers": [_offer(one, details[one.offer_id], obstacles[one.offer_id], row, best) for one in by_cost[:_MOST_OFFERS]],
        "more": max(0, len(by_cost) - _MOST_OFFERS),
    }


def _offer(one: Candidate, details: asyncpg.Record, obstacle: str | None, sku: asyncpg.Record, best: object) -> dict[str, Any]:
    price = sku["price_minor"]
    comparable = price and (one.currency == sku["currency"] or one.rate is not None)
    return {
        "candidate": one,
        "details": details,
        "course": [int(cost * 1_000_000) for cost in details["course"]],
        "obstacle": obstacle,
        "is_best": one.offer_id == best,
        "margin_bp": int((price - one.own_cost * 100) * 10_000 / price) if comparable else None,
    }
