"""What staff may do with an order in its state, and why not when they may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.kernel.errors import N_
from app.ordering.models import SERVED, OrderState


class Action(StrEnum):
    """One thing a person may do with an order."""

    REFUND = "refund"
    CANCEL = "cancel"
    ASK = "ask"
    RESEND = "resend"
    REDELIVER = "redeliver"


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides about an order's actions."""

    state: OrderState
    refundable_minor: int
    has_open_payment: bool
    refund_states: frozenset[str]
    is_being_bought: bool = False
    """A supplier is at work on something of it, or has not said whether it delivered."""


WHY: dict[str, str] = {
    "unpaid": N_("Nothing was paid, so there is nothing to give back. Cancel the order instead."),
    "ended_unpaid": N_("The order ended without a payment, so there is nothing to give back."),
    "refunding": N_("A refund of this order is under way. When it has arrived, what is left can be refunded here."),
    "refund_unknown": N_(
        "The gateway has not said whether the last refund arrived. It is being asked and nothing is sent twice; this button works again once it has answered."
    ),
    "refund_declined": N_(
        "The gateway declined the last refund. Look at its reason in the timeline and settle it with the gateway first."
    ),
    "refunded": N_("Everything of this order was given back already."),
    "all_read": N_(
        "The buyer has read every key or used every code, so nothing can be taken back and nothing can be refunded here."
    ),
    "being_bought": N_(
        "A supplier is at work on this order, or has not said whether it delivered. Wait for its answer, or decide about the attempt; then it can be refunded here."
    ),
    "paid_already": N_("The order is paid. Refund it instead."),
    "ended": N_("The order has ended already."),
    "nothing_to_ask": N_("No payment or refund waits for the gateway's answer."),
    "not_delivered": N_("Nothing of this order stands delivered, so there is no message to send."),
    "nothing_owed": N_("Nothing of this order waits for delivery. Keys that were delivered stay as they are."),
}


def refused(action: Action, order: Standing) -> str:
    """Why an action is not allowed now, as a msgid; empty when it is."""
    return WHY[reason] if (reason := _REASONS[action](order)) else ""


def _refund(order: Standing) -> str:
    match order.state:
        case OrderState.AWAITING_PAYMENT:
            return "unpaid"
        case OrderState.CANCELLED | OrderState.EXPIRED:
            return "ended_unpaid"
        case OrderState.REFUNDED:
            return "refunded"
        case OrderState.REFUNDING:
            if "unknown" in order.refund_states:
                return "refund_unknown"
            return "refund_declined" if "declined" in order.refund_states else "refunding"
        case OrderState.PAID | OrderState.RUNNING | OrderState.DELIVERED | OrderState.PARTLY_DELIVERED:
            if order.is_being_bought:
                return "being_bought"
            return "" if order.refundable_minor > 0 else "all_read"


def _cancel(order: Standing) -> str:
    if order.state is OrderState.AWAITING_PAYMENT:
        return ""
    return "ended" if order.state in (OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REFUNDED) else "paid_already"


def _ask(order: Standing) -> str:
    return (
        ""
        if order.has_open_payment
        or order.refund_states & {"requested", "sending", "unknown"}
        or order.state is OrderState.REFUNDING
        else "nothing_to_ask"
    )


def _resend(order: Standing) -> str:
    return "" if order.state in SERVED else "not_delivered"


def _redeliver(order: Standing) -> str:
    return "" if order.state is OrderState.PAID else "nothing_owed"


_REASONS = {
    Action.REFUND: _refund,
    Action.CANCEL: _cancel,
    Action.ASK: _ask,
    Action.RESEND: _resend,
    Action.REDELIVER: _redeliver,
}
