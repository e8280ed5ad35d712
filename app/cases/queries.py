"""Reads of cases."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from app.cases.models import CaseKind, CaseState
from app.kernel.errors import NotFound
from tenants.session import Tx

PAGE = 50


async def cases(tx: Tx, *, state: CaseState, kind: CaseKind | None, page: int = 1) -> list[asyncpg.Record]:
    """One page of cases with their orders' numbers: open ones the longest waiting first, closed ones the last closed first."""
    listed = _OPEN if state is CaseState.OPEN else _CLOSED
    return await tx.fetch(listed, kind, PAGE, (page - 1) * PAGE)


async def open_by_kind(tx: Tx) -> Mapping[CaseKind, int]:
    """How many cases of each kind are open; kinds without one are left out."""
    rows = await tx.fetch("select kind, count(*) as n from staff_case where state = 'open' group by kind order by kind")
    return {CaseKind(row["kind"]): row["n"] for row in rows}


async def count(tx: Tx, *, state: CaseState, kind: CaseKind | None) -> int:
    found: int = await tx.fetchval(
        "select count(*) from staff_case where state = $1 and ($2::text is null or kind = $2)", state, kind
    )
    return found


async def case_or_404(tx: Tx, case_id: UUID) -> asyncpg.Record:
    """One case with its order's number. Raises: NotFound."""
    row = await tx.fetchrow(_ONE, case_id)
    if row is None:
        raise NotFound
    return row


async def of_order(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """The open cases of an order, oldest first."""
    return await tx.fetch(
        "select id, kind, created_at from staff_case where order_id = $1 and state = 'open' order by created_at limit 20",
        order_id,
    )


_OPEN = """
select c.id, c.kind, c.state, c.subject_kind, c.subject_id, c.facts, c.created_at, c.closed_at, c.closed_by, c.note, o.order_no
from staff_case c left join shop_order o on o.id = c.order_id
where c.state = 'open' and ($1::text is null or c.kind = $1)
order by c.created_at, c.id
limit $2 offset $3
"""
_CLOSED = """
select c.id, c.kind, c.state, c.subject_kind, c.subject_id, c.facts, c.created_at, c.closed_at, c.closed_by, c.note, o.order_no
from staff_case c left join shop_order o on o.id = c.order_id
where c.state = 'closed' and ($1::text is null or c.kind = $1)
order by c.closed_at desc, c.id
limit $2 offset $3
"""
_ONE = """
select c.id, c.kind, c.state, c.subject_kind, c.subject_id, c.facts, c.created_at, c.closed_at, c.closed_by, c.note, o.order_no
from staff_case c left join shop_order o on o.id = c.order_id
where c.id = $1
"""
