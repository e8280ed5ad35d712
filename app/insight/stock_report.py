"""What lies in stock and how long, what runs out, what expires, and what might be culled: asked of stock, sales and refunds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.insight import searches
from app.insight.culling import Culled, cull
from app.insight.searches import Searched
from app.inventory.models import NEVER
from app.kernel import clock
from app.kernel.money import line_minor
from tenants.session import Tx

SOLD_DAYS = 30
"""Sales, failures and refunds are counted over so many days."""
_MOST_BATCHES, _MOST_SKUS, _MOST_MISSED = 200, 2_000, 20


@dataclass(frozen=True, slots=True)
class Aged:
    """What is left of one batch: free keys, what they cost, since when, and until when."""

    batch_no: str
    sku_id: Any
    name: str
    keys: int
    value_minor: int
    days: int
    expires_on: date | None
    expires_in: int | None
    """Days until its keys expire; negative is over."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """Free keys that expire within so many days, and what they cost."""

    within: int
    keys: int
    value_minor: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page: batches, the oldest first; what expires; candidates to cull, by what they tie up."""

    batches: Sequence[Aged]
    expiring: Sequence[Expiring]
    candidates: Sequence[Culled]
    value_minor: int
    missed: Sequence[Searched]
    """What buyers searched for lately and the shop did not have, the most wanted first."""
    dead_minor: int
    """What is tied up in SKUs that sold nothing in thirty days."""


async def report(tx: Tx) -> Report:
    """As of now. Amounts are in minor units, at the cost each key came at."""
    today = clock.business_day()
    rows = await tx.fetch(_BATCHES, _MOST_BATCHES)
    total = await tx.fetchrow(_TOTALS, today)
    assert total is not None
    wanted = await searches.lately(tx, days=SOLD_DAYS)
    skus = [{**row, "searched": _searched(row, wanted)} for row in await tx.fetch(_SKUS, SOLD_DAYS, _MOST_SKUS)]
    candidates = [found for row in skus if (found := cull(row, days=SOLD_DAYS)) is not None]
    return Report(
        batches=[_aged(row, today) for row in rows],
        expiring=[Expiring(days, total[f"keys_{days}"], line_minor(total[f"cost_{days}"], 1)) for days in (7, 30, 90)],
        candidates=sorted(candidates, key=lambda one: (-one.value_minor, -one.failed_bp, one.name))[:100],
        value_minor=line_minor(total["cost"], 1),
        missed=[one for one in wanted if not one.found][:_MOST_MISSED],
        dead_minor=sum(line_minor(row["cost"], 1) for row in skus if not row["sold"] and row["cost"]),
    )


def _searched(row: Any, wanted: Sequence[Searched]) -> int:
    return sum(one.times for one in wanted if one.found and searches.finds(one.words, f"{row['name']} {row['summary']}"))


def _aged(row: Any, today: date) -> Aged:
    ends = None if row["expires_on"] == NEVER else row["expires_on"]
    return Aged(
        row["batch_no"],
        row["sku_id"],
        row["name"],
        row["keys"],
        line_minor(row["cost"], 1),
        row["days"],
        ends,
        (ends - today).days if ends else None,
    )


_BATCHES = """
select b.batch_no, b.sku_id, p.name || ' ' || k.name as name, f.keys, f.cost, f.expires_on, extract(day from now() - b.created_at)::int as days
from (
  select batch_id, count(*)::int as keys, sum(unit_cost) as cost, min(expires_on) as expires_on from card_key where state = 'free' group by batch_id
) f
join import_batch b on b.id = f.batch_id
join sku k on k.id = b.sku_id
join product p on p.id = k.product_id
order by b.created_at, b.batch_no
limit $1
"""
_TOTALS = """
select coalesce(sum(unit_cost), 0) as cost,
       count(*) filter (where expires_on <= $1::date + 7)::int as keys_7, coalesce(sum(unit_cost) filter (where expires_on <= $1::date + 7), 0) as cost_7,
       count(*) filter (where expires_on <= $1::date + 30)::int as keys_30, coalesce(sum(unit_cost) filter (where expires_on <= $1::date + 30), 0) as cost_30,
       count(*) filter (where expires_on <= $1::date + 90)::int as keys_90, coalesce(sum(unit_cost) filter (where expires_on <= $1::date + 90), 0) as cost_90
from card_key where state = 'free'
"""
_SKUS = """
select k.id as sku_id, p.id as product_id, p.name || ' ' || k.name as name, p.summary, l.id as listing_id, l.price_minor, l.was_minor, l.currency,
       coalesce(s.available, 0)::int as left_units, f.keys, f.cost, coalesce(o.sold, 0)::int as sold, coalesce(o.failed, 0)::int as failed,
       coalesce(o.back_minor, 0)::bigint as back_minor
from sku k
join product p on p.id = k.product_id and p.state = 'on_sale'
join listing l on l.sku_id = k.id and l.is_published
left join stock s on s.sku_id = k.id
left join (select sku_id, count(*)::int as keys, sum(unit_cost) as cost from card_key where state = 'free' group by sku_id) f on f.sku_id = k.id
left join (
  select u.sku_id, count(*) filter (where u.state in ('owed', 'delivered')) as sold, count(*) filter (where u.state in ('refunding', 'refunded')) as failed,
         sum(u.amount_minor) filter (where u.state in ('refunding', 'refunded')) as back_minor
  from shop_order h join delivery_unit u on u.order_id = h.id
  where h.placed_at > now() - make_interval(days => $1::int) and h.paid_at is not null
  group by u.sku_id
) o on o.sku_id = k.id
where k.created_at < now() - make_interval(days => 7)
order by p.position, p.created_at, k.position
limit $2
"""
