"""A top-up for tests: a product whose account fields are known, bought from a company that looks accounts up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.catalog import queries
from app.catalog import service as catalog
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind, Product
from app.catalog.service import SkuTerms
from app.catalog.values import ValueRange
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.pricing.ranges import set_range
from app.storefront.shelf import forget_shelf
from app.suppliers import service as suppliers
from app.suppliers.connectors.dingconnect.connector import PHONE
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from app.suppliers.syncing import _keep
from tenants.session import tenant_session, tenant_tx
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

REFUSALS = "AccountNumberInvalid=bad_account, ProductOutOfStock=out_of_stock, InsufficientBalance=no_balance"
GOODS = "AIRTIME"
WORLD_PHONE = (AccountField("phone", "Number to top up", FieldKind.WORLD_PHONE),)


@dataclass(frozen=True, slots=True)
class TopUp:
    """A product on sale, and the company that credits."""

    product: Product
    company: SupplierSimulator
    offer_id: UUID

    @property
    def listing_id(self) -> UUID:
        return self.product.skus[0].listing.id

    def effects(self) -> int:
        return self.company.totals()["effects"]["count"]


async def top_up(world: World, company: SupplierSimulator, *, fields: Sequence[AccountField] = WORLD_PHONE) -> TopUp:
    """Put a top-up on sale that this company credits."""
    company.goods({"sku": GOODS, "kind": "top_up", "cost": "5", "currency": "CNY", "face_value_minor": 500})
    settings = {**company.client(balance="100000", currency="CNY"), "base_url": f"{company.url}/api/V1", "refusals": REFUSALS}
    label = f"Airtime {new_id().hex[-6:]}"
    product = await world.product(
        SkuTerms("¥5", 600), name="Airtime", delivery_kind=DeliveryKind.DIRECT_TOP_UP, account_fields=fields, on_sale=False
    )
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(label), actor=STAFF)
        terms = ConnectionTerms("dingconnect", label, settings, ConnectionMode.LIVE, Decimal(100), 20)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        item = CatalogItem(f"{GOODS}:5.00", "Airtime", "direct_top_up", Decimal(5), "CNY", account_fields=(PHONE,))
        await _keep(tx, connection.id, [item])
        offer_id = await tx.fetchval("select id from supplier_offer where connection_id = $1", connection.id)
    async with tenant_session(world.tenant) as session:
        route = RouteTerms([(offer_id, 1)], RoutePolicy.FIXED_ORDER, 0, 1800)
        await suppliers.route(session, product.skus[0].id, route, actor=STAFF)
        await catalog.publish(session, product.id, actor=STAFF)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    async with tenant_session(world.tenant) as session:
        return TopUp(await queries.product_or_404(session, product.id), company, offer_id)


async def by_value(world: World, company: SupplierSimulator, *, rate: str = "0.98", cost: str = "0.9") -> TopUp:
    """A top-up of any value from 10 to 500 in steps of 5, at a rate, that this company credits."""
    sold = await top_up(world, company)
    company.goods(
        {
            "sku": "ANY",
            "kind": "top_up",
            "cost": cost,
            "currency": "CNY",
            "least_minor": 1000,
            "most_minor": 50_000,
            "step_minor": 500,
        }
    )
    sku_id = sold.product.skus[0].id
    async with tenant_tx(world.tenant) as tx:
        connection_id = await tx.fetchval("select connection_id from supplier_offer where id = $1", sold.offer_id)
        item = CatalogItem(
            "ANY", "Airtime of any value", "direct_top_up", Decimal(cost), "CNY",
            least_minor=1000, most_minor=50_000, step_minor=500, account_fields=(PHONE,),
        )  # fmt: skip
        await _keep(tx, connection_id, [item])
        offer_id = await tx.fetchval("select id from supplier_offer where supplier_sku = 'ANY'")
    async with tenant_session(world.tenant) as session:
        await set_range(session, sold.product.id, sku_id, ValueRange(1000, 50_000, 500, Decimal(rate)), actor=STAFF)
        await suppliers.route(session, sku_id, RouteTerms([(offer_id, 1)], RoutePolicy.FIXED_ORDER, 0, 1800), actor=STAFF)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    return TopUp(sold.product, company, offer_id)
