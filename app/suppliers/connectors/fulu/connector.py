"""Fulu (福禄开放平台), protocol version 2.0.

Source: three public SDKs (songjian/fulusdk and two others) and an integration article; nothing was called live. Verified: gateway, envelope, signature,
methods, fields of the order calls, the three order states, hidden cards, the notice and its acknowledgement. Not verified, and therefore settings:
which codes are a definite no and what they mean, the code for "no such order", names inside cards, goods, templates and the account.
No text promises how long a number stays used, nor when "not found" can be believed: a number is never sent twice, and the grace is ten minutes, the
longest that any description of this family gives. The limits are our own caution.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from app.kernel import clock, http, strict_json
from app.kernel.errors import N_
from app.kernel.http import MAX_BODY_BYTES, Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors import assumed, wire
from app.suppliers.connectors.fulu.signing import is_signed, open_card, sign, written
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    AccountField,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Delivered,
    FieldKind,
    Forged,
    Found,
    Issued,
    NoSuchGoods,
    NoSuchPurchase,
    Notice,
    Outcome,
    Purchase,
    PurchaseNotice,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    Traits,
    Unknown,
)

CHINA = ZoneInfo("Asia/Shanghai")
PAGE = 500
CURRENCY = "CNY"
OUR_NUMBER = "customer_order_no"
ACCOUNT_NAMES = frozenset(
    {
        "charge_account",
        "charge_game_name",
        "charge_game_region",
        "charge_game_srv",
        "charge_game_role",
        "charge_type",
        "charge_password",
        "charge_ip",
        "contact_qq",
        "contact_tel",
    }
)
NOT_VERIFIED = {
    "not_found_codes": "",
    "card.number": "card_number",
    "card.password": "card_pwd",
    "card.expires": "card_deadline",
    "goods.sku": "product_id",
    "goods.name": "product_name",
    "goods.cost": "purchase_price",
    "goods.face_value": "face_value",
    "goods.kind": "product_type",
    "goods.kinds_of_cards": "卡密",
    "goods.sale": "sales_status",
    "goods.on_sale": "上架",
    "goods.stock": "stock_status",
    "goods.sold_out": "断货",
    "template.id": "template_id",
    "template.fields": "ElementInfo.Inputs",
    "template.field_name": "Id",
    "template.field_label": "Name",
    "balance": "balance",
}


@dataclass(frozen=True, slots=True)
class Fulu:
    """One application (app_key) at Fulu."""

    traits: ClassVar[Traits] = Traits(
        name="fulu",
        title="福禄 Fulu",
        verified_on=date(2026, 11, 21),
        settings=(
            Setting(
                "gateway_url",
                N_("Gateway address"),
                default="https://openapi.fulu.com/api/getway",
                help=N_("The sandbox is a host of its own: take it from your console."),
                pattern=assumed.ADDRESS,
            ),
            Setting("app_key", "app_key"),
            Setting(
                "app_secret",
                "app_secret",
                is_secret=True,
                help=N_("32 characters; it also opens the cards."),
                pattern=r"[!-~]{32}",
            ),
            Setting(
                assumed.REFUSALS,
                N_("Codes that are a definite no"),
                default=",".join(f"{code}=refused" for code in (3001, 3002, 3003, 3004, 3005, 3008)),
                help=N_(
                    "CODE=reason, separated by commas. One public SDK tries other goods after the codes given here; their meaning is not verified."
                ),
                pattern=assumed.OPTIONAL,
            ),
            assumed.assumed_setting(NOT_VERIFIED),
        ),
        abilities=frozenset({Ability.CATALOG, Ability.STOCK, Ability.BALANCE, Ability.NOTICES}),
        not_found_grace=timedelta(minutes=10),
        idempotency_life=None,
        calls_per_second=10.0,
        calls_at_once=8,
    )

    gateway_url: str
    app_key: str = field(repr=False)
    app_secret: str = field(repr=False)
    refusals: Mapping[str, Reason]
    names: Mapping[str, str]
    client: Client = field(repr=False)
    total_s: float = wire.TOTAL_S

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = assumed.settings_of(cls.traits, config)
        return cls(
            gateway_url=values["gateway_url"],
            app_key=values["app_key"],
            app_secret=values["app_secret"],
            refusals=assumed.refusals_of(values[assumed.REFUSALS], never=r"^0$"),
            names=assumed.assumptions(values[assumed.ASSUMED], NOT_VERIFIED),
            client=client or http.shared(),
        )

    @property
    def abilities(self) -> frozenset[Ability]:
        return self.traits.abilities

    async def place(self, purchase: Purchase) -> Outcome:
        """Acceptance is no success, and cards are never in this answer: both are asked for.

        The SKU `mobile` is mobile credit (charge_phone, by face value), `data:KIND` a data package, any other a product: a top-up when an account is given.
        """
        order = _order(purchase)
        if isinstance(order, Rejected):
            return order
        method, content = order
        said = await self._ask(method, {**content, OUR_NUMBER: purchase.out_no})
        if isinstance(said, Unknown):
            return said
        if said.code != "0":
            return said.refused(self.refusals)
        try:
            wire.expect_if_said(said.result, OUR_NUMBER, purchase.out_no)
            return Accepted(wire.said(said.result, "order_id") or None, said.evidence())
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be used: {fault}", evidence=said.evidence())

    async def query(self, asked: Asked) -> Found:
        said = await self._ask("fulu.order.info.get", {OUR_NUMBER: asked.out_no})
        if isinstance(said, Unknown):
            return said
        if said.code != "0":
            if said.code.upper() in assumed.words(self.names["not_found_codes"]):
                return NoSuchPurchase(said.evidence())
            return Unknown(f"asking was refused with code {said.code}", evidence=said.evidence())
        try:
            return self._found(said, asked)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be used: {fault}", evidence=said.evidence())

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown:
        """The supplier gives one list; it is cut into pages here."""
        said = await self._ask("fulu.goods.list.get", {})
        if isinstance(said, Unknown):
            return said
        try:
            if said.code != "0":
                raise NotStrictJson(f"the code is {said.code}")
            entries = wire.entries(said.result, "")
        except NotStrictJson as fault:
            return Unknown(f"the catalog cannot be read: {fault}", evidence=said.evidence())
        first = int(cursor or "0")
        page = entries[first : first + PAGE]
        items = tuple(item for entry in page if (item := self._item(entry)) is not None)
        return CatalogPage(items, str(first + PAGE) if first + PAGE < len(entries) else None, len(page) - len(items))

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        said = await self._ask("fulu.goods.info.get", {"product_id": supplier_sku})
        if isinstance(said, Unknown):
            return said
        item = self._item(said.result) if said.code == "0" and isinstance(said.result, dict) else None
        if item is None or item.supplier_sku != supplier_sku:
            return Unknown(f"the answer does not describe these goods (code {said.code})", evidence=said.evidence())
        if item.delivery_kind == "card_key":
            return item
        fields = await self._template_fields(wire.at(said.result, self.names["template.id"]))
        return replace(item, account_fields=fields) if fields else item

    async def balance(self) -> Balance | Unknown:
        said = await self._ask("fulu.user.info.get", {})
        if isinstance(said, Unknown):
            return said
        try:
            amount = wire.cost(said.result, self.names["balance"]) if said.code == "0" else None
        except NotStrictJson:
            amount = None
        if amount is None:
            return Unknown(f"the balance cannot be read (code {said.code})", evidence=said.evidence())
        return Balance(amount, CURRENCY)

    pre_check = wire.NotOffered.pre_check
    statement = wire.NotOffered.statement
    verify_goods_notice = wire.NotOffered.verify_goods_notice
    acknowledge_goods = wire.NotOffered.acknowledge_goods
    verify_use_notice = wire.NotOffered.verify_use_notice
    acknowledge_use = wire.NotOffered.acknowledge_use

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        """The signature is read as that of requests: the characters of the message without `sign`, in order, and the secret."""
        try:
            document = strict_json.parse_object(raw.body, exact=True)
            given = wire.said(document, "sign")
            unsigned = {name: value for name, value in document.items() if name != "sign"}
            if not is_signed(written(unsigned), self.app_secret, given):
                return Forged("the notice's signature is wrong")
            out_no, ref, state = (wire.word(document, name) for name in (OUR_NUMBER, "order_id", "order_status"))
        except NotStrictJson as fault:
            return Forged(str(fault))
        return PurchaseNotice(f"{ref}:{state}"[:200], out_no, ref)

    def acknowledge(self) -> tuple[int, bytes, str]:
        return 200, b"success", "text/plain"

    async def _ask(self, method: str, content: Mapping[str, Any]) -> _Said | Unknown:
        common = {
            "app_key": self.app_key,
            "method": method,
            "timestamp": clock.now().astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "version": "2.0",
            "format": "json",
            "charset": "utf-8",
            "sign_type": "md5",
            "app_auth_token": "",
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        }
        common["sign"] = sign(written(common), self.app_secret)
        call = Call("POST", self.gateway_url, {"Content-Type": "application/json"}, written(common).encode("utf-8"))
        reply = await wire.exchange(self.client, call, total_s=self.total_s)
        if isinstance(reply, Unknown):
            return reply
        return _read(reply, self.app_secret)

    async def _template_fields(self, template_id: Any) -> tuple[AccountField, ...]:
        """What a top-up's template asks the buyer, as far as orders have a place for it; nothing where it cannot be read."""
        if not isinstance(template_id, str | int):
            return ()
        said = await self._ask("fulu.goods.template.get", {"template_id": str(template_id)})
        if isinstance(said, Unknown) or said.code != "0":
            return ()
        try:
            listed = wire.entries(said.result, self.names["template.fields"])
            named = [(wire.said(one, self.names["template.field_name"]), one) for one in listed]
            return tuple(
                AccountField(name, wire.said(one, self.names["template.field_label"]) or name)
                for name, one in named
                if name in ACCOUNT_NAMES
            )
        except NotStrictJson:
            return ()

    def _found(self, said: _Said, asked: Asked) -> Found:
        """Raises: NotStrictJson where the answer is about another order, or cannot be read."""
        result = said.result
        wire.expect_if_said(result, OUR_NUMBER, asked.out_no)
        if asked.supplier_ref:
            wire.expect_if_said(result, "order_id", asked.supplier_ref)
        ref = wire.said(result, "order_id")
        if not (wire.said(result, OUR_NUMBER) or (ref and asked.supplier_ref)):
            raise NotStrictJson("it names neither our number nor one we know")
        if wire.count(result, "buy_num") not in (None, 1):
            raise NotStrictJson("it speaks of another quantity")
        state = wire.said(result, "order_state")
        evidence = said.evidence(state=state, order_id=ref, finish_time=wire.said(result, "finish_time"))
        match state:
            case "success":
                cost = wire.cost(result, "order_price")
                return Delivered(ref or asked.out_no, self._issued(result), cost, evidence)
            case "processing":
                return Accepted(ref or None, evidence)
            case "failed":
                return Rejected(Reason.REFUSED, "order_state failed", evidence)
            case _:
                return Unknown(f"the order's state is none we know ({state[:40]})", evidence=evidence)

    def _issued(self, result: Any) -> tuple[Issued, ...]:
        """At most one card, for one unit was bought. Raises: NotStrictJson."""
        if wire.at(result, "cards") in (None, "", []):
            return ()
        cards = wire.entries(result, "cards")
        if len(cards) != 1:
            raise NotStrictJson(f"it holds {len(cards)} cards for one unit")
        hidden = (wire.said(cards[0], self.names[name]) for name in ("card.number", "card.password"))
        number, password = (text and open_card(text, self.app_secret) for text in hidden)
        if not number and not password:
            raise NotStrictJson("it holds a card without a number")
        expires_on = _day(wire.said(cards[0], self.names["card.expires"]))
        return (Issued(number or password, password if number else "", expires_on=expires_on),)

    def _item(self, entry: Mapping[str, Any]) -> CatalogItem | None:
        """None for an entry that makes no sense."""
        names = self.names
        try:
            cost, value = wire.cost(entry, names["goods.cost"]), wire.cost(entry, names["goods.face_value"])
            sku, name = wire.word(entry, names["goods.sku"]), wire.word(entry, names["goods.name"])
            is_card = wire.said(entry, names["goods.kind"]).upper() in assumed.words(names["goods.kinds_of_cards"])
            is_sold_out = wire.said(entry, names["goods.stock"]).upper() in assumed.words(names["goods.sold_out"])
            sale = wire.said(entry, names["goods.sale"]).upper()
        except NotStrictJson:
            return None
        if cost is None:
            return None
        return CatalogItem(
            supplier_sku=sku,
            name=name,
            delivery_kind="card_key" if is_card else "direct_top_up",
            unit_cost=cost,
            currency=CURRENCY,
            is_on_sale=sale == "" or sale in assumed.words(names["goods.on_sale"]),
            stock=0 if is_sold_out else None,
            face_value_minor=None if value is None else int(value * 100),
            account_fields=() if is_card else (AccountField("charge_account", "充值账号", FieldKind.TEXT),),
        )


