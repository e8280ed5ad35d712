"""Refunds that a person decides: what the page stated is what is given back, a declined one is sent again, money of a wrong amount is returned.
Pressing twice gives back once.
"""

from __future__ import annotations

from uuid import UUID

from app.cases import service as cases
from app.cases.models import CaseKind, CaseState
from app.inventory.service import ReasonMissing
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.i18n import format_money
from app.kernel.tasks import Lane, add_task
from app.ordering import queries
from app.ordering import service as ordering
from app.ordering.models import OrderState
from app.payments.models import RefundReason, RefundState
from app.payments.refunding import lock_refund, move_refund, refund_by_merchant
from app.payments.requesting import Wanted, request_refund
from tenants.session import Tx


class AmountChanged(DomainError):
    message = N_("Meanwhile %(amount)s can be refunded, not what the page showed. Nothing was given back; look again and decide.")


async def decide_refund(tx: Tx, order_id: UUID, *, stated_minor: int, reason: str, actor: Actor) -> bool:
    """Refund an order if what can be given back is still what the page stated; False when a refund of it is under way or done already.

    Idempotent: pressed twice, or by two people, it is one refund. Locks: the order, then its units.
    Raises: AmountChanged, and what `refund_by_merchant` raises.
    """
    order = await ordering.lock_order(tx, order_id)
    if order["state"] in (OrderState.REFUNDING, OrderState.REFUNDED):
        return False
    amount = await queries.refundable_minor(tx, order_id, lock=True)
    if amount and amount != stated_minor:
        raise AmountChanged(amount=format_money(amount, order["currency"]))
    await refund_by_merchant(tx, order_id, reason=reason, actor=actor)
    return True


async def send_again(tx: Tx, refund_id: UUID, *, reason: str, actor: Actor) -> bool:
    """Send a refund the gateway declined once more, under the same number; False when it is not declined any more.

    Locks: the refund. Raises: ReasonMissing, NotFound.
    """
    if not reason.strip():
        raise ReasonMissing
    row = await lock_refund(tx, refund_id)
    if row["state"] != RefundState.DECLINED:
        return False
    await move_refund(tx, row, RefundState.REQUESTED, note=reason, actor=actor)
    await cases.settle(tx, CaseKind.REFUND_DECLINED, refund_id, note=reason, actor=actor)
    facts = {"refund_no": row["refund_no"], "amount_minor": row["amount_minor"]}
    await audit.record(tx, actor, "refund.sent_again", subject=("refund", refund_id), reason=reason, facts=facts)
    await add_task(tx, "payments.send_refund", lane=Lane.ORDERS, subject_id=refund_id)
    return True


async def give_back_suspended(tx: Tx, case_id: UUID, *, reason: str, actor: Actor) -> bool:
    """Give back the whole of a capture that was of a wrong amount, and close its case; False when the case is closed already.

    Locks: the case. Raises: ReasonMissing, NotFound for a case of another kind too.
    """
    if not reason.strip():
        raise ReasonMissing
    case = await cases.lock_case(tx, case_id)
    capture = await tx.fetchrow(_SUSPENDED, case["subject_id"])
    if case["kind"] != CaseKind.WRONG_AMOUNT or capture is None:
        raise NotFound
    if case["state"] != CaseState.OPEN:
        return False
    money = (RefundReason.WRONG_AMOUNT, capture["amount_minor"], capture["currency"], actor.name)
    await request_refund(
        tx, Wanted(f"surplus:{capture['id']}", capture["order_id"], capture["payment_id"], capture["id"], *money)
    )
    await cases.close_case(tx, case_id, note=reason, actor=actor)
    return True


_SUSPENDED = "select id, order_id, payment_id, amount_minor, currency from capture where id = $1 and purpose = 'surplus'"
