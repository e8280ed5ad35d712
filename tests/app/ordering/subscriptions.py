"""Subscriptions for tests: a product with a plan set through the real verb, and days that pass."""

from __future__ import annotations

from uuid import UUID

from app.catalog import plans, queries
from app.catalog import service as catalog
from app.catalog.models import CycleUnit, DeliveryKind, Product
from app.catalog.plans import Plan
from app.catalog.service import SkuTerms
from app.ordering.placing import Placed
from app.storefront.shelf import forget_shelf
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import settle
from tests.world import STAFF, World


async def subscription(
    world: World,
    sku_id: UUID,
    *,
    cycles: int = 3,
    quantity: int = 1,
    price_minor: int = 5000,
    length: int = 30,
    unit: CycleUnit = CycleUnit.DAY,
    grace_days: int = 7,
    name: str = "Skylark Club",
    tenant: Tenant | None = None,
) -> Product:
    """A subscription on sale that delivers so many of a SKU each cycle."""
    chosen = tenant or world.tenant
    product = await world.product(
        SkuTerms("Season", price_minor), name=name, delivery_kind=DeliveryKind.SUBSCRIPTION, on_sale=False, tenant=chosen
    )
    async with tenant_session(chosen) as session:
        plan = Plan(sku_id, quantity, unit, length, cycles, grace_days)
        await plans.set_plan(session, product.id, product.skus[0].id, plan, actor=STAFF)
        await catalog.publish(session, product.id, actor=STAFF)
    forget_shelf(chosen)
    async with tenant_session(chosen) as session:
        return await queries.product_or_404(session, product.id)


async def days_pass(world: World, days: int) -> None:
    """Move every subscription so many days back, as if they had passed, and let their work be due; nothing is done yet."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update subscription_cycle set due_on = due_on - $1::int", days)
        await tx.execute(
            "update subscription set first_day = first_day - $1::int, last_day = last_day - $1::int, reminded_for = reminded_for - $1::int",
            days,
        )
        await tx.execute("update task set run_at = now() where kind = 'ordering.turn_subscription' and state = 'waiting'")


async def pass_and_work(world: World, days: int) -> None:
    await days_pass(world, days)
    await settle(world)


async def bought(world: World, product: Product, quantity: int = 1) -> Placed:
    """A subscription that was paid for, its first cycle delivered."""
    placed = await world.paid(product.skus[0].listing.id, quantity)
    await settle(world)
    return placed


async def units(world: World) -> list[tuple[int, str, int]]:
    """Every unit of the cycles: cycle, state, amount."""
    rows = await world.rows(
        "select c.cycle_no, u.state, u.amount_minor from subscription_cycle c join delivery_unit u using (order_line_id) order by 1, u.unit_no"
    )
    return [(row["cycle_no"], row["state"], row["amount_minor"]) for row in rows]


async def state_of(world: World) -> str:
    return str(await world.value("select state from subscription order by created_at limit 1"))