@dataclass(frozen=True, slots=True)
class _Said:
    """The envelope of an answer, its signature checked, with the document inside it."""

    code: str
    message: str
    result: Any = field(repr=False)

    def evidence(self, **more: str) -> str:
        told = {"code": self.code, "message": self.message, **more}
        return " ".join(f"{name}={value}" for name, value in told.items() if value)[: wire.MAX_EVIDENCE_CHARS]

    def refused(self, refusals: Mapping[str, Reason]) -> Rejected | Unknown:
        if self.code in refusals:
            return Rejected(refusals[self.code], f"code {self.code}: {self.message}"[:200], self.evidence())
        return Unknown(f"code {self.code} is not on the list of refusals", evidence=self.evidence())


def _read(reply: wire.Reply, secret: str) -> _Said | Unknown:
    if not reply.is_success:
        return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
    try:
        code, message = wire.word(reply.document, "code"), wire.said(reply.document, "message")
        text, given = wire.at(reply.document, "result"), wire.said(reply.document, "sign")
        result = None
        if code == "0":
            if not isinstance(text, str):
                raise NotStrictJson("result is not a text")
            if given and not is_signed(text, secret, given):
                return Unknown("the answer's signature is wrong", evidence=reply.evidence(code=code))
            result = strict_json.parse_value(text.encode("utf-8"), max_bytes=MAX_BODY_BYTES, exact=True)
    except NotStrictJson as fault:
        return Unknown(f"the answer cannot be read: {fault}", evidence=reply.evidence())
    return _Said(code, message[:200], result)


def _order(purchase: Purchase) -> tuple[str, dict[str, Any]] | Rejected:
    """The method and what is ordered; refused here, with nothing sent, what this protocol cannot carry."""
    sku, account, value = purchase.supplier_sku, dict(purchase.account), purchase.face_value_minor
    if sku == "mobile" or sku.startswith("data:"):
        if value is None or not account.get("charge_phone"):
            return Rejected(Reason.NOT_FOR_SALE, "mobile credit needs charge_phone and a face value")
        order: dict[str, Any] = {"charge_phone": account["charge_phone"], "charge_value": _plain(Decimal(value) / 100)}
        if sku == "mobile":
            return "fulu.order.mobile.add", order
        return "fulu.order.data.add", {**order, "packet_kind": sku.removeprefix("data:")}
    if unknown := set(account) - ACCOUNT_NAMES:
        return Rejected(Reason.NOT_FOR_SALE, f"this supplier has no account field {', '.join(sorted(unknown))[:100]}")
    product = {"product_id": sku, "buy_num": 1}
    return ("fulu.order.direct.add", {**product, **account}) if account else ("fulu.order.card.add", product)


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _day(text: str) -> date | None:
    found = re.match(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})", text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None
