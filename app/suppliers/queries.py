"""Reads of suppliers: connections by name, routes, and who may serve a SKU this moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.values import ValueRange
from app.kernel.errors import NotFound
from app.kernel.money import CNY
from app.suppliers.models import BreakerState, RoutePolicy, Supplier, SupplierConnection, SupplierOffer
from app.suppliers.rules import Candidate, Rate, Values
from tenants.session import Tx


@dataclass(frozen=True, slots=True)
class Route:
    """How a SKU is bought, with the offers that may serve it and what they are called at their suppliers."""

    sku_id: UUID
    policy: RoutePolicy
    floor_bp: int
    deadline_s: int
    candidates: tuple[Candidate, ...]
    supplier_skus: dict[UUID, str]
    said_by: str = ""
    """The category whose policy it follows; empty where the route has its own."""
    values: ValueRange | None = None
    """The face values of a SKU that is sold by them. Its candidates stand at the least of them until `at` asks for another."""
    offered: tuple[Candidate, ...] = ()
    """The candidates as their suppliers offer them, before any face value."""
    own_value_minor: int | None = None
    """The face value its SKU says by itself, for what was ordered without a choice."""

    def at(self, value_minor: int | None, currency: str | None) -> tuple[Candidate, ...]:
        """The candidates for a face value: one that a buyer chose in a currency, or with None as that the SKU's own."""
        return tuple(one.at(value_minor, chosen_in=currency) for one in self.offered)


async def supplier_named(session: AsyncSession, name: str) -> Supplier | None:
    return (await session.execute(select(Supplier).where(Supplier.name == name))).scalar_one_or_none()


async def connection_named(session: AsyncSession, name: str) -> SupplierConnection | None:
    return (await session.execute(select(SupplierConnection).where(SupplierConnection.name == name))).scalar_one_or_none()


async def connection_or_404(session: AsyncSession, connection_id: UUID) -> SupplierConnection:
    """Raises: NotFound."""
    found = await session.get(SupplierConnection, connection_id)
    if found is None:
        raise NotFound
    return found


async def count_offers(session: AsyncSession, offer_ids: Sequence[UUID]) -> int:
    """How many of these offers exist, each counted once."""
    query = select(func.count()).select_from(SupplierOffer).where(SupplierOffer.id.in_(offer_ids))
    return (await session.execute(query)).scalar_one()


