"""Bundles for tests: a product of kind bundle, filled with parts through the real verb."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.catalog import bundles, queries
from app.catalog import service as catalog
from app.catalog.bundles import Contents
from app.catalog.models import BundlePolicy, DeliveryKind, Product, Sku
from app.catalog.service import SkuTerms
from app.inventory import service as inventory
from app.ordering.placing import Placed
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import settle
from tests.world import STAFF, World


async def bundle(
    world: World,
    parts: Sequence[tuple[UUID, int]],
    *,
    price_minor: int = 3000,
    policy: BundlePolicy = BundlePolicy.PARTIAL,
    name: str = "Tea Time",
    buyer_limit: int | None = None,
) -> Product:
    """A bundle on sale that holds these SKUs, so many of each."""
    product = await world.product(
        SkuTerms("Single", price_minor), name=name, delivery_kind=DeliveryKind.BUNDLE, on_sale=False, buyer_limit=buyer_limit
    )
    async with tenant_session(world.tenant) as session:
        await bundles.fill(session, product.id, product.skus[0].id, Contents(parts, policy), actor=STAFF)
        await catalog.publish(session, product.id, actor=STAFF)
    forget_shelf(world.tenant)
    async with tenant_session(world.tenant) as session:
        return await queries.product_or_404(session, product.id)


async def keys(world: World, name: str, price_minor: int, number: int) -> Sku:
    """A card-key SKU with so many keys."""
    product = await world.product(SkuTerms("One", price_minor), name=name)
    if number:
        await world.stock(product.skus[0].id, number)
    return product.skus[0]


async def vouchers(world: World, name: str, price_minor: int, number: int = 1000) -> Sku:
    """A voucher SKU of which so many may be sold."""
    product = await world.product(SkuTerms("One", price_minor), name=name, delivery_kind=DeliveryKind.VOUCHER)
    async with tenant_tx(world.tenant) as tx:
        await inventory.allow(tx, sku_id=product.skus[0].id, units=number)
    return product.skus[0]


async def void(world: World, sku_id: UUID, *, at_most: int = 100) -> None:
    """Take free keys of a SKU out, though they are promised: what an order meets whose goods are missing."""
    rows = await world.rows("select id from card_key where sku_id = $1 and state = 'free' limit $2", sku_id, at_most)
    async with tenant_session(world.tenant) as session:
        for row in rows:
            await inventory.void_key(session, card_key_id=row["id"], reason="Withdrawn by the issuer", actor=STAFF)


async def shares(world: World, order_id: UUID) -> dict[str, list[tuple[str, int]]]:
    """Each part's units: state and amount, by the part's name."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in await world.rows(_UNITS, order_id):
        found.setdefault(row["product_name"], []).append((row["state"], row["amount_minor"]))
    return found


async def delivered(world: World, placed: Placed) -> None:
    """Pay for an order and let everything happen that follows."""
    await world.pay(placed)
    await world.ask_gateway(placed)
    await settle(world)


_UNITS = """
select l.product_name, u.state, u.amount_minor from delivery_unit u join order_line l on l.id = u.order_line_id
where u.order_id = $1 order by l.line_no, u.unit_no
"""
