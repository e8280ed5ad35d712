"""Suppliers for tests: companies that are processes with books of their own, connected to a world's merchant, and a worker's pump run to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.catalog.models import Product
from app.catalog.service import SkuTerms
from app.fulfillment import buying
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.storefront.shelf import forget_shelf
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from app.suppliers.syncing import _keep
from tenants.session import tenant_session, tenant_tx
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

REFUSALS = "order.out_of_stock=out_of_stock, order.insufficient_funds=no_balance, order.recipient=bad_account, order.utid_inactive=not_for_sale"
DECIDED_AGAINST = "status.rejected = FAILED"
"""The company's own word for a purchase that it took in and then decided against."""
GOODS = "MONTH"
HANGS_S = 120
"""Whoever waits so long waits for nothing: a bound for what hangs, and no judgement of what is slow."""


@dataclass(frozen=True, slots=True)
class Source:
    """One company and the merchant's connection to it, with an offer of its one item."""

    company: SupplierSimulator
    connection_id: UUID
    offer_id: UUID

    def totals(self) -> dict[str, int]:
        """Purchases by state, and what was really handed out, from the company's own book."""
        found = self.company.totals()
        return {**found["purchases"], "effects": found["effects"]["count"]}


async def source(
    world: World,
    company: SupplierSimulator,
    *,
    cost: str = "10",
    stock: int | None = None,
    name: str = "",
    currency: str = "CNY",
) -> Source:
    """Connect the world's merchant to a company, switched on, with its one item known."""
    company.goods({"sku": GOODS, "kind": "card", "cost": cost, "stock": stock, "currency": currency})
    credentials = company.client(balance="100000", currency=currency)
    settings = {**credentials, "base_url": company.url, "refusals": REFUSALS, "assumed": DECIDED_AGAINST}
    label = name or f"Source {new_id().hex[-6:]}"
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(label), actor=STAFF)
        terms = ConnectionTerms("tango", label, settings, ConnectionMode.LIVE, Decimal(100), 20)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        item = CatalogItem(f"{GOODS}:{cost}", "Month", "card_key", Decimal(cost), currency, stock=stock)
        await _keep(tx, connection.id, [item])
        offer_id = await tx.fetchval("select id from supplier_offer where connection_id = $1", connection.id)
    return Source(company, connection.id, offer_id)


async def routed(
    world: World, *sources: Source, policy: RoutePolicy = RoutePolicy.FIXED_ORDER, deadline_s: int = 1800
) -> Product:
    """A product on sale whose one SKU is bought from these sources, in this order."""
    product = await world.product(SkuTerms("Month", 1990))
    sku = product.skus[0]
    terms = RouteTerms([(one.offer_id, 1) for one in sources], policy, 0, deadline_s)
    async with tenant_session(world.tenant) as session:
        await suppliers.route(session, sku.id, terms, actor=STAFF)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    return product


async def settle(world: World, *, within_s: float = HANGS_S) -> None:
    """Do the worker's work, pumps and questions included, until nothing is due and no call runs. Waiting questions are not asked before their time.

    A pump that ends while we look may leave work behind: it is over only when none ran before we found nothing to do.
    """
    async with asyncio.timeout(within_s):
        while True:
            running = [pump for pump in buying._pumps.values() if not pump.done()]
            if not await world.work() and not running:
                return
            if running:
                await asyncio.wait(running, timeout=0.05)


async def make_due(world: World, kind: str = "fulfillment.ask") -> None:
    """Let waiting tasks of a kind be due now, as if their time had come."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set run_at = now() where kind = $1 and state = 'waiting'", kind)


async def refund(world: World) -> None:
    """Let the gateway decide the refunds that are under way, however slow it is."""
    async with asyncio.timeout(HANGS_S):
        while await world.value("select exists (select 1 from shop_order where state = 'refunding')"):
            await make_due(world, "payments.send_refund")
            await settle(world)


async def out_numbers(world: World, order_id: UUID) -> Sequence[str]:
    rows = await world.rows("select out_no from attempt where order_id = $1 order by seq", order_id)
    return [row["out_no"] for row in rows]


async def attempt_states(world: World, order_id: UUID) -> list[str]:
    rows = await world.rows("select state from attempt where order_id = $1 order by unit_no, seq", order_id)
    return [row["state"] for row in rows]


async def order_state(world: World, order_id: UUID) -> Any:
    return await world.value("select state from shop_order where id = $1", order_id)
