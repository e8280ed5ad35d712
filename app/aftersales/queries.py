"""Reads of after-sales: the queue, one case whole, what a buyer sees of his units' cases, and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.aftersales.models import OPEN, AfterSaleState, ClaimState, Complaint
from app.kernel.errors import NotFound
from app.kernel.ids import is_number
from tenants.session import Tx

PAGE = 50


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a list holds. `view` is a state, `open` for all that are not over, or `overdue`."""

    view: str = "awaiting_staff"
    complaint: Complaint | None = None
    connection_id: UUID | None = None
    batch_id: UUID | None = None
    sku_id: UUID | None = None
    q: str = ""
    page: int = 1

    @property
    def states(self) -> list[str]:
        return [str(state) for state in OPEN] if self.view in ("open", "overdue") else [self.view]

    @property
    def is_overdue(self) -> bool:
        return self.view == "overdue"


async def cases(tx: Tx, chosen: CaseFilter) -> list[asyncpg.Record]:
    """One page of the queue: what is due first stands first, what is over the last ended first."""
    return await tx.fetch(_LIST, *_arguments(chosen), PAGE, (chosen.page - 1) * PAGE)


async def count(tx: Tx, chosen: CaseFilter) -> int:
    found: int = await tx.fetchval(_COUNT, *_arguments(chosen))
    return found


async def counts(tx: Tx) -> Mapping[str, int]:
    """How many cases each view holds, those that are over among them."""
    rows = await tx.fetch("select state, count(*)::int as n from after_sale_case group by state")
    found = {row["state"]: row["n"] for row in rows}
    overdue = await tx.fetchval("select count(*)::int from after_sale_case where state = any($1) and due_at <= now()", list(OPEN))
    return {**found, "open": sum(found.get(state, 0) for state in OPEN), "overdue": overdue}


def _arguments(chosen: CaseFilter) -> list[Any]:
    return [
        chosen.states, chosen.is_overdue, chosen.complaint, chosen.connection_id, chosen.batch_id, chosen.sku_id, chosen.q.upper() or None,
    ]  # fmt: skip


async def case_or_404(tx: Tx, case_no: str) -> asyncpg.Record:
    """One case with its order, unit and remedy. Raises: NotFound."""
    row = await tx.fetchrow(_ONE, case_no.upper()) if is_number(case_no) else None
    if row is None:
        raise NotFound
    return row


async def number_of(tx: Tx, case_id: UUID) -> str:
    return str(await tx.fetchval("select case_no from after_sale_case where id = $1", case_id))


