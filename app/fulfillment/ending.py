"""How paid orders end: once nothing of them is owed any more, delivered or to be refunded, and their buyers told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.fulfillment import wholes
from app.integrations import service as integrations
from app.inventory import service as inventory
from app.kernel import clock, history
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_tasks
from app.kernel.vault import keyring
from app.ordering import subscribing
from app.ordering.models import OrderState
from tenants.session import Tx


async def give_up(tx: Tx, units: Sequence[asyncpg.Record]) -> None:
    """Mark owed units that nobody can deliver to be refunded, and free their stock. Locks: the units, then the stock rows."""
    if not units:
        return
    await tx.execute(_GIVE_UP, [unit["order_line_id"] for unit in units], [unit["unit_no"] for unit in units])
    lacking: dict[UUID, int] = defaultdict(int)
    for unit in units:
        lacking[unit["sku_id"]] += 1
    await inventory.release(tx, dict(lacking))


async def settle_orders(tx: Tx, order_ids: Sequence[UUID], *, with_wholes: bool = True) -> None:
    """End the paid orders of these of which nothing is owed any more: delivered, running on to their next cycle, or what is lacking is refunded.

    Their buyers are told; for orders of a batch, of which there are many and nobody waits, that happens behind whatever buyers wait for.

    Idempotent. The caller holds the orders' locks, and says so when it knows that none has bundles delivered whole or not at all.
    """
    if with_wholes:
        await give_up(tx, await wholes.break_up(tx, order_ids))
    rows = await tx.fetch(_SETTLED, list(order_ids))
    if not rows:
        return
    states = {row["id"]: _ended(row) for row in rows}
    await tx.execute(_END, list(states), list(states.values()))
    await history.record(
        tx,
        *(
            Happened(
                "order",
                r["id"],
                f"order.{states[r['id']]}",
                OrderState.PAID,
                states[r["id"]],
                facts={"delivered": r["delivered"]},
            )
            for r in rows
        ),
    )
    await _report_missed(tx, [row["id"] for row in rows if row["lacking"]])
    again = [row["id"] for row in rows if row["owed_again_at"]]
    await add_tasks(tx, "aftersales.follow", lane=Lane.ORDERS, subject_ids=again)
    for of_batch, lane, messages in ((False, Lane.ORDERS, Lane.MESSAGES), (True, Lane.BULK, Lane.BULK)):
        ended = [row for row in rows if (row["billed_to"] is not None) is of_batch]
        lacking = [row["id"] for row in ended if row["lacking"]]
        await add_tasks(tx, "payments.refund_order", lane=lane, subject_ids=lacking)
        await _tell_buyers(tx, [row for row in ended if row["delivered"]], messages)


async def _report_missed(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """A cycle of a subscription that could not be delivered on its day is a case, and the merchant's people are told."""
    missed = await tx.fetch(_MISSED, order_ids, clock.business_day()) if order_ids else []
    for row in missed:
        facts = {"cycle_no": row["cycle_no"], "amount_minor": row["amount_minor"], "currency": row["currency"]}
        await cases.open_case(tx, Trouble(CaseKind.CYCLE_MISSED, "order_line", row["id"], row["order_id"], facts))
    await add_tasks(tx, subscribing.TELL_MISSED, lane=Lane.MESSAGES, subject_ids=[row["id"] for row in missed])


def _ended(row: asyncpg.Record) -> OrderState:
    if row["lacking"]:
        return OrderState.REFUNDING
    if row["later"]:
        return OrderState.RUNNING
    return OrderState.PARTLY_DELIVERED if row["refunded"] else OrderState.DELIVERED


async def _tell_buyers(tx: Tx, orders: Sequence[asyncpg.Record], lane: Lane) -> None:
    if not orders:
        return
    ring = await keyring(tx)
    messages = []
    for order in orders:
        contact = ring.open("shop_order", "contact", order["id"], order["contact"])
        params = {"order_no": order["order_no"], "order_id": str(order["id"])}
        messages.append(
            integrations.Message("order_delivered", (order["contact_kind"], contact.reveal()), order["locale"], params)
        )
    await integrations.queue_messages(tx, messages, lane=lane)


_GIVE_UP = """
update delivery_unit u set state = 'refunding'
from unnest($1::uuid[], $2::int[]) as d (order_line_id, unit_no)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no and u.state = 'owed'
"""
_SETTLED = """
select o.id, o.order_no, o.contact, o.contact_kind, o.locale, o.owed_again_at, o.billed_to,
       count(*) filter (where u.state = 'refunded') as refunded, count(*) filter (where u.state = 'scheduled') as later,
       count(*) filter (where u.state = 'refunding') as lacking, count(*) filter (where u.state = 'delivered') as delivered
from shop_order o join delivery_unit u on u.order_id = o.id
where o.id = any($1) and o.state = 'paid'
group by o.id
having count(*) filter (where u.state = 'owed') = 0
order by o.id
"""
_MISSED = """
select c.order_line_id as id, c.cycle_no, o.id as order_id, o.currency, sum(u.amount_minor)::bigint as amount_minor
from delivery_unit u join subscription_cycle c on c.order_line_id = u.order_line_id join shop_order o on o.id = u.order_id
where u.order_id = any($1) and u.state = 'refunding' and u.refund_id is null and u.delivered_at is null and c.due_on <= $2
group by c.order_line_id, c.cycle_no, o.id
"""
_END = """
update shop_order o
set state = e.state, updated_at = now(),
    ended_at = coalesce(o.ended_at, case when e.state = 'delivered' then now() end)
from unnest($1::uuid[], $2::text[]) as e (id, state)
where o.id = e.id
"""
