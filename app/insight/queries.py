"""Reads for the dashboard. Each figure is defined here once, and its list on the order page finds exactly the orders it counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from app.ordering.filters import Period, period_bounds
from app.ordering.queries import LATE_AFTER_S
from tenants.session import Tx

MOST_SELLERS = 5
_HOUR_S, _DAY_S = 3600, 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, the one it is compared with, and the width of the parts its chart is drawn in."""

    first: datetime
    until: datetime
    before_first: datetime
    before_until: datetime
    part_s: int
    parts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the orders paid in a stretch of time came to."""

    orders: int
    """Orders whose payment arrived in it. One that was paid late and could not be delivered any more never counts as paid."""
    sales_minor: int
    """The totals of those orders. What was given back since is not taken off: it has its own list."""
    delivered: int
    """Those of them that stand delivered whole this moment: not waiting, not partly, and not given back."""
    median_s: float | None
    """Half of those delivered ones took at most so long from payment to delivery; None when there is none."""

    @property
    def share_bp(self) -> int | None:
        """Delivered of paid, in basis points, rounded down: 100% means all of them."""
        return self.delivered * 10_000 // self.orders if self.orders else None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a chart: an hour or a day."""

    orders: int = 0
    sales_minor: int = 0


@dataclass(frozen=True, slots=True)
class Attention:
    """Orders somebody should look at, by why; each number is that of the order list under the same problem."""

    late: int
    refund_unknown: int
    refund_declined: int
    mismatch: int
    work_failed: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What a new merchant has done. A member who sees this has confirmed his e-mail: nobody enters before."""

    has_product: bool
    has_keys: bool
    is_on_sale: bool
    has_gateway: bool
    has_paid_order: bool
    is_dismissed: bool
    is_email_verified: bool = True


def span_of(period: Period, now: datetime) -> Span:
    """A period up to now, and the same stretch before it, up to the same time of day."""
    first, after = period_bounds(period, now)
    until = min(after, now)
    days = {Period.TODAY: 1, Period.YESTERDAY: 1, Period.WEEK: 7, Period.MONTH: 30}[period]
    shift = timedelta(days=days)
    by_hour = period in (Period.TODAY, Period.YESTERDAY)
    return Span(first, until, first - shift, until - shift, _HOUR_S if by_hour else _DAY_S, 24 if by_hour else days)


async def figures(tx: Tx, first: datetime, until: datetime) -> Figures:
    """The figures of a stretch of time, its first instant in, its last out."""
    row = await tx.fetchrow(_FIGURES, first, until)
    assert row is not None
    return Figures(row["orders"], int(row["sales_minor"]), row["delivered"], row["median_s"])


async def parts(tx: Tx, first: datetime, *, part_s: int, number: int) -> list[Part]:
    """Orders paid and their totals, part by part from an instant on."""
    rows = await tx.fetch(_PARTS, first, first + timedelta(seconds=part_s * number), part_s)
    found = {row["part"]: Part(row["orders"], int(row["sales_minor"])) for row in rows}
    return [found.get(i, Part()) for i in range(number)]


async def best_sellers(tx: Tx, first: datetime, until: datetime) -> list[asyncpg.Record]:
    """The SKUs that earned most among the orders paid in a stretch of time, with what is left to sell."""
    return await tx.fetch(_SELLERS, first, until, MOST_SELLERS)


async def attention(tx: Tx) -> Attention:
    """How many orders have which problem."""
    row = await tx.fetchrow(_ATTENTION, LATE_AFTER_S)
    assert row is not None
    return Attention(**dict(row))


async def failed_work(tx: Tx, *, limit: int = 20) -> list[asyncpg.Record]:
    """Tasks whose tries are used up and that concern no order: mails, imports, warnings. Newest first."""
    return await tx.fetch(_FAILED_WORK, limit)


async def short_skus(tx: Tx) -> list[asyncpg.Record]:
    """SKUs that owe more units than they have keys, because keys were voided or expired meanwhile."""
    return await tx.fetch(_SHORT)


async def low_skus(tx: Tx) -> list[asyncpg.Record]:
    """SKUs on sale with fewer left than their threshold, the emptiest first."""
    return await tx.fetch(_LOW)


async def setup(tx: Tx) -> Setup:
    """The set-up list's state."""
    row = await tx.fetchrow(_SETUP)
    assert row is not None
    return Setup(**dict(row))


async def dismiss_setup(tx: Tx, *, is_dismissed: bool) -> None:
    """Put the set-up list away, or bring it back. Idempotent."""
    await tx.execute("update storefront set setup_dismissed = $1, updated_at = now()", is_dismissed)


