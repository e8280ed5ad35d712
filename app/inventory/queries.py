"""Reads of stock, pools and batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.catalog.models import DeliveryKind, Product, Sku, SkuRange
from app.catalog.values import ValueRange
from app.inventory.models import Allocation, CardKey, ImportBatch, ImportLine, KeyState, LineVerdict, Stock
from app.kernel.errors import NotFound
from tenants.session import Tx

_BATCH_NO = re.compile(r"[A-Z][0-9]{6}-[0-9A-Z]{7,8}", re.ASCII)
"""Of an upload, and of what a connection sold on a day."""


async def stock_of(session: AsyncSession, sku_id: UUID) -> Stock:
    """The counters of a SKU; all zero before its first import."""
    stock = await session.get(Stock, sku_id)
    return stock or Stock(
        sku_id=sku_id, imported=0, available=0, reserved=0, delivered=0, voided=0, quarantined=0, expired=0, short=0,
        allotted=0, allocation=Allocation.SHARED,
    )  # fmt: skip


async def stock_by_sku(session: AsyncSession, sku_ids: Sequence[UUID]) -> dict[UUID, Stock]:
    """The counters of several SKUs; those that never had a key are left out."""
    rows = await session.scalars(select(Stock).where(Stock.sku_id.in_(sku_ids)))
    return {stock.sku_id: stock for stock in rows}


async def sellable(tx: Tx, sku_ids: Sequence[UUID], channel: str | None = None) -> dict[UUID, int]:
    """How many units of each SKU can be bought this moment, bundles as often as their scarcest part, subscriptions as often as their first cycle:
    what a page may show.

    In a sales channel those are its own quota and what is anybody's; None counts every unit there is.
    """
    rows = await tx.fetch(_SELLABLE, list(sku_ids), channel)
    known = {row["sku_id"]: row["available"] for row in rows}
    return {sku_id: known.get(sku_id, 0) for sku_id in sku_ids}


async def ranges_by_sku(session: AsyncSession, sku_ids: Sequence[UUID]) -> dict[UUID, ValueRange]:
    """The face values of those of several SKUs that are sold by them, and therefore have no stock of their own."""
    rows = await session.scalars(select(SkuRange).where(SkuRange.sku_id.in_(sku_ids)))
    return {row.sku_id: row.values for row in rows}


async def pools(session: AsyncSession) -> list[tuple[Sku, Product, Stock | None]]:
    """Every card-key SKU with its product and counters, the emptiest first."""
    query = (
        select(Sku, Product, Stock)
        .join(Product, Product.id == Sku.product_id)
        .outerjoin(Stock, Stock.sku_id == Sku.id)
        .where(Product.delivery_kind == DeliveryKind.CARD_KEY)
        .order_by(func.coalesce(Stock.available, 0), Product.name, Sku.position)
        .limit(500)
    )
    return [(sku, product, stock) for sku, product, stock in await session.execute(query)]


async def pool_or_404(session: AsyncSession, sku_id: UUID) -> tuple[Sku, Product, Stock]:
    """One card-key SKU's pool. Raises: NotFound."""
    found = select(Sku, Product).join(Product, Product.id == Sku.product_id)
    row = (await session.execute(found.where(Sku.id == sku_id, Product.delivery_kind == DeliveryKind.CARD_KEY))).first()
    if row is None:
        raise NotFound
    return row[0], row[1], await stock_of(session, sku_id)


async def batches_of(session: AsyncSession, sku_id: UUID, *, limit: int = 100) -> list[ImportBatch]:
    """A pool's batches, newest first."""
    query = select(ImportBatch).where(ImportBatch.sku_id == sku_id).order_by(ImportBatch.created_at.desc()).limit(limit)
    return list((await session.scalars(query)).all())


async def batch_or_404(session: AsyncSession, batch_no: str) -> ImportBatch:
    """One batch by its number. Raises: NotFound."""
    if not _BATCH_NO.fullmatch(batch_no):
        raise NotFound
    batch = await session.scalar(select(ImportBatch).where(ImportBatch.batch_no == batch_no))
    if batch is None:
        raise NotFound
    return batch


