"""Keeping the shelf honest about goods that suppliers deliver: a SKU nobody can deliver has no stock and says why, and comes back by itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from app.inventory import service as inventory
from app.kernel import history
from app.kernel.errors import N_
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.pricing import floors
from app.suppliers import queries as suppliers
from app.suppliers.models import BreakerState
from app.suppliers.rules import CLOSES_AFTER, Candidate, most_cost, obstacle
from tenants.session import Tx

_UNCOUNTED = 100_000
"""How many units may be sold ahead where a supplier does not count its stock."""
NO_OFFER = N_("no supplier offers it")
NOT_EVERY_VALUE = N_("no supplier sells all its face values")


async def shelve(tx: Tx, sku_id: UUID) -> None:
    """Let as many units of a SKU be sold as its suppliers can deliver this moment. Told once when it leaves the shelf, and once when it is back.

    Where only a supplier could that is being tried again, a few units are sold to see, and the SKU is neither taken off nor put back for that.

    Idempotent. Locks: the route, then the stock row. Units already sold keep what was allowed for them.
    """
    route_row = await tx.fetchrow("select sku_id, shelf_reason from supply_route where sku_id = $1 for update", sku_id)
    await floors.refresh(tx, [sku_id])
    if route_row is None:
        return
    route = (await suppliers.routes_of(tx, [sku_id]))[sku_id]
    price = await floors.lowest_price(tx, sku_id)
    able, reason = _able(route, most_cost(price, route.floor_bp) if price else None)
    is_tried = bool(able) and all(candidate.breaker is BreakerState.HALF_OPEN for candidate in able)
    units = min(CLOSES_AFTER, _deliverable(able)) if is_tried else _deliverable(able)
    await inventory.allow(tx, sku_id=sku_id, units=units, beyond_reserved=is_tried)
    await inventory.warn_if_low(tx, [sku_id])
    if is_tried or reason == route_row["shelf_reason"]:
        return
    await tx.execute("update supply_route set shelf_reason = $2, updated_at = now() where sku_id = $1", sku_id, reason)
    event = "sku.delisted" if reason else "sku.relisted"
    await history.record(tx, Happened("sku", sku_id, event, note=reason))
    if bool(reason) != bool(route_row["shelf_reason"]):
        await add_task(tx, "suppliers.tell_shelf", lane=Lane.MESSAGES, subject_id=sku_id)


def _able(route: suppliers.Route, limit: Decimal | None) -> tuple[list[Candidate], str]:
    """Who could serve a unit now, and why nobody could. Every value of a range must be served by somebody: a buyer may choose any."""
    obstacles = [obstacle(candidate, most_cost=limit) for candidate in route.candidates]
    able = [c for c, why in zip(route.candidates, obstacles, strict=True) if why is None]
    if not able:
        return [], next((why for why in obstacles if why), NO_OFFER)
    if route.values is not None and not all(_is_served(route.at(v, route.values.currency)) for v in route.values.probes()):
        return [], NOT_EVERY_VALUE
    return able, ""


def _is_served(candidates: Sequence[Candidate]) -> bool:
    return any(obstacle(candidate, most_cost=None) is None for candidate in candidates)


def _deliverable(able: list[Candidate]) -> int:
    if any(candidate.stock is None for candidate in able):
        return _UNCOUNTED
    return min(_UNCOUNTED, sum(candidate.stock or 0 for candidate in able))
