"""91卡券 on the Agiso platform (ACPR): cards are picked out of the merchant's own warehouse there.

Verified, in a published copy of the guide: base https://gw-api.agiso.com/acpr/; CardPwd/HandPick with cpkId, num, handPickOrderId (our number), buildCpd
and usePriority returns cards {c, p, d} or one claim link; CardPwdKind/GetDetails; card kinds 700 loop, 800 set, 820 unique, 840 repeat, 850 image; a
push when stock is low; answers carry IsSuccess, Error_Code, AllowRetry and RequestId; headers `Authorization: Bearer` and `ApiVersion: 1`; clocks at most 10
minutes apart; 20 calls per second. What a repeated handPickOrderId returns was not read, nor a call to ask by it: a number is never sent twice, and
without a `query.path` the merchant has to look. Names inside Data, the form of the timestamp, and the push's body are defaults in `ASSUMED`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from app.kernel import clock, http, strict_json
from app.kernel.errors import N_
from app.kernel.http import Call, Client
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.agiso_acpr import signing
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
from app.suppliers.connectors.notes import CALLS_AT_ONCE, GRACE, NOTES_READ_ON
from app.suppliers.connectors.port import (
    Ability,
    Asked,
    CatalogItem,
    Delivered,
    Forged,
    Found,
    GoodsNotice,
    Issued,
    NoSuchGoods,
    NoSuchPurchase,
    Notice,
    OtherNotice,
    Outcome,
    Purchase,
    RawNotice,
    Reason,
    Rejected,
    Setting,
    Traits,
    Unknown,
)
from app.suppliers.connectors.wire import NotOffered, Reply, at, cost, count, entries, exchange, expect_if_said, link, said

ERROR_CODE = "Error_Code"
PLATFORM = "Acpr"
IMAGE = "850"
ASSUMED = {
    "call.timestamp": "timestamp",
    "pick.buildCpd": "false",
    "pick.usePriority": "false",
    "pick.cards": "Data.CardPwdArr",
    "pick.link": "Data.Url",
    "pick.out_no": "Data.HandPickOrderId",
    "query.path": "",
    "query.number": "handPickOrderId",
    "not_found.codes": "",
    "no_such_goods.codes": "",
    "details.kind": "Data.KindType",
    "details.name": "Data.Name",
    "details.stock": "Data.StockNum",
    "details.cost": "Data.Price",
    "kinds.sold": "820",
    "push.goods": "CpkId",
    "push.tolerance_s": "86400",
    "push.acknowledgement": "success",
}


@dataclass(frozen=True, slots=True)
class AgisoAcpr(NotOffered):
    """One seller's warehouse. A supplier SKU is the number of a card kind, `cpkId`."""

    traits: ClassVar[Traits] = Traits(
        name="agiso_acpr",
        title="91卡券 (Agiso)",
        verified_on=NOTES_READ_ON,
        settings=(
            Setting("base_url", N_("Address of the interface"), default="https://gw-api.agiso.com/acpr", pattern=ADDRESS),
            Setting("access_token", N_("Access token of the seller"), is_secret=True, pattern=r"\S+"),
            Setting("app_secret", N_("Application secret"), is_secret=True, pattern=r"\S+"),
            REFUSALS_SETTING,
            assumed_setting(ASSUMED),
        ),
        abilities=frozenset({Ability.STOCK, Ability.NOTICES}),
        not_found_grace=GRACE,
        idempotency_life=None,
        calls_per_second=20,
        calls_at_once=CALLS_AT_ONCE,
    )

    base_url: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    refusals: Mapping[str, Reason]
    assumed: Mapping[str, str]
    client: Client = field(repr=False)

    @classmethod
    def for_connection(cls, config: Mapping[str, str], client: Client | None = None) -> Self:
        values = settings_of(cls.traits, config)
        return cls(
            base_url=values["base_url"].rstrip("/"),
            access_token=values["access_token"],
            app_secret=values["app_secret"],
            refusals=refusals_of(values[REFUSALS]),
            assumed=assumptions(values[ASSUMED_SETTING], ASSUMED),
            client=client or http.shared(),
        )

    async def place(self, purchase: Purchase) -> Outcome:
        """Picks one card. A refusal that may be repeated is no definite no; one that may not be needs its code on the list."""
        parameters = {
            "cpkId": purchase.supplier_sku,
            "num": "1",
            "handPickOrderId": purchase.out_no,
            "buildCpd": self.assumed["pick.buildCpd"],
            "usePriority": self.assumed["pick.usePriority"],
        }
        reply = await self._ask("/CardPwd/HandPick", parameters)
        if isinstance(reply, Unknown):
            return reply
        try:
            if not _is_success(reply):
                return self._refused(reply)
            return self._picked(reply, purchase.out_no)
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=_evidence(reply))

    async def query(self, asked: Asked) -> Found:
        """Only where the merchant named the call: the published text shows none."""
        if not self.assumed["query.path"]:
            return Unknown("91卡券 is not known to tell what became of a number: look in its list of picks", is_sent=False)
        reply = await self._ask(self.assumed["query.path"], {self.assumed["query.number"]: asked.out_no})
        if isinstance(reply, Unknown):
            return reply
        try:
            if _is_success(reply):
                return self._picked(reply, asked.out_no)
            if not _may_retry(reply) and is_code_among(reply.document, ERROR_CODE, words(self.assumed["not_found.codes"])):
                return NoSuchPurchase(_evidence(reply))
            return Unknown("the supplier did not tell", evidence=_evidence(reply))
        except NotStrictJson as fault:
            return Unknown(f"the answer cannot be taken: {fault}", evidence=_evidence(reply))

    async def goods(self, supplier_sku: str) -> CatalogItem | NoSuchGoods | Unknown:
        """A card kind with its stock. Kinds that hand out the same secret again (700 loop, 840 repeat) are not on sale unless listed."""
        reply = await self._ask("/CardPwdKind/GetDetails", {"cpkId": supplier_sku})
        if isinstance(reply, Unknown):
            return reply
        try:
            if not _is_success(reply):
                if is_code_among(reply.document, ERROR_CODE, words(self.assumed["no_such_goods.codes"])):
                    return NoSuchGoods()
                return Unknown("the supplier did not tell", evidence=_evidence(reply))
            kind = said(reply.document, self.assumed["details.kind"])
            return CatalogItem(
                supplier_sku=supplier_sku,
                name=said(reply.document, self.assumed["details.name"]) or supplier_sku,
                delivery_kind="link" if kind == IMAGE else "card_key",
                unit_cost=cost(reply.document, self.assumed["details.cost"]) or Decimal(0),
                currency="CNY",
                is_on_sale=kind in words(self.assumed["kinds.sold"]),
                stock=count(reply.document, self.assumed["details.stock"]),
            )
        except NotStrictJson as fault:
            return Unknown(f"the details cannot be read: {fault}", evidence=_evidence(reply))

    def verify_notice(self, raw: RawNotice, now: datetime) -> Notice:
        query, form = signing.form_of(raw.query), signing.form_of(raw.body.decode("utf-8", "replace"))
        document, timestamp = form.get("json", ""), query.get("timestamp", "")
        if not document or not signing.is_signed_push(self.app_secret, document, timestamp, query.get("sign", "")):
            return Forged("the push's signature is wrong")
        if query.get("fromPlatform", PLATFORM) != PLATFORM:
            return Forged("the push comes from another platform")
        sent_at_s = _seconds(timestamp)
        if sent_at_s is None or abs(now.timestamp() - sent_at_s) > int(self.assumed["push.tolerance_s"]):
            return Forged("the push is dated too far from now")
        try:
            sku = said(strict_json.parse_object(document.encode("utf-8"), exact=True), self.assumed["push.goods"])
        except NotStrictJson as fault:
            return Forged(str(fault))
        event_key = hashlib.sha256(f"{timestamp}:{document}".encode()).hexdigest()
        return GoodsNotice(event_key, sku) if sku else OtherNotice(event_key)

    def acknowledge(self) -> tuple[int, bytes, str]:
        return 200, self.assumed["push.acknowledgement"].encode("utf-8"), "text/plain"

    def _picked(self, reply: Reply, out_no: str) -> Outcome:
        """One card or one link, never both, never more. Raises: NotStrictJson."""
        expect_if_said(reply.document, self.assumed["pick.out_no"], out_no)
        ref, evidence = said(reply.document, "RequestId") or out_no, _evidence(reply)
        address = link(reply.document, self.assumed["pick.link"])
        cards = (
            [] if at(reply.document, self.assumed["pick.cards"]) is None else entries(reply.document, self.assumed["pick.cards"])
        )
        if len(cards) + bool(address) != 1:
            return Unknown(f"{len(cards)} cards and {int(bool(address))} links for one picked", evidence=evidence)
        return Delivered(ref, (Issued(link=address) if address else _issued(cards[0]),), None, evidence)

    def _refused(self, reply: Reply) -> Rejected | Unknown:
        if _may_retry(reply):
            return Unknown(
                f"the supplier says it may be tried again ({said(reply.document, ERROR_CODE)})", evidence=_evidence(reply)
            )
        return refused(reply, ERROR_CODE, self.refusals)

    async def _ask(self, path: str, parameters: Mapping[str, str]) -> Reply | Unknown:
        signed = {**parameters, self.assumed["call.timestamp"]: str(int(clock.now().timestamp()))}
        signed["sign"] = signing.signature(self.app_secret, signed)
        headers = {
            "Authorization": f"Bearer {self.access_token}",
            "ApiVersion": "1",
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return await exchange(self.client, Call("POST", self.base_url + path, headers, urlencode(signed).encode("ascii")))


def _is_success(reply: Reply) -> bool:
    """Raises: NotStrictJson unless the answer says yes or no."""
    told = at(reply.document, "IsSuccess")
    if not isinstance(told, bool):
        raise NotStrictJson("IsSuccess is neither yes nor no")
    return told and reply.is_success


def _may_retry(reply: Reply) -> bool:
    """Unless the supplier says clearly that it may not."""
    return at(reply.document, "AllowRetry") is not False


def _issued(card: Mapping[str, Any]) -> Issued:
    """`c` is the number, `p` the password; a card without `c` is its `p`. Raises: NotStrictJson for an empty one."""
    number, password = said(card, "c"), said(card, "p")
    if card.get("c") is None and password:
        number, password = password, ""
    if not number:
        raise NotStrictJson("the card has no number")
    return Issued(number=number, password=password)


def _evidence(reply: Reply) -> str:
    told = {name: at(reply.document, name) for name in ("IsSuccess", ERROR_CODE, "AllowRetry", "RequestId")}
    return reply.evidence(**told)


def _seconds(timestamp: str) -> float | None:
    """Seconds since 1970 of a timestamp in seconds, milliseconds, or as a Chinese time of day: which of them it is was not read."""
    if re.fullmatch(r"\d{9,11}", timestamp):
        return int(timestamp)
    if re.fullmatch(r"\d{12,14}", timestamp):
        return int(timestamp) / 1000
    try:
        told = datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.BUSINESS_ZONE)
    except ValueError:
        return None
    return told.timestamp()
