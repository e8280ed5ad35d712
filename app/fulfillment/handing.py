"""Goods that people hand over: each owed unit waits in a queue until somebody delivers it by hand, ships it, or gives the money back.

A unit is due by the time its product promised, counted from the payment. What is not handed over by then is a case and a message, and stays on
the queue until it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.catalog import by_hand as rules
from app.catalog.models import DeliveryKind
from app.fulfillment import wholes
from app.fulfillment.ending import give_up, settle_orders
from app.integrations.alerts import Raised, raise_alert
from app.inventory import service as inventory
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_tasks
from app.kernel.vault import Secret, keyring
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering import service as ordering
from tenants.session import Tx

_LOOK_AGAIN_H = 1
"""How often an order that is overdue is looked at again: a case somebody closed without delivering is opened anew."""
_MOST_LISTED = 100
Reader = tuple[str, str]
"""An address and the language it is written to in."""


class NotWaiting(DomainError):
    message = N_("This is not waiting any more: it was handed over or given back meanwhile. Nothing was changed.")


class NothingHandedOver(DomainError):
    status = 422
    message = N_("Type what is handed over, or the carrier and the tracking number of the parcel.")


class ReasonMissing(DomainError):
    status = 422
    message = N_("Write down why it cannot be delivered; the reason stays in the order's timeline.")


@dataclass(frozen=True, slots=True)
class Handed:
    """What somebody hands over: a text the buyer reads as he reads a key, a parcel, or both."""

    text: str = ""
    carrier: str = ""
    tracking_no: str = ""

    @property
    def is_nothing(self) -> bool:
        return not self.text.strip() and not (self.carrier.strip() and self.tracking_no.strip())


async def put_in_queue(tx: Tx, units: Sequence[asyncpg.Record]) -> None:
    """Say by when each owed unit is due, and have its order looked at then. Idempotent: a unit keeps its time. Locks: the units."""
    if not units:
        return
    promised = {
        row["sku_id"]: rules.promise_of(json.loads(row["by_hand"]))
        for row in await tx.fetch(_PROMISES, [u["sku_id"] for u in units])
    }
    due = {(u["order_line_id"], u["unit_no"]): u["paid_at"] + timedelta(hours=promised[u["sku_id"]].within_h) for u in units}
    await tx.execute(_DUE, [line for line, _ in due], [number for _, number in due], list(due.values()))
    by_due: dict[datetime, set[UUID]] = {}
    for unit in units:
        by_due.setdefault(due[unit["order_line_id"], unit["unit_no"]], set()).add(unit["order_id"])
    for at, orders in by_due.items():
        await add_tasks(tx, "fulfillment.look_at_queue", lane=Lane.ORDERS, subject_ids=sorted(orders), run_at=at)


async def hand_over(tx: Tx, order_line_id: UUID, unit_no: int, handed: Handed, *, actor: Actor) -> UUID:
    """Deliver one unit by hand; its order's id. The sale is booked, the stock moved, the buyer told once nothing else is owed.

    Locks: the order, the unit, then ledger and stock rows. Raises: NothingHandedOver, NotFound, NotWaiting.
    """
    if handed.is_nothing:
        raise NothingHandedOver
    unit = await _waiting(tx, order_line_id, unit_no)
    ring, handover_id = await keyring(tx), new_id()
    text = handed.text.strip()
    sealed = ring.seal("handover", "secret", handover_id, text) if text else None
    masked = f"****{text[-4:]}" if len(text) > 8 else "****" if text else ""
    await tx.execute(
        _HAND_OVER,
        handover_id,
        order_line_id,
        unit_no,
        sealed,
        masked,
        handed.carrier.strip(),
        handed.tracking_no.strip(),
        actor.name,
        actor.id,
    )
    await tx.execute(_DELIVER, order_line_id, unit_no, handover_id)
    facts = {"unit_no": unit_no, "masked": masked, "carrier": handed.carrier.strip(), "tracking_no": handed.tracking_no.strip()}
    await audit.record(tx, actor, "handover.made", subject=("handover", handover_id), facts=facts)
    await history.record(tx, Happened("order", unit["order_id"], "handover.made", facts=facts), actor=actor)
    await ledger.transfer(
        tx, [Posting(TransferKind.SALE, order_line_id, unit["amount_minor"], unit["currency"], leg=str(unit_no))]
    )
    await inventory.move_bought(tx, {unit["sku_id"]: 1})
    await _settle(tx, unit["order_id"], actor)
    return UUID(str(unit["order_id"]))


async def cannot_deliver(tx: Tx, order_line_id: UUID, unit_no: int, *, reason: str, actor: Actor) -> UUID:
    """Give one unit up: its money goes back the way it came. Its order's id. Locks: as `hand_over`. Raises: ReasonMissing, NotFound, NotWaiting."""
    if not reason.strip():
        raise ReasonMissing
    unit = await _waiting(tx, order_line_id, unit_no)
    facts = {"unit_no": unit_no, "amount_minor": unit["amount_minor"]}
    await audit.record(tx, actor, "handover.given_up", subject=("order_line", order_line_id), reason=reason, facts=facts)
    await history.record(tx, Happened("order", unit["order_id"], "handover.given_up", note=reason, facts=facts), actor=actor)
    await give_up(tx, [unit])
    await _settle(tx, unit["order_id"], actor)
    return UUID(str(unit["order_id"]))


