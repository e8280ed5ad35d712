"""Delivering paid orders, many at once: a card-key for each owed unit, the sale booked, the buyer told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.integrations import service as integrations
from app.inventory import service as inventory
from app.kernel import history
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering.models import OrderState
from tenants.session import Tx

Unit = tuple[UUID, int]
"""An order line's id and a unit number within it."""


class KeysHeld(RuntimeError):
    """Free keys exist, but another transaction holds them this instant. The task is tried again; nobody is told "sold out"."""


async def deliver_orders(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Deliver what is owed of paid orders; what no key is left for is marked to be refunded.

    Idempotent: orders that are not `paid` any more are passed over. Locks: the orders in id order, the keys, then ledger and stock rows.
    Raises: KeysHeld.
    """
    orders = await tx.fetch(_ORDERS, sorted(order_ids))
    if not orders:
        return
    units = await tx.fetch(_OWED, [order["id"] for order in orders])
    claimed = await _claim(tx, units)
    short = [unit for unit in units if (unit["order_line_id"], unit["unit_no"]) not in claimed]
    await _complete(tx, units, claimed)
    await _mark_short(tx, short)
    await _end_orders(tx, orders, units, short)
    await _tell_buyers(tx, [order for order in orders if any(u["order_id"] == order["id"] for u in units if u not in short)])
    skus = sorted({unit["sku_id"] for unit in units})
    await inventory.warn_if_low(tx, skus)
    await _book_sales(tx, units, claimed)
    await _move_stock(tx, units, short)


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


async def _complete(tx: Tx, units: Sequence[asyncpg.Record], claimed: dict[Unit, inventory.Claimed]) -> None:
    if not claimed:
        return
    lines = [line_id for line_id, _ in claimed]
    numbers = [unit_no for _, unit_no in claimed]
    keys = [key.id for key in claimed.values()]
    costs: list[Decimal] = [key.unit_cost for key in claimed.values()]
    await tx.execute(_DELIVER, lines, numbers, keys, costs)


async def _book_sales(tx: Tx, units: Sequence[asyncpg.Record], claimed: dict[Unit, inventory.Claimed]) -> None:
    """A transfer per delivered unit. Near the end, because every capture of the tenant waits for the same accounts."""
    await ledger.transfer(
        tx,
        [
            Posting(TransferKind.SALE, unit["order_line_id"], unit["amount_minor"], unit["currency"], leg=str(unit["unit_no"]))
            for unit in units
            if (unit["order_line_id"], unit["unit_no"]) in claimed
        ],
    )


async def _mark_short(tx: Tx, short: Sequence[asyncpg.Record]) -> None:
    if not short:
        return
    await tx.execute(_SHORT, [unit["order_line_id"] for unit in short], [unit["unit_no"] for unit in short])
    for order_id in sorted({unit["order_id"] for unit in short}):
        await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=order_id)


async def _end_orders(
    tx: Tx, orders: Sequence[asyncpg.Record], units: Sequence[asyncpg.Record], short: Sequence[asyncpg.Record]
) -> None:
    lacking = {unit["order_id"] for unit in short}
    states = {order["id"]: OrderState.REFUNDING if order["id"] in lacking else OrderState.DELIVERED for order in orders}
    await tx.execute(_END, list(states), list(states.values()))
    counted: dict[UUID, int] = defaultdict(int)
    for unit in units:
        counted[unit["order_id"]] += unit not in short
    await history.record(
        tx,
        *(
            Happened("order", i, f"order.{state}", OrderState.PAID, state, facts={"delivered": counted[i]})
            for i, state in states.items()
        ),
    )


async def _tell_buyers(tx: Tx, orders: Sequence[asyncpg.Record]) -> None:
    ring = await keyring(tx)
    messages = []
    for order in orders:
        contact = ring.open("shop_order", "contact", order["id"], order["contact"])
        params = {"order_no": order["order_no"], "order_id": str(order["id"])}
        messages.append(
            integrations.Message("order_delivered", (order["contact_kind"], contact.reveal()), order["locale"], params)
        )
    await integrations.queue_messages(tx, messages)


async def _move_stock(tx: Tx, units: Sequence[asyncpg.Record], short: Sequence[asyncpg.Record]) -> None:
    delivered: dict[UUID, int] = defaultdict(int)
    lacking: dict[UUID, int] = defaultdict(int)
    for unit in units:
        (lacking if unit in short else delivered)[unit["sku_id"]] += 1
    if delivered:
        await inventory.move_delivered(tx, dict(delivered))
    if lacking:
        await inventory.release(tx, dict(lacking))


_ORDERS = """
select id, order_no, contact, contact_kind, locale from shop_order
where id = any($1) and state = 'paid'
order by id
for update
"""
_OWED = """
select u.order_line_id, u.unit_no, u.order_id, u.sku_id, u.amount_minor, o.currency
from delivery_unit u join shop_order o on o.id = u.order_id
where u.order_id = any($1) and u.state = 'owed'
order by o.paid_at, u.order_line_id, u.unit_no
"""
_DELIVER = """
update delivery_unit u
set state = 'delivered', card_key_id = d.card_key_id, unit_cost = d.unit_cost, delivered_at = now()
from unnest($1::uuid[], $2::int[], $3::uuid[], $4::numeric[]) as d (order_line_id, unit_no, card_key_id, unit_cost)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
_SHORT = """
update delivery_unit u set state = 'refunding'
from unnest($1::uuid[], $2::int[]) as d (order_line_id, unit_no)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
_END = """
update shop_order o
set state = e.state, ended_at = case when e.state = 'delivered' then now() end, updated_at = now()
from unnest($1::uuid[], $2::text[]) as e (id, state)
where o.id = e.id
"""