async def of_order(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """The cases of an order, newest first: what its buyer and its desk see."""
    return await tx.fetch(_OF_ORDER, order_id)


async def affected(tx: Tx, batch_id: UUID) -> int:
    """How many units stand delivered with keys of a batch."""
    found: int = await tx.fetchval(_AFFECTED, batch_id)
    return found


async def claims(tx: Tx, state: ClaimState, page: int) -> list[asyncpg.Record]:
    """One page of claims: open ones the oldest first, decided ones the newest first."""
    return await tx.fetch(_CLAIMS[state is ClaimState.OPEN], state, PAGE, (page - 1) * PAGE)


async def claim_counts(tx: Tx) -> Mapping[str, int]:
    rows = await tx.fetch("select state, count(*)::int as n from supplier_claim group by state")
    return {row["state"]: row["n"] for row in rows}


async def claim_of(tx: Tx, case_id: UUID) -> asyncpg.Record | None:
    """The claim of a case, where there is one."""
    return await tx.fetchrow("select state, amount, currency, is_late, note from supplier_claim where case_id = $1", case_id)


async def names(tx: Tx, chosen: CaseFilter) -> Mapping[str, str]:
    """What the filter's ids are called."""
    row = await tx.fetchrow(_NAMES, chosen.connection_id, chosen.batch_id, chosen.sku_id)
    assert row is not None
    return {name: value for name, value in row.items() if value}


async def picture_of(tx: Tx, case_id: UUID) -> asyncpg.Record | None:
    """The sealed picture of a case."""
    return await tx.fetchrow("select media_type, body from after_sale_picture where case_id = $1", case_id)


async def guide_of(tx: Tx, product_id: UUID) -> asyncpg.Record | None:
    return await tx.fetchrow("select steps::text as steps, settles_itself from product_guide where product_id = $1", product_id)


@dataclass(frozen=True, slots=True)
class Median:
    """How long the cases that ended lately took, and how many of them nobody had to decide."""

    cases: int
    took: timedelta | None
    automatic: int


async def median(tx: Tx, days: int = 30) -> Median:
    """Of the cases with a remedy or an answer in the last days."""
    row = await tx.fetchrow(_MEDIAN, days)
    assert row is not None
    took = timedelta(seconds=row["median_s"]) if row["median_s"] is not None else None
    return Median(row["cases"], took, row["automatic"])


async def self_solved(tx: Tx, product_ids: Sequence[UUID] | None = None, days: int = 90) -> tuple[int, int]:
    """Of those who said whether the steps helped: how many they helped, and how many answered."""
    row = await tx.fetchrow(_SOLVED, product_ids, days)
    assert row is not None
    return row["helped"], row["answered"]


ENDED = (AfterSaleState.REPLACED, AfterSaleState.REFUNDED, AfterSaleState.REJECTED, AfterSaleState.WITHDRAWN)
_WHERE = """
from after_sale_case c
join shop_order o on o.id = c.order_id
join order_line l on l.id = c.order_line_id
left join supplier_connection s on s.id = c.connection_id
left join import_batch b on b.id = c.batch_id
where c.state = any($1) and (not $2 or c.due_at <= now()) and ($3::text is null or c.complaint = $3) and ($4::uuid is null or c.connection_id = $4)
  and ($5::uuid is null or c.batch_id = $5) and ($6::uuid is null or c.sku_id = $6)
  and ($7::text is null or starts_with(c.case_no, $7) or starts_with(o.order_no, $7))
"""
_COUNT = "select count(*)::int" + _WHERE
_LIST = (
    """
select c.case_no, c.state, c.complaint, c.verdict, c.amount_minor, c.currency, c.created_at, c.due_at, c.ended_at, c.masked, o.order_no,
       o.contact_masked, l.product_name, l.sku_name, s.name as connection_name, b.batch_no, c.due_at <= now() as is_overdue
"""
    + _WHERE
    + """
order by c.due_at nulls last, c.ended_at desc nulls last, c.id
limit $8 offset $9
"""
)
_ONE = """
select c.*, o.order_no, o.state as order_state, o.contact_masked, o.locale, l.product_id, l.product_name, l.sku_name, l.delivery_kind, l.quantity,
       u.state as unit_state, u.amount_minor as unit_minor, u.delivered_at as unit_delivered_at, coalesce(m.uses, 0)::int as uses,
       s.name as connection_name, b.batch_no, b.state as batch_state, r.kind as remedy, r.is_automatic, r.made_by, r.made_at, r.new_cost,
       exists (select 1 from after_sale_picture p where p.case_id = c.id) as has_picture,
       (select count(*) from after_sale_case e where e.contact_fingerprint = c.contact_fingerprint and e.id <> c.id)::int as other_cases,
       (select g.name from payment p join gateway_connection g on g.id = p.connection_id where p.order_id = o.id and p.state = 'succeeded' limit 1)
         as gateway_name
from after_sale_case c
join shop_order o on o.id = c.order_id
join order_line l on l.id = c.order_line_id
join delivery_unit u on u.order_line_id = c.order_line_id and u.unit_no = c.unit_no
left join minted_good m on m.id = c.minted_id
left join supplier_connection s on s.id = c.connection_id
left join import_batch b on b.id = c.batch_id
left join after_sale_remedy r on r.case_id = c.id
where c.case_no = $1
"""
_OF_ORDER = """
select c.id, c.case_no, c.order_line_id, c.unit_no, c.state, c.complaint, c.created_at, c.due_at, c.ended_at, c.decided_at, c.objected_at,
       c.amount_minor, c.currency, c.masked, r.kind as remedy, l.product_name, l.sku_name, l.quantity
from after_sale_case c join order_line l on l.id = c.order_line_id left join after_sale_remedy r on r.case_id = c.id
where c.order_id = $1
order by c.created_at desc
limit 200
"""
_AFFECTED = """
select count(*)::int from delivery_unit u join card_key k on k.id = u.card_key_id where k.batch_id = $1 and u.state = 'delivered'
"""
_CLAIM = """
select x.id, x.state, x.amount, x.currency, x.is_late, x.note, x.created_at, x.decided_at, x.decided_by, c.case_no, c.masked, l.product_name,
       l.sku_name, s.name as connection_name, b.batch_no, a.out_no, a.supplier_ref
from supplier_claim x
join after_sale_case c on c.id = x.case_id
join order_line l on l.id = c.order_line_id
left join supplier_connection s on s.id = x.connection_id
left join import_batch b on b.id = x.batch_id
left join attempt a on a.id = x.attempt_id
where x.state = $1
"""
_CLAIMS = {
    True: _CLAIM + "order by x.created_at, x.id\nlimit $2 offset $3",
    False: _CLAIM + "order by x.decided_at desc, x.id\nlimit $2 offset $3",
}
_NAMES = """
select (select name from supplier_connection where id = $1) as connection, (select batch_no from import_batch where id = $2) as batch,
       (select p.name || ' ' || k.name from sku k join product p on p.id = k.product_id where k.id = $3) as sku
"""
_MEDIAN = """
select count(*)::int as cases, (count(*) filter (where r.is_automatic))::int as automatic,
       percentile_cont(0.5) within group (order by extract(epoch from c.ended_at - c.created_at)) as median_s
from after_sale_case c left join after_sale_remedy r on r.case_id = c.id
where c.state in ('replaced', 'refunded', 'rejected') and c.ended_at > now() - make_interval(days => $1::int) and not c.is_own
"""
_SOLVED = """
select (count(*) filter (where has_helped))::int as helped, count(*)::int as answered
from guide_answer where ($1::uuid[] is null or product_id = any($1)) and at > now() - make_interval(days => $2::int)
"""
