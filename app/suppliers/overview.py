"""How all connections stand: for the list and the board. Figures come from real calls of the last quarter of an hour, bars from the last hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel import clock
from app.suppliers.models import BreakerState
from app.suppliers.queries import Route, p95, routes_of
from tenants.session import Tx

MINUTES = 60
_MOST_ROUTES = 100
_MOST_OFFERS = 100
_DEGRADED_BP = 9_500


class Standing(StrEnum):
    """How a connection stands, in one word."""

    UNTESTED = "untested"
    OFF = "off"
    HELD = "held"
    TRIPPED = "tripped"
    PROBING = "probing"
    DEGRADED = "degraded"
    HEALTHY = "healthy"


TROUBLED = frozenset({Standing.HELD, Standing.TRIPPED, Standing.PROBING, Standing.DEGRADED})


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of calls: how many, and how many of them were not answered."""

    calls: int
    failed: int


@dataclass(frozen=True, slots=True)
class Line:
    """One connection with its figures. `row` holds its columns; `p95_ms` is the bound under which 95 of 100 calls were answered."""

    row: asyncpg.Record
    standing: Standing
    success_bp: int | None
    p95_ms: int | None
    minutes: tuple[Minute, ...]

    @property
    def is_low(self) -> bool:
        """Whether our balance there is below the line the merchant drew."""
        row = self.row
        return row["balance"] is not None and row["warn_below"] is not None and row["balance"] < row["warn_below"]

    @property
    def is_troubled(self) -> bool:
        return self.standing in TROUBLED or self.is_low


async def suppliers(tx: Tx) -> list[asyncpg.Record]:
    """All suppliers by name."""
    return await tx.fetch("select id, name, contact, settlement_days, claim_days, terms from supplier order by name limit 500")


async def lines(tx: Tx, connection_id: UUID | None = None) -> list[Line]:
    """All connections, or one, with their figures."""
    rows = await tx.fetch(_CONNECTIONS, connection_id)
    beats = await _minutes(tx, connection_id)
    return [_line(row, beats.get(row["id"], {})) for row in rows]


def _line(row: asyncpg.Record, beats: dict[datetime, Minute]) -> Line:
    success_bp = row["well"] * 10_000 // row["calls"] if row["calls"] else None
    start = clock.now().replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    minutes = tuple(beats.get(start + timedelta(minutes=n), Minute(0, 0)) for n in range(MINUTES))
    return Line(row, standing_of(row, success_bp), success_bp, p95(row), minutes)


def standing_of(row: asyncpg.Record, success_bp: int | None) -> Standing:
    """A connection's state in one word: what the merchant did comes before what the breaker did, that before the figures."""
    if row["breaker"] == BreakerState.OPEN and row["is_held_open"]:
        return Standing.HELD
    if not row["is_on"]:
        return Standing.OFF if row["tested_at"] else Standing.UNTESTED
    if row["breaker"] == BreakerState.OPEN:
        return Standing.TRIPPED
    if row["breaker"] == BreakerState.HALF_OPEN:
        return Standing.PROBING
    return Standing.DEGRADED if success_bp is not None and success_bp < _DEGRADED_BP else Standing.HEALTHY


async def _minutes(tx: Tx, connection_id: UUID | None) -> dict[UUID, dict[datetime, Minute]]:
    found: dict[UUID, dict[datetime, Minute]] = defaultdict(dict)
    for row in await tx.fetch(_MINUTES, connection_id):
        found[row["connection_id"]][row["minute"]] = Minute(row["calls"], row["calls"] - row["well"])
    return found


@dataclass(frozen=True, slots=True)
class OfferLine:
    """One SKU at one connection, by its calls of the last quarter of an hour and the purchases that are unknown."""

    row: asyncpg.Record
    unknown: int
    oldest_unknown: datetime | None

    @property
    def success_bp(self) -> int | None:
        return self.row["well"] * 10_000 // self.row["calls"] if self.row["calls"] else None

    @property
    def p95_ms(self) -> int | None:
        return p95(self.row)

    @property
    def is_troubled(self) -> bool:
        return bool(self.unknown) or (self.success_bp is not None and self.success_bp < _DEGRADED_BP)


async def offer_lines(tx: Tx, unknown: Mapping[UUID, asyncpg.Record]) -> list[OfferLine]:
    """SKUs by connection that were called lately or have unknown purchases, the troubled first."""
    rows = await tx.fetch(_BY_OFFER, list(unknown), _MOST_OFFERS)
    lines = [
        OfferLine(row, asked["unknown"] if asked else 0, asked["oldest_unknown"] if asked else None)
        for row in rows
        for asked in [unknown.get(row["offer_id"])]
    ]
    return sorted(lines, key=lambda line: (not line.is_troubled, -line.unknown, line.success_bp or 0))


async def routed_skus(tx: Tx) -> list[tuple[asyncpg.Record, Route]]:
    """SKUs that suppliers serve, with their routes; those off the shelf first."""
    rows = await tx.fetch(_ROUTED, _MOST_ROUTES)
    routes = await routes_of(tx, [row["sku_id"] for row in rows])
    return [(row, routes[row["sku_id"]]) for row in rows]


