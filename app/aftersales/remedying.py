"""Ending a case with something: another key, code or credit in place of the bad one, or the money. Never both.

The remedy's key is its case, and the unit has one state: whoever comes second finds the case decided. What cannot be replaced is refunded.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.aftersales import claiming
from app.aftersales import service as cases
from app.aftersales.models import DECIDABLE, AfterSaleState, RemedyKind
from app.fulfillment import reissuing
from app.fulfillment.reissuing import UnitOf
from app.kernel import audit
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError
from app.ordering import service as ordering
from tenants.session import Tx

_DONE = {
    RemedyKind.REPLACE: (AfterSaleState.REPLACING, AfterSaleState.REPLACED),
    RemedyKind.REFUND: (AfterSaleState.REFUNDING, AfterSaleState.REFUNDED),
}


class DecidedOtherwise(DomainError):
    message = N_("Somebody else decided this case in the meantime. Nothing was done twice; look at how it stands.")


async def remedy(tx: Tx, case_id: UUID, kind: RemedyKind, *, reason: str, actor: Actor, is_automatic: bool = False) -> bool:
    """Replace what was delivered, or give its money back; False when just that was decided before.

    Idempotent: pressed twice, or by two people at once, it has one effect. Locks: the case, then the order, its unit, key and stock.
    Raises: DecidedOtherwise, and what `reissuing` raises.
    """
    case = await cases.lock_case(tx, case_id)
    if case["state"] in _DONE[kind]:
        return False
    if case["state"] not in (*DECIDABLE, AfterSaleState.REPORTED):
        raise DecidedOtherwise
    await ordering.lock_order(tx, case["order_id"])
    if not await _write(tx, case, kind, actor, is_automatic=is_automatic):
        raise DecidedOtherwise
    unit = UnitOf(case["order_id"], case["order_line_id"], case["unit_no"])
    if kind is RemedyKind.REPLACE:
        await reissuing.take_back(tx, unit, reason=reason, actor=actor)
    else:
        await reissuing.give_back(tx, unit, reason=reason, actor=actor)
    await claiming.open_claim(tx, case)
    await cases.move(tx, case, _DONE[kind][0], note=reason, actor=actor)
    await tx.execute(_DECIDED, case_id, actor.name or actor.kind)
    facts = {"case_no": case["case_no"], "amount_minor": case["amount_minor"], "is_automatic": is_automatic}
    await audit.record(tx, actor, f"after_sale.{kind}", subject=("after_sale", case_id), reason=reason, facts=facts)
    return True


async def follow(tx: Tx, order_id: UUID) -> None:
    """Let an order's cases go on to where their units are: served anew, being refunded, refunded. Idempotent. Locks: the cases."""
    for row in await tx.fetch(_OPEN, order_id):
        case = await cases.lock_case(tx, row["id"])
        state, to = AfterSaleState(case["state"]), row["unit_state"]
        if state is AfterSaleState.REPLACING and to == "delivered":
            await cases.move(tx, case, AfterSaleState.REPLACED)
            await tx.execute(_END, case["id"], row["unit_cost"])
            continue
        if state is not AfterSaleState.REFUNDING and to in ("refunding", "refunded"):
            await cases.move(tx, case, AfterSaleState.REFUNDING)
            case = await cases.lock_case(tx, case["id"])
        if case["state"] == AfterSaleState.REFUNDING and to == "refunded":
            await cases.move(tx, case, AfterSaleState.REFUNDED, actor=SYSTEM)
            await tx.execute(_END, case["id"], None)


async def _write(tx: Tx, case: asyncpg.Record, kind: RemedyKind, actor: Actor, *, is_automatic: bool) -> bool:
    values = (case["order_line_id"], case["unit_no"], case["contact_fingerprint"], is_automatic, case["amount_minor"])
    return bool(await tx.execute(_REMEDY, case["id"], kind, *values, actor.name or actor.kind))


_REMEDY = """
insert into after_sale_remedy (case_id, kind, order_line_id, unit_no, contact_fingerprint, is_automatic, amount_minor, made_by)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict do nothing
"""
_DECIDED = "update after_sale_case set decided_at = now(), decided_by = $2 where id = $1"
_OPEN = """
select c.id, u.state as unit_state, u.unit_cost
from after_sale_case c join delivery_unit u on u.order_line_id = c.order_line_id and u.unit_no = c.unit_no
where c.order_id = $1 and c.state in ('checking_with_supplier', 'awaiting_staff', 'awaiting_buyer', 'replacing', 'refunding')
order by c.id
limit 500
"""
_END = "update after_sale_remedy set ended_at = now(), new_cost = $2 where case_id = $1 and ended_at is null"
