"""Reads of replenishments: lists, one with its lines and batches, and what a form for more begins with."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.kernel.errors import NotFound
from app.kernel.ids import is_number
from app.replenishment.models import MOST_LINES, OPEN, ReplenishmentState
from tenants.session import Tx

PAGE = 50


async def listed(
    tx: Tx, states: Sequence[ReplenishmentState], *, supplier_id: UUID | None = None, before: UUID | None = None
) -> list[asyncpg.Record]:
    """A page of replenishments and one more, newest first, older than the one named."""
    return await tx.fetch(_LISTED, list(states), supplier_id, before, PAGE + 1)


async def counts(tx: Tx, supplier_id: UUID | None = None) -> dict[str, int]:
    """How many there are in each state."""
    rows = await tx.fetch(_COUNTS, supplier_id)
    return {row["state"]: row["n"] for row in rows}


async def one_or_404(tx: Tx, replenishment_no: str, *, supplier_id: UUID | None = None, lock: bool = False) -> asyncpg.Record:
    """One replenishment by its number; for a supplier only one of his own. Locked until the transaction ends, if asked. Raises: NotFound."""
    row = None
    if is_number(replenishment_no):
        row = await tx.fetchrow(_ONE + (" for update of r" if lock else ""), replenishment_no, supplier_id)
    if row is None:
        raise NotFound
    return row


async def lines_of(tx: Tx, replenishment_id: UUID) -> list[asyncpg.Record]:
    """Its lines in their order, each with the card-keys its batches have brought so far."""
    return await tx.fetch(_LINES, replenishment_id)


async def line_or_404(tx: Tx, replenishment_id: UUID, line_id: UUID) -> asyncpg.Record:
    """Raises: NotFound."""
    found = next((line for line in await lines_of(tx, replenishment_id) if line["id"] == line_id), None)
    if found is None:
        raise NotFound
    return found


async def batches_of(tx: Tx, replenishment_id: UUID) -> dict[UUID, list[asyncpg.Record]]:
    """The batches linked to each line, oldest first."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_BATCHES, replenishment_id):
        found.setdefault(row["line_id"], []).append(row)
    return found


async def number_of_batch(tx: Tx, batch_id: UUID) -> str:
    """The replenishment a batch brings goods of; empty for none."""
    found: str | None = await tx.fetchval(_OF_BATCH, batch_id)
    return found or ""


async def linkable(tx: Tx, replenishment_id: UUID) -> dict[UUID, list[asyncpg.Record]]:
    """For each line the batches of its SKU that are of no line yet, came since it was asked for, and at its cost, or still may; newest first."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_LINKABLE, replenishment_id):
        found.setdefault(row["line_id"], []).append(row)
    return found


async def suppliers(tx: Tx) -> list[asyncpg.Record]:
    """All suppliers by name."""
    return await tx.fetch("select id, name from supplier order by name limit 500")


async def skus(tx: Tx) -> list[asyncpg.Record]:
    """Every SKU of card-keys, by name."""
    return await tx.fetch(_SKUS)


async def standings(tx: Tx, sku_ids: Sequence[UUID], supplier_id: UUID | None = None) -> list[asyncpg.Record]:
    """How card-key SKUs stand, in the order given, with what was last paid for one: to this supplier if to him, else to anybody."""
    return await tx.fetch(_STANDINGS, list(sku_ids)[:MOST_LINES], supplier_id, [state.value for state in OPEN])


async def low_skus(tx: Tx) -> list[UUID]:
    """SKUs of card-keys below where they warn, the emptiest first."""
    return [row["sku_id"] for row in await tx.fetch(_LOW, MOST_LINES)]


async def rule_of(tx: Tx, sku_id: UUID) -> asyncpg.Record | None:
    """Whom a SKU asks by itself, and for how many."""
    return await tx.fetchrow(_RULE, sku_id)


_LISTED = """
select r.id, r.replenishment_no, r.state, r.wanted_on, r.promised_on, r.created_at, r.rule_sku_id, s.id as supplier_id, s.name as supplier_name,
       l.lines, l.units, l.confirmed, l.goods
from replenishment r
join supplier s on s.id = r.supplier_id
cross join lateral (
  select count(*)::int as lines, sum(w.units)::int as units, sum(w.confirmed)::int as confirmed,
         (array_agg(p.name || ' ' || k.name order by w.position))[1] as goods
  from replenishment_line w join sku k on k.id = w.sku_id join product p on p.id = k.product_id where w.replenishment_id = r.id
) l
where r.state = any($1) and ($2::uuid is null or r.supplier_id = $2)
  and ($3::uuid is null or (r.created_at, r.id) < (select created_at, id from replenishment where id = $3))
