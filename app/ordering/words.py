"""How orders, units, payments and refunds read: one word and tone per state, one sentence per event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from app.catalog.channels import STOREFRONT
from app.catalog.models import CycleUnit
from app.kernel import i18n
from app.kernel.actor import ActorKind
from app.kernel.errors import N_
from app.kernel.history import facts_of
from app.ordering.filters import Moment, PaymentIs, Period, Problem, Sort
from app.ordering.models import OrderState

ORDER_WORDS: Final = {
    "awaiting_payment": (N_("Awaiting payment"), ""),
    "paid": (N_("Delivering"), "info"),
    "running": (N_("Subscription runs"), "ok"),
    "delivered": (N_("Delivered"), "ok"),
    "partly_delivered": (N_("Partly delivered"), "warn"),
    "refunding": (N_("Refunding"), "warn"),
    "refunded": (N_("Refunded"), ""),
    "cancelled": (N_("Cancelled"), ""),
    "expired": (N_("Not paid in time"), ""),
    "refund_unknown": (N_("Refund not known yet"), "odd"),
    "refund_declined": (N_("Refund declined"), "bad"),
    "late": (N_("Delivery is late"), "bad"),
}
ORDER_STATES: Final = {state: ORDER_WORDS[state][0] for state in OrderState}
UNIT_WORDS: Final = {
    "reserved": (N_("Reserved"), ""),
    "scheduled": (N_("To come"), ""),
    "owed": (N_("To deliver"), "info"),
    "delivered": (N_("Delivered"), "ok"),
    "refunding": (N_("Refunding"), "warn"),
    "refunded": (N_("Refunded"), ""),
    "released": (N_("Given up"), ""),
}
PAYMENT_WORDS: Final = {
    "opening": (N_("Being opened"), "odd"),
    "open": (N_("Waiting for the buyer"), ""),
    "succeeded": (N_("Received"), "ok"),
    "closed": (N_("Closed unpaid"), ""),
    "declined": (N_("Declined by the gateway"), "bad"),
}
REFUND_WORDS: Final = {
    "requested": (N_("Asked for"), "info"),
    "sending": (N_("Being sent"), "info"),
    "unknown": (N_("Not known yet"), "odd"),
    "succeeded": (N_("Given back"), "ok"),
    "declined": (N_("Declined by the gateway"), "bad"),
}
SUBSCRIPTION_WORDS: Final = {
    "active": (N_("Runs"), "ok"),
    "cancelled": (N_("Cancelled"), "warn"),
    "in_grace": (N_("Can still be renewed"), "warn"),
    "ended": (N_("Over"), ""),
}
EVENT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "order.placed": (N_("Order placed"), ""),
    "order.paid": (N_("Payment received"), "info"),
    "order.delivered": (N_("Delivered"), "ok"),
    "order.partly_delivered": (N_("Part delivered, the rest given back"), "warn"),
    "order.refunding": (N_("Refund decided"), "warn"),
    "order.refunded": (N_("Everything given back"), ""),
    "order.cancelled": (N_("Cancelled"), ""),
    "order.expired": (N_("Not paid in time; the stock is free again"), ""),
    "order.complained": (N_("The buyer reported trouble with a unit"), "warn"),
    "order.on_account": (N_("Ordered for a company, on account"), "info"),
    "order.off_account": (N_("Taken off the company's account"), "warn"),
    "order.running": (N_("Delivered; the next cycle comes on its day"), "ok"),
    "order.cycle_due": (N_("The next cycle is due"), "info"),
    "subscription.active": (N_("Began"), "ok"),
    "subscription.renewed": (N_("Renewed"), "ok"),
    "subscription.reminded": (N_("The buyer was told that it ends soon"), ""),
    "subscription.cancelled": (N_("Cancelled; what is paid for still comes"), "warn"),
    "subscription.in_grace": (N_("What was paid for is over; it can still be renewed"), "warn"),
    "subscription.ended": (N_("The subscription is over"), ""),
    "order.owed_again": (N_("Something else is owed: delivered again"), "info"),
    "unit.taken_back": (N_("What was delivered was no good; it is void and replaced"), "warn"),
    "unit.given_back": (N_("What was delivered was no good; its money goes back"), "warn"),
    "order.account_confirmed": (N_("The buyer confirmed the account to credit"), ""),
    "order.account_disputed": (N_("The buyer says the account was the wrong one"), "warn"),
    "order.noted": (N_("Note"), ""),
    "order.message_resent": (N_("Delivery message sent again"), "info"),
    "order.text_failed": (N_("The phone takes no text message; the same goes by e-mail"), "warn"),
    "order.redelivery_asked": (N_("Delivery asked for again"), "info"),
    "order.gateway_asked": (N_("Gateway asked for its answer"), "odd"),
    "payment.open": (N_("Payment opened"), ""),
    "payment.succeeded": (N_("Money captured by the gateway"), "info"),
    "payment.closed": (N_("Payment closed unpaid"), ""),
    "payment.declined": (N_("Payment declined by the gateway"), "bad"),
    "payment.mismatch": (N_("A gateway's notice does not match the payment; nothing was booked"), "bad"),
    "refund.requested": (N_("Refund asked for"), "info"),
    "refund.sending": (N_("Refund sent to the gateway"), "info"),
    "refund.unknown": (N_("The gateway has not said whether the refund arrived; it is being asked"), "odd"),
    "refund.succeeded": (N_("Refund arrived at the gateway"), "ok"),
    "refund.declined": (N_("Refund declined by the gateway"), "bad"),
    "attempt.planned": (N_("Supplier chosen"), ""),
    "attempt.accepted": (N_("The supplier took it in and is at work"), "info"),
    "attempt.unknown": (N_("The supplier has not said whether it delivered; it is being asked"), "odd"),
    "attempt.succeeded": (N_("The supplier delivered"), "ok"),
    "attempt.failed": (N_("The supplier refused"), "warn"),
    "attempt.succeeded_late": (N_("The supplier delivered after it had refused"), "warn"),
    "attempt.replaced": (N_("What the supplier delivered was no good; it was replaced"), "warn"),
    "attempt.used": (N_("Used, says the supplier"), "ok"),
    "attempt.use_taken_back": (N_("Its use was taken back, says the supplier"), "warn"),
    "attempt.asked": (N_("Supplier asked for its answer"), "odd"),
    "attempt.sent_again": (N_("Bought again by hand, as the supplier knew nothing of it"), "warn"),
    "attempt.marked_failed": (N_("Given up by hand, as the supplier knew nothing of it"), "warn"),
    "attempt.override_proposed": (N_("Said to have failed; another person has to approve"), "odd"),
    "attempt.override_approved": (N_("Given up on two people's word"), "warn"),
    "attempt.override_declined": (N_("A colleague's word on a purchase was declined"), ""),
    "card_key.revealed": (N_("Key shown"), ""),
    "recharge_account.revealed": (N_("Account shown"), ""),
    "handover.made": (N_("Handed over"), "ok"),
    "handover.given_up": (N_("Cannot be delivered, given back"), "warn"),
    "handover.revealed": (N_("What was handed over shown"), ""),
    "minted_good.revealed": (N_("Code shown"), ""),
    "minted_good.used": (N_("Code used"), "ok"),
    "minted_good.opened": (N_("Link opened"), "ok"),
    "minted_good.use_voided": (N_("Use taken back"), "warn"),
    "minted_good.revoked": (N_("Code taken back"), "warn"),
    "card_key.mailed": (N_("Key sent by mail"), ""),
}
_UNSAID: Final = frozenset({"refund.asked_by_merchant"})
"""Events the change of state beside them tells already."""
REASON_WORDS: Final = {
    "out_of_stock": N_("out of stock"),
    "paid_twice": N_("paid twice"),
    "merchant": N_("decided by the merchant"),
    "wrong_amount": N_("another amount than the order's"),
    "after_sale": N_("what was delivered was no good"),
}
CHANNEL_WORDS: Final = {STOREFRONT: N_("Shop")}
PAYMENT_IS_WORDS: Final = {
    PaymentIs.UNPAID: N_("Unpaid"),
    PaymentIs.PAID: N_("Paid for"),
    PaymentIs.REFUNDED: N_("Given back, whole or part"),
}
PERIOD_WORDS: Final = {
    Period.TODAY: N_("Today"),
    Period.YESTERDAY: N_("Yesterday"),
    Period.WEEK: N_("Last 7 days"),
    Period.MONTH: N_("Last 30 days"),
}
MOMENT_WORDS: Final = {Moment.PLACED: N_("Time of order"), Moment.PAID: N_("Time of payment")}
PROBLEM_WORDS: Final = {
    Problem.ANY: N_("Any"),
    Problem.LATE: N_("Delivery is late"),
    Problem.WORK_FAILED: N_("Work failed"),
    Problem.REFUND_UNKNOWN: N_("Refund not known yet"),
    Problem.REFUND_DECLINED: N_("Refund declined"),
    Problem.MISMATCH: N_("Notice does not match"),
}
SORT_WORDS: Final = {
    Sort.NEWEST: N_("Newest first"),
    Sort.OLDEST: N_("Oldest first"),
    Sort.LARGEST: N_("Largest first"),
    Sort.SMALLEST: N_("Smallest first"),
}
TRANSFER_WORDS: Final = {
    "capture": N_("Captured"),
    "surplus": N_("Captured, not needed by the order"),
    "gateway_fee": N_("The gateway's fee"),
    "sale": N_("Sold"),
    "cost_of_goods": N_("Cost of what was delivered"),
    "refund_undelivered": N_("Given back, not delivered"),
    "refund_delivered": N_("Given back, after delivery"),
    "refund_surplus": N_("Surplus given back"),
    "on_account": N_("Sold on account"),
    "off_account_undelivered": N_("Taken off the account, not delivered"),
    "off_account_delivered": N_("Taken off the account, after delivery"),
    "company_payment": N_("Paid by the company"),
    "company_payment_undone": N_("The company's payment taken back"),
}
ACCOUNT_WORDS: Final = {
    "gateway": N_("Money at the gateway"),
    "receivables": N_("Owed by companies"),
    "bank": N_("Money at the bank"),
    "buyer_deposits": N_("Owed to buyers"),
    "sales": N_("Sales"),
    "gateway_fees": N_("Gateway fees"),
    "suspense": N_("Unexplained money"),
    "cost_of_goods": N_("Cost of goods"),
    "goods": N_("Goods handed out"),
}


_EVERY: Final = {
    CycleUnit.MONTH: (N_("every month"), N_("every %(num)s months")),
    CycleUnit.DAY: (N_("every day"), N_("every %(num)s days")),
}


def plan_words(unit: str, length: int) -> str:
    """How long a cycle is."""
    alone, several = _EVERY[CycleUnit(unit)]
    return i18n.gettext(alone) if length == 1 else i18n.gettext(several) % {"num": i18n.format_number(length)}


def choices(words: Mapping[Any, str]) -> list[tuple[str, str]]:
    """A table of words as the options of a field."""
    return [(str(value), i18n.gettext(message)) for value, message in words.items()]


def timeline(events: Sequence[asyncpg.Record], known: Mapping[str, tuple[str, str]] = EVENT_WORDS) -> list[dict[str, Any]]:
    """History rows as `ui.timeline` shows them: what happened, then who did it, its numbers and its note. `known`: the words for events."""
    return [_entry(event, known) for event in events if event["event"] not in _UNSAID]


def placed(order: asyncpg.Record) -> dict[str, Any]:
    """The first entry of every timeline: the order itself says when it was placed and where."""
    message, tone = EVENT_WORDS["order.placed"]
    where = CHANNEL_WORDS.get(order["sales_channel"], order["sales_channel"])
    who = i18n.gettext(N_("Buyer"))
    note = i18n.gettext(N_(", ")).join([who, i18n.gettext(where), order["contact_masked"]])
    return {"title": i18n.gettext(message), "note": note, "at": order["placed_at"], "tone": tone}


def _entry(event: asyncpg.Record, known: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    message, tone = known.get(event["event"], (event["event"], ""))
    title = i18n.gettext(message)
    facts = facts_of(event)
    note = event["note"]
    if event["event"] == "order.noted":
        title, note = note, ""
    elif event["event"] == "refund.requested" and note in REASON_WORDS:
        note = i18n.gettext(REASON_WORDS[note])
    details = [_who(event), *_details(facts), i18n.gettext(note) if note else ""]
    return {
        "title": title,
        "note": i18n.gettext(N_(", ")).join(part for part in details if part),
        "at": event["at"],
        "tone": tone,
    }


def _who(event: asyncpg.Record) -> str:
    match event["actor_kind"]:
        case ActorKind.SYSTEM:
            return i18n.gettext(N_("System"))
        case ActorKind.BUYER:
            return i18n.gettext(N_("Buyer"))
        case ActorKind.OPERATOR:
            return i18n.gettext(N_("Platform operator %(name)s")) % {"name": event["actor_name"]}
        case _:
            return str(event["actor_name"])


def _details(facts: Mapping[str, Any]) -> list[str]:
    """The facts worth a reader's time: amounts, our numbers at the other side, masked keys, counts."""
    found = []
    if "amount_minor" in facts:
        found.append(i18n.format_money(int(facts["amount_minor"]), str(facts.get("currency", "CNY"))))
    if "said_minor" in facts:
        said = i18n.format_money(int(facts["said_minor"]), str(facts.get("said_currency", "CNY")))
        found.append(i18n.gettext(N_("the notice says %(amount)s")) % {"amount": said})
    for name in ("payment_no", "refund_no", "masked", "out_no", "supplier_ref"):
        told = facts.get(name) or ()
        found += map(str, told if isinstance(told, list | tuple) else [told])
    if "delivered" in facts:
        number = int(facts["delivered"])
        found.append(i18n.ngettext("%(num)s unit", "%(num)s units", number) % {"num": i18n.format_number(number)})
    return found