async def offer_names(tx: Tx, offer_ids: list[UUID]) -> dict[UUID, dict[str, Any]]:
    """What offers and their connections are called."""
    rows = await tx.fetch(_NAMES, offer_ids)
    return {row["id"]: dict(row) for row in rows}


def forecast_days(balance: Decimal | None, spent_in_a_day: Decimal) -> Decimal | None:
    """For how many days a balance lasts at the pace of the last 24 hours; None where nothing is spent or known."""
    if balance is None or spent_in_a_day <= 0:
        return None
    return max(Decimal(0), (balance / spent_in_a_day).quantize(Decimal("0.1")))


_CONNECTIONS = """
select c.id, c.supplier_id, s.name as supplier_name, c.connector, c.name, c.mode, c.is_on, c.calls_per_second, c.calls_at_once, c.ip_note, c.breaker,
       c.breaker_since, c.breaker_reason, c.is_held_open, c.balance, c.balance_currency, c.balance_at, c.warn_below, c.tested_at, c.test_ms, c.catalog_at,
       c.configured_at, coalesce(h.calls, 0) as calls, coalesce(h.well, 0) as well, coalesce(h.delivered, 0) as delivered,
       coalesce(h.refused, 0) as refused, coalesce(h.within_300_ms, 0) as within_300_ms, coalesce(h.within_1_s, 0) as within_1_s,
       coalesce(h.within_3_s, 0) as within_3_s, coalesce(h.within_10_s, 0) as within_10_s,
       (select count(*)::int from supplier_offer o where o.connection_id = c.id) as offers,
       (select count(distinct r.sku_id)::int from route_offer r join supplier_offer o on o.id = r.offer_id where o.connection_id = c.id) as skus
from supplier_connection c
join supplier s on s.id = c.supplier_id
left join (
  select connection_id, sum(calls)::int as calls, sum(well)::int as well, sum(delivered)::int as delivered, sum(refused)::int as refused,
         sum(within_300_ms)::int as within_300_ms, sum(within_1_s)::int as within_1_s, sum(within_3_s)::int as within_3_s,
         sum(within_10_s)::int as within_10_s
  from supply_minute
  where minute > now() - interval '15 minutes'
  group by connection_id
) h on h.connection_id = c.id
where $1::uuid is null or c.id = $1
order by s.name, c.name
limit 200
"""
_MINUTES = """
select connection_id, minute, sum(calls)::int as calls, sum(well)::int as well
from supply_minute
where minute > now() - interval '60 minutes' and ($1::uuid is null or connection_id = $1)
group by connection_id, minute
"""
_BY_OFFER = """
select o.id as offer_id, o.name as offer_name, o.supplier_sku, c.id as connection_id, c.name as connection_name, s.name as supplier_name,
       g.goods, g.sku_id, coalesce(h.calls, 0) as calls, coalesce(h.well, 0) as well, coalesce(h.refused, 0) as refused,
       coalesce(h.within_300_ms, 0) as within_300_ms, coalesce(h.within_1_s, 0) as within_1_s, coalesce(h.within_3_s, 0) as within_3_s,
       coalesce(h.within_10_s, 0) as within_10_s
from (
  select offer_id, sum(calls)::int as calls, sum(well)::int as well, sum(refused)::int as refused, sum(within_300_ms)::int as within_300_ms,
         sum(within_1_s)::int as within_1_s, sum(within_3_s)::int as within_3_s, sum(within_10_s)::int as within_10_s
  from supply_minute
  where minute > now() - interval '15 minutes'
  group by offer_id
) h
full join unnest($1::uuid[]) as u (id) on u.id = h.offer_id
join supplier_offer o on o.id = coalesce(h.offer_id, u.id)
join supplier_connection c on c.id = o.connection_id
join supplier s on s.id = c.supplier_id
left join lateral (
  select string_agg(p.name || ' ' || k.name, ', ' order by p.name, k.name) as goods, min(k.id::text)::uuid as sku_id
  from route_offer r join sku k on k.id = r.sku_id join product p on p.id = k.product_id
  where r.offer_id = o.id
) g on true
order by (u.id is null), coalesce(h.well::numeric / nullif(h.calls, 0), 0), h.calls desc nulls last
limit $2
"""
_ROUTED = """
select r.sku_id, r.shelf_reason, r.updated_at, s.name as sku_name, p.id as product_id, p.name as product_name, l.price_minor, l.currency,
       coalesce(t.available, 0) as available
from supply_route r
join sku s on s.id = r.sku_id
join product p on p.id = s.product_id
left join listing l on l.sku_id = s.id
left join stock t on t.sku_id = s.id
where l.is_published and p.state = 'on_sale'
order by (r.shelf_reason = ''), p.name, s.name
limit $1
"""
_NAMES = """
select o.id, o.name, o.supplier_sku, c.id as connection_id, c.name as connection_name
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.id = any($1)
"""
