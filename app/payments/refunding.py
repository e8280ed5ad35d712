"""Giving money back: what an order could not deliver, what was paid twice, what the merchant decides. Once each, by the way it came.

An unknown outcome is asked about; only "no such refund" lets the same number be sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.integrations import service as integrations
from app.inventory import service as inventory
from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.faults import fault
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.ordering import service as ordering
from app.ordering import subscribing
from app.ordering.models import SERVED, OrderState, UnitState
from app.payments.gateways.port import (
    Declined,
    NoSuchRefund,
    Pending,
    Refunded,
    RefundFound,
    RefundPlaced,
    RefundRequest,
    Unknown,
)
from app.payments.models import OF_SURPLUS, REFUND_EDGES, RefundReason, RefundState
from app.payments.requesting import Wanted, request_refund
from app.payments.service import Connection, connection_of
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx


class NothingToRefund(DomainError):
    message = N_(
        "Nothing of this order can be refunded now: each unit is either refunded already, or its buyer has seen the key or used the code."
    )


class BeingBought(DomainError):
    message = N_(
        "A supplier is at work on this order, or has not said whether it delivered. Nothing was given back: wait for its answer, or decide about the attempt first."
    )


ARRIVED = N_("The gateway has given the money back after all.")


class RefundOpen(RuntimeError):
    """The gateway has not decided yet. The task is tried again later."""


async def refund_order(tx: Tx, order_id: UUID) -> None:
    """Have everything of an order that is marked to be given back refunded, in one refund; what a company owes for is taken off its account.

    Idempotent: units that belong to a refund are left alone. Locks: the order.
    """
    order = await ordering.lock_order(tx, order_id)
    units = await tx.fetch(
        "select order_line_id, unit_no, amount_minor, delivered_at from delivery_unit "
        "where order_id = $1 and state = 'refunding' and refund_id is null",
        order_id,
    )
    capture = await tx.fetchrow(
        "select id, payment_id, currency from capture where order_id = $1 and purpose = 'order'", order_id
    )
    if units and order["billed_to"]:
        await _take_off_account(tx, order, units)
    if not units or capture is None:
        return
    first = min((str(u["order_line_id"]), u["unit_no"]) for u in units)
    reason = await _reason(tx, order_id, units)
    amount = sum(u["amount_minor"] for u in units)
    business_key = f"units:{order_id}:{first[0]}:{first[1]}"
    wanted = Wanted(business_key, order_id, capture["payment_id"], capture["id"], reason, amount, capture["currency"])
    refund_id = await request_refund(tx, wanted)
    await tx.execute(
        "update delivery_unit set refund_id = $2 where order_id = $1 and state = 'refunding' and refund_id is null",
        order_id,
        refund_id,
    )
    facts = {"amount_minor": amount, "currency": capture["currency"], "units": len(units)}
    await history.record(tx, Happened("order", order["id"], "refund.requested", note=reason, facts=facts))


async def _take_off_account(tx: Tx, order: asyncpg.Record, units: Sequence[asyncpg.Record]) -> None:
    """No gateway took money for these units, so none gives it back: the company owes for them no longer, and that is all. The caller holds the order."""
    await tx.execute("update delivery_unit set state = 'refunded' where order_id = $1 and state = 'refunding'", order["id"])
    delivered = sum(u["amount_minor"] for u in units if u["delivered_at"])
    undelivered = sum(u["amount_minor"] for u in units if not u["delivered_at"])
    legs = [(TransferKind.OFF_ACCOUNT_DELIVERED, delivered), (TransferKind.OFF_ACCOUNT_UNDELIVERED, undelivered)]
    await ledger.transfer(
        tx, [Posting(kind, order["billed_to"], minor, order["currency"], str(order["id"])) for kind, minor in legs if minor]
    )
    facts = {"amount_minor": delivered + undelivered, "currency": order["currency"], "units": len(units)}
    await history.record(tx, Happened("order", order["id"], "order.off_account", facts=facts))
    await _end_order(tx, order["id"])
    if delivered:
        await add_task(tx, "aftersales.follow", lane=Lane.ORDERS, subject_id=order["id"])


async def _reason(tx: Tx, order_id: UUID, units: Sequence[asyncpg.Record]) -> RefundReason:
    if await tx.fetchval(_ASKED_BY_MERCHANT, order_id):
        return RefundReason.MERCHANT
    was_delivered = any(unit["delivered_at"] for unit in units)
    return RefundReason.AFTER_SALE if was_delivered else RefundReason.OUT_OF_STOCK


async def refund_by_merchant(tx: Tx, order_id: UUID, *, reason: str, actor: Actor) -> None:
    """Give back every unit of a paid order whose key its buyer has not seen, cycles to come among them; keys delivered and not seen are voided. Codes and links we made
    are given back while they were not used: from then on they are good for nothing.

    What a supplier may have sold is not given back before it has said so; purchases that were never sent are withdrawn.

    Locks: the order, its attempts, its units, its subscriptions, then its keys and stock. Raises: ReasonMissing, NothingToRefund, BeingBought.
    """
    if not reason.strip():
        raise inventory.ReasonMissing
    order = await ordering.lock_order(tx, order_id)
    if OrderState(order["state"]) not in {OrderState.PAID, *SERVED}:
        raise NothingToRefund
    await tx.execute(_WITHDRAW, order_id)
    if await tx.fetchval(_BEING_BOUGHT, order_id):  # a look of its own: what was being taken to be sent meanwhile is seen
        raise BeingBought
    await tx.fetch(_LOCK_UNITS, order_id)  # before they are read: a use that was being written counts
    units = await tx.fetch(_REFUNDABLE, order_id)
    if not units:
        raise NothingToRefund
    await tx.execute(_MARK, [unit["order_line_id"] for unit in units], [unit["unit_no"] for unit in units])
    await subscribing.shorten(tx, order_id, actor=actor)
    keys = [u["card_key_id"] for u in units if u["card_key_id"]]
    await inventory.burn_delivered(tx, keys)
    owed: dict[UUID, int] = {}
    for unit in units:
        if unit["state"] == UnitState.OWED:
            owed[unit["sku_id"]] = owed.get(unit["sku_id"], 0) + 1
    if owed:
        await inventory.release(tx, owed)
    await ordering.move_to(tx, [order], OrderState.REFUNDING, actor=actor, note=reason)
    await history.record(
        tx, Happened("order", order_id, ordering.ASKED_BY_MERCHANT, note=reason, facts={"units": len(units)}), actor=actor
    )
    await audit.record(
        tx,
        actor,
        "order.refunded",
        subject=("order", order_id),
        reason=reason,
        facts={"order_no": order["order_no"], "units": len(units)},
    )
    await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=order_id)


async def send_refund(tenant: Tenant, refund_id: UUID) -> None:
    """Carry a refund to the gateway, or ask about it if it was sent before. Raises: RefundOpen while there is no answer."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_REFUND, refund_id)
        if row is None or row["state"] in (RefundState.SUCCEEDED, RefundState.DECLINED):
            return
        was_sent = row["state"] != RefundState.REQUESTED
        if not was_sent:
            await move_refund(tx, row, RefundState.SENDING)
        connection = await connection_of(tx, row["connection_id"])
    await fault("refund.intended")
    outcome = await _ask_or_send(connection, row, was_sent=was_sent)
    await fault("refund.called")
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_REFUND, refund_id)
        assert row is not None
        is_open = await _record(tx, row, outcome)
    if is_open:
        raise RefundOpen(row["refund_no"])


