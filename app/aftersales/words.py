"""How cases read: a word and tone per state, a sentence per complaint, verdict and event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.aftersales.models import AfterSaleState, ClaimState, Complaint, Verdict
from app.kernel.errors import N_
from app.ordering.words import EVENT_WORDS as ORDER_EVENTS

STATES: Final[Mapping[str, tuple[str, str]]] = {
    AfterSaleState.REPORTED: (N_("Reported"), "info"),
    AfterSaleState.CHECKING_WITH_SUPPLIER: (N_("Checking with the supplier"), "odd"),
    AfterSaleState.AWAITING_STAFF: (N_("Waits for the team"), "bad"),
    AfterSaleState.AWAITING_BUYER: (N_("Waits for the buyer"), "warn"),
    AfterSaleState.REPLACING: (N_("Being replaced"), "info"),
    AfterSaleState.REFUNDING: (N_("Being refunded"), "warn"),
    AfterSaleState.REPLACED: (N_("Replaced"), "ok"),
    AfterSaleState.REFUNDED: (N_("Refunded"), "ok"),
    AfterSaleState.REJECTED: (N_("Rejected"), ""),
    AfterSaleState.WITHDRAWN: (N_("Solved by the buyer"), ""),
}
CLAIM_STATES: Final[Mapping[str, tuple[str, str]]] = {
    ClaimState.OPEN: (N_("To be settled"), "warn"),
    ClaimState.ACCEPTED: (N_("Accepted, credit booked"), "ok"),
    ClaimState.REJECTED: (N_("Turned down"), ""),
}
COMPLAINTS: Final = {
    Complaint.INVALID: N_("It is not accepted: invalid"),
    Complaint.USED_ALREADY: N_("It was used already"),
    Complaint.NOT_ARRIVED: N_("It has not arrived"),
    Complaint.WRONG_AMOUNT: N_("The amount is wrong"),
    Complaint.REFUSED: N_("The counter refused it"),
    Complaint.OTHER: N_("Something else"),
    Complaint.BAD_BATCH: N_("The whole batch is bad"),
}
VERDICTS: Final = {
    Verdict.NOT_CHECKED: N_("Not checked yet"),
    Verdict.DELIVERED: N_("The supplier says that it delivered"),
    Verdict.DENIED: N_("The supplier says that nothing was delivered"),
    Verdict.UNKNOWN: N_("The supplier could not say"),
    Verdict.BATCH_GOOD: N_("No trouble is known with its batch"),
    Verdict.BATCH_BAD: N_("Its batch is known to be bad"),
    Verdict.NEVER_USED: N_("The code was never used at a counter"),
    Verdict.USED: N_("It was used"),
    Verdict.USED_BEFORE: N_("The supplier says that it was used before it was delivered"),
}
EVENTS: Final = {
    **ORDER_EVENTS,
    "after_sale.reported": (N_("Reported"), "warn"),
    **{f"after_sale.{state}": words for state, words in STATES.items() if state is not AfterSaleState.REPORTED},
    "after_sale.overdue": (N_("Overdue; the team was told"), "bad"),
}
BUYER: Final = {
    AfterSaleState.REPORTED: (N_("Your report has arrived"), N_("It is being looked at.")),
    AfterSaleState.CHECKING_WITH_SUPPLIER: (
        N_("We are checking with the supplier"),
        N_("Usually this takes minutes. You need not do anything; this page shows what comes of it."),
    ),
    AfterSaleState.AWAITING_STAFF: (
        N_("The shop is looking at your report"),
        N_("A person decides whether it is replaced or your money goes back. You get a message."),
    ),
    AfterSaleState.AWAITING_BUYER: (N_("The shop asks you something"), N_("Read the question and answer it; then it goes on.")),
    AfterSaleState.REPLACING: (
        N_("A replacement is on its way"),
        N_("The old one is void. If no other can be had, your money goes back by itself."),
    ),
    AfterSaleState.REFUNDING: (
        N_("Your money is on its way back"),
        N_(
            "It goes back the way you paid. How soon it shows depends on your bank or wallet: usually minutes, at most a few days."
        ),
    ),
    AfterSaleState.REPLACED: (N_("It was replaced"), N_("The new one stands above; the old one is void.")),
    AfterSaleState.REFUNDED: (N_("Your money was given back"), N_("The payment company has given it back the way you paid.")),
    AfterSaleState.REJECTED: (N_("The shop has turned your report down"), N_("Its reason is below.")),
    AfterSaleState.WITHDRAWN: (N_("You said that it works"), N_("Nothing more happens.")),
}
"""What a buyer reads: what is the matter, and what runs now."""
