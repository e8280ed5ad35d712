"""The Fulu protocol. Where its public text gives no code or field name, the one used here is this company's own choice (README.md)."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from simulators.supplier.book import Card, Client, Goods, Purchase
from simulators.supplier.company import Refusal, Wanted
from simulators.supplier.protocol import Asked, Message, Protocol, Reply, Task

PATH = "/api/getway"
CHINA = timezone(timedelta(hours=8))
CODES = {
    "out_of_stock": 3001,
    "no_balance": 3002,
    "not_for_sale": 3003,
    "no_such_goods": 3004,
    "bad_account": 3005,
    "price_changed": 3008,
    "malformed": 1001,
    "bad_signature": 1002,
    "duplicate": 3100,
    "no_such_purchase": 4001,
    "busy": 1003,
    "internal": 1004,
}
UNDOCUMENTED = 77777
STATES = {"processing": "processing", "succeeded": "success", "failed": "failed"}
ACCOUNT_FIELDS = (
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
    "charge_phone",
)


class Fulu(Protocol):
    def new_credentials(self) -> dict[str, str]:
        return {"app_key": "fulu" + secrets.token_hex(8), "app_secret": secrets.token_hex(16)}

    def read(self, asked: Asked) -> Task:
        if asked.method != "POST" or asked.path != PATH:
            raise Refusal("malformed", "There is nothing here.")
        document = asked.json()
        client = self.company.client_where("app_key", str(document.get("app_key", "")))
        signed = {name: value for name, value in document.items() if name != "sign"}
        if client is None or document.get("sign") != sign(_dumps(signed), client.credentials["app_secret"]):
            raise Refusal("bad_signature", "The signature is wrong.")
        _check_time(str(document.get("timestamp")))
        try:
            content: dict[str, Any] = json.loads(str(document.get("biz_content") or "{}"))
        except ValueError as error:
            raise Refusal("malformed", "biz_content is not JSON.") from error
        return self._task(str(document.get("method")), client, content)

    def _task(self, method: str, client: Client, content: dict[str, Any]) -> Task:
        number, sku = str(content.get("customer_order_no", "")) or None, str(content.get("product_id", "")) or None
        match method:
            case "fulu.order.direct.add" | "fulu.order.card.add":
                wanted = _wanted(content, str(content.get("product_id", "")))
                return Task("place", lambda: self._placed(client, wanted), client, number, sku)
            case "fulu.order.mobile.add":
                wanted = _wanted(content, "mobile")
                return Task("place", lambda: self._placed(client, wanted), client, number, "mobile")
            case "fulu.order.data.add":
                wanted = _wanted(content, f"data:{content.get('packet_kind', '')}")
                return Task("place", lambda: self._placed(client, wanted), client, number, wanted.sku)
            case "fulu.order.info.get":
                return Task("query", lambda: self._found(client, number or ""), client, number)
            case "fulu.goods.list.get":
                return Task("catalog", lambda: self._catalog(client), client)
            case "fulu.goods.info.get":
                return Task("goods", lambda: _answer(_goods(self.company.goods(sku or "")), client), client, None, sku)
            case "fulu.goods.stock.check":
                return Task("goods", lambda: self._stock(client, sku or "", int(content.get("buy_num", 1))), client, None, sku)
            case "fulu.goods.template.get":
                template = str(content.get("template_id", ""))
                return Task("other", lambda: self._template(client, template), client, None, template)
            case "fulu.user.info.get":
                return Task("balance", lambda: self._user(client), client)
        raise Refusal("malformed", f"There is no method {method}.")

    def _placed(self, client: Client, wanted: Wanted) -> Reply:
        """Acceptance only: cards and success are told by the query."""
        purchase = self.company.buy(client, wanted)
        return _answer({"order_id": purchase.own_no, "customer_order_no": purchase.out_no, "order_state": "processing"}, client)

    def _found(self, client: Client, out_no: str) -> Reply:
        purchase = self.company.find(client, out_no=out_no)
        secret = client.credentials["app_secret"]
        document: dict[str, Any] = {
            "order_id": purchase.own_no,
            "customer_order_no": purchase.out_no,
            "order_state": STATES[purchase.state],
            "order_price": float(purchase.cost),
            "product_id": purchase.sku,
            "buy_num": purchase.quantity,
            "order_type": 1,
            "finish_time": _time(purchase.decided_at),
            "operator_serial_number": purchase.own_no[::-1],
        }
        if self.company.goods(purchase.sku).kind == "card":
            document["cards"] = [_card(card, secret) for card in purchase.cards]
        return _answer(document, client)

    def _catalog(self, client: Client) -> Reply:
        return _answer([_goods(goods) for goods in self.company.catalog("", 10_000)], client)

    def _stock(self, client: Client, sku: str, quantity: int) -> Reply:
        goods = self.company.goods(sku)
        enough = goods.stock is None or goods.stock >= quantity
        return _answer({"product_id": sku, "stock_status": "充足" if enough else "断货"}, client)

    def _template(self, client: Client, sku: str) -> Reply:
        inputs = [{"Id": field["name"], "Name": field.get("label", "")} for field in self.company.goods(sku).account_fields]
        return _answer({"ElementInfo": {"Inputs": inputs}}, client)

    def _user(self, client: Client) -> Reply:
        return _answer({"name": client.name, "balance": float(self.company.balance_of(client)), "is_open": 1}, client)

    def refused(self, refusal: Refusal) -> Reply:
        code = CODES.get(refusal.kind, UNDOCUMENTED)
        return Reply.json({"code": code, "message": refusal.says, "result": "", "sign": ""})

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        address = purchase.notice_url or client.notice_url
        if not address:
            return None
        document: dict[str, Any] = {
            "order_id": purchase.own_no,
            "charge_finish_time": _time(purchase.decided_at),
            "customer_order_no": purchase.out_no,
            "order_status": STATES[purchase.state],
            "recharge_description": purchase.reason or "充值成功",
            "product_id": purchase.sku,
            "price": str(purchase.cost),
            "buy_num": str(purchase.quantity),
            "operator_serial_number": purchase.own_no[::-1],
        }
        document["sign"] = sign(_dumps(document), client.credentials["app_secret"])
        return Message(address, _dumps(document).encode(), {"Content-Type": "application/json"})

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"


def sign(text: str, secret: str) -> str:
    """MD5 of the text's characters in order, then the secret."""
    return hashlib.md5(("".join(sorted(text)) + secret).encode(), usedforsecurity=False).hexdigest()


