"""Subscriptions as their buyer sees them on an order's page: what came, what comes when, and what going on costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from app.kernel.ids import new_id
from app.kernel.web import AnyRequest
from app.ordering import subscriptions
from app.ordering.models import SubscriptionState
from app.ordering.rules import Offered
from app.storefront.moments import moment_of
from app.storefront.opening import shelf_in
from app.storefront.shelf import Shelf
from tenants.directory import Tenant
from tenants.session import tenant_tx

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Subscribed:
    """One subscription. `renewal_minor` is what the next period costs now; None when it cannot be renewed."""

    row: Record
    cycles: Sequence[Record]
    renewal_minor: int | None
    request_id: str

    @property
    def shown(self) -> Sequence[Record]:
        """The cycles around the next one, few enough for a phone."""
        following = next((at for at, cycle in enumerate(self.cycles) if cycle["to_come"]), len(self.cycles))
        first = max(0, min(following - 2, len(self.cycles) - _SHOWN))
        return self.cycles[first : first + _SHOWN]

    @property
    def is_running_out(self) -> bool:
        """Whether its buyer was told that it ends soon, so that renewing is what he came for."""
        return self.renewal_minor is not None and self.row["reminded_for"] == self.row["last_day"]


async def subscribed(request: AnyRequest, tenant: Tenant, order_id: UUID) -> list[Subscribed]:
    """The subscriptions that an order began or went on with, each with its cycles and the price of its next period."""
    async with tenant_tx(tenant) as tx:
        rows = await subscriptions.of_order(tx, order_id)
        cycles = await subscriptions.cycles_of(tx, [row["id"] for row in rows])
    found = []
    for row in rows:
        offered, price = renewable(shelf_in(request), row), None
        if offered is not None:
            moment = await moment_of(request, tenant, [offered])
            price = offered.priced(row["quantity"], moment).unit_price_minor * row["quantity"]
        found.append(Subscribed(row, cycles[row["id"]], price, str(new_id())))
    return found


def renewable(shelf: Shelf, row: Record) -> Offered | None:
    """What is bought to go on with a subscription: its listing, while that is sold with cycles of the same length."""
    offered = shelf.offers.get(row["listing_id"])
    if offered is None or offered.plan is None or row["state"] == SubscriptionState.ENDED:
        return None
    same = (offered.plan.cycle_unit, offered.plan.cycle_length) == (row["cycle_unit"], row["cycle_length"])
    return offered if same else None
