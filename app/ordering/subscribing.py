"""Subscriptions: begun and renewed by payments, delivered cycle by cycle on their days, cancelled without losing what is paid for.

Each cycle is a line of the order that paid for it. Until its day its units are `scheduled`: they hold no stock, and their money waits among the
buyers' deposits. On its day they are owed like any other, so that delivery, suppliers, refunds and the ledger need to know nothing of subscriptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import asyncpg

from app.catalog.models import CycleUnit
from app.catalog.plans import cycle_starts, cycles_until
from app.integrations import service as integrations
from app.integrations.alerts import Raised, Readers, raise_alert
from app.inventory import service as inventory
from app.kernel import audit, clock, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import service
from app.ordering.models import SUBSCRIPTION_EDGES, OrderState, SubscriptionState
from tenants.session import Tx

TURN, TELL_MISSED = "ordering.turn_subscription", "ordering.tell_missed_cycle"
Terms = tuple[date, CycleUnit, int]
"""What the days of a subscription's cycles are counted by: the first of them, the unit, the length of one."""
REMINDED_DAYS = 3
"""The reminder goes out so many days before what is paid for is over, its last day among them."""
_LOOK_AGAIN_S = 60
_GOES_ON = frozenset({SubscriptionState.ACTIVE, SubscriptionState.IN_GRACE})


class NothingToCancel(DomainError):
    message = N_("This subscription is over already: nothing more of it is delivered.")


class ReasonMissing(DomainError):
    status = 422
    message = N_("Write down why; the reason stays in the audit trail.")


async def begin(tx: Tx, order_ids: Sequence[UUID]) -> None:
    """Begin the subscriptions that these orders bought, today, or go on with those they renew. The caller holds the orders.

    One that ended before its renewal was paid for begins anew. Idempotent: a line's cycles are written once.
    Locks: the renewed subscriptions, in the order of their ids.
    """
    for bought in await tx.fetch(_BOUGHT, list(order_ids)):
        row = await tx.fetchrow(_LOCK, bought["subscription_id"]) if bought["subscription_id"] else None
        if row is None or row["state"] == SubscriptionState.ENDED:
            subscription_id = await _begin_one(tx, bought)
        else:
            subscription_id = await _renew(tx, row, bought)
        await add_task(tx, TURN, lane=Lane.ORDERS, subject_id=subscription_id)


async def _begin_one(tx: Tx, bought: asyncpg.Record) -> UUID:
    subscription_id, lines = new_id(), bought["cycle_lines"]
    terms = today, unit, length = (clock.business_day(), CycleUnit(bought["cycle_unit"]), bought["cycle_length"])
    last = _last_day(terms, len(lines))
    await tx.execute(_BEGIN, subscription_id, bought["order_line_id"], unit, length, bought["grace_days"], today, last)
    await tx.execute(_BELONGS, bought["order_line_id"], subscription_id)
    await _keep_cycles(tx, subscription_id, terms, lines)
    await history.record(tx, Happened("subscription", subscription_id, "subscription.active", None, SubscriptionState.ACTIVE))
    return subscription_id


async def _renew(tx: Tx, row: asyncpg.Record, bought: asyncpg.Record) -> UUID:
    """The next period begins where the last one ends, by the same count of days or months from the first."""
    number: int = await tx.fetchval("select max(cycle_no) from subscription_cycle where subscription_id = $1", row["id"])
    terms, lines = _terms(row), bought["cycle_lines"]
    before = cycles_until(*terms, row["last_day"])
    await _keep_cycles(tx, row["id"], terms, lines, number=number, before=before)
    last = _last_day(terms, before + len(lines))
    await tx.execute("update subscription set last_day = $2, updated_at = now() where id = $1", row["id"], last)
    facts = {"cycles": len(lines), "last_day": last.isoformat()}
    await history.record(tx, Happened("subscription", row["id"], "subscription.renewed", facts=facts))
    if row["state"] != SubscriptionState.ACTIVE:
        await _move(tx, row, SubscriptionState.ACTIVE)
    return UUID(str(row["id"]))


