"""Reads of settling: statements with their totals, differences, bills with their lines. Every total is the sum of the rows it stands over."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.kernel.errors import NotFound
from tenants.session import Tx

PAGE = 50


async def statements(tx: Tx, connection_id: UUID | None = None, *, limit: int = 30) -> list[asyncpg.Record]:
    """The newest statements, with how many of their differences are open."""
    return await tx.fetch(_STATEMENTS, connection_id, limit)


async def statement_or_404(tx: Tx, statement_id: UUID) -> asyncpg.Record:
    """One statement with its totals. Raises: NotFound."""
    row = await tx.fetchrow(_STATEMENT, statement_id)
    if row is None:
        raise NotFound
    return row


async def lines_of(tx: Tx, statement_id: UUID, *, after: int = 0) -> list[asyncpg.Record]:
    """A page of a statement's lines and one more, in the file's order."""
    return await tx.fetch(_STATEMENT_LINES, statement_id, after, PAGE + 1)


async def counts(tx: Tx, statement_id: UUID | None = None) -> dict[str, int]:
    """How many differences are in which state, of one statement or of all."""
    rows = await tx.fetch(
        "select state, count(*)::int as number from discrepancy where $1::uuid is null or statement_id = $1 group by state",
        statement_id,
    )
    return {row["state"]: row["number"] for row in rows}


async def differences(tx: Tx, *, state: str, statement_id: UUID | None, after: UUID | None) -> list[asyncpg.Record]:
    """A page of differences in a state and one more, the oldest first, of one statement or of all."""
    return await tx.fetch(_DIFFERENCES, state, statement_id, after, PAGE + 1)


async def bills(tx: Tx, *, limit: int = 30) -> list[asyncpg.Record]:
    """The newest bills."""
    return await tx.fetch(_BILLS, limit)


async def bill_or_404(tx: Tx, bill_id: UUID) -> asyncpg.Record:
    """Raises: NotFound."""
    row = await tx.fetchrow(_BILL, bill_id)
    if row is None:
        raise NotFound
    return row


async def bill_lines(tx: Tx, bill_id: UUID, *, after: int = 0, limit: int = PAGE + 1) -> list[asyncpg.Record]:
    """A page of a bill's lines, each a purchase or an adjustment."""
    return await tx.fetch(_BILL_LINES, bill_id, after, limit)


_STATEMENTS = """
select s.id, s.file_name, s.first_day, s.last_day, s.currency, s.state, s.lines, s.repeated, s.created_at, s.actor_name, c.name as connection_name,
       (select count(*)::int from discrepancy d where d.statement_id = s.id) as differences,
       (select count(*)::int from discrepancy d where d.statement_id = s.id and d.state in ('open', 'disputed')) as unsettled
from supplier_statement s join supplier_connection c on c.id = s.connection_id
where $1::uuid is null or s.connection_id = $1
order by s.created_at desc, s.id desc
limit $2
"""
_STATEMENT = """
select s.*, c.name as connection_name, t.*
from supplier_statement s
join supplier_connection c on c.id = s.connection_id
cross join lateral (
  select count(*)::int as told, coalesce(sum(amount) filter (where is_success), 0) as told_amount,
         (count(*) filter (where attempt_id is not null))::int as found, (count(*) filter (where test_order_id is not null))::int as tests
  from supplier_statement_line l where l.statement_id = s.id
) t
where s.id = $1
"""
_STATEMENT_LINES = """
select l.line_no, l.out_no, l.supplier_ref, l.is_success, l.amount, l.attempt_id, l.test_order_id, a.state as attempt_state,
       coalesce(a.unit_cost, a.expected_cost) as our_cost, o.order_no
from supplier_statement_line l
left join attempt a on a.id = l.attempt_id left join shop_order o on o.id = a.order_id
where l.statement_id = $1 and l.line_no > $2
order by l.line_no
limit $3
"""
_DIFFERENCES = """
select d.id, d.kind, d.out_no, d.supplier_ref, d.ours, d.theirs, d.currency, d.state, d.note, d.decided_at, d.decided_by, d.adjusted_minor, d.created_at,
       c.name as connection_name, o.order_no
from discrepancy d join supplier_connection c on c.id = d.connection_id
left join attempt a on a.id = d.attempt_id left join shop_order o on o.id = a.order_id
where d.state = $1 and ($2::uuid is null or d.statement_id = $2)
  and ($3::uuid is null or (d.created_at, d.id) > (select created_at, id from discrepancy where id = $3))
order by d.created_at, d.id
limit $4
"""
_BILLS = """
select b.id, b.first_day, b.last_day, b.currency, b.state, b.purchases, b.total_minor, b.paid_at, s.name as supplier_name
from settlement_statement b join supplier s on s.id = b.supplier_id
order by b.last_day desc, s.name, b.currency
limit $1
"""
_BILL = """
select b.*, s.name as supplier_name, s.terms from settlement_statement b join supplier s on s.id = b.supplier_id where b.id = $1
"""
_BILL_LINES = """
select l.line_no, l.amount_minor, a.out_no, a.supplier_ref, a.supplier_sku, a.decided_at, o.order_no, d.id as difference_id, d.kind, d.note,
       d.out_no as difference_no, d.decided_at as adjusted_at
from settlement_line l
left join attempt a on a.id = l.attempt_id left join shop_order o on o.id = a.order_id
left join discrepancy d on d.id = l.discrepancy_id
where l.statement_id = $1 and l.line_no > $2
order by l.line_no
limit $3
"""
