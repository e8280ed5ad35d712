"""Going on with a batch: its rows ordered in chunks, each row exactly once, and what became of their orders written down.

A chunk is one transaction: the rows, their orders, the company's account. A worker that dies between two chunks leaves whole ones, and the task goes
on with the rows that still wait. So much is under way at once and no more, so that a batch takes neither the stock nor the suppliers from buyers.
"""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg

from app.catalog.accounts import fields_of
from app.issuing.models import IssueState
from app.issuing.service import go_on_soon, move
from app.kernel.contact import Contact
from app.kernel.faults import fault
from app.kernel.vault import Keyring, keyring
from app.ordering.on_account import AgreedGoods, Recipient, place_on_account
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_CHUNK = 500
_CHUNKS_A_TURN = 4
_UNDER_WAY = 2_000
"""How many rows of a batch may be ordered and not ended."""
_FOLLOWED_AT_ONCE = 5_000
_SOON_S, _LATER_S, _STANDS_STILL_S = 1, 5, 30


async def go_on(tenant: Tenant, batch_id: UUID) -> None:
    """One turn: look at what was ordered, order some more, and come back until every row has ended. Idempotent; two at once order no row twice."""
    async with tenant_tx(tenant) as tx:
        ended = await follow(tx, batch_id)
    placed = 0
    for _ in range(_CHUNKS_A_TURN):
        async with tenant_tx(tenant) as tx:
            rows = await place_chunk(tx, batch_id)
        await fault("issuing.placed")
        placed += rows
        if rows < _CHUNK:
            break
    async with tenant_tx(tenant) as tx:
        await _come_back(tx, batch_id, moved=placed + ended)


async def place_chunk(tx: Tx, batch_id: UUID) -> int:
    """Order for the next rows of a running batch that wait, as many as may be under way; how many were ordered.

    Locks: the batch, so that a pause or another worker waits for the chunk, and what `place_on_account` locks. Raises: StockMoved.
    """
    batch = await tx.fetchrow(_LOCK, batch_id)
    if batch is None or batch["state"] != IssueState.RUNNING:
        return 0
    under_way = await tx.fetchval("select count(*) from issue_row where batch_id = $1 and state = 'ordered'", batch_id)
    rows = await tx.fetch(_NEXT, batch_id, max(0, min(_CHUNK, _UNDER_WAY - under_way)))
    if not rows:
        return 0
    ring = await keyring(tx)
    by_key = {key_of(row): row for row in rows}
    placed = await place_on_account(tx, _goods(batch), [_recipient(key, row, ring) for key, row in by_key.items()])
    await tx.execute(_ORDERED, [by_key[key]["id"] for key in placed], list(placed.values()))
    return len(placed)


async def follow(tx: Tx, batch_id: UUID) -> int:
    """Write down which rows' orders have ended, delivered or not, and why not; how many. Locks: those rows."""
    return await tx.execute(_FOLLOW, batch_id, _FOLLOWED_AT_ONCE)


def key_of(row: asyncpg.Record) -> str:
    """The key of a row's next order."""
    return f"issue:{row['batch_id']}:{row['row_no']}:{row['tries'] + 1}"


async def _come_back(tx: Tx, batch_id: UUID, *, moved: int) -> None:
    """Be here again, the sooner the more is going on; end the batch when nothing is. Locks: the batch."""
    batch = await tx.fetchrow(_LOCK, batch_id)
    if batch is None or batch["state"] not in (IssueState.RUNNING, IssueState.PAUSED):
        return
    left = {row["state"]: row["n"] for row in await tx.fetch(_LEFT, batch_id)}
    if not left:
        await move(tx, batch, IssueState.ENDED)
    elif left.get("ordered") or batch["state"] == IssueState.RUNNING:
        await go_on_soon(tx, batch, after_s=_pause_s(moved, left.get("ordered", 0)))


def _pause_s(moved: int, under_way: int) -> int:
    if moved:
        return _SOON_S
    return _LATER_S if under_way else _STANDS_STILL_S


def _goods(batch: asyncpg.Record) -> AgreedGoods:
    named = (batch["storefront_id"], batch["listing_id"], batch["sku_id"], batch["product_id"], batch["product_name"])
    fields = fields_of(json.loads(batch["asked"]))
    terms = (fields, batch["unit_price_minor"], batch["currency"], batch["locale"])
    return AgreedGoods(batch["id"], *named, batch["sku_name"], batch["delivery_kind"], *terms)


def _recipient(key: str, row: asyncpg.Record, ring: Keyring) -> Recipient:
    kept = json.loads(ring.open("issue_row", "recipient", row["id"], row["recipient"]).reveal())
    return Recipient(key, Contact(kept["kind"], kept["contact"]), kept["account"])


_LOCK = "select *, fields::text as asked from issue_batch where id = $1 for update"
_NEXT = """
select id, batch_id, row_no, tries, recipient from issue_row where batch_id = $1 and state = 'waiting' order by row_no limit $2 for update
"""
_ORDERED = """
update issue_row r set state = 'ordered', order_id = p.order_id, tries = r.tries + 1, changed_at = now()
from unnest($1::uuid[], $2::uuid[]) as p (id, order_id)
where r.id = p.id
"""
# a row has failed once its order owes nothing any more: until then it may not be tried again
_FOLLOW = """
with ended as (
  select r.id, u.state = 'delivered' as is_delivered, a.reason, a.says
  from issue_row r join delivery_unit u on u.order_id = r.order_id
  left join lateral (
    select reason, says from attempt where order_id = r.order_id and state = 'failed' order by seq desc limit 1
  ) a on u.state = 'refunded'
  where r.batch_id = $1 and r.state = 'ordered' and u.state in ('delivered', 'refunded')
  order by r.id limit $2
  for update of r skip locked
)
update issue_row r
set state = case when e.is_delivered then 'delivered' else 'failed' end, reason = coalesce(e.reason, ''), says = left(coalesce(e.says, ''), 200),
    changed_at = now()
from ended e
where r.id = e.id
"""
_LEFT = "select state, count(*)::int as n from issue_row where batch_id = $1 and state in ('waiting', 'ordered') group by state"
