"""Putting the demo's goods on the shelf, through the verbs a merchant's pages call."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import bundles, contents, plans, queries
from app.catalog import service as catalog
from app.catalog.bundles import Contents
from app.catalog.minting import MintingRules
from app.catalog.models import CycleUnit, DeliveryKind, Product
from app.catalog.plans import Plan
from app.catalog.service import ProductTerms, SkuTerms
from app.catalog.values import ValueRange
from app.inventory import importing, quarantining
from app.inventory import service as inventory
from app.kernel import clock
from app.kernel.actor import Actor
from app.pricing import service as pricing
from app.pricing.ranges import set_range
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from operations.demo_data.goods import Good, Item, Merchant, Pool
from operations.demo_data.people import Opened
from tenants.directory import Tenant
from tenants.session import raw, tenant_session

_AT_ONCE = 4
_LINKS = 500
_SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Shelved:
    """A SKU that stands: what the demo's buyers choose from. `listing_id` is None for what does not sell."""

    item: Item
    product_id: UUID
    sku_id: UUID
    listing_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One upload: so many keys of a SKU, with cost and expiry."""

    sku_id: UUID
    keys: int
    pool: Pool
    expires_on: date | None
    is_quarantined: bool = False


async def furnish(opened: Opened, merchant: Merchant) -> list[Shelved]:
    """The shop's face, its categories and products with their prices; what sells is put on sale."""
    async with tenant_session(opened.tenant) as session:
        shop = await queries.storefront(session)
        assert shop is not None, "a shop is furnished when it signs up"
        shop.tagline, shop.brand_color = merchant.tagline, merchant.brand_color
        shop.support_contact, shop.notice_html = merchant.support_contact, merchant.notice_html
        shelved = []
        for good in merchant.goods:
            shelved += await _make(session, good, opened.owner)
    return shelved


async def fill_pools(opened: Opened, shelved: list[Shelved]) -> None:
    """Import every SKU's keys: upload, check, confirm, move into the pool; then quarantine what shall be."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def bounded(delivery: _Delivery) -> None:
        async with limit:
            await _import(opened.tenant, delivery, opened.owner)

    await asyncio.gather(*(bounded(delivery) for entry in shelved for delivery in _deliveries(entry)))


async def _make(session: AsyncSession, good: Good, actor: Actor) -> list[Shelved]:
    category = await catalog.category_named(session, good.category)
    terms = ProductTerms(
        name=good.name,
        delivery_kind=good.delivery_kind,
        skus=tuple(_terms(item) for item in good.items),
        summary=good.summary,
        category_id=category.id,
        description_html=good.description,
        usage_html=good.usage,
        cover_icon=good.icon,
        cover_hue=good.hue,
        buyer_limit=good.buyer_limit,
        account_fields=good.account,
    )
    product = await catalog.create_product(session, terms, actor=actor)
    if good.weeks:
        await _plan(session, product, good, actor)
    elif good.contents:
        await _fill(session, product, good, actor)
    if good.delivery_kind == DeliveryKind.LINK:
        await _fill_link(session, product, good, actor)
    if good.is_on_sale:
        await catalog.publish(session, product.id, actor=actor)
    skus = {sku.name: sku for sku in await queries.skus_of(session, product.id)}
    for item in good.items:
        await _price(session, product.id, skus[item.name].id, item, actor)
    return [
        Shelved(item, product.id, skus[item.name].id, skus[item.name].listing.id if good.is_on_sale else None)
        for item in good.items
    ]


async def _price(session: AsyncSession, product_id: UUID, sku_id: UUID, item: Item, actor: Actor) -> None:
    if item.steps:
        await pricing.set_tiers(session, product_id, {sku_id: dict(item.steps)}, actor=actor)
    if item.by_value:
        least, most, step, rate, currency = item.by_value
        await set_range(session, product_id, sku_id, ValueRange(least, most, step, Decimal(rate), currency), actor=actor)
    if item.few_left:
        scarce = RuleTerms(Effect.SHARE, 1_000, sku_id, stock_below=item.few_left, priority=1)
        await pricing.add_rule(session, product_id, scarce, actor=actor)


async def _plan(session: AsyncSession, product: Product, good: Good, actor: Actor) -> None:
    """Say what each week of a subscription delivers."""
    (name, item, quantity), *_ = good.contents
    named = {(other.name, sku.name): sku.id for other in await queries.products(session) for sku in other.skus}
    plan = Plan(named[name, item], quantity, CycleUnit.DAY, 7, good.weeks, grace_days=7)
    for sku in await queries.skus_of(session, product.id):
        await plans.set_plan(session, product.id, sku.id, plan, actor=actor)


async def _fill(session: AsyncSession, product: Product, good: Good, actor: Actor) -> None:
    """Put into a bundle what its good says."""
    named = {(other.name, sku.name): sku.id for other in await queries.products(session) for sku in other.skus}
    parts = [(named[name, item], quantity) for name, item, quantity in good.contents]
    for sku in await queries.skus_of(session, product.id):
        await bundles.fill(session, product.id, sku.id, Contents(parts), actor=actor)


async def _fill_link(session: AsyncSession, product: Product, good: Good, actor: Actor) -> None:
    """What a link opens: its address and its file, for three months and ten times."""
    rules = MintingRules(valid_days=90, most_uses=10)
    await contents.set_content(session, product.id, address=good.address, rules=rules, actor=actor)
    named, written = good.file
    await contents.add_file(session, product.id, named=named, body=written.encode(), actor=actor)
    for sku in await queries.skus_of(session, product.id):
        await inventory.allow(await raw(session), sku_id=sku.id, units=_LINKS)


def _terms(item: Item) -> SkuTerms:
    return SkuTerms(item.name, item.price_minor, item.was_minor, item.face_value_minor, item.region, item.warn_below)


def _deliveries(entry: Shelved) -> list[_Delivery]:
    pool = entry.item.pool
    last = clock.business_day() + timedelta(days=pool.expires_in_days) if pool.expires_in_days else None
    share = pool.keys // pool.batches
    found = [_Delivery(entry.sku_id, share, pool, last) for _ in range(pool.batches) if share]
    if pool.quarantined:
        found.append(_Delivery(entry.sku_id, pool.quarantined, pool, last, is_quarantined=True))
    return found


async def _import(tenant: Tenant, delivery: _Delivery, actor: Actor) -> None:
    lines = "\n".join(_key() for _ in range(delivery.keys)).encode()
    cost = Decimal(delivery.pool.unit_cost)
    async with tenant_session(tenant) as session:
        batch = await importing.start_import(
            session, sku_id=delivery.sku_id, body=lines, file_name="供货清单.txt", terms=(cost, delivery.expires_on), actor=actor
        )
    await importing.check(tenant, batch.id)
    async with tenant_session(tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=actor)
    await importing.import_keys(tenant, batch.id)
    if delivery.is_quarantined:
        async with tenant_session(tenant) as session:
            await quarantining.quarantine(
                session, batch_no=batch.batch_no, reason="供货商通知这一批激活异常，等待核实", actor=actor
            )


def _key() -> str:
    """A number and a password, as suppliers' files have them."""
    number = "-".join("".join(secrets.choice(_SIGNS) for _ in range(4)) for _ in range(4))
    return f"{number} {secrets.randbelow(10**8):08d}"