async def _keep_cycles(
    tx: Tx, subscription_id: UUID, terms: Terms, lines: Sequence[UUID], *, number: int = 0, before: int = 0
) -> None:
    """Write down the cycles of these lines: the first has the number after `number`, and is due after so many cycles' time."""
    rows = [(subscription_id, number + n, line, cycle_starts(*terms, before + n)) for n, line in enumerate(lines, start=1)]
    await tx.executemany(_CYCLE, rows)


def _last_day(terms: Terms, cycles: int) -> date:
    """The last day of so many cycles."""
    return cycle_starts(*terms, cycles + 1) - timedelta(days=1)


async def turn(tx: Tx, subscription_id: UUID) -> None:
    """Do what the day asks of a subscription: have due cycles delivered, remind its buyer, end it after its last day and its grace.

    Idempotent: a cycle is owed once. Locks: the orders of due cycles in id order, the subscription, then stock rows.
    """
    today = clock.business_day()
    due = await tx.fetch(_DUE_ORDERS, subscription_id, today)
    orders = await service.lock_orders(tx, [row["order_id"] for row in due])
    row = await _locked(tx, subscription_id)
    is_busy = False
    for order in orders:
        if order["state"] == OrderState.REFUNDING:
            is_busy = True
        else:
            await _owe_due(tx, row, order, today)
    state = await _age(tx, row, today)
    await _remind(tx, row, state, today)
    await _turn_again(tx, row, state, today, is_busy=is_busy)


async def _owe_due(tx: Tx, row: asyncpg.Record, order: asyncpg.Record, today: date) -> None:
    """Cycles whose day has come are owed from now on. What their stock lacks is short: bought from a supplier, or given back."""
    units = await tx.fetch(_OWE, row["id"], order["id"], today)
    if not units:
        return
    note = ", ".join(str(number) for number in sorted({unit["cycle_no"] for unit in units}))
    await service.owe_again(tx, order, note=note, actor=SYSTEM, event="order.cycle_due")
    await inventory.owe_again(tx, dict(Counter(unit["sku_id"] for unit in units)), without_key={})


async def _age(tx: Tx, row: asyncpg.Record, today: date) -> SubscriptionState:
    """After its last day a subscription is in its grace, and after that it is over; a cancelled one is over at once."""
    state = SubscriptionState(row["state"])
    if today <= row["last_day"] or state is SubscriptionState.ENDED:
        return state
    is_grace = today <= row["last_day"] + timedelta(days=row["grace_days"]) and state in _GOES_ON
    following = SubscriptionState.IN_GRACE if is_grace else SubscriptionState.ENDED
    if following is not state:
        await _move(tx, row, following)
    return following


async def _remind(tx: Tx, row: asyncpg.Record, state: SubscriptionState, today: date) -> None:
    """Tell the buyer once for each period that it is nearly over, with the way to renew it, where it can still be bought."""
    if state not in _GOES_ON or row["reminded_for"] == row["last_day"] or today < _reminded_on(row):
        return
    await tx.execute("update subscription set reminded_for = last_day, updated_at = now() where id = $1", row["id"])
    if sold := await tx.fetchrow(_SOLD_STILL, row["id"]):
        contact = (await keyring(tx)).open("shop_order", "contact", sold["order_id"], sold["contact"])
        params = {
            "name": f"{sold['product_name']} {sold['sku_name']}",
            "last_day": row["last_day"].isoformat(),
            "order_no": sold["order_no"],
            "order_id": str(sold["order_id"]),
        }
        to = (sold["contact_kind"], contact.reveal())
        await integrations.queue_message(tx, template="subscription_ending", to=to, locale=sold["locale"], params=params)
        await history.record(tx, Happened("subscription", row["id"], "subscription.reminded"))


def _reminded_on(row: asyncpg.Record) -> date:
    """The day of the reminder; never the one it was bought on."""
    before_last: date = row["last_day"] - timedelta(days=REMINDED_DAYS - 1)
    after_first: date = row["first_day"] + timedelta(days=1)
    return max(before_last, after_first)


