"""Reads of subscriptions: lists, one with its cycles, those of an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.kernel.errors import NotFound
from app.ordering.models import SubscriptionState
from tenants.session import Tx


async def of_order(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """The subscriptions an order began or renewed, with what is next."""
    return await tx.fetch(_OF_ORDER, order_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to: a state, and a text in the order's number or the name of what is subscribed to."""

    state: SubscriptionState | None = None
    text: str = ""


async def listed(tx: Tx, wanted: Wanted, *, page: int, size: int) -> list[asyncpg.Record]:
    """A page of the subscriptions and one more, the newest first."""
    return await tx.fetch(_LISTED, wanted.state, size + 1, (page - 1) * size, wanted.text)


async def counts(tx: Tx) -> dict[SubscriptionState, int]:
    """How many subscriptions are in each state."""
    found = {
        row["state"]: row["n"] for row in await tx.fetch("select state, count(*)::int as n from subscription group by state")
    }
    return {state: found.get(state, 0) for state in SubscriptionState}


async def needed(tx: Tx, sku_id: UUID, *, days: int) -> int:
    """How many units of a SKU the subscriptions that run will take within so many days."""
    return int(await tx.fetchval(_NEEDED, sku_id, days))


async def are_sold(tx: Tx) -> bool:
    """Whether the merchant has a plan, or a subscription."""
    return bool(await tx.fetchval("select exists (select 1 from subscription_plan) or exists (select 1 from subscription)"))


async def one_or_404(tx: Tx, subscription_id: UUID) -> asyncpg.Record:
    """A subscription with its order and what is next. Raises: NotFound."""
    row = await tx.fetchrow(_ONE, subscription_id)
    if row is None:
        raise NotFound
    return row


async def cycles_of(tx: Tx, subscription_ids: Sequence[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    """The cycles that are paid for, by subscription and in order: day, share, order, and how many of their units are in which state."""
    found: dict[UUID, list[asyncpg.Record]] = {subscription_id: [] for subscription_id in subscription_ids}
    for row in await tx.fetch(_CYCLES, list(subscription_ids)):
        found[row["subscription_id"]].append(row)
    return found


_SHOWN = """
select s.id, s.state, s.cycle_unit, s.cycle_length, s.grace_days, s.first_day, s.last_day, s.reminded_for, s.ended_at, s.created_at,
       o.id as order_id, o.order_no, o.contact_masked, o.currency, l.product_name, l.sku_name, l.listing_id, l.quantity,
       n.next_day, n.delivered, n.cycles, n.to_come_minor, n.paid_minor
from subscription s
join order_line l on l.id = s.order_line_id
join shop_order o on o.id = l.order_id
cross join lateral (
  select min(c.due_on) filter (where u.state = 'scheduled') as next_day, count(distinct c.cycle_no) as cycles,
         count(distinct c.cycle_no) filter (where u.state = 'delivered') as delivered,
         coalesce(sum(u.amount_minor) filter (where u.state = 'scheduled'), 0)::bigint as to_come_minor, sum(u.amount_minor)::bigint as paid_minor
  from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
  where c.subscription_id = s.id
) n
"""
_NEEDED = """
select count(*) from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
where u.sku_id = $1 and u.state = 'scheduled' and c.due_on <= business_day() + $2::int
"""
_BY_ORDER = """
where s.id in (select d.subscription_id from subscription_cycle d join order_line c on c.id = d.order_line_id where c.order_id = $1)
order by s.id
"""
_OF_ORDER = _SHOWN + _BY_ORDER
_ONE = _SHOWN + "where s.id = $1"
_LISTED = (
    _SHOWN
    + """
where ($1::text is null or s.state = $1)
  and ($4 = '' or starts_with(o.order_no, upper($4)) or position(lower($4) in lower(l.product_name || ' ' || l.sku_name)) > 0)
order by s.created_at desc, s.id desc
limit $2 offset $3
"""
)
_CYCLES = """
select c.subscription_id, c.cycle_no, c.due_on, o.order_no, l.total_minor, l.product_name, l.sku_name, l.quantity,
       (count(*) filter (where u.state = 'scheduled'))::int as to_come, (count(*) filter (where u.state = 'owed'))::int as owed,
       (count(*) filter (where u.state = 'delivered'))::int as delivered,
       (count(*) filter (where u.state in ('refunding', 'refunded')))::int as given_back, max(u.delivered_at) as delivered_at
from subscription_cycle c
join order_line l on l.id = c.order_line_id
join shop_order o on o.id = l.order_id
join delivery_unit u on u.order_line_id = l.id
where c.subscription_id = any($1)
group by c.subscription_id, c.cycle_no, c.due_on, o.order_no, l.id
order by c.subscription_id, c.cycle_no
"""
