"""What happens to a case by itself, what a person may do with it and why not, and by when. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.aftersales.models import DECIDABLE, AfterSaleState, RemedyKind, Verdict
from app.catalog.models import DeliveryKind
from app.kernel.errors import N_
from app.ordering.models import SERVED

CHECK_HOURS = 1
REMEDY_HOURS = 2
OBJECTION_DAYS = 7
BUYER_WINDOW = timedelta(days=30)
RECORD_WINDOW = timedelta(days=180)
MOST_CASES_OF_UNIT = 3
_MADE = frozenset({DeliveryKind.VOUCHER, DeliveryKind.SERIAL})


@dataclass(frozen=True, slots=True)
class Policy:
    """The merchant's own rules, as their row has them."""

    auto_most_minor: int = 0
    prefers: RemedyKind = RemedyKind.REPLACE
    auto_per_buyer: int = 2
    auto_per_day: int = 50
    report_days: int = 30
    staff_hours: int = 24
    buyer_hours: int = 72
    rate_bp: int = 500
    rate_least: int = 5
    replies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether a case is settled by itself. Counts are of the buyer's other cases and of the shop's automatic remedies."""

    amount_minor: int
    delivery_kind: str
    verdict: Verdict
    is_first_of_unit: bool
    automatic_of_buyer: int
    automatic_today: int
    rejected_of_buyer: int
    in_claim_time: bool
    product_settles_itself: bool


def automatic(policy: Policy, case: Standing) -> RemedyKind | None:
    """What is done about a case without a person; None when one has to look.

    Small values of buyers with a good record alone, so many per buyer and per day, once per unit, and only while whoever sold us the goods
    still takes complaints. An account is never credited twice by itself: its money goes back, and only if the supplier says it never delivered.
    What was used after it was delivered is never settled by itself.
    """
    is_small = 0 < case.amount_minor <= policy.auto_most_minor
    has_good_record = case.rejected_of_buyer == 0 and case.automatic_of_buyer < policy.auto_per_buyer
    may = is_small and has_good_record and case.automatic_today < policy.auto_per_day
    if not (may and case.is_first_of_unit and case.in_claim_time and case.product_settles_itself):
        return None
    if case.delivery_kind == DeliveryKind.DIRECT_TOP_UP:
        return RemedyKind.REFUND if case.verdict is Verdict.DENIED else None
    if case.delivery_kind in _MADE:
        return policy.prefers if case.verdict is Verdict.NEVER_USED else None
    if case.delivery_kind != DeliveryKind.CARD_KEY or case.verdict in (Verdict.UNKNOWN, Verdict.USED):
        return None
    return policy.prefers


def due(policy: Policy, state: AfterSaleState, now: datetime) -> datetime | None:
    """By when a state should be over; None where nothing more happens."""
    hours = {
        AfterSaleState.REPORTED: CHECK_HOURS,
        AfterSaleState.CHECKING_WITH_SUPPLIER: CHECK_HOURS,
        AfterSaleState.AWAITING_STAFF: policy.staff_hours,
        AfterSaleState.AWAITING_BUYER: policy.buyer_hours,
        AfterSaleState.REPLACING: REMEDY_HOURS,
        AfterSaleState.REFUNDING: REMEDY_HOURS,
    }.get(state)
    return now + timedelta(hours=hours) if hours else None


class Deed(StrEnum):
    """One thing staff may do with a case."""

    REPLACE = "replace"
    REFUND = "refund"
    REJECT = "reject"
    ASK_BUYER = "ask_buyer"
    CHECK = "check"
    RESEND = "resend"


WHY = {
    "ended": N_("This case is over. If the buyer is still not served, he can report it again."),
    "rejected": N_("It was rejected. Only the buyer can have it looked at once more, by objecting."),
    "running": N_("Something was decided and is under way; the page shows how far it is."),
    "gone": N_("The unit does not stand delivered any more."),
    "used": N_("The code was used, so it cannot be taken back."),
    "order_refunding": N_("Money of this order is on its way back. When it has arrived, a replacement can be sent from here."),
    "no_supplier": N_("It was delivered from own stock, so there is no supplier to ask."),
    "no_message": N_("Nothing of this order stands delivered, so there is no message to send."),
    "asked": N_("The buyer was asked already and has not answered yet."),
}


@dataclass(frozen=True, slots=True)
class Held:
    """What decides about a person's deeds."""

    state: AfterSaleState
    unit_state: str
    order_state: str
    uses: int
    has_attempt: bool


def refused(deed: Deed, case: Held) -> str:
    """Why a deed is not possible now, as a msgid; empty when it is."""
    if deed is Deed.RESEND:
        return "" if case.order_state in SERVED else WHY["no_message"]
    if case.state not in DECIDABLE:
        return WHY[_over(case.state)]
    if deed in (Deed.REPLACE, Deed.REFUND):
        return WHY[reason] if (reason := _no_remedy(deed, case)) else ""
    if deed is Deed.CHECK:
        return "" if case.has_attempt else WHY["no_supplier"]
    if deed is Deed.ASK_BUYER and case.state is AfterSaleState.AWAITING_BUYER:
        return WHY["asked"]
    return ""


def _over(state: AfterSaleState) -> str:
    if state is AfterSaleState.REJECTED:
        return "rejected"
    return "running" if state in (AfterSaleState.REPLACING, AfterSaleState.REFUNDING) else "ended"


def _no_remedy(deed: Deed, case: Held) -> str:
    if case.unit_state != "delivered":
        return "gone"
    if case.uses:
        return "used"
    return "order_refunding" if deed is Deed.REPLACE and case.order_state == "refunding" else ""