async def _turn_again(tx: Tx, row: asyncpg.Record, state: SubscriptionState, today: date, *, is_busy: bool) -> None:
    """Have a subscription looked at on the next day that asks something of it."""
    days = [await tx.fetchval(_NEXT_DUE, row["id"], today)]
    if state is SubscriptionState.IN_GRACE:
        days.append(row["last_day"] + timedelta(days=row["grace_days"] + 1))
    elif state is not SubscriptionState.ENDED:
        days.append(row["last_day"] + timedelta(days=1))
    if state is SubscriptionState.ACTIVE and today < _reminded_on(row):
        days.append(_reminded_on(row))
    times = [clock.day_starts(day) for day in days if day]
    if is_busy:
        times.append(clock.now() + timedelta(seconds=_LOOK_AGAIN_S))
    if times:
        await add_task(tx, TURN, lane=Lane.ORDERS, subject_id=row["id"], run_at=min(times))


async def cancel(tx: Tx, subscription_id: UUID, *, actor: Actor) -> None:
    """No more of it is wanted: nobody is reminded, and what is paid for is still delivered. In its grace it is over at once.

    Idempotent. Locks: the subscription. Raises: NotFound, NothingToCancel.
    """
    row = await _locked(tx, subscription_id)
    match SubscriptionState(row["state"]):
        case SubscriptionState.ENDED:
            raise NothingToCancel
        case SubscriptionState.ACTIVE:
            await _move(tx, row, SubscriptionState.CANCELLED, actor=actor)
        case SubscriptionState.IN_GRACE:
            await _move(tx, row, SubscriptionState.ENDED, actor=actor)
        case SubscriptionState.CANCELLED:
            pass


async def stop(tx: Tx, subscription_id: UUID, *, reason: str, actor: Actor) -> int:
    """End a subscription at once and give back exactly the cycles that are still to come; what goes back, in minor units.

    Locks: its orders with such cycles in id order, the subscription, its units. Raises: ReasonMissing, NotFound, NothingToCancel.
    """
    if not reason.strip():
        raise ReasonMissing
    orders = await service.lock_orders(tx, [row["order_id"] for row in await tx.fetch(_DUE_ORDERS, subscription_id, date.max)])
    row = await _locked(tx, subscription_id)
    if row["state"] == SubscriptionState.ENDED:
        raise NothingToCancel
    units = await tx.fetch(_GIVE_BACK, subscription_id, [order["id"] for order in orders])
    amount: int = sum(unit["amount_minor"] for unit in units)
    await _move(tx, row, SubscriptionState.ENDED, actor=actor, note=reason)
    for order in orders:
        await service.give_back_later(tx, order, actor=actor, note=reason)
    facts = {"orders": [order["order_no"] for order in orders], "amount_minor": amount}
    await audit.record(tx, actor, "subscription.stopped", subject=("subscription", subscription_id), reason=reason, facts=facts)
    return amount


async def shorten(tx: Tx, order_id: UUID, *, actor: Actor) -> None:
    """Cycles of an order are given back: its subscriptions are paid for until the last cycle that is kept, and over when there is none.

    The caller holds the order. Locks: the subscriptions.
    """
    for row in await tx.fetch(_LOCK_OF_ORDER, order_id):
        kept = await tx.fetchval(_LAST_KEPT, row["id"])
        if kept is None:
            await _move(tx, row, SubscriptionState.ENDED, actor=actor)
            continue
        terms = _terms(row)
        last = _last_day(terms, cycles_until(*terms, kept - timedelta(days=1)) + 1)
        await tx.execute("update subscription set last_day = $2, updated_at = now() where id = $1", row["id"], last)
        await add_task(tx, TURN, lane=Lane.ORDERS, subject_id=row["id"])


