"""Verbs on card-keys and stock: claiming, voiding, expiring, warning."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.inventory.models import NEVER
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Secret, keyring
from tenants.session import Tx, raw

PIVOTS = 2**31 - 1
_EXPIRED_AT_ONCE = 20_000


class ReasonMissing(DomainError):
    status = 422
    message = N_("Write down why; the reason stays in the audit trail.")


class NothingToVoid(DomainError):
    message = N_("This key was already delivered or voided.")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A card-key taken for a buyer."""

    id: UUID
    masked: str
    unit_cost: Decimal


async def claim_keys(tx: Tx, *, sku_id: UUID, units: int) -> list[Claimed]:
    """Take up to `units` free keys of a SKU, soonest expiry first and none that expired; fewer when there are no more.

    Locks: the chosen keys; skips keys other claims hold. The caller moves the stock counters, which it reserved before.
    """
    assert units > 0
    rows = await tx.fetch(_CLAIM, sku_id, units, secrets.randbelow(PIVOTS))
    return [Claimed(row["id"], row["masked"], row["unit_cost"]) for row in rows]


async def put_back(tx: Tx, card_key_ids: list[UUID]) -> None:
    """Let keys be free again that this transaction claimed and gave to nobody. They stay reserved. Locks: the keys, which it holds already."""
    if card_key_ids:
        await tx.execute(
            "update card_key set state = 'free', changed_at = now() where id = any($1) and state = 'delivered'", card_key_ids
        )


async def has_free_keys(tx: Tx, sku_id: UUID) -> bool:
    """Whether any key could be handed out today, held by another transaction or not."""
    return bool(await tx.fetchval(_HAS_FREE, sku_id))


async def move_delivered(tx: Tx, units: dict[UUID, int]) -> None:
    """Move units from reserved to delivered. Locks: the stock rows, in SKU order; call it last."""
    await _move(tx, _DELIVERED, units)


async def allow(tx: Tx, *, sku_id: UUID, units: int, beyond_reserved: bool = False) -> None:
    """Let so many units be sold that a supplier has and we do not, in place of what was allowed before. What is reserved stays reserved.

    With `beyond_reserved` they come on top of what is reserved now, for a supplier of whom is not known whether he delivers that.

    Idempotent. Locks: the stock row, made on first use.
    """
    await tx.execute("insert into stock (sku_id) values ($1) on conflict do nothing", sku_id)
    await tx.execute(_ALLOWED, sku_id, units, beyond_reserved)


async def move_bought(tx: Tx, units: dict[UUID, int]) -> None:
    """Count reserved units that a supplier delivered: imported and delivered in one. Locks: the stock rows, in SKU order; call it last."""
    await _move(tx, _BOUGHT, units)


async def release(tx: Tx, units: dict[UUID, int]) -> None:
    """Give reserved units up: back on the shelf, but first against units that are short. Locks: the stock rows, in SKU order; call it last."""
    await _move(tx, _RELEASED, units)


async def put_on_shelf(tx: Tx, *, sku_id: UUID, units: int, from_column: str, last_day: date) -> None:
    """Count keys that became free: imported, or out of quarantine. After their last valid day they leave by themselves. Locks: the stock row."""
    await tx.execute(_ON_SHELF[from_column], sku_id, units, last_day)
    if await tx.fetchval("select floor_bp is not null from sku where id = $1", sku_id):
        await add_task(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_id=sku_id)
    await expire_again(tx, sku_id)


async def take_off_shelf(tx: Tx, *, sku_id: UUID, units: int, to_column: str) -> None:
    """Count free keys that left: voided or quarantined. Units already reserved beyond what is left become short. Locks: the stock row."""
    await tx.execute(_OFF_SHELF[to_column], sku_id, units)


async def free_units(tx: Tx, sku_id: UUID) -> int:
    """How many units of a SKU anybody may take now: not kept for a sales channel, and not of keys whose day is over. Locks: nothing, but on such a day."""
    if await tx.fetch(_TURNED, sku_id):
        await tx.fetch(_EXPIRE, [sku_id], _EXPIRED_AT_ONCE)
    return int(await tx.fetchval("select available - allotted from stock where sku_id = $1", sku_id) or 0)


async def reserve_again(tx: Tx, units: dict[UUID, int]) -> bool:
    """Take units for orders whose money is there already, paid after their reservation ended or owed by a company: all of them or none, and none that
    are kept for a sales channel.

    Locks: the stock rows, in SKU order.
    """
    ids = sorted(units)
    await tx.fetch("select sku_id from stock where sku_id = any($1) order by sku_id for update", ids)
    await tx.fetch(_EXPIRE, ids, _EXPIRED_AT_ONCE)
    rows = await tx.fetch("select sku_id, available - allotted as free from stock where sku_id = any($1)", ids)
    left = {row["sku_id"]: row["free"] for row in rows}
    if any(left.get(i, 0) < units[i] for i in ids):
        return False
    await _move(tx, _RESERVED, units)
    return True


