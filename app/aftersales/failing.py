"""How often what was delivered failed afterwards: by supplier, product and batch, against the merchant's line, told once when it is crossed."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.aftersales import service as cases
from app.aftersales.models import RateSubject
from app.aftersales.rules import Policy
from app.integrations.alerts import Raised, Readers, raise_alert
from tenants.session import Tx

WINDOW_DAYS = 30
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units failed of how many that one supplier, product or batch delivered in the window. `state` is a batch's."""

    subject: RateSubject
    subject_id: UUID
    name: str
    failed: int
    delivered: int
    state: str = ""

    @property
    def bp(self) -> int:
        """In basis points, rounded down; never beyond the whole."""
        return min(10_000, self.failed * 10_000 // max(self.delivered, 1))

    def is_above(self, policy: Policy) -> bool:
        return self.failed >= policy.rate_least and self.bp >= policy.rate_bp


async def rates(tx: Tx) -> dict[RateSubject, list[Rate]]:
    """Whoever and whatever failed at least once in the window, the worst first."""
    return {
        RateSubject.CONNECTION: await _rates(tx, RateSubject.CONNECTION, _FAILING_CONNECTIONS),
        RateSubject.SKU: await _rates(tx, RateSubject.SKU, _FAILING_SKUS),
        RateSubject.BATCH: await _rates(tx, RateSubject.BATCH, _FAILING_BATCHES, None),
    }


async def of_supplier(tx: Tx, supplier_id: UUID) -> dict[RateSubject, list[Rate]]:
    """Each connection of a supplier with what it delivered in the window and what of it failed, and the batches that failed, the worst first."""
    return {
        RateSubject.CONNECTION: await _rates(tx, RateSubject.CONNECTION, _CONNECTIONS, supplier_id),
        RateSubject.BATCH: await _rates(tx, RateSubject.BATCH, _FAILING_BATCHES, supplier_id),
    }


async def _rates(tx: Tx, subject: RateSubject, statement: str, *of: object) -> list[Rate]:
    rows = await tx.fetch(statement, WINDOW_DAYS, MOST_SHOWN, *of)
    found = [Rate(subject, row["id"], row["name"], row["failed"], row["delivered"], row["state"]) for row in rows]
    return sorted(found, key=lambda rate: (-rate.bp, -rate.failed, rate.name))


async def look(tx: Tx, readers: Readers) -> None:
    """Tell of each rate that crossed the line, once until it was below it again. Idempotent. Locks: the rules' row."""
    policy = await cases.policy_of(tx, lock=True)
    above = [rate for found in (await rates(tx)).values() for rate in found if rate.is_above(policy)]
    await tx.execute(_FORGET, [rate.subject for rate in above], [rate.subject_id for rate in above])
    for rate in above:
        raised_at = await tx.fetchval(_RAISE, rate.subject, rate.subject_id)
        if raised_at is not None:
            await raise_alert(tx, Raised("failure_rate_high", f"rate:{rate.subject_id}:{raised_at}", _facts(rate)), readers)


def _facts(rate: Rate) -> dict[str, str]:
    share = f"{rate.bp // 100}.{rate.bp % 100 // 10}%"
    return {
        "name": rate.name,
        "share": share,
        "failed": str(rate.failed),
        "delivered": str(rate.delivered),
        "path": "/after-sales/rates",
    }


_FAILING_CONNECTIONS = """
select f.id, s.name, f.failed, '' as state, (
  select count(*)::int from attempt a
  where a.connection_id = f.id and a.state in ('succeeded', 'replaced') and a.decided_at > now() - make_interval(days => $1::int)
) as delivered
from (
  select c.connection_id as id, count(*)::int as failed
  from after_sale_case c
  where c.created_at > now() - make_interval(days => $1::int) and c.state not in ('rejected', 'withdrawn') and c.connection_id is not null
  group by 1
  order by 2 desc
  limit $2
) f
join supplier_connection s on s.id = f.id
"""
_FAILING_SKUS = """
select f.id, p.name || ' ' || k.name as name, f.failed, '' as state, (
  select count(*)::int from order_line l join shop_order o on o.id = l.order_id join delivery_unit u on u.order_line_id = l.id
  where l.sku_id = f.id and o.placed_at > now() - make_interval(days => $1::int) and u.delivered_at is not null
) as delivered
from (
  select c.sku_id as id, count(*)::int as failed
  from after_sale_case c
  where c.created_at > now() - make_interval(days => $1::int) and c.state not in ('rejected', 'withdrawn') and c.sku_id is not null
  group by 1
  order by 2 desc
  limit $2
) f
join sku k on k.id = f.id join product p on p.id = k.product_id
"""
_CONNECTIONS = """
select s.id, s.name, '' as state, (
  select count(*)::int from after_sale_case c
  where c.connection_id = s.id and c.created_at > now() - make_interval(days => $1::int) and c.state not in ('rejected', 'withdrawn')
) as failed, (
  select count(*)::int from attempt a
  where a.connection_id = s.id and a.state in ('succeeded', 'replaced') and a.decided_at > now() - make_interval(days => $1::int)
) as delivered
from supplier_connection s
where s.supplier_id = $3
order by s.name
limit $2
"""
_FAILING_BATCHES = """
select f.id, b.batch_no as name, f.failed, b.state, (
  select count(*)::int from card_key k join delivery_unit u on u.card_key_id = k.id where k.batch_id = f.id
) + (
  select count(*)::int from after_sale_remedy r join after_sale_case c on c.id = r.case_id where c.batch_id = f.id and r.kind = 'replace'
) as delivered
from (
  select c.batch_id as id, count(*)::int as failed
  from after_sale_case c left join supplier_connection s on s.id = c.connection_id
  where ($3::uuid is null or s.supplier_id = $3) and c.created_at > now() - make_interval(days => $1::int) and c.state not in ('rejected', 'withdrawn')
    and c.batch_id is not null
  group by 1
  order by 2 desc
  limit $2
) f
join import_batch b on b.id = f.id
"""
_FORGET = """
delete from rate_alert r
where not exists (select 1 from unnest($1::text[], $2::uuid[]) as a (kind, id) where a.kind = r.subject_kind and a.id = r.subject_id)
"""
_RAISE = "insert into rate_alert (subject_kind, subject_id) values ($1, $2) on conflict do nothing returning raised_at"
