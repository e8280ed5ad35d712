"""Tango RaaS v2.

Verified: Basic authentication; POST /raas/v2/orders with customerIdentifier, accountIdentifier, amount, utid, sendEmail, recipient and externalRefID;
externalRefID is at most 100 letters and digits, unique per account, and a repeat returns the original order even if it asks for other goods, promised
for 90 days; a 5xx may still have been processed; GET /raas/v2/orders/{referenceOrderID}; credentials are read from credentialList, typed, not from the
older map. The status words, where credentialList stands, its entries' names and types, and finding an order by externalRefID were not read: defaults in
`ASSUMED`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, ClassVar, Self

from app.kernel import http
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors import listing
from app.suppliers.connectors.assumed import (
    ADDRESS,
    REFUSALS,
    REFUSALS_SETTING,
    assumed_setting,
    assumptions,
    is_code_among,
    refusals_of,
    refused,
    settings_of,
    words,
)
from app.suppliers.connectors.assumed import (
    ASSUMED as ASSUMED_SETTING,
)
from app.suppliers.connectors.notes import CALLS_AT_ONCE, CALLS_PER_SECOND, GRACE, NOTES_READ_ON
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    Asked,
    Balance,
    Delivered,
    Found,
    Issued,
    NoSuchPurchase,
    Outcome,
    Purchase,
    Reason,
    Rejected,
    Setting,
    StatementPage,
    Traits,
    Unknown,
)
from app.suppliers.connectors.wire import (
    NotOffered,
    Reply,
    at,
    cost,
    encode,
    entries,
    exchange,
    expect,
    expect_amount_if_said,
    expect_if_said,
    item_and_value,
    link,
    said,
    segment,
    word,
)

ORDERS = "/raas/v2/orders"
ASSUMED = {
    "error.code": "errors.i18nKey",
    "not_found.codes": "",
    "order.search_path": "/raas/v2/orders?externalRefID={out_no}",
    "order.search_items": "orders",
    "order.utid": "utid",
    "order.cost": "amountCharged.total",
    "order.value": "denomination.value",
    "status.delivered": "COMPLETE",
    "status.pending": "PENDING",
    "status.rejected": "",
    "credentials.list": "reward.credentialList",
    "credentials.type": "credentialType",
    "credentials.value": "value",
    "credentials.number_types": "cardNumber, redemptionCode, claimCode, giftCode, serialNumber",
    "credentials.password_types": "pin, securityCode, claimPin",
    "credentials.link_types": "redemptionUrl, rewardUrl",
    "balance.path": "/raas/v2/accounts/{account}",
    "balance.amount": "currentBalance",
    "balance.currency": "currencyCode",
    "list.path": "/raas/v2/orders?startDate={from}&endDate={to}&elementsPerBlock={size}&page={page}",
    "list.first_page": "0",
    "list.items": "orders",
    "list.at": "createdAt",
    "list.cost": "amountCharged.total",
    "list.currency": "amountCharged.currencyCode",
}


@dataclass(frozen=True, slots=True)
class Tango(NotOffered):
    """One account at Tango. A supplier SKU is `UTID` or `UTID:25`."""

    traits: ClassVar[Traits] = Traits(
        name="tango",
        title="Tango",
        verified_on=NOTES_READ_ON,
        settings=(
            Setting(
                "base_url",
                N_("Address of the interface"),
                default="https://api.tangocard.com",
                pattern=ADDRESS,
                help=N_("Not verified. The test mode has another."),
            ),
            Setting("platform_name", N_("Platform name"), pattern=r"[^:\s]+"),
            Setting("platform_key", N_("Platform key"), is_secret=True, pattern=r"\S+"),
            Setting("customer_identifier", N_("Customer identifier"), pattern=r"\S+"),
            Setting("account_identifier", N_("Account identifier"), pattern=r"\S+"),
            REFUSALS_SETTING,
            assumed_setting(ASSUMED),
        ),
        abilities=frozenset({Ability.BALANCE, Ability.STATEMENT}),
        not_found_grace=GRACE,
        idempotency_life=timedelta(days=90),
        calls_per_second=CALLS_PER_SECOND,
        calls_at_once=CALLS_AT_ONCE,
    )

    base_url: str
    platform_name: str
    platform_key: str = field(repr=False)
    customer_identifier: str
    account_identifier: str
    refusals: Mapping[str, Reason]
    assumed: Mapping[str, str]
    client: Client = field(repr=False)

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = settings_of(cls.traits, config)
        return cls(
            base_url=values["base_url"].rstrip("/"),
            platform_name=values["platform_name"],
            platform_key=values["platform_key"],
            customer_identifier=values["customer_identifier"],
            account_identifier=values["account_identifier"],
            refusals=refusals_of(values[REFUSALS]),
            assumed=assumptions(values[ASSUMED_SETTING], ASSUMED),
            client=client or http.shared(),
        )

    async def place(self, purchase: Purchase) -> Outcome:
        """Idempotent for 90 days: a repeat returns the first order, so one for other goods under our number is Unknown."""
        asked = item_and_value(purchase)
        if asked is None:
            return Rejected(Reason.NOT_FOR_SALE, "the supplier SKU is not UTID or UTID:VALUE")
        utid, value = asked
        order = {
            "customerIdentifier": self.customer_identifier,
            "accountIdentifier": self.account_identifier,
            "amount": value,
            "utid": utid,
            "sendEmail": False,
            "externalRefID": purchase.out_no,
        }
        reply = await self._ask("POST", ORDERS, order)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return refused(reply, self.assumed["error.code"], self.refusals)
        try:
            expect_if_said(reply.document, self.assumed["order.utid"], utid)
            expect_amount_if_said(reply.document, self.assumed["order.value"], value)
            return self._told(reply, reply.document, purchase.out_no)
        except NotStrictJson as fault:
            return Unknown(f"the order's answer cannot be taken: {fault}", evidence=reply.evidence())

    async def query(self, asked: Asked) -> Found:
        """By the supplier's number where it gave one; where it does not know that one, or gave none, by ours."""
        if asked.supplier_ref:
            found = await self._read(f"{ORDERS}/{segment(asked.supplier_ref)}", asked.out_no, ref=asked.supplier_ref)
            if not isinstance(found, NoSuchPurchase):
                return found
        if not (path := self.assumed["order.search_path"]):
            return Unknown("there is no address to ask at", is_sent=False)
        return await self._read(path.replace("{out_no}", segment(asked.out_no)), asked.out_no, ref=None)

    async def _read(self, path: str, out_no: str, *, ref: str | None) -> Found:
        """The order at an address, or the one of a list. One number with two orders is Unknown."""
        reply = await self._ask("GET", path)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            if is_code_among(reply.document, self.assumed["error.code"], words(self.assumed["not_found.codes"])):
                return NoSuchPurchase(reply.evidence())
            return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
        try:
            if ref:
                expect(reply.document, "referenceOrderID", ref)
                return self._told(reply, reply.document, out_no)
            orders = entries(reply.document, self.assumed["order.search_items"])
            if len(orders) != 1:
                return NoSuchPurchase(reply.evidence()) if not orders else Unknown(f"{len(orders)} orders under one number")
            expect(orders[0], "externalRefID", out_no)
            return self._told(reply, orders[0], out_no)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())

    def _told(self, reply: Reply, order: Any, out_no: str) -> Outcome:
        """What an order's document says. A finished one without credentials is still asked for. Raises: NotStrictJson."""
        expect_if_said(order, "externalRefID", out_no)
        ref, status = word(order, "referenceOrderID"), said(order, "status").upper()
        charged = cost(order, self.assumed["order.cost"])
        evidence = reply.evidence(referenceOrderID=ref, status=status, charged=charged)
        if status in words(self.assumed["status.delivered"]):
            if at(order, self.assumed["credentials.list"]) is None:
                return Accepted(ref, evidence)
            return Delivered(ref, (self._issued(order),), charged, evidence)
        if status in words(self.assumed["status.pending"]):
            return Accepted(ref, evidence)
        if status in words(self.assumed["status.rejected"]):
            return Rejected(Reason.REFUSED, status, evidence)
        return Unknown(f"the status {status or '(none)'} is not listed", evidence=evidence)

    def _issued(self, order: Any) -> Issued:
        """The one secret that a typed list of credentials makes. Two of a sort are more than was bought. Raises: NotStrictJson."""
        parts: dict[str, str] = {}
        for credential in entries(order, self.assumed["credentials.list"]):
            kind = said(credential, self.assumed["credentials.type"]).upper()
            for part in ("number", "password", "link"):
                if kind in words(self.assumed[f"credentials.{part}_types"]):
                    if part in parts:
                        raise NotStrictJson(f"there is more than one {part}")
                    read = link if part == "link" else word
                    parts[part] = read(credential, self.assumed["credentials.value"])
        if not parts.get("number") and not parts.get("link"):
            raise NotStrictJson("the order holds no credential of a type that is listed")
        return Issued(number=parts.get("number", ""), password=parts.get("password", ""), link=parts.get("link", ""))

    async def balance(self) -> Balance | Unknown:
        reply = await self._ask("GET", self.assumed["balance.path"].replace("{account}", segment(self.account_identifier)))
        if isinstance(reply, Unknown):
            return reply
        try:
            amount = cost(reply.document, self.assumed["balance.amount"])
            if not reply.is_success or amount is None:
                return Unknown("the balance was not told", evidence=reply.evidence())
            return Balance(amount, word(reply.document, self.assumed["balance.currency"]))
        except NotStrictJson as fault:
            return Unknown(f"the balance cannot be read: {fault}", evidence=reply.evidence())

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        """The account's orders of one of our business days; the cursor counts pages."""
        reply = await self._ask("GET", listing.address(self.assumed, day, cursor))
        return listing.read(reply, self.assumed, ("externalRefID", "referenceOrderID"), self._is_done, day=day, cursor=cursor)

    def _is_done(self, order: Any) -> bool:
        return said(order, "status").upper() in words(self.assumed["status.delivered"])

    async def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Reply | Unknown:
        signed_in = base64.b64encode(f"{self.platform_name}:{self.platform_key}".encode()).decode("ascii")
        headers = {"Authorization": f"Basic {signed_in}", "Accept": "application/json", "Content-Type": "application/json"}
        body = b"" if document is None else encode(document)
        return await exchange(self.client, Call(method, self.base_url + path, headers, body))
