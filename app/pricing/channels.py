"""What differs of goods by sales channel: prices of their own, and what is not sold there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import queries
from app.catalog.channels import STOREFRONT, channel_or_404, listings_of
from app.catalog.models import ChannelListing, SkuRange
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.tasks import Lane, add_tasks
from app.pricing import floors
from app.pricing.terms import new_terms
from tenants.session import raw


class ShopHasTheList(DomainError):
    status = 422
    message = N_("The shop sells at the list prices. Change those at the product.")


class ByValueHere(DomainError):
    status = 422
    message = N_("%(name)s is sold by face value at one rate everywhere. It can only be left out here.")


@dataclass(frozen=True, slots=True)
class Differs:
    """What differs of a SKU in a channel: its price there, or that it is not sold."""

    price_minor: int | None = None
    is_sold: bool = True

    @property
    def is_nothing(self) -> bool:
        return self == Differs()


async def set_listings(
    session: AsyncSession, code: str, product_id: UUID, wanted: Mapping[UUID, Differs], *, actor: Actor
) -> None:
    """Say how a channel sells a product's SKUs. What is quoted before is looked at again. Idempotent.

    Locks: the product's listings. Raises: NotFound for a SKU of another product, ShopHasTheList, ByValueHere, BelowFloor.
    """
    await channel_or_404(session, code)
    if code == STOREFRONT:
        raise ShopHasTheList
    await new_terms(session, product_id)
    product = await queries.product_or_404(session, product_id)
    names = {sku.id: sku.name for sku in product.skus}
    if not wanted.keys() <= names.keys():
        raise NotFound
    known = await listings_of(session, code)
    changed = {sku_id: new for sku_id, new in wanted.items() if _as_is(known.get(sku_id)) != new}
    for sku_id, differs in changed.items():
        if differs.price_minor is not None and await session.get(SkuRange, sku_id) is not None:
            raise ByValueHere(name=f"{product.name} {names[sku_id]}")
        where = (ChannelListing.channel_code == code, ChannelListing.sku_id == sku_id)
        await session.execute(delete(ChannelListing).where(*where))
        if not differs.is_nothing:
            row = ChannelListing(channel_code=code, sku_id=sku_id, price_minor=differs.price_minor, is_sold=differs.is_sold)
            session.add(row)
        facts = {"channel": code, "price_minor": differs.price_minor, "is_sold": differs.is_sold}
        await audit.record(session, actor, "sku.channel_listing_set", subject=("sku", sku_id), facts=facts)
    await session.flush()
    if changed:
        tx = await raw(session)
        await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=sorted(changed))
        await floors.hold(session, product_id)


def _as_is(row: ChannelListing | None) -> Differs:
    return Differs(row.price_minor, row.is_sold) if row else Differs()
