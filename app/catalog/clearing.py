"""Clearance: a SKU sold off at a lower price, the one before struck through."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Listing, PriceChange
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id


class NotLower(DomainError):
    status = 422
    message = N_("Type a price below the present one.")


async def clear_out(session: AsyncSession, sku_id: UUID, *, price_minor: int, actor: Actor) -> Listing:
    """Lower a SKU's price; the highest it had stays struck through. Locks: the listing. Raises: NotFound, NotLower."""
    listing = await session.scalar(select(Listing).where(Listing.sku_id == sku_id).with_for_update())
    if listing is None:
        raise NotFound
    before = listing.price_minor
    if price_minor >= before:
        raise NotLower
    listing.was_minor = max(before, listing.was_minor or 0)
    listing.price_minor = price_minor
    await session.flush()
    session.add(PriceChange(id=new_id(), listing_id=listing.id, from_minor=before, to_minor=price_minor, actor_name=actor.name))
    await session.flush()
    facts = {"from_minor": before, "to_minor": price_minor}
    await audit.record(session, actor, "sku.cleared_out", subject=("sku", sku_id), facts=facts)
    return listing
