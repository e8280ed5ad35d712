"""Verbs on what is sold: opening a storefront, making and changing products, SKUs, prices and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import queries, richtext
from app.catalog.models import Category, DeliveryKind, Listing, PriceChange, Product, ProductState, Sku, Storefront
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import new_id


class KindDoesNotSell(DomainError):
    status = 422
    message = N_("Only card-keys can be sold for now. This product stays a draft until its kind is supported.")


class NothingToSell(DomainError):
    status = 422
    message = N_("Add at least one SKU with a price before putting the product on sale.")


@dataclass(frozen=True, slots=True)
class SkuTerms:
    """What the merchant decides about one SKU. `id` is None for a new one."""

    name: str
    price_minor: int
    was_minor: int | None = None
    face_value_minor: int | None = None
    region: str = ""
    warn_below: int = 0
    is_hot: bool = False
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """What the merchant decides about a product."""

    name: str
    delivery_kind: DeliveryKind
    skus: Sequence[SkuTerms] = field(default_factory=tuple)
    summary: str = ""
    category_id: UUID | None = None
    description_html: str = ""
    usage_html: str = ""
    cover_icon: str = "ticket"
    cover_hue: int = 4
    buyer_limit: int | None = None


async def open_storefront(session: AsyncSession, *, name: str) -> Storefront:
    """The tenant's first shop face. Idempotent: a tenant that has one keeps it. Locks: others who open one."""
    await session.execute(text("lock table storefront in share row exclusive mode"))
    if (existing := await queries.storefront(session)) is not None:
        return existing
    made = Storefront(id=new_id(), name=name)
    session.add(made)
    await session.flush()
    return made


async def create_product(session: AsyncSession, terms: ProductTerms, *, actor: Actor) -> Product:
    """A new product as a draft, with its SKUs and their prices. Rich text is sanitised here."""
    product = Product(id=new_id(), name=terms.name, delivery_kind=terms.delivery_kind)
    _apply(product, terms)
    session.add(product)
    await session.flush()
    await _set_skus(session, product, terms.skus, actor)
    await history.record(session, Happened("product", product.id, "product.created"), actor=actor)
    await audit.record(session, actor, "product.created", subject=("product", product.id), facts={"name": product.name})
    return product


async def change_product(session: AsyncSession, product_id: UUID, terms: ProductTerms, *, actor: Actor) -> Product:
    """Change a product and its SKUs. SKUs left out go off the shelf and stay for their orders. The delivery kind stays. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    _apply(product, terms)
    await _set_skus(session, product, terms.skus, actor)
    await history.record(session, Happened("product", product.id, "product.changed"), actor=actor)
    await audit.record(session, actor, "product.changed", subject=("product", product.id), facts={"name": product.name})
    return product


async def publish(session: AsyncSession, product_id: UUID, *, actor: Actor) -> Product:
    """Put a product on sale. Idempotent. Raises: NotFound, KindDoesNotSell, NothingToSell."""
    product = await queries.product_or_404(session, product_id)
    if not DeliveryKind(product.delivery_kind).sells:
        raise KindDoesNotSell
    if not any(sku.listing is not None and sku.listing.is_published for sku in product.skus):
        raise NothingToSell
    await _move(session, product, ProductState.ON_SALE, actor)
    return product


async def withdraw(session: AsyncSession, product_id: UUID, *, actor: Actor) -> Product:
    """Take a product off sale. Orders already placed go on. Idempotent. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    await _move(session, product, ProductState.OFF_SALE, actor)
    return product


async def category_named(session: AsyncSession, name: str) -> Category:
    """The category of this name, made when there is none."""
    found = await session.scalar(select(Category).where(Category.name == name))
    if found is None:
        found = Category(id=new_id(), name=name)
        session.add(found)
        await session.flush()
    return found


def _apply(product: Product, terms: ProductTerms) -> None:
    product.name = terms.name
    product.summary = terms.summary
    product.category_id = terms.category_id
    product.description_html = richtext.clean(terms.description_html)
    product.usage_html = richtext.clean(terms.usage_html)
    product.cover_icon = terms.cover_icon
    product.cover_hue = terms.cover_hue
    product.buyer_limit = terms.buyer_limit


async def _set_skus(session: AsyncSession, product: Product, wanted: Sequence[SkuTerms], actor: Actor) -> None:
    shop = await queries.storefront(session)
    assert shop is not None, "a tenant has a storefront from its first day"
    known = {sku.id: sku for sku in (await queries.skus_of(session, product.id))}
    kept, changes = set(), []
    for position, terms in enumerate(wanted):
        sku = known.get(terms.id) if terms.id else None
        if sku is None:
            sku = Sku(id=new_id(), product_id=product.id)
            sku.listing = Listing(id=new_id(), storefront_id=shop.id, sku_id=sku.id, price_minor=terms.price_minor)
            session.add(sku)
            changes.append(_price_change(sku.listing, None, terms.price_minor, actor))
        elif sku.listing.price_minor != terms.price_minor:
            changes.append(_price_change(sku.listing, sku.listing.price_minor, terms.price_minor, actor))
        _apply_sku(sku, terms, position)
        kept.add(sku.id)
    for sku in known.values():
        if sku.id not in kept:
            sku.listing.is_published = False
    await session.flush()
    session.add_all(changes)
    await session.flush()
    session.expire(product, ["skus"])


def _apply_sku(sku: Sku, terms: SkuTerms, position: int) -> None:
    sku.name, sku.region, sku.position = terms.name, terms.region, position
    sku.face_value_minor, sku.warn_below, sku.is_hot = terms.face_value_minor, terms.warn_below, terms.is_hot
    sku.listing.price_minor, sku.listing.was_minor, sku.listing.is_published = terms.price_minor, terms.was_minor, True


def _price_change(listing: Listing, from_minor: int | None, to_minor: int, actor: Actor) -> PriceChange:
    return PriceChange(id=new_id(), listing_id=listing.id, from_minor=from_minor, to_minor=to_minor, actor_name=actor.name)


async def _move(session: AsyncSession, product: Product, state: ProductState, actor: Actor) -> None:
    if product.state == state:
        return
    before, product.state = product.state, state
    await session.flush()
    await history.record(session, Happened("product", product.id, f"product.{state}", before, state), actor=actor)
    await audit.record(session, actor, f"product.{state}", subject=("product", product.id), facts={"name": product.name})
