"""Reloadly's gift cards.

Verified: POST /orders with productId, quantity, unitPrice, customIdentifier, senderName and recipientEmail answers transactionId, status, amount, fee
and discount; a used customIdentifier is refused. Where the cards and an order by our number are read, and what the fields are called there, was not
read: defaults in `ASSUMED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Self

from app.kernel.errors import N_
from app.kernel.http import Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.assumed import OPTIONAL, assumed_setting, is_code_among, settings_of, words
from app.suppliers.connectors.notes import CALLS_AT_ONCE, CALLS_PER_SECOND, GRACE, NOTES_READ_ON, OWN_LIFE
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    Asked,
    Balance,
    Delivered,
    Found,
    Issued,
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
    at,
    cost,
    entries,
    expect,
    expect_if_said,
    item_and_value,
    link,
    number_of,
    said,
    word,
)

ACCEPT = "application/com.reloadly.giftcards-v1+json"
ASSUMED = COMMON_ASSUMED | {
    "list.path": "/reports/transactions?startDate={from}&endDate={to}&page={page}&size={size}",
    "list.cost": "amount",
    "list.currency": "currencyCode",
    "order.read_path": "/reports/transactions/{ref}",
    "order.search_path": "/reports/transactions?customIdentifier={out_no}",
    "order.search_items": "content",
    "order.product": "product.productId",
    "cards.path": "/orders/transactions/{ref}/cards",
    "cards.items": "",
    "cards.number": "cardNumber",
    "cards.password": "pinCode",
    "cards.link": "redemptionUrl",
}


@dataclass(frozen=True, slots=True)
class ReloadlyGiftCards(NotOffered):
    """One account at giftcards.reloadly.com. A supplier SKU is `PRODUCT` or `PRODUCT:12.50`."""

    traits: ClassVar[Traits] = Traits(
        name="reloadly_gift_cards",
        title="Reloadly · gift cards",
        verified_on=NOTES_READ_ON,
        settings=(
            *account_settings("https://giftcards.reloadly.com"),
            Setting("sender_name", N_("Sender's name"), default="Quanyi"),
            Setting(
                "recipient_email",
                N_("Mail address on orders"),
                pattern=OPTIONAL,
                help=N_("Yours. Buyers' addresses are not handed on."),
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
    sender_name: str
    recipient_email: str

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = settings_of(cls.traits, config)
        account = Account.of(cls.traits, config, client, accept=ACCEPT, defaults=ASSUMED)
        return cls(account, values["sender_name"], values["recipient_email"])

    async def place(self, purchase: Purchase) -> Outcome:
        """A repeat of a used number is refused by the supplier and stays Unknown here: something was bought under it."""
        asked = item_and_value(purchase)
        if asked is None or number_of(asked[0]) is None:
            return Rejected(Reason.NOT_FOR_SALE, "the supplier SKU is not PRODUCT or PRODUCT:VALUE")
        product, value = asked
        order: dict[str, Any] = {
            "productId": number_of(product),
            "quantity": 1,
            "unitPrice": value,
            "customIdentifier": purchase.out_no,
            "senderName": self.sender_name,
        }
        if self.recipient_email:
            order["recipientEmail"] = self.recipient_email
        reply = await self.account.ask("POST", "/orders", order)
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            return self.account.refused(reply)
        try:
            expect_if_said(reply.document, self.account.assumed["order.product"], product)
            found = await self._told(reply, reply.document, purchase.out_no)
        except NotStrictJson as fault:
            return Unknown(f"the order's answer cannot be taken: {fault}", evidence=reply.evidence())
        return Accepted(word(reply.document, "transactionId"), evidence=found.evidence) if isinstance(found, Unknown) else found

    async def query(self, asked: Asked) -> Found:
        """By the supplier's number where it gave one; where it does not know that one, or gave none, by ours."""
        if path := self.account.path("order.read_path", ref=asked.supplier_ref):
            found = await self._read(path, asked.out_no, ref=asked.supplier_ref)
            if not isinstance(found, NoSuchPurchase):
                return found
        if path := self.account.path("order.search_path", ref=asked.supplier_ref, out_no=asked.out_no):
            return await self._read(path, asked.out_no, ref=None)
        return Unknown("there is no address to ask at", is_sent=False)

    async def _read(self, path: str, out_no: str, *, ref: str | None) -> Found:
        """The order at an address, or the one of a list. One number with two orders is Unknown."""
        reply, assumed = await self.account.ask("GET", path), self.account.assumed
        if isinstance(reply, Unknown):
            return reply
        if not reply.is_success:
            if is_code_among(reply.document, assumed["error.code"], words(assumed["not_found.codes"])):
                return NoSuchPurchase(reply.evidence())
            return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
        try:
            if ref:
                expect(reply.document, "transactionId", ref)
                return await self._told(reply, reply.document, out_no)
            orders = entries(reply.document, assumed["order.search_items"])
            if len(orders) != 1:
                return NoSuchPurchase(reply.evidence()) if not orders else Unknown(f"{len(orders)} orders under one number")
            expect(orders[0], "customIdentifier", out_no)
            return await self._told(reply, orders[0], out_no)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())

    async def _told(self, reply: Reply, order: Any, out_no: str) -> Outcome:
        """What an order's document says, its card fetched where it is done. Raises: NotStrictJson where it is another's or unread."""
        expect_if_said(order, "customIdentifier", out_no)
        ref, status = word(order, "transactionId"), self.account.status(order, "status")
        charged = cost(order, "amount")
        evidence = reply.evidence(transactionId=ref, status=said(order, "status"), amount=charged)
        match status:
            case "delivered":
                issued = await self._card(ref)
                return issued if isinstance(issued, Unknown) else Delivered(ref, (issued,), charged, evidence)
            case "pending":
                return Accepted(ref, evidence)
            case "rejected":
                return Rejected(self.account.reason_of(order), said(order, "status"), evidence)
            case _:
                return Unknown(f"the status {said(order, 'status')} is not listed", evidence=evidence)

    async def _card(self, ref: str) -> Issued | Unknown:
        """The one card of a finished order."""
        assumed = self.account.assumed
        reply = await self.account.ask("GET", self.account.path("cards.path", ref=ref))
        if isinstance(reply, Unknown):
            return reply
        try:
            cards = entries(reply.document, assumed["cards.items"]) if reply.is_success else []
            if len(cards) != 1:
                return Unknown(
                    f"{len(cards)} cards for one ordered (HTTP {reply.status})", evidence=reply.evidence(transactionId=ref)
                )
            return _issued(cards[0], assumed)
        except NotStrictJson as fault:
            return Unknown(f"the card cannot be read: {fault}", evidence=reply.evidence(transactionId=ref))

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        return await self.account.statement(day, cursor)

    async def balance(self) -> Balance | Unknown:
        return await self.account.balance()

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        return self.account.verify_notice(raw, now)


def _issued(card: Mapping[str, Any], assumed: Mapping[str, str]) -> Issued:
    """A card whose number is absent is its pin; one whose number is an empty text is none. Raises: NotStrictJson."""
    number, password = (said(card, assumed[f"cards.{name}"]) for name in ("number", "password"))
    address = link(card, assumed["cards.link"])
    if not number and at(card, assumed["cards.number"]) is None and password:
        number, password = password, ""
    if not (number or address):
        raise NotStrictJson("the card has no number")
    return Issued(number=number, password=password, link=address)
