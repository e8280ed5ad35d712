"""Verbs on an order's life: what one payment slice, one buyer or time itself can do to it. All on the raw transaction, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.inventory import service as inventory
from app.kernel import history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.ordering.models import ORDER_EDGES, OrderState, UnitState
from tenants.session import Tx

_EXPIRED_AT_ONCE = 500


PAID_LATE = N_("Paid after its time was over, and sold out meanwhile.")


class NotCancellable(DomainError):
    message = N_("This order can no longer be cancelled: it is paid, or it has already ended.")


class WrongEdge(RuntimeError):
    """A state was to follow that the table does not allow. Always a bug."""


async def lock_order(tx: Tx, order_id: UUID) -> asyncpg.Record:
    """An order's row, locked until the transaction ends. Raises: NotFound."""
    row = await tx.fetchrow(f"select {_COLUMNS} from shop_order where id = $1 for update", order_id)  # noqa: S608  # own column list
    if row is None:
        raise NotFound
    return row


async def move_to(tx: Tx, order: asyncpg.Record, state: OrderState, *, actor: Actor = SYSTEM, note: str = "") -> None:
    """Change an order's state and write its history. The caller holds the row's lock. Raises: WrongEdge."""
    before = OrderState(order["state"])
    if state not in ORDER_EDGES[before]:
        raise WrongEdge(f"order {order['order_no']}: {before} to {state}")
    await tx.execute(_MOVE, order["id"], state)
    await history.record(tx, Happened("order", order["id"], f"order.{state}", before, state, note), actor=actor)


async def pay(tx: Tx, order_id: UUID) -> None:
    """The order's money is here: its units are owed from now on, and its delivery is asked for.

    Late, after it expired or was cancelled, it takes its stock again; when that is gone its money is given back.
    Idempotent: an order already paid stays as it is. Locks: the order, then its stock.
    """
    order = await lock_order(tx, order_id)
    state = OrderState(order["state"])
    if state not in (OrderState.AWAITING_PAYMENT, OrderState.EXPIRED, OrderState.CANCELLED):
        return
    if state is not OrderState.AWAITING_PAYMENT and not await inventory.reserve_again(tx, await _units(tx, [order_id])):
        await move_to(tx, order, OrderState.REFUNDING, note=PAID_LATE)
        await tx.execute("update delivery_unit set state = $2 where order_id = $1", order_id, UnitState.REFUNDING)
        await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=order_id)
        return
    if state is not OrderState.AWAITING_PAYMENT:
        await tx.execute(_TAKE_LIMITS, [order_id])
    await move_to(tx, order, OrderState.PAID)
    await tx.execute("update delivery_unit set state = $2 where order_id = $1", order_id, UnitState.OWED)
    await add_task(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_id=order_id)


async def cancel(tx: Tx, order_id: UUID, *, actor: Actor) -> None:
    """Let an unpaid order go and free what it held. Idempotent. Locks: the order, then its stock. Raises: NotCancellable."""
    order = await lock_order(tx, order_id)
    if order["state"] == OrderState.CANCELLED:
        return
    if order["state"] != OrderState.AWAITING_PAYMENT:
        raise NotCancellable
    await move_to(tx, order, OrderState.CANCELLED, actor=actor)
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
    await tx.execute("update delivery_unit set state = 'released' where order_id = any($1)", list(order_ids))
    await inventory.release(tx, units)


async def give_back_limits(tx: Tx, order_id: UUID) -> None:
    """A refunded order no longer counts against its buyer's limits."""
    await tx.execute(_GIVE_BACK_LIMITS, [order_id])


async def _units(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, int]:
    units = Counter[UUID]()
    for row in await tx.fetch("select sku_id, quantity from order_line where order_id = any($1)", list(order_ids)):
        units[row["sku_id"]] += row["quantity"]
    return dict(units)


_COLUMNS = (
    "id, order_no, state, total_minor, currency, contact_kind, contact, contact_masked, contact_fingerprint, locale, paid_at"
)
_MOVE = """
update shop_order
set state = $2,
    paid_at = case when $2 = 'paid' then now() else paid_at end,
    ended_at = case when $2 in ('delivered', 'partly_delivered', 'refunded', 'cancelled', 'expired') then now() else ended_at end,
    updated_at = now()
where id = $1
"""
_EXPIRING = """
select id from shop_order
where state = 'awaiting_payment' and expires_at <= now()
order by expires_at
limit $1
for update skip locked
"""
_LIMITED_UNITS = """
update buyer_usage b
set units = greatest(0, b.units {sign} t.units)
from (
  select l.product_id, o.contact_fingerprint, sum(l.quantity)::int as units
  from order_line l join shop_order o on o.id = l.order_id
  where o.id = any($1)
  group by 1, 2
) t
where b.product_id = t.product_id and b.contact_fingerprint = t.contact_fingerprint
"""
_GIVE_BACK_LIMITS = _LIMITED_UNITS.format(sign="-")
_TAKE_LIMITS = _LIMITED_UNITS.format(sign="+")
