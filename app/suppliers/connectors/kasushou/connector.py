"""Kasushou (卡速售), version 2 of its interface.

Source: its document site and mirrored pages; nothing was called live. Verified: base path, signature, order/buy with its
fields, order/info with its number lists, window and code 200, that acceptance is no success and that a call without answer is asked about. Not
verified, and therefore settings: the numbers of the order states (without a default: the merchant fills them in from his platform's document), which codes
are a definite no, the names of the answers' fields, the paths of goods and balance. The notice's body is not verified either: no notice address is given, and orders
are polled. No text promises how long a number stays used: none is sent twice. The grace is ten minutes, the longest of this family; the limits are our own caution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from app.kernel import clock, http
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors import assumed, wire
from app.suppliers.connectors.kasushou.signing import sign, written
from app.suppliers.connectors.port import (
    Ability,
    Accepted,
    AccountField,
    Asked,
    Balance,
    CatalogItem,
    CatalogPage,
    Delivered,
    Forged,
    Found,
    IncompleteConnection,
    Issued,
    NoSuchGoods,
    NoSuchPurchase,
    Notice,
    Outcome,
    Purchase,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    Traits,
    Unknown,
)

CURRENCY = "CNY"
GOOD = "200"
OURS = frozenset({"id", "quantity", "url", "external_orderno"})
"""Names of the order itself, which no account field may take."""
PAGE = 500
MAX_PAGES = 1000
NOT_VERIFIED = {
    "data": "data",
    "order.status": "status",
    "order.cost": "total_price",
    "order.quantity": "quantity",
    "order.cards": "cards",
    "card.number": "card_no",
    "card.password": "card_password",
    "card.expires": "expire",
    "path.goods": "goods/list",
    "path.one": "goods/detail",
    "path.balance": "user/info",
    "goods.list": "data.list",
    "goods.page": "page",
    "goods.sku": "id",
    "goods.name": "goods_name",
    "goods.cost": "goods_price",
    "goods.face_value": "face_value",
    "goods.stock": "stock_num",
    "goods.status": "status",
    "goods.on_sale": "1",
    "goods.kind": "goods_type",
    "goods.kinds_of_cards": "1",
    "goods.fields": "attach",
    "goods.field_name": "name",
    "goods.field_label": "title",
    "goods.none_codes": "",
    "balance": "data.money",
}


class State(StrEnum):
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Kasushou:
    """One account at one platform that runs Kasushou."""

    traits: ClassVar[Traits] = Traits(
        name="kasushou",
        title="卡速售 v2",
        verified_on=date(2026, 11, 21),
        settings=(
            Setting("base_url", N_("Platform address"), help=N_("With https://, without /api."), pattern=assumed.ADDRESS),
            Setting("user_id", "UserId"),
            Setting("api_key", "apikey", is_secret=True),
            Setting(
                "states",
                N_("Order states"),
                help=N_(
                    "NUMBER=processing, success or failed, separated by commas, from your platform's document: they are not public. "
                    "Any other number is unknown."
                ),
                pattern=r"\s*-?\d{1,6}\s*=\s*(processing|success|failed)\s*(,\s*-?\d{1,6}\s*=\s*(processing|success|failed)\s*)*",
            ),
            assumed.REFUSALS_SETTING,
            assumed.assumed_setting(NOT_VERIFIED),
        ),
        abilities=frozenset({Ability.CATALOG, Ability.STOCK, Ability.BALANCE}),
        not_found_grace=timedelta(minutes=10),
        idempotency_life=None,
        calls_per_second=5.0,
        calls_at_once=4,
    )

    base_url: str
    user_id: str = field(repr=False)
    api_key: str = field(repr=False)
    states: Mapping[str, State]
    refusals: Mapping[str, Reason]
    names: Mapping[str, str]
    client: Client = field(repr=False)
    total_s: float = wire.TOTAL_S

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = assumed.settings_of(cls.traits, config)
        return cls(
            base_url=values["base_url"].rstrip("/"),
            user_id=values["user_id"],
            api_key=values["api_key"],
            states=_states(values["states"]),
            refusals=assumed.refusals_of(values[assumed.REFUSALS], never=r"^200$"),
            names=assumed.assumptions(values[assumed.ASSUMED], NOT_VERIFIED),
            client=client or http.shared(),
        )

    @property
    def abilities(self) -> frozenset[Ability]:
        return self.traits.abilities

    async def place(self, purchase: Purchase) -> Outcome:
        """Acceptance is no success, and cards are never in this answer: both are asked for."""
        if taken := OURS & set(purchase.account):
            return Rejected(Reason.NOT_FOR_SALE, f"an account field cannot be named {', '.join(sorted(taken))}")
        order = {"id": purchase.supplier_sku, "quantity": 1, "external_orderno": purchase.out_no, **purchase.account}
        reply = await self._ask("order/buy", order)
        if isinstance(reply, Unknown):
            return reply
        try:
            code = wire.word(reply.document, "code")
            if code != GOOD:
                return _refused(reply, code, self.refusals)
            order_at = self._one_of(wire.at(reply.document, self.names["data"]))
            wire.expect_if_said(order_at, "external_orderno", purchase.out_no)
            return Accepted(wire.said(order_at, "ordersn") or None, reply.evidence(code=code))
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be used: {fault}", evidence=reply.evidence())

    async def query(self, asked: Asked) -> Found:
        """Of all days: the platform's own window is 30."""
        reply = await self._ask("order/info", {"external_orderno": asked.out_no, "day": 0})
        if isinstance(reply, Unknown):
            return reply
        try:
            code = wire.word(reply.document, "code")
            if code != GOOD:
                return Unknown(f"asking was refused with code {code}", evidence=reply.evidence(code=code))
            found = wire.at(reply.document, self.names["data"])
            if found == []:
                return NoSuchPurchase(reply.evidence(code=code))
            return self._found(self._one_of(found), asked, reply)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be used: {fault}", evidence=reply.evidence())

    async def catalog(self, cursor: str | None, since: datetime | None) -> CatalogPage | Unknown:
        """The cursor is the page and the first SKU of the page before: a platform that ignores the page is read once."""
        text, _, before = (cursor or "1:").partition(":")
        reply = await self._ask(self.names["path.goods"], {self.names["goods.page"]: int(text)})
        if isinstance(reply, Unknown):
            return reply
        try:
            wire.expect(reply.document, "code", GOOD)
            entries = wire.entries(reply.document, self.names["goods.list"])
            if len(entries) > PAGE:
                raise NotStrictJson(f"a page has over {PAGE} goods")
            first = wire.said(entries[0], self.names["goods.sku"]) if entries else ""
        except NotStrictJson as fault:
            return Unknown(f"the catalog cannot be read: {fault}", evidence=reply.evidence())
        if not entries or (first and first == before) or int(text) >= MAX_PAGES:
            return CatalogPage(())
        items = tuple(item for entry in entries if (item := self._item(entry)) is not None)
        return CatalogPage(items, f"{int(text) + 1}:{first}", len(entries) - len(items))

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        reply = await self._ask(self.names["path.one"], {"id": supplier_sku})
        if isinstance(reply, Unknown):
            return reply
        try:
            code = wire.word(reply.document, "code")
            if code.upper() in assumed.words(self.names["goods.none_codes"]):
                return NoSuchGoods()
            found = wire.at(reply.document, self.names["data"]) if code == GOOD else None
            item = self._item(found) if isinstance(found, dict) else None
        except NotStrictJson as fault:
            return Unknown(f"the goods cannot be read: {fault}", evidence=reply.evidence())
        if item is None or item.supplier_sku != supplier_sku:
            return Unknown(f"the answer does not describe these goods (code {code})", evidence=reply.evidence(code=code))
        return item

    async def balance(self) -> Balance | Unknown:
        reply = await self._ask(self.names["path.balance"], {})
        if isinstance(reply, Unknown):
            return reply
        try:
            wire.expect(reply.document, "code", GOOD)
            amount = wire.cost(reply.document, self.names["balance"])
            if amount is None:
                raise NotStrictJson(f"{self.names['balance']} is missing")
        except NotStrictJson as fault:
            return Unknown(f"the balance cannot be read: {fault}", evidence=reply.evidence())
        return Balance(amount, CURRENCY)

    pre_check = wire.NotOffered.pre_check
    statement = wire.NotOffered.statement
    verify_goods_notice = wire.NotOffered.verify_goods_notice
    acknowledge_goods = wire.NotOffered.acknowledge_goods
    verify_use_notice = wire.NotOffered.verify_use_notice
    acknowledge_use = wire.NotOffered.acknowledge_use
    acknowledge = wire.NotOffered.acknowledge

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        return Forged("what this supplier's notices look like is not known: orders are asked about")

    async def _ask(self, path: str, content: Mapping[str, Any]) -> wire.Reply | Unknown:
        body, timestamp_ms = written(content), str(int(clock.now().timestamp() * 1000))
        headers = {
            "Content-Type": "application/json",
            "Sign": sign(timestamp_ms, body, self.api_key),
            "Timestamp": timestamp_ms,
            "UserId": self.user_id,
        }
        call = Call("POST", f"{self.base_url}/api/v1/{path}", headers, body.encode("utf-8"))
        reply = await wire.exchange(self.client, call, total_s=self.total_s)
        if isinstance(reply, wire.Reply) and not reply.is_success:
            return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
        return reply

    def _one_of(self, found: Any) -> Mapping[str, Any]:
        """The one order of an answer, in a list or alone. Raises: NotStrictJson."""
        orders = found if isinstance(found, list) else [found]
        if len(orders) != 1 or not isinstance(orders[0], dict):
            raise NotStrictJson("it is not about one order")
        return orders[0]

    def _found(self, order: Mapping[str, Any], asked: Asked, reply: wire.Reply) -> Found:
        """Raises: NotStrictJson where the answer is about another order, or cannot be read."""
        wire.expect(order, "external_orderno", asked.out_no)
        if asked.supplier_ref:
            wire.expect_if_said(order, "ordersn", asked.supplier_ref)
        if wire.count(order, self.names["order.quantity"]) not in (None, 1):
            raise NotStrictJson("it speaks of another quantity")
        ref, status = wire.said(order, "ordersn"), wire.said(order, self.names["order.status"])
        evidence = reply.evidence(code=GOOD, status=status, ordersn=ref)
        match self.states.get(status):
            case State.SUCCESS:
                cost = wire.cost(order, self.names["order.cost"])
                return Delivered(ref or asked.out_no, self._issued(order), cost, evidence)
            case State.PROCESSING:
                return Accepted(ref or None, evidence)
            case State.FAILED:
                return Rejected(Reason.REFUSED, f"order state {status}", evidence)
            case None:
                return Unknown(f"the order's state {status[:40]} is not in the connection's list", evidence=evidence)

    def _issued(self, order: Mapping[str, Any]) -> tuple[Issued, ...]:
        """At most one card, for one unit was bought. Raises: NotStrictJson."""
        if wire.at(order, self.names["order.cards"]) in (None, "", []):
            return ()
        cards = wire.entries(order, self.names["order.cards"])
        if len(cards) != 1:
            raise NotStrictJson(f"it holds {len(cards)} cards for one unit")
        number, password = (wire.said(cards[0], self.names[name]) for name in ("card.number", "card.password"))
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
            stock, status = wire.count(entry, names["goods.stock"]), wire.said(entry, names["goods.status"]).upper()
            fields = _account_fields(entry, names)
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
            is_on_sale=status == "" or status in assumed.words(names["goods.on_sale"]),
            stock=stock,
            face_value_minor=None if value is None else int(value * 100),
            account_fields=fields,
        )


