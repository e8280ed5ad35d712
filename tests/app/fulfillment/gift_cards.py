"""Gift cards of any value for tests: companies abroad that sell them by a range, at a rate, and a product whose buyers choose."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.catalog import queries
from app.catalog.models import DeliveryKind, Product
from app.catalog.service import SkuTerms
from app.catalog.values import ValueRange
from app.kernel.contact import Contact, parse_contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.ordering import placing, rules
from app.ordering.placing import Placed, Request
from app.pricing.ranges import set_range
from app.storefront.shelf import forget_shelf, shelf_of
from app.suppliers import exchange, offering
from app.suppliers import service as suppliers
from app.suppliers.exchange import RateTerms
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.offering import TypedOffer
from app.suppliers.rules import Values
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.suppliers.connectors.abroad.companies import HOUSES, House
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

CARD_HOUSES = {house.connector: house for house in HOUSES if house.connector in ("reloadly_gift_cards", "tango", "tremendous")}
SOLD = ValueRange(1000, 50_000, 500, Decimal("7.3"), "USD")
"""$10 to $500 in steps of $5, at ¥7.30 for $1."""
COST = Decimal("0.95")
"""What $1 of value costs at a company, in USD."""
EXCHANGE = Decimal("7.1")


@dataclass(frozen=True, slots=True)
class GiftCards:
    """A product on sale by face value, and its offers in the order of their companies."""

    product: Product
    offers: tuple[UUID, ...]

    @property
    def sku_id(self) -> UUID:
        return self.product.skus[0].id

    @property
    def listing_id(self) -> UUID:
        return self.product.skus[0].listing.id

    @property
    def field(self) -> str:
        return f"value-{self.listing_id}"


async def gift_cards(world: World, *companies: SupplierSimulator, house: House = CARD_HOUSES["tango"]) -> GiftCards:
    """Put cards of any value on sale that these companies sell, the first before the others. They count in USD, the shop in CNY."""
    offers = [await _offer(world, company, house) for company in companies]
    async with tenant_session(world.tenant) as session:
        await exchange.set_rate(session, RateTerms("USD", EXCHANGE, None), actor=STAFF)
    product = await world.product(SkuTerms("Any value", 100), name="US gift card", delivery_kind=DeliveryKind.CARD_KEY)
    sku_id = product.skus[0].id
    async with tenant_session(world.tenant) as session:
        await set_range(session, product.id, sku_id, SOLD, actor=STAFF)
        terms = RouteTerms([(offer_id, 1) for offer_id in offers], RoutePolicy.FIXED_ORDER, 0, 1800)
        await suppliers.route(session, sku_id, terms, actor=STAFF)
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)
    async with tenant_session(world.tenant) as session:
        return GiftCards(await queries.product_or_404(session, product.id), tuple(offers))


async def _offer(world: World, company: SupplierSimulator, house: House) -> UUID:
    sku, label = house.goods["sku"], f"{house.connector} {new_id().hex[-6:]}"
    limits = {"least_minor": 1000, "most_minor": 50_000, "step_minor": 500}
    company.goods({"sku": sku, "kind": "card", "cost": str(COST), "currency": "USD", **limits})
    settings = house.config(company, company.client(balance="100000", currency="USD"))
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(label), actor=STAFF)
        terms = ConnectionTerms(house.connector, label, settings, ConnectionMode.LIVE, Decimal(100), 20)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
        typed = TypedOffer(sku, "Gift card", DeliveryKind.CARD_KEY, COST, "USD", sells=Values(1000, 50_000, 500))
        offer_id = await offering.add_offer(session, connection.id, typed, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
    return offer_id


async def paid(world: World, sold: GiftCards, *wanted: tuple[int, int], contact: str = "13800132046") -> Placed:
    """An order of so many of each value, placed and paid; what is owed for it waits for the worker."""
    forget_shelf(world.tenant)
    shelf, buyer = await shelf_of(world.tenant), parse_contact(contact)
    assert isinstance(buyer, Contact)
    offered = shelf.offers[sold.listing_id]
    quote = rules.quote([(offered.at(value), units) for value, units in wanted])
    placed = await placing.place(world.tenant, Request(shelf.face.storefront_id, quote, buyer, "en", str(new_id())))
    await world.pay(placed)
    await world.ask_gateway(placed)
    return placed