async def take_refund_notice(tx: Tx, connection_id: UUID, refund_no: str, amount_minor: int) -> bool:
    """A genuine notice that a refund succeeded; False when it is not one of this connection's refunds over this amount. Idempotent."""
    refund_id = await tx.fetchval(_REFUND_BY_NO, refund_no, connection_id, amount_minor)
    if refund_id is None:
        return False
    row = await tx.fetchrow(_REFUND, refund_id)
    assert row is not None
    if row["state"] != RefundState.SUCCEEDED:
        await _succeed(tx, row, None)
    return True


async def _ask_or_send(connection: Connection, row: asyncpg.Record, *, was_sent: bool) -> RefundFound | RefundPlaced:
    if was_sent:
        found = await connection.gateway.query_refund(row["refund_no"])
        if not isinstance(found, NoSuchRefund):
            return found
    request = RefundRequest(row["payment_no"], row["refund_no"], row["amount_minor"], row["currency"], row["reason"])
    return await connection.gateway.create_refund(request)


async def _record(tx: Tx, row: asyncpg.Record, outcome: RefundFound | RefundPlaced) -> bool:
    """Write an outcome down; True while the refund is open."""
    if row["state"] in (RefundState.SUCCEEDED, RefundState.DECLINED):
        return False
    match outcome:
        case Refunded(gateway_refund_ref, _):
            await _succeed(tx, row, gateway_refund_ref)
            return False
        case Declined(reason):
            await move_refund(tx, row, RefundState.DECLINED, note=reason)
            facts = {
                "refund_no": row["refund_no"],
                "amount_minor": row["amount_minor"],
                "currency": row["currency"],
                "reason": reason[:200],
            }
            await cases.open_case(tx, Trouble(CaseKind.REFUND_DECLINED, "refund", row["id"], row["order_id"], facts))
            return False
        case Pending() | Unknown() | NoSuchRefund():
            if row["state"] == RefundState.SENDING:
                await move_refund(tx, row, RefundState.UNKNOWN)
            return True


