"""What suppliers say of their goods by themselves: each message written down once, and applied like a reading of the catalog.

A message is only taken here once its signature is known to be right. What it leaves open, or says of goods we do not know, is never guessed: the
catalog is read instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

import asyncpg

from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.suppliers.connectors.port import GoodsNotice, GoodsTold
from app.suppliers.syncing import note_changes
from tenants.session import Tx

SHOWN = 10
_KEPT_DAYS = 30
_FORGOTTEN_AT_ONCE = 100


async def take(tx: Tx, connection_id: UUID, notice: GoodsNotice) -> None:
    """Write a genuine notice down and apply what is newer than what we know; what does not apply has the catalog read.

    Idempotent: an event that was taken before changes nothing. Locks: the offers, in the order of their supplier's SKU.
    """
    notice_id = new_id()
    if not await tx.execute(_INSERT, notice_id, connection_id, notice.event_key, _written(notice.told), notice.unread):
        return
    await tx.execute(_FORGET, connection_id, _KEPT_DAYS, _FORGOTTEN_AT_ONCE)
    known = {
        row["supplier_sku"]: row for row in await tx.fetch(_KNOWN, connection_id, sorted(t.supplier_sku for t in notice.told))
    }
    ours = [one for one in notice.told if one.supplier_sku in known]
    newer = [one for one in ours if not _is_stale(known[one.supplier_sku], one)]
    await _apply(tx, known, newer)
    unknown = len(notice.told) - len(ours)
    await tx.execute(
        "update goods_notice set applied = $2, stale = $3, unknown = $4 where id = $1",
        notice_id,
        len(newer),
        len(ours) - len(newer),
        unknown,
    )
    if len(newer) < len(notice.told) or notice.unread or not notice.told:
        await add_task(tx, "suppliers.sync", lane=Lane.BULK, subject_id=connection_id)


async def newest(tx: Tx, connection_id: UUID) -> Sequence[asyncpg.Record]:
    """The newest notices of a connection's goods."""
    return await tx.fetch(_NEWEST, connection_id, SHOWN)


def _is_stale(row: asyncpg.Record, told: GoodsTold) -> bool:
    """Whether it is older than the newest notice, or than a reading since; a message without a time is as new as its arrival."""
    if told.told_at is None:
        return False
    if row["told_at"] is not None and told.told_at <= row["told_at"]:
        return True
    was_read_since = row["noticed_at"] is None or row["seen_at"] > row["noticed_at"]
    return bool(was_read_since and told.told_at < row["seen_at"])


async def _apply(tx: Tx, known: Mapping[str, asyncpg.Record], told: Sequence[GoodsTold]) -> None:
    if not told:
        return
    rows = [known[one.supplier_sku] for one in told]
    after = {
        row["id"]: (
            row["unit_cost"] if one.unit_cost is None else one.unit_cost,
            row["stock"] if one.stock is None else one.stock,
            row["is_on_sale"] if one.is_on_sale is None else one.is_on_sale,
        )
        for row, one in zip(rows, told, strict=True)
    }
    costs, stocks, sales = zip(*after.values(), strict=True)
    await tx.execute(_APPLY, list(after), list(costs), list(stocks), list(sales), [one.told_at for one in told])
    await note_changes(tx, rows, after)


def _written(told: Sequence[GoodsTold]) -> str:
    return json.dumps([{name: value for name, value in asdict(one).items() if value is not None} for one in told], default=str)


_INSERT = """
insert into goods_notice (id, connection_id, event_key, told, unread) values ($1, $2, $3, $4::jsonb, $5)
on conflict (connection_id, event_key) do nothing
"""
_FORGET = """
delete from goods_notice where id = any(array(
  select id from goods_notice where connection_id = $1 and created_at < now() - make_interval(days => $2) order by created_at limit $3
))
"""
_KNOWN = """
select id, supplier_sku, unit_cost, stock, is_on_sale, seen_at, noticed_at, told_at from supplier_offer
where connection_id = $1 and supplier_sku = any($2)
order by supplier_sku
for update
"""
_APPLY = """
update supplier_offer o
set unit_cost = t.cost, stock = t.stock, is_on_sale = t.is_on_sale, told_at = coalesce(t.told_at, o.told_at), noticed_at = now(), seen_at = now(),
    updated_at = now()
from unnest($1::uuid[], $2::numeric[], $3::bigint[], $4::bool[], $5::timestamptz[]) as t (id, cost, stock, is_on_sale, told_at)
where o.id = t.id
"""
_NEWEST = """
select id, told::text as told, applied, stale, unknown, unread, created_at from goods_notice
where connection_id = $1 order by created_at desc, id desc limit $2
"""
