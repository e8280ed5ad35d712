"""Reads of what is sold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.catalog.models import (
    Category,
    Listing,
    Picture,
    PriceChange,
    Product,
    ProductState,
    ProductType,
    Sku,
    SkuRange,
    Storefront,
    TypeState,
)
from app.catalog.values import ValueRange
from app.kernel.errors import NotFound

S = TypeVar("S", bound="Select[*tuple[Any, ...]]")


async def storefront(session: AsyncSession) -> Storefront | None:
    """The tenant's storefront."""
    return await session.scalar(select(Storefront).order_by(Storefront.created_at).limit(1))


async def product_or_404(session: AsyncSession, product_id: UUID) -> Product:
    """A product with its category, type, SKUs and their listings. Raises: NotFound."""
    query = (
        select(Product)
        .where(Product.id == product_id)
        .options(joinedload(Product.category), joinedload(Product.type), selectinload(Product.skus).joinedload(Sku.listing))
        .execution_options(populate_existing=True)
    )
    product = await session.scalar(query)
    if product is None:
        raise NotFound
    return product


async def skus_of(session: AsyncSession, product_id: UUID) -> Sequence[Sku]:
    """A product's SKUs with their listings, in shelf order."""
    query = select(Sku).where(Sku.product_id == product_id).options(joinedload(Sku.listing)).order_by(Sku.position)
    return (await session.scalars(query)).all()


async def ranges_of(session: AsyncSession, *product_ids: UUID) -> dict[UUID, ValueRange]:
    """The face values of those of these products' SKUs that are sold by them."""
    query = select(SkuRange).join(Sku, Sku.id == SkuRange.sku_id).where(Sku.product_id.in_(product_ids))
    return {row.sku_id: row.values for row in (await session.scalars(query)).all()}


async def products(
    session: AsyncSession,
    *,
    state: ProductState | None = None,
    text: str = "",
    category_id: UUID | None = None,
    page: tuple[int, int] = (0, 200),
) -> Sequence[Product]:
    """Products with categories, SKUs and listings, in shelf order; those of a state, a category, or whose name holds a text.

    `page` is how many to skip and how many to give.
    """
    query = (
        _matching(select(Product), text, category_id)
        .options(joinedload(Product.category), joinedload(Product.type), selectinload(Product.skus).joinedload(Sku.listing))
        .order_by(Product.position, Product.created_at, Product.id)
        .offset(page[0])
        .limit(page[1])
    )
    if state is not None:
        query = query.where(Product.state == state)
    return (await session.scalars(query)).unique().all()


async def counts_by_state(session: AsyncSession, *, text: str = "", category_id: UUID | None = None) -> dict[ProductState, int]:
    """How many products of each state match the same filters."""
    query = _matching(select(Product.state, func.count()), text, category_id).group_by(Product.state)
    found = {ProductState(state): count for state, count in await session.execute(query)}
    return {state: found.get(state, 0) for state in ProductState}


async def categories(session: AsyncSession) -> Sequence[Category]:
    """All categories, in shelf order."""
    return (await session.scalars(select(Category).order_by(Category.position, Category.name).limit(200))).all()


async def category_or_404(session: AsyncSession, category_id: UUID) -> Category:
    """One category. Raises: NotFound."""
    if (found := await session.get(Category, category_id)) is None:
        raise NotFound
    return found


async def types(session: AsyncSession, *, state: TypeState | None = None) -> Sequence[ProductType]:
    """The merchant's own types, by name; those of a state."""
    query = select(ProductType).order_by(ProductType.name).limit(200)
    return (await session.scalars(query if state is None else query.where(ProductType.state == state))).all()


async def type_or_404(session: AsyncSession, type_id: UUID, *, lock: bool = False) -> ProductType:
    """One type. Raises: NotFound."""
    if (found := await session.get(ProductType, type_id, with_for_update=lock)) is None:
        raise NotFound
    return found


async def type_sizes(session: AsyncSession) -> dict[UUID, int]:
    """How many products are of each type; those without any are left out."""
    query = select(Product.type_id, func.count()).where(Product.type_id.is_not(None)).group_by(Product.type_id)
    return {type_id: count for type_id, count in await session.execute(query) if type_id}


async def products_of_type(session: AsyncSession, type_id: UUID) -> Sequence[Product]:
    """The first products of a type, in shelf order."""
    query = select(Product).where(Product.type_id == type_id).order_by(Product.position, Product.created_at).limit(50)
    return (await session.scalars(query)).all()


async def category_sizes(session: AsyncSession) -> dict[UUID, int]:
    """How many products each category holds; those without any are left out."""
    query = select(Product.category_id, func.count()).where(Product.category_id.is_not(None)).group_by(Product.category_id)
    return {category_id: count for category_id, count in await session.execute(query) if category_id}


async def price_changes(session: AsyncSession, product_id: UUID, *, limit: int = 20) -> Sequence[tuple[PriceChange, str]]:
    """The newest changes of a product's prices, each with its SKU's name."""
    query = (
        select(PriceChange, Sku.name)
        .join(Listing, Listing.id == PriceChange.listing_id)
        .join(Sku, Sku.id == Listing.sku_id)
        .where(Sku.product_id == product_id)
        .order_by(PriceChange.created_at.desc(), PriceChange.id.desc())
        .limit(limit)
    )
    return list(await session.execute(query))


async def picture_or_404(session: AsyncSession, picture_id: UUID) -> Picture:
    """One picture with its bytes. Raises: NotFound."""
    if (found := await session.get(Picture, picture_id)) is None:
        raise NotFound
    return found


def _matching(query: S, text: str, category_id: UUID | None) -> S:
    if text:
        query = query.where(Product.name.icontains(text, autoescape=True))
    if category_id is not None:
        query = query.where(Product.category_id == category_id)
    return query
