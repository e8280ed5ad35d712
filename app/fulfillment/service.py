"""Delivering paid orders, many at once: from own stock what is there, minted what we make, the rest bought from suppliers, the sale booked, the buyer told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.catalog.models import DeliveryKind
from app.fulfillment import attempts, booking, handing, minting, wholes
from app.fulfillment.booking import Spent
from app.fulfillment.ending import settle_orders
from app.fulfillment.undelivered import give_up_and_tell
from app.inventory import service as inventory
from app.ledger import service as ledger
from tenants.session import Tx

Unit = tuple[UUID, int]
"""An order line's id and a unit number within it."""
_FROM_OWN_STOCK = frozenset({DeliveryKind.CARD_KEY})


class KeysHeld(RuntimeError):
    """Free keys exist, but another transaction holds them this instant. The task is tried again; nobody is told "sold out"."""


async def deliver_orders(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Deliver what is owed of paid orders: from own stock first, else from a supplier; what neither can serve is marked to be refunded.

    Idempotent: orders that are not `paid` any more, and units that are being bought, are passed over. Locks: the orders in id order, the keys, then
    ledger and stock rows. Raises: KeysHeld.
    """
    orders = await tx.fetch(_ORDERS, sorted(order_ids))
    if not orders:
        return
    units = await tx.fetch(_OWED, [order["id"] for order in orders])
    under_way = await wholes.being_bought(tx, units)
    ready = [unit for unit in units if wholes.whole_of(unit) not in under_way]
    claimed, unserved = await _share_out(tx, ready)
    ours = claimed.keys() | {_key(unit) for unit in ready if unit["delivery_kind"] in minting.MINTED}
    held = wholes.incomplete(ready, ours)
    handed_out = [unit for unit in ready if _key(unit) in ours and wholes.whole_of(unit) not in held]
    claimed = await _keep(tx, claimed, {_key(unit) for unit in handed_out})
    await _complete(tx, claimed)
    minted = await minting.mint(tx, [unit for unit in handed_out if unit["delivery_kind"] in minting.MINTED])
    await handing.put_in_queue(tx, [unit for unit in ready if unit["delivery_kind"] in handing.HANDED])
    await inventory.warn_if_low(tx, sorted({unit["sku_id"] for unit in units}))
    spent = {unit: Spent(key.id, key.unit_cost) for unit, key in claimed.items()}
    await _book_sales(tx, units, {**dict.fromkeys(minted), **spent})
    await _move_stock(tx, units, claimed)
    await inventory.move_bought(tx, dict(Counter(u["sku_id"] for u in units if (u["order_line_id"], u["unit_no"]) in minted)))
    await give_up_and_tell(tx, unserved)
    await settle_orders(tx, [order["id"] for order in orders])


async def _share_out(tx: Tx, ready: Sequence[asyncpg.Record]) -> tuple[dict[Unit, inventory.Claimed], list[asyncpg.Record]]:
    """Claim own keys and plan the rest at suppliers: own stock first, or suppliers first where it is kept in reserve. The keys, and who gets nothing.

    A unit of a face value that its buyer chose comes from suppliers alone: keys of one's own say no value.
    """
    own = [unit for unit in ready if unit["delivery_kind"] in _FROM_OWN_STOCK and unit["value_minor"] is None]
    reserve = {_key(unit) for unit in own if unit["own_is_reserve"]}
    claimed = await _claim(tx, [unit for unit in own if _key(unit) not in reserve])
    bought = [
        unit for unit in ready if unit["delivery_kind"] not in handing.HANDED | minting.MINTED and _key(unit) not in claimed
    ]
    unserved = await attempts.plan(tx, bought, impatient=reserve)
    claimed |= await _claim(tx, [unit for unit in unserved if _key(unit) in reserve])
    return claimed, [unit for unit in unserved if _key(unit) not in claimed]


async def _claim(tx: Tx, units: Sequence[asyncpg.Record]) -> dict[Unit, inventory.Claimed]:
    by_sku: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for unit in units:
        by_sku[unit["sku_id"]].append(unit)
    claimed: dict[Unit, inventory.Claimed] = {}
    for sku_id in sorted(by_sku):
        wanting = by_sku[sku_id]
        keys = await inventory.claim_keys(tx, sku_id=sku_id, units=len(wanting))
        if len(keys) < len(wanting) and await inventory.has_free_keys(tx, sku_id):
            raise KeysHeld(sku_id)
        for unit, key in zip(wanting, keys, strict=False):
            claimed[unit["order_line_id"], unit["unit_no"]] = key
    return claimed


def _key(unit: asyncpg.Record) -> Unit:
    return unit["order_line_id"], unit["unit_no"]


async def _keep(tx: Tx, claimed: dict[Unit, inventory.Claimed], handed_out: Set[Unit]) -> dict[Unit, inventory.Claimed]:
    """The keys that are handed out; those of bundles that are not complete yet go back where they were."""
    await inventory.put_back(tx, [key.id for unit, key in claimed.items() if unit not in handed_out])
    return {unit: key for unit, key in claimed.items() if unit in handed_out}


async def _complete(tx: Tx, claimed: dict[Unit, inventory.Claimed]) -> None:
    if not claimed:
        return
    lines = [line_id for line_id, _ in claimed]
    numbers = [unit_no for _, unit_no in claimed]
    keys = [key.id for key in claimed.values()]
    costs: list[Decimal] = [key.unit_cost for key in claimed.values()]
    await tx.execute(_DELIVER, lines, numbers, keys, costs)


async def _book_sales(tx: Tx, units: Sequence[asyncpg.Record], spent: Mapping[Unit, Spent | None]) -> None:
    """The sale and the cost of each delivered unit. Near the end, because every capture of the tenant waits for the same accounts."""
    delivered = [(unit, spent[key]) for unit in units if (key := (unit["order_line_id"], unit["unit_no"])) in spent]
    await ledger.transfer(tx, [posting for unit, cost in delivered for posting in booking.sold(unit, cost)])


async def _move_stock(tx: Tx, units: Sequence[asyncpg.Record], claimed: dict[Unit, inventory.Claimed]) -> None:
    delivered = Counter(unit["sku_id"] for unit in units if (unit["order_line_id"], unit["unit_no"]) in claimed)
    if delivered:
        await inventory.move_delivered(tx, dict(delivered))


_ORDERS = """
select id from shop_order
where id = any($1) and state = 'paid'
order by id
for update
"""
_OWED = "select " + attempts.OWN_IS_RESERVE
_OWED += """
       u.order_line_id, u.unit_no, u.order_id, u.sku_id, u.amount_minor, o.currency, coalesce(o.owed_again_at, o.paid_at) as paid_at,
       (o.billed_to is not null)::int as priority, l.delivery_kind, l.face_value_minor as value_minor, l.face_value_currency as value_currency,
       case when l.parent_line_id is null then u.amount_minor else greatest(u.amount_minor, l.unit_price_minor) end as worth_minor,
       b.id as whole_line_id, (u.unit_no - 1) / (l.quantity / b.quantity) as whole_no
from delivery_unit u
join shop_order o on o.id = u.order_id
join order_line l on l.id = u.order_line_id
left join order_line b on b.id = l.parent_line_id and b.bundle_policy = 'whole'
where u.order_id = any($1) and u.state = 'owed'
  and not exists (
    select 1 from attempt a
    where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no
      and a.state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded')
  )
order by coalesce(o.owed_again_at, o.paid_at), u.order_line_id, u.unit_no
"""
_DELIVER = """
update delivery_unit u
set state = 'delivered', card_key_id = d.card_key_id, unit_cost = d.unit_cost, delivered_at = now()
from unnest($1::uuid[], $2::int[], $3::uuid[], $4::numeric[]) as d (order_line_id, unit_no, card_key_id, unit_cost)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