async def _succeed(tx: Tx, row: asyncpg.Record, gateway_refund_ref: str | None) -> None:
    await ordering.lock_order(tx, row["order_id"])
    await move_refund(tx, row, RefundState.SUCCEEDED)
    await tx.execute(
        "update refund set gateway_refund_ref = coalesce($2, gateway_refund_ref) where id = $1", row["id"], gateway_refund_ref
    )
    await cases.settle(tx, CaseKind.REFUND_DECLINED, row["id"], note=ARRIVED)
    if row["reason"] in OF_SURPLUS:
        await ledger.transfer(tx, [Posting(TransferKind.REFUND_SURPLUS, row["id"], row["amount_minor"], row["currency"])])
        return
    units = await tx.fetch(_REFUND_UNITS, row["id"])
    delivered = sum(u["amount_minor"] for u in units if u["delivered_at"])
    legs = [(TransferKind.REFUND_DELIVERED, delivered), (TransferKind.REFUND_UNDELIVERED, row["amount_minor"] - delivered)]
    await ledger.transfer(tx, [Posting(kind, row["id"], amount, row["currency"]) for kind, amount in legs if amount])
    if order := await _end_order(tx, row["order_id"]):
        await _tell_buyer(tx, order, row)
    if delivered:
        await add_task(tx, "aftersales.follow", lane=Lane.ORDERS, subject_id=row["order_id"])


async def _end_order(tx: Tx, order_id: UUID) -> asyncpg.Record | None:
    """End an order of which nothing is to be given back any more; None while something is, or where it has ended already."""
    order = await ordering.lock_order(tx, order_id)
    if order["state"] != OrderState.REFUNDING:
        return None
    left = await tx.fetch("select state from delivery_unit where order_id = $1 and state <> 'refunded'", order_id)
    if any(unit["state"] == UnitState.REFUNDING for unit in left):
        return None
    await ordering.move_to(tx, [order], _ended(left))
    if not left and not order["billed_to"]:
        await ordering.give_back_limits(tx, order_id)
    return order


async def _tell_buyer(tx: Tx, order: asyncpg.Record, row: asyncpg.Record) -> None:
    contact = (await keyring(tx)).open("shop_order", "contact", order["id"], order["contact"])
    params = {
        "order_no": order["order_no"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        "order_id": str(order["id"]),
    }
    await integrations.queue_message(
        tx, template="order_refunded", to=(order["contact_kind"], contact.reveal()), locale=order["locale"], params=params
    )


def _ended(left: Sequence[asyncpg.Record]) -> OrderState:
    """How an order stands whose money is back, by its units that were not refunded."""
    if any(unit["state"] == UnitState.SCHEDULED for unit in left):
        return OrderState.RUNNING
    return OrderState.PARTLY_DELIVERED if left else OrderState.REFUNDED


async def lock_refund(tx: Tx, refund_id: UUID) -> asyncpg.Record:
    """A refund's row with its payment's number, locked until the transaction ends. Raises: NotFound."""
    row = await tx.fetchrow(_REFUND, refund_id)
    if row is None:
        raise NotFound
    return row


async def move_refund(tx: Tx, row: asyncpg.Record, state: RefundState, *, note: str = "", actor: Actor = SYSTEM) -> None:
    """Change a refund's state and write its history. The caller holds the row's lock. Raises: WrongEdge."""
    before = RefundState(row["state"])
    if state not in REFUND_EDGES[before]:
        raise ordering.WrongEdge(f"refund {row['refund_no']}: {before} to {state}")
    await tx.execute(_MOVE, row["id"], state)
    facts = {"refund_no": row["refund_no"], "amount_minor": row["amount_minor"], "currency": row["currency"]}
    await history.record(tx, Happened("refund", row["id"], f"refund.{state}", before, state, note, facts), actor=actor)


_ASKED_BY_MERCHANT = "select true from history where subject_id = $1 and event = 'refund.asked_by_merchant' limit 1"
_WITHDRAW = """
update attempt set state = 'failed', reason = 'withdrawn', decided_at = now(), updated_at = now()
where order_id = $1 and state = 'planned' and times_sent = 0
"""
_BEING_BOUGHT = (
    "select exists (select 1 from attempt where order_id = $1 and state in ('planned', 'sending', 'accepted', 'unknown'))"
)
_LOCK_UNITS = "select 1 from delivery_unit where order_id = $1 order by order_line_id, unit_no for update"
_REFUNDABLE = """
select u.order_line_id, u.unit_no, u.sku_id, u.state, u.card_key_id
from delivery_unit u left join minted_good m on m.id = u.minted_id
where u.order_id = $1 and (
  u.state in ('owed', 'scheduled') or (u.state = 'delivered' and u.revealed_at is null and u.card_key_id is not null)
  or (u.state = 'delivered' and m.uses = 0))
order by u.order_line_id, u.unit_no
"""
_MARK = """
update delivery_unit u set state = 'refunding'
from unnest($1::uuid[], $2::int[]) as d (order_line_id, unit_no)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
_REFUND = """
select r.id, r.refund_no, r.order_id, r.state, r.reason, r.amount_minor, r.currency, p.payment_no, p.connection_id
from refund r join payment p on p.id = r.payment_id
where r.id = $1
for update of r
"""
_REFUND_BY_NO = """
select r.id from refund r join payment p on p.id = r.payment_id
where r.refund_no = $1 and p.connection_id = $2 and r.amount_minor = $3
"""
_REFUND_UNITS = """
update delivery_unit set state = 'refunded' where refund_id = $1 and state = 'refunding' returning amount_minor, delivered_at
"""
_MOVE = """
update refund
set state = $2, succeeded_at = case when $2 = 'succeeded' then now() else succeeded_at end, updated_at = now()
where id = $1
"""
