"""Taking back what was delivered and is no good, so that the unit is owed anew: the old key or code is void, the usual delivery serves it again.

What can then be delivered by nobody is given back, like any other owed unit; so a unit never ends with both something new and its money.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.fulfillment import minting
from app.fulfillment.models import AttemptState
from app.inventory import service as inventory
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from app.ordering import service as ordering
from app.ordering.models import SERVED, OrderState
from tenants.session import Tx


class NotDelivered(DomainError):
    message = N_("Nothing of this stands delivered any more: it is being replaced or refunded already.")


class CodeUsed(DomainError):
    message = N_("This code was used, so it cannot be replaced.")


@dataclass(frozen=True, slots=True)
class UnitOf:
    """One unit of one order."""

    order_id: UUID
    order_line_id: UUID
    unit_no: int


async def take_back(tx: Tx, unit: UnitOf, *, reason: str, actor: Actor) -> None:
    """Void what was delivered for a unit and owe it anew; its delivery is asked for.

    Locks: the order, the unit, its key or code, then the stock row.
    Raises: NotDelivered when it does not stand delivered any more, CodeUsed, BeingRefunded, ReasonMissing.
    """
    order, row = await _begin(tx, unit, reason)
    await ordering.owe_again(tx, order, note=reason, actor=actor)
    await _void(tx, unit, row, reason=reason, actor=actor)
    if row["attempt_id"]:
        await tx.execute(_REPLACED, row["attempt_id"])
        states = (AttemptState.SUCCEEDED, AttemptState.REPLACED)
        await history.record(tx, Happened("attempt", row["attempt_id"], "attempt.replaced", *states, reason[:200]), actor=actor)
    await tx.execute(_OWE, unit.order_line_id, unit.unit_no)
    without_key = {} if row["card_key_id"] else {row["sku_id"]: 1}
    await inventory.owe_again(tx, {row["sku_id"]: 1}, without_key=without_key)
    await _tell(tx, "unit.taken_back", unit, row, reason=reason, actor=actor)


async def give_back(tx: Tx, unit: UnitOf, *, reason: str, actor: Actor) -> None:
    """Void what was delivered for a unit, read or not, and have its share of the money refunded.

    Locks: the order, the unit, its key or code, then the stock row. Raises: ReasonMissing, NotDelivered, CodeUsed.
    """
    order, row = await _begin(tx, unit, reason)
    await _void(tx, unit, row, reason=reason, actor=actor)
    await tx.execute(_GIVE_BACK, unit.order_line_id, unit.unit_no)
    if order["state"] in SERVED:
        await ordering.move_to(tx, [order], OrderState.REFUNDING, actor=actor, note=reason)
    await add_task(tx, "payments.refund_order", lane=Lane.ORDERS, subject_id=unit.order_id)
    await _tell(tx, "unit.given_back", unit, row, reason=reason, actor=actor)


async def _begin(tx: Tx, unit: UnitOf, reason: str) -> tuple[asyncpg.Record, asyncpg.Record]:
    """The order and the unit, locked in this order, while the unit stands delivered."""
    if not reason.strip():
        raise inventory.ReasonMissing
    order = await ordering.lock_order(tx, unit.order_id)
    row = await tx.fetchrow(_LOCK, unit.order_id, unit.order_line_id, unit.unit_no)
    if row is None:
        raise NotDelivered
    return order, row


async def _void(tx: Tx, unit: UnitOf, row: asyncpg.Record, *, reason: str, actor: Actor) -> None:
    """See to it that the key or code a unit was delivered with serves nobody any more. Raises: CodeUsed for a code that was used even once."""
    if row["card_key_id"]:
        await inventory.burn_delivered(tx, [row["card_key_id"]])
    if row["minted_id"]:
        if row["uses"]:
            raise CodeUsed
        await minting.revoke(
            tx, order_id=unit.order_id, order_line_id=unit.order_line_id, unit_no=unit.unit_no, reason=reason, actor=actor
        )


async def _tell(tx: Tx, event: str, unit: UnitOf, row: asyncpg.Record, *, reason: str, actor: Actor) -> None:
    facts = {"unit_no": unit.unit_no, "masked": row["masked"], "amount_minor": row["amount_minor"]}
    await history.record(tx, Happened("order", unit.order_id, event, note=reason, facts=facts), actor=actor)
    await audit.record(tx, actor, event, subject=("order", unit.order_id), reason=reason, facts=facts)


_LOCK = """
select u.sku_id, u.card_key_id, u.attempt_id, u.minted_id, u.unit_cost, u.amount_minor, m.uses,
       coalesce(k.masked, m.masked, ra.masked, '') as masked
from delivery_unit u
left join card_key k on k.id = u.card_key_id
left join minted_good m on m.id = u.minted_id
left join recharge_account ra on ra.order_line_id = u.order_line_id
where u.order_id = $1 and u.order_line_id = $2 and u.unit_no = $3 and u.state = 'delivered'
for update of u
"""
_OWE = """
update delivery_unit
set state = 'owed', lost_cost = lost_cost + coalesce(unit_cost, 0), unit_cost = null, card_key_id = null, attempt_id = null, minted_id = null,
    revealed_at = null
where order_line_id = $1 and unit_no = $2
"""
_GIVE_BACK = "update delivery_unit set state = 'refunding' where order_line_id = $1 and unit_no = $2"
_REPLACED = "update attempt set state = 'replaced', updated_at = now() where id = $1 and state = 'succeeded'"
