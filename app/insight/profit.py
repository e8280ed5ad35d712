"""What was earned, by product, SKU, sales channel or day: read from the ledger's own transfers, so it is the ledger to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from app.kernel import clock
from tenants.session import Tx

MOST_ROWS = 500
MOST_DAYS = 366


class By(StrEnum):
    """What one row of the report stands for."""

    PRODUCT = "product"
    SKU = "sku"
    CHANNEL = "channel"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Earned:
    """One row: units delivered, what they were sold for, what of that went back after delivery, what they cost, and what gateways kept.

    Minor units of one currency.
    """

    name: str
    currency: str
    units: int
    sales_minor: int
    refunds_minor: int
    cost_minor: int
    fees_minor: int

    @property
    def margin_minor(self) -> int:
        return self.sales_minor - self.refunds_minor - self.cost_minor - self.fees_minor

    @property
    def margin_bp(self) -> int | None:
        """Of what was kept; None where nothing was."""
        kept = self.sales_minor - self.refunds_minor
        return self.margin_minor * 10_000 // kept if kept > 0 else None


@dataclass(frozen=True, slots=True)
class Report:
    """The rows, the dearest first or by day; their sum by currency, of rows left out too; and the same sums as the ledger's accounts have them."""

    rows: Sequence[Earned]
    sums: Sequence[Earned]
    ledger: Sequence[Earned]
    is_cut: bool


async def profit(tx: Tx, *, first: date, last: date, by: By) -> Report:
    """What was delivered, given back and spent on these days of the business, both included."""
    bounds = clock.day_starts(first), clock.day_starts(last + timedelta(days=1))
    rows = [Earned(**dict(row)) for row in await tx.fetch(_EARNED, *bounds, by)]
    ordered = (
        sorted(rows, key=lambda row: row.name) if by is By.DAY else sorted(rows, key=lambda row: (-row.sales_minor, row.name))
    )
    ledger = [Earned(**dict(row)) for row in await tx.fetch(_LEDGER, *bounds)]
    return Report(ordered[:MOST_ROWS], _sums(rows), ledger, len(ordered) > MOST_ROWS)


_SUMMED = ("units", "sales_minor", "refunds_minor", "cost_minor", "fees_minor")


def _sums(rows: Sequence[Earned]) -> list[Earned]:
    found = []
    for currency in sorted({row.currency for row in rows}):
        own = [row for row in rows if row.currency == currency]
        numbers = (sum(getattr(row, name) for row in own) for name in _SUMMED)
        found.append(Earned("", currency, *numbers))
    return found


# All orders of a company's batch are of one SKU and channel, so any of its lines stands for what came off its account; a gateway's fee is shared
# among the order's lines by what they were sold for, each line's share being the difference of two rounded sums, so that nothing is lost.
_EARNED = """
with moved as (
  select l.id as line_id, t.currency, t.at, (t.kind = 'sale')::int as units,
         case when t.kind = 'sale' then t.amount_minor else 0 end as sales, 0::bigint as refunds,
         case when t.kind = 'cost_of_goods' then t.amount_minor else 0 end as cost, 0::bigint as fees
  from ledger_account a
  join transfer t on (a.name = 'sales' and t.credit_account_id = a.id) or (a.name = 'cost_of_goods' and t.debit_account_id = a.id)
  join order_line l on l.id = t.subject_id
  where a.name in ('sales', 'cost_of_goods') and t.kind in ('sale', 'cost_of_goods') and t.at >= $1 and t.at < $2
  union all
  select u.order_line_id, t.currency, t.at, 0, 0, u.amount_minor, 0, 0
  from ledger_account a
  join transfer t on t.debit_account_id = a.id
  join refund r on r.id = t.subject_id
  join delivery_unit u on u.order_id = r.order_id and u.refund_id = r.id and u.delivered_at is not null
  where a.name = 'sales' and t.kind = 'refund_delivered' and t.at >= $1 and t.at < $2
  union all
  select one.line_id, t.currency, t.at, 0, 0, t.amount_minor, 0, 0
  from ledger_account a
  join transfer t on t.debit_account_id = a.id
  join lateral (
    select l.id as line_id from shop_order o join order_line l on l.order_id = o.id where o.billed_to = t.subject_id limit 1
  ) one on true
  where a.name = 'sales' and t.kind = 'off_account_delivered' and t.at >= $1 and t.at < $2
  union all
  select s.line_id, t.currency, t.at, 0, 0, 0, 0, t.amount_minor * s.until / s.total - t.amount_minor * s.before / s.total
  from ledger_account a
  join transfer t on t.debit_account_id = a.id
  join capture c on c.id = t.subject_id
  join lateral (
    select l.id as line_id, (sum(l.total_minor) over w)::bigint as until, (sum(l.total_minor) over w)::bigint - l.total_minor as before,
           (sum(l.total_minor) over ())::bigint as total
    from order_line l
    where l.order_id = c.order_id and not exists (select 1 from order_line part where part.parent_line_id = l.id)
    window w as (order by l.line_no)
  ) s on s.total > 0
  where a.name = 'gateway_fees' and t.kind = 'gateway_fee' and t.at >= $1 and t.at < $2
)
select case $3
         when 'product' then l.product_name
         when 'sku' then l.product_name || ' ' || l.sku_name
         when 'channel' then o.sales_channel
         else to_char(m.at at time zone 'Asia/Shanghai', 'YYYY-MM-DD')
       end as name,
       m.currency, sum(m.units)::int as units, sum(m.sales)::bigint as sales_minor, sum(m.refunds)::bigint as refunds_minor,
       sum(m.cost)::bigint as cost_minor, sum(m.fees)::bigint as fees_minor
from moved m
join order_line l on l.id = m.line_id
join shop_order o on o.id = l.order_id
group by 1, m.currency, case $3 when 'product' then l.product_id when 'sku' then l.sku_id end
"""
_LEDGER = """
select '' as name, a.currency,
       count(t.id) filter (where t.kind = 'sale')::int as units,
       coalesce(sum(t.amount_minor) filter (where a.name = 'sales' and t.credit_account_id = a.id), 0)::bigint as sales_minor,
       coalesce(sum(t.amount_minor) filter (where a.name = 'sales' and t.debit_account_id = a.id), 0)::bigint as refunds_minor,
       coalesce(sum(case when t.debit_account_id = a.id then t.amount_minor else -t.amount_minor end) filter (where a.name = 'cost_of_goods'), 0)::bigint as cost_minor,
       coalesce(sum(t.amount_minor) filter (where a.name = 'gateway_fees' and t.debit_account_id = a.id), 0)::bigint as fees_minor
from ledger_account a join transfer t on t.credit_account_id = a.id or t.debit_account_id = a.id
where a.name in ('sales', 'cost_of_goods', 'gateway_fees') and t.at >= $1 and t.at < $2
group by a.currency
order by a.currency
"""