async def lines_of(session: AsyncSession, batch_id: UUID, verdict: LineVerdict, *, limit: int = 200) -> list[ImportLine]:
    """Checked lines of one verdict, in file order. They hold masks, never keys."""
    query = (
        select(ImportLine)
        .where(ImportLine.batch_id == batch_id, ImportLine.verdict == verdict)
        .order_by(ImportLine.line_no)
        .limit(limit)
    )
    return list((await session.scalars(query)).all())


async def buyers_of_batch(tx: Tx, batch_id: UUID, *, limit: int = 1000) -> list[asyncpg.Record]:
    """Who got keys of a batch: order number, masked contact, when, masked key. Newest first."""
    return await tx.fetch(_BUYERS, batch_id, limit)


async def counts_by_state(tx: Tx, batch_id: UUID) -> dict[str, int]:
    """How many keys of a batch are in each state."""
    rows = await tx.fetch("select state, count(*) as n from card_key where batch_id = $1 group by state", batch_id)
    return {row["state"]: row["n"] for row in rows}


async def keys_of_batch(tx: Tx, batch_id: UUID, *, limit: int = 100) -> list[asyncpg.Record]:
    """Some keys of a batch, masked, the last changed first; with the face value of those that a buyer chose by it."""
    return await tx.fetch(_KEYS_OF_BATCH, batch_id, limit)


async def key_or_404(session: AsyncSession, card_key_id: UUID) -> tuple[CardKey, ImportBatch]:
    """One key, sealed, with its batch. Raises: NotFound."""
    found = select(CardKey, ImportBatch).join(ImportBatch, ImportBatch.id == CardKey.batch_id).where(CardKey.id == card_key_id)
    row = (await session.execute(found.options(defer(CardKey.secret), defer(CardKey.fingerprint)))).first()
    if row is None:
        raise NotFound
    return row[0], row[1]


async def expiring(session: AsyncSession, sku_id: UUID, *, until: date, days: int) -> int:
    """How many free keys of a SKU have their last valid day within so many days of `until`."""
    query = select(func.count()).where(
        CardKey.sku_id == sku_id, CardKey.state == KeyState.FREE, CardKey.expires_on.between(until, until + timedelta(days=days))
    )
    return await session.scalar(query) or 0


async def running_low(session: AsyncSession) -> list[tuple[Sku, Product, Stock]]:
    """SKUs on sale with fewer left than their threshold, the emptiest first."""
    query = (
        select(Sku, Product, Stock)
        .join(Product, Product.id == Sku.product_id)
        .join(Stock, Stock.sku_id == Sku.id)
        .where(Product.state == "on_sale", (Stock.available < Sku.warn_below) | (Stock.available == 0))
        .order_by(Stock.available)
        .limit(50)
    )
    return [(sku, product, stock) for sku, product, stock in await session.execute(query)]


_SELLABLE = """
select w.sku_id, min(coalesce(free.units, 0) / coalesce(b.quantity, p.quantity, 1)) as available
from unnest($1::uuid[]) as w (sku_id)
left join bundle_part b on b.bundle_sku_id = w.sku_id
left join subscription_plan p on p.sku_id = w.sku_id
left join lateral (
  select greatest(0, case when s.turns_on > business_day() then s.available
              else greatest(0, s.available - (
                select count(*) from card_key k where k.sku_id = s.sku_id and k.state = 'free' and k.expires_on < business_day()))
         end - case when $2::text is null then 0 else s.allotted - coalesce(q.units, 0) end) as units
  from stock s left join channel_quota q on q.sku_id = s.sku_id and q.channel_code = $2
  where s.sku_id = coalesce(b.sku_id, p.delivers_sku_id, w.sku_id)
) free on true
group by w.sku_id
"""
_KEYS_OF_BATCH = """
select k.id, k.masked, k.state, k.expires_on, k.changed_at, l.face_value_minor as value_minor, l.face_value_currency as value_currency
from (select * from card_key where batch_id = $1 order by changed_at desc nulls last, id limit $2) k
left join delivery_unit u on u.card_key_id = k.id
left join order_line l on l.id = u.order_line_id
order by k.changed_at desc nulls last, k.id
"""
_BUYERS = """
select o.order_no, o.contact_masked, u.delivered_at, k.masked, k.id as card_key_id, u.revealed_at
from card_key k
join delivery_unit u on u.card_key_id = k.id
join shop_order o on o.id = u.order_id
where k.batch_id = $1
order by u.delivered_at desc
limit $2
"""