_FIGURES = """
select count(*) as orders,
       coalesce(sum(total_minor), 0) as sales_minor,
       count(*) filter (where state = 'delivered') as delivered,
       percentile_cont(0.5) within group (order by extract(epoch from ended_at - paid_at)) filter (where state = 'delivered') as median_s
from shop_order
where paid_at >= $1 and paid_at < $2
"""
_PARTS = """
select floor(extract(epoch from paid_at - $1) / $3::int)::int as part, count(*) as orders, sum(total_minor) as sales_minor
from shop_order
where paid_at >= $1 and paid_at < $2
group by 1
"""
_SELLERS = """
select l.sku_id, max(l.product_name) as product_name, max(l.sku_name) as sku_name, count(distinct o.id) as orders,
       sum(l.quantity) as units, sum(l.total_minor) as sales_minor, coalesce(max(s.available), min(part.available), 0) as available,
       max(k.warn_below) as warn_below, max(p.cover_icon) as cover_icon, max(p.cover_hue) as cover_hue
from shop_order o
join order_line l on l.order_id = o.id
join sku k on k.id = l.sku_id
join product p on p.id = k.product_id
left join stock s on s.sku_id = l.sku_id
left join lateral (
  select min(coalesce(ps.available, 0) / b.quantity) as available
  from (
    select sku_id, quantity from bundle_part where bundle_sku_id = l.sku_id
    union all select delivers_sku_id, quantity from subscription_plan where sku_id = l.sku_id
  ) b left join stock ps on ps.sku_id = b.sku_id
) part on true
where o.paid_at >= $1 and o.paid_at < $2 and l.parent_line_id is null
group by l.sku_id
order by sum(l.total_minor) desc, l.sku_id
limit $3
"""
_ATTENTION = """
select (select count(*) from shop_order o where o.state = 'paid' and coalesce(o.owed_again_at, o.paid_at) < now() - make_interval(secs => $1::int)
          and exists (select 1 from delivery_unit u where u.order_id = o.id and u.state = 'owed'
                        and coalesce(u.due_at, o.owed_again_at, o.paid_at) < now() - make_interval(secs => $1::int))) as late,
       (select count(distinct r.order_id) from refund r where r.state = 'unknown') as refund_unknown,
       (select count(distinct r.order_id) from refund r where r.state = 'declined') as refund_declined,
       (select count(distinct p.order_id) from payment p join history h on h.subject_id = p.id
        where p.state <> 'succeeded' and h.event = 'payment.mismatch') as mismatch,
       (select count(*) from shop_order o where o.id in (
          select coalesce(p.order_id, r.order_id, t.subject_id)
          from task t left join payment p on p.id = t.subject_id left join refund r on r.id = t.subject_id
          where t.state = 'failed' and t.subject_id is not null)) as work_failed
"""
_FAILED_WORK = """
select t.id, t.kind, t.attempts, t.last_error, t.run_at
from task t
where t.state = 'failed'
  and not exists (select 1 from shop_order o where o.id = t.subject_id)
  and not exists (select 1 from payment p where p.id = t.subject_id)
  and not exists (select 1 from refund r where r.id = t.subject_id)
order by t.run_at desc
limit $1
"""
_SHORT = """
select s.sku_id, s.short, p.name || ' ' || k.name as name
from stock s join sku k on k.id = s.sku_id join product p on p.id = k.product_id
where s.short > 0
order by s.short desc
limit 20
"""
_LOW = """
select k.id as sku_id, coalesce(s.available, 0) as available, k.warn_below, p.name || ' ' || k.name as name
from sku k
join product p on p.id = k.product_id
join listing l on l.sku_id = k.id and l.is_published
left join stock s on s.sku_id = k.id
where p.state = 'on_sale' and p.delivery_kind not in ('bundle', 'subscription') and (coalesce(s.available, 0) < k.warn_below or coalesce(s.available, 0) = 0)
order by coalesce(s.available, 0), p.name
limit 20
"""
_SETUP = """
select exists (select 1 from product) as has_product,
       exists (select 1 from import_batch where imported_count > 0) as has_keys,
       exists (select 1 from product where state = 'on_sale') as is_on_sale,
       exists (select 1 from gateway_connection where is_live) as has_gateway,
       exists (select 1 from shop_order where paid_at is not null) as has_paid_order,
       coalesce((select setup_dismissed from storefront order by created_at limit 1), false) as is_dismissed
"""
