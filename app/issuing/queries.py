"""Reads of batches for companies: lists, one with its rows, what each company owes, and the SKUs that can be issued."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.issuing.models import IssueState, RowState
from app.kernel import clock
from app.kernel.errors import NotFound
from app.kernel.ids import is_number
from tenants.session import Tx

PAGE = 50
_MOST_SKUS = 1_000
_MOST_CLIENTS = 100
_MOST_LINES = 10_000


async def listed(tx: Tx, states: Sequence[IssueState], *, client: str = "", before: UUID | None = None) -> list[asyncpg.Record]:
    """A page of batches and one more, newest first, older than the one named; each with how many of its rows stand how, and what it owes."""
    return await tx.fetch(_LISTED, list(states), client, before, PAGE + 1)


async def counts(tx: Tx) -> dict[str, int]:
    """How many batches there are in each state."""
    return {row["state"]: row["n"] for row in await tx.fetch("select state, count(*)::int as n from issue_batch group by state")}


async def owed_by_client(tx: Tx) -> list[asyncpg.Record]:
    """What each company was charged for its batches, has paid and owes, in each currency, who owes most first."""
    return await tx.fetch(_BY_CLIENT, "", _MOST_CLIENTS)


async def accounts_of(tx: Tx, client: str) -> list[asyncpg.Record]:
    """The same of one company, a row for each currency of its batches, also of those that count for nothing yet."""
    return await tx.fetch(_BY_CLIENT, client, _MOST_CLIENTS)


async def statement_of(tx: Tx, client: str) -> list[asyncpg.Record]:
    """A company's charges, batch by batch, and payments in the order of their days, with what it owed after each. What was taken back is left out."""
    return await tx.fetch(_STATEMENT, client, str(clock.BUSINESS_ZONE), _MOST_LINES)


async def one_or_404(tx: Tx, batch_no: str, *, lock: bool = False) -> asyncpg.Record:
    """One batch by its number; locked until the transaction ends, if asked. Raises: NotFound."""
    row = await tx.fetchrow(_ONE + (" for update" if lock else ""), batch_no) if is_number(batch_no) else None
    if row is None:
        raise NotFound
    return row


async def rows_by_state(tx: Tx, batch_id: UUID) -> dict[str, int]:
    """How many of its rows stand how."""
    found = await tx.fetch("select state, count(*)::int as n from issue_row where batch_id = $1 group by state", batch_id)
    return {row["state"]: row["n"] for row in found}


async def rows_of(tx: Tx, batch_id: UUID, states: Sequence[RowState], *, after: int, limit: int) -> list[asyncpg.Record]:
    """Its rows in some states, in the order of the file, after the one named, with their orders' numbers."""
    return await tx.fetch(_ROWS, batch_id, list(states), after, limit)


async def bad_lines(tx: Tx, batch_id: UUID, *, duplicates: bool | None, limit: int) -> list[asyncpg.Record]:
    """The lines that are no rows: the bad ones, the duplicates, or both."""
    return await tx.fetch(_BAD, batch_id, duplicates, limit)


async def owed_minor(tx: Tx, batch_id: UUID) -> tuple[int, int]:
    """What a batch was charged with, and what was taken off again, by the ledger."""
    row = await tx.fetchrow(_MONEY, batch_id)
    assert row is not None
    return int(row["charged"]), int(row["taken_off"])


async def of_order(tx: Tx, order_id: UUID) -> asyncpg.Record | None:
    """The batch an order is of."""
    return await tx.fetchrow(
        "select b.batch_no, b.client, b.reference from issue_batch b join shop_order o on o.billed_to = b.id where o.id = $1",
        order_id,
    )


async def skus(tx: Tx) -> list[asyncpg.Record]:
    """The SKUs that can be issued: of one unit each, which nobody hands over by hand, and of a fixed value."""
    return await tx.fetch(_SKUS, None, _MOST_SKUS)


async def goods_or_none(tx: Tx, listing_id: UUID) -> asyncpg.Record | None:
    """One of them, with what its recipients' rows must state."""
    return await tx.fetchrow(_SKUS, listing_id, 1)