def encrypt(text: str, secret: str) -> str:
    """AES-256-ECB with the secret as key, padded as PKCS #7, in base64."""
    data = text.encode()
    data += bytes([16 - len(data) % 16]) * (16 - len(data) % 16)
    encryptor = Cipher(AES(secret.encode()), ECB()).encryptor()  # noqa: S305 (the protocol's choice)
    return base64.b64encode(encryptor.update(data) + encryptor.finalize()).decode()


def _wanted(content: Mapping[str, Any], sku: str) -> Wanted:
    out_no = str(content.get("customer_order_no", ""))
    if not 0 < len(out_no) <= 50:
        raise Refusal("malformed", "customer_order_no is missing or too long.")
    account = {name: str(content[name]) for name in ACCOUNT_FIELDS if content.get(name)}
    value = content.get("charge_value")
    face_value_minor = None if value is None else int(Decimal(str(value)) * 100)
    return Wanted(out_no, sku, int(content.get("buy_num", 1)), account, face_value_minor)


def _answer(result: object, client: Client) -> Reply:
    text = _dumps(result)
    signature = sign(text, client.credentials["app_secret"])
    return Reply.json({"code": 0, "message": "接口调用成功", "result": text, "sign": signature})


def _goods(goods: Goods) -> dict[str, Any]:
    return {
        "product_id": goods.sku,
        "product_name": goods.name,
        "face_value": None if goods.face_value_minor is None else goods.face_value_minor / 100,
        "product_type": "卡密" if goods.kind == "card" else "直充",
        "purchase_price": float(goods.cost),
        "template_id": goods.sku if goods.kind == "top_up" else None,
        "sales_status": "上架" if goods.is_on_sale else "下架",
        "stock_status": "断货" if goods.stock == 0 else "充足",
    }


def _card(card: Card, secret: str) -> dict[str, str]:
    return {
        "card_number": encrypt(card.number, secret),
        "card_pwd": encrypt(card.password, secret),
        "card_deadline": card.expires_on,
    }


def _check_time(text: str) -> None:
    try:
        told = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise Refusal("malformed", "timestamp is not a time.") from error
    if abs(datetime.now(UTC) - told) > timedelta(minutes=10):
        raise Refusal("bad_signature", "timestamp is too far off.")


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
