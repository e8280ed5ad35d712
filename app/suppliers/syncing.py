"""Reading what suppliers offer: catalogs page by page, the balance, one item again. No call runs inside a transaction.

A price that rose is written down and the shelves of its SKUs are looked at in the same transaction, so that nothing is sold under its least margin
longer than one reading takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.kernel import clock
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task, add_tasks
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import Ability, Balance, CatalogItem, CatalogPage, NoSuchGoods, Unknown
from app.suppliers.rules import changes_since
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_MOST_PAGES = 200
_SCARCE_S = 20
_EVERY_S = 60
_SLOWEST_S = 900


class NotRead(RuntimeError):
    """The supplier's catalog could not be read to its end. The task is tried again."""


async def sync(tenant: Tenant, connection_id: UUID) -> None:
    """Read a connection's catalog and balance. What a whole reading no longer names is not on sale. Reads again by itself, the sooner the more sells.

    Where the supplier tells what changed since an instant, only that is read, but for one reading an hour, the first with changed settings, and
    when an entry of the changes makes no sense. Idempotent. Raises: NotRead.
    """
    async with tenant_tx(tenant) as tx:
        connection = await connection_of(tx, connection_id)
        row = await tx.fetchrow(
            "select catalog_at, configured_at, now() as started from supplier_connection where id = $1", connection_id
        )
        assert row is not None
    abilities, started = connection.connector.abilities, row["started"]
    if Ability.CATALOG in abilities:
        since = changes_since(row["catalog_at"], configured_at=row["configured_at"], started=started)
        if Ability.CHANGED_SINCE not in abilities:
            since = None
        if await _read_catalog(tenant, connection, since, started) and since is not None:
            since = None
            await _read_catalog(tenant, connection, since, started)
        async with tenant_tx(tenant) as tx:
            if since is None:
                await _take_off_unseen(tx, connection_id, started)
            await tx.execute("update supplier_connection set catalog_at = $2 where id = $1", connection_id, started)
    if Ability.BALANCE in abilities:
        await read_balance(tenant, connection)
    async with tenant_tx(tenant) as tx:
        due = clock.now() + timedelta(seconds=await _next_reading_s(tx, connection_id))
        await add_task(tx, "suppliers.sync", lane=Lane.BULK, subject_id=connection_id, run_at=due)


async def refresh(tenant: Tenant, offer_id: UUID) -> None:
    """Read one item again: what is done before scarce goods are sold, and when a person asks."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(
            "select connection_id, supplier_sku, now() as started from supplier_offer where id = $1", offer_id
        )
        assert row is not None
        connection = await connection_of(tx, row["connection_id"])
    match await connection.connector.goods(row["supplier_sku"]):
        case CatalogItem() as item:
            async with tenant_tx(tenant) as tx:
                await _keep(tx, connection.id, [item], read_from=row["started"])
        case NoSuchGoods():
            async with tenant_tx(tenant) as tx:
                await tx.execute("update supplier_offer set is_on_sale = false, seen_at = now() where id = $1", offer_id)
                await _look_at_shelves(tx, [offer_id])
        case Unknown():
            pass


async def read_balance(tenant: Tenant, connection: Opened) -> None:
    """Ask for our balance there; below the merchant's line a warning goes out, once until it is above."""
    found = await connection.connector.balance()
    if not isinstance(found, Balance):
        return
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_BALANCE, connection.id, found.amount, found.currency)
        assert row is not None
        await add_task(tx, "fulfillment.watch_balance", lane=Lane.MESSAGES, subject_id=connection.id)
        if row["is_low"] and not row["was_low"]:
            await add_task(tx, "suppliers.tell_balance", lane=Lane.MESSAGES, subject_id=connection.id)


async def _read_catalog(tenant: Tenant, connection: Opened, since: datetime | None, started: datetime) -> int:
    """Write down what a supplier names; how many entries made no sense."""
    cursor, unread = None, 0
    for _ in range(_MOST_PAGES):
        page = await connection.connector.catalog(cursor, since)
        if not isinstance(page, CatalogPage):
            raise NotRead(page.says)
        async with tenant_tx(tenant) as tx:
            await _keep(tx, connection.id, page.items, read_from=started)
        cursor, unread = page.next_cursor, unread + page.unread
        if cursor is None:
            return unread
    raise NotRead(f"more than {_MOST_PAGES} pages")


