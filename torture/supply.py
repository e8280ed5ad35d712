"""What the tortured merchants have delivered by suppliers: accounts at both companies, tested and switched on, and two products that each of them sells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.kernel import links
from app.suppliers import offering, service, testing
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.offering import TypedOffer, Wanted
from app.suppliers.queries import connection_or_404
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from app.suppliers.testing import TestTerms
from operations.trouble import Trouble
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from torture.companies import AIRTIME, CARD, COSTS, PLAIN, PROMISING, PROTOCOLS, SKUS, Companies
from torture.staff import MERCHANT

WITHIN_S = 60.0
DEADLINE_S = 120
"""So long a paid unit waits for suppliers that are away before its money goes back."""
_PHONE = "phone"
_TEST_PHONE = "+8613800138000"
_REFUSALS = {
    PLAIN: "1001=not_for_sale, 1002=not_for_sale, 1003=out_of_stock, 1004=no_balance, 1005=bad_account, 1006=price_changed",
    PROMISING: "OUT_OF_STOCK=out_of_stock, INSUFFICIENT_BALANCE=no_balance, INVALID_RECIPIENT=bad_account, PRODUCT_NOT_AVAILABLE=not_for_sale",
}


@dataclass(frozen=True)
class _Way:
    """One connection: at which company, by which connector, and what it sells under which supplier SKU."""

    protocol: str
    connector: str
    settings: Mapping[str, str]
    skus: Mapping[str, str]
    is_typed: bool = False
    """Where the protocol has no catalog, its goods are typed in by hand."""


_NOT_FOUND = "not_found.codes = TRANSACTION_NOT_FOUND"
_WAYS = (
    _Way(PLAIN, "kasushou", {"states": "2=processing,3=success,4=failed"}, SKUS[PLAIN]),
    _Way(PROMISING, "reloadly_gift_cards", {"assumed": _NOT_FOUND}, {CARD: f"{SKUS[PROMISING][CARD]}:10.00"}, is_typed=True),
    _Way(PROMISING, "reloadly_airtime", {"assumed": _NOT_FOUND}, {AIRTIME: f"{SKUS[PROMISING][AIRTIME]}:5.00"}, is_typed=True),
)
_KINDS = {CARD: DeliveryKind.CARD_KEY, AIRTIME: DeliveryKind.DIRECT_TOP_UP}


@dataclass(frozen=True)
class Account:
    """An account of a merchant's at a company, under the company's number, and the connection that buys there."""

    protocol: str
    client_id: int
    connection_id: UUID


@dataclass(frozen=True)
class Routed:
    """A product on sale whose one SKU both companies deliver."""

    which: str
    product_id: UUID
    sku_id: UUID
    listing_id: UUID


async def open_supply(tenant: Tenant, companies: Companies, addresses: Mapping[str, str]) -> tuple[list[Account], list[Routed]]:
    """Connect a merchant to both companies at these addresses, and put on sale what they deliver."""
    suppliers = {protocol: await _add_supplier(tenant, protocol) for protocol in PROTOCOLS}
    accounts = [await _connect(tenant, companies, way, suppliers[way.protocol], addresses[way.protocol]) for way in _WAYS]
    offers = [await _offers(tenant, account.connection_id, way) for account, way in zip(accounts, _WAYS, strict=True)]
    await asyncio.gather(
        *(_switch_on(tenant, one.connection_id, next(iter(of.values()))) for one, of in zip(accounts, offers, strict=True))
    )
    routed = [await _route(tenant, which, [of[which] for of in offers if which in of]) for which in (CARD, AIRTIME)]
    return accounts, routed


async def _add_supplier(tenant: Tenant, protocol: str) -> UUID:
    async with tenant_session(tenant) as session:
        return (await service.add_supplier(session, SupplierTerms(protocol.capitalize()), actor=MERCHANT)).id


async def _connect(tenant: Tenant, companies: Companies, way: _Way, supplier_id: UUID, address: str) -> Account:
    client_id, credentials = await companies.open_account(way.protocol, f"{tenant.slug} {way.connector}")
    token = {"token_url": f"{address}/oauth/token"} if way.protocol == PROMISING else {}
    settings = {"base_url": address, **token, **credentials, **way.settings, "refusals": _REFUSALS[way.protocol]}
    terms = ConnectionTerms(way.connector, way.connector, settings, ConnectionMode.LIVE, Decimal(50), 10)
    async with tenant_session(tenant) as session:
        connection = await service.connect(session, supplier_id, terms, actor=MERCHANT)
        for which, supplier_sku in way.skus.items() if way.is_typed else ():
            cost = Decimal(COSTS[way.protocol][which])
            await offering.add_offer(
                session, connection.id, TypedOffer(supplier_sku, which, _KINDS[which], cost, "CNY"), actor=MERCHANT
            )
    await companies.tell_at(way.protocol, client_id, links.supply_notice(tenant, connection.id))
    return Account(way.protocol, client_id, connection.id)


async def _offers(tenant: Tenant, connection_id: UUID, way: _Way) -> dict[str, UUID]:
    """The offers by what they are, once the workers have read the catalog."""
    found: dict[str, UUID] = {}

    async def are_read() -> bool:
        async with tenant_tx(tenant) as tx:
            rows = (await offering.offers(tx, Wanted(connection_id))).rows
        found.update({row["supplier_sku"]: row["id"] for row in rows})
        return found.keys() >= set(way.skus.values())

    await until(are_read, f"the catalog of {way.connector} was not read")
    return {which: found[supplier_sku] for which, supplier_sku in way.skus.items()}


async def _switch_on(tenant: Tenant, connection_id: UUID, offer_id: UUID) -> None:
    """Buy one unit as a test, and let the connection serve orders once it is there."""
    async with tenant_session(tenant) as session:
        await testing.start(session, connection_id, TestTerms(offer_id, {_PHONE: _TEST_PHONE}), actor=MERCHANT)

    async def is_tested() -> bool:
        async with tenant_session(tenant) as session:
            connection = await connection_or_404(session, connection_id)
            if connection.tested_at is not None:
                await service.switch(session, connection, is_on=True, actor=MERCHANT)
            return connection.tested_at is not None

    await until(is_tested, "a test order did not arrive")


async def _route(tenant: Tenant, which: str, offer_ids: list[UUID]) -> Routed:
    """The cheapest delivers, then the other."""
    price, asked = (1590, ()) if which == CARD else (600, (AccountField(_PHONE, "Number", FieldKind.WORLD_PHONE),))
    terms = ProductTerms(f"Supplied {which}", _KINDS[which], (SkuTerms(which, price),), account_fields=asked)
    async with tenant_session(tenant) as session:
        product = await catalog.create_product(session, terms, actor=MERCHANT)
    async with tenant_tx(tenant) as tx:
        sku_id = await tx.fetchval("select id from sku where product_id = $1", product.id)
    async with tenant_session(tenant) as session:
        route = RouteTerms([(offer_id, 1) for offer_id in offer_ids], RoutePolicy.CHEAPEST, 0, DEADLINE_S)
        await service.route(session, sku_id, route, actor=MERCHANT)
        await catalog.publish(session, product.id, actor=MERCHANT)

    async def is_on_the_shelf() -> bool:
        async with tenant_tx(tenant) as tx:
            return bool(await tx.fetchval("select exists (select 1 from stock where sku_id = $1 and available > 0)", sku_id))

    await until(is_on_the_shelf, f"{which} did not come on the shelf")
    async with tenant_tx(tenant) as tx:
        listing_id = await tx.fetchval("select id from listing where sku_id = $1", sku_id)
    return Routed(which, product.id, sku_id, listing_id)


async def until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Poll. Raises: Trouble when it does not hold within `WITHIN_S`."""
    ends = time.monotonic() + WITHIN_S
    while not await holds():
        if time.monotonic() > ends:
            raise Trouble(f"While the torture opened its shops, {otherwise} within {WITHIN_S:.0f} s.")
        await asyncio.sleep(0.05)
