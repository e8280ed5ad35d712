"""DingConnect.

Verified, by a client generated from the published interface in 2019: host api.dingconnect.com, /api/V1, header api_key; POST SendTransfer with SkuCode,
SendValue (two decimals), SendCurrencyIso, AccountNumber, DistributorRef, Settings and ValidateOnly; POST ListTransferRecords to ask; GET GetProducts,
GetAccountLookup, GetBalance; answers are made of TransferId{TransferRef, DistributorRef}, ProcessingState, ResultCode and ErrorCodes[{Code, Context}].
What a repeated DistributorRef does was not verified, so a number is never sent twice. The words of ProcessingState, the result code for success, the
envelopes, the fields of products and the instant of a transfer were not read: defaults in `ASSUMED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from app.kernel import http
from app.kernel.clock import business_day
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
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
from app.suppliers.connectors.notes import CALLS_AT_ONCE, CALLS_PER_SECOND, DINGCONNECT_READ_ON, GRACE
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    AccountField,
    AccountFits,
    AccountRefused,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Delivered,
    FieldKind,
    Found,
    NoSuchGoods,
    NoSuchPurchase,
    Outcome,
    Purchase,
    Reason,
    Rejected,
    Setting,
    StatementLine,
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
    expect_if_said,
    instant,
    item_and_value,
    said,
    word,
)

PHONE = AccountField("phone", N_("Phone number with its country code"), FieldKind.PHONE, pattern=r"\+?\d{7,15}")
ERROR_CODES = "ErrorCodes.Code"
PAGE = 500
STATEMENT_PAGE = 100
ASSUMED = {
    "result.ok": "1",
    "transfer": "TransferRecord",
    "transfer.cost": "Price.SendValue",
    "transfer.account": "AccountNumber",
    "transfer.sku": "SkuCode",
    "status.delivered": "Complete",
    "status.pending": "Submitted, Processing",
    "status.rejected": "",
    "list.items": "Items",
    "list.take": "2",
    "list.at": "StartedUtc",
    "products.items": "Items",
    "products.sku": "SkuCode",
    "products.name": "DefaultDisplayText",
    "products.region": "RegionCode",
    "products.least": "Minimum.SendValue",
    "products.most": "Maximum.SendValue",
    "products.currency": "Minimum.SendCurrencyIso",
    "lookup.parameter": "accountNumber",
    "lookup.items": "Items",
    "balance.amount": "Balance",
    "balance.currency": "CurrencyIso",
}


@dataclass(frozen=True, slots=True)
class DingConnect(NotOffered):
    """One account at DingConnect. A supplier SKU is `SKU` or `SKU:5.00`; the account has one field, `phone`."""

    traits: ClassVar[Traits] = Traits(
        name="dingconnect",
        title="DingConnect",
        verified_on=DINGCONNECT_READ_ON,
        settings=(
            Setting("base_url", N_("Address of the interface"), default="https://api.dingconnect.com/api/V1", pattern=ADDRESS),
            Setting("api_key", N_("API key"), is_secret=True, pattern=r"\S+"),
            REFUSALS_SETTING,
            assumed_setting(ASSUMED),
        ),
        abilities=frozenset({Ability.CATALOG, Ability.PRE_CHECK, Ability.BALANCE, Ability.STATEMENT}),
        not_found_grace=GRACE,
        idempotency_life=None,
        calls_per_second=CALLS_PER_SECOND,
        calls_at_once=CALLS_AT_ONCE,
    )

    base_url: str
    api_key: str = field(repr=False)
    refusals: Mapping[str, Reason]
    assumed: Mapping[str, str]
    client: Client = field(repr=False)

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = settings_of(cls.traits, config)
        return cls(
            base_url=values["base_url"].rstrip("/"),
            api_key=values["api_key"],
            refusals=refusals_of(values[REFUSALS], never=r"duplicate|distributorref|already"),
            assumed=assumptions(values[ASSUMED_SETTING], ASSUMED),
            client=client or http.shared(),
        )

    async def place(self, purchase: Purchase) -> Outcome:
        """Sent once for ever: what a repeat of the number would do is not known."""
        asked, number = item_and_value(purchase), _digits(purchase.account.get("phone", ""))
        if asked is None:
            return Rejected(Reason.NOT_FOR_SALE, "the supplier SKU is not SKU or SKU:VALUE")
        if not number:
            return Rejected(Reason.BAD_ACCOUNT, "the phone number is none")
        transfer = {
            "SkuCode": asked[0],
            "SendValue": asked[1].quantize(Decimal("0.01")),
            "AccountNumber": number,
            "DistributorRef": purchase.out_no,
            "Settings": [],
            "ValidateOnly": False,
        }
        if purchase.currency:
            transfer["SendCurrencyIso"] = purchase.currency
        reply = await self._ask("POST", "/SendTransfer", transfer)
        if isinstance(reply, Unknown):
            return reply
        try:
            if not self._is_ok(reply):
                return refused(reply, ERROR_CODES, self.refusals)
            record = at(reply.document, self.assumed["transfer"])
            expect_if_said(record, self.assumed["transfer.sku"], asked[0])
            expect_if_said(record, self.assumed["transfer.account"], number)
            return self._told(reply, record, purchase.out_no)
        except NotStrictJson as fault:
            return Unknown(f"the transfer's answer cannot be taken: {fault}", evidence=reply.evidence())

    async def query(self, asked: Asked) -> Found:
        """By our number; two transfers under it are Unknown."""
        document = {"DistributorRef": asked.out_no, "Take": int(self.assumed["list.take"]), "Skip": 0}
        reply = await self._ask("POST", "/ListTransferRecords", document)
        if isinstance(reply, Unknown):
            return reply
        try:
            if not self._is_ok(reply):
                return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
            found = entries(reply.document, self.assumed["list.items"])
            if len(found) > 1:
                return Unknown(f"{len(found)} transfers under one number", evidence=reply.evidence())
            if not found:
                return NoSuchPurchase(reply.evidence())
            record = at(found[0], self.assumed["transfer"]) or found[0]
            if asked.supplier_ref:
                expect(record, "TransferId.TransferRef", asked.supplier_ref)
            return self._told(reply, record, asked.out_no)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=reply.evidence())

    def _told(self, reply: Reply, record: Any, out_no: str) -> Outcome:
        """What a transfer's record says. Raises: NotStrictJson where it is another's or unread."""
        expect(record, "TransferId.DistributorRef", out_no)
        ref, state = word(record, "TransferId.TransferRef"), word(record, "ProcessingState")
        charged = cost(record, self.assumed["transfer.cost"])
        evidence = reply.evidence(TransferRef=ref, ProcessingState=state, charged=charged)
        if state.upper() in words(self.assumed["status.delivered"]):
            return Delivered(ref, (), charged, evidence)
        if state.upper() in words(self.assumed["status.pending"]):
            return Accepted(ref, evidence)
        if state.upper() in words(self.assumed["status.rejected"]):
            return Rejected(Reason.REFUSED, state, evidence)
        return Unknown(f"the state {state} is not listed", evidence=evidence)

    async def pre_check(self, supplier_sku: str, account: Mapping[str, str]) -> AccountFits | AccountRefused | Unknown:
        """By GetAccountLookup: nothing is bought. No entry for a number is no evidence against it."""
        number = _digits(account.get("phone", ""))
        if not number:
            return AccountRefused("the phone number is none")
        reply = await self._ask("GET", "/GetAccountLookup?" + urlencode({self.assumed["lookup.parameter"]: number}))
        if isinstance(reply, Unknown):
            return reply
        try:
            if self._is_ok(reply):
                return (
                    AccountFits()
                    if entries(reply.document, self.assumed["lookup.items"])
                    else Unknown("the number was not found")
                )
        except NotStrictJson as fault:
            return Unknown(f"the look-up cannot be read: {fault}", evidence=reply.evidence())
        bad = frozenset(code.upper() for code, reason in self.refusals.items() if reason is Reason.BAD_ACCOUNT)
        if is_code_among(reply.document, ERROR_CODES, bad):
            return AccountRefused("the supplier does not know the number")
        return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown:
        """All products come in one answer; the cursor counts into it."""
        products = await self._products()
        if isinstance(products, Unknown):
            return products
        start = int(cursor or 0)
        read = [self._item(product) for product in products[start : start + PAGE]]
        items = tuple(item for item in read if item is not None)
        more = str(start + PAGE) if start + PAGE < len(products) else None
        return CatalogPage(items, more, unread=len(read) - len(items))

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        """Read from the whole list: there is no call for one."""
        products, sku = await self._products(), supplier_sku.partition(":")[0]
        if isinstance(products, Unknown):
            return products
        named = [product for product in products if product.get(self.assumed["products.sku"]) == sku]
        if not named:
            return NoSuchGoods()
        return self._item(named[0]) or Unknown(f"the product {sku} makes no sense")

    async def _products(self) -> list[Mapping[str, Any]] | Unknown:
        reply = await self._ask("GET", "/GetProducts")
        if isinstance(reply, Unknown):
            return reply
        try:
            if not self._is_ok(reply):
                return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
            return entries(reply.document, self.assumed["products.items"])
        except NotStrictJson as fault:
            return Unknown(f"the products cannot be read: {fault}", evidence=reply.evidence())

    def _item(self, product: Mapping[str, Any]) -> CatalogItem | None:
        """None for an entry that makes no sense. A product of one value costs that value; a range costs 1 for each 1 of value."""
        try:
            least, most = (cost(product, self.assumed[f"products.{end}"]) for end in ("least", "most"))
            if least is None or most is None or not 0 < least <= most:
                return None
            is_fixed = least == most
            least_minor, most_minor = int(least * 100), int(most * 100)
            sku = word(product, self.assumed["products.sku"])
            return CatalogItem(
                supplier_sku=f"{sku}:{least:.2f}" if is_fixed else sku,
                name=said(product, self.assumed["products.name"]) or sku,
                delivery_kind="direct_top_up",
                unit_cost=least if is_fixed else Decimal(1),
                currency=word(product, self.assumed["products.currency"]),
                face_value_minor=least_minor if is_fixed else None,
                least_minor=None if is_fixed else least_minor,
                most_minor=None if is_fixed else most_minor,
                region=said(product, self.assumed["products.region"]),
                account_fields=(PHONE,),
            )
        except NotStrictJson:
            return None

    async def balance(self) -> Balance | Unknown:
        reply = await self._ask("GET", "/GetBalance")
        if isinstance(reply, Unknown):
            return reply
        try:
            amount = cost(reply.document, self.assumed["balance.amount"])
            if not self._is_ok(reply) or amount is None:
                return Unknown("the balance was not told", evidence=reply.evidence())
            return Balance(amount, word(reply.document, self.assumed["balance.currency"]))
        except NotStrictJson as fault:
            return Unknown(f"the balance cannot be read: {fault}", evidence=reply.evidence())

    async def statement(self, day: date, cursor: str | None) -> StatementPage | Unknown:
        """The account's transfers, newest first, those of one of our business days; the cursor counts them. Ends with the first that is older than the day."""
        skip = int(cursor or 0)
        reply = await self._ask("POST", "/ListTransferRecords", {"Take": STATEMENT_PAGE, "Skip": skip})
        if isinstance(reply, Unknown):
            return reply
        try:
            if not self._is_ok(reply):
                return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
            records = [
                at(entry, self.assumed["transfer"]) or entry for entry in entries(reply.document, self.assumed["list.items"])
            ]
            days = [instant(word(record, self.assumed["list.at"])) for record in records]
            lines = tuple(
                self._line(record, when) for record, when in zip(records, days, strict=True) if business_day(when) == day
            )
        except NotStrictJson as fault:
            return Unknown(f"the transfers cannot be read: {fault}", evidence=reply.evidence())
        is_last = len(records) < STATEMENT_PAGE or business_day(days[-1]) < day
        return StatementPage(lines, None if is_last else str(skip + STATEMENT_PAGE))

    def _line(self, record: Any, when: datetime) -> StatementLine:
        """Raises: NotStrictJson where a transfer has no number or no cost."""
        charged = cost(record, self.assumed["transfer.cost"])
        if charged is None:
            raise NotStrictJson("a transfer names no cost")
        return StatementLine(
            out_no=word(record, "TransferId.DistributorRef"),
            supplier_ref=word(record, "TransferId.TransferRef"),
            is_success=word(record, "ProcessingState").upper() in words(self.assumed["status.delivered"]),
            cost=charged,
            currency=word(record, "Price.SendCurrencyIso"),
            at=when,
        )

    def _is_ok(self, reply: Reply) -> bool:
        """Raises: NotStrictJson where the result code is neither text nor number."""
        return reply.is_success and said(reply.document, "ResultCode").upper() in words(self.assumed["result.ok"])

    async def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Reply | Unknown:
        headers = {"api_key": self.api_key, "Accept": "application/json", "Content-Type": "application/json"}
        body = b"" if document is None else encode(document)
        return await exchange(self.client, Call(method, self.base_url + path, headers, body))


def _digits(number: str) -> str:
    """A number in international form without its plus; empty where it is none."""
    plain = number.strip().removeprefix("+")
    return plain if plain.isascii() and plain.isdecimal() and 7 <= len(plain) <= 15 else ""