def _account_fields(entry: Mapping[str, Any], names: Mapping[str, str]) -> tuple[AccountField, ...]:
    if wire.at(entry, names["goods.fields"]) is None:
        return ()
    listed = wire.entries(entry, names["goods.fields"])
    return tuple(
        AccountField(name, wire.said(one, names["goods.field_label"]) or name)
        for one in listed
        if (name := wire.said(one, names["goods.field_name"])) and name not in OURS
    )


def _refused(reply: wire.Reply, code: str, refusals: Mapping[str, Reason]) -> Rejected | Unknown:
    message = reply.document.get("message")
    says = f"code {code}: {message if isinstance(message, str) else ''}"[:200]
    if code in refusals:
        return Rejected(refusals[code], says, reply.evidence(code=code))
    return Unknown(f"{says} is not on the list of refusals", evidence=reply.evidence(code=code))


def _states(text: str) -> dict[str, State]:
    """Raises: IncompleteConnection where one number is given two meanings."""
    pairs = [tuple(part.strip() for part in entry.split("=")) for entry in text.split(",")]
    states = {number: State(word) for number, word in pairs}
    if len(states) != len(pairs):
        raise IncompleteConnection("states", "one number stands there twice")
    return states


def _day(text: str) -> date | None:
    found = re.match(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})", text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None
