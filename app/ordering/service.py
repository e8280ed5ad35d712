"""Verbs on an order's life: what one payment slice, one buyer or time itself can do to it. All on the raw transaction, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.inventory import allocating
from app.inventory import service as inventory
from app.kernel import history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task, add_tasks
from app.ordering.models import ORDER_EDGES, OrderState, UnitState
from tenants.session import Tx

_EXPIRED_AT_ONCE = 500
ASKED_BY_MERCHANT = "refund.asked_by_merchant"


PAID_LATE = N_("Paid after its time was over, and sold out meanwhile.")


class NotCancellable(DomainError):
    message = N_("This order can no longer be cancelled: it is paid, or it has already ended.")


class BeingRefunded(DomainError):
    message = N_("Money of this order is on its way back. Wait until it has arrived, then try again.")


class WrongEdge(RuntimeError):
    """A state was to follow that the table does not allow. Always a bug."""


async def lock_order(tx: Tx, order_id: UUID) -> asyncpg.Record:
    """An order's row, locked until the transaction ends. Raises: NotFound."""
    rows = await lock_orders(tx, [order_id])
    if not rows:
        raise NotFound
    return rows[0]


async def lock_orders(tx: Tx, order_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Orders' rows, locked in id order until the transaction ends."""
    return await tx.fetch(
        f"select {_COLUMNS} from shop_order where id = any($1) order by id for update",  # noqa: S608  # own column list
        order_ids,
    )


async def move_to(tx: Tx, orders: Sequence[asyncpg.Record], state: OrderState, *, actor: Actor = SYSTEM, note: str = "") -> None:
    """Change orders' state and write their history. The caller holds the rows' locks. Raises: WrongEdge."""
    for order in orders:
        if state not in ORDER_EDGES[OrderState(order["state"])]:
            raise WrongEdge(f"order {order['order_no']}: {order['state']} to {state}")
    await tx.execute(_MOVE, [order["id"] for order in orders], state)
    await history.record(
        tx, *(Happened("order", o["id"], f"order.{state}", o["state"], state, note) for o in orders), actor=actor
    )


async def owe_again(tx: Tx, order: asyncpg.Record, *, note: str, actor: Actor, event: str = "order.owed_again") -> None:
    """Something of a delivered order is owed anew, or its next cycle: it is `paid` until that is delivered or given back. One that is `paid` stays so.

    The caller holds the order's lock. Raises: BeingRefunded while money of it is under way, WrongEdge in any other state.
    """
    state = OrderState(order["state"])
    if state is OrderState.REFUNDING:
        raise BeingRefunded
    if state is not OrderState.PAID and OrderState.PAID not in ORDER_EDGES[state]:
        raise WrongEdge(f"order {order['order_no']}: {state} to paid again")
    await tx.execute(_OWE_AGAIN, order["id"])
    if state is not OrderState.PAID:
        await history.record(tx, Happened("order", order["id"], event, state, OrderState.PAID, note), actor=actor)
    await add_task(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_id=order["id"])


async def pay(tx: Tx, orders: Sequence[asyncpg.Record]) -> None:
    """The orders' money is here: their units are owed from now on, and their delivery is asked for.

    Late, after it expired or was cancelled, an order takes its stock again; when that is gone its money is given back.
    Idempotent: an order already paid stays as it is. Locks: the caller holds the orders; a late one takes its stock.
    """
    payable = [order for order in orders if order["state"] == OrderState.AWAITING_PAYMENT]
    for order in orders:
        if order["state"] in (OrderState.EXPIRED, OrderState.CANCELLED) and await _takes_its_stock_again(tx, order):
            payable.append(order)
    if not payable:
        return
    ids = [order["id"] for order in payable]
    await move_to(tx, payable, OrderState.PAID)
    await tx.execute(_OWED, ids)
    await add_tasks(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_ids=ids)


async def _takes_its_stock_again(tx: Tx, order: asyncpg.Record) -> bool:
    """A late order's claim; without stock it is refunded."""
    if await inventory.reserve_again(tx, await _units(tx, [order["id"]])):
        await tx.execute(_TAKE_LIMITS, [order["id"]])
        return True
    await move_to(tx, [order], OrderState.REFUNDING, note=PAID_LATE)
    await tx.execute("update delivery_unit set state = $2 where order_id = $1", order["id"], UnitState.REFUNDING)
    await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=order["id"])
    return False