order by r.created_at desc, r.id desc
limit $4
"""
_COUNTS = "select state, count(*)::int as n from replenishment where $1::uuid is null or supplier_id = $1 group by state"
_ONE = """
select r.*, s.name as supplier_name, s.email_masked
from replenishment r join supplier s on s.id = r.supplier_id
where r.replenishment_no = $1 and ($2::uuid is null or r.supplier_id = $2)
"""
_LINES = """
select w.id, w.sku_id, w.units, w.confirmed, w.unit_cost, p.id as product_id, p.name || ' ' || k.name as goods,
       (select count(*) from replenishment_batch b join card_key c on c.batch_id = b.batch_id where b.line_id = w.id)::int as received
from replenishment_line w join sku k on k.id = w.sku_id join product p on p.id = k.product_id
where w.replenishment_id = $1
order by w.position
"""
_BATCHES = """
select b.line_id, b.batch_id, b.brought_by, b.created_at, i.batch_no, i.state, i.new_count, i.lines_read, i.bad_count, i.file_name,
       (select count(*) from card_key c where c.batch_id = b.batch_id)::int as keys
from replenishment_line w join replenishment_batch b on b.line_id = w.id join import_batch i on i.id = b.batch_id
where w.replenishment_id = $1
order by b.created_at, b.batch_id
limit 500
"""
_OF_BATCH = """
select r.replenishment_no from replenishment_batch b join replenishment_line w on w.id = b.line_id join replenishment r on r.id = w.replenishment_id
where b.batch_id = $1
"""
_LINKABLE = """
select w.id as line_id, i.batch_no, i.state, i.created_at
from replenishment_line w
join replenishment r on r.id = w.replenishment_id
cross join lateral (
  select i.batch_no, i.state, i.created_at from import_batch i
  where i.sku_id = w.sku_id and i.batch_no like 'B%' and i.state not in ('abandoned', 'rejected')
    and i.created_at > r.created_at - interval '1 day' and (i.unit_cost = w.unit_cost or i.state in ('checking', 'ready'))
    and not exists (select 1 from replenishment_batch b where b.batch_id = i.id)
  order by i.created_at desc limit 20
) i
where w.replenishment_id = $1
order by i.created_at desc
"""
_SKUS = """
select k.id, p.name || ' ' || k.name as goods from sku k join product p on p.id = k.product_id
where p.delivery_kind = 'card_key' and not exists (select 1 from sku_range v where v.sku_id = k.id)
order by p.name, k.position limit 500
"""
_STANDINGS = """
select k.id as sku_id, p.name || ' ' || k.name as goods, coalesce(s.available, 0)::int as available, coalesce(s.per_day, 0) as per_day,
       greatest(k.warn_below, ceil(k.warn_days * coalesce(s.per_day, 0)), 1)::int as threshold,
       coalesce((
         select sum(greatest(0, coalesce(w.confirmed, w.units) - (
           select count(*) from replenishment_batch b join card_key c on c.batch_id = b.batch_id where b.line_id = w.id)))
         from replenishment_line w join replenishment r on r.id = w.replenishment_id where w.sku_id = k.id and r.state = any($3)), 0)::int as coming,
       coalesce(
         (select w.unit_cost from replenishment_line w join replenishment r on r.id = w.replenishment_id
          where w.sku_id = k.id and r.supplier_id = $2 order by r.created_at desc limit 1),
         (select b.unit_cost from import_batch b where b.sku_id = k.id and b.state not in ('abandoned', 'rejected') order by b.created_at desc limit 1)
       ) as unit_cost
from unnest($1::uuid[]) with ordinality as n (sku_id, place)
join sku k on k.id = n.sku_id join product p on p.id = k.product_id left join stock s on s.sku_id = k.id
where p.delivery_kind = 'card_key'
order by n.place
"""
_LOW = """
select k.id as sku_id from sku k join product p on p.id = k.product_id left join stock s on s.sku_id = k.id
where p.delivery_kind = 'card_key' and p.state = 'on_sale' and not exists (select 1 from sku_range v where v.sku_id = k.id)
  and coalesce(s.available, 0) < greatest(k.warn_below, ceil(k.warn_days * coalesce(s.per_day, 0)), 1)
order by coalesce(s.available, 0), p.name, k.position
limit $1
"""
_RULE = """
select q.sku_id, q.supplier_id, q.units, q.unit_cost, s.name as supplier_name from restock_rule q join supplier s on s.id = q.supplier_id where q.sku_id = $1
"""
