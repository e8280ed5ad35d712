"""91卡券 on the Agiso platform. The names inside Data, error codes, the call that tells of a pick and the push's body are this company's own choice.

Goods whose SKU starts with `link` are handed out as one claim link; `region` holds a kind's number (700 to 850).
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from simulators.supplier.book import Client, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Message, Protocol, Reply, Task

BASE = "/acpr/"
CODES = {
    "out_of_stock": "1001",
    "no_balance": "1002",
    "not_for_sale": "1003",
    "no_such_goods": "1004",
    "bad_account": "1005",
    "price_changed": "1006",
    "malformed": "40",
    "bad_signature": "41",
    "duplicate": "1007",
    "no_such_purchase": "1008",
    "busy": "42",
    "internal": "50",
}
MAY_RETRY = frozenset({"busy", "internal"})
LOW_STOCK = 10
SKEW_S = 600


class AgisoAcpr(Protocol):
    repeats = "again"

    def new_credentials(self) -> dict[str, str]:
        return {"access_token": secrets.token_hex(16), "app_secret": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        client = self.company.client_where("access_token", token)
        form = asked.form()
        if kind != "Bearer" or client is None or form.get("sign") != sign(client.credentials["app_secret"], form):
            raise Refusal("bad_signature", "The token or the signature is wrong.")
        if asked.headers.get("apiversion") != "1" or abs(time.time() - int(form.get("timestamp", "0"))) > SKEW_S:
            raise Refusal("bad_signature", "The version or the time is wrong.")
        number, sku = form.get("handPickOrderId", ""), form.get("cpkId", "")
        match (asked.method, asked.path.removeprefix(BASE)):
            case ("POST", "CardPwd/HandPick") if number:
                wanted = Wanted(number, sku, int(form.get("num", "1")))
                return Task("place", lambda: _answer(_pick(self.company.buy(client, wanted))), client, number, sku)
            case ("POST", "CardPwd/GetHandPick"):
                return Task("query", lambda: _answer(_pick(self.company.find(client, out_no=number))), client, number)
            case ("POST", "CardPwdKind/GetDetails"):
                return Task("goods", lambda: self._details(sku), client, None, sku)
        raise Refusal("malformed", "There is nothing here.")

    def _details(self, sku: str) -> Reply:
        goods = self.company.goods(sku)
        document = {"Name": goods.name, "KindType": goods.region or "820", "StockNum": goods.stock, "Price": float(goods.cost)}
        return _answer(document)

    def refused(self, refusal: Refusal) -> Reply:
        code = CODES.get(refusal.kind, "9999")
        return Reply.json(
            {
                "IsSuccess": False,
                "Data": None,
                "Error_Code": code,
                "Error_Msg": refusal.says,
                "AllowRetry": refusal.kind in MAY_RETRY,
                "RequestId": secrets.token_hex(8),
            }
        )

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        """A push when stock is low, told of the goods and not of the purchase."""
        goods = self.company.book.goods(purchase.sku)
        if not client.notice_url or goods is None or goods.stock is None or goods.stock >= LOW_STOCK:
            return None
        document = json.dumps({"CpkId": goods.sku, "Stock": goods.stock, "Name": f"low + {goods.name}"}, ensure_ascii=False)
        timestamp = str(int(time.time()))
        signature = sign(client.credentials["app_secret"], {"json": document, "timestamp": timestamp}).upper()
        query = urlencode({"timestamp": timestamp, "sign": signature, "aopic": "1", "fromPlatform": "Acpr"})
        body = urlencode({"json": document}).encode()
        return Message(f"{client.notice_url}?{query}", body, {"Content-Type": "application/x-www-form-urlencoded"})

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"


def sign(secret: str, parameters: Mapping[str, str]) -> str:
    pairs = "".join(name + parameters[name] for name in sorted(parameters) if name != "sign")
    return hashlib.md5((secret + pairs + secret).encode(), usedforsecurity=False).hexdigest()


def _answer(data: Mapping[str, Any]) -> Reply:
    return Reply.json(
        {"IsSuccess": True, "Data": data, "Error_Code": "0", "AllowRetry": False, "RequestId": secrets.token_hex(8)}
    )


def _pick(purchase: Purchase) -> dict[str, Any]:
    if purchase.state != "succeeded":
        raise Refusal("internal", "The pick is under way.")
    document: dict[str, Any] = {"HandPickOrderId": purchase.out_no}
    if purchase.sku.startswith("link"):
        return document | {"Url": f"https://claim.example/{purchase.cards[0].number.strip()}"}
    return document | {"CardPwdArr": [{"c": card.number, "p": card.password, "d": card.expires_on} for card in purchase.cards]}
