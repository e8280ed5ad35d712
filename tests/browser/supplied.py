"""Goods that suppliers deliver, made for browser tests by the real verbs."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from tests.browser.shops import tenant_of


async def top_up(world: Any, *, slug: str, url: str, credentials: dict[str, str]) -> dict[str, str]:
    """A top-up on sale that asks for a mainland number, credited by the company at an address."""
    from app.catalog.accounts import AccountField, FieldKind
    from tests.app.fulfillment.top_up import top_up as put_on_sale

    world.tenant = await tenant_of(slug)
    company: Any = SimpleNamespace(url=url, goods=lambda *_goods: None, client=lambda **_changes: credentials)
    sold = await put_on_sale(world, company, fields=(AccountField("phone", "充值号码", FieldKind.PHONE),))
    return {"id": str(sold.product.id), "listing": str(sold.listing_id)}


async def airtime(world: Any, *, slug: str) -> dict[str, str]:
    """A top-up of any value, on the shelf."""
    from app.catalog.accounts import AccountField, FieldKind
    from app.catalog.models import DeliveryKind
    from app.catalog.values import ValueRange
    from app.inventory import service as inventory
    from app.pricing.ranges import set_range
    from tenants.session import tenant_session, tenant_tx
    from tests.world import STAFF

    tenant = await tenant_of(slug)
    phone = AccountField("phone", "Number to top up", FieldKind.WORLD_PHONE)
    made = await world.product(tenant=tenant, name="Airtime", delivery_kind=DeliveryKind.DIRECT_TOP_UP, account_fields=(phone,))
    sold = ValueRange(1000, 50_000, 500, Decimal("0.98"))
    async with tenant_session(tenant) as session:
        await set_range(session, made.id, made.skus[0].id, sold, actor=STAFF)
    async with tenant_tx(tenant) as tx:
        await inventory.allow(tx, sku_id=made.skus[0].id, units=50)
    return {"product": str(made.id)}


async def gift_cards(world: Any, *, slug: str, url: str, credentials: dict[str, str]) -> dict[str, str]:
    """Cards of any value from $10 to $500 on sale, bought from the company at an address."""
    from tests.app.fulfillment.gift_cards import gift_cards as put_on_sale

    world.tenant = await tenant_of(slug)
    company: Any = SimpleNamespace(url=url, goods=lambda *_goods: None, client=lambda **_changes: credentials)
    sold = await put_on_sale(world, company)
    return {"product": str(sold.product.id), "sku": str(sold.sku_id)}


async def replenish(world: Any, *, slug: str, sku: str) -> dict[str, str]:
    """Goods asked of a supplier who has confirmed them, others that wait for his answer; and his desk."""
    from app.replenishment import desks
    from app.settings import settings
    from tenants.session import tenant_tx
    from tests.app.replenishment.asked import asked, line_of, supplier

    tenant = await tenant_of(slug)
    north = await supplier(world, "Northbank Cards", email="orders@northbank.example", tenant=tenant)
    confirmed = await asked(world, north, (UUID(sku), 100), confirmed=True, tenant=tenant)
    waiting = await asked(world, north, (UUID(sku), 40), note="Before the feast, please.", tenant=tenant)
    async with tenant_tx(tenant) as tx:
        path = (await desks.address_of(tx, north.supplier_id)).removeprefix(settings().app_url)
    line = str(await line_of(world, confirmed, tenant=tenant))
    return {"supplier": str(north.supplier_id), "confirmed": confirmed, "line": line, "waiting": waiting, "desk": path}


async def told_of(world: Any, *, slug: str, url: str, credentials: dict[str, str]) -> dict[str, str]:
    """A card on sale, bought from a company at an address that tells of uses; where it tells them."""
    from app.kernel import links
    from tests.app.fulfillment.noticing import USE_NOTICE, teller
    from tests.app.fulfillment.supply import routed

    world.tenant = await tenant_of(slug)
    company: Any = SimpleNamespace(url=url, goods=lambda *_goods: None, client=lambda **_changes: credentials)
    one = await teller(world, company, use_notice=USE_NOTICE)
    made = await routed(world, one)
    address = links.use_notice(world.tenant, one.connection_id)
    return {"listing": str(made.skus[0].listing.id), "connection": str(one.connection_id), "address": address}