async def offers_with_account(tx: Tx, sku_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The offers on these SKUs' routes that say which account they credit, with what they ask for."""
    return await tx.fetch(_WITH_ACCOUNT, list(sku_ids))


async def has_routes(tx: Tx, sku_ids: Sequence[UUID]) -> bool:
    """Whether each of these SKUs has a route with an offer on it."""
    return bool(await tx.fetchval(_ALL_ROUTED, list(sku_ids)))


async def offers_named(tx: Tx, text: str, delivery_kind: str) -> list[asyncpg.Record]:
    """Offers of all suppliers for a kind of delivery, on sale and not excluded, whose name or supplier SKU holds a text; by name."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await tx.fetch(_NAMED, f"%{escaped}%", delivery_kind)


async def offers_that_ask(tx: Tx, offer_id: UUID | None = None) -> list[asyncpg.Record]:
    """Offers whose suppliers name the fields they ask for, of each set of fields the newest; or the one named."""
    return await tx.fetch(_THAT_ASK, offer_id)


async def skus_of_connection(tx: Tx, connection_id: UUID) -> list[UUID]:
    """The SKUs on whose route an offer of this connection stands."""
    return [row["sku_id"] for row in await tx.fetch(_SKUS, connection_id)]


async def values_on_route(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    """The offers on these SKUs' routes that are sold by face value, with the values they are sold at."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_BY_VALUE, list(sku_ids)):
        found.setdefault(row["sku_id"], []).append(row)
    return found


async def routes_of(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, Route]:
    """The routes of SKUs; a SKU without one is sold from own stock alone. Health is that of the last quarter of an hour."""
    rows = await tx.fetch(_ROUTES, sorted(set(sku_ids)), CNY)
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        found.setdefault(row["sku_id"], []).append(row)
    return {sku_id: _route(of_sku) for sku_id, of_sku in found.items()}


def _route(rows: list[asyncpg.Record]) -> Route:
    first = rows[0]
    offered = [row for row in rows if row["offer_id"]]
    values, candidates = _values(first), tuple(_candidate(row) for row in offered)
    value_minor = values.least_minor if values else first["face_value_minor"]
    return Route(
        sku_id=first["sku_id"],
        policy=RoutePolicy(first["policy"]),
        floor_bp=first["floor_bp"],
        deadline_s=first["deadline_s"],
        candidates=tuple(one.at(value_minor, chosen_in=values.currency if values else None) for one in candidates),
        supplier_skus={row["offer_id"]: row["supplier_sku"] for row in offered},
        said_by=first["said_by"],
        values=values,
        offered=candidates,
        own_value_minor=first["face_value_minor"],
    )


def _values(row: asyncpg.Record) -> ValueRange | None:
    if row["range_least"] is None:
        return None
    return ValueRange(row["range_least"], row["range_most"], row["range_step"], row["range_rate"], row["range_currency"])


def _candidate(row: asyncpg.Record) -> Candidate:
    return Candidate(
        offer_id=row["offer_id"],
        connection_id=row["connection_id"],
        unit_cost=row["unit_cost"],
        stock=row["stock"],
        is_on_sale=row["is_on_sale"],
        is_on=row["is_on"],
        breaker=BreakerState(row["breaker"]),
        balance=row["balance"],
        position=row["position"],
        weight=row["weight"],
        success_bp=row["well"] * 10_000 // row["calls"] if row["calls"] else None,
        p95_ms=p95(row),
        currency=row["currency"],
        rate=None if row["rate_id"] is None else Rate(row["rate_id"], row["rate"], row["safety_bp"], row["rate_is_good"]),
        sells=None if row["least_minor"] is None else Values(row["least_minor"], row["most_minor"], row["step_minor"]),
        face_value_minor=row["offer_value"],
    )


def p95(row: asyncpg.Record) -> int | None:
    """The bound under which 95 of 100 calls were answered; ten minutes when they were not."""
    if not row["calls"]:
        return None
    answered = 0
    for column, bound_ms in (("within_300_ms", 300), ("within_1_s", 1_000), ("within_3_s", 3_000), ("within_10_s", 10_000)):
        answered += row[column]
        if answered * 100 >= row["calls"] * 95:
            return bound_ms
    return 600_000


_ROUTES = """
select r.sku_id, coalesce(r.policy, g.policy, 'cheapest') as policy, case when r.policy is null then coalesce(y.name, '') else '' end as said_by,
       coalesce(k.floor_bp, 0) as floor_bp, r.deadline_s, o.id as offer_id, o.supplier_sku, o.connection_id, o.unit_cost, o.currency, o.stock,
       o.is_on_sale, o.least_minor, o.most_minor, o.step_minor, o.face_value_minor as offer_value, c.is_on, c.breaker, c.balance, ro.position, ro.weight,
       k.face_value_minor, v.least_minor as range_least, v.most_minor as range_most, v.step_minor as range_step, v.rate as range_rate,
       v.currency as range_currency,
       x.id as rate_id, x.rate, x.safety_bp, x.valid_until > now() as rate_is_good,
       h.calls, h.well, h.within_300_ms, h.within_1_s, h.within_3_s, h.within_10_s
from supply_route r
join sku k on k.id = r.sku_id
join product p on p.id = k.product_id
left join category_route g on g.category_id = p.category_id
left join category y on y.id = g.category_id
left join sku_range v on v.sku_id = r.sku_id
left join route_offer ro on ro.sku_id = r.sku_id
left join supplier_offer o on o.id = ro.offer_id
left join supplier_connection c on c.id = o.connection_id
left join lateral (
  select sum(m.calls)::int as calls, sum(m.well)::int as well, sum(m.within_300_ms)::int as within_300_ms,
         sum(m.within_1_s)::int as within_1_s, sum(m.within_3_s)::int as within_3_s, sum(m.within_10_s)::int as within_10_s
  from supply_minute m
  where m.offer_id = o.id and m.minute > now() - interval '15 minutes'
) h on true
left join lateral (
  select id, rate, safety_bp, valid_until from exchange_rate
  where currency = o.currency and o.currency <> $2 and valid_from <= now() order by valid_from desc, id desc limit 1
) x on true
where r.sku_id = any($1)
order by r.sku_id, ro.position
"""
_WITH_ACCOUNT = """
select distinct o.id, o.name, o.account_fields::text as account_fields, c.name as connection_name
from route_offer ro join supplier_offer o on o.id = ro.offer_id join supplier_connection c on c.id = o.connection_id
where ro.sku_id = any($1) and o.account_fields <> '[]'
order by o.name, o.id
limit 20
"""
_BY_VALUE = """
select ro.sku_id, c.name || ': ' || o.name as name, o.least_minor, o.most_minor, o.step_minor, o.currency
from route_offer ro join supplier_offer o on o.id = ro.offer_id join supplier_connection c on c.id = o.connection_id
where ro.sku_id = any($1) and o.least_minor is not null
order by ro.sku_id, ro.position
limit 200
"""
_NAMED = """
select o.id, o.name, c.name as connection_name, trim_scale(o.unit_cost) || ' ' || o.currency as cost
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.delivery_kind = $2 and o.is_on_sale and not o.is_excluded and (o.name ilike $1 or o.supplier_sku ilike $1)
order by o.name, o.id
limit 100
"""
_THAT_ASK = """
select * from (
  select distinct on (o.account_fields) o.id, o.name, o.account_fields::text as account_fields, c.name as connection_name
  from supplier_offer o join supplier_connection c on c.id = o.connection_id
  where o.account_fields <> '[]' and ($1::uuid is null or o.id = $1)
  order by o.account_fields, o.id desc
) f
order by name, id
limit 20
"""
_ALL_ROUTED = """
select not exists (select 1 from unnest($1::uuid[]) as s (id) where not exists (select 1 from route_offer ro where ro.sku_id = s.id))
"""
_SKUS = """
select distinct ro.sku_id from route_offer ro join supplier_offer o on o.id = ro.offer_id where o.connection_id = $1 order by ro.sku_id
"""
