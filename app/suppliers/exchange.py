"""Exchange rates a merchant keeps: what one unit of a supplier's currency costs in the shop's, from when, for how long, and with how much to be safe.

A rate is never changed: a newer one takes over from its own instant. What was bought keeps the rate it was bought at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit, clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.money import CNY
from app.kernel.tasks import Lane, add_task, add_tasks
from app.suppliers.rules import Rate
from tenants.session import Tx, raw

MOST_SHOWN = 100
_LONGEST_AHEAD = timedelta(days=365)


class OwnCurrency(DomainError):
    status = 422
    message = N_("The shop's own currency needs no rate.")


class NotInOrder(DomainError):
    status = 422
    message = N_("A rate begins now or within a year.")


@dataclass(frozen=True, slots=True)
class RateTerms:
    """What a merchant says of a currency: `rate` is what 1 of it costs in the shop's currency; `safety_bp` is put on it when costs are compared."""

    currency: str
    rate: Decimal
    valid_from: datetime | None = None
    """None is now."""
    good_days: int = 7
    safety_bp: int = 0


async def set_rate(session: AsyncSession, terms: RateTerms, *, actor: Actor) -> UUID:
    """Write a rate down; what is sold is looked at again when it begins and when it is out of date. Raises: OwnCurrency, NotInOrder."""
    if terms.currency == CNY:
        raise OwnCurrency
    now = clock.now()
    begins = terms.valid_from or now
    if not now - timedelta(minutes=1) <= begins <= now + _LONGEST_AHEAD:
        raise NotInOrder
    tx, rate_id = await raw(session), new_id()
    await tx.execute(
        _SET,
        rate_id,
        terms.currency,
        CNY,
        terms.rate,
        begins,
        begins + timedelta(days=terms.good_days),
        terms.safety_bp,
        actor.name,
    )
    facts = {"currency": terms.currency, "rate": str(terms.rate), "from": begins.isoformat(), "safety_bp": terms.safety_bp}
    await audit.record(session, actor, "exchange_rate.set", subject=("exchange_rate", rate_id), facts=facts)
    await add_task(tx, "suppliers.turn_rate", lane=Lane.ORDERS, subject_id=rate_id, run_at=begins)
    return rate_id


async def turn(tx: Tx, rate_id: UUID) -> None:
    """Have everything looked at again that is bought in a rate's currency, and once more when the rate is out of date. Idempotent."""
    row = await tx.fetchrow("select currency, valid_until from exchange_rate where id = $1", rate_id)
    if row is None:
        return
    skus = await tx.fetch(_BOUGHT_IN, row["currency"])
    await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=[one["sku_id"] for one in skus])
    if row["valid_until"] > clock.now():
        await add_task(tx, "suppliers.turn_rate", lane=Lane.ORDERS, subject_id=rate_id, run_at=row["valid_until"])


async def rates_now(tx: Tx) -> dict[str, Rate]:
    """The rate of each currency that is in force, out of date or not."""
    return {row["currency"]: rate_of(row) for row in await tx.fetch(_NOW)}


async def rates(tx: Tx) -> Sequence[asyncpg.Record]:
    """All rates, the newest first; `is_in_force` marks those that count now."""
    return await tx.fetch(_ALL, MOST_SHOWN)


async def currencies_wanted(tx: Tx) -> list[asyncpg.Record]:
    """The foreign currencies suppliers sell in, and how many of their offers stand on a route."""
    return await tx.fetch(_WANTED)


def rate_of(row: asyncpg.Record) -> Rate:
    return Rate(row["id"], row["rate"], row["safety_bp"], row["valid_until"] > clock.now())


def converted(cost: Decimal, rate: Decimal | None) -> Decimal:
    """A supplier's cost in the shop's currency, as finely as costs are kept; None is the shop's currency already."""
    return cost if rate is None else (cost * rate).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)


_SET = """
insert into exchange_rate (id, currency, own_currency, rate, valid_from, valid_until, safety_bp, actor_name)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_BOUGHT_IN = """
select distinct r.sku_id from route_offer r join supplier_offer o on o.id = r.offer_id where o.currency = $1 order by r.sku_id limit 10000
"""
_NOW = """
select distinct on (currency) id, currency, rate, safety_bp, valid_until
from exchange_rate where valid_from <= now()
order by currency, valid_from desc, id desc
"""
_ALL = """
select r.*, r.id = n.id as is_in_force, r.valid_until <= now() as is_over, r.valid_from > now() as is_to_come
from exchange_rate r
left join lateral (
  select id from exchange_rate x where x.currency = r.currency and x.valid_from <= now() order by x.valid_from desc, x.id desc limit 1
) n on true
order by r.valid_from desc, r.id desc
limit $1
"""
_WANTED = """
select o.currency, count(*)::int as offers, count(*) filter (where exists (select 1 from route_offer r where r.offer_id = o.id))::int as routed
from supplier_offer o where o.currency <> 'CNY'
group by o.currency order by o.currency
limit 50
"""
