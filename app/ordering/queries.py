"""Reads of orders for the merchant's desk: lists, their totals, and one order whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.inventory.rules import tail_of
from app.kernel import clock
from app.kernel.contact import parse_contact
from app.kernel.errors import NotFound
from app.kernel.ids import is_number
from app.kernel.vault import Keyring, keyring
from app.ordering.filters import OrderFilter, Period, Sort, order_number, period_bounds
from app.ordering.models import OrderState
from tenants.session import Tx

_TAIL = 4
_WHOLE_KEY = 8
_KEYS_FOUND = 200
LATE_AFTER_S = 120
"""A paid order that is not delivered after so long is late: the promise is a second."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How many orders a filter finds and what they come to, in minor units."""

    orders: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many orders each of the list's own views holds."""

    by_state: Mapping[str, int]
    today: int
    with_problems: int

    @property
    def every(self) -> int:
        return sum(self.by_state.values())


async def orders(tx: Tx, chosen: OrderFilter) -> list[asyncpg.Record]:
    """One page of a list: each order with its first item, its units by state and the refund that matters most."""
    args = await _arguments(tx, chosen, clock.now())
    return await tx.fetch(_PAGES[chosen.sort], *args, chosen.size, (chosen.page - 1) * chosen.size)


async def totals(tx: Tx, chosen: OrderFilter) -> Totals:
    """Of the whole list, over all its pages."""
    row = await tx.fetchrow(_TOTALS, *await _arguments(tx, chosen, clock.now()))
    assert row is not None
    return Totals(row["orders"], int(row["total_minor"]))


async def counts(tx: Tx) -> Counts:
    """Of the list's own views, each counted as its filter would."""
    by_state = {row["state"]: row["orders"] for row in await tx.fetch(_BY_STATE)}
    first, after = period_bounds(Period.TODAY, clock.now())
    today = await tx.fetchval("select count(*) from shop_order where placed_at >= $1 and placed_at < $2", first, after)
    problems = await tx.fetchval(_WITH_PROBLEMS, LATE_AFTER_S)
    return Counts(by_state, today, problems)


async def order_or_404(tx: Tx, order_no: str) -> asyncpg.Record:
    """One order by its number. Raises: NotFound, for another tenant's number as for one that never was."""
    row = await tx.fetchrow(_ORDER, order_no.upper()) if order_number(order_no) else None
    if row is None:
        raise NotFound
    return row


