"""The least margin of a SKU: below what it costs and this share of its price it is sold to nobody, whatever rule applies.

Each listing carries the least unit price that its SKU's cost and floor allow; the order function compares what a buyer pays with it. It is
worked out again whenever keys arrive, an offer changes or the floor does, by the task that also keeps the shelf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.catalog.models import Sku
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.i18n import format_money
from app.kernel.tasks import Lane, add_tasks
from app.pricing.costs import costs_of
from app.pricing.queries import of_sku, rules_by_product
from app.pricing.rules import lowest
from tenants.session import Tx, raw


class BelowFloor(DomainError):
    status = 422
    message = N_(
        "%(name)s would be sold for %(price)s, and its cost and least margin ask for at least %(least)s. Nothing was saved."
    )


def least_minor(unit_cost: Decimal, floor_bp: int) -> int:
    """The lowest price in minor units that leaves `floor_bp` of itself over a cost in major units."""
    return int((unit_cost * 100 * 10_000 / (10_000 - floor_bp)).to_integral_value(ROUND_CEILING))


async def refresh(tx: Tx, sku_ids: Sequence[UUID]) -> None:
    """Work out again the least prices of SKUs. Idempotent. Locks: the listings whose least price changes."""
    rows = sorted(await tx.fetch(_FLOORS, list(sku_ids)), key=lambda row: row["id"])
    costs = await costs_of(tx, [row["id"] for row in rows if row["floor_bp"] is not None])
    least = [least_minor(costs[row["id"]], row["floor_bp"]) if row["id"] in costs else None for row in rows]
    rates = [_least_rate(costs.get(row["id"]), row["floor_bp"], row["least_minor"]) for row in rows]
    await tx.execute(_KEEP, [row["id"] for row in rows], least, rates)


def _least_rate(unit_cost: Decimal | None, floor_bp: int | None, value_minor: int | None) -> Decimal | None:
    """The lowest price of 1 of face value, of what a value costs; None for what is not sold by face value."""
    if unit_cost is None or floor_bp is None or value_minor is None:
        return None
    exact = unit_cost * 100 * 10_000 / (10_000 - floor_bp) / value_minor
    return exact.quantize(Decimal("0.000001"), rounding=ROUND_CEILING)


async def lowest_price(tx: Tx, sku_id: UUID) -> int | None:
    """The lowest price anybody may be asked for a SKU, rules included, in minor units; None while it is on no shelf."""
    row = await tx.fetchrow(_LISTED, sku_id)
    if row is None or row["price_minor"] is None:
        return None
    rules = await rules_by_product(tx, [row["product_id"]])
    return lowest(row["price_minor"], of_sku(rules.get(row["product_id"], ()), sku_id, by_value=row["by_value"]))


async def hold(session: AsyncSession, product_id: UUID, *, refuses: bool = True) -> None:
    """Let no price of a product on the shelf stand below its floor: what whoever changes prices or rules does last, in the same transaction.

    Without `refuses` the least prices and the shelf are only looked at again: taking a rule away is never refused. Raises: BelowFloor, naming the
    first SKU.
    """
    query = select(Sku).where(Sku.product_id == product_id).options(joinedload(Sku.listing), joinedload(Sku.product))
    skus = [sku for sku in (await session.scalars(query.order_by(Sku.position))).all() if sku.listing.is_published]
    tx = await raw(session)
    await refresh(tx, [sku.id for sku in skus])
    await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=[sku.id for sku in skus if sku.floor_bp is not None])
    kept = {row["sku_id"]: row["least_minor"] for row in await tx.fetch(_KEPT, [sku.id for sku in skus])}
    for sku in skus if refuses else ():
        price = await lowest_price(tx, sku.id)
        if price is not None and kept[sku.id] is not None and price < kept[sku.id]:
            name = f"{sku.product.name} {sku.name}"
            raise BelowFloor(name=name, price=format_money(price), least=format_money(kept[sku.id]))


async def set_floors(session: AsyncSession, product_id: UUID, floors: Mapping[UUID, int | None], *, actor: Actor) -> None:
    """Least margins of a product's SKUs, in basis points; None is none. Idempotent. Raises: NotFound, BelowFloor where a price is lower now."""
    skus = {sku.id: sku for sku in (await session.scalars(select(Sku).where(Sku.product_id == product_id))).all()}
    if not floors.keys() <= skus.keys():
        raise NotFound
    changed = {sku_id: floor for sku_id, floor in floors.items() if skus[sku_id].floor_bp != floor}
    for sku_id, floor in changed.items():
        skus[sku_id].floor_bp = floor
        await audit.record(session, actor, "sku.floor_set", subject=("sku", sku_id), facts={"floor_bp": floor})
    await session.flush()
    await hold(session, product_id)


_FLOORS = "select k.id, k.floor_bp, v.least_minor from sku k left join sku_range v on v.sku_id = k.id where k.id = any($1)"
_KEEP = """
update listing l set least_minor = w.least, least_rate = w.rate
from unnest($1::uuid[], $2::bigint[], $3::numeric[]) as w (sku_id, least, rate)
where l.sku_id = w.sku_id and (l.least_minor, l.least_rate) is distinct from (w.least, w.rate)
"""
_LISTED = """
select k.product_id, (
         select min(least(l.price_minor, c.price_minor)) from listing l
         left join channel_listing c on c.sku_id = l.sku_id and c.is_sold
         where l.sku_id = k.id and l.is_published
       ) as price_minor,
       exists (select 1 from sku_range v where v.sku_id = k.id) as by_value
from sku k where k.id = $1
"""
_KEPT = "select sku_id, max(least_minor) as least_minor from listing where sku_id = any($1) group by sku_id"