async def look_at(tx: Tx, order_ids: Sequence[UUID], readers: Sequence[Reader]) -> None:
    """Open a case for orders with units that are overdue, tell the team once, and look again later. Idempotent.

    A case somebody closed without a delivery is opened again: nothing paid stays silently open.
    """
    rows = await tx.fetch(_OVERDUE, list(order_ids))
    for row in rows:
        if row["overdue"]:
            facts = {"order_no": row["order_no"], "units": row["overdue"]}
            await cases.open_case(tx, Trouble(CaseKind.NOT_HANDED_OVER, "order", row["id"], row["id"], facts))
            key = f"handover_overdue:{row['id']}:{row['first_due']}"
            await raise_alert(tx, Raised("handover_overdue", key, {**facts, "path": "/handovers"}), readers)
        in_an_hour = clock.now() + timedelta(hours=_LOOK_AGAIN_H)
        again = in_an_hour if row["overdue"] else row["next_due"]
        await add_tasks(tx, "fulfillment.look_at_queue", lane=Lane.ORDERS, subject_ids=[row["id"]], run_at=again)


async def waiting(tx: Tx) -> list[asyncpg.Record]:
    """What waits for somebody's hands: the oldest first."""
    return await tx.fetch(_QUEUE, _MOST_LISTED)


async def one(tx: Tx, order_line_id: UUID, unit_no: int) -> asyncpg.Record:
    """One unit that was ever in the queue. Raises: NotFound."""
    row = await tx.fetchrow(_ONE, order_line_id, unit_no)
    if row is None:
        raise NotFound
    return row


async def open_text(tx: Tx, handover_id: UUID) -> Secret:
    """What was handed over. The caller writes the audit entry in the same transaction."""
    sealed = await tx.fetchval("select secret from handover where id = $1", handover_id)
    return (await keyring(tx)).open("handover", "secret", handover_id, sealed)


async def _waiting(tx: Tx, order_line_id: UUID, unit_no: int) -> asyncpg.Record:
    """A unit that waits, with its order locked before it. Raises: NotFound, NotWaiting."""
    order_id = await tx.fetchval(
        "select order_id from delivery_unit where order_line_id = $1 and unit_no = $2 and due_at is not null",
        order_line_id,
        unit_no,
    )
    if order_id is None:
        raise NotFound
    await ordering.lock_order(tx, order_id)
    unit = await tx.fetchrow(_LOCK_UNIT, order_line_id, unit_no)
    if unit is None:
        raise NotWaiting
    return unit


async def _settle(tx: Tx, order_id: UUID, actor: Actor) -> None:
    await wholes.go_on(tx, [order_id])
    await settle_orders(tx, [order_id])
    if not await tx.fetchval(
        "select exists (select 1 from delivery_unit where order_id = $1 and state = 'owed' and due_at < now())", order_id
    ):
        await cases.settle(tx, CaseKind.NOT_HANDED_OVER, order_id, note=N_("Handed over or given back."), actor=actor)


HANDED = frozenset({DeliveryKind.MANUAL})
"""The kinds people deliver."""

_PROMISES = (
    "select k.id as sku_id, p.by_hand::text as by_hand from sku k join product p on p.id = k.product_id where k.id = any($1)"
)
_DUE = """
update delivery_unit u set due_at = d.due_at
from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as d (order_line_id, unit_no, due_at)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no and u.due_at is null
"""
_LOCK_UNIT = """
select u.order_line_id, u.unit_no, u.order_id, u.sku_id, u.amount_minor, o.currency
from delivery_unit u join shop_order o on o.id = u.order_id
where u.order_line_id = $1 and u.unit_no = $2 and u.state = 'owed' and u.due_at is not null and o.state = 'paid'
for update of u
"""
_HAND_OVER = """
insert into handover (id, order_line_id, unit_no, secret, masked, carrier, tracking_no, actor_name, actor_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_DELIVER = """
update delivery_unit set state = 'delivered', handover_id = $3, delivered_at = now()
where order_line_id = $1 and unit_no = $2 and state = 'owed'
"""
_OVERDUE = """
select o.id, o.order_no, (count(*) filter (where u.due_at <= now()))::int as overdue, min(u.due_at) as first_due,
       min(u.due_at) filter (where u.due_at > now()) as next_due
from shop_order o join delivery_unit u on u.order_id = o.id and u.state = 'owed' and u.due_at is not null
where o.id = any($1) and o.state = 'paid'
group by o.id
order by o.id
"""
_LISTED = """
select u.order_line_id, u.unit_no, u.state, u.due_at, u.due_at <= now() as is_overdue, u.amount_minor, o.order_no, o.currency, o.paid_at, o.contact_masked,
       l.product_name, l.sku_name, l.quantity, ra.masked, ra.shown::text as stated, l.attributes::text as attributes,
       h.carrier, h.tracking_no, h.masked as handed, h.actor_name, h.created_at as handed_at
from delivery_unit u
join shop_order o on o.id = u.order_id
join order_line l on l.id = u.order_line_id
left join recharge_account ra on ra.order_line_id = l.id
left join handover h on h.id = u.handover_id
"""
_QUEUE = (
    _LISTED
    + """
where u.state = 'owed' and u.due_at is not null and o.state = 'paid'
order by u.due_at, u.order_line_id, u.unit_no
limit $1
"""
)
_ONE = _LISTED + "where u.order_line_id = $1 and u.unit_no = $2 and u.due_at is not null"
