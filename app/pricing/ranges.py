"""Selling a SKU by face value: any value of a range, at a rate."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import bundles, queries
from app.catalog.models import DeliveryKind, PriceChange, Sku, SkuRange
from app.catalog.values import ValueRange
from app.inventory import by_value as stocked
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.money import MAX_MINOR
from app.kernel.tasks import Lane, add_task
from app.pricing import floors
from app.pricing.terms import new_terms
from tenants.session import raw


class InBundle(DomainError):
    status = 422
    message = N_("%(name)s is a part of %(bundle)s, where no buyer chooses a value. Take it out of there first.")


class TooDearForUs(DomainError):
    status = 422
    message = N_("The greatest value would cost more than any price here may be. Lower it or the rate.")


def by_value(kind: str) -> bool:
    """Whether SKUs of a kind may be sold by face value: what a supplier credits or issues for us, value by value."""
    return kind in (DeliveryKind.DIRECT_TOP_UP, DeliveryKind.CARD_KEY)


async def set_range(session: AsyncSession, product_id: UUID, sku_id: UUID, wanted: ValueRange | None, *, actor: Actor) -> None:
    """Sell a SKU by any value of a range, or with None at one price again: that of the least value. Idempotent.

    Cards sold by value have no stock of their own: what stands in the pool is in the way. Units that were paid keep their values whatever becomes
    of the range: their lines say them, and suppliers alone deliver them.

    Locks: the product's listings, then the stock row. Raises: NotFound for a SKU of another product or kind, InBundle, TooDearForUs, BelowFloor,
    HasStock, KeysOnTheWay.
    """
    await new_terms(session, product_id)
    product = await queries.product_or_404(session, product_id)
    sku = next((one for one in product.skus if one.id == sku_id), None)
    if sku is None or not by_value(product.delivery_kind):
        raise NotFound
    known = await session.get(SkuRange, sku_id)
    if (known.values if known else None) == wanted:
        return
    if wanted is None:
        await session.execute(delete(SkuRange).where(SkuRange.sku_id == sku_id))
    else:
        await _refuse(session, sku, f"{product.name} {sku.name}", wanted)
        if known is None and product.delivery_kind == DeliveryKind.CARD_KEY:
            await stocked.hold_empty(await raw(session), sku_id)
        await _keep(session, sku, known or SkuRange(sku_id=sku_id), wanted, actor)
    await session.flush()
    await audit.record(session, actor, "sku.range_set", subject=("sku", sku_id), facts=_facts(wanted))
    tx = await raw(session)
    await add_task(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_id=sku_id)
    await floors.hold(session, product_id)


async def _refuse(session: AsyncSession, sku: Sku, name: str, wanted: ValueRange) -> None:
    if held := await bundles.bundles_with(await raw(session), [sku.id]):
        raise InBundle(name=name, bundle=held[0]["name"])
    if wanted.price_minor(wanted.most_minor) > MAX_MINOR:
        raise TooDearForUs


async def _keep(session: AsyncSession, sku: Sku, row: SkuRange, wanted: ValueRange, actor: Actor) -> None:
    row.least_minor, row.most_minor, row.step_minor = wanted.least_minor, wanted.most_minor, wanted.step_minor
    row.rate, row.currency = wanted.rate, wanted.currency
    session.add(row)
    before, price = sku.listing.price_minor, wanted.price_minor(wanted.least_minor)
    sku.listing.price_minor, sku.listing.was_minor = price, None
    if before != price:
        change = PriceChange(id=new_id(), listing_id=sku.listing.id, from_minor=before, to_minor=price, actor_name=actor.name)
        session.add(change)


def _facts(wanted: ValueRange | None) -> dict[str, object]:
    if wanted is None:
        return {"by_value": False}
    return {
        "by_value": True,
        "least_minor": wanted.least_minor,
        "most_minor": wanted.most_minor,
        "step_minor": wanted.step_minor,
        "rate": str(wanted.rate),
        "currency": wanted.currency,
    }
