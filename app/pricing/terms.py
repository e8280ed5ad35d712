"""Terms of listings: a number that grows with each change of what their prices come from."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Listing, Sku


async def new_terms(session: AsyncSession, product_id: UUID) -> None:
    """Whoever read what a product's prices come from is told to look again; and changes of one product wait for each other. Locks: its listings."""
    ids: Sequence[UUID] = (
        await session.scalars(
            select(Listing.id).join(Sku).where(Sku.product_id == product_id).order_by(Listing.id).with_for_update(of=Listing)
        )
    ).all()
    statement = update(Listing).where(Listing.id.in_(ids)).values(terms_version=Listing.terms_version + 1)
    await session.execute(statement.execution_options(synchronize_session=False))