async def _move(tx: Tx, statement: str, units: dict[UUID, int]) -> None:
    ids = sorted(units)
    if len(ids) > 1:
        await tx.fetch("select sku_id from stock where sku_id = any($1) order by sku_id for update", ids)
    await tx.execute(statement, ids, [units[i] for i in ids])


async def open_key(tx: Tx, card_key_id: UUID) -> Secret:
    """The key itself. The caller writes the audit entry in the same transaction. Raises: NotFound."""
    row = await tx.fetchrow("select secret from card_key where id = $1", card_key_id)
    if row is None:
        raise NotFound
    return (await keyring(tx)).open("card_key", "secret", card_key_id, row["secret"])


async def void_key(session: AsyncSession, *, card_key_id: UUID, reason: str, actor: Actor) -> None:
    """Take a free key out for good. Raises: ReasonMissing, NothingToVoid."""
    tx = await raw(session)
    if not reason.strip():
        raise ReasonMissing
    row = await tx.fetchrow(
        "update card_key set state = 'voided', changed_at = now() where id = $1 and state = 'free' returning sku_id, batch_id",
        card_key_id,
    )
    if row is None:
        raise NothingToVoid
    await take_off_shelf(tx, sku_id=row["sku_id"], units=1, to_column="voided")
    await warn_if_low(tx, [row["sku_id"]])
    await audit.record(tx, actor, "card_key.voided", subject=("card_key", card_key_id), reason=reason)
    await history.record(tx, Happened("import_batch", row["batch_id"], "card_key.voided", note=reason), actor=actor)


async def burn_delivered(tx: Tx, card_key_ids: list[UUID]) -> None:
    """Void keys that were delivered and are taken back before anyone saw them: they are never sold again. Locks: the stock rows, in SKU order."""
    rows = await tx.fetch(
        "update card_key set state = 'voided', changed_at = now() where id = any($1) and state = 'delivered' returning sku_id",
        card_key_ids,
    )
    burnt = Counter[UUID](row["sku_id"] for row in rows)
    if burnt:
        await _move(tx, _BURNT, dict(burnt))


async def owe_again(tx: Tx, units: dict[UUID, int], *, without_key: dict[UUID, int]) -> None:
    """Reserve units once more that were delivered and turned out no good; what is not there is short, to be bought or refunded.

    `without_key`: those of them that were no key of a pool, and are not counted as imported and delivered any more; keys were burnt before.
    Locks: the stock rows, in SKU order.
    """
    ids = sorted(units)
    await tx.fetch("select sku_id from stock where sku_id = any($1) order by sku_id for update", ids)
    await tx.execute(_OWED_AGAIN, ids, [units[i] for i in ids], [without_key.get(i, 0) for i in ids])


async def expire_keys(tx: Tx, *, sku_id: UUID | None = None) -> int:
    """Take keys past their last day off the shelf, of one SKU or of all, thousands at a time; the number taken. Idempotent: call it until none is left.

    Nobody buys or gets such a key in the meantime: an order takes what is over off the shelf before it takes its own.
    """
    turned = await tx.fetch(_TURNED, sku_id)
    ids = [row["sku_id"] for row in turned]
    rows = await tx.fetch(_EXPIRE, ids, _EXPIRED_AT_ONCE)
    await warn_if_low(tx, ids)
    return sum(row["keys"] for row in rows)


async def expire_again(tx: Tx, sku_id: UUID) -> None:
    """Have a SKU's next keys taken off the shelf when their day has come."""
    turns_on = await tx.fetchval("select turns_on from stock where sku_id = $1", sku_id)
    if turns_on is not None and turns_on < NEVER:
        await add_task(tx, "inventory.expire_keys", lane=Lane.BULK, subject_id=sku_id, run_at=clock.day_starts(turns_on))


async def warn_if_low(tx: Tx, sku_ids: list[UUID]) -> None:
    """Have a warning sent for SKUs that fell under their threshold, once until they are back above it."""
    for row in await tx.fetch(_NEWLY_LOW, sorted(sku_ids)):
        if row["warned_at"] is not None:
            await add_task(tx, "inventory.warn", lane=Lane.MESSAGES, subject_id=row["sku_id"])


async def measure_speed(tx: Tx) -> int:
    """Count how many of each SKU are sold a day, and warn of those that run out sooner than wanted; how many changed. Locks: their stock rows."""
    rows = await tx.fetch(_SPEED, SPEED_DAYS)
    await warn_if_low(tx, [row["sku_id"] for row in rows])
    return len(rows)


