"""Three families of small card platforms. What their public texts leave open is this company's own choice (README.md)."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.supplier.book import Client, Goods, Purchase, Used
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Message, Protocol, Reply, Task

CODES = {
    "malformed": "5000",
    "bad_signature": "5001",
    "no_such_goods": "5002",
    "not_for_sale": "5003",
    "out_of_stock": "5004",
    "no_balance": "5005",
    "bad_account": "5006",
    "price_changed": "5007",
    "duplicate": "5008",
    "no_such_purchase": "5404",
    "busy": "5009",
    "internal": "5010",
}
UNDOCUMENTED = "77777"
STATES = {"processing": 1, "succeeded": 2, "failed": 3}


class Family962699(Protocol):
    """Forms, signed by MD5 over the sorted pairs and the key."""

    def new_credentials(self) -> dict[str, str]:
        return {"app_id": str(10_000 + secrets.randbelow(10**6)), "app_key": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        form = asked.form()
        client = self.company.client_where("app_id", form.get("appId", ""))
        if client is None or form.get("sign") != _md5(_pairs(form) + client.credentials["app_key"]):
            raise Refusal("bad_signature", "The signature is wrong.")
        sku, number = form.get("productId"), form.get("customerOrderNo")
        match asked.path:
            case "/api/order/card" | "/api/order/create":
                account = {"account": form["account"]} if form.get("account") else {}
                wanted = Wanted(
                    number or "", sku or "", int(form.get("amount", "1")), account, notice_url=form.get("notifyURL", "")
                )
                return Task("place", lambda: self._placed(client, wanted), client, number, sku)
            case "/api/order/query":
                found = lambda: _ok(_order(self.company.find(client, out_no=number or "")))  # noqa: E731
                return Task("query", found, client, number)
            case "/api/product/list":
                return Task("catalog", lambda: self._list(form), client)
            case "/api/product/info":
                return Task("goods", lambda: self._goods(sku or ""), client, None, sku)
            case "/api/user/balance":
                return Task("balance", lambda: _ok({"balance": str(self.company.balance_of(client))}), client)
        raise Refusal("malformed", "There is nothing here.")

    def _placed(self, client: Client, wanted: Wanted) -> Reply:
        purchase = self.company.buy(client, wanted)
        told = {
            "customerOrderNo": purchase.out_no,
            "orderNo": purchase.own_no,
            "price": str(purchase.cost),
            "amount": purchase.quantity,
        }
        return _ok(told)

    def _list(self, form: dict[str, str]) -> Reply:
        """This company's own: all goods page by page, or those that changed at or after `updatedSince`, in milliseconds."""
        size, page = int(form.get("size", "100")), max(1, int(form.get("page", "1")))
        goods = self.company.catalog("", page * size, changed_since=int(form.get("updatedSince", "0")) / 1000)
        return _ok({"list": [_product(one) for one in goods[(page - 1) * size :]]})

    def _goods(self, sku: str) -> Reply:
        return _ok(_product(self.company.goods(sku)))

    def refused(self, refusal: Refusal) -> Reply:
        return Reply.json({"code": int(CODES.get(refusal.kind, UNDOCUMENTED)), "message": refusal.says})

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        address = purchase.notice_url or client.notice_url
        if not address:
            return None
        form = {"customerOrderNo": purchase.out_no, "orderNo": purchase.own_no, "status": str(STATES[purchase.state])}
        form["sign"] = _md5(_pairs(form) + client.credentials["app_key"])
        return Message(address, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def goods_notice(self, client: Client, goods: Goods, at: float) -> Message | None:
        """This company's own: the public text describes none. Stock is left out where it is not counted."""
        told = {
            "productId": goods.sku,
            "price": str(goods.cost),
            "state": "1" if goods.is_on_sale else "0",
            "time": str(int(at * 1000)),
        }
        form = told if goods.stock is None else {**told, "stock": str(goods.stock)}
        form["sign"] = _md5(_pairs(form) + client.credentials["app_key"])
        return Message(client.goods_url, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def use_notice(self, client: Client, purchase: Purchase, used: Used) -> Message | None:
        """This company's own: the public text describes none."""
        if not client.uses_url:
            return None
        form = {
            "customerOrderNo": purchase.out_no,
            "orderNo": purchase.own_no,
            "useId": str(used.id),
            "event": "void" if used.is_taken_back else "used",
            "time": str(int(used.at * 1000)),
            "shop": used.place,
        }
        form["sign"] = _md5(_pairs(form) + client.credentials["app_key"])
        return Message(client.uses_url, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"


class FamilyExchange(Protocol):
    """JSON, signed by RSA over the sorted pairs of body and headers."""

    def new_credentials(self) -> dict[str, str]:
        ours, theirs = _new_key(), _new_key()
        return {
            "business_id": "B" + secrets.token_hex(6),
            "private_key": _private_pem(theirs),
            "platform_private_key": _private_pem(ours),
            "platform_public_key": _public_pem(ours),
        }

    def read(self, asked: Asked) -> Task:
        client = self.company.client_where("business_id", asked.headers.get("businessid", ""))
        body, more = asked.json(), _headers_signed(asked.headers.get)
        if client is None or not _is_signed(client, _pairs({**body, **more}), asked.headers.get("sign", "")):
            raise Refusal("bad_signature", "The signature is wrong.")
        if abs(time.time() * 1000 - int(more["timestamp"])) > 600_000:
            raise Refusal("bad_signature", "The time is too far off.")
        number, sku = body.get("outOrderNo"), body.get("productCode")
        match asked.path:
            case "/v1/openapi/order/VIPCharge":
                account = {"account": str(body["account"])} if body.get("account") else {}
                wanted = Wanted(
                    str(number), str(sku), int(body.get("count", 1)), account, notice_url=str(body.get("notifyUrl", ""))
                )
                return Task("place", lambda: self._placed(client, wanted), client, number, sku)
            case "/v1/openapi/order/info":
                return Task("query", lambda: self._found(client, str(number)), client, number)
        raise Refusal("malformed", "There is nothing here.")

    def _placed(self, client: Client, wanted: Wanted) -> Reply:
        purchase = self.company.buy(client, wanted)
        return _success({"outOrderNo": purchase.out_no, "orderNo": purchase.own_no})

    def _found(self, client: Client, number: str) -> Reply:
        told = _order(self.company.find(client, out_no=number))
        return _success({"outOrderNo": told.pop("customerOrderNo"), **told})

    def refused(self, refusal: Refusal) -> Reply:
        return Reply.json({"bizCode": CODES.get(refusal.kind, UNDOCUMENTED), "message": refusal.says})

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        address = purchase.notice_url or client.notice_url
        if not address:
            return None
        body: dict[str, Any] = {"outOrderNo": purchase.out_no, "orderNo": purchase.own_no, "status": STATES[purchase.state]}
        headers = {"businessId": client.credentials["business_id"], "nonce": secrets.token_hex(8), "timestamp": str(_ms())}
        sign = _sign(client.credentials["platform_private_key"], _pairs({**body, **headers}))
        return Message(address, _dumps(body), {**headers, "sign": sign, "Content-Type": "application/json"})

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body.strip().upper() == b"SUCCESS"


class FamilyHaixin(Protocol):
    """Forms, signed by MD5 of user, key and number; one code says everything."""

    ANSWERS = {"processing": 421, "succeeded": 200, "failed": 505}  # noqa: RUF012

    def new_credentials(self) -> dict[str, str]:
        return {"user_id": str(10_000 + secrets.randbelow(10**6)), "key": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        form = asked.form()
        user, number, sku = form.get("userId", ""), form.get("requestId", ""), form.get("goodsId")
        client = self.company.client_where("user_id", user)
        if client is None or form.get("sign") != _md5(user + client.credentials["key"] + number):
            raise Refusal("bad_signature", "The signature is wrong.")
        match asked.path:
            case "/directCardOrder/order":
                account = {"account": form["account"]} if form.get("account") else {}
                wanted = Wanted(number, sku or "", int(form.get("number", "1")), account)
                return Task("place", lambda: self._placed(client, wanted), client, number, sku)
            case "/directCardOrder/query":
                return Task("query", lambda: self._told(self.company.find(client, out_no=number)), client, number)
        raise Refusal("malformed", "There is nothing here.")

    def _placed(self, client: Client, wanted: Wanted) -> Reply:
        purchase = self.company.buy(client, wanted)
        return Reply.json({"code": 200, "requestId": purchase.out_no, "orderId": purchase.own_no})

    def _told(self, purchase: Purchase) -> Reply:
        told = _order(purchase)
        same = {"requestId": purchase.out_no, "orderId": purchase.own_no, "price": told["price"], "cards": told["cards"]}
        return Reply.json({"code": self.ANSWERS[purchase.state], "message": purchase.reason, **same})

    def refused(self, refusal: Refusal) -> Reply:
        code = "420" if refusal.kind == "no_such_purchase" else CODES.get(refusal.kind, UNDOCUMENTED)
        return Reply.json({"code": int(code), "message": refusal.says})


def _order(purchase: Purchase) -> dict[str, Any]:
    return {
        "customerOrderNo": purchase.out_no,
        "orderNo": purchase.own_no,
        "status": STATES[purchase.state],
        "price": str(purchase.cost),
        "cards": [{"cardNo": card.number, "cardPwd": card.password, "expireTime": card.expires_on} for card in purchase.cards],
    }


def _product(goods: Goods) -> dict[str, Any]:
    told = {"productId": goods.sku, "productName": goods.name, "price": str(goods.cost), "stock": goods.stock}
    return {**told, "state": "1" if goods.is_on_sale else "0"}


def _ok(data: dict[str, Any]) -> Reply:
    return Reply.json({"code": 200, "message": "ok", "data": data})


def _success(data: dict[str, Any]) -> Reply:
    return Reply.json({"bizCode": "SUCCESS", "message": "", "data": data})


def _pairs(values: dict[str, Any]) -> str:
    told = sorted((name, str(value)) for name, value in values.items() if name != "sign" and value not in ("", None))
    return "&".join(f"{name}={text}" for name, text in told)


def _headers_signed(header: Any) -> dict[str, str]:
    return {"businessId": header("businessid", ""), "nonce": header("nonce", ""), "timestamp": header("timestamp", "0")}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def _is_signed(client: Client, text: str, given: str) -> bool:
    key = serialization.load_pem_private_key(client.credentials["private_key"].encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    try:
        key.public_key().verify(base64.b64decode(given), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def _sign(pem: str, text: str) -> str:
    """With a key of nobody's where the client's own was spoilt on purpose."""
    key = serialization.load_pem_private_key(pem.encode(), password=None) if pem.startswith("-----BEGIN") else _new_key()
    assert isinstance(key, rsa.RSAPrivateKey)
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _ms() -> int:
    return int(time.time() * 1000)
