"""Clones: a product, or all of a category, once more as drafts, so that something new is on sale within minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import queries
from app.catalog import service as catalog
from app.catalog.models import Category, DeliveryKind, Picture, Product, Sku, TypeState
from app.catalog.service import CategoryNameTaken, ProductTerms, SkuTerms
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import new_id

MOST_AT_ONCE = 200


class NothingToClone(DomainError):
    status = 422
    message = N_("Nothing is in this category. Clone a product instead.")


@dataclass(frozen=True, slots=True)
class Cloned:
    """A category's clone: its category, and of each product the first and the clone."""

    category: Category
    pairs: Sequence[tuple[UUID, UUID]]


async def clone_product(
    session: AsyncSession, product_id: UUID, *, name: str, actor: Actor, category_id: UUID | None = None
) -> Product:
    """A product once more, as a draft of another name: its SKUs on the shelf with their prices, type, fields, rules and words.

    Stock, suppliers and sales stay with the first. Raises: NotFound, TypeRetired.
    """
    first = await queries.product_or_404(session, product_id)
    clone = await catalog.create_product(session, _terms(first, name, category_id), actor=actor)
    clone.account_fields, clone.refuses_virtual_numbers = first.account_fields, first.refuses_virtual_numbers
    clone.minting, clone.by_hand, clone.content_address = first.minting, first.by_hand, first.content_address
    clone.description_html, clone.usage_html = first.description_html, first.usage_html
    clone.picture_id = await _picture(session, first)
    await session.flush()
    await history.record(session, Happened("product", clone.id, "product.cloned", facts={"from": str(first.id)}), actor=actor)
    return clone


async def clone_category(session: AsyncSession, category_id: UUID, *, name: str, actor: Actor) -> Cloned:
    """All products of a category once more, as drafts of the same names in a category of another name.

    Products of a retired type stay out: they make no new ones. Raises: NotFound, CategoryNameTaken, NothingToClone.
    """
    first = await queries.category_or_404(session, category_id)
    if await session.scalar(select(Category.id).where(Category.name == name)):
        raise CategoryNameTaken(name=name)
    products = await queries.products(session, category_id=category_id, page=(0, MOST_AT_ONCE))
    chosen = [product for product in products if product.type is None or product.type.state == TypeState.ACTIVE]
    if not chosen:
        raise NothingToClone
    made = await catalog.category_named(session, name)
    pairs = []
    for product in chosen:
        clone = await clone_product(session, product.id, name=product.name, actor=actor, category_id=made.id)
        pairs.append((product.id, clone.id))
    facts = {"name": name, "from": first.name, "products": len(chosen)}
    await audit.record(session, actor, "category.cloned", subject=("category", made.id), facts=facts)
    return Cloned(made, pairs)


def _terms(first: Product, name: str, category_id: UUID | None) -> ProductTerms:
    return ProductTerms(
        name=name,
        delivery_kind=DeliveryKind(first.delivery_kind),
        skus=[_sku(sku) for sku in first.on_shelf],
        summary=first.summary,
        category_id=category_id or first.category_id,
        cover_icon=first.cover_icon,
        cover_hue=first.cover_hue,
        buyer_limit=first.buyer_limit,
        type_id=first.type_id,
        attributes=first.attributes,
    )


def _sku(sku: Sku) -> SkuTerms:
    listing = sku.listing
    return SkuTerms(
        sku.name,
        listing.price_minor,
        listing.was_minor,
        sku.face_value_minor,
        sku.region,
        sku.warn_below,
        sku.is_hot,
        sku.warn_days,
    )


async def _picture(session: AsyncSession, first: Product) -> UUID | None:
    """A copy of a product's picture: each product has its own, which goes with it."""
    if first.picture_id is None:
        return None
    kept = await queries.picture_or_404(session, first.picture_id)
    copy = Picture(id=new_id(), media_type=kept.media_type, body=kept.body, width=kept.width, height=kept.height)
    session.add(copy)
    await session.flush([copy])
    return copy.id
