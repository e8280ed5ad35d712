"""Seeing that something goes wrong before it fails: an offer that is answered badly for minutes, a balance that will run out.

Each trouble is one open alarm and one alert; it closes by itself when it is over, and only then can it be told again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.integrations.alerts import Raised, Readers, raise_alert
from app.kernel import clock
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.suppliers import queries, rules
from app.suppliers.models import AlarmKind, BreakerState
from tenants.session import Tx

LOOKS_BACK = timedelta(minutes=5)
_QUIET_AFTER = timedelta(minutes=15)
_AGAIN_S = 60
WARN_HOURS = 24
"""A balance that lasts less than this at the pace of the last purchases is told of."""
CALM_HOURS = 36


async def watch(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    """Judge each offer of a connection by its calls of the last five minutes. Comes back each minute while an alarm is open. Idempotent.

    While the breaker is open nothing is told here: that the connection fails was told already.
    """
    connection = await tx.fetchrow(_CONNECTION, connection_id)
    if connection is None:
        return
    now = clock.now()
    for row in await tx.fetch(_RECENT, connection_id, now - LOOKS_BACK, now - _QUIET_AFTER):
        recent = rules.Calls(row["calls"], row["well"], queries.p95(row))
        if row["alarm_id"] is None:
            if rules.is_brown_out(recent) and connection["breaker"] == BreakerState.CLOSED:
                await _open_brown_out(tx, connection, row, readers)
        elif rules.is_over(recent, is_quiet=not row["calls_lately"]):
            await _close(tx, row["alarm_id"])
    if await tx.fetchval(_ANY_OPEN, connection_id):
        await add_task(
            tx, "suppliers.watch", lane=Lane.MESSAGES, subject_id=connection_id, run_at=now + timedelta(seconds=_AGAIN_S)
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """What was spent at a connection: in the last day, in the last hour, and since its balance was read; in major units."""

    in_a_day: Decimal
    in_an_hour: Decimal
    since_reading: Decimal


async def watch_balance(tx: Tx, connection_id: UUID, pace: Pace, readers: Readers) -> None:
    """Tell, once, that a balance will run out, while purchases still succeed. Over when it was topped up. Idempotent."""
    row = await tx.fetchrow(_BALANCE, connection_id)
    if row is None or row["balance"] is None:
        return
    left = max(Decimal(0), row["balance"] - pace.since_reading)
    hours = rules.hours_left(left, pace.in_a_day, pace.in_an_hour)
    if row["alarm_id"] is not None:
        if hours is None or hours >= CALM_HOURS:
            await _close(tx, row["alarm_id"])
        return
    if hours is None or hours >= WARN_HOURS:
        return
    alarm_id = await _open(tx, AlarmKind.BALANCE_ENDING, connection_id, None)
    facts = {
        "connection": row["name"],
        "balance": f"{left.normalize():f} {row['balance_currency']}",
        "hours": f"{hours:.1f}",
        "path": "/suppliers/board",
    }
    await raise_alert(tx, Raised("supplier_balance_ending", f"balance_ending:{alarm_id}", facts), readers)


async def goods_of(tx: Tx, connection_id: UUID, offer_id: UUID | None = None) -> list[str]:
    """What is sold from a connection, or from one of its offers, as products and SKUs: three, and how many more."""
    rows = await tx.fetch(_GOODS, connection_id, offer_id)
    names = [f"{row['product']} {row['sku']}" for row in rows[:3]]
    return [*names, f"+{len(rows) - 3}"] if len(rows) > 3 else names


async def _open_brown_out(tx: Tx, connection: asyncpg.Record, row: asyncpg.Record, readers: Readers) -> None:
    alarm_id = await _open(tx, AlarmKind.BROWN_OUT, connection["id"], row["offer_id"])
    facts = {
        "supplier": connection["supplier"],
        "connection": connection["name"],
        "goods": await goods_of(tx, connection["id"], row["offer_id"]) or [row["offer"]],
        "calls": row["calls"],
        "well": row["well"],
        "p95": rules.bound_words(queries.p95(row)),
        "path": "/suppliers/board",
    }
    await raise_alert(tx, Raised("supply_brown_out", f"brown_out:{alarm_id}", facts), readers)


async def _open(tx: Tx, kind: AlarmKind, connection_id: UUID, offer_id: UUID | None) -> UUID:
    """An open alarm, this one or the one somebody else has just opened."""
    found: UUID = await tx.fetchval(_OPEN, new_id(), kind, connection_id, offer_id)
    return found


async def _close(tx: Tx, alarm_id: UUID) -> None:
    await tx.execute("update supply_alarm set closed_at = $2 where id = $1 and closed_at is null", alarm_id, clock.now())


_CONNECTION = """
select c.id, c.name, c.breaker, s.name as supplier from supplier_connection c join supplier s on s.id = c.supplier_id where c.id = $1
"""
_RECENT = """
select o.id as offer_id, o.name as offer, a.id as alarm_id, m.*
from supplier_offer o
left join supply_alarm a on a.offer_id = o.id and a.kind = 'brown_out' and a.closed_at is null
cross join lateral (
  select coalesce(sum(calls) filter (where minute > $2), 0)::int as calls, coalesce(sum(well) filter (where minute > $2), 0)::int as well,
         coalesce(sum(within_300_ms) filter (where minute > $2), 0)::int as within_300_ms, coalesce(sum(within_1_s) filter (where minute > $2), 0)::int as within_1_s,
         coalesce(sum(within_3_s) filter (where minute > $2), 0)::int as within_3_s, coalesce(sum(within_10_s) filter (where minute > $2), 0)::int as within_10_s,
         coalesce(sum(calls), 0)::int as calls_lately
  from supply_minute s where s.offer_id = o.id and s.minute > $3
) m
where o.id in (
  select offer_id from supply_minute where connection_id = $1 and minute > $2
  union select offer_id from supply_alarm where connection_id = $1 and kind = 'brown_out' and closed_at is null
)
order by o.id
limit 500
"""
_ANY_OPEN = "select exists (select 1 from supply_alarm where connection_id = $1 and kind = 'brown_out' and closed_at is null)"
_BALANCE = """
select c.name, c.balance, c.balance_currency, a.id as alarm_id
from supplier_connection c
left join supply_alarm a on a.connection_id = c.id and a.kind = 'balance_ending' and a.closed_at is null
where c.id = $1
"""
_GOODS = """
select distinct p.name as product, k.name as sku
from route_offer r join supplier_offer o on o.id = r.offer_id join sku k on k.id = r.sku_id join product p on p.id = k.product_id
where o.connection_id = $1 and ($2::uuid is null or o.id = $2)
order by p.name, k.name
limit 100
"""
_OPEN = """
insert into supply_alarm (id, kind, connection_id, offer_id) values ($1, $2, $3, $4)
on conflict (kind, connection_id, offer_id) where closed_at is null do update set updated_at = now()
returning id
"""