SPEED_DAYS = 14
"""What is sold a day is the mean over so many days."""
_SPEED = """
update stock s set per_day = n.per_day
from (
  select t.sku_id, round(coalesce(o.sold, 0)::numeric / $1::int, 3) as per_day
  from (select sku_id from stock order by sku_id for update) t
  left join (
    select l.sku_id, sum(l.quantity) as sold from shop_order h join order_line l on l.order_id = h.id
    where h.placed_at > now() - make_interval(days => $1::int) and h.paid_at is not null
      and not exists (select 1 from subscription_cycle c where c.order_line_id = l.id and c.due_on > business_day())
    group by l.sku_id
  ) o on o.sku_id = t.sku_id
) n
where s.sku_id = n.sku_id and s.per_day <> n.per_day
returning s.sku_id
"""
_DELIVERED = """
update stock s set reserved = s.reserved - m.units, delivered = s.delivered + m.units
from unnest($1::uuid[], $2::bigint[]) as m (sku_id, units) where s.sku_id = m.sku_id
"""
_ALLOWED = """
update stock s
set allowed = s.allowed + d.units, short = s.short - d.of_short, available = s.available + d.units - d.of_short
from (
  select sku_id, greatest(wanted - allowed, -available) as units, least(short, greatest(wanted - allowed, 0)) as of_short
  from stock cross join lateral (select $2 + case when $3 then reserved else 0 end as wanted) w
  where sku_id = $1 for update of stock
) d
where s.sku_id = d.sku_id
"""
_BOUGHT = """
update stock s
set imported = s.imported + m.units, delivered = s.delivered + m.units, reserved = s.reserved - m.units,
    allowed = s.allowed - least(s.allowed, m.units),
    short = s.short - least(s.short, m.units - least(s.allowed, m.units)),
    available = s.available + m.units - least(s.allowed, m.units) - least(s.short, m.units - least(s.allowed, m.units))
from unnest($1::uuid[], $2::bigint[]) as m (sku_id, units) where s.sku_id = m.sku_id
"""
_RELEASED = """
update stock s
set reserved = s.reserved - m.units, short = s.short - least(s.short, m.units), available = s.available + m.units - least(s.short, m.units)
from unnest($1::uuid[], $2::bigint[]) as m (sku_id, units) where s.sku_id = m.sku_id
"""
_BURNT = """
update stock s set delivered = s.delivered - m.units, voided = s.voided + m.units
from unnest($1::uuid[], $2::bigint[]) as m (sku_id, units) where s.sku_id = m.sku_id
"""
_OWED_AGAIN = """
update stock s
set imported = s.imported - m.without_key, delivered = s.delivered - m.without_key, reserved = s.reserved + m.units,
    available = s.available - least(s.available, m.units), short = s.short + m.units - least(s.available, m.units)
from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as m (sku_id, units, without_key) where s.sku_id = m.sku_id
"""
_RESERVED = """
update stock s set reserved = s.reserved + m.units, available = s.available - m.units
from unnest($1::uuid[], $2::bigint[]) as m (sku_id, units) where s.sku_id = m.sku_id
"""
_ON_SHELF = {
    "imported": """
insert into stock as s (sku_id, imported, available, turns_on) values ($1, $2, $2, $3::date + 1)
on conflict (sku_id) do update
set imported = s.imported + $2, short = s.short - least(s.short, $2), available = s.available + $2 - least(s.short, $2),
    turns_on = least(s.turns_on, $3::date + 1)
""",
    "quarantined": """
update stock
set quarantined = quarantined - $2, short = short - least(short, $2), available = available + $2 - least(short, $2),
    turns_on = least(turns_on, $3::date + 1)
where sku_id = $1
""",
}
_OFF_SHELF = {
    column: f"""
update stock
set {column} = {column} + $2, short = short + $2 - least(available, $2), available = available - least(available, $2) where sku_id = $1
"""  # noqa: S608  # the two column names below
    for column in ("voided", "quarantined")
}
_CLAIM = "select id, masked, unit_cost from claim_card_keys($1, $2, business_day(), $3)"
_HAS_FREE = "select exists(select 1 from card_key where sku_id = $1 and state = 'free' and expires_on >= business_day())"
_TURNED = "select sku_id from stock where turns_on <= business_day() and ($1::uuid is null or sku_id = $1) order by sku_id"
_EXPIRE = "select sku_id, expire_card_keys(sku_id, $2) as keys from unnest($1::uuid[]) as sku_id"
_NEWLY_LOW = """
update stock s set warned_at = case when s.available < greatest(k.warn_below, ceil(k.warn_days * s.per_day), 1) then now() end
from sku k
where k.id = s.sku_id and s.sku_id = any($1)
  and (s.available < greatest(k.warn_below, ceil(k.warn_days * s.per_day), 1)) <> (s.warned_at is not null)
returning s.sku_id, s.warned_at
"""
