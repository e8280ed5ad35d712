"""The Kasushou protocol, version 2. Where its public text gives no code or field name, the one used here is this company's own choice (README.md)."""

import hashlib
import json
import secrets
import time
from typing import Any

from simulators.supplier.book import Client, Goods, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Protocol, Reply, Task

BASE = "/api/v1/"
TOLERANCE_MS = 10 * 60 * 1000
PAGE = 100
CODES = {
    "malformed": 400,
    "bad_signature": 401,
    "no_such_goods": 1001,
    "not_for_sale": 1002,
    "out_of_stock": 1003,
    "no_balance": 1004,
    "bad_account": 1005,
    "price_changed": 1006,
    "duplicate": 1007,
    "no_such_purchase": 1008,
    "busy": 429,
    "internal": 500,
}
UNDOCUMENTED = 77777
STATES = {"processing": 2, "succeeded": 3, "failed": 4}
NOT_ACCOUNT = ("id", "quantity", "url", "external_orderno")


class Kasushou(Protocol):
    def new_credentials(self) -> dict[str, str]:
        return {"user_id": str(10_000 + secrets.randbelow(10**6)), "api_key": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        if asked.method != "POST" or not asked.path.startswith(BASE):
            raise Refusal("malformed", "There is nothing here.")
        client = self.company.client_where("user_id", asked.headers.get("userid", ""))
        timestamp = asked.headers.get("timestamp", "")
        content = asked.json()
        if client is None or asked.headers.get("sign") != sign(timestamp, content, client.credentials["api_key"]):
            raise Refusal("bad_signature", "The signature is wrong.")
        if len(timestamp) != 13 or abs(time.time() * 1000 - int(timestamp)) > TOLERANCE_MS:
            raise Refusal("bad_signature", "The time is too far off.")
        return self._task(asked.path.removeprefix(BASE), client, content)

    def _task(self, path: str, client: Client, content: dict[str, Any]) -> Task:
        sku = str(content.get("id", "")) or None
        number = str(content.get("external_orderno", "")) or None
        match path:
            case "order/buy":
                wanted = _wanted(content)
                return Task("place", lambda: self._bought(client, wanted), client, number, sku)
            case "order/info":
                return Task("query", lambda: self._found(client, content), client, number)
            case "goods/list":
                return Task("catalog", lambda: self._catalog(content), client)
            case "goods/detail":
                return Task("goods", lambda: _answer(_goods(self.company.goods(sku or ""))), client, None, sku)
            case "user/info":
                return Task("balance", lambda: _answer({"money": str(self.company.balance_of(client))}), client)
        raise Refusal("malformed", f"There is nothing at {path}.")

    def _bought(self, client: Client, wanted: Wanted) -> Reply:
        """Acceptance only: state and cards are told by order/info."""
        purchase = self.company.buy(client, wanted)
        return _answer({"ordersn": purchase.own_no, "external_orderno": purchase.out_no})

    def _found(self, client: Client, content: dict[str, Any]) -> Reply:
        """Numbers that are not known are left out of the list."""
        found = []
        for name, ours in (("external_orderno", True), ("ordersn", False)):
            for number in filter(None, str(content.get(name, "")).split(",")):
                try:
                    found.append(self.company.find(client, **{"out_no" if ours else "own_no": number}))
                except Refusal as refusal:
                    if refusal.kind != "no_such_purchase":
                        raise
        return _answer([_order(purchase) for purchase in found])

    def _catalog(self, content: dict[str, Any]) -> Reply:
        page = max(1, int(content.get("page", 1)))
        goods = self.company.catalog("", page * PAGE + 1)[(page - 1) * PAGE :]
        return _answer({"list": [_goods(one) for one in goods[:PAGE]], "page": page, "more": len(goods) > PAGE})

    def refused(self, refusal: Refusal) -> Reply:
        return Reply.json({"code": CODES.get(refusal.kind, UNDOCUMENTED), "message": refusal.says, "data": None})


def sign(timestamp: str, content: dict[str, Any], api_key: str) -> str:
    """SHA-1 of the time in milliseconds, the body with its keys in order, and the key."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha1((timestamp + body + api_key).encode(), usedforsecurity=False).hexdigest()


def _wanted(content: dict[str, Any]) -> Wanted:
    number = str(content.get("external_orderno", ""))
    if not number:
        raise Refusal("malformed", "external_orderno is missing.")
    account = {name: str(value) for name, value in content.items() if name not in NOT_ACCOUNT}
    return Wanted(
        number, str(content.get("id", "")), int(content.get("quantity", 1)), account, notice_url=str(content.get("url", ""))
    )


def _answer(data: object) -> Reply:
    return Reply.json({"code": 200, "message": "ok", "data": data})


def _order(purchase: Purchase) -> dict[str, Any]:
    return {
        "ordersn": purchase.own_no,
        "external_orderno": purchase.out_no,
        "goods_id": purchase.sku,
        "quantity": purchase.quantity,
        "status": STATES[purchase.state],
        "total_price": str(purchase.cost),
        "remark": purchase.reason,
        "cards": [{"card_no": card.number, "card_password": card.password, "expire": card.expires_on} for card in purchase.cards],
    }


def _goods(goods: Goods) -> dict[str, Any]:
    return {
        "id": goods.sku,
        "goods_name": goods.name,
        "goods_price": str(goods.cost),
        "face_value": None if goods.face_value_minor is None else f"{goods.face_value_minor / 100:.2f}",
        "goods_type": 1 if goods.kind == "card" else 2,
        "status": 1 if goods.is_on_sale else 0,
        "stock_num": goods.stock,
        "attach": [{"name": field["name"], "title": field.get("label", field["name"])} for field in goods.account_fields],
    }
