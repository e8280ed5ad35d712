"""What a route's page reads: its offers with their connections and last changes, offers that could be added, and the price they are held against."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from tenants.session import Tx

MOST_FOUND = 30
_SHOWN_UNASKED = 8


async def price_of(tx: Tx, sku_id: UUID) -> int | None:
    """The lowest price a SKU is listed at, in minor units."""
    found: int | None = await tx.fetchval("select min(price_minor) from listing where sku_id = $1 and is_published", sku_id)
    return found


async def offers_on(tx: Tx, sku_id: UUID) -> dict[UUID, asyncpg.Record]:
    """The offers of a route, with the names of their connections and the last change of each cost."""
    rows = await tx.fetch(_ON_ROUTE, sku_id)
    return {row["id"]: row for row in rows}


async def details_of(tx: Tx, offer_ids: list[UUID]) -> dict[UUID, asyncpg.Record]:
    """What offers and their connections are called, and the last change of each cost."""
    return {row["id"]: row for row in await tx.fetch(_DETAILS, offer_ids)}


async def offers_to_add(tx: Tx, sku_id: UUID, delivery_kind: str, text: str) -> list[asyncpg.Record]:
    """Offers of the SKU's kind from every connection that hold the words and are not on its route, the cheapest first; a few where none are named."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await tx.fetch(
        _TO_ADD, sku_id, delivery_kind, f"%{escaped}%" if escaped else "", MOST_FOUND if text else _SHOWN_UNASKED
    )


async def routed_of(tx: Tx, sku_ids: list[UUID]) -> dict[UUID, asyncpg.Record]:
    """Per SKU that has a route: how many offers stand on it, and why it is off the shelf."""
    rows = await tx.fetch(_ROUTED, sku_ids)
    return {row["sku_id"]: row for row in rows}


_ON_ROUTE = """
select o.id, o.name, o.supplier_sku, o.currency, o.seen_at, c.id as connection_id, c.name as connection_name, h.before as was_cost,
       h.created_at as changed_at
from route_offer r
join supplier_offer o on o.id = r.offer_id
join supplier_connection c on c.id = o.connection_id
left join lateral (select before, created_at from offer_change x where x.offer_id = o.id order by x.created_at desc limit 1) h on true
where r.sku_id = $1
"""
_DETAILS = """
select o.id, o.name, o.supplier_sku, o.currency, c.id as connection_id, c.name as connection_name,
       h.costs[array_upper(h.costs, 1)] as was_cost, h.changed_at, h.costs || o.unit_cost as course
from supplier_offer o
join supplier_connection c on c.id = o.connection_id
left join lateral (
  select array_agg(x.before order by x.created_at, x.id) as costs, max(x.created_at) as changed_at
  from (select before, created_at, id from offer_change where offer_id = o.id order by created_at desc, id desc limit 24) x
) h on true
where o.id = any($1)
"""
_TO_ADD = """
select o.id, o.name, o.supplier_sku, o.unit_cost, o.currency, o.stock, o.is_on_sale, c.name as connection_name
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.delivery_kind = $2 and ($3 = '' or o.name ilike $3 or o.supplier_sku ilike $3 or c.name ilike $3)
  and not exists (select 1 from route_offer r where r.offer_id = o.id and r.sku_id = $1)
order by o.is_on_sale desc, o.unit_cost, o.name
limit $4
"""
_ROUTED = """
select r.sku_id, r.shelf_reason, (select count(*)::int from route_offer o where o.sku_id = r.sku_id) as offers
from supply_route r where r.sku_id = any($1)
"""