async def _keep(tx: Tx, connection_id: UUID, items: Sequence[CatalogItem], *, read_from: datetime | None = None) -> None:
    """Write items down, the changes of their costs too. What a notice told since the reading began stays: it is newer.

    Locks: the offers, in the order of their supplier's SKU.
    """
    if not items:
        return
    by_sku = {item.supplier_sku: item for item in items}
    before = {row["supplier_sku"]: row for row in await tx.fetch(_KNOWN, connection_id, sorted(by_sku))}
    if read_from is not None:
        told = {sku for sku, row in before.items() if row["noticed_at"] is not None and row["noticed_at"] >= read_from}
        by_sku = {sku: item for sku, item in by_sku.items() if sku not in told}
    await tx.executemany(_KEEP, [_row(connection_id, by_sku[sku]) for sku in sorted(by_sku)])
    known = [before[sku] for sku in by_sku if sku in before]
    after = {before[sku]["id"]: (item.unit_cost, item.stock, item.is_on_sale) for sku, item in by_sku.items() if sku in before}
    await note_changes(tx, known, after)


async def note_changes(tx: Tx, before: Sequence[asyncpg.Record], after: Mapping[UUID, tuple[Decimal, int | None, bool]]) -> None:
    """Write down which of these offers cost something else than before, and look again at the shelves of whatever changed. `after` is cost, stock, sale."""
    changed = [row for row in before if (row["unit_cost"], row["stock"], row["is_on_sale"]) != after[row["id"]]]
    costs = [
        (new_id(), row["id"], row["unit_cost"], cost) for row in changed if row["unit_cost"] != (cost := after[row["id"]][0])
    ]
    await tx.executemany("insert into offer_change (id, offer_id, before, after) values ($1, $2, $3, $4)", costs)
    await _look_at_shelves(tx, [row["id"] for row in changed])


def _row(connection_id: UUID, item: CatalogItem) -> tuple[object, ...]:
    fields = json.dumps([asdict(one) for one in item.account_fields], ensure_ascii=False)
    return (
        new_id(), connection_id, item.supplier_sku, item.name[:300], item.delivery_kind, item.unit_cost, item.currency, item.is_on_sale, item.stock,
        item.face_value_minor, item.least_minor, item.most_minor, item.step_minor, item.region, fields,
    )  # fmt: skip


async def _take_off_unseen(tx: Tx, connection_id: UUID, started: datetime) -> None:
    rows = await tx.fetch(_UNSEEN, connection_id, started)
    await _look_at_shelves(tx, [row["id"] for row in rows])


async def _look_at_shelves(tx: Tx, offer_ids: Sequence[UUID]) -> None:
    rows = await tx.fetch("select distinct sku_id from route_offer where offer_id = any($1) order by sku_id", list(offer_ids))
    await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=[row["sku_id"] for row in rows])


async def _next_reading_s(tx: Tx, connection_id: UUID) -> int:
    """A minute while its goods sell, sooner while one of those that sell is nearly gone or just became dearer, a quarter of an hour while none does."""
    row = await tx.fetchrow(_PACE, connection_id)
    assert row is not None
    return _SCARCE_S if row["is_tight"] else _EVERY_S if row["sells"] else _SLOWEST_S


_PACE = """
select count(*) > 0 as sells,
       coalesce(bool_or(o.stock <= 20 or exists (
         select 1 from offer_change x where x.offer_id = o.id and x.after > x.before and x.created_at > now() - interval '15 minutes'
       )), false) as is_tight
from (select distinct offer_id from supply_minute where connection_id = $1 and minute > now() - interval '15 minutes') m
join supplier_offer o on o.id = m.offer_id
"""
_KNOWN = """
select id, supplier_sku, unit_cost, stock, is_on_sale, noticed_at from supplier_offer
where connection_id = $1 and supplier_sku = any($2)
order by supplier_sku
for update
"""
_KEEP = """
insert into supplier_offer
  (id, connection_id, supplier_sku, name, delivery_kind, unit_cost, currency, is_on_sale, stock, face_value_minor, least_minor, most_minor,
   step_minor, region, account_fields, seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::jsonb, now())
on conflict (connection_id, supplier_sku) do update
set name = excluded.name, delivery_kind = excluded.delivery_kind, unit_cost = excluded.unit_cost, currency = excluded.currency,
    is_on_sale = excluded.is_on_sale, stock = excluded.stock, face_value_minor = excluded.face_value_minor,
    least_minor = excluded.least_minor, most_minor = excluded.most_minor, step_minor = excluded.step_minor, region = excluded.region,
    account_fields = excluded.account_fields, seen_at = now(), updated_at = now()
"""
_UNSEEN = """
update supplier_offer set is_on_sale = false, updated_at = now()
where connection_id = $1 and seen_at < $2 and is_on_sale
returning id
"""
_BALANCE = """
update supplier_connection c
set balance = $2, balance_currency = $3, balance_at = now()
from (select id, balance as before from supplier_connection where id = $1 for update) b
where c.id = b.id
returning coalesce(c.balance < c.warn_below, false) as is_low, coalesce(b.before < c.warn_below, false) as was_low
"""
