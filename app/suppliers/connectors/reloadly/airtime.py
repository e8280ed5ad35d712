"""Reloadly's airtime, always by /topups-async.

Verified: POST /topups-async with operatorId, amount, useLocalAmount, customIdentifier, recipientPhone{countryCode, number} and senderPhone answers only
transactionId; GET /topups/{transactionId}/status answers status PROCESSING, SUCCESSFUL or REFUNDED (or one of the failed family) with code and message.
Where a top-up is found by our number was not read: defaults in `ASSUMED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Self

import phonenumbers

from app.kernel.errors import N_
from app.kernel.http import Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.assumed import assumed_setting, is_code_among, settings_of, words
from app.suppliers.connectors.notes import CALLS_AT_ONCE, CALLS_PER_SECOND, GRACE, NOTES_READ_ON, OWN_LIFE
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    AccountField,
    Asked,
    Balance,
    Delivered,
    FieldKind,
    Found,
    NoSuchPurchase,
    Notice,
    Outcome,
    Purchase,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    StatementPage,
    Traits,
    Unknown,
)
from app.suppliers.connectors.reloadly.account import COMMON_ASSUMED, Account, account_settings
from app.suppliers.connectors.wire import (
    NotOffered,
    Reply,
    cost,
    entries,
    expect,
    expect_if_said,
    item_and_value,
    number_of,
    said,
    segment,
    word,
)

ACCEPT = "application/com.reloadly.topups-v1+json"
PHONE = AccountField("phone", N_("Phone number with its country code"), FieldKind.PHONE, pattern=r"\+\d{7,15}")
ASSUMED = COMMON_ASSUMED | {
    "list.path": "/topups/reports/transactions?startDate={from}&endDate={to}&page={page}&size={size}",
    "list.cost": "requestedAmount",
    "list.currency": "requestedAmountCurrencyCode",
    "top_up.search_path": "/topups/reports/transactions?customIdentifier={out_no}",
    "top_up.search_items": "content",
    "top_up.use_local_amount": "false",
    "status.transaction": "transaction",
    "status.cost": "requestedAmount",
}


@dataclass(frozen=True, slots=True)
class ReloadlyAirtime(NotOffered):
    """One account at topups.reloadly.com. A supplier SKU is `OPERATOR` or `OPERATOR:12.50`; the account has one field, `phone`."""

    traits: ClassVar[Traits] = Traits(
        name="reloadly_airtime",
        title="Reloadly · airtime",
        verified_on=NOTES_READ_ON,
        settings=(
            *account_settings("https://topups.reloadly.com"),
            Setting(
                "number_form",
                N_("How phone numbers are sent"),
                default="international",
                pattern=r"international|national",
                help=N_("Not verified."),
            ),
            assumed_setting(ASSUMED),
        ),
        abilities=frozenset({Ability.BALANCE, Ability.NOTICES, Ability.STATEMENT}),
        not_found_grace=GRACE,
        idempotency_life=OWN_LIFE,
        calls_per_second=CALLS_PER_SECOND,
        calls_at_once=CALLS_AT_ONCE,
    )

    account: Account
    number_form: str

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        account = Account.of(cls.traits, config, client, accept=ACCEPT, defaults=ASSUMED)
        return cls(account, settings_of(cls.traits, config)["number_form"])

    async def place(self, purchase: Purchase) -> Outcome:
        """Acceptance is all there is: the answer names only the transaction. A used number is refused and stays Unknown here."""
        asked, phone = item_and_value(purchase), self._phone(purchase.account)
        if asked is None or number_of(asked[0]) is None:
            return Rejected(Reason.NOT_FOR_SALE, "the supplier SKU is not OPERATOR or OPERATOR:VALUE")
        if phone is None:
            return Rejected(Reason.BAD_ACCOUNT, "the phone number has no country or is none")
        top_up = {
            "operatorId": number_of(asked[0]),
            "amount": asked[1],
            "useLocalAmount": self.account.assumed["top_up.use_local_amount"] == "true",
            "customIdentifier": purchase.out_no,
            "recipientPhone": phone,
        }
        reply = await self.account.ask("POST", "/topups-async", top_up)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return self.account.refused(reply)
        try:
            expect_if_said(reply.document, "customIdentifier", purchase.out_no)
            ref = word(reply.document, "transactionId")
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())
        return Accepted(ref, reply.evidence(transactionId=ref))

    async def query(self, asked: Asked) -> Found:
        """By the supplier's number where it gave one; where it does not know that one, or gave none, by ours."""
        if asked.supplier_ref:
            found = await self._status(asked.supplier_ref, asked.out_no)
            if not isinstance(found, NoSuchPurchase):
                return found
        ref = await self._search(asked)
        return await self._status(ref, asked.out_no) if isinstance(ref, str) else ref

    async def _status(self, ref: str, out_no: str) -> Found:
        reply = await self.account.ask("GET", f"/topups/{segment(ref)}/status")
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return self._not_told(reply)
        try:
            return self._told(reply, ref, out_no)
        except NotStrictJson as fault:
            return Unknown(f"the status cannot be taken: {fault}", evidence=reply.evidence(transactionId=ref))

    async def _search(self, asked: Asked) -> str | NoSuchPurchase | Unknown:
        """The supplier's number of our purchase. Two under one number are Unknown."""
        path = self.account.path("top_up.search_path", ref=None, out_no=asked.out_no)
        if not path:
            return Unknown("there is no address to ask at", is_sent=False)
        reply = await self.account.ask("GET", path)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return self._not_told(reply)
        try:
            found = entries(reply.document, self.account.assumed["top_up.search_items"])
            for top_up in found:
                expect(top_up, "customIdentifier", asked.out_no)
            if len(found) > 1:
                return Unknown(f"{len(found)} top-ups under one number", evidence=reply.evidence())
            return word(found[0], "transactionId") if found else NoSuchPurchase(reply.evidence())
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())

    def _told(self, reply: Reply, ref: str, out_no: str) -> Outcome:
        """Raises: NotStrictJson where the status is another's or unread."""
        transaction = self.account.assumed["status.transaction"]
        expect_if_said(reply.document, f"{transaction}.transactionId", ref)
        expect_if_said(reply.document, f"{transaction}.customIdentifier", out_no)
        evidence = reply.evidence(transactionId=ref, status=said(reply.document, "status"), code=said(reply.document, "code"))
        match self.account.status(reply.document, "status"):
            case "delivered":
                charged = cost(reply.document, f"{transaction}.{self.account.assumed['status.cost']}")
                return Delivered(ref, (), charged, evidence)
            case "pending":
                return Accepted(ref, evidence)
            case "rejected":
                return Rejected(self.account.reason_of(reply.document), said(reply.document, "status"), evidence)
            case _:
                return Unknown(f"the status {said(reply.document, 'status')} is not listed", evidence=evidence)

    def _not_told(self, reply: Reply) -> NoSuchPurchase | Unknown:
        assumed = self.account.assumed
        if is_code_among(reply.document, assumed["error.code"], words(assumed["not_found.codes"])):
            return NoSuchPurchase(reply.evidence())
        return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())

    def _phone(self, account: Mapping[str, str]) -> dict[str, Any] | None:
        """`recipientPhone` of a number in international form; None where it is no possible one."""
        try:
            number = phonenumbers.parse(account.get("phone", ""), None)
        except phonenumbers.NumberParseException:
            return None
        country = phonenumbers.region_code_for_number(number)
        if country is None or not phonenumbers.is_possible_number(number):
            return None
        national = phonenumbers.national_significant_number(number)
        return {
            "countryCode": country,
            "number": national if self.number_form == "national" else f"{number.country_code}{national}",
        }

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        return await self.account.statement(day, cursor)

    async def balance(self) -> Balance | Unknown:
        return await self.account.balance()

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        return self.account.verify_notice(raw, now)