async def lines_of(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """An order's lines, with what their keys cost in major units; None while nothing of a line is delivered."""
    return await tx.fetch(_LINES, order_id)


async def units_of(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """What an order owes, unit by unit, with masked keys and the batch they came from."""
    return await tx.fetch(_UNITS, order_id)


async def payments_of(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """An order's payments, oldest first, each with what the gateway captured for it."""
    return await tx.fetch(_PAYMENTS, order_id)


async def refunds_of(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """An order's refunds, oldest first."""
    return await tx.fetch(_REFUNDS, order_id)


async def waiting_for_hands(tx: Tx) -> int:
    """How many units people still have to deliver."""
    return int(await tx.fetchval("select count(*) from delivery_unit where state = 'owed' and due_at is not null"))


async def refundable_minor(tx: Tx, order_id: UUID, *, lock: bool = False) -> int:
    """What a refund by the merchant would give back: units owed or to come, delivered ones whose key the buyer has not read, and codes nobody used.

    Locks, when asked: the order's units, so that no buyer reads a key between this sum and the refund.
    """
    if lock:
        await tx.fetch("select 1 from delivery_unit where order_id = $1 order by order_line_id, unit_no for update", order_id)
    return int(await tx.fetchval(_REFUNDABLE, order_id))


async def earlier_orders(tx: Tx, order: asyncpg.Record) -> int:
    """How many other orders this buyer has placed."""
    found: int = await tx.fetchval(
        "select count(*) from shop_order where contact_fingerprint = $1 and id <> $2", order["contact_fingerprint"], order["id"]
    )
    return found


async def views_of(tx: Tx, owner_id: UUID | None) -> list[asyncpg.Record]:
    """A person's saved views and those shared with everyone."""
    return await tx.fetch(_VIEWS, owner_id)


async def names_of_skus(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, str]:
    """SKUs as filters show them."""
    rows = await tx.fetch(
        "select k.id, p.name || ' ' || k.name as name from sku k join product p on p.id = k.product_id where k.id = any($1)",
        sku_ids,
    )
    return {row["id"]: row["name"] for row in rows}


async def _arguments(tx: Tx, chosen: OrderFilter, now: datetime) -> list[Any]:
    """The places of `_WHERE`, in order."""
    first, after = chosen.bounds(now)
    wanted = await _search(tx, chosen.q) if chosen.q else _Search()
    return [
        [str(state) for state in chosen.state] or None, chosen.payment, first, after, chosen.by, chosen.channel or None,
        chosen.product.lower() or None, chosen.sku, chosen.problem, LATE_AFTER_S, chosen.buyer or None,
        bool(chosen.q), wanted.number, wanted.beginning, wanted.contact, wanted.tail, wanted.ids, wanted.words,
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Search:
    """What a text in the search box may mean. Everything None finds nothing."""

    number: str | None = None
    beginning: str | None = None
    contact: bytes | None = None
    tail: bytes | None = None
    ids: list[UUID] | None = None
    words: str | None = None


async def _search(tx: Tx, text: str) -> _Search:
    """An order number or its beginning, a whole contact, the last four of a phone or key, a whole key's order, or words of a product."""
    if number := order_number(text):
        return _Search(number=number) if is_number(number) else _Search(beginning=number)
    if not await tx.fetchval("select exists(select 1 from data_key)"):
        return _Search()  # nothing was ever sealed here, so there is no order
    ring = await keyring(tx)
    if contact := parse_contact(text):
        return _Search(contact=ring.fingerprint("contact", contact.value))
    tail = text.lower() if len(text) == _TAIL else None
    ids = await _orders_of_keys(tx, ring, text)
    return _Search(
        tail=ring.fingerprint("contact_tail", tail) if tail else None,
        ids=ids,
        words=None if tail and tail.isdigit() else text.lower(),
    )


async def _orders_of_keys(tx: Tx, ring: Keyring, text: str) -> list[UUID] | None:
    looks_like_key = len(text) == _TAIL or (len(text) >= _WHOLE_KEY and " " not in text and any(sign.isdigit() for sign in text))
    if not looks_like_key:
        return None
    rows = await tx.fetch(_BY_KEY_TAIL, ring.fingerprint("card_key_tail", tail_of(text)), _KEYS_FOUND)
    return [row["order_id"] for row in rows]


ENDED = frozenset(
    {OrderState.DELIVERED, OrderState.REFUNDED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.PARTLY_DELIVERED}
)
"""States in which nothing more happens by itself."""

# `_WHERE` is one text for lists and totals, so that a figure and its list cannot disagree. A place that is null does not narrow; the planner
# sees the values and drops those conditions, so each search uses its own index.


async def language_of(tx: Tx, contact_fingerprint: bytes) -> str | None:
    """The language a contact last ordered in; None when it has no order."""
    found: str | None = await tx.fetchval(
        "select locale from shop_order where contact_fingerprint = $1 order by placed_at desc limit 1", contact_fingerprint
    )
    return found


_WHERE = """
where ($1::text[] is null or o.state = any($1))
  and ($2::text is null
       or ($2 = 'paid' and o.paid_at is not null)
       or ($2 = 'unpaid' and o.paid_at is null)
       or ($2 = 'refunded' and o.id in (select r.order_id from refund r where r.state = 'succeeded')))
  and ($3::timestamptz is null or case $5::text when 'paid' then o.paid_at else o.placed_at end >= $3)
  and ($4::timestamptz is null or case $5::text when 'paid' then o.paid_at else o.placed_at end < $4)
  and ($6::text is null or o.sales_channel = $6)
  and ($7::text is null
       or o.id in (select l.order_id from order_line l where position($7 in lower(l.product_name || ' ' || l.sku_name)) > 0))
  and ($8::uuid is null or o.id in (select l.order_id from order_line l where l.sku_id = $8))
  and ($9::text is null
       or ($9 in ('any', 'late') and o.state = 'paid' and coalesce(o.owed_again_at, o.paid_at) < now() - make_interval(secs => $10::int)
           and exists (select 1 from delivery_unit u where u.order_id = o.id and u.state = 'owed'
                         and coalesce(u.due_at, o.owed_again_at, o.paid_at) < now() - make_interval(secs => $10::int)))
       or ($9 in ('any', 'refund_unknown') and o.id in (select r.order_id from refund r where r.state = 'unknown'))
       or ($9 in ('any', 'refund_declined') and o.id in (select r.order_id from refund r where r.state = 'declined'))
       or ($9 in ('any', 'mismatch') and o.id in (
             select p.order_id from history h join payment p on p.id = h.subject_id
             where h.event = 'payment.mismatch' and p.state <> 'succeeded'))
       or ($9 in ('any', 'work_failed') and o.id in (
             select coalesce(p.order_id, r.order_id, t.subject_id)
             from task t left join payment p on p.id = t.subject_id left join refund r on r.id = t.subject_id
             where t.state = 'failed' and t.subject_id is not null)))
  and ($11::text is null or o.contact_fingerprint = (select b.contact_fingerprint from shop_order b where b.order_no = $11))
  and (not $12::boolean
       or o.order_no = $13::text
       or starts_with(o.order_no, $14::text)
       or o.contact_fingerprint = $15::bytea
       or o.tail_fingerprint = $16::bytea
       or o.id = any($17::uuid[])
       or o.id in (select l.order_id from order_line l where position($18::text in lower(l.product_name || ' ' || l.sku_name)) > 0))
"""
_COUNT = "select count(*) as orders, coalesce(sum(o.total_minor), 0) as total_minor from shop_order o"
_TOTALS = _COUNT + _WHERE
_HEAD = """
select x.*, item.first_item, item.items, item.units,
       unit.delivered, unit.refunding, unit.refunded, back.state as refund_state
from (
  select o.id, o.order_no, o.state, o.placed_at, o.paid_at, o.expires_at, o.ended_at, o.contact_masked, o.sales_channel, o.total_minor, o.currency,
         row_number() over () as place
  from (select o.* from shop_order o
"""
_NEWEST = "order by o.placed_at desc, o.id desc"
_OLDEST = "order by o.placed_at, o.id"
_LARGEST = "order by o.total_minor desc, o.placed_at desc, o.id desc"
_SMALLEST = "order by o.total_minor, o.placed_at desc, o.id desc"
_TAIL_END = """
  limit $19 offset $20) o
) x
cross join lateral (
  select (array_agg(l.product_name || ' ' || l.sku_name order by l.line_no))[1] as first_item, count(*) as items, sum(l.quantity) as units
  from order_line l where l.order_id = x.id and l.parent_line_id is null
) item
cross join lateral (
  select count(*) filter (where u.state = 'delivered') as delivered, count(*) filter (where u.state = 'refunding') as refunding,
         count(*) filter (where u.state = 'refunded') as refunded
  from delivery_unit u where u.order_id = x.id
) unit
left join lateral (
  select r.state from refund r where r.order_id = x.id and r.state <> 'succeeded'
  order by case r.state when 'unknown' then 0 when 'declined' then 1 else 2 end limit 1
) back on true
order by x.place
"""
_PAGES = {
    Sort.NEWEST: _HEAD + _WHERE + _NEWEST + _TAIL_END,
    Sort.OLDEST: _HEAD + _WHERE + _OLDEST + _TAIL_END,
    Sort.LARGEST: _HEAD + _WHERE + _LARGEST + _TAIL_END,
    Sort.SMALLEST: _HEAD + _WHERE + _SMALLEST + _TAIL_END,
}
_BY_STATE = "select state, count(*) as orders from shop_order group by state"
# What `_WHERE` calls a problem, found from its few rows instead of from every order; a test holds the two together.
_WITH_PROBLEMS = """
select count(*) from shop_order o where o.id in (
  select b.id from shop_order b where b.state = 'paid' and coalesce(b.owed_again_at, b.paid_at) < now() - make_interval(secs => $1::int)
    and exists (select 1 from delivery_unit u where u.order_id = b.id and u.state = 'owed'
                  and coalesce(u.due_at, b.owed_again_at, b.paid_at) < now() - make_interval(secs => $1::int))
  union select r.order_id from refund r where r.state in ('unknown', 'declined')
  union select p.order_id from payment p join history h on h.subject_id = p.id where p.state <> 'succeeded' and h.event = 'payment.mismatch'
  union select coalesce(p.order_id, r.order_id, t.subject_id)
        from task t left join payment p on p.id = t.subject_id left join refund r on r.id = t.subject_id
        where t.state = 'failed' and t.subject_id is not null)
"""
_BY_KEY_TAIL = """
select distinct u.order_id
from card_key k join delivery_unit u on u.card_key_id = k.id
where k.tail_fingerprint = $1
limit $2
"""
_ORDER = """
select id, order_no, state, sales_channel, contact_kind, contact, contact_masked, contact_fingerprint, locale, total_minor, currency,
       placed_at, expires_at, paid_at, ended_at, billed_to,
       (select c.masked from second_contact c where c.order_id = shop_order.id) as second_contact_masked
from shop_order where order_no = $1
"""
_LINES = """
select l.id, l.line_no, l.product_id, l.sku_id, l.product_name, l.sku_name, l.delivery_kind, l.quantity, l.unit_price_minor, l.total_minor,
       l.price_rule_id, l.price_rule_version,
       (select sum(coalesce(u.unit_cost, 0) + u.lost_cost) filter (where u.unit_cost is not null) from delivery_unit u where u.order_line_id = l.id) as cost,
       l.parent_line_id, l.bundle_policy, l.attributes::text as attributes, ra.shown::text as stated
from order_line l left join recharge_account ra on ra.order_line_id = l.id
where l.order_id = $1
order by l.line_no
"""
_UNITS = """
select u.order_line_id, u.unit_no, u.state, u.amount_minor, u.delivered_at, u.revealed_at, u.card_key_id,
       l.line_no, l.product_name, l.sku_name, l.delivery_kind, p.product_name || ' ' || p.sku_name as bundle_name,
       y.subscription_id, y.cycle_no, y.due_on,
       coalesce(k.masked, m.masked, h.masked, ra.masked) as masked, b.batch_no,
       ra.order_line_id is not null and coalesce(u.card_key_id, u.minted_id, u.handover_id) is null as is_account,
       u.minted_id, m.kind as minted_kind, m.state as minted_state, m.uses, m.most_uses,
       u.handover_id, u.due_at, h.carrier, h.tracking_no, h.secret is not null as has_text, s.name as supplied_by
from delivery_unit u
join order_line l on l.id = u.order_line_id
left join order_line p on p.id = l.parent_line_id
left join subscription_cycle y on y.order_line_id = l.id
left join card_key k on k.id = u.card_key_id
left join import_batch b on b.id = k.batch_id
left join recharge_account ra on ra.order_line_id = u.order_line_id
left join minted_good m on m.id = u.minted_id
left join handover h on h.id = u.handover_id
left join attempt a on a.id = u.attempt_id
left join supplier_connection s on s.id = a.connection_id
where u.order_id = $1
order by l.line_no, u.unit_no
limit 2000
"""
_PAYMENTS = """
select p.id, p.payment_no, p.state, p.amount_minor, p.currency, p.gateway_ref, p.succeeded_at, p.created_at, p.times_asked,
       g.name as gateway_name, g.merchant_id, c.id as capture_id, c.gateway_txn, c.amount_minor as captured_minor, c.purpose, c.captured_at
from payment p
join gateway_connection g on g.id = p.connection_id
left join capture c on c.payment_id = p.id
where p.order_id = $1
order by p.created_at, c.captured_at
limit 50
"""
_REFUNDS = """
select r.id, r.refund_no, r.state, r.reason, r.amount_minor, r.currency, r.gateway_refund_ref, r.created_at, r.succeeded_at, p.payment_no
from refund r join payment p on p.id = r.payment_id
where r.order_id = $1
order by r.created_at
limit 50
"""
_REFUNDABLE = """
select coalesce(sum(u.amount_minor), 0)
from delivery_unit u left join minted_good m on m.id = u.minted_id
where u.order_id = $1 and (
  u.state in ('owed', 'scheduled') or (u.state = 'delivered' and u.revealed_at is null and u.card_key_id is not null)
  or (u.state = 'delivered' and m.uses = 0))
"""
_VIEWS = """
select v.id, v.name, v.query, v.owner_id, v.is_shared, d.view_id is not null as opens_the_list
from order_view v left join order_view_default d on d.view_id = v.id and d.user_id = $1
where v.owner_id = $1 or v.is_shared
order by d.view_id is not null desc, v.position, v.created_at
limit 24
"""
