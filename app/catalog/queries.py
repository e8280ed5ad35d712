"""Reads of what is sold."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.catalog.models import Category, Product, ProductState, Sku, Storefront
from app.kernel.errors import NotFound


async def storefront(session: AsyncSession) -> Storefront | None:
    """The tenant's storefront."""
    return await session.scalar(select(Storefront).order_by(Storefront.created_at).limit(1))


async def product_or_404(session: AsyncSession, product_id: UUID) -> Product:
    """A product with its category, SKUs and their listings. Raises: NotFound."""
    query = (
        select(Product)
        .where(Product.id == product_id)
        .options(joinedload(Product.category), selectinload(Product.skus).joinedload(Sku.listing))
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


async def products(
    session: AsyncSession, *, state: ProductState | None = None, text: str = "", limit: int = 200
) -> Sequence[Product]:
    """Products with categories, SKUs and listings, in shelf order; those of a state or whose name holds a text."""
    query = (
        select(Product)
        .options(joinedload(Product.category), selectinload(Product.skus).joinedload(Sku.listing))
        .order_by(Product.position, Product.created_at)
        .limit(limit)
    )
    if state is not None:
        query = query.where(Product.state == state)
    if text:
        query = query.where(Product.name.icontains(text, autoescape=True))
    return (await session.scalars(query)).unique().all()


async def categories(session: AsyncSession) -> Sequence[Category]:
    """All categories, in shelf order."""
    return (await session.scalars(select(Category).order_by(Category.position, Category.name).limit(200))).all()
