"""Tremendous.

Verified: external_id makes an order idempotent, a repeat answers 201 with the first order and creates nothing; an order can be fetched by external_id;
statuses OPEN (formerly CART), EXECUTED, FAILED, CANCELED, PENDING APPROVAL, PENDING INTERNAL PAYMENT APPROVAL; a reward names campaign_id or products,
value{denomination, currency_code}, recipient and delivery EMAIL, LINK or PHONE; payment.funding_source_id (`balance`); orders of one reward by the
interface are synchronous; webhook families ORDERS.*, REWARDS.*, FUNDING_SOURCES.*, INVOICES.*, CONNECTED_ORGANIZATIONS.*. The addresses, the envelope
of an answer, where the link stands and how webhooks are signed were not read: defaults in `ASSUMED`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

from app.kernel import http, strict_json
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors import listing
from app.suppliers.connectors.assumed import (
    ADDRESS,
    OPTIONAL,
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
from app.suppliers.connectors.notes import CALLS_AT_ONCE, CALLS_PER_SECOND, GRACE, NOTES_READ_ON, OWN_LIFE
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    Asked,
    Balance,
    Delivered,
    Forged,
    Found,
    Issued,
    NoSuchPurchase,
    Notice,
    OtherNotice,
    Outcome,
    Purchase,
    PurchaseNotice,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    StatementPage,
    Traits,
    Unknown,
)
from app.suppliers.connectors.tremendous import signing
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

CAMPAIGN = "campaign/"
DELIVERED = frozenset({"EXECUTED"})
PENDING = frozenset({"OPEN", "CART", "PENDING APPROVAL", "PENDING INTERNAL PAYMENT APPROVAL"})
REJECTED = frozenset({"FAILED", "CANCELED"})
ASSUMED = {
    "order.path": "/orders",
    "order.read_path": "/orders/{ref}",
    "order.search_path": "/orders?external_id={out_no}",
    "order.search_items": "orders",
    "order.envelope": "order",
    "order.cost": "payment.total",
    "reward.list": "rewards",
    "reward.link": "delivery.link",
    "reward.value": "value.denomination",
    "error.code": "errors.code",
    "not_found.codes": "",
    "balance.path": "/funding_sources",
    "balance.items": "funding_sources",
    "balance.id": "method",
    "balance.cents": "meta.available_cents",
    "balance.currency": "USD",
    "list.path": "/orders?created_at[gte]={from}&created_at[lte]={to}&limit={size}&offset={offset}",
    "list.first_page": "0",
    "list.items": "orders",
    "list.at": "created_at",
    "list.cost": "payment.total",
    "list.currency": "USD",
    "notice.header": "tremendous-webhook-signature",
    "notice.prefix": "sha256=",
    "notice.event": "event",
    "notice.ref": "payload.resource.id",
}


@dataclass(frozen=True, slots=True)
class Tremendous(NotOffered):
    """One organization at Tremendous. A supplier SKU is `PRODUCT:25`, `campaign/CAMPAIGN:25`, or either without a value for a range."""

    traits: ClassVar[Traits] = Traits(
        name="tremendous",
        title="Tremendous",
        verified_on=NOTES_READ_ON,
        settings=(
            Setting(
                "base_url",
                N_("Address of the interface"),
                default="https://www.tremendous.com/api/v2",
                pattern=ADDRESS,
                help=N_("Not verified; another for tests."),
            ),
            Setting("api_key", N_("API key"), is_secret=True, pattern=r"\S+"),
            Setting("funding_source_id", N_("Funding source"), default="balance", pattern=r"\S+"),
            Setting("recipient_name", N_("Recipient's name on rewards"), default="Quanyi"),
            Setting(
                "recipient_email",
                N_("Recipient's mail address on rewards"),
                pattern=OPTIONAL,
                help=N_("Yours. Buyers' addresses are not handed on."),
            ),
            Setting("webhook_secret", N_("Webhook key"), is_secret=True, pattern=OPTIONAL),
            REFUSALS_SETTING,
            assumed_setting(ASSUMED),
        ),
        abilities=frozenset({Ability.BALANCE, Ability.NOTICES, Ability.STATEMENT}),
        not_found_grace=GRACE,
        idempotency_life=OWN_LIFE,
        calls_per_second=CALLS_PER_SECOND,
        calls_at_once=CALLS_AT_ONCE,
    )

    base_url: str
    api_key: str = field(repr=False)
    funding_source_id: str
    recipient: Mapping[str, str]
    webhook_secret: str = field(repr=False)
    refusals: Mapping[str, Reason]
    assumed: Mapping[str, str]
    client: Client = field(repr=False)

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = settings_of(cls.traits, config)
        recipient = {"name": values["recipient_name"], "email": values["recipient_email"]}
        return cls(
            base_url=values["base_url"].rstrip("/"),
            api_key=values["api_key"],
            funding_source_id=values["funding_source_id"],
            recipient={name: value for name, value in recipient.items() if value},
            webhook_secret=values["webhook_secret"],
            refusals=refusals_of(values[REFUSALS]),
            assumed=assumptions(values[ASSUMED_SETTING], ASSUMED),
            client=client or http.shared(),
        )

    async def place(self, purchase: Purchase) -> Outcome:
        """Idempotent by external_id: a repeat answers 201 with the first order, read like any other."""
        asked = item_and_value(purchase)
        if asked is None:
            return Rejected(Reason.NOT_FOR_SALE, "the supplier SKU is not PRODUCT:VALUE or campaign/CAMPAIGN:VALUE")
        item, value = asked
        goods = {"campaign_id": item.removeprefix(CAMPAIGN)} if item.startswith(CAMPAIGN) else {"products": [item]}
        reward = {
            **goods,
            "value": {"denomination": value, "currency_code": purchase.currency},
            "recipient": self.recipient,
            "delivery": {"method": "LINK"},
        }
        order = {"external_id": purchase.out_no, "payment": {"funding_source_id": self.funding_source_id}, "reward": reward}
        reply = await self._ask("POST", self.assumed["order.path"], order)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return refused(reply, self.assumed["error.code"], self.refusals)
        try:
            return self._told(reply, at(reply.document, self.assumed["order.envelope"]), purchase.out_no, value)
        except NotStrictJson as fault:
            return Unknown(f"the order's answer cannot be taken: {fault}", evidence=reply.evidence())

    async def query(self, asked: Asked) -> Found:
        """By the supplier's number where it gave one; where it does not know that one, or gave none, by ours."""
        if asked.supplier_ref and (path := self.assumed["order.read_path"]):
            found = await self._read(path.replace("{ref}", segment(asked.supplier_ref)), asked.out_no, ref=asked.supplier_ref)
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
                order = at(reply.document, self.assumed["order.envelope"])
                expect(order, "id", ref)
                return self._told(reply, order, out_no)
            orders = entries(reply.document, self.assumed["order.search_items"])
            if len(orders) != 1:
                return NoSuchPurchase(reply.evidence()) if not orders else Unknown(f"{len(orders)} orders under one number")
            return self._told(reply, orders[0], out_no)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())

    def _told(self, reply: Reply, order: Any, out_no: str, value: Decimal | None = None) -> Outcome:
        """What an order's document says. Raises: NotStrictJson where it is another's, or not one reward with one link."""
        expect(order, "external_id", out_no)
        ref, status = word(order, "id"), word(order, "status").upper()
        charged = cost(order, self.assumed["order.cost"])
        evidence = reply.evidence(id=ref, status=status, charged=charged)
        if status in REJECTED:
            return Rejected(Reason.REFUSED, status, evidence)
        if status in PENDING:
            return Accepted(ref, evidence)
        if status not in DELIVERED:
            return Unknown(f"the status {status} is not listed", evidence=evidence)
        rewards = entries(order, self.assumed["reward.list"])
        if len(rewards) != 1:
            return Unknown(f"{len(rewards)} rewards for one ordered", evidence=evidence)
        expect_if_said(rewards[0], "order_id", ref)
        if value is not None:
            expect_amount_if_said(rewards[0], self.assumed["reward.value"], value)
        address = link(rewards[0], self.assumed["reward.link"])
        if not address:
            return Unknown("the order is executed and shows no link", evidence=evidence)
        return Delivered(ref, (Issued(link=address),), charged, evidence)

    async def balance(self) -> Balance | Unknown:
        """The funding source's money. The interface is taken to count it in cents of one currency."""
        reply = await self._ask("GET", self.assumed["balance.path"])
        if isinstance(reply, Unknown):
            return reply
        try:
            sources = entries(reply.document, self.assumed["balance.items"]) if reply.is_success else []
            for source in sources:
                cents = cost(source, self.assumed["balance.cents"])
                if self.funding_source_id in (said(source, "id"), said(source, self.assumed["balance.id"])) and cents is not None:
                    return Balance(cents / 100, self.assumed["balance.currency"])
        except NotStrictJson as fault:
            return Unknown(f"the balance cannot be read: {fault}", evidence=reply.evidence())
        return Unknown("the funding source's balance was not told", evidence=reply.evidence())

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        """The organization's orders of one of our business days; the cursor counts pages."""
        reply = await self._ask("GET", listing.address(self.assumed, day, cursor))
        return listing.read(reply, self.assumed, ("external_id", "id"), _is_done, day=day, cursor=cursor)

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        """Undated: a replay is a hint once more, and is known by its key."""
        if not self.webhook_secret:
            return Forged("this connection has no webhook key")
        signature = raw.headers.get(self.assumed["notice.header"].lower(), "")
        if not signing.is_signed(self.webhook_secret, self.assumed["notice.prefix"], raw.body, signature):
            return Forged("the notice's signature is wrong")
        try:
            document = strict_json.parse_object(raw.body, exact=True)
            event, ref = word(document, self.assumed["notice.event"]), said(document, self.assumed["notice.ref"])
        except NotStrictJson as fault:
            return Forged(str(fault))
        event_key = hashlib.sha256(raw.body).hexdigest()
        if event.startswith("ORDERS.") and ref:
            return PurchaseNotice(event_key, "", ref)
        return OtherNotice(event_key)

    async def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Reply | Unknown:
        headers = {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json", "Content-Type": "application/json"}
        body = b"" if document is None else encode(document)
        return await exchange(self.client, Call(method, self.base_url + path, headers, body))


def _is_done(order: Any) -> bool:
    return word(order, "status").upper() in DELIVERED