async def tell_missed(tx: Tx, order_line_id: UUID, readers: Readers) -> None:
    """Tell the merchant's people that a cycle could not be delivered, and that its share goes back. Idempotent."""
    row = await tx.fetchrow(_MISSED, order_line_id)
    assert row is not None
    params = {
        "name": f"{row['product_name']} {row['sku_name']}",
        "cycle_no": row["cycle_no"],
        "order_no": row["order_no"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        "path": f"/subscriptions/{row['subscription_id']}",
    }
    await raise_alert(tx, Raised("cycle_missed", f"cycle_missed:{order_line_id}", params), readers)


def _terms(row: asyncpg.Record) -> Terms:
    return row["first_day"], CycleUnit(row["cycle_unit"]), row["cycle_length"]


async def _locked(tx: Tx, subscription_id: UUID) -> asyncpg.Record:
    row = await tx.fetchrow(_LOCK, subscription_id)
    if row is None:
        raise NotFound
    return row


async def _move(tx: Tx, row: asyncpg.Record, state: SubscriptionState, *, actor: Actor = SYSTEM, note: str = "") -> None:
    before = SubscriptionState(row["state"])
    if state not in SUBSCRIPTION_EDGES[before]:
        raise service.WrongEdge(f"subscription {row['id']}: {before} to {state}")
    await tx.execute(_MOVE, row["id"], state)
    await history.record(tx, Happened("subscription", row["id"], f"subscription.{state}", before, state, note), actor=actor)


_BOUGHT = """
select p.order_line_id, p.subscription_id, p.cycle_unit, p.cycle_length, p.grace_days,
       (select array_agg(c.id order by c.line_no) from order_line c where c.parent_line_id = l.id) as cycle_lines
from subscription_purchase p join order_line l on l.id = p.order_line_id join shop_order o on o.id = l.order_id
where l.order_id = any($1) and o.state = 'paid'
  and not exists (select 1 from subscription_cycle d join order_line c on c.id = d.order_line_id where c.parent_line_id = l.id)
order by p.subscription_id, l.id
"""
_BEGIN = """
insert into subscription (id, order_line_id, cycle_unit, cycle_length, grace_days, first_day, last_day) values ($1, $2, $3, $4, $5, $6, $7)
"""
_BELONGS = "update subscription_purchase set subscription_id = $2 where order_line_id = $1"
_CYCLE = "insert into subscription_cycle (subscription_id, cycle_no, order_line_id, due_on) values ($1, $2, $3, $4)"
_LOCK = """
select id, state, cycle_unit, cycle_length, grace_days, first_day, last_day, reminded_for from subscription where id = $1 for update
"""
_DUE_ORDERS = """
select distinct u.order_id
from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
where c.subscription_id = $1 and c.due_on <= $2 and u.state = 'scheduled'
"""
_OWE = """
update delivery_unit u set state = 'owed'
from subscription_cycle c
where c.subscription_id = $1 and u.order_id = $2 and c.due_on <= $3 and u.order_line_id = c.order_line_id and u.state = 'scheduled'
returning u.sku_id, c.cycle_no
"""
_NEXT_DUE = """
select min(c.due_on) from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
where c.subscription_id = $1 and c.due_on > $2 and u.state = 'scheduled'
"""
_SOLD_STILL = """
select o.id as order_id, o.order_no, o.contact, o.contact_kind, o.locale, l.product_name, l.sku_name
from subscription s join order_line l on l.id = s.order_line_id join shop_order o on o.id = l.order_id
join subscription_plan n on n.sku_id = l.sku_id and n.cycle_unit = s.cycle_unit and n.cycle_length = s.cycle_length
join listing g on g.id = l.listing_id and g.is_published join product p on p.id = l.product_id and p.state = 'on_sale'
where s.id = $1
"""
_GIVE_BACK = """
update delivery_unit u set state = 'refunding'
from subscription_cycle c
where c.subscription_id = $1 and u.order_id = any($2) and u.order_line_id = c.order_line_id and u.state = 'scheduled'
returning u.amount_minor
"""
_LOCK_OF_ORDER = """
select s.id, s.state, s.cycle_unit, s.cycle_length, s.first_day from subscription s
where s.state <> 'ended' and s.id in (
  select d.subscription_id from subscription_cycle d join order_line c on c.id = d.order_line_id where c.order_id = $1)
order by s.id
for update
"""
_LAST_KEPT = """
select max(c.due_on) from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
where c.subscription_id = $1 and u.state not in ('refunding', 'refunded')
"""
_MISSED = """
select c.subscription_id, c.cycle_no, o.order_no, o.currency, l.product_name, l.sku_name,
       (select sum(u.amount_minor) from delivery_unit u where u.order_line_id = c.order_line_id and u.state in ('refunding', 'refunded'))::bigint
         as amount_minor
from subscription_cycle c join subscription s on s.id = c.subscription_id join order_line l on l.id = s.order_line_id
join order_line of_cycle on of_cycle.id = c.order_line_id join shop_order o on o.id = of_cycle.order_id
where c.order_line_id = $1
"""
_MOVE = """
update subscription set state = $2, ended_at = case when $2 = 'ended' then now() else ended_at end, updated_at = now() where id = $1
"""
