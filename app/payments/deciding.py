"""A refund that a person decides: what the page stated is what is given back, and pressing twice gives back once."""

from __future__ import annotations

from uuid import UUID

from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.i18n import format_money
from app.ordering import queries
from app.ordering import service as ordering
from app.ordering.models import OrderState
from app.payments.refunding import refund_by_merchant
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