async def cancel(tx: Tx, order_id: UUID, *, actor: Actor) -> None:
    """Let an unpaid order go, free what it held, and have its open payment closed at the gateway. Idempotent.

    Locks: the order, then its stock. Raises: NotCancellable.
    """
    order = await lock_order(tx, order_id)
    if order["state"] == OrderState.CANCELLED:
        return
    if order["state"] != OrderState.AWAITING_PAYMENT:
        raise NotCancellable
    await move_to(tx, [order], OrderState.CANCELLED, actor=actor)
    await add_task(tx, "payments.close", lane=Lane.ORDERS, subject_id=order_id)
    await _free(tx, [order_id])


async def expire_unpaid(tx: Tx) -> int:
    """Let every order go whose time to pay is over; the number let go. Skips orders that are being paid this instant."""
    rows = await tx.fetch(_EXPIRING, _EXPIRED_AT_ONCE)
    if not rows:
        return 0
    ids = [row["id"] for row in rows]
    await tx.execute("update shop_order set state = 'expired', ended_at = now(), updated_at = now() where id = any($1)", ids)
    await history.record(
        tx, *(Happened("order", i, "order.expired", OrderState.AWAITING_PAYMENT, OrderState.EXPIRED) for i in ids)
    )
    await _free(tx, ids)
    return len(ids)


async def _free(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Give back what unpaid orders held: their buyers' limits, then their stock."""
    await tx.execute(_GIVE_BACK_LIMITS, list(order_ids))
    units = await _units(tx, order_ids)
    await tx.execute(
        "update delivery_unit set state = 'released' where order_id = any($1) and state = 'reserved'", list(order_ids)
    )
    await inventory.release(tx, units)
    await allocating.put_back(tx, order_ids)


async def give_back_later(tx: Tx, order: asyncpg.Record, *, actor: Actor, note: str) -> None:
    """Have units given back that were marked for it and held no stock. The caller holds the order; one that is `paid` does it when it ends."""
    state = OrderState(order["state"])
    if state is OrderState.RUNNING:
        await move_to(tx, [order], OrderState.REFUNDING, actor=actor, note=note)
    if state is not OrderState.PAID:
        await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=order["id"])
    await history.record(tx, Happened("order", order["id"], ASKED_BY_MERCHANT, note=note), actor=actor)


async def give_back_limits(tx: Tx, order_id: UUID) -> None:
    """A refunded order no longer counts against its buyer's limits."""
    await tx.execute(_GIVE_BACK_LIMITS, [order_id])


async def _units(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What unpaid orders hold of each SKU, or held until their time was over."""
    return {row["sku_id"]: row["units"] for row in await tx.fetch(_CLAIMED, list(order_ids))}


_COLUMNS = (
    "id, order_no, state, total_minor, currency, contact_kind, contact, contact_masked, contact_fingerprint, locale, paid_at,"
    " billed_to"
)
_MOVE = """
update shop_order
set state = $2,
    paid_at = case when $2 = 'paid' then now() else paid_at end,
    ended_at = case when $2 in ('delivered', 'partly_delivered', 'refunded', 'cancelled', 'expired') then now() else ended_at end,
    updated_at = now()
where id = any($1)
"""
_OWE_AGAIN = "update shop_order set state = 'paid', owed_again_at = now(), updated_at = now() where id = $1"
_EXPIRING = """
select id from shop_order
where state = 'awaiting_payment' and expires_at <= now()
order by expires_at
limit $1
for update skip locked
"""
_OWED = "update delivery_unit set state = 'owed' where order_id = any($1) and state in ('reserved', 'released')"
_CLAIMED = """
select sku_id, count(*) as units from delivery_unit where order_id = any($1) and state in ('reserved', 'released') group by sku_id
"""
_LIMITED_UNITS = """
update buyer_usage b
set units = greatest(0, b.units {sign} t.units)
from (
  select l.product_id, o.contact_fingerprint, sum(l.quantity)::int as units
  from order_line l join shop_order o on o.id = l.order_id
  where o.id = any($1) and l.parent_line_id is null
  group by 1, 2
) t
where b.product_id = t.product_id and b.contact_fingerprint = t.contact_fingerprint
"""
_GIVE_BACK_LIMITS = _LIMITED_UNITS.format(sign="-")
_TAKE_LIMITS = _LIMITED_UNITS.format(sign="+")