_ONE = "select *, fields::text as asked from issue_batch where batch_no = $1"
_LISTED = """
select b.*, r.delivered, r.failed, r.open, coalesce(m.minor, 0) as owed_minor
from (
  select * from issue_batch
  where state = any($1) and ($2 = '' or client = $2) and ($3::uuid is null or id < $3)
  order by id desc limit $4
) b
left join lateral (
  select count(*) filter (where state = 'delivered') as delivered, count(*) filter (where state = 'failed') as failed,
         count(*) filter (where state in ('waiting', 'ordered')) as open
  from issue_row where batch_id = b.id
) r on true
left join lateral (
  select sum(case when t.kind = 'on_account' then t.amount_minor else -t.amount_minor end)::bigint as minor from transfer t where t.subject_id = b.id
) m on true
order by b.id desc
"""
_BY_CLIENT = """
select c.client, c.currency, c.batches, c.newest_no, c.charged_minor, coalesce(p.minor, 0) as paid_minor, c.charged_minor - coalesce(p.minor, 0) as owed_minor
from (
  select b.client, b.currency, count(*)::int as batches, (array_agg(b.batch_no order by b.id desc))[1] as newest_no,
         sum(coalesce(m.minor, 0))::bigint as charged_minor
  from issue_batch b
  left join lateral (
    select sum(case when t.kind = 'on_account' then t.amount_minor else -t.amount_minor end)::bigint as minor from transfer t where t.subject_id = b.id
  ) m on true
  where case when $1 = '' then b.state not in ('ready', 'abandoned') else b.client = $1 end
  group by b.client, b.currency
) c
left join lateral (
  select sum(y.amount_minor)::bigint as minor from company_payment y
  where y.client = c.client and y.currency = c.currency and y.taken_back_at is null
) p on true
order by owed_minor desc, c.client
limit $2
"""
_STATEMENT = """
select l.day, l.is_payment, l.reference, l.currency, l.amount_minor,
       sum(l.amount_minor) over (partition by l.currency order by l.day, l.id rows unbounded preceding)::bigint as owed_minor
from (
  select b.id, (b.confirmed_at at time zone $2)::date as day, false as is_payment, b.batch_no || ' ' || b.reference as reference, b.currency,
         sum(case when t.kind = 'on_account' then t.amount_minor else -t.amount_minor end)::bigint as amount_minor
  from issue_batch b join transfer t on t.subject_id = b.id
  where b.client = $1
  group by b.id
  union all
  select id, received_on, true, reference, currency, -amount_minor from company_payment where client = $1 and taken_back_at is null
) l
order by l.currency, l.day, l.id
limit $3
"""
_ROWS = """
select r.*, o.order_no from issue_row r left join shop_order o on o.id = r.order_id
where r.batch_id = $1 and r.state = any($2) and r.row_no > $3
order by r.row_no
limit $4
"""
_BAD = """
select line_no, is_duplicate, masked, problems::text as problems from issue_bad_line
where batch_id = $1 and ($2::boolean is null or is_duplicate = $2)
order by line_no
limit $3
"""
_MONEY = """
select coalesce(sum(amount_minor) filter (where kind = 'on_account'), 0)::bigint as charged,
       coalesce(sum(amount_minor) filter (where kind <> 'on_account'), 0)::bigint as taken_off
from transfer where subject_id = $1
"""
_SKUS = """
select l.id as listing_id, l.storefront_id, l.sku_id, l.price_minor, l.currency, p.id as product_id, p.name as product_name, k.name as sku_name,
       p.name || ' ' || k.name as goods, p.delivery_kind, coalesce(s.available - s.allotted, 0) as available,
       coalesce(t.buyer_fields, p.account_fields)::text as fields,
       coalesce(t.refuses_virtual_numbers, p.refuses_virtual_numbers) as refuses_virtual_numbers
from listing l join sku k on k.id = l.sku_id join product p on p.id = k.product_id left join product_type t on t.id = p.type_id
left join stock s on s.sku_id = k.id
where p.state <> 'draft' and p.delivery_kind in ('card_key', 'direct_top_up', 'voucher', 'serial', 'link')
  and not exists (select 1 from sku_range v where v.sku_id = k.id) and ($1::uuid is null or l.id = $1)
  and (p.delivery_kind <> 'direct_top_up' or jsonb_array_length(coalesce(t.buyer_fields, p.account_fields)) > 0)
order by p.position, p.created_at, k.position
limit $2
"""
