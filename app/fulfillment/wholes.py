"""Bundles that are delivered whole or given back whole, bundle by bundle.

What we hand out ourselves waits until everything else of its bundle is delivered, so that a part nobody can deliver is found while the others can
still be kept. What a supplier had delivered by then stays its buyer's and a person decides about it; the rest of the bundle goes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.fulfillment.attempts import WITHDRAWN
from app.kernel.tasks import Lane, add_tasks
from app.ordering.models import UnitState
from tenants.session import Tx

Unit = tuple[UUID, int]
Whole = tuple[UUID, int]
"""A line of bundles that are delivered whole, and which of them it is."""


def whole_of(unit: asyncpg.Record) -> Whole | None:
    """The bundle a unit stands or falls with; None for a unit that goes by itself."""
    return (unit["whole_line_id"], unit["whole_no"]) if unit["whole_line_id"] else None


async def being_bought(tx: Tx, units: Sequence[asyncpg.Record]) -> set[Whole]:
    """Of these units' bundles those of which a supplier is delivering something: nothing else of them is delivered until it has."""
    lines = {unit["whole_line_id"] for unit in units if unit["whole_line_id"]}
    if not lines:
        return set()
    return {(row["whole_line_id"], row["whole_no"]) for row in await tx.fetch(_BEING_BOUGHT, sorted(lines))}


def incomplete(units: Sequence[asyncpg.Record], in_hand: Set[Unit]) -> set[Whole]:
    """The bundles of which some unit is not in our hand: what is must not be given out yet."""
    found = {whole_of(unit) for unit in units if (unit["order_line_id"], unit["unit_no"]) not in in_hand}
    return {whole for whole in found if whole}


async def break_up(tx: Tx, order_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The units to be given back with those of their bundles that nobody could deliver. Purchases not yet sent are withdrawn.

    What a supplier is at work on is left to its outcome. A person looks at what was delivered of such a bundle. The caller holds the orders.
    """
    broken = await tx.fetch(_BROKEN, list(order_ids))
    owed = [unit for unit in broken if unit["state"] == UnitState.OWED]
    delivered: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for unit in broken:
        if unit["state"] == UnitState.DELIVERED:
            delivered[unit["whole_line_id"]].append(unit)
    for line_id, units in delivered.items():
        facts = {"units": len(units), "amount_minor": sum(u["amount_minor"] for u in units), "currency": units[0]["currency"]}
        await cases.open_case(tx, Trouble(CaseKind.BROKEN_BUNDLE, "order_line", line_id, units[0]["order_id"], facts))
    if not owed:
        return []
    keys = [unit["order_line_id"] for unit in owed], [unit["unit_no"] for unit in owed]
    await tx.execute(_WITHDRAW, *keys, WITHDRAWN)
    return await tx.fetch(_IDLE, *keys)


async def go_on(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Have the rest of bundles delivered, now that a supplier has delivered something of them."""
    rows = await tx.fetch(_GOING_ON, list(order_ids))
    await add_tasks(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_ids=[row["order_id"] for row in rows])


_IDLE_UNIT = """
not exists (
  select 1 from attempt a
  where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no and a.state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded')
)
"""
_BEING_BOUGHT = """
select distinct b.id as whole_line_id, (u.unit_no - 1) / (l.quantity / b.quantity) as whole_no
from order_line b
join order_line l on l.parent_line_id = b.id
join delivery_unit u on u.order_line_id = l.id
where b.bundle_policy = 'whole' and b.id = any($1) and u.state = 'owed' and not """
_BEING_BOUGHT += _IDLE_UNIT
_BROKEN = """
select * from (
  select u.order_line_id, u.unit_no, u.order_id, u.sku_id, u.state, u.amount_minor, o.currency, b.id as whole_line_id,
         bool_or(u.state in ('refunding', 'refunded')) over (partition by b.id, (u.unit_no - 1) / (l.quantity / b.quantity)) as is_broken
  from order_line b
  join order_line l on l.parent_line_id = b.id
  join delivery_unit u on u.order_line_id = l.id
  join shop_order o on o.id = u.order_id
  where b.bundle_policy = 'whole' and b.order_id = any($1) and o.state = 'paid'
) u
where is_broken and state in ('owed', 'delivered')
order by order_line_id, unit_no
"""
_WITHDRAW = """
update attempt a set state = 'failed', reason = $3, decided_at = now(), updated_at = now()
from unnest($1::uuid[], $2::int[]) as u (order_line_id, unit_no)
where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no and a.state = 'planned' and a.times_sent = 0
"""
_IDLE = """
select u.order_line_id, u.unit_no, u.sku_id
from unnest($1::uuid[], $2::int[]) as w (order_line_id, unit_no) join delivery_unit u using (order_line_id, unit_no)
where u.state = 'owed' and """
_IDLE += _IDLE_UNIT
_GOING_ON = """
select distinct u.order_id
from order_line b
join order_line l on l.parent_line_id = b.id
join delivery_unit u on u.order_line_id = l.id
join shop_order o on o.id = u.order_id
where b.bundle_policy = 'whole' and b.order_id = any($1) and o.state = 'paid' and u.state = 'owed' and """
_GOING_ON += _IDLE_UNIT
